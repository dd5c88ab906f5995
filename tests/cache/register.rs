//! Registers, and the moments at which their values can have been the visible ones.

use std::collections::VecDeque;

use super::model::{ANY, At};

/// How long superseded values are told apart.
pub const HORIZON: At = 15_000_000_000;

/// Moments from the first to the last, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub from: At,
    pub to: At,
}

impl Span {
    pub const ALWAYS: Span = Span { from: 0, to: At::MAX };

    pub fn and(self, other: Span) -> Option<Span> {
        let both = Span { from: self.from.max(other.from), to: self.to.min(other.to) };
        (both.from <= both.to).then_some(both)
    }
}

/// A value of a register.
#[derive(Debug)]
pub struct Held {
    pub value: i64,
    pub group: i64,
    /// The write began: it was not visible before.
    pub begun: At,
    /// It was acknowledged, or seen: it was visible since then at the latest. [`At::MAX`]: neither.
    pub visible: At,
    /// The earliest `visible` of all values above it: it cannot be the visible one after that. Never falls from one value to the next.
    pub until: At,
}

impl Held {
    pub fn span(&self) -> Span {
        Span { from: self.begun, to: self.until }
    }
}

/// The values of a register in their order.
#[derive(Debug, Default)]
pub struct Register {
    pub held: VecDeque<Held>,
    /// The highest value that is told apart no more, and until when those can have been visible.
    pub forgotten: Option<(i64, At)>,
}

impl Register {
    /// A write that may become visible. Told twice, the second time may know the group.
    pub fn offer(&mut self, value: i64, group: i64, begun: At) {
        let place = self.held.partition_point(|held| held.value < value);
        match self.held.get_mut(place) {
            Some(held) if held.value == value => {
                if group != ANY {
                    held.group = group;
                }
            }
            next => {
                let until = next.map_or(At::MAX, |next| next.until.min(next.visible));
                self.held.insert(place, Held { value, group, begun, visible: At::MAX, until });
            }
        }
    }

    /// It was visible at that instant, so those below it are not visible later.
    pub fn visible(&mut self, value: i64, at: At) {
        let place = self.held.partition_point(|held| held.value < value);
        let Some(held) = self.held.get_mut(place).filter(|held| held.value == value) else { return };
        held.visible = held.visible.min(at);
        for below in self.held.range_mut(..place).rev() {
            if below.until <= at {
                break;
            }
            below.until = at;
        }
        self.forget(at.saturating_sub(HORIZON));
    }

    /// It never happened; gives whether somebody has seen it all the same.
    pub fn withdraw(&mut self, value: i64) -> bool {
        let place = self.held.iter().position(|held| held.value == value);
        place.and_then(|place| self.held.remove(place)).is_some_and(|held| held.visible != At::MAX)
    }

    pub fn forget(&mut self, before: At) {
        while self.held.front().is_some_and(|held| held.until < before) {
            let Some(gone) = self.held.pop_front() else { return };
            let until = self.forgotten.map_or(gone.until, |(_, until)| until.max(gone.until));
            self.forgotten = Some((gone.value, until));
        }
    }

    pub fn get(&self, value: i64) -> Option<&Held> {
        let place = self.held.partition_point(|held| held.value < value);
        self.held.get(place).filter(|held| held.value == value)
    }

    /// When a value was the visible one, if it is known, and the group that it had then.
    pub fn holding(&self, value: i64) -> Option<(Span, i64)> {
        match (self.get(value), self.forgotten) {
            (Some(held), _) => Some((held.span(), held.group)),
            (None, Some((last, until))) if value <= last => Some((Span { from: 0, to: until }, ANY)),
            _ => None,
        }
    }

    /// When the visible value was one of those for which the question holds; only what reaches beyond `from`.
    pub fn when(&self, from: At, holds: impl Fn(&Held) -> bool) -> Vec<Span> {
        let recent = self.held.iter().rev().take_while(|held| held.until >= from);
        let mut spans: Vec<Span> = recent.filter(|held| holds(held)).map(Held::span).collect();
        spans.extend(self.forgotten.map(|(_, until)| Span { from: 0, to: until }));
        spans
    }
}

/// The same moments in the fewest spans, in their order.
pub fn joined(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by_key(|span| span.from);
    spans.dedup_by(|next, last| {
        let touches = next.from <= last.to;
        if touches {
            last.to = last.to.max(next.to);
        }
        touches
    });
    spans
}

/// Moments that are in both.
pub fn both(one: &[Span], other: &[Span]) -> Vec<Span> {
    one.iter().flat_map(|a| other.iter().filter_map(|b| a.and(*b))).collect()
}
