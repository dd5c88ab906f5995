//! How long rules let statements run: the server is told, by `statement_timeout`, in the same write as the statement.
//!
//! A cycle that is one statement outside of transactions gets it as the session's settings are brought to a server: when it is leased, in
//! the same text, and it stays there until somebody else wants another. In a transaction, or in a batch with others, it is local to the
//! transaction, and what was in force before is put aside in a setting of pgweir's own. The server takes the least of what the rule says, what the
//! session has set, and its own default, which nobody else knows. What it says when the time is over is PostgreSQL's own.

use super::extended::run_in_batch;
use super::serve::Session;
use super::upstream::Flow;
use crate::pool::Server;
use crate::pool::exchange::Note;
use crate::pool::server::UNKNOWN_LIMIT;
use crate::pool::state::{Settings, quote_literal};
use crate::sql::{Dialect, Effects, Verb, plain_verb, summarize};
use crate::wire::frame::{Frame, HEADER, TxStatus, front};

/// The setting.
pub(super) const NAME: &[u8] = b"statement_timeout";
/// The longest that it takes, in milliseconds.
const MOST: u128 = i32::MAX as u128;
/// So often it is tried to take such a one away.
const TRIES: u8 = 5;
/// A shorter one may strike while it is taken away again, in milliseconds.
const SHORT: u32 = 1000;

/// What was in force in the transaction before a rule's limit was, if that is.
macro_rules! own {
    () => {
        "CASE WHEN pg_catalog.current_setting('_pgweir.limited', true) OPERATOR(pg_catalog.<>) '' \
         THEN pg_catalog.current_setting('_pgweir.limited', true) ELSE pg_catalog.current_setting('statement_timeout') END"
    };
}

/// Puts that back.
const RESTORE: &str = concat!(
    "SELECT pg_catalog.set_config('statement_timeout', ",
    own!(),
    ", true), pg_catalog.set_config('_pgweir.limited', '', true)"
);

/// The least of that and the rule's (`MS`) takes its place, and it is put aside.
const LIMIT: &str = concat!(
    "SELECT pg_catalog.set_config('_pgweir.limited', own, true), \
     pg_catalog.set_config('statement_timeout', CASE WHEN own OPERATOR(pg_catalog.=) '0' \
     OR own::pg_catalog.interval OPERATOR(pg_catalog.>) 'MS ms'::pg_catalog.interval THEN 'MS' ELSE own END, true) \
     FROM (SELECT ",
    own!(),
    " AS own) AS before"
);

/// The least of what is in force and the rule's, until somebody changes it.
const LIMIT_SESSION: &str = "SELECT pg_catalog.set_config('statement_timeout', 'MS', false) \
 FROM pg_catalog.current_setting('statement_timeout') AS own WHERE own OPERATOR(pg_catalog.=) '0' \
 OR own::pg_catalog.interval OPERATOR(pg_catalog.>) 'MS ms'::pg_catalog.interval;";

/// What a rule allows a text to run, in milliseconds, at least one. 0: what begins or ends transactions, or changes settings, is not
/// limited: it does not run, and what it sets must not be mistaken for ours.
pub(super) fn milliseconds(timeout: std::time::Duration, text: &[u8], dialect: Dialect) -> u32 {
    let limited = !dialect.is_wide() && plain_verb(text).is_some() || is_limited(text, dialect);
    let ms = timeout.as_micros().div_ceil(1000).clamp(1, MOST);
    if limited { ms as u32 } else { 0 }
}

fn is_limited(text: &[u8], dialect: Dialect) -> bool {
    const NOT: Effects = Effects::SETTING
        .union(Effects::SET_LOCAL)
        .union(Effects::BEGIN)
        .union(Effects::COMMIT)
        .union(Effects::ROLLBACK)
        .union(Effects::SAVEPOINT)
        .union(Effects::DISCARD);
    let summary = summarize(text, dialect);
    let says = |verb: Verb| {
        matches!(verb, Verb::Show | Verb::Listen | Verb::Unlisten | Verb::Prepare | Verb::Deallocate)
    };
    !summary.effects.intersects(NOT) && !summary.statements.iter().all(|one| says(one.verb))
}

impl Session {
    /// What is to be in force on a server that is leased for the message at the front. Only where that is the beginning of a cycle that is one
    /// statement: nothing else runs under it. To a read that has waited for a replica, it is what that has left.
    pub(super) fn limit_of_cycle(&self) -> u32 {
        let rest = self.rest_of_cycle();
        if rest > 0 {
            return if self.batch_open || self.is_in_transaction() { 0 } else { rest };
        }
        let Some(verdict) = self.verdict.as_ref().filter(|verdict| verdict.is_alone()) else { return 0 };
        let timeout = verdict.needs.as_ref().map_or(0, |needs| needs.timeout);
        if timeout == 0 || self.batch_open || self.is_in_transaction() {
            return 0;
        }
        // What the session has set is known when nothing is under way that sets it.
        let quiet = |server: &Server| server.expects.iter().all(|expect| expect.ours);
        let known = self.asked.is_none() && self.server.as_deref().is_none_or(quiet);
        if known && self.has_own_limit(timeout) { 0 } else { timeout }
    }

    /// Whether the session itself has set a limit that is no longer than this, in milliseconds.
    pub(super) fn has_own_limit(&self, timeout: u32) -> bool {
        let own = self.state.settings().get(NAME).and_then(|own| in_milliseconds(own));
        own.is_some_and(|own| own <= timeout)
    }

    /// Brings the limit of the message at the front to the server in hand, and takes away that of others. Gives why it does not go on yet.
    pub(super) fn keep_time(&mut self, frame: Frame, bytes: &[u8]) -> Option<Flow> {
        self.pace.iter_mut().for_each(|pace| (pace.drains, pace.lifts) = (false, false));
        let needs = self.verdict.as_ref().and_then(|verdict| verdict.needs.as_ref());
        let timeout = needs.map_or(0, |needs| needs.timeout);
        let timed = timeout == 0 || needs.is_some_and(|needs| needs.timed);
        let Some(server) = &self.server else {
            self.pace.iter_mut().for_each(|pace| pace.local = false);
            if !timed && self.held_begin.is_some() {
                // In its transaction, which begins on the server.
                self.want_server(None);
                return Some(Flow::Later);
            }
            return None;
        };
        let local = self.pace.as_ref().is_some_and(|pace| pace.local);
        // What goes with messages that ran before goes on as it is: data of a COPY above all.
        let goes_with = matches!(
            frame.tag,
            front::SYNC
                | front::FLUSH
                | front::TERMINATE
                | front::COPY_DATA
                | front::COPY_DONE
                | front::COPY_FAIL
        );
        if goes_with || timed && !local && server.limit == 0 || server.tx == TxStatus::Failed {
            return None;
        }
        let (limit, cycle) = (server.limit, self.limit_of_cycle());
        let between = !self.batch_open && !self.is_in_transaction();
        let alone = self.verdict.as_ref().is_some_and(|verdict| verdict.is_alone());
        if between && limit != cycle {
            return self.change_limit(cycle);
        }
        match (between, timed) {
            (true, false) if alone => {
                self.is_timed();
                None
            }
            (_, false) => self.limit_in_transaction(frame, timeout),
            (_, true) => {
                self.restore_in_transaction(frame, bytes, timeout);
                None
            }
        }
    }

    fn is_timed(&mut self) {
        let needs = self.verdict.as_mut().and_then(|verdict| verdict.needs.as_mut());
        needs.into_iter().for_each(|needs| needs.timed = true);
    }

    /// Between transactions, on the server in hand.
    fn change_limit(&mut self, limit: u32) -> Option<Flow> {
        if self.server.as_ref().is_some_and(|server| !server.expects.is_empty()) {
            // What stands before it may begin a transaction, or set what would be put back.
            self.drain(true);
            return Some(Flow::Later);
        }
        let state = self.state.clone();
        let server = self.server.as_mut()?;
        let was = server.limit;
        let short = is_short(was);
        let sql = [lift(server), limit_session(server, limit)].concat();
        server.ask(&sql, Note::Restoring(state));
        self.settling |= short;
        let pace = self.pace.get_or_insert_default();
        pace.lifts = short;
        if was != UNKNOWN_LIMIT {
            pace.failed = 0;
        }
        Some(Flow::Later)
    }

    /// A limit has struck while it was taken away, before anything was sent behind it: it is tried again. False: it is not that, or was tried
    /// too often.
    pub(super) fn limit_struck(&mut self) -> bool {
        let (Some(pace), Some(server)) = (&mut self.pace, &mut self.server) else { return false };
        let again = self.settling && pace.lifts && pace.failed < TRIES;
        if again {
            pace.failed += 1;
            server.limit = UNKNOWN_LIMIT;
            self.settling = false;
        }
        again
    }

    /// The next message waits until all answers to what was sent are there, or not any more.
    pub(super) fn drain(&mut self, drains: bool) {
        match &mut self.pace {
            Some(pace) => pace.drains = drains,
            None if drains => self.pace.get_or_insert_default().drains = true,
            None => {}
        }
    }

    fn limit_in_transaction(&mut self, frame: Frame, timeout: u32) -> Option<Flow> {
        if !self.batch_open && self.cycle_under_way() {
            // What stands before it may end the transaction.
            self.drain(true);
            return Some(Flow::Later);
        }
        self.tell_transaction(frame, &LIMIT.replace("MS", &timeout.to_string()), true);
        self.is_timed();
        None
    }

    /// What is not limited runs under what was in force before.
    fn restore_in_transaction(&mut self, frame: Frame, bytes: &[u8], timeout: u32) {
        let Some(pace) = self.pace.as_mut().filter(|pace| pace.local && timeout == 0) else { return };
        let over = |server: &Server| server.tx == TxStatus::Idle && server.expects.is_empty();
        let runs = matches!(frame.tag, front::QUERY | front::BIND | front::FUNCTION_CALL);
        if self.server.as_deref().is_some_and(over) {
            pace.local = false;
        } else if runs && !ends_transaction(frame, bytes) {
            self.tell_transaction(frame, RESTORE, false);
        }
    }

    fn tell_transaction(&mut self, frame: Frame, sql: &str, local: bool) {
        let Some(server) = &mut self.server else { return };
        if frame.tag == front::BIND {
            // A Query would take the unnamed portal away, or end the batch.
            run_in_batch(server, sql.as_bytes(), Note::None);
            self.batch_open = true;
        } else if !self.batch_open {
            server.ask(sql.as_bytes(), Note::None);
        }
        self.pace.get_or_insert_default().local = local;
    }

    /// What goes ahead of the session's settings when they are brought to a server, and what goes behind them.
    pub(super) fn limits_to_settle(&mut self, settings_differ: bool) -> (Vec<u8>, Vec<u8>, bool) {
        let limit = self.limit_of_cycle();
        self.is_short_of_time();
        let Some(server) = &mut self.server else { return (vec![], vec![], false) };
        if server.limit == limit && (limit == 0 || !settings_differ) {
            return (vec![], vec![], false);
        }
        let short = is_short(server.limit);
        let ahead = lift(server);
        (ahead, limit_session(server, limit), short)
    }

    /// The settings that a server has are the session's, but for the one that a rule has set.
    pub(super) fn without_limit(&mut self, settings: &mut Settings) {
        let Some(server) = self.server.as_mut().filter(|server| server.limit != 0) else { return };
        if settings.get(NAME).is_some_and(|found| **found == *server.limit.to_string().as_bytes()) {
            // It is in force still, and may be found once more behind what is under way.
            match self.state.settings().get(NAME) {
                Some(own) => settings.insert(NAME.into(), own.clone()),
                None => settings.remove(NAME),
            };
        } else if server.limit != UNKNOWN_LIMIT {
            // What was found is in force: the session has set it since, or it was the less.
            server.limit = 0;
        }
    }
}

/// Whether a limit may strike while it is taken away.
fn is_short(limit: u32) -> bool {
    (1..SHORT).contains(&limit) || limit == UNKNOWN_LIMIT
}

/// Whether a Query is nothing but the end of its transaction, with which what is local to it goes.
fn ends_transaction(frame: Frame, bytes: &[u8]) -> bool {
    let text = bytes.get(HEADER..frame.total).and_then(|text| text.strip_suffix(b"\0")).unwrap_or_default();
    let text = text.strip_suffix(b";").unwrap_or(text).trim_ascii();
    let words: [&[u8]; 4] = [b"commit", b"rollback", b"end", b"abort"];
    frame.tag == front::QUERY && words.iter().any(|word| word.eq_ignore_ascii_case(text))
}

/// Takes a rule's limit away: what is in force then is what the server's state says.
fn lift(server: &mut Server) -> Vec<u8> {
    if std::mem::take(&mut server.limit) == 0 {
        return vec![];
    }
    let mut sql = b"RESET statement_timeout;".to_vec();
    if let Some(own) = server.state.settings().get(NAME) {
        sql.extend_from_slice(b"SELECT pg_catalog.set_config('statement_timeout',");
        quote_literal(&mut sql, own);
        sql.extend_from_slice(b",false);");
    }
    sql
}

fn limit_session(server: &mut Server, limit: u32) -> Vec<u8> {
    server.limit = limit;
    match limit {
        0 => vec![],
        _ => LIMIT_SESSION.replace("MS", &limit.to_string()).into_bytes(),
    }
}

/// A value of `statement_timeout` in milliseconds, if it is one that bounds anything and is easy to read.
pub(super) fn in_milliseconds(value: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(value).ok()?.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u32 = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim() {
        "" | "ms" => 1,
        "s" => 1000,
        "min" => 60_000,
        _ => return None,
    };
    number.checked_mul(unit).filter(|ms| *ms > 0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::wire::emit;

    #[test]
    fn what_is_limited() {
        let second = |text: &str| milliseconds(Duration::from_secs(1), text.as_bytes(), true.into());
        for text in [
            "select 1",
            "vacuum",
            "copy t from stdin",
            "execute s",
            "call p()",
            "select 1; select 2",
            "explain select 1",
        ] {
            assert_eq!(second(text), 1000, "{text}");
        }
        for text in [
            "begin",
            "commit",
            "rollback to a",
            "set a = 1",
            "select set_config('a', 'b', false)",
            "show a",
            "begin; select 1",
            "",
        ] {
            assert_eq!(second(text), 0, "{text}");
        }
        let of = |timeout: Duration| milliseconds(timeout, b"select 1", true.into());
        assert_eq!([of(Duration::from_micros(1)), of(Duration::from_micros(1001))], [1, 2]);
        assert_eq!(of(Duration::from_secs(365 * 86_400)), i32::MAX as u32);
    }

    #[test]
    fn values_of_the_setting() {
        let all = ["5", "250ms", "3s", "2 min", "0", "1h", "", "x", "4294967295", "99999999 min", "-1"];
        let expected = [
            Some(5),
            Some(250),
            Some(3000),
            Some(120_000),
            None,
            None,
            None,
            None,
            Some(u32::MAX),
            None,
            None,
        ];
        assert_eq!(all.map(|value| in_milliseconds(value.as_bytes())), expected);
    }

    #[test]
    fn ends_of_transactions() {
        let ends = |text: &str| {
            let mut whole = vec![];
            emit::query(&mut whole, text.as_bytes());
            ends_transaction(Frame { tag: front::QUERY, total: whole.len() }, &whole)
        };
        assert!(["commit", " ROLLBACK ;", "end"].into_iter().all(ends));
        assert!(!["commit and chain", "rollback to a", "commit; select 1", ""].into_iter().any(ends));
    }
}
