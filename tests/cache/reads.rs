//! What sessions read, and how every answer comes to the model.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::aim::Aim;
use super::model::{At, Fact, Key, Read, Wrong, value};
use super::questions::{Question, ROWS, any_outside};
use super::sql::{Answer, Arg, FORMS, Form, Sql};
use super::workload::{ELSEWHERE, Fault, TEMPORARY, Talker, Tally};
use crate::harness::message::Message;

impl Talker<'_> {
    /// Several questions in one go; half of the time only one.
    pub(super) fn read_some(&mut self) -> Result<(), Fault> {
        let many = if self.random.once_in(2) { 1 } else { 1 + self.random.below(12) };
        let asked: Vec<_> = (0..many).map(|_| self.draw()).collect();
        self.read(&asked)
    }

    /// A question in a form that it can be asked in.
    fn draw(&mut self) -> (Question, Form) {
        let strikes = self.shared.strikes.load(Ordering::Relaxed);
        let (question, form) = self.shared.aim.draw(&mut self.random, strikes);
        let form = if question.fits(form) { form } else { Form::Unnamed };
        (question, form)
    }

    /// Asks, and has every answer checked.
    pub fn read(&mut self, asked: &[(Question, Form)]) -> Result<(), Fault> {
        let mut bytes = vec![];
        for (question, form) in asked {
            bytes.push(self.encode(&question.sql(), *form));
        }
        let from = self.shared.now();
        self.send(&bytes.concat())?;
        let mut result = Ok(());
        for ((question, form), bytes) in asked.iter().zip(&bytes) {
            let messages = self.answer()?;
            let to = self.shared.now();
            let messages = self.spoil(bytes, messages);
            let answer = Answer::new(&messages, *form);
            match answer.error.as_deref() {
                Some(code) => result = self.refused(code, &format!("{question:?}")),
                None => self.check(question, &answer, from, to),
            }
        }
        result
    }

    /// What was told before in place of what is told now, now and then, in runs that must be found out.
    fn spoil(&mut self, asked: &[u8], told: Vec<Message>) -> Vec<Message> {
        if !self.shared.spoilt {
            return told;
        }
        if self.random.once_in(50)
            && let Some(before) = self.told.get(asked)
        {
            return before.clone();
        }
        self.told.insert(asked.to_vec(), told.clone());
        told
    }

    fn check(&mut self, question: &Question, answer: &Answer, from: At, to: At) {
        match question.facts(answer) {
            Ok(facts) => self.judge(&facts, from, to),
            Err(words) => self.shared.model().wrong_answer(self.level, Wrong::Torn, words),
        }
    }

    fn judge(&mut self, facts: &[Fact], from: At, to: At) {
        let outside = any_outside(facts) || self.shared.meets_orphans(from);
        let read = Read { level: self.level, from, to, facts, outside };
        self.shared.model().read(&mut self.session, &read);
    }

    /// Reads in a transaction: of one moment each, or of one moment together.
    pub(super) fn read_in_transaction(&mut self) -> Result<(), Fault> {
        let begins = [
            "begin",
            "begin read only",
            "begin isolation level repeatable read",
            "begin isolation level serializable",
        ];
        let n = self.random.below(4) as usize;
        self.say(begins[n])?;
        let asked: Vec<_> = (0..3).map(|_| self.draw()).collect();
        if n < 2 {
            self.read(&asked)?;
        } else {
            self.read_one_moment(asked)?;
        }
        self.say("commit")
    }

    fn read_one_moment(&mut self, mut asked: Vec<(Question, Form)>) -> Result<(), Fault> {
        asked.retain(|(question, _)| question.fits_snapshot());
        let (from, mut first, mut all) = (self.shared.now(), None, vec![]);
        for (question, form) in asked {
            if self.shared.aim == Aim::Transactions {
                std::thread::sleep(Duration::from_millis(4));
            }
            let bytes = self.encode(&question.sql(), form);
            self.send(&bytes)?;
            let answer = Answer::new(&self.answer()?, form);
            if let Some(code) = answer.error {
                return self.refused(&code, &format!("{question:?} in a snapshot"));
            }
            first.get_or_insert(self.shared.now());
            match question.facts(&answer) {
                Ok(facts) => all.extend(facts),
                Err(words) => self.shared.model().wrong_answer(self.level, Wrong::Torn, words),
            }
        }
        if let Some(to) = first {
            self.judge(&all, from, to);
        }
        Ok(())
    }

    /// Reads as a role that may and may not by turns.
    pub(super) fn read_as_guest(&mut self) -> Result<(), Fault> {
        self.say("set role guest")?;
        for _ in 0..3 {
            let (sql, form) = (
                Sql::new("select k, v from secret where k = $1", &[Arg::Int(0)]),
                self.random.one_of(&FORMS),
            );
            let bytes = self.encode(&sql, form);
            let from = self.shared.now();
            self.send(&bytes)?;
            let answer = Answer::new(&self.answer()?, form);
            let to = self.shared.now();
            let odd = match answer.error.as_deref() {
                Some("42501") => true,
                Some(code) => return self.refused(code, &sql.text),
                None => false,
            };
            if odd {
                Tally::count(&self.shared.tally.forbidden);
            }
            self.judge(&[Fact::Odd(Key::Right, odd)], from, to);
        }
        self.say("reset role")
    }

    /// Reads as a role that may not.
    pub(super) fn read_as_outsider(&mut self) -> Result<(), Fault> {
        self.say("set role outsider")?;
        // What everybody else asks all the time, and has asked in this session.
        let question = Question::Row(self.shared.aim.row(&mut self.random, false));
        let form = self.random.one_of(&FORMS);
        let bytes = self.encode(&question.sql(), form);
        self.send(&bytes)?;
        let answer = Answer::new(&self.answer()?, form);
        match answer.error.as_deref() {
            Some("42501") => Tally::count(&self.shared.tally.forbidden),
            Some(code) => return self.refused(code, &format!("{question:?} of an outsider")),
            None => {
                let words = format!("gave {:?} to a role without the right", answer.rows);
                self.shared.model().wrong_answer(self.level, Wrong::Forbidden, words);
            }
        }
        self.say("reset role")
    }

    /// The same words mean another table, which is never changed.
    pub(super) fn read_along_another_path(&mut self) -> Result<(), Fault> {
        self.say("set search_path = other, public")?;
        self.read_elsewhere(ELSEWHERE, &FORMS)?;
        self.say("reset search_path")
    }

    /// The same words mean a table of this session; what is prepared goes on to mean the other one, in PostgreSQL too.
    pub(super) fn read_a_temporary_table(&mut self) -> Result<(), Fault> {
        self.say(&format!(
            "create temp table kv as select k, g, mate, {TEMPORARY}::bigint as v from other.kv"
        ))?;
        self.read_elsewhere(TEMPORARY, &[Form::Simple, Form::Unnamed])?;
        self.say("drop table pg_temp.kv")
    }

    /// Reads rows whose value is always this. Whoever else is told such a row has an answer that is not his.
    fn read_elsewhere(&mut self, value: i64, forms: &[Form]) -> Result<(), Fault> {
        for _ in 0..2 {
            let question = Question::Row(self.random.low(ROWS));
            let form = self.random.one_of(forms);
            let bytes = self.encode(&question.sql(), form);
            self.send(&bytes)?;
            let answer = Answer::new(&self.answer()?, form);
            if let Some(code) = answer.error {
                return self.refused(&code, &format!("{question:?} elsewhere"));
            }
            if answer.rows.iter().any(|row| row[2] != Some(value)) || answer.rows.len() != 1 {
                let words = format!("gave {:?} for {question:?} of another table, of {value}", answer.rows);
                self.shared.model().wrong_answer(self.level, Wrong::Forbidden, words);
            }
        }
        Ok(())
    }

    /// An operation's own reads in its transaction show what it has written.
    pub fn sees_its_own(&mut self, key: u32, expected: i64) -> Result<(), Fault> {
        let rows = self.rows(&Question::Row(key).sql())?;
        if rows.first().and_then(|row| row.get(2)) != Some(&expected) {
            let operation = value::operation(expected);
            let words = format!("showed {rows:?} in the transaction {operation} that wrote {expected}");
            self.shared.model().wrong_answer(self.level, Wrong::Stale, words);
        }
        Ok(())
    }
}
