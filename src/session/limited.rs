//! `max_rows`: a statement that answers more rows than a rule allows fails, and its server is stopped.
//!
//! The rows that are allowed have gone to the client by then, as those of any statement that fails on its way. The server is cancelled, and what it
//! still says of the statement is dropped. It may come to its end before the cancel does: then its transaction is made to fail, as
//! the client was told. So only what leaves nothing behind is limited, or what stands in a transaction.

use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::time::Duration;

use tokio::time::Sleep;

use super::relay::Verdict;
use super::serve::Session;
use crate::plan::Profile;
use crate::pool::Server;
use crate::pool::exchange::{Expect, Kind, Note};
use crate::pool::reach::cancel;
use crate::pool::server::Shared;
use crate::pool::terms::{Row, Rows};
use crate::rules::Decided;
use crate::sql::{self, Effects, Verb, words_against_reading};
use crate::timer::sleep;
use crate::wire::frame::{Frame, HEADER, TxStatus, back, front};
use crate::wire::{Fault, emit};

/// How long a server may go on with a statement that was cancelled.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many rows a statement may answer.
pub(super) struct Limit {
    most: u64,
    fault: Box<[u8]>,
}

/// A server that was told to stop.
pub(super) struct Stopping {
    server: Rc<Shared>,
    until: Pin<Box<Sleep>>,
}

impl Limit {
    /// For one statement, none counted yet.
    pub(super) fn rows(&self) -> Rows {
        Rows::new(self.most, self.fault.clone())
    }
}

impl Session {
    /// The limit on the rows of a statement, if it is one that can be stopped without harm: it reads only, as far as its words
    /// go, or copies what such a statement reads, or its transaction can be made to fail.
    pub(super) fn limit(&self, most: &Decided<'_, u64>, text: &[u8], profile: &Profile) -> Option<Limit> {
        if !profile.seems_read() && !self.can_be_undone(text) {
            return None;
        }
        let text =
            format!("more than {} rows, which is what rule \"{}\" allows", most.action, most.rule.name());
        let fault = Fault::error("54000", text).hint("Add a LIMIT, or read less at a time.");
        Some(Limit { most: *most.action, fault: fault.frame().into() })
    }

    fn can_be_undone(&self, text: &[u8]) -> bool {
        let summary = sql::summarize(text, self.dialect);
        let [one] = summary.statements.as_slice() else { return false };
        let copies = one.verb == Verb::Copy && words_against_reading(text, self.dialect).is_none();
        copies || self.is_in_transaction() && !summary.effects.contains(Effects::COMMIT)
    }

    /// An execution with a limit was sent, and `rest` stands behind it. But for the end of the batch that waits for the answer: it is to be
    /// skipped if there are too many rows.
    pub(super) fn hold_behind_rows(&mut self, rest: &[u8]) {
        self.one_by_one = true;
        let ends = matches!(Frame::peek(rest), Ok(Some(frame)) if frame.tag == front::SYNC);
        self.carried.holds = !ends;
        if let (false, Some(server)) = (ends, &mut self.server) {
            emit::empty(&mut server.out, front::FLUSH);
        }
    }

    /// The client's next message waits: for rows that are counted, or until a server has stopped.
    #[inline]
    pub(super) fn waits_for_rows(&self) -> bool {
        let limited = |server: &Server| {
            let counts = |expect: &Expect| expect.kind == Kind::Execute && rows(expect).is_some();
            server.expects.iter().any(counts)
        };
        self.carried.stopping.is_some() || self.carried.holds && self.server.as_deref().is_some_and(limited)
    }

    /// A row of a statement with terms: is it one too many? The first that is has the server stopped.
    pub(super) fn is_one_too_many(&mut self, tag: u8) -> bool {
        let front = self.server.as_ref().and_then(|server| server.expects.front());
        let Some(rows) = front.and_then(rows) else { return false };
        match rows.count(tag == back::COPY_DATA) {
            Row::Within => return false,
            Row::First => self.stop_server(),
            Row::Beyond => {}
        }
        true
    }

    fn stop_server(&mut self) {
        let Some(server) = &self.server else { return };
        self.pool.stats().error("54000");
        let (pool, server, waker) =
            (server.pool().clone(), server.shared.clone(), self.handle.waker.borrow().clone());
        server.follow.send_away();
        server.cancels.set(server.cancels.get() + 1);
        self.carried.stopping = Some(Stopping { server: server.clone(), until: Box::pin(sleep(PATIENCE)) });
        tokio::task::spawn_local(async move {
            cancel(&server).await;
            server.cancels.set(server.cancels.get() - 1);
            if server.cancels.get() == 0 {
                pool.unpark();
            }
            waker.wake();
        });
    }

    /// Goes on where a server has stopped, and the cancel has arrived: it must not hit what comes next.
    pub(super) fn poll_stopping(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(stopping) = &mut self.carried.stopping else { return false };
        let at_work = |server: &Server| server.expects.iter().filter_map(rows).any(Rows::is_over);
        let runs = self.server.as_deref().is_some_and(at_work);
        if self.server.is_some() && (runs || stopping.server.cancels.get() > 0) {
            let late = stopping.until.as_mut().poll(cx).is_ready();
            if late {
                self.carried.stopping = None;
                let text = "a statement with too many rows could not be stopped";
                self.fatal(&Fault::fatal("54000", text));
            }
            return late;
        }
        self.carried.stopping = None;
        self.close_exchange();
        true
    }

    /// What the server says of a statement that had too many rows is not for the client, who is told of these instead.
    pub(super) fn beyond_rows(&mut self, tag: u8, whole: &[u8]) -> Option<Verdict> {
        let front = self.server.as_ref()?.expects.front()?;
        let rows = rows(front).filter(|rows| rows.is_over())?;
        let fault = rows.fault.clone();
        match (tag, front.kind) {
            (back::COPY_DONE, _) => Some(Verdict::Swallow),
            (back::COMMAND_COMPLETE, Kind::Query) => {
                rows.end();
                Some(Verdict::Replace(fault))
            }
            (back::COMMAND_COMPLETE | back::PORTAL_SUSPENDED, Kind::Execute) => {
                Some(self.ends_beyond_rows(fault))
            }
            (back::READY_FOR_QUERY, _) if rows.has_ended() => {
                let open = whole.get(HEADER).is_some_and(|byte| TxStatus::from_byte(*byte) == TxStatus::Open);
                open.then(|| self.fail_behind_rows(whole))
            }
            _ => None,
        }
    }

    /// An execution has ended in spite of its rows. What stands behind it in its batch has waited; only the end of that may be sent already.
    fn ends_beyond_rows(&mut self, fault: Box<[u8]>) -> Verdict {
        let terms = self.server.as_mut().and_then(|server| server.expects.front_mut()?.terms.take());
        self.done();
        let Some(server) = &mut self.server else { return Verdict::Swallow };
        if let Some(sync) = server.expects.front_mut().filter(|next| next.kind == Kind::Sync) {
            terms.iter().filter_map(|terms| terms.rows.as_ref()).for_each(Rows::end);
            sync.terms = terms;
            return Verdict::Replace(fault);
        }
        self.fail_here(fault);
        self.server.iter_mut().for_each(|server| emit::empty(&mut server.out, front::FLUSH));
        Verdict::Swallow
    }

    /// The statement has ended well in a transaction that has to fail with it.
    fn fail_behind_rows(&mut self, ready: &[u8]) -> Verdict {
        self.ready(ready);
        let Some(server) = &mut self.server else { return Verdict::Swallow };
        emit::query(&mut server.out, b"refused by pgweir");
        server.unnamed = 0;
        server.expect(Expect::noted(Kind::Query, Note::Blame(Box::default())));
        Verdict::Swallow
    }
}

fn rows(expect: &Expect) -> Option<&Rows> {
    expect.terms.as_ref()?.rows.as_ref()
}
