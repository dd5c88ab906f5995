//! What reads may show: registers whose values only rise, the instants between which each value can have been the visible one, and the
//! promises of the levels as windows of time in which an answer must have been true.
//!
//! Every answer is made into facts ("this row has this value"). A fact was true at certain moments: not before the write of the value began,
//! not after a later one was acknowledged or seen by anybody. There must be one moment at which all facts of an answer were true (else it is
//! torn), and that moment must be in the window of the level (else it is stale). That one rule is linearizability for `strict`, the bound for
//! `bounded` and `ttl`, and with what a session has seen it is `session`. All clocks are one: nanoseconds since the run began.
//!
//! Memory is bounded: of a register, values that were superseded [`HORIZON`] ago become one; what is known of transactions is kept for the
//! latest of them. What is forgotten makes the check milder, never wrong.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::Duration;

use super::register::{HORIZON, Register, Span, both, joined};

/// An instant: nanoseconds since the run began.
pub type At = u64;

/// A group that is not known, which may be any.
pub const ANY: i64 = -1;

/// Transactions whose keys are remembered, and writes in doubt.
const REMEMBERED: usize = 100_000;
/// The clocks of both processes are one; this is for what lies between a decision and its effect.
const EPSILON: At = 50_000_000;
/// Violations that are kept with their words; more are counted.
const KEPT: usize = 20;

/// A register: something whose value only rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// A row of its own.
    Row(u32),
    /// Two accounts between which money is moved.
    Pair(u32),
    /// A customer, changed with each of its orders.
    Customer(u32),
    /// The newest order of a customer.
    Newest(u32),
    /// The oldest order of a customer.
    Oldest(u32),
    /// A table that is truncated and filled anew.
    Bulk,
    /// The definition of a view.
    View,
    /// The columns of a table.
    Columns,
    /// The row of a table that is there for its columns.
    Shaped(u32),
    /// Whether a role may read a table: it may not while this is odd.
    Right,
}

/// The values of rows: how often the row was written, and by which operation, so that a value is never written twice.
pub mod value {
    /// The operation that wrote it.
    pub fn operation(value: i64) -> u32 {
        (value & 0xffff_ffff) as u32
    }

    /// Whether an operation is one that is going to be rolled back: nobody else may ever see what it writes.
    pub fn doomed(operation: u32) -> bool {
        operation & 1 == 1
    }

    /// The value that an operation writes over another.
    pub fn after(value: i64, operation: u32) -> i64 {
        ((value >> 32) + 1) << 32 | i64::from(operation)
    }
}

/// What an answer says of one register, or of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// It has this value, and is in this group.
    Is(Key, i64, i64),
    /// It is in another group, or its value is at most this.
    Absent(Key, i64, Option<i64>),
    /// One of these rows has this value.
    OneOf(std::ops::Range<u32>, i64),
    /// It is odd, or even.
    Odd(Key, bool),
}

/// What is promised to a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// Asked directly at the server: the truth, against which the model itself is proven.
    Direct,
    /// Linearizable, whoever writes.
    StrictAll(Duration),
    /// Linearizable for what is written through pgweir; what is written around it is seen within the bound.
    Strict(Duration),
    /// A session sees what it has written and never less than it has seen; everything is seen within the bound.
    Session(Duration),
    /// Everything is seen within the bound.
    Bounded(Duration),
    /// The answer is not older than this.
    Ttl(Duration),
}

impl Level {
    /// Its name in rules and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::StrictAll(_) => "strict_all",
            Self::Strict(_) => "strict",
            Self::Session(_) => "session",
            Self::Bounded(_) => "bounded",
            Self::Ttl(_) => "ttl",
        }
    }

    /// The earliest moment that may be shown to a read that begins at `from`. `outside`: some of it is written around pgweir.
    fn earliest(self, from: At, outside: bool) -> At {
        let slack = match self {
            Self::Direct | Self::StrictAll(_) => return from,
            Self::Strict(_) if !outside => return from,
            Self::Strict(bound) | Self::Session(bound) | Self::Bounded(bound) | Self::Ttl(bound) => bound,
        };
        from.saturating_sub(slack.as_nanos() as At + EPSILON)
    }
}

/// A read and its answer.
#[derive(Debug, Clone, Copy)]
pub struct Read<'a> {
    /// What was promised.
    pub level: Level,
    /// Before it was sent.
    pub from: At,
    /// After it was answered.
    pub to: At,
    /// What the answer says.
    pub facts: &'a [Fact],
    /// It says something of what is written around pgweir.
    pub outside: bool,
}

/// What a session has seen and written.
#[derive(Debug, Default)]
pub struct Session {
    /// A moment that it has certainly seen.
    low: At,
    seen: HashMap<Key, i64>,
}

impl Session {
    fn saw(&mut self, key: Key, value: i64) {
        let seen = self.seen.entry(key).or_insert(value);
        *seen = (*seen).max(value);
    }
}

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Wrong {
    /// It was true once, but before the window of its level.
    Stale,
    /// A session saw less than before.
    Backwards,
    /// There is no moment at which all of it was true.
    Torn,
    /// What it shows was not written yet.
    Early,
    /// It shows what was rolled back.
    RolledBack,
    /// It shows what nobody has written.
    Invented,
    /// It is not for who has got it: he may not read it, or means another table.
    Forbidden,
}

/// A wrong answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What is wrong.
    pub wrong: Wrong,
    /// The particulars.
    pub words: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.wrong, self.words)
    }
}

/// An operation that has begun, and may happen.
#[derive(Debug)]
struct Begun {
    at: At,
    /// A row that it may bring into another group before anybody knows with what value.
    moves: Option<Key>,
    wrote: Vec<(Key, i64)>,
}

/// What was checked at a level.
#[derive(Debug, Default, Clone, Copy)]
pub struct Count {
    /// Reads.
    pub reads: u64,
    /// Those that were wrong.
    pub wrong: u64,
}

/// Everything that is known of what was written.
#[derive(Debug, Default)]
pub struct Model {
    registers: HashMap<Key, Register>,
    begun: HashMap<u32, Begun>,
    /// What transactions that were acknowledged have written together.
    together: HashMap<u32, Box<[(Key, i64)]>>,
    /// Rows that operations which have begun may move, and since when.
    moving: HashMap<Key, Vec<(u32, At)>>,
    /// The order in which `together` and the doubtful of `begun` are forgotten.
    remembered: VecDeque<u32>,
    doubtful: VecDeque<u32>,
    /// What was checked, by level.
    pub counts: HashMap<Level, Count>,
    /// The first wrong answers.
    pub violations: Vec<Violation>,
    /// How many there were.
    pub wrong: u64,
}

impl Model {
    /// What is there before anybody does anything.
    pub fn start(&mut self, key: Key, value: i64, group: i64) {
        let register = self.registers.entry(key).or_default();
        register.offer(value, group, 0);
        register.visible(value, 0);
    }

    /// An operation is about to be sent.
    pub fn begin(&mut self, operation: u32, at: At) {
        self.begun.insert(operation, Begun { at, moves: None, wrote: vec![] });
    }

    /// An operation that has begun may move a row, which may be gone from a group before the new value is known.
    pub fn moves(&mut self, operation: u32, key: Key) {
        let begun = self.begun.get_mut(&operation).expect("it has begun");
        begun.moves = Some(key);
        let moving = self.moving.entry(key).or_default();
        // Those in doubt are known after that time, or never.
        moving.retain(|(_, at)| at + HORIZON > begun.at);
        moving.push((operation, begun.at));
    }

    /// An operation is over.
    fn end(&mut self, operation: u32) -> Option<Begun> {
        let begun = self.begun.remove(&operation)?;
        if let Some(moving) = begun.moves.and_then(|key| self.moving.get_mut(&key)) {
            moving.retain(|(other, _)| *other != operation);
        }
        Some(begun)
    }

    /// What an operation that has begun writes, if it happens.
    pub fn offer(&mut self, operation: u32, key: Key, value: i64, group: i64) {
        let begun = self.begun.get_mut(&operation).expect("it has begun");
        begun.wrote.push((key, value));
        self.registers.entry(key).or_default().offer(value, group, begun.at);
    }

    /// It has happened, and this session was told so at that instant.
    pub fn acknowledge(&mut self, operation: u32, at: At, session: &mut Session) {
        let Some(begun) = self.end(operation) else { return };
        for (key, value) in &begun.wrote {
            self.registers.entry(*key).or_default().visible(*value, at);
            session.saw(*key, *value);
        }
        session.low = session.low.max(begun.at);
        if begun.wrote.len() > 1 {
            self.together.insert(operation, begun.wrote.into());
            remember(&mut self.remembered, operation, |old| self.together.remove(&old));
        }
    }

    /// It has certainly not happened.
    pub fn fail(&mut self, operation: u32) {
        let Some(begun) = self.end(operation) else { return };
        for (key, value) in begun.wrote {
            if self.registers.entry(key).or_default().withdraw(value) {
                self.violate(Wrong::RolledBack, format!("{key:?} was seen with {value}, which was undone"));
            }
        }
    }

    /// Nobody knows whether it has happened, or will.
    pub fn doubt(&mut self, operation: u32) {
        if self.begun.contains_key(&operation) {
            remember(&mut self.doubtful, operation, |old| self.begun.remove(&old));
        }
    }

    /// Checks an answer, and takes in what it says.
    pub fn read(&mut self, session: &mut Session, read: &Read<'_>) {
        self.counts.entry(read.level).or_default().reads += 1;
        if let Err(violation) = self.judge(session, read) {
            self.counts.entry(read.level).or_default().wrong += 1;
            let words = format!("{} {}, in answer to {read:?}", read.level.name(), violation.words);
            self.violate(violation.wrong, words);
        }
        self.take_in(session, read);
    }

    /// An answer that is wrong by itself.
    pub fn wrong_answer(&mut self, level: Level, wrong: Wrong, words: String) {
        let count = self.counts.entry(level).or_default();
        count.reads += 1;
        count.wrong += 1;
        self.violate(wrong, format!("{} {words}", level.name()));
    }

    fn violate(&mut self, wrong: Wrong, words: String) {
        self.wrong += 1;
        if self.violations.len() < KEPT {
            self.violations.push(Violation { wrong, words });
        }
    }

    fn judge(&mut self, session: &Session, read: &Read<'_>) -> Result<(), Violation> {
        let mut from = read.level.earliest(read.from, read.outside);
        if let Level::Session(_) = read.level {
            from = from.max(session.low);
            self.check_order(session, read.facts)?;
        }
        let window = Span { from, to: read.to };
        if self.all(read.facts, from)?.iter().any(|moment| moment.and(window).is_some()) {
            return Ok(());
        }
        let moments = self.all(read.facts, 0)?;
        let wrong = match moments.iter().any(|moment| moment.to < from) {
            _ if moments.is_empty() => Wrong::Torn,
            true => Wrong::Stale,
            false => Wrong::Early,
        };
        let words =
            format!("was true at {moments:?}, the window is {window:?} ({:?})", self.told(read.facts));
        Err(Violation { wrong, words })
    }

    /// The moments at which all facts were true. Those before `from` may be missing.
    fn all(&mut self, facts: &[Fact], from: At) -> Result<Vec<Span>, Violation> {
        let mut moments = vec![Span::ALWAYS];
        for fact in facts {
            moments = both(&moments, &joined(self.moments(fact, from)?));
        }
        Ok(moments)
    }

    /// No register is behind what the session has seen of it, be it in the same register or in another one written together with it.
    fn check_order(&self, session: &Session, facts: &[Fact]) -> Result<(), Violation> {
        for fact in facts {
            let Fact::Is(key, value, _) = fact else { continue };
            if let Some(seen) = session.seen.get(key).filter(|seen| *seen > value) {
                let words = format!("{key:?} had {seen} for this session, and now has {value}");
                return Err(Violation { wrong: Wrong::Backwards, words });
            }
        }
        Ok(())
    }

    /// When a fact was true. Those that end before `from` may be missing.
    fn moments(&mut self, fact: &Fact, from: At) -> Result<Vec<Span>, Violation> {
        match fact {
            Fact::Is(key, value, group) => {
                let (span, had) = self.holding(*key, *value)?;
                if had != ANY && *group != ANY && had != *group {
                    return Ok(vec![]);
                }
                Ok(vec![span])
            }
            Fact::Absent(key, group, most) => {
                let mut spans = self.register(*key).when(from, |held| {
                    let other = held.group == ANY || held.group != *group;
                    other || most.is_some_and(|most| held.value <= most)
                });
                let moving = self.moving.get(key).into_iter().flatten();
                spans.extend(moving.map(|(_, at)| Span { from: *at, to: At::MAX }));
                Ok(spans)
            }
            Fact::OneOf(rows, value) => {
                let registers = || rows.clone().filter_map(|row| self.registers.get(&Key::Row(row)));
                let known: Vec<Span> = registers().filter_map(|one| Some(one.get(*value)?.span())).collect();
                if !known.is_empty() {
                    return Ok(known);
                }
                // It may be of a row that has had higher ones since, or of a write under way.
                let mut spans: Vec<Span> =
                    registers().filter_map(|one| Some(one.holding(*value)?.0)).collect();
                match self.writer(*value) {
                    Ok(from) => spans.push(Span { from, to: At::MAX }),
                    Err(violation) if spans.is_empty() => return Err(violation),
                    Err(_) => {}
                }
                Ok(spans)
            }
            Fact::Odd(key, odd) => Ok(self.register(*key).when(from, |held| (held.value & 1 == 1) == *odd)),
        }
    }

    fn register(&mut self, key: Key) -> &mut Register {
        self.registers.entry(key).or_default()
    }

    /// When a register had a value. One that is not known yet is of an operation under way, or in doubt.
    fn holding(&mut self, key: Key, value: i64) -> Result<(Span, i64), Violation> {
        if let Some(found) = self.register(key).holding(value) {
            return Ok(found);
        }
        let begun = self.writer(value)?;
        self.register(key).offer(value, ANY, begun);
        Ok(self.register(key).holding(value).expect("it was just offered"))
    }

    /// When the operation of a value began.
    fn writer(&self, value: i64) -> Result<At, Violation> {
        let operation = value::operation(value);
        if value::doomed(operation) {
            let words = format!("{value} is of operation {operation}, which is undone");
            return Err(Violation { wrong: Wrong::RolledBack, words });
        }
        let words = || format!("{value}, of operation {operation}, is of none that could have written it");
        let begun = self.begun.get(&operation);
        begun.map(|begun| begun.at).ok_or_else(|| Violation { wrong: Wrong::Invented, words: words() })
    }

    /// What was shown was visible when the answer came; the session has seen it, and all that was written with it.
    fn take_in(&mut self, session: &mut Session, read: &Read<'_>) {
        for fact in read.facts {
            let Fact::Is(key, value, _) = fact else { continue };
            let register = self.registers.entry(*key).or_default();
            register.visible(*value, read.to);
            let Some(held) = register.get(*value) else { continue };
            session.low = session.low.max(held.begun);
            session.saw(*key, *value);
            let operation = value::operation(*value);
            let begun = self.begun.get(&operation).map(|begun| &begun.wrote[..]);
            let together = begun.or_else(|| self.together.get(&operation).map(|wrote| &wrote[..]));
            // An older operation that has left its value as the lowest of several did not write with this one.
            let together = together.filter(|wrote| wrote.contains(&(*key, *value)));
            together.unwrap_or_default().iter().for_each(|(key, value)| session.saw(*key, *value));
        }
    }

    /// What is known of the registers of facts, for people.
    fn told(&self, facts: &[Fact]) -> Vec<String> {
        let keys = facts.iter().filter_map(|fact| match fact {
            Fact::Is(key, ..) | Fact::Absent(key, ..) | Fact::Odd(key, _) => Some(key),
            Fact::OneOf(..) => None,
        });
        let latest = |key: &Key| {
            let register = self.registers.get(key)?;
            let latest: Vec<_> = register.held.iter().rev().take(3).rev().collect();
            Some(format!("{key:?}: {latest:?}"))
        };
        keys.filter_map(latest).collect()
    }
}

/// Remembers one more, and forgets the oldest of too many.
fn remember<T>(order: &mut VecDeque<u32>, operation: u32, forget: impl FnOnce(u32) -> T) {
    order.push_back(operation);
    if order.len() > REMEMBERED
        && let Some(oldest) = order.pop_front()
    {
        forget(oldest);
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
