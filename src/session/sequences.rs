//! `currval` and `lastval`: a session is answered with its own values, or with PostgreSQL's own error.
//!
//! Their values are in the memory of a server process. A server that comes to a session from other hands is made to forget
//! (`DISCARD SEQUENCES`, in the same write), so what it says later is what this session's transactions got there. A session
//! that asks for what an earlier transaction got keeps its server from then on. See `docs/design/session-state.md`.

use memchr::memmem;

use super::extended::run_in_batch;
use super::serve::Session;
use crate::config::settings::{PinPolicy, PoolMode};
use crate::pool::exchange::{Expect, Kind, Note};

const FORGET: &[u8] = b"DISCARD SEQUENCES";

impl Session {
    /// The server of the last transaction, where sessions of this pool may want it again.
    pub(super) fn server_again(&self) -> Option<u64> {
        self.pool.asking.is_known().then_some(self.last_server)
    }

    /// A server was leased. Gives whether it has to forget.
    pub(super) fn enter_server(&mut self) -> bool {
        let Some(server) = &mut self.server else { return false };
        let foreign = server.sequences.enter(self.number, self.last_server);
        self.last_server = server.sequences.server;
        foreign && self.pool.asking.is_watched()
    }

    /// The statement about to be sent asks for what sequences gave to this session.
    pub(super) fn asks_sequences(&mut self, text: &[u8]) {
        self.pool.asking.note();
        let Some(server) = &self.server else { return };
        if server.sequences.foreign {
            self.forget_sequences();
        }
        let pinning = self.mode != PoolMode::Session && self.pool.target().pool.pins == PinPolicy::Pin;
        if pinning && !self.has_begun() && asks_for_earlier(text) {
            self.pin("sequence");
        }
    }

    pub(super) fn forget_sequences(&mut self) {
        let Some(server) = &mut self.server else { return };
        server.sequences.foreign = false;
        if self.batch_open {
            return run_in_batch(server, FORGET, Note::Sequences);
        }
        server.ask(FORGET, Note::Sequences);
    }

    /// Whether the client's transaction has sent anything before.
    fn has_begun(&self) -> bool {
        let runs = |kind: Kind| matches!(kind, Kind::Query | Kind::Execute | Kind::Function);
        let under_way = |expect: &Expect| !expect.ours && runs(expect.kind);
        self.server
            .as_deref()
            .is_some_and(|server| server.clock.transaction.is_some() || server.expects.iter().any(under_way))
    }
}

/// Whether a text asks for values that it does not make itself, by a call or a statement before.
fn asks_for_earlier(text: &[u8]) -> bool {
    let text = text.to_ascii_lowercase();
    let first = ["currval", "lastval"].iter().filter_map(|word| memmem::find(&text, word.as_bytes())).min();
    let Some(first) = first else { return false };
    let says =
        |text: &[u8], words: &[&str]| words.iter().any(|word| memmem::find(text, word.as_bytes()).is_some());
    let statements_before = memchr::memrchr(b';', &text[..first]).unwrap_or(0);
    !says(&text[..first], &["nextval", "setval"])
        && !says(&text[..statements_before], &["insert", "copy", "merge", "call"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, earlier: bool) {
        assert_eq!(asks_for_earlier(text.as_bytes()), earlier, "{text}");
    }

    #[test]
    fn texts_that_make_their_own_values_ask_for_no_earlier_ones() {
        check("select lastval()", true);
        check("INSERT INTO u VALUES (currval('s'))", true);
        check("select 1; select lastval(); insert into t default values", true);
        check("select nextval('s'), CURRVAL('s')", false);
        check("insert into t default values; select lastval()", false);
        check("select add_user('x')", false);
    }
}
