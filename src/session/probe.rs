//! What a transaction left behind: asked of the server, not guessed.
//!
//! Settings can be changed in more ways than a text shows: in functions, under savepoints that were rolled back,
//! by `set_config` with computed arguments. So after a transaction that *may* have changed session state, and whose
//! outcome is not plain, one query tells the truth: the settings that differ from the login's, and whether there
//! is anything that cannot follow the session to another server. The client does not wait for it.
//!
//! When the question fails, cancelled, out of time, or for a value that the client's encoding does not have, it is asked again
//! under settings of our own. A session of which nothing can be learnt ends: it would go on with settings that are not its own.

use super::serve::Session;
use super::simple::{OF_THE_PROCESS, PROBED, UNPINNING};
use crate::pool::exchange::Note;
use crate::pool::listener::Channels;
use crate::pool::prepared::NAME_PREFIX;
use crate::pool::state::{Settings, quote_text};
use crate::sql::Effects;
use crate::wire::Fault;
use crate::wire::frame::HEADER;

/// How often in a row the question may fail.
const MAX_FAILURES: u8 = 5;

/// Ahead of every question: it does not wait for others, as one would that is serializable, read-only and deferrable by default.
const ALONE: &[u8] = b"SET TRANSACTION ISOLATION LEVEL READ COMMITTED;";

/// Rows `(name, value)`: settings of the session; `#reason` for what pins it.
const PROBE: &[u8] = b"SELECT name, setting FROM pg_catalog.pg_settings \
 WHERE source OPERATOR(pg_catalog.=) 'session' \
 AND name OPERATOR(pg_catalog.<>) ALL ('{transaction_isolation,transaction_read_only,transaction_deferrable}'::pg_catalog.text[]) \
 UNION ALL SELECT 'role', pg_catalog.current_setting('role') \
 WHERE pg_catalog.current_setting('role') OPERATOR(pg_catalog.<>) 'none' \
 UNION ALL SELECT '#temp', '' WHERE EXISTS (SELECT 1 FROM pg_catalog.pg_depend \
 WHERE refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass \
 AND refobjid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()) \
 UNION ALL SELECT '#advisory', '' WHERE EXISTS (SELECT 1 FROM pg_catalog.pg_locks \
 WHERE locktype OPERATOR(pg_catalog.=) 'advisory' AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()) \
 UNION ALL SELECT '#hold', '' WHERE EXISTS (SELECT 1 FROM pg_catalog.pg_cursors WHERE is_holdable) \
 UNION ALL SELECT '#listen', channel FROM pg_catalog.pg_listening_channels() AS channel";

/// The same for prepared statements: how many have names of ours, and whether there are others.
const STATEMENTS: &str = " UNION ALL SELECT CASE WHEN ours THEN '#ours' ELSE '#prepared' END, \
 pg_catalog.count(*)::pg_catalog.text FROM (SELECT pg_catalog.starts_with(name, '{prefix}') AS ours \
 FROM pg_catalog.pg_prepared_statements) AS statement GROUP BY ours";

/// Ahead of a question that must not fail: it has all the time it needs, and gets bytes as the database has them. What the session has is put aside.
const CAREFULLY: &[u8] = b"SELECT '#', '', \
 pg_catalog.set_config('_pgweir.statement_timeout', pg_catalog.current_setting('statement_timeout'), true), \
 pg_catalog.set_config('_pgweir.lock_timeout', pg_catalog.current_setting('lock_timeout'), true), \
 pg_catalog.set_config('_pgweir.client_encoding', pg_catalog.current_setting('client_encoding'), true), \
 pg_catalog.set_config('statement_timeout', '0', true), pg_catalog.set_config('lock_timeout', '0', true), \
 pg_catalog.set_config('client_encoding', pg_catalog.getdatabaseencoding(), true);";

/// What was put aside. These rows come last.
const PUT_ASIDE: [&str; 3] = ["statement_timeout", "lock_timeout", "client_encoding"];

/// The question under way.
pub(super) struct Asked {
    effects: Effects,
    /// Custom settings that it asks for because texts have named them.
    names: Vec<Box<[u8]>>,
    /// How many statements of ours the server has, if it is asked.
    statements: Option<usize>,
    carefully: bool,
}

impl Asked {
    /// Custom settings may have been made that nobody has named.
    fn is_murky(&self) -> bool {
        self.effects.intersects(Effects::OPAQUE.union(Effects::BOUND_NAME).union(Effects::UNNAMED))
            || self.effects.contains(Effects::HIDDEN.union(Effects::SETTING))
    }
}

/// What the server has answered.
#[derive(Default)]
struct Found {
    settings: Settings,
    pins: Vec<&'static str>,
    channels: Channels,
    marked: bool,
    /// Statements of ours.
    ours: usize,
    /// A value that cannot be given to another server.
    immovable: bool,
}

impl Session {
    /// Whether the question under way changes settings for itself.
    pub(super) fn asks_carefully(&self) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.carefully)
    }

    /// Sends the probe if the transaction that just ended may have left something.
    pub(super) fn ask_what_is_left(&mut self) {
        let effects = std::mem::take(&mut self.after);
        let wanted = if self.pins.is_empty() { PROBED } else { PROBED.union(UNPINNING) };
        self.definitions_changed();
        let channels = self.channels_may_have_changed(effects);
        let Some(server) = &self.server else { return };
        if !effects.intersects(wanted) && !channels {
            self.means_unknown = false;
            return;
        }
        let statements = effects.intersects(Effects::OPAQUE.union(Effects::HIDDEN));
        let asked = Asked {
            effects,
            names: std::mem::take(&mut self.touched),
            statements: statements.then(|| server.prepared.len()),
            carefully: self.ask_failures > 0,
        };
        let sql = self.question(&asked);
        let Some(server) = &mut self.server else { return };
        server.captured.clear();
        server.ask(&sql, Note::Probe);
        // What was reset must be put back, and channels taken off the server, before anything else runs. What a session
        // hears is in the encoding that it has asked for.
        self.settling |=
            channels || !self.initial.settings().is_empty() || self.listens.is_some() || asked.carefully;
        self.asked = Some(asked);
    }

    fn question(&self, asked: &Asked) -> Vec<u8> {
        let ahead = if asked.carefully { CAREFULLY } else { b"" };
        let mut sql = [ALONE, ahead, PROBE].concat();
        // The login's user is the server's own business: only a change of it is asked for.
        sql.extend_from_slice(b" UNION ALL SELECT 'session_authorization', session_user WHERE session_user OPERATOR(pg_catalog.<>) ");
        quote_text(&mut sql, self.pool.target().server_user.as_bytes(), Some(b"utf8"));
        if let Some(marker) = self.channels_marker() {
            sql.extend_from_slice(b" UNION ALL SELECT '#marker', '' WHERE pg_catalog.current_setting('_pgweir.channels', true) OPERATOR(pg_catalog.=) ");
            sql.extend_from_slice(format!("'{marker}'").as_bytes());
        }
        if asked.statements.is_some() {
            sql.extend_from_slice(STATEMENTS.replace("{prefix}", NAME_PREFIX).as_bytes());
        }
        let encoding = self.defaults.under(self.state.settings()).encoding;
        let mut custom: Vec<&Box<[u8]>> =
            self.state.settings().keys().filter(|name| name.contains(&b'.')).chain(&asked.names).collect();
        custom.sort_unstable();
        custom.dedup();
        if !custom.is_empty() {
            sql.extend_from_slice(b" UNION ALL SELECT name, pg_catalog.current_setting(name, true) FROM pg_catalog.unnest(ARRAY[");
            for (at, name) in custom.into_iter().enumerate() {
                sql.extend_from_slice(if at > 0 { b"," } else { b"" });
                quote_text(&mut sql, name, Some(&encoding));
            }
            sql.extend_from_slice(b"]::pg_catalog.text[]) AS name WHERE pg_catalog.current_setting(name, true) OPERATOR(pg_catalog.<>) ''");
        }
        if asked.carefully {
            for name in PUT_ASIDE {
                let row = format!(" UNION ALL SELECT '{name}', pg_catalog.current_setting('_pgweir.{name}')");
                sql.extend_from_slice(row.as_bytes());
            }
        }
        sql
    }

    /// The probe was answered: this is the session's state, and the server's.
    pub(super) fn probed(&mut self) {
        let (Some(server), Some(asked)) = (&mut self.server, self.asked.take()) else { return };
        let rows = std::mem::take(&mut server.captured);
        let Found { mut settings, pins, channels, marked, ours, immovable } =
            self.read_answer(&rows, asked.carefully);
        (self.ask_failures, self.means_unknown) = (0, false);
        self.without_limit(&mut settings);
        let Some(server) = &mut self.server else { return };
        // What a text has made or dropped behind our back nobody can tell.
        server.spoiled |= asked.statements.is_some_and(|known| known != ours);
        server.murky |= asked.is_murky();
        server.state = self.worker.states.intern(settings.clone());
        if asked.carefully {
            self.believe_server();
        }
        self.learn_defaults();
        let before = std::mem::take(&mut self.pins);
        let lasting = |pin: &&str| OF_THE_PROCESS.contains(pin) || matches!(*pin, "setting" | "sequence");
        self.pins = before.iter().copied().filter(lasting).chain(pins).collect();
        self.listening = self.listened(channels, marked);
        if self.listening {
            self.pins.push("listen");
        }
        self.pins.iter().filter(|pin| !before.contains(pin)).for_each(|pin| self.pool.stats().pinned(pin));
        if immovable {
            self.pin("setting");
        }
        // What was reset goes back to what the client asked for at login, which the server cannot know.
        for (name, value) in self.initial.settings() {
            settings.entry(name.clone()).or_insert_with(|| value.clone());
        }
        let state = self.worker.states.intern(settings);
        self.set_state(state);
        self.settling = false;
        self.restore();
    }

    fn read_answer(&self, rows: &[Vec<u8>], carefully: bool) -> Found {
        let mut found = Found::default();
        for (name, value) in rows.iter().filter_map(|row| pair(&row[HEADER..])) {
            match name {
                b"#" => {}
                b"#temp" => found.pins.push("temporary object"),
                b"#advisory" => found.pins.push("advisory lock"),
                b"#hold" => found.pins.push("cursor with hold"),
                b"#prepared" => found.pins.push("prepared statement"),
                b"#ours" => found.ours = std::str::from_utf8(value).map_or(0, |n| n.parse().unwrap_or(0)),
                b"#listen" => found.channels.push(value.into()),
                b"#marker" => found.marked = true,
                // In the database's encoding, which is not that of the other values.
                name if carefully && !(name.is_ascii() && value.is_ascii()) => found.immovable = true,
                name => drop(found.settings.insert(self.dialect.folded(name).into(), value.into())),
            }
        }
        found
    }

    /// The probe failed: it is asked again, until it is plain that it is of no use.
    pub(super) fn ask_failed(&mut self, fault: &Fault) {
        let Some(asked) = self.asked.take() else { return };
        self.after |= asked.effects;
        // A guess among the bytes of a value need be no name.
        let unreadable = matches!(fault.sqlstate.as_str(), "22021" | "22P05");
        self.touched.extend(asked.names.into_iter().filter(|name| !unreadable || name.is_ascii()));
        self.ask_failures += 1;
        tracing::debug!(pid = self.handle.pid, error = %fault, "asking for the state of a session failed");
        if self.ask_failures > MAX_FAILURES {
            let text = "what the session has set could not be learnt from the server";
            let fault = Fault::fatal("08006", text).detail(fault.to_string());
            self.server.iter_mut().for_each(|server| server.broken = true);
            self.fatal(&fault);
        }
    }
}

/// The two columns of a DataRow body.
fn pair(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, rest) = body.split_first_chunk::<2>()?;
    let (name, rest) = column(rest)?;
    Some((name, column(rest)?.0))
}

fn column(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(i32::from_be_bytes(*length)).ok()?)
}
