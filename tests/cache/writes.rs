//! What sessions write: every way in which rows, definitions and rights change.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::aim::Aim;
use super::model::{ANY, At, Key, value};
use super::questions::{BULK, CUSTOMERS, PAIRS, Question};
use super::sql::{Answer, Arg, Form, Sql};
use super::workload::{Fault, Talker};
use crate::harness::frontend as msg;

/// The value that a row gets; `$1` is the operation.
const NEXT: &str = "((((v >> 32) + 1) << 32) | $1)";
/// Columns that are added before they are only renamed: a table cannot have had more than 1600.
const COLUMNS: i64 = 200;

/// The last numbers that were tried. Who defines something waits for nobody else who does.
#[derive(Debug, Default)]
pub struct Definitions {
    view: i64,
    columns: i64,
    right: i64,
}

impl Talker<'_> {
    /// Writes something, where this client may: through pgweir or around it.
    pub(super) fn write(&mut self) -> Result<(), Fault> {
        match self.shared.aim {
            Aim::Everything => self.write_anything(),
            Aim::Shapes => self.write_shaped(),
            Aim::Linger => self.write_and_linger(),
            Aim::Around => self.write_and_rest(),
            Aim::Same => self.write_and_read(),
            Aim::Hot | Aim::Transactions => self.write_narrowly(),
        }
    }

    fn write_anything(&mut self) -> Result<(), Fault> {
        // It would be most of the time that a run has.
        if self.random.once_in(64) {
            return self.write_and_linger();
        }
        match self.random.below(32) {
            0..8 => self.write_row(),
            8..10 => self.move_row(),
            10..13 => self.write_rows_together(),
            13..15 => self.write_in_vain(),
            15..19 => self.transfer(),
            19..22 => self.order(),
            22 | 23 => self.end_order(),
            24 => self.begin_customer_anew(),
            25 => self.batch_in_vain(),
            26 => self.batch(),
            _ if self.is_outside() => self.write_row(),
            27 => self.fill_anew(),
            _ if !self.shared.defining() => self.write_row(),
            28 => self.define_view(),
            29 => self.define_column(),
            _ => self.change_right(),
        }
    }

    /// A number of those that this client may write.
    fn own(&mut self, all: u32, outside: u32) -> u32 {
        if self.is_outside() { outside + self.random.below(all - outside) } else { self.random.low(outside) }
    }

    fn own_row(&mut self) -> u32 {
        let around = self.is_outside();
        self.shared.aim.row(&mut self.random, around)
    }

    fn own_customer(&mut self) -> u32 {
        self.own(CUSTOMERS, 3)
    }

    /// One statement that gives the value, and the group, of a row. A row that is written may be hidden in a read.
    fn row_statement(&mut self, row: u32, operation: u32) -> Sql {
        let args = [Arg::Long(operation.into()), Arg::Int(row)];
        match self.random.below(6) {
            0 => Sql::new(
                "insert into kv (k, g, mate, v) values ($2, 0, 0, $1) on conflict (k) do update \
                 set v = ((((kv.v >> 32) + 1) << 32) | excluded.v) returning v, g",
                &args,
            ),
            1 => Sql::new(
                format!(
                    "with w as (update kv set v = {NEXT} where k = $2 returning v, g) select v, g from w"
                ),
                &args,
            ),
            2 => Sql::new("select v, g from bump($2, $1)", &args),
            _ => Sql::new(format!("update kv set v = {NEXT} where k = $2 returning v, g"), &args),
        }
    }

    /// Executes a statement that gives values and groups of these rows, and has them known.
    fn rows_written(&mut self, operation: u32, sql: &Sql, rows: &[u32]) -> Result<(Vec<i64>, At), Fault> {
        let written = self.rows(sql)?;
        let at = self.shared.now();
        let mut values = vec![];
        for (row, written) in rows.iter().zip(&written) {
            let [v, g] = written[..] else { return self.odd(sql, &written[..]) };
            self.offer(operation, Key::Row(*row), v, g);
            values.push(v);
        }
        if values.len() == rows.len() { Ok((values, at)) } else { self.odd(sql, &values) }
    }

    /// What the server cannot have said.
    fn odd<T>(&mut self, sql: &Sql, said: &[i64]) -> Result<T, Fault> {
        self.shared.surprise(format!("{sql:?} gave {said:?}"));
        Err(Fault::Refused("odd".into()))
    }

    fn write_row(&mut self) -> Result<(), Fault> {
        let row = self.own_row();
        self.attempt(|talker, operation| {
            let sql = talker.row_statement(row, operation);
            Ok(talker.rows_written(operation, &sql, &[row])?.1)
        })
    }

    /// A row goes to the other group of its block.
    fn move_row(&mut self) -> Result<(), Fault> {
        let row = self.own_row();
        self.attempt(|talker, operation| {
            talker.shared.model().moves(operation, Key::Row(row));
            let args = [Arg::Long(operation.into()), Arg::Int(row)];
            let sql = format!("update kv set g = g # 1, v = {NEXT} where k = $2 returning v, g");
            Ok(talker.rows_written(operation, &Sql::new(sql, &args), &[row])?.1)
        })
    }

    /// In the way that puts no more than the row in doubt.
    fn write_narrowly(&mut self) -> Result<(), Fault> {
        let row = self.own_row();
        self.write_one(row)
    }

    fn write_one(&mut self, row: u32) -> Result<(), Fault> {
        self.attempt(|talker, operation| {
            let args = [Arg::Long(operation.into()), Arg::Int(row)];
            let sql = Sql::new(format!("update kv set v = {NEXT} where k = $2 returning v, g"), &args);
            Ok(talker.rows_written(operation, &sql, &[row])?.1)
        })
    }

    /// Others may be asking for the row already, and must not give the writer what they are told.
    fn write_and_read(&mut self) -> Result<(), Fault> {
        let row = self.own_row();
        self.write_one(row)?;
        self.read(&[(Question::Row(row), Form::Unnamed)])
    }

    /// After one that has hung, there is time to see who is told the old row.
    fn write_and_rest(&mut self) -> Result<(), Fault> {
        let begun = Instant::now();
        let written = self.write_narrowly();
        if begun.elapsed() > Duration::from_millis(60) {
            std::thread::sleep(Duration::from_millis(800));
        }
        written
    }

    /// A row is visible to all others long before its writer is told: its transaction ends in the middle of a text.
    fn write_and_linger(&mut self) -> Result<(), Fault> {
        let row = self.own_row();
        self.attempt(|talker, operation| {
            let text = format!(
                "begin; update kv set v = (((v >> 32) + 1) << 32) | {operation}::bigint where k = {row} returning v, g; \
                 commit; select pg_sleep(0.03)"
            );
            talker.send(&msg::query(&text))?;
            let answer = Answer::new(&talker.answer()?, Form::Simple);
            let at = talker.shared.now();
            if let Some(code) = answer.error {
                return talker.refused(&code, &text);
            }
            match answer.rows.first().map(|row| &row[..]) {
                Some([Some(v), Some(g)]) => talker.offer(operation, Key::Row(row), *v, *g),
                _ => return talker.odd(&Sql::new(text, &[]), &[]),
            }
            Ok(at)
        })
    }

    /// A row that is found by other columns than it was before.
    fn write_shaped(&mut self) -> Result<(), Fault> {
        let shared = self.shared;
        // The next one would evict at once what this one should have.
        let Ok(_turn) = shared.turn.try_lock() else { return Ok(()) };
        let table = Aim::shaped(shared.strikes.load(Ordering::Relaxed));
        let written = self.attempt(|talker, operation| {
            let text = format!("update shaped_{table} set v = {NEXT} where k = $2 returning v");
            let sql = Sql::new(text, &[Arg::Long(operation.into()), Arg::Int(0)]);
            let rows = talker.rows(&sql)?;
            let at = talker.shared.now();
            let v = talker.single(&sql, &rows)?;
            talker.offer(operation, Key::Shaped(table), v, ANY);
            Ok(at)
        });
        std::thread::sleep(Duration::from_millis(30));
        written
    }

    /// Several rows in a transaction, some of it undone to a savepoint, with reads within.
    fn write_rows_together(&mut self) -> Result<(), Fault> {
        let mut rows: Vec<u32> = (0..3).map(|_| self.own_row()).collect();
        rows.sort_unstable();
        rows.dedup();
        let part = self.random.once_in(3);
        self.attempt(|talker, operation| {
            talker.say("begin")?;
            if talker.random.once_in(2) {
                let asked = [(Question::Row(rows[0]), Form::Unnamed)];
                talker.read(&asked)?;
            }
            if part {
                talker.say("savepoint a")?;
                let sql = talker.row_statement(rows[0], operation | 1);
                talker.rows(&sql)?;
                talker.say("rollback to a")?;
            }
            for row in &rows {
                let sql = talker.row_statement(*row, operation);
                let (values, _) = talker.rows_written(operation, &sql, &[*row])?;
                talker.sees_its_own(*row, values[0])?;
            }
            talker.commit()
        })
    }

    /// Ends a transaction, and tells when that was acknowledged.
    fn commit(&mut self) -> Result<At, Fault> {
        self.say("commit")?;
        Ok(self.shared.now())
    }

    fn write_in_vain(&mut self) -> Result<(), Fault> {
        let row = self.own_row();
        self.in_vain(|talker, operation| {
            talker.say("begin")?;
            let sql = talker.row_statement(row, operation);
            let values = talker.rows(&sql)?;
            if let Some(v) = values.first().and_then(|row| row.first()) {
                talker.sees_its_own(row, *v)?;
            }
            talker.say("rollback")
        })
    }

    /// Between two accounts, in one statement or two.
    fn transfer(&mut self) -> Result<(), Fault> {
        let (pair, amount) = (self.own(PAIRS, 4), i64::from(self.random.below(100)));
        let variant = self.random.below(3);
        self.attempt(|talker, operation| {
            let key = Arg::Int(pair);
            let (operation_arg, amount_arg) = (Arg::Long(operation.into()), Arg::Long(amount));
            if variant == 0 {
                let sql = format!(
                    "update account set balance = balance + case id % 2 when 0 then $2 else -$2 end, v = {NEXT} \
                     where pair = $3 returning v"
                );
                let sql = Sql::new(sql, &[operation_arg, amount_arg, key]);
                let rows = talker.rows(&sql)?;
                let at = talker.shared.now();
                let v = talker.single(&sql, &rows)?;
                talker.offer(operation, Key::Pair(pair), v, ANY);
                return Ok(at);
            }
            talker.say("begin")?;
            let sql = format!("update account set balance = balance + $2, v = {NEXT} where id = $3 returning v");
            let sql = Sql::new(sql, &[operation_arg, amount_arg.clone(), Arg::Int(pair * 2)]);
            let rows = talker.rows(&sql)?;
            let v = talker.single(&sql, &rows)?;
            let other = "update account set balance = balance - $2, v = $1 where id = $3 returning v";
            let other = Sql::new(other, &[Arg::Long(v), amount_arg, Arg::Int(pair * 2 + 1)]);
            talker.rows(&other)?;
            talker.offer(operation, Key::Pair(pair), v, ANY);
            talker.commit()
        })
    }

    /// The value in the first column of the first row.
    fn single(&mut self, sql: &Sql, rows: &[Vec<i64>]) -> Result<i64, Fault> {
        match rows.first().and_then(|row| row.first()) {
            Some(v) => Ok(*v),
            None => self.odd(sql, &[]),
        }
    }

    /// A trigger changes the customer too.
    fn order(&mut self) -> Result<(), Fault> {
        let customer = self.own_customer();
        self.attempt(|talker, operation| {
            let v = talker.insert_order(customer, operation)?;
            let at = talker.shared.now();
            talker.offer(operation, Key::Customer(customer), v, ANY);
            talker.offer(operation, Key::Newest(customer), v, ANY);
            Ok(at)
        })
    }

    fn insert_order(&mut self, customer: u32, operation: u32) -> Result<i64, Fault> {
        let text = "insert into orders (customer, v) values ($1, $2) returning v";
        let sql = Sql::new(text, &[Arg::Int(customer), Arg::Long(operation.into())]);
        let rows = self.rows(&sql)?;
        self.single(&sql, &rows)
    }

    /// The oldest order is deleted, if there are enough.
    fn end_order(&mut self) -> Result<(), Fault> {
        let customer = self.own_customer();
        let mut few = false;
        let ended = self.attempt(|talker, operation| {
            talker.say("begin")?;
            let text =
                format!("update customer set orders = orders - 1, v = {NEXT} where id = $2 and orders > 2 returning v");
            let rows = talker.rows(&Sql::new(text, &[Arg::Long(operation.into()), Arg::Int(customer)]))?;
            let Some(v) = rows.first().map(|row| row[0]) else {
                few = true;
                return Err(Fault::Refused("few".into()));
            };
            let args = [Arg::Int(customer)];
            let text = "delete from orders where customer = $1 and v = (select min(v) from orders where customer = $1)";
            talker.rows(&Sql::new(text, &args))?;
            let oldest = Sql::new("select min(v) from orders where customer = $1", &args);
            let rows = talker.rows(&oldest)?;
            let oldest = talker.single(&oldest, &rows)?;
            talker.offer(operation, Key::Customer(customer), v, ANY);
            talker.offer(operation, Key::Oldest(customer), oldest, ANY);
            talker.commit()
        });
        if few {
            self.say("rollback")?;
            return Ok(());
        }
        ended
    }

    /// A customer is deleted, all orders with it, and is there again with a new one.
    fn begin_customer_anew(&mut self) -> Result<(), Fault> {
        let customer = self.own_customer();
        self.attempt(|talker, operation| {
            talker.say("begin")?;
            let args = [Arg::Int(customer)];
            let last = Sql::new("select v from customer where id = $1 for update", &args);
            let rows = talker.rows(&last)?;
            // Another one may be doing the same: there was a row when we came, and it is gone.
            let Some(v) = rows.first().map(|row| row[0]) else {
                return Err(Fault::Refused("gone".into()));
            };
            talker.rows(&Sql::new("delete from customer where id = $1", &args))?;
            let insert = Sql::new(
                "insert into customer (id, orders, v) values ($1, 0, $2)",
                &[Arg::Int(customer), Arg::Long(value::after(v, operation))],
            );
            talker.rows(&insert)?;
            let v = talker.insert_order(customer, operation)?;
            for key in [Key::Customer(customer), Key::Newest(customer), Key::Oldest(customer)] {
                talker.offer(operation, key, v, ANY);
            }
            talker.commit()
        })
    }

    /// A write and a read in one batch, whose end undoes both: what was read must stay between the two of them.
    fn batch_in_vain(&mut self) -> Result<(), Fault> {
        let row = self.own_row();
        let simple = self.random.once_in(3);
        self.in_vain(|talker, operation| {
            let write = format!(
                "update kv set v = (((v >> 32) + 1) << 32) | {operation}::bigint where k = {row} returning v"
            );
            let read = Question::Row(row).sql();
            let bytes = if simple {
                msg::query(&format!("{write}; select k, g, v from kv where k = {row}; select 1 / 0"))
            } else {
                let prepared = &mut Default::default();
                [
                    msg::unnamed(&write, &[]),
                    read.encode(Form::Unnamed, prepared),
                    msg::unnamed("select 1 / 0", &[]),
                    msg::sync(),
                ]
                .concat()
            };
            talker.send(&bytes)?;
            let messages = talker.answer()?;
            match messages.iter().find(|message| message.tag == b'E').map(|error| error.sqlstate()) {
                Some(code) if code == "22012" => Ok(()),
                Some(code) => talker.refused(&code, "a batch in vain"),
                None => talker.odd(&read, &[]),
            }
        })
    }

    /// A write and a read in one batch that is committed.
    fn batch(&mut self) -> Result<(), Fault> {
        let row = self.own_row();
        self.attempt(|talker, operation| {
            let write = format!(
                "update kv set v = (((v >> 32) + 1) << 32) | {operation}::bigint where k = {row} returning v, g"
            );
            let read = Question::Row(row).sql();
            let read = read.encode(Form::Unnamed, &mut Default::default());
            talker.send(&[msg::unnamed(&write, &[]), read, msg::sync()].concat())?;
            let messages = talker.answer()?;
            let at = talker.shared.now();
            let answer = Answer::new(&messages, Form::Unnamed);
            if let Some(code) = answer.error {
                return talker.refused(&code, "a batch");
            }
            let rows: Vec<Vec<i64>> =
                answer.rows.into_iter().map(|row| row.into_iter().flatten().collect()).collect();
            let [written, read] = &rows[..] else { return talker.odd(&Question::Row(row).sql(), &[]) };
            talker.offer(operation, Key::Row(row), written[0], written[1]);
            if written[0] != read[2] {
                let words = format!("a batch wrote {written:?} and then read {read:?}");
                talker.shared.model().wrong_answer(talker.level(), super::model::Wrong::Stale, words);
            }
            Ok(at)
        })
    }

    /// A table is truncated and filled by COPY or INSERT, or everything is left as it was.
    fn fill_anew(&mut self) -> Result<(), Fault> {
        if self.random.once_in(4) {
            return self.in_vain(|talker, _| {
                talker.say("begin")?;
                talker.say("truncate bulk")?;
                talker.say("rollback")
            });
        }
        let copy = self.random.once_in(2);
        self.attempt(|talker, operation| {
            talker.say("begin")?;
            talker.say("lock table bulk")?;
            let last = Sql::new("select max(v) from bulk", &[]);
            let rows = talker.rows(&last)?;
            let v = value::after(talker.single(&last, &rows)?, operation);
            talker.say("truncate bulk")?;
            if copy {
                let lines: String = (0..BULK).map(|k| format!("{k}\t{v}\n")).collect();
                talker.copy_in("copy bulk from stdin", &lines)?;
            } else {
                talker.say(&format!(
                    "insert into bulk select k, {v} from generate_series(0, {}) k",
                    BULK - 1
                ))?;
            }
            talker.offer(operation, Key::Bulk, v, ANY);
            talker.commit()
        })
    }

    fn copy_in(&mut self, text: &str, lines: &str) -> Result<(), Fault> {
        self.send(&msg::query(text))?;
        loop {
            match self.message()? {
                message if message.tag == b'G' => break,
                message if message.tag == b'E' => {
                    self.answer()?;
                    return self.refused(&message.sqlstate(), text);
                }
                _ => {}
            }
        }
        self.send(&[msg::copy_data(lines.as_bytes()), msg::copy_done()].concat())?;
        let answer = Answer::new(&self.answer()?, Form::Simple);
        answer.error.map_or(Ok(()), |code| self.refused(&code, text))
    }

    /// Another definition of the view.
    fn define_view(&mut self) -> Result<(), Fault> {
        self.define(
            Key::View,
            |definitions| &mut definitions.view,
            |_, n| {
                Ok(format!("create or replace view shown as select k, v, {n}::bigint as generation from kv"))
            },
        )
    }

    /// Another last column, new or with another name.
    fn define_column(&mut self) -> Result<(), Fault> {
        self.define(Key::Columns, |definitions| &mut definitions.columns, |talker, n| {
            if n < COLUMNS {
                return Ok(format!("alter table wide add column c{n} int default 0"));
            }
            let text = "select substr(attname, 2)::int from pg_attribute where attrelid = 'wide'::regclass \
                        order by attnum desc limit 1";
            let sql = Sql::new(text, &[]);
            let rows = talker.rows(&sql)?;
            let last = talker.single(&sql, &rows)?;
            Ok(format!("alter table wide rename column c{last} to c{n}"))
        })
    }

    /// A right is granted or revoked.
    fn change_right(&mut self) -> Result<(), Fault> {
        self.define(
            Key::Right,
            |definitions| &mut definitions.right,
            |_, n| {
                let text =
                    if n % 2 == 1 { "revoke select on secret from" } else { "grant select on secret to" };
                Ok(format!("{text} guest"))
            },
        )
    }

    /// A definition with the next number, unless somebody else defines something.
    fn define(
        &mut self,
        key: Key,
        number: impl FnOnce(&mut Definitions) -> &mut i64,
        text: impl FnOnce(&mut Self, i64) -> Result<String, Fault>,
    ) -> Result<(), Fault> {
        let shared = self.shared;
        let Ok(mut definitions) = shared.definitions.try_lock() else { return Ok(()) };
        let number = number(&mut definitions);
        *number += 1;
        let n = *number;
        let text = text(self, n)?;
        self.attempt(|talker, operation| {
            talker.offer(operation, key, n, ANY);
            talker.say(&text)?;
            let at = talker.shared.now();
            talker.shared.tally.defined.fetch_add(1, Ordering::Relaxed);
            Ok(at)
        })
    }
}
