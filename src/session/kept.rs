//! Answers that are kept as they pass by.
//!
//! What is to be kept belongs to a cycle (`Verdict::filling`), and goes with it when it is dropped or asked again. From the moment on that the cycle is on its way to a server
//! of a session that had none, all that the client is given up to the next ReadyForQuery is its answer. Anything in it that is not for others ends the keeping.

use std::time::Instant;

use super::serve::Session;
use super::shown::Shown;
use crate::cache::Filling;
use crate::cache::cures::{Cure, is_off};
use crate::wire::frame::{HEADER, TxStatus, back};

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
        self.verdict.as_ref().is_some_and(|verdict| verdict.filling.is_some())
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
        match fill.rows_left.checked_sub(1).filter(|_| tag == back::DATA_ROW) {
            Some(left) => {
                fill.rows_left = left;
                fill.filling.push(there);
            }
            None => cached.fill = None,
        }
    }

    /// The rest of a message.
    #[inline]
    pub(super) fn fill_on(&mut self, bytes: &[u8]) {
        if let Some(fill) = self.cached.as_mut().and_then(|cached| cached.fill.as_mut()) {
            fill.filling.push(bytes);
        }
    }

    /// The answer that is coming is not kept.
    #[inline]
    pub(super) fn fill_no_more(&mut self) {
        self.cached.iter_mut().for_each(|cached| cached.fill = None);
    }

    fn fill_message(&mut self, tag: u8, whole: &[u8]) {
        let Some(cached) = &mut self.cached else { return };
        let Some(mut fill) = cached.fill.take() else { return };
        match tag {
            back::PARSE_COMPLETE | back::BIND_COMPLETE | back::CLOSE_COMPLETE => {}
            back::ROW_DESCRIPTION | back::PARAMETER_DESCRIPTION | back::COMMAND_COMPLETE => {
                fill.filling.push(whole);
            }
            back::READY_FOR_QUERY => {
                let is_as_before = |byte: &u8| TxStatus::from_byte(*byte) == fill.behind;
                if whole.get(HEADER).is_some_and(is_as_before) || is_off(Cure::Batch) {
                    let rows = fill.shown.as_ref().and_then(|shown| shown.rows(fill.filling.answer()));
                    rows.into_iter().for_each(|rows| fill.filling.told_by_rows(rows));
                    let now = Instant::now();
                    // Why it was not kept is counted there.
                    let _ = fill.filling.finish(now.duration_since(fill.sent), now);
                }
                return;
            }
            // An error, a notice, news of a setting: not for others.
            _ => return,
        }
        cached.fill = Some(fill);
    }
}
