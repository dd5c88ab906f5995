//! What a session has sent in the transaction block that is open, and how long nothing was asked in it.
//!
//! A block is counted from the first answer that leaves it open: one whose BEGIN is held back has no server, holds nobody up, and has not begun.
//! Times are made of those that are read anyway, when a message is written behind a pause and at ReadyForQuery; only a session that ends in a block
//! reads the clock for it. Answers that were asked for before the one in front of them was there are one round trip.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::serve::Session;
use crate::stats::tally::{Begun, Habits, LOOP, Rests, Tally};
use crate::wire::frame::TxStatus;

/// So many shapes are counted in one transaction block.
const SHAPES: usize = 32;
/// Words that statements begin with which ask for nothing: they prepare what comes.
const PRELUDES: [&str; 5] = ["begin", "start", "set", "savepoint", "show"];

/// What was sent in the transaction block that is open.
#[derive(Default)]
pub(super) struct Block {
    shapes: Vec<Shape>,
    /// How many statements.
    statements: u32,
    /// The number of the cycle that is under way.
    cycle: u32,
    /// The place of the statement that ended last; one beyond all, where that is not counted by itself.
    last: u32,
    /// Since when it is open, and when the server's transaction began by the server's own clock, which tells it from the next.
    began: Option<(Instant, Option<Instant>)>,
    /// Since when nothing is asked, and behind the statement at which place.
    rested: Option<(Instant, u32)>,
    trips: u32,
    idle: Duration,
}

/// A shape in a block.
struct Shape {
    tally: Rc<Tally>,
    /// How often it came, batches once.
    count: u32,
    /// The cycle that had the last of it.
    cycle: u32,
    rests: Rests,
}

/// The end of a cycle, as its server has it.
struct End {
    now: Instant,
    /// When the first message that was not answered yet was written.
    asked: Option<Instant>,
    /// When the transaction began.
    transaction: Option<Instant>,
    open: bool,
}

impl Block {
    /// A statement has ended, and the block is open.
    #[inline]
    fn note(&mut self, tally: &Rc<Tally>) {
        self.statements = self.statements.saturating_add(1);
        let (cycle, room) = (self.cycle, self.shapes.len() < SHAPES);
        let known = self.shapes.iter().position(|shape| Rc::ptr_eq(&shape.tally, tally));
        self.last = known.unwrap_or(self.shapes.len()) as u32;
        match known.and_then(|at| self.shapes.get_mut(at)) {
            // Those of one batch take one round trip.
            Some(shape) if shape.cycle == cycle => {}
            Some(shape) => (shape.count, shape.cycle) = (shape.count + 1, cycle),
            None if room => {
                let rests = Rests::default();
                self.shapes.push(Shape { tally: tally.clone(), count: 1, cycle, rests });
            }
            None => {}
        }
    }

    /// A cycle has ended, and its statements are noted.
    #[inline]
    fn cycle_ended(&mut self, end: &End) {
        let asked = end.asked.unwrap_or(end.now);
        match self.rested {
            Some((rested, behind)) if asked > rested => {
                self.trips += 1;
                self.rest(asked - rested, behind);
            }
            Some(_) => {}
            None => {
                self.trips = 1;
                self.began = Some((asked, end.transaction));
            }
        }
        self.rested = Some((end.now, self.last));
    }

    /// Nothing was asked for this long, behind the statement at this place.
    fn rest(&mut self, time: Duration, behind: u32) {
        self.idle += time;
        if let Some(shape) = self.shapes.get_mut(behind as usize) {
            shape.rests.add(micros(time));
        }
    }

    /// It is over at this time: counts all of it.
    fn end(&mut self, until: Option<Instant>, mut count: impl FnMut(&Rc<Tally>, &Habits)) {
        let begun = until.map(|until| self.begun(until)).unwrap_or_default();
        let asks = |shape: &Shape| !is_prelude(&shape.tally.text);
        let first = self.shapes.iter().position(asks).unwrap_or(0);
        for (at, shape) in self.shapes.drain(..).enumerate() {
            let mut habits = Habits { rests: shape.rests, ..Habits::of_block(shape.count.into()) };
            if at == first {
                habits.begun = begun;
            }
            count(&shape.tally, &habits);
        }
        let shapes = std::mem::take(&mut self.shapes);
        *self = Block { shapes, cycle: self.cycle, ..Block::default() };
    }

    fn begun(&self, until: Instant) -> Begun {
        let Some((began, _)) = self.began else { return Begun::default() };
        let counts = self.shapes.iter().map(|shape| u64::from(shape.count));
        Begun {
            count: 1,
            statements: self.statements.into(),
            trips: self.trips.into(),
            looped: counts.filter(|count| *count >= LOOP).sum(),
            micros: micros(until.saturating_duration_since(began)),
            idle: micros(self.idle),
        }
    }
}

/// Whether a statement asks for nothing by itself.
fn is_prelude(text: &str) -> bool {
    let word = text.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    PRELUDES.iter().any(|prelude| prelude.eq_ignore_ascii_case(word)) && !text.contains(';')
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Session {
    /// A statement has ended; the how many-th it is in its transaction block, 0 where none is open.
    #[inline]
    pub(super) fn note_in_block(&mut self, tally: &Rc<Tally>) -> u32 {
        let open = self.server.as_ref().is_some_and(|server| server.tx != TxStatus::Idle);
        let Some(capture) = self.capture.as_mut().filter(|_| open) else { return 0 };
        capture.block.note(tally);
        capture.block.statements
    }

    /// A cycle has ended, and with it the block, if none is open any more.
    #[inline]
    pub(super) fn note_cycle_in_block(&mut self, now: Instant) {
        let end = self.server.as_ref().map(|server| {
            let (asked, transaction) = (server.clock.exchange, server.clock.transaction);
            End { now, asked, transaction, open: server.tx != TxStatus::Idle }
        });
        let end = end.unwrap_or(End { now, asked: None, transaction: None, open: false });
        let Some(capture) = &mut self.capture else { return };
        let block = &mut capture.block;
        block.cycle = block.cycle.wrapping_add(1);
        if !end.open && block.shapes.is_empty() && block.began.is_none() {
            return;
        }
        if block.began.is_some_and(|(_, transaction)| transaction != end.transaction) {
            // The one before was lost with its server: nobody knows when.
            block.end(None, |tally, habits| self.worker.digests.count_block(tally, habits));
        }
        block.cycle_ended(&end);
        if !end.open {
            block.end(Some(now), |tally, habits| self.worker.digests.count_block(tally, habits));
        }
    }

    /// The session is over, and with it the transaction block.
    pub(super) fn end_block(&mut self) {
        let Some(capture) = &mut self.capture else { return };
        let block = &mut capture.block;
        let mut until = None;
        if let Some((rested, behind)) = block.rested {
            let now = Instant::now();
            block.rest(now.saturating_duration_since(rested), behind);
            until = Some(now);
        }
        block.end(until, |tally, habits| self.worker.digests.count_block(tally, habits));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::stats::tally::Who;

    fn tally(text: &str) -> Rc<Tally> {
        Tally::new(Arc::new(Who::default()), 1, 1, text.into())
    }

    /// Cycles of a block: when they were asked and answered, in milliseconds, and their statements.
    fn counted(cycles: &[(u64, u64, &[&Rc<Tally>])]) -> Vec<(String, Habits)> {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut block = Block::default();
        for (place, (asked, now, statements)) in cycles.iter().enumerate() {
            let open = place + 1 < cycles.len();
            statements.iter().filter(|_| open).for_each(|tally| block.note(tally));
            let end = End { now: at(*now), asked: Some(at(*asked)), transaction: Some(at(0)), open };
            block.cycle += 1;
            block.cycle_ended(&end);
        }
        let mut all = vec![];
        let last = cycles.last().map(|(_, now, _)| at(*now));
        block.end(last, |tally, habits| all.push((tally.text.to_string(), *habits)));
        assert!(block.shapes.is_empty() && block.began.is_none() && block.rested.is_none());
        all
    }

    #[test]
    fn pauses_are_counted_behind_statements_and_wholes_at_the_first_that_asks() {
        let [begin, one, two] = ["begin", "select $1", "update t"].map(tally);
        let found = counted(&[
            (0, 1, &[&begin]),
            (5, 7, &[&one]),
            (1007, 1010, &[&two]),
            (1030, 1031, &[&one]),
            (1033, 1040, &[]),
        ]);
        let rests = |count, millis: u64, longest: u64| Rests {
            count,
            micros: millis * 1000,
            longest: longest * 1000,
        };
        let wholes = Begun {
            count: 1,
            statements: 4,
            trips: 5,
            looped: 0,
            micros: 1_040_000,
            idle: (4 + 1000 + 20 + 2) * 1000,
        };
        let of = |statements, rests, begun| Habits { rests, begun, ..Habits::of_block(statements) };
        let expected = [
            ("begin".to_owned(), of(1, rests(1, 4, 4), Begun::default())),
            ("select $1".to_owned(), of(2, rests(2, 1002, 1000), wholes)),
            ("update t".to_owned(), of(1, rests(1, 20, 20), Begun::default())),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_asked_ahead_is_no_round_trip_and_loops_are_told() {
        let one = tally("select $1");
        let begun = counted(&[(0, 1, &[&one]), (0, 2, &[&one]), (0, 3, &[])])[0].1.begun;
        assert_eq!((begun.trips, begun.idle, begun.micros, begun.looped), (1, 0, 3000, 0));
        let statements = [&one];
        let mut looped: Vec<(u64, u64, &[&Rc<Tally>])> =
            (0..LOOP).map(|n| (n * 2, n * 2 + 1, &statements[..])).collect();
        looped.push((100, 101, &[]));
        assert_eq!(counted(&looped)[0].1.begun.looped, LOOP);
    }

    #[test]
    fn preludes_ask_for_nothing() {
        for text in ["begin", "START TRANSACTION", "set local x = $1", "savepoint a", "BEGIN isolation"] {
            assert!(is_prelude(text), "{text}");
        }
        for text in ["select $1", "begin; select $1", "settle", "", "beginning"] {
            assert!(!is_prelude(text), "{text}");
        }
    }
}
