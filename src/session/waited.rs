//! A read that waits for a replica to come to what its session has seen, and what is left of its time then.
//!
//! `statement_timeout` begins when a server has the statement, so what a read has waited here would come on top of that. Where it is known what
//! the statement may take, by the session's own setting or by a rule, a wait takes at most half of it, and whoever answers the read, replica or primary,
//! gets the rest: on the server as a limit of this one statement, as those of rules are (`timing`). In a transaction it is told by SET LOCAL, and taken
//! back when the statement has ended.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::route::Step;
use super::serve::Session;
use super::timing::{NAME, in_milliseconds};
use crate::pool::exchange::Note;
use crate::pool::state::quote_literal;
use crate::runtime::cluster::Nodes;
use crate::wire::frame::TxStatus;

/// A wait that has taken less than this part of what the statement may take is not counted: to tell the server costs a statement more.
const COUNTED: u32 = 100;

/// A read waits for replicas to catch up.
pub(super) struct Wait {
    since: Instant,
    until: Instant,
    /// What its statement may take, in milliseconds; 0: as long as it takes.
    allowed: u32,
    /// News of the nodes, or the end of the wait; `None` once they have come.
    news: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl Wait {
    /// One that begins now and lasts for as long as `patience`, of a statement that may take so many milliseconds.
    pub(super) fn new(now: Instant, patience: Duration, allowed: u32) -> Wait {
        Wait { since: now, until: now + cut(patience, allowed), allowed, news: None }
    }

    /// Waits for news of the nodes. `None`: it is over.
    pub(super) fn go_on(mut self, nodes: &Rc<Nodes>, now: Instant) -> Option<Wait> {
        if now >= self.until {
            return None;
        }
        let (nodes, until) = (nodes.clone(), self.until);
        self.news = Some(Box::pin(async move {
            let _ = crate::timer::timeout_at(until, nodes.changed()).await;
        }));
        Some(self)
    }

    /// Whether the news come now for which it waits.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        let come = self.news.as_mut().is_some_and(|news| news.as_mut().poll(cx) == Poll::Ready(()));
        if come {
            self.news = None;
        }
        come
    }

    /// They have not come.
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.news.is_some()
    }

    /// What the statement may take yet, in milliseconds; 0: all that it might before.
    pub(super) fn rest(&self, now: Instant) -> u32 {
        let waited = now.saturating_duration_since(self.since).as_millis();
        let waited = u32::try_from(waited).unwrap_or(u32::MAX);
        match self.allowed {
            0 => 0,
            allowed if waited < allowed.div_ceil(COUNTED) => 0,
            allowed => allowed.saturating_sub(waited).max(1),
        }
    }
}

/// How long a statement waits that may take so many milliseconds, where the settings allow `patience`: so much is left that a read which
/// is not slow is answered by the primary.
pub(super) fn cut(patience: Duration, allowed: u32) -> Duration {
    match allowed {
        0 => patience,
        allowed => patience.min(Duration::from_millis(allowed.into()) / 2),
    }
}

/// The less of two limits in milliseconds, of which 0 is none.
pub(super) fn least(one: u32, other: u32) -> u32 {
    if one == 0 || other == 0 { one.max(other) } else { one.min(other) }
}

impl Session {
    /// What the session itself allows each of its statements, in milliseconds; 0: it does not say.
    pub(super) fn time_of_its_own(&self) -> u32 {
        self.state.settings().get(NAME).and_then(|own| in_milliseconds(own)).unwrap_or(0)
    }

    /// What the statement at the front may take, as far as is known here, in milliseconds; 0: nothing bounds it.
    pub(super) fn time_allowed(&self) -> u32 {
        let needs = self.verdict.as_ref().and_then(|verdict| verdict.needs.as_ref());
        least(self.time_of_its_own(), needs.map_or(0, |needs| needs.timeout))
    }

    /// What is left to a read that has waited, outside of transactions; in milliseconds, 0: it has not waited, or not for long.
    pub(super) fn rest_of_cycle(&self) -> u32 {
        self.route.as_ref().map_or(0, |route| route.rest)
    }

    /// A server was leased on which less time is in force than the session's own: nothing else may run under that.
    pub(super) fn is_short_of_time(&mut self) {
        self.one_by_one |= self.rest_of_cycle() > 0;
    }

    /// The same in a transaction that has begun on it.
    pub(super) fn tell_rest(&mut self) {
        let rest = self.rest_of_cycle();
        self.is_short_of_time();
        if let Some(server) = self.server.as_mut().filter(|_| rest > 0) {
            server.ask(format!("SET LOCAL statement_timeout = {rest}").as_bytes(), Note::None);
        }
    }

    /// A cycle was answered that ran by itself. If its read was short of time, what comes next is not.
    pub(super) fn has_time_again(&mut self) {
        let (Some(route), Some(server)) = (&mut self.route, &mut self.server) else { return };
        if std::mem::take(&mut route.rest) == 0 {
            return;
        }
        match server.tx {
            TxStatus::Open => {
                let mut sql = b"SET LOCAL statement_timeout = ".to_vec();
                match self.state.settings().get(NAME) {
                    Some(own) => quote_literal(&mut sql, own),
                    // What the role or the database has is not known here.
                    None => sql.extend_from_slice(b"DEFAULT"),
                }
                server.ask(&sql, Note::None);
            }
            // What was local goes with the transaction.
            TxStatus::Failed => {}
            TxStatus::Idle if matches!(route.step, Step::Open) => route.step = Step::Over,
            TxStatus::Idle => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_leaves_time_to_answer() {
        let [short, long] = [10, 10_000].map(Duration::from_millis);
        assert_eq!([cut(short, 0), cut(long, 0)], [short, long]);
        assert_eq!([cut(short, 1000), cut(long, 1000)], [short, Duration::from_millis(500)]);
        assert_eq!(cut(long, 1), Duration::from_micros(500));
    }

    #[test]
    fn what_was_waited_is_a_part_of_what_is_allowed() {
        let now = Instant::now();
        let rest = |allowed, waited| {
            Wait::new(now, Duration::from_secs(60), allowed).rest(now + Duration::from_millis(waited))
        };
        assert_eq!([rest(0, 5), rest(1000, 0), rest(1000, 9)], [0, 0, 0], "nothing that counts");
        assert_eq!([rest(1000, 10), rest(1000, 400), rest(30_000, 300)], [990, 600, 29_700]);
        assert_eq!([rest(20, 0), rest(20, 1)], [0, 19]);
        assert_eq!([rest(1000, 1000), rest(1000, u64::from(u32::MAX) * 2)], [1, 1], "never without a limit");
    }

    #[test]
    fn the_least_that_is_a_limit() {
        assert_eq!([least(0, 0), least(5, 0), least(0, 5), least(5, 3), least(3, 5)], [0, 5, 5, 3, 3]);
    }
}
