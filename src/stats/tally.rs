//! What is counted of one statement's shape, for one user, database and application.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use super::histogram::Histogram;
use super::samples::Reservoir;

/// The clocks of a statement, in this order everywhere: it waits for a server of the pool; the server works until its first row, or to the
/// end where there is none; rows stream; the client takes the last of them; all of these together.
pub const CLOCKS: [&str; 5] = ["wait", "first", "stream", "drain", "total"];
/// Where the clock of all stands in [`CLOCKS`].
pub const TOTAL: usize = 4;

/// Where a statement was answered, in the order of [`SERVED`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// By the primary, or by whatever server the database leads to.
    Primary,
    /// By a replica.
    Replica,
    /// By the result cache. No clock runs.
    Cache,
    /// By pgweir itself, without a server. No clock runs.
    Pgweir,
}

/// Names of [`Served`].
pub const SERVED: [&str; 4] = ["primary", "replica", "cache", "pgweir"];

/// Who sends statements.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Who {
    /// The database, as clients name it.
    pub database: String,
    /// The user, as clients name it.
    pub user: String,
    /// `application_name`.
    pub application: String,
}

/// One statement that was answered.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// Where.
    pub served: Served,
    /// Rows given or changed.
    pub rows: u64,
    /// Bytes of the answer.
    pub bytes: u64,
    /// The first two characters of the SQLSTATE with which it failed.
    pub error: Option<[u8; 2]>,
    /// What the [`CLOCKS`] said, in microseconds; `None` where none ran.
    pub times: Option<[u64; 5]>,
}

/// What was counted, of statements of one shape.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sums {
    /// Statements answered, in an error or not.
    pub calls: u64,
    /// Those of them for which the clocks ran.
    pub timed: u64,
    /// Rows given or changed.
    pub rows: u64,
    /// Bytes of the answers.
    pub bytes: u64,
    /// Where they were answered, by [`SERVED`].
    pub served: [u64; SERVED.len()],
    /// Microseconds, by [`CLOCKS`].
    pub micros: [u64; CLOCKS.len()],
    /// The longest in all, in microseconds.
    pub longest: u64,
    /// Times that are not zero, by [`CLOCKS`].
    pub times: [Histogram; CLOCKS.len()],
    /// Errors by class of SQLSTATE.
    pub errors: Vec<([u8; 2], u64)>,
    /// How they come in transactions.
    pub habits: Habits,
}

/// From so many of one shape in a transaction on, that looks like a loop.
pub const LOOP: u64 = 10;

/// How statements of a shape come in transaction blocks. Several of them in one batch count once: they take one round trip.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Habits {
    /// Transaction blocks that had any.
    pub blocks: u64,
    /// Statements in them.
    pub inside: u64,
    /// The most that one had.
    pub most: u64,
    /// Blocks that had [`LOOP`] or more.
    pub loops: u64,
    /// Statements in those.
    pub looped: u64,
    /// What came behind them in their blocks.
    pub rests: Rests,
    /// The blocks that began with one of them, as wholes.
    pub begun: Begun,
}

/// Times in which a block was open on a server and nothing was asked, behind statements of a shape.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rests {
    /// How many.
    pub count: u64,
    /// All together, in microseconds.
    pub micros: u64,
    /// The longest, in microseconds.
    pub longest: u64,
}

/// Transaction blocks, counted at the first of their statements that asks for something. Times are in microseconds, of the time that they had a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Begun {
    /// How many.
    pub count: u64,
    /// Statements in them.
    pub statements: u64,
    /// Round trips: how often a client had its answers and asked again.
    pub trips: u64,
    /// Statements of shapes that came [`LOOP`] times or more in a block.
    pub looped: u64,
    /// How long they were open.
    pub micros: u64,
    /// How much of that nothing was asked.
    pub idle: u64,
}

impl Habits {
    /// Of one block that had so many.
    pub fn of_block(statements: u64) -> Habits {
        let looped = if statements >= LOOP { statements } else { 0 };
        let loops = u64::from(looped > 0);
        Habits { blocks: 1, inside: statements, most: statements, loops, looped, ..Habits::default() }
    }

    /// Counts what others have counted.
    pub fn merge(&mut self, other: &Habits) {
        self.blocks += other.blocks;
        self.inside += other.inside;
        self.most = self.most.max(other.most);
        self.loops += other.loops;
        self.looped += other.looped;
        self.rests.merge(&other.rests);
        self.begun.merge(&other.begun);
    }
}

impl Rests {
    /// Counts one, in microseconds.
    #[inline]
    pub fn add(&mut self, micros: u64) {
        self.merge(&Rests { count: 1, micros, longest: micros });
    }

    /// Counts what others have counted.
    #[inline]
    pub fn merge(&mut self, other: &Rests) {
        self.count += other.count;
        self.micros += other.micros;
        self.longest = self.longest.max(other.longest);
    }
}

impl Begun {
    /// Counts what others have counted.
    pub fn merge(&mut self, other: &Begun) {
        self.count += other.count;
        self.statements += other.statements;
        self.trips += other.trips;
        self.looped += other.looped;
        self.micros += other.micros;
        self.idle += other.idle;
    }
}

impl Sums {
    /// Whether nothing was counted.
    pub fn is_nothing(&self) -> bool {
        self.calls == 0 && self.habits.blocks == 0
    }

    /// Counts an answer.
    #[inline]
    pub fn add(&mut self, answer: &Answer) {
        self.calls += 1;
        self.rows += answer.rows;
        self.bytes += answer.bytes;
        self.served[answer.served as usize] += 1;
        if let Some(times) = &answer.times {
            self.timed += 1;
            self.longest = self.longest.max(times[TOTAL]);
            for (clock, micros) in times.iter().enumerate() {
                self.micros[clock] += micros;
                self.times[clock].add(*micros);
            }
        }
        if let Some(class) = answer.error {
            self.failed(class, 1);
        }
    }

    /// Counts errors of a class.
    pub fn failed(&mut self, class: [u8; 2], count: u64) {
        match self.errors.iter_mut().find(|(known, _)| *known == class) {
            Some((_, known)) => *known += count,
            None => self.errors.push((class, count)),
        }
    }

    /// Counts what others have counted.
    pub fn merge(&mut self, other: &Sums) {
        self.calls += other.calls;
        self.timed += other.timed;
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.served.iter_mut().zip(other.served).for_each(|(mine, other)| *mine += other);
        self.micros.iter_mut().zip(other.micros).for_each(|(mine, other)| *mine += other);
        self.longest = self.longest.max(other.longest);
        self.times.iter_mut().zip(&other.times).for_each(|(mine, other)| mine.merge(other));
        other.errors.iter().for_each(|(class, count)| self.failed(*class, *count));
        self.habits.merge(&other.habits);
    }

    /// Statements that failed.
    pub fn failures(&self) -> u64 {
        self.errors.iter().map(|(_, count)| count).sum()
    }

    /// What this share of its statements did not exceed by a clock, in microseconds. `None`: no clock ran.
    pub fn quantile(&self, clock: usize, share: f64) -> Option<u64> {
        // The middle of the last step may lie beyond what there was.
        self.times[clock].quantile(share, self.timed).map(|micros| micros.min(self.longest))
    }
}

/// One shape of one [`Who`], counted by one worker.
#[derive(Debug)]
pub struct Tally {
    /// Who sends it.
    pub who: Arc<Who>,
    /// Another number for another [`Who`] of the worker.
    pub number: u64,
    /// The fingerprint; 0: all shapes that have no tally of their own.
    pub fingerprint: u128,
    /// The shape: no literal is in it.
    pub text: Arc<str>,
    /// It is in no table any more: what is counted now is seen by nobody before it is put back.
    pub gone: Cell<bool>,
    /// What was counted since it was last collected.
    pub sums: RefCell<Sums>,
    /// What else is found out of some of its statements; `None`: nothing is.
    pub closer: RefCell<Option<Box<Closer>>>,
    /// What 95 % of its statements did not exceed lately, in microseconds; 0: that is not known.
    pub usual: Cell<u64>,
    /// From how many microseconds on a rule calls it slow; 0: none does.
    pub slow_from: Cell<u64>,
}

/// What is found out of some statements of a shape.
#[derive(Debug, Clone, Default)]
pub struct Closer {
    /// Some of them, with their values.
    pub samples: Reservoir,
    /// Where callers say that they send them from, and how often.
    pub callers: Callers,
}

/// So many callers are counted by name.
const CALLERS: usize = 8;

/// Where callers say that they send statements from, and how often, about.
///
/// Of a name that is new where there are as many as can be, the one seen least often makes room, and its count goes on as that of the new one: what
/// comes often is there, and counted at least as often as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Callers(pub Vec<(Box<str>, u64)>);

impl Callers {
    /// Counts so many statements of a caller.
    pub fn add(&mut self, caller: &str, calls: u64) {
        if let Some((_, count)) = self.0.iter_mut().find(|(known, _)| **known == *caller) {
            *count += calls;
        } else if self.0.len() < CALLERS {
            self.0.push((caller.into(), calls));
        } else if let Some(least) = self.0.iter_mut().min_by_key(|(_, count)| *count) {
            *least = (caller.into(), least.1 + calls);
        }
    }

    /// Counts what others have counted.
    pub fn merge(&mut self, other: &Callers) {
        other.0.iter().for_each(|(caller, calls)| self.add(caller, *calls));
    }
}

impl Tally {
    /// Nothing is counted yet.
    pub fn new(who: Arc<Who>, number: u64, fingerprint: u128, text: Arc<str>) -> Rc<Tally> {
        Rc::new(Tally {
            who,
            number,
            fingerprint,
            text,
            gone: Cell::new(false),
            sums: RefCell::default(),
            closer: RefCell::default(),
            usual: Cell::new(0),
            slow_from: Cell::new(0),
        })
    }
}

/// What was collected of a tally, on its way to another thread.
#[derive(Debug, Clone)]
pub struct Taken {
    /// Who sends it.
    pub who: Arc<Who>,
    /// As in the [`Tally`].
    pub number: u64,
    /// The fingerprint; 0: all shapes that have no tally of their own.
    pub fingerprint: u128,
    /// The shape.
    pub text: Arc<str>,
    /// What was counted.
    pub sums: Sums,
    /// What was found out of some of them.
    pub closer: Option<Box<Closer>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_add_up_and_clocks_run_for_those_that_a_server_gave() {
        let mut sums = Sums::default();
        let server = Answer {
            served: Served::Replica,
            rows: 2,
            bytes: 100,
            error: None,
            times: Some([0, 900, 100, 0, 1000]),
        };
        sums.add(&server);
        sums.add(&Answer { error: Some(*b"23"), times: Some([5000, 1000, 0, 0, 6000]), ..server });
        sums.add(&Answer { served: Served::Cache, times: None, ..server });
        assert_eq!((sums.calls, sums.timed, sums.rows, sums.bytes), (3, 2, 6, 300));
        assert_eq!((sums.served, sums.micros), ([0, 2, 1, 0], [5000, 1900, 100, 0, 7000]));
        assert_eq!((sums.longest, sums.failures(), sums.errors[0]), (6000, 1, (*b"23", 1)));
        assert_eq!((sums.quantile(3, 1.0), sums.quantile(TOTAL, 1.0)), (Some(0), Some(5632)));
        let once = sums.clone();
        sums.merge(&once);
        assert_eq!((sums.calls, sums.errors[0].1, sums.times[TOTAL].len()), (6, 2, 4));
        assert_eq!(sums.quantile(TOTAL, 0.5), once.quantile(TOTAL, 0.5));
    }

    #[test]
    fn blocks_and_loops_are_told_apart() {
        let mut habits = Habits::default();
        [1, 9, 10, 214].into_iter().for_each(|statements| habits.merge(&Habits::of_block(statements)));
        let expected =
            Habits { blocks: 4, inside: 234, most: 214, loops: 2, looped: 224, ..Habits::default() };
        assert_eq!(habits, expected);
        [30, 10].into_iter().for_each(|micros| habits.rests.add(micros));
        assert_eq!(habits.rests, Rests { count: 2, micros: 40, longest: 30 });
    }

    #[test]
    fn callers_that_come_often_are_there() {
        let mut callers = Callers::default();
        for n in 0..1000 {
            callers.add(&format!("route=r{n}"), 1);
            callers.add("route=often", 1);
        }
        assert_eq!(callers.0.len(), CALLERS);
        let often = callers.0.iter().find(|(name, _)| **name == *"route=often").map(|(_, calls)| *calls);
        assert!(often.is_some_and(|calls| (990..1200).contains(&calls)), "{callers:?}");
    }
}
