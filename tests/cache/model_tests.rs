//! Histories by hand, good ones and bad ones for each check.

use super::*;

const STRICT: Level = Level::Strict(Duration::from_millis(500));
const SESSION: Level = Level::Session(Duration::from_millis(500));
const BOUNDED: Level = Level::Bounded(Duration::from_millis(200));
const TTL: Level = Level::Ttl(Duration::from_millis(300));
const MS: At = 1_000_000;

/// A history in milliseconds. Rows 1 and 2 are there from the beginning, in group 0.
struct History {
    model: Model,
    next: u32,
}

impl History {
    fn new() -> History {
        let mut model = Model::default();
        for row in 0..4 {
            model.start(Key::Row(row), 0, 0);
        }
        History { model, next: 0 }
    }

    fn operation(&mut self, begun: At) -> u32 {
        self.next += 2;
        self.model.begin(self.next, begun * MS);
        self.next
    }

    /// Writes these rows; gives their new values.
    fn write(&mut self, rows: &[u32], begun: At, acknowledged: At) -> Vec<i64> {
        self.write_by(&mut Session::default(), rows, begun, acknowledged)
    }

    fn write_by(&mut self, session: &mut Session, rows: &[u32], begun: At, acknowledged: At) -> Vec<i64> {
        let operation = self.operation(begun);
        let values = self.offer(operation, rows);
        self.model.acknowledge(operation, acknowledged * MS, session);
        values
    }

    fn offer(&mut self, operation: u32, rows: &[u32]) -> Vec<i64> {
        let write = |row: &u32| {
            let last = self.model.registers[&Key::Row(*row)].held.back().map_or(0, |held| held.value);
            let new = value::after(last, operation);
            self.model.offer(operation, Key::Row(*row), new, 0);
            new
        };
        rows.iter().map(write).collect()
    }

    fn read(&mut self, session: &mut Session, level: Level, span: (At, At), facts: &[Fact]) -> Option<Wrong> {
        let before = self.model.violations.len();
        let read = Read { level, from: span.0 * MS, to: span.1 * MS, facts, outside: false };
        self.model.read(session, &read);
        self.model.violations.get(before).map(|violation| violation.wrong)
    }

    fn sees(&mut self, level: Level, span: (At, At), facts: &[Fact]) -> Option<Wrong> {
        self.read(&mut Session::default(), level, span, facts)
    }
}

fn is(row: u32, value: i64) -> Fact {
    Fact::Is(Key::Row(row), value, ANY)
}

#[test]
fn strict_sees_what_was_acknowledged_before_it_began() {
    let mut history = History::new();
    let new = history.write(&[1], 10, 20)[0];
    assert_eq!(history.sees(STRICT, (21, 22), &[is(1, new)]), None);
    assert_eq!(history.sees(STRICT, (21, 23), &[is(1, 0)]), Some(Wrong::Stale));
    // While it is written, either; but not before.
    let mut history = History::new();
    let new = history.write(&[1], 10, 20)[0];
    assert_eq!(history.sees(STRICT, (12, 19), &[is(1, 0)]), None);
    assert_eq!(history.sees(STRICT, (5, 9), &[is(1, new)]), Some(Wrong::Early));
    assert_eq!(history.sees(STRICT, (5, 11), &[is(1, new)]), None);
}

#[test]
fn strict_never_goes_back_whoever_reads() {
    for (from, wrong) in [(13, None), (15, Some(Wrong::Stale))] {
        let mut history = History::new();
        let writing = history.operation(10);
        let new = history.offer(writing, &[1])[0];
        assert_eq!(history.sees(STRICT, (12, 14), &[is(1, new)]), None);
        // Another session, which began before that one had its answer or after.
        assert_eq!(history.sees(STRICT, (from, 16), &[is(1, 0)]), wrong, "{from}");
    }
}

#[test]
fn what_is_written_around_is_seen_within_the_bound() {
    for (from, wrong) in [(560, None), (600, Some(Wrong::Stale))] {
        let mut history = History::new();
        history.write(&[1], 10, 20);
        let read = Read { level: STRICT, from: from * MS, to: 700 * MS, facts: &[is(1, 0)], outside: true };
        history.model.read(&mut Session::default(), &read);
        assert_eq!(history.model.violations.first().map(|violation| violation.wrong), wrong, "{from}");
    }
}

#[test]
fn a_bound_and_an_age_end() {
    for (level, last) in [(BOUNDED, 270), (TTL, 370), (SESSION, 570)] {
        let mut history = History::new();
        history.write(&[1], 10, 20);
        assert_eq!(history.sees(level, (last - 1, last), &[is(1, 0)]), None, "{level:?}");
        assert_eq!(history.sees(level, (last + 1, last + 2), &[is(1, 0)]), Some(Wrong::Stale), "{level:?}");
    }
}

#[test]
fn a_session_sees_its_own_writes() {
    let (mut history, mut session) = (History::new(), Session::default());
    let new = history.write_by(&mut session, &[1], 10, 20)[0];
    assert_eq!(history.sees(SESSION, (21, 22), &[is(1, 0)]), None, "another one may wait");
    assert_eq!(history.read(&mut session, SESSION, (23, 24), &[is(1, 0)]), Some(Wrong::Backwards));
    assert_eq!(history.read(&mut session, SESSION, (25, 26), &[is(1, new)]), None);
    assert_eq!(history.read(&mut session, BOUNDED, (27, 28), &[is(1, 0)]), None, "it was promised less");
}

#[test]
fn a_session_does_not_go_back() {
    let (mut history, mut session) = (History::new(), Session::default());
    let new = history.write(&[1], 10, 20)[0];
    assert_eq!(history.read(&mut session, SESSION, (21, 22), &[is(1, new)]), None);
    assert_eq!(history.read(&mut session, SESSION, (23, 24), &[is(1, 0)]), Some(Wrong::Backwards));
}

#[test]
fn who_saw_one_row_of_a_transaction_sees_the_others() {
    for acknowledged in [true, false] {
        let (mut history, mut session) = (History::new(), Session::default());
        let operation = history.operation(10);
        let new = history.offer(operation, &[1, 2]);
        if acknowledged {
            history.model.acknowledge(operation, 20 * MS, &mut Session::default());
        }
        assert_eq!(history.read(&mut session, SESSION, (15, 16), &[is(2, 0)]), None);
        assert_eq!(history.read(&mut session, SESSION, (17, 18), &[is(1, new[0])]), None);
        assert_eq!(history.read(&mut session, SESSION, (19, 20), &[is(2, 0)]), Some(Wrong::Backwards));
        assert_eq!(history.read(&mut session, SESSION, (21, 22), &[is(2, new[1])]), None);
    }
}

#[test]
fn who_saw_a_write_sees_what_was_acknowledged_before_that_began() {
    let (mut history, mut session) = (History::new(), Session::default());
    history.write(&[1], 10, 20);
    let later = history.write(&[2], 30, 40)[0];
    assert_eq!(history.read(&mut session, SESSION, (41, 42), &[is(1, 0)]), None);
    assert_eq!(history.read(&mut session, SESSION, (43, 44), &[is(2, later)]), None);
    assert_eq!(history.read(&mut session, SESSION, (45, 46), &[is(1, 0)]), Some(Wrong::Stale));
}

#[test]
fn the_rows_of_an_answer_are_of_one_moment() {
    let mut history = History::new();
    let one = history.write(&[1], 10, 20)[0];
    let two = history.write(&[2], 30, 40)[0];
    // Whoever sees the later write sees the earlier one, however loose the level.
    assert_eq!(history.sees(TTL, (41, 42), &[is(1, 0), is(2, two)]), Some(Wrong::Torn));
    assert_eq!(history.sees(TTL, (41, 42), &[is(1, one), is(2, 0)]), None);
    assert_eq!(history.sees(TTL, (41, 42), &[is(1, 0), is(2, 0)]), None);
}

#[test]
fn the_rows_of_a_transaction_come_together() {
    let mut history = History::new();
    let new = history.write(&[1, 2], 10, 20);
    // While it is acknowledged, nobody knows; later it is certain.
    assert_eq!(history.sees(TTL, (41, 42), &[is(1, 0), is(2, 0)]), None);
    let next = history.write(&[1], 50, 60)[0];
    assert_eq!(history.sees(TTL, (61, 62), &[is(1, next), is(2, 0)]), Some(Wrong::Torn));
    assert_eq!(history.sees(TTL, (61, 62), &[is(1, next), is(2, new[1])]), None);
}

#[test]
fn what_is_undone_is_never_seen() {
    let mut history = History::new();
    assert_eq!(history.sees(TTL, (1, 2), &[is(1, value::after(0, 7))]), Some(Wrong::RolledBack));
    // One that failed, seen before it was known, and after.
    let operation = history.operation(10);
    let value = history.offer(operation, &[1])[0];
    assert_eq!(history.sees(TTL, (11, 12), &[is(1, value)]), None);
    history.model.fail(operation);
    let last = history.model.violations.last().map(|violation| violation.wrong);
    assert_eq!(last, Some(Wrong::RolledBack));
    assert_eq!(history.sees(TTL, (13, 14), &[is(1, value)]), Some(Wrong::Invented));
}

#[test]
fn what_nobody_wrote_is_found() {
    let mut history = History::new();
    assert_eq!(history.sees(TTL, (1, 2), &[is(1, value::after(0, 44))]), Some(Wrong::Invented));
}

#[test]
fn a_write_in_doubt_may_happen_or_not_but_not_both() {
    let mut history = History::new();
    let operation = history.operation(10);
    history.model.doubt(operation);
    let value = value::after(0, operation);
    assert_eq!(history.sees(STRICT, (30, 31), &[is(1, 0)]), None);
    assert_eq!(history.sees(STRICT, (40, 41), &[is(1, value)]), None);
    assert_eq!(history.sees(STRICT, (50, 51), &[is(1, 0)]), Some(Wrong::Stale));
}

#[test]
fn rows_that_are_not_shown_say_something() {
    let mut history = History::new();
    // Row 1 goes to group 1.
    let operation = history.operation(10);
    let moved = value::after(0, operation);
    history.model.offer(operation, Key::Row(1), moved, 1);
    history.model.acknowledge(operation, 20 * MS, &mut Session::default());
    let absent = |group, most| Fact::Absent(Key::Row(1), group, most);
    assert_eq!(history.sees(STRICT, (21, 22), &[absent(0, None)]), None);
    assert_eq!(history.sees(STRICT, (21, 22), &[absent(1, None)]), Some(Wrong::Stale));
    assert_eq!(history.sees(STRICT, (21, 22), &[Fact::Is(Key::Row(1), moved, 0)]), Some(Wrong::Torn));
    // Below the last one shown of a group.
    assert_eq!(history.sees(STRICT, (21, 22), &[absent(1, Some(moved))]), None);
    assert_eq!(history.sees(STRICT, (21, 22), &[absent(1, Some(moved - 1))]), Some(Wrong::Stale));
    // Another row that was written later is shown with it: it was not in both groups, nor in none.
    let other = history.write(&[2], 30, 40)[0];
    assert_eq!(history.sees(TTL, (41, 42), &[absent(1, None), is(2, other)]), Some(Wrong::Torn));
}

#[test]
fn a_row_that_is_moved_may_be_gone_before_anybody_knows_where_it_is() {
    let mut history = History::new();
    let absent = [Fact::Absent(Key::Row(1), 0, None)];
    let operation = history.operation(10);
    assert_eq!(history.sees(STRICT, (12, 13), &absent), Some(Wrong::Torn));
    history.model.moves(operation, Key::Row(1));
    assert_eq!(history.sees(STRICT, (14, 15), &absent), None);
    assert_eq!(history.sees(STRICT, (5, 9), &absent), Some(Wrong::Early));
    history.model.fail(operation);
    assert_eq!(history.sees(STRICT, (16, 17), &absent), Some(Wrong::Torn));
}

#[test]
fn the_highest_value_is_that_of_one_row() {
    let mut history = History::new();
    let new = history.write(&[1], 10, 20)[0];
    assert_eq!(history.sees(STRICT, (21, 22), &[Fact::OneOf(0..4, new)]), None);
    let next = history.write(&[1], 30, 40)[0];
    assert_eq!(history.sees(STRICT, (41, 42), &[Fact::OneOf(0..4, new)]), Some(Wrong::Stale));
    assert_eq!(history.sees(STRICT, (25, 29), &[Fact::OneOf(0..4, next)]), Some(Wrong::Early));
    assert_eq!(history.sees(STRICT, (41, 42), &[Fact::OneOf(2..4, 66)]), Some(Wrong::Invented));
}

#[test]
fn a_right_that_was_taken_is_gone() {
    let mut history = History::new();
    history.model.start(Key::Right, 0, ANY);
    let operation = history.operation(10);
    history.model.offer(operation, Key::Right, 1, ANY);
    history.model.acknowledge(operation, 20 * MS, &mut Session::default());
    for (span, odd, wrong) in [
        ((12, 13), false, None),
        ((12, 13), true, None),
        ((21, 22), true, None),
        ((21, 22), false, Some(Wrong::Stale)),
        ((5, 6), true, Some(Wrong::Early)),
    ] {
        assert_eq!(history.sees(STRICT, span, &[Fact::Odd(Key::Right, odd)]), wrong, "{span:?} {odd}");
    }
}

#[test]
fn memory_is_bounded_and_what_is_forgotten_is_old() {
    let mut history = History::new();
    for n in 0..40_000_u64 {
        history.write(&[1, 2], n * 2, n * 2 + 1);
    }
    let kept = history.model.registers[&Key::Row(1)].held.len() as u64;
    assert!(kept * 2 <= HORIZON / MS + 4, "{kept}");
    assert!(history.model.together.len() <= REMEMBERED && history.model.begun.is_empty());
    assert_eq!(history.sees(STRICT, (80_001, 80_002), &[is(1, 0)]), Some(Wrong::Stale));
    assert_eq!(history.sees(SESSION, (80_001, 80_002), &[is(1, 0)]), Some(Wrong::Stale));
    for _ in 0..REMEMBERED + 10 {
        let operation = history.operation(80_000);
        history.model.doubt(operation);
    }
    assert_eq!(history.model.begun.len(), REMEMBERED);
}

#[test]
fn values_are_in_order_whatever_the_order_in_which_they_are_told() {
    let mut register = Register::default();
    for (value, begun) in [(0, 0), (30, 30), (10, 10), (20, 20)] {
        register.offer(value, ANY, begun);
    }
    register.visible(20, 25);
    register.visible(10, 40);
    register.visible(30, 35);
    let spans: Vec<_> = register.held.iter().map(|held| (held.value, held.begun, held.until)).collect();
    assert_eq!(spans, [(0, 0, 25), (10, 10, 25), (20, 20, 35), (30, 30, At::MAX)]);
    register.offer(15, ANY, 15);
    assert_eq!(register.holding(15).map(|found| found.0.to), Some(25));
}

#[test]
fn a_direct_read_is_the_truth() {
    let mut history = History::new();
    history.write(&[1], 10, 20);
    let read = Read { level: Level::Direct, from: 21 * MS, to: 22 * MS, facts: &[is(1, 0)], outside: true };
    history.model.read(&mut Session::default(), &read);
    assert_eq!(history.model.counts[&Level::Direct].wrong, 1);
}

#[test]
fn the_highest_value_may_be_of_a_write_of_which_nobody_was_told() {
    let mut history = History::new();
    for n in 0..6 {
        history.write(&[1], 1 + 10 * n, 2 + 10 * n);
    }
    // What row 1 had is forgotten, and was higher.
    history.write(&[1], 40_000, 40_001);
    let operation = history.operation(41_000);
    let fact = Fact::OneOf(0..4, value::after(0, operation));
    let mut session = Session::default();
    assert_eq!(
        history.read(&mut session, Level::Direct, (41_001, 41_002), std::slice::from_ref(&fact)),
        None
    );
    let never = Fact::OneOf(2..4, value::after(0, operation + 100));
    assert_eq!(history.read(&mut session, Level::Direct, (41_001, 41_002), &[never]), Some(Wrong::Invented));
}
