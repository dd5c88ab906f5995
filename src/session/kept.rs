//! Answers that are kept as they pass by, or compared with what is kept.
//!
//! What is to be kept belongs to a cycle (`Verdict::filling`), and goes with it when it is dropped or asked again. From the moment on that the cycle is on its way to a server
//! of a session that had none, all that the client is given up to the next ReadyForQuery is its answer. Anything in it that is not for others ends the keeping.

use std::sync::Arc;
use std::time::Instant;

use super::serve::Session;
use super::shown::Shown;
use crate::cache::cures::{Cure, is_off};
use crate::cache::{Entry, Filling};
use crate::wire::frame::{HEADER, TxStatus, back};

/// What is done with an answer as it comes.
pub(super) enum Passing {
    /// It is kept.
    Kept(Box<Fill>),
    /// It is compared with what is kept, and is not for this session yet.
    Compared(Likeness),
}

/// An answer that is kept as it comes.
pub(super) struct Fill {
    pub(super) filling: Filling,
    pub(super) sent: Instant,
    /// How many rows it may have yet.
    pub(super) rows_left: u64,
    /// The transaction status behind it: that of a session that has nothing but the beginning of a read-only transaction, or not even that.
    pub(super) behind: TxStatus,
    /// How its rows can be told, where that is of use.
    pub(super) shown: Option<Box<Shown>>,
}

/// An answer that is the same, as far as it has come.
pub(super) struct Likeness {
    entry: Arc<Entry>,
    length: usize,
    same: bool,
}

impl Likeness {
    /// Nothing has come yet.
    pub(super) fn to(entry: Arc<Entry>) -> Likeness {
        Likeness { entry, length: 0, same: true }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.same &= self.entry.answer().get(self.length..).is_some_and(|rest| rest.starts_with(bytes));
        self.length += bytes.len();
    }

    /// All of it has come. If it is the same, when what it shows was complete.
    pub(super) fn seen(&self) -> Option<Instant> {
        (self.same && self.length == self.entry.answer().len()).then(|| self.entry.seen())
    }
}

impl Fill {
    /// All of it is there.
    fn keep(mut self) {
        if let Some(shown) = &self.shown {
            shown.tell(&mut self.filling);
        }
        let now = Instant::now();
        // Why it was not kept is counted there.
        let _ = self.filling.finish(now.duration_since(self.sent), now);
    }
}

impl Passing {
    fn push(&mut self, bytes: &[u8]) {
        match self {
            Passing::Kept(fill) => fill.filling.push(bytes),
            Passing::Compared(likeness) => likeness.push(bytes),
        }
    }

    /// A row is next; false: it has more than are kept.
    fn count_row(&mut self) -> bool {
        let Passing::Kept(fill) = self else { return true };
        let left = fill.rows_left.checked_sub(1);
        fill.rows_left = left.unwrap_or(0);
        left.is_some()
    }
}

impl Session {
    /// The cycle whose answer is to be kept is on its way to a server.
    #[inline]
    pub(super) fn begin_fill(&mut self) {
        if let Some(cached) = &mut self.cached {
            let fill = self.verdict.as_mut().and_then(|verdict| verdict.filling.take());
            if fill.is_some() {
                cached.fill = fill.filter(|_| self.server.is_some());
            }
        }
    }

    /// Whether the answer to the cycle at the front is to be kept: it comes from the primary.
    pub(super) fn is_to_be_kept(&self) -> bool {
        self.verdict.as_ref().is_some_and(|verdict| matches!(verdict.filling, Some(Passing::Kept(_))))
    }

    /// A message of an answer, which the client is given as it is.
    #[inline]
    pub(super) fn fill(&mut self, tag: u8, whole: &[u8]) {
        if self.cached.as_ref().is_some_and(|cached| cached.fill.is_some()) {
            self.fill_message(tag, whole);
        }
    }

    /// A row, or its beginning.
    #[inline]
    pub(super) fn fill_row(&mut self, tag: u8, there: &[u8]) {
        let Some(cached) = &mut self.cached else { return };
        let Some(fill) = &mut cached.fill else { return };
        match tag == back::DATA_ROW && fill.count_row() {
            true => fill.push(there),
            false => cached.fill = None,
        }
    }

    /// The rest of a message.
    #[inline]
    pub(super) fn fill_on(&mut self, bytes: &[u8]) {
        if let Some(fill) = self.cached.as_mut().and_then(|cached| cached.fill.as_mut()) {
            fill.push(bytes);
        }
    }

    /// The answer that is coming is not kept.
    #[inline]
    pub(super) fn fill_no_more(&mut self) {
        self.cached.iter_mut().for_each(|cached| cached.fill = None);
    }

    fn fill_message(&mut self, tag: u8, whole: &[u8]) {
        let Some(cached) = &mut self.cached else { return };
        let Some(fill) = &mut cached.fill else { return };
        match tag {
            back::PARSE_COMPLETE | back::BIND_COMPLETE | back::CLOSE_COMPLETE => return,
            back::ROW_DESCRIPTION | back::PARAMETER_DESCRIPTION | back::COMMAND_COMPLETE => {
                return fill.push(whole);
            }
            back::READY_FOR_QUERY => {
                let status = whole.get(HEADER).map(|byte| TxStatus::from_byte(*byte));
                if let Some(Passing::Kept(fill)) = cached.fill.take()
                    && (status == Some(fill.behind) || is_off(Cure::Batch))
                {
                    fill.keep();
                }
            }
            // An error, a notice, news of a setting: not for others.
            _ => {}
        }
        cached.fill = None;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cache::{Form, Gate, KeyBuffer, Limits, Lookup, Needs, Parts, Relation, Store, Tags};
    use crate::level::{Caching, OnStreamLoss};

    /// An entry with this answer.
    fn entry(answer: &[u8]) -> Arc<Entry> {
        let (second, size) = (Duration::from_secs(1), 1 << 20);
        let limits =
            Limits { size, entry: 4096, filling: size, followers: 1, wait: second, second_use: false };
        let store = Store::new(Arc::new(Tags::new(1024)), limits);
        let now = Instant::now();
        let gate = Gate {
            level: Caching::Session,
            now,
            fresh_as_of: Some(now),
            definitions_hold: true,
            floor: None,
            bound: second,
            ttl: second,
            swr: second,
            on_stream_loss: OnStreamLoss::Bypass,
        };
        let (database, user, settings, types, bind) = (0, b"", b"", b"", b"");
        let parts = Parts { database, form: Form::Simple, user, settings, sql: b"select 1", types, bind };
        let mut needs = Needs::default();
        needs.begin(0);
        needs.any_row(Relation { database: 0, oid: 1 });
        let mut buffer = KeyBuffer::default();
        let key = buffer.key(&parts).expect("a short key");
        let Lookup::Fill(mut filling) = store.lookup(&key, &gate, || Some(&needs)) else {
            panic!("nothing is kept yet")
        };
        filling.push(answer);
        filling.finish(second, now + second).expect("it is kept")
    }

    #[test]
    fn only_the_same_answer_shows_nothing_new() {
        let entry = entry(b"one two");
        let check = |parts: &[&[u8]], same: bool| {
            let mut likeness = Likeness::to(entry.clone());
            parts.iter().for_each(|part| likeness.push(part));
            assert_eq!(likeness.seen(), same.then(|| entry.seen()), "{parts:?}");
        };
        check(&[b"one two"], true);
        check(&[b"one", b"", b" two"], true);
        check(&[], false);
        check(&[b"one"], false);
        check(&[b"one two", b" "], false);
        check(&[b"one", b" too"], false);
        check(&[b"two", b" two"], false);
        check(&[b"one two three", b""], false);
    }
}
