//! What readers ask, and what an answer says of the registers.

use super::model::{ANY, Fact, Key, Level};
use super::random::Random;
use super::sql::{Answer, Arg, Form, Sql};

/// Rows of `kv`. Eight of them are in two groups, and move between these.
pub const ROWS: u32 = 32;
/// Rows from here on are written around pgweir.
pub const FIRST_AROUND: u32 = 24;
/// Pairs of accounts.
pub const PAIRS: u32 = 6;
/// Customers.
pub const CUSTOMERS: u32 = 4;
/// Rows of `bulk`.
pub const BULK: usize = 16;
const BLOCK: u32 = 8;

/// The part of the rows, pairs and customers that is written around pgweir; all others are written through it.
pub fn outside(key: Key) -> bool {
    match key {
        Key::Row(k) => k >= FIRST_AROUND,
        Key::Shaped(_) => true,
        Key::Pair(p) => p >= 4,
        Key::Customer(c) | Key::Newest(c) | Key::Oldest(c) => c >= 3,
        Key::Bulk | Key::View | Key::Columns | Key::Right => false,
    }
}

/// A read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// A row by its key.
    Row(u32),
    /// The same through a view whose definition changes.
    Shown(u32),
    /// Rows by a list of keys.
    In(Vec<u32>),
    /// The same as one parameter.
    Any(Vec<u32>),
    /// A row and its mate.
    Mate(u32),
    /// A row, and the customer who has the number of its group, if there is one: which one that is changes.
    Tied(u32),
    /// Rows by another column, which changes.
    Group(u32),
    /// The last written rows of a group.
    Top(u32),
    /// The value of the last written row of a group.
    Highest(u32),
    /// A pair of accounts.
    Pair(u32),
    /// Its sum, which is 0.
    Sum(u32),
    /// The sum of all, which is 0.
    Total,
    /// A customer and how many orders there are, in two tables.
    Customer(u32),
    /// The orders of a customer.
    Orders(u32),
    /// The last of them.
    Last(u32),
    /// A table that is filled anew.
    Bulk,
    /// How much is in it.
    BulkCount,
    /// All columns of a table that gets new ones.
    Columns(u32),
    /// The row of a table of `shaped.sql`, by the column of this number.
    Shaped(u32, u32),
}

impl Question {
    /// Any one; the lower the number of a row, the more often.
    pub fn draw(random: &mut Random) -> Question {
        let (row, group) = (random.low(ROWS), random.low(ROWS / BLOCK * 2));
        let (pair, customer) = (random.low(PAIRS), random.low(CUSTOMERS));
        match random.below(25) {
            0..5 => Question::Row(row),
            5 => Question::Shown(row),
            6 => Question::In(rows(random)),
            7 => Question::Any(rows(random)),
            8 | 9 => Question::Mate(row),
            10 | 11 => Question::Group(group),
            12 => Question::Top(group),
            13 => Question::Highest(group),
            14 => Question::Pair(pair),
            15 => Question::Sum(pair),
            16 => Question::Total,
            17 | 18 => Question::Customer(customer),
            19 => Question::Orders(customer),
            20 => Question::Last(customer),
            21 => Question::Bulk,
            22 => Question::BulkCount,
            23 => Question::Tied(row),
            _ => Question::Columns(row % 2),
        }
    }

    /// Every one but lists, of which there are some.
    pub fn all() -> Vec<Question> {
        let mut all = vec![Question::Total, Question::Bulk, Question::BulkCount];
        all.extend(
            (0..ROWS)
                .flat_map(|k| [Question::Row(k), Question::Shown(k), Question::Mate(k), Question::Tied(k)]),
        );
        all.extend((0..ROWS / 4).flat_map(|g| [Question::Group(g), Question::Top(g), Question::Highest(g)]));
        all.extend((0..PAIRS).flat_map(|p| [Question::Pair(p), Question::Sum(p)]));
        all.extend(
            (0..CUSTOMERS).flat_map(|c| [Question::Customer(c), Question::Orders(c), Question::Last(c)]),
        );
        all.extend((0..2).map(Question::Columns));
        all.extend([vec![0, 1], vec![3, 9, 30]].map(Question::In));
        all.extend([vec![0, 2], vec![1, 25, 31]].map(Question::Any));
        all
    }

    /// Whether it can be asked in every form. A prepared statement may not change its columns.
    pub fn fits(&self, form: Form) -> bool {
        !matches!(self, Question::Columns(_)) || matches!(form, Form::Simple | Form::Unnamed)
    }

    /// Whether it is right in a transaction whose snapshot is older: a table that was truncated is empty there.
    pub fn fits_snapshot(&self) -> bool {
        !matches!(self, Question::Bulk | Question::BulkCount | Question::Columns(_) | Question::Shown(_))
    }

    /// Its statement.
    pub fn sql(&self) -> Sql {
        let by = |text: &str, n: u32| Sql::new(text, &[Arg::Int(n)]);
        match self {
            Question::Row(k) => by("select k, g, v from kv where k = $1", *k),
            Question::Shown(k) => by("select k, v, generation from shown where k = $1", *k),
            Question::In(keys) => {
                let args: Vec<Arg> = keys.iter().map(|k| Arg::Int(*k)).collect();
                let list: Vec<String> = (1..=args.len()).map(|n| format!("${n}")).collect();
                Sql::new(format!("select k, g, v from kv where k in ({}) order by k", list.join(", ")), &args)
            }
            Question::Any(keys) => Sql::new(
                "select k, g, v from kv where k = any($1::int[]) order by k",
                &[Arg::Ints(keys.clone())],
            ),
            Question::Mate(k) => by(
                "select a.k, a.g, a.v, b.k, b.g, b.v from kv a join kv b on b.k = a.mate where a.k = $1",
                *k,
            ),
            Question::Tied(k) => by(
                "select a.k, a.g, a.v, coalesce(c.v, -1) from kv a left join customer c on c.id = a.g where a.k = $1",
                *k,
            ),
            Question::Group(g) => by("select k, g, v from kv where g = $1 order by k", *g),
            Question::Top(g) => by("select k, g, v from kv where g = $1 order by v desc limit 3", *g),
            Question::Highest(g) => by("select max(v) from kv where g = $1", *g),
            Question::Pair(p) => by("select id, balance, v from account where pair = $1 order by id", *p),
            Question::Sum(p) => {
                by("select sum(balance)::bigint, count(*), max(v) from account where pair = $1", *p)
            }
            Question::Total => Sql::new("select sum(balance)::bigint, count(*) from account", &[]),
            Question::Customer(c) => by(
                "select c.v, c.orders, count(o.id), max(o.v) from customer c left join orders o on o.customer = c.id \
                 where c.id = $1 group by c.id",
                *c,
            ),
            Question::Orders(c) => by("select count(*), min(v), max(v) from orders where customer = $1", *c),
            Question::Last(c) => by(
                "select o.v from customer c, orders o where o.customer = c.id and c.id = $1 order by o.v desc limit 1",
                *c,
            ),
            Question::Bulk => Sql::new("select k, v from bulk order by k", &[]),
            Question::BulkCount => Sql::new("select count(*), min(v), max(v) from bulk", &[]),
            Question::Columns(k) => by("select * from wide where k = $1", *k),
            Question::Shaped(table, column) => {
                Sql::new(format!("select v from shaped_{table} where c{column} = $1"), &[Arg::Int(0)])
            }
        }
    }

    /// What an answer says, or how it cannot be one.
    pub fn facts(&self, answer: &Answer) -> Result<Vec<Fact>, String> {
        let wrong = || format!("{self:?} was answered by {:?}", answer.rows);
        let rows: Option<Vec<Vec<i64>>> =
            answer.rows.iter().map(|row| row.iter().copied().collect()).collect();
        let rows = match (rows, self) {
            (Some(rows), _) => rows,
            // Nothing in the group.
            (None, Question::Highest(_)) if answer.rows == [vec![None]] => vec![],
            _ => return Err(wrong()),
        };
        self.read(&rows, &answer.columns).ok_or_else(wrong)
    }

    fn read(&self, rows: &[Vec<i64>], columns: &[String]) -> Option<Vec<Fact>> {
        let only = || if let [row] = rows { Some(&row[..]) } else { None };
        Some(match self {
            Question::Row(k) => keyed(rows, &[*k])?,
            Question::In(keys) | Question::Any(keys) => keyed(rows, keys)?,
            Question::Mate(k) => {
                let (one, other) = only()?.split_at_checked(3)?;
                keyed(&[one.to_vec(), other.to_vec()], &[*k, *k ^ 1])?
            }
            Question::Tied(k) => {
                let (of, one) = only()?.split_last()?;
                let mut facts = keyed(&[one.to_vec()], &[*k])?;
                let customer = u32::try_from(one[1]).ok()?;
                match customer < CUSTOMERS {
                    true => facts.push(Fact::Is(Key::Customer(customer), *of, ANY)),
                    false => (*of == -1).then_some(())?,
                }
                facts
            }
            Question::Shown(k) => match *only()? {
                [row, v, generation] if row == i64::from(*k) => {
                    vec![Fact::Is(Key::Row(*k), v, ANY), Fact::Is(Key::View, generation, ANY)]
                }
                _ => return None,
            },
            Question::Group(g) => group(*g, rows, None)?,
            Question::Top(g) => {
                let last = (rows.len() == 3).then(|| rows[2][2]);
                group(*g, rows, last)?
            }
            Question::Highest(g) => {
                let highest = rows.first().map(|row| row[0]);
                let mut facts = group(*g, &[], highest)?;
                facts.extend(highest.map(|v| Fact::OneOf(block(*g), v)));
                facts
            }
            Question::Pair(p) => match rows {
                [one, other] if one[1] + other[1] == 0 && one[2] == other[2] => {
                    vec![Fact::Is(Key::Pair(*p), one[2], ANY)]
                }
                _ => return None,
            },
            Question::Sum(p) => match *only()? {
                [0, 2, v] => vec![Fact::Is(Key::Pair(*p), v, ANY)],
                _ => return None,
            },
            Question::Total => (only()? == [0, i64::from(PAIRS) * 2]).then(Vec::new)?,
            Question::Customer(c) => match *only()? {
                [v, kept, counted, newest] if kept == counted => {
                    vec![Fact::Is(Key::Customer(*c), v, ANY), Fact::Is(Key::Newest(*c), newest, ANY)]
                }
                _ => return None,
            },
            Question::Orders(c) => match *only()? {
                [_, oldest, newest] => {
                    vec![Fact::Is(Key::Oldest(*c), oldest, ANY), Fact::Is(Key::Newest(*c), newest, ANY)]
                }
                _ => return None,
            },
            Question::Shaped(table, _) => vec![Fact::Is(Key::Shaped(*table), *only()?.first()?, ANY)],
            Question::Last(c) => vec![Fact::Is(Key::Newest(*c), *only()?.first()?, ANY)],
            Question::Bulk => {
                let v = rows.first()?[1];
                let whole = rows.len() == BULK && rows.iter().all(|row| row[1] == v);
                whole.then(|| vec![Fact::Is(Key::Bulk, v, ANY)])?
            }
            Question::BulkCount => match *only()? {
                [count, least, most] if count == BULK as i64 && least == most => {
                    vec![Fact::Is(Key::Bulk, most, ANY)]
                }
                _ => return None,
            },
            Question::Columns(_) => {
                only()?;
                let newest = columns.last()?.strip_prefix('c')?.parse().ok()?;
                vec![Fact::Is(Key::Columns, newest, ANY)]
            }
        })
    }
}

/// The window of a question at a level depends on whether it says something of what is written around pgweir.
pub fn any_outside(facts: &[Fact]) -> bool {
    facts.iter().any(|fact| match fact {
        Fact::Is(key, ..) | Fact::Absent(key, ..) | Fact::Odd(key, _) => outside(*key),
        Fact::OneOf(rows, _) => outside(Key::Row(rows.start)),
    })
}

/// Rows `[k, g, v]` with just these keys, in their order.
fn keyed(rows: &[Vec<i64>], keys: &[u32]) -> Option<Vec<Fact>> {
    let mut facts = vec![];
    for (row, key) in rows.iter().zip(keys) {
        let [k, g, v] = row[..] else { return None };
        (k == i64::from(*key)).then_some(())?;
        facts.push(Fact::Is(Key::Row(*key), v, g));
    }
    (rows.len() == keys.len()).then_some(facts)
}

/// Rows `[k, g, v]` of a group; the others of the block are in the other group, or below `last`.
fn group(g: u32, rows: &[Vec<i64>], last: Option<i64>) -> Option<Vec<Fact>> {
    let (g64, mut absent) = (i64::from(g), block(g).collect::<Vec<_>>());
    let mut facts = vec![];
    for row in rows {
        let [k, of, v] = row[..] else { return None };
        let place = absent.iter().position(|row| i64::from(*row) == k)?;
        (of == g64).then_some(())?;
        facts.push(Fact::Is(Key::Row(absent.remove(place)), v, g64));
    }
    facts.extend(absent.into_iter().map(|row| Fact::Absent(Key::Row(row), g64, last)));
    Some(facts)
}

/// The rows that may be in a group.
fn block(g: u32) -> std::ops::Range<u32> {
    let first = g / 2 * BLOCK;
    first..first + BLOCK
}

fn rows(random: &mut Random) -> Vec<u32> {
    // Few lists, so that they come again.
    let mut rows: Vec<u32> = (0..2 + random.below(2)).map(|_| random.low(8) * 4 + random.low(2)).collect();
    rows.sort_unstable();
    rows.dedup();
    rows
}

/// The levels, as the rules of the runs have them.
pub const LEVELS: [Level; 5] = [
    Level::Strict(BOUND),
    Level::Session(BOUND),
    Level::Bounded(std::time::Duration::from_millis(200)),
    Level::Ttl(std::time::Duration::from_millis(300)),
    Level::StrictAll(BOUND),
];

const BOUND: std::time::Duration = std::time::Duration::from_millis(500);

/// The rules: a level for each application.
pub fn rules() -> String {
    let rule = |level: &Level| {
        let name = level.name();
        let cache = match level {
            Level::Ttl(age) => {
                format!("level = \"ttl\", ttl_cap = \"{}ms\", max_rows = 1000", age.as_millis())
            }
            Level::StrictAll(bound)
            | Level::Strict(bound)
            | Level::Session(bound)
            | Level::Bounded(bound) => format!(
                "level = \"{name}\", ttl_cap = \"10m\", max_rows = 1000, bound = \"{}ms\", on_stream_loss = \"bypass\"",
                bound.as_millis()
            ),
            Level::Direct => String::new(),
        };
        format!(
            "[[rule]]\nname = \"{name}\"\nwhen = {{ class = \"read\", application = \"{name}\" }}\nthen.cache = {{ {cache} }}\n"
        )
    };
    LEVELS.iter().map(rule).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(rows: &[&[i64]]) -> Answer {
        let rows = rows.iter().map(|row| row.iter().map(|n| Some(*n)).collect()).collect();
        Answer { columns: vec!["k".into(), "c7".into()], rows, error: None }
    }

    fn is(key: Key, value: i64) -> Fact {
        Fact::Is(key, value, ANY)
    }

    #[test]
    fn answers_are_made_into_facts() {
        let check = |question: Question, rows: &[&[i64]], facts: &[Fact]| {
            assert_eq!(question.facts(&answer(rows)).as_deref(), Ok(facts));
        };
        let row = |row, value, group| Fact::Is(Key::Row(row), value, group);
        check(Question::Row(3), &[&[3, 1, 50]], &[row(3, 50, 1)]);
        check(Question::Mate(2), &[&[2, 0, 5, 3, 1, 6]], &[row(2, 5, 0), row(3, 6, 1)]);
        check(Question::Sum(1), &[&[0, 2, 9]], &[is(Key::Pair(1), 9)]);
        check(Question::Shown(1), &[&[1, 8, 4]], &[is(Key::Row(1), 8), is(Key::View, 4)]);
        check(Question::Customer(1), &[&[9, 2, 2, 8]], &[is(Key::Customer(1), 9), is(Key::Newest(1), 8)]);
        check(Question::Columns(0), &[&[0, 0]], &[is(Key::Columns, 7)]);
        check(Question::Total, &[&[0, 12]], &[]);
        let facts =
            Question::Top(3).facts(&answer(&[&[9, 3, 30], &[8, 3, 20], &[15, 3, 10]])).expect("facts");
        assert_eq!(facts.len(), 8);
        assert_eq!(facts[3], Fact::Absent(Key::Row(10), 3, Some(10)));
        let facts = Question::Group(3).facts(&answer(&[&[9, 3, 30]])).expect("facts");
        assert_eq!((facts.len(), &facts[1]), (8, &Fact::Absent(Key::Row(8), 3, None)));
        let facts = Question::Highest(2).facts(&answer(&[&[30]])).expect("facts");
        assert_eq!((facts.len(), &facts[8]), (9, &Fact::OneOf(8..16, 30)));
    }

    #[test]
    fn answers_that_were_never_true_are_told() {
        let cases: [(Question, &[&[i64]]); 9] = [
            (Question::Row(3), &[]),
            (Question::Row(3), &[&[4, 0, 1]]),
            (Question::Pair(0), &[&[0, 5, 1], &[1, -5, 2]]),
            (Question::Pair(0), &[&[0, 5, 1], &[1, -4, 1]]),
            (Question::Sum(0), &[&[1, 2, 9]]),
            (Question::Customer(0), &[&[9, 2, 3, 9]]),
            (Question::Bulk, &[&[0, 1]]),
            (Question::BulkCount, &[&[16, 1, 2]]),
            (Question::Total, &[&[0, 11]]),
        ];
        for (question, rows) in cases {
            assert!(question.facts(&answer(rows)).is_err(), "{question:?}");
        }
    }

    #[test]
    fn values_are_put_into_the_text() {
        let sql = Sql::new("select $1, $2, $10", &(1..=10).map(Arg::Int).collect::<Vec<_>>());
        assert_eq!(sql.inline(), "select 1, 2, 10");
        assert_eq!(
            Question::Any(vec![1, 2]).sql().inline(),
            "select k, g, v from kv where k = any('{1,2}'::int[]) order by k"
        );
    }
}
