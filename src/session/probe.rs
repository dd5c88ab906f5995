//! What a transaction left behind: asked of the server, not guessed.
//!
//! Settings can be changed in more ways than a text shows: in functions, under savepoints that were rolled back,
//! by `set_config` with computed arguments. So after a transaction that *may* have changed session state, and whose
//! outcome is not plain, one query tells the truth: the settings that differ from the login's, and whether there
//! is anything that cannot follow the session to another server. The client does not wait for it.

use super::serve::Session;
use super::simple::{PROBED, UNPINNING};
use crate::pool::exchange::{Expect, Kind, Note};
use crate::pool::listener::Channels;
use crate::pool::state::{Settings, quote_text};
use crate::sql::Effects;
use crate::wire::emit;
use crate::wire::frame::HEADER;

/// Custom settings that are watched for one session.
const MAX_TOUCHED: usize = 100;

/// Rows `(name, value)`: settings of the session; `#reason` for what pins it.
const PROBE: &[u8] = b"SELECT name, setting FROM pg_catalog.pg_settings \
 WHERE source OPERATOR(pg_catalog.=) 'session' AND name OPERATOR(pg_catalog.!~~) 'transaction\\_%' \
 UNION ALL SELECT 'role', pg_catalog.current_setting('role') \
 WHERE pg_catalog.current_setting('role') OPERATOR(pg_catalog.<>) 'none' \
 UNION ALL SELECT '#temp', '' WHERE EXISTS (SELECT 1 FROM pg_catalog.pg_class \
 WHERE relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()) \
 OR EXISTS (SELECT 1 FROM pg_catalog.pg_proc WHERE pronamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()) \
 OR EXISTS (SELECT 1 FROM pg_catalog.pg_type WHERE typnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()) \
 UNION ALL SELECT '#advisory', '' WHERE EXISTS (SELECT 1 FROM pg_catalog.pg_locks \
 WHERE locktype OPERATOR(pg_catalog.=) 'advisory' AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()) \
 UNION ALL SELECT '#hold', '' WHERE EXISTS (SELECT 1 FROM pg_catalog.pg_cursors WHERE is_holdable) \
 UNION ALL SELECT '#listen', channel FROM pg_catalog.pg_listening_channels() AS channel";

impl Session {
    /// Sends the probe if the transaction that just ended may have left something.
    pub(super) fn ask_what_is_left(&mut self) {
        let after = std::mem::take(&mut self.after);
        let wanted = if self.pins.is_empty() { PROBED } else { PROBED.union(UNPINNING) };
        self.definitions_changed();
        let channels = self.channels_may_have_changed(after);
        let marker = self.channels_marker();
        let Some(server) = &mut self.server else { return };
        if !after.intersects(wanted) && !channels {
            return;
        }
        let mut sql = PROBE.to_vec();
        // The login's user is the server's own business: only a change of it is asked for.
        sql.extend_from_slice(b" UNION ALL SELECT 'session_authorization', session_user WHERE session_user OPERATOR(pg_catalog.<>) ");
        quote_text(&mut sql, server.pool().target().server_user.as_bytes(), Some(b"utf8"));
        if let Some(marker) = marker {
            sql.extend_from_slice(b" UNION ALL SELECT '#marker', '' WHERE pg_catalog.current_setting('_pgweir.channels', true) OPERATOR(pg_catalog.=) ");
            sql.extend_from_slice(format!("'{marker}'").as_bytes());
        }
        let encoding = self.defaults.under(self.state.settings()).encoding;
        let custom = self.state.settings().keys().filter(|name| name.contains(&b'.'));
        for name in custom.chain(&self.touched) {
            sql.extend_from_slice(b" UNION SELECT ");
            quote_text(&mut sql, name, Some(&encoding));
            sql.extend_from_slice(b", pg_catalog.current_setting(");
            quote_text(&mut sql, name, Some(&encoding));
            sql.extend_from_slice(b", true) WHERE pg_catalog.current_setting(");
            quote_text(&mut sql, name, Some(&encoding));
            sql.extend_from_slice(b", true) OPERATOR(pg_catalog.<>) ''");
        }
        server.captured.clear();
        emit::query(&mut server.out, &sql);
        server.expect(Expect::ours(Kind::Query, Note::Probe));
        // What was reset must be put back, and channels taken off the server, before anything else runs. What a session
        // hears is in the encoding that it has asked for.
        self.settling |= channels || !self.initial.settings().is_empty() || self.listens.is_some();
        if after.contains(Effects::DISCARD) {
            server.unnamed = 0;
        }
    }

    /// The probe was answered: this is the session's state, and the server's.
    pub(super) fn probed(&mut self) {
        let Some(server) = &mut self.server else { return };
        let rows = std::mem::take(&mut server.captured);
        let (mut settings, mut heard, mut marked) = (Settings::new(), Channels::new(), false);
        let before = self.pins.clone();
        self.pins.retain(|pin| matches!(*pin, "load" | "sequence"));
        for (name, value) in rows.iter().filter_map(|row| pair(&row[HEADER..])) {
            match name {
                b"#temp" => self.pins.push("temporary object"),
                b"#advisory" => self.pins.push("advisory lock"),
                b"#hold" => self.pins.push("cursor with hold"),
                b"#listen" => heard.push(value.into()),
                b"#marker" => marked = true,
                name => drop(settings.insert(self.dialect.folded(name).into(), value.into())),
            }
        }
        server.state = self.worker.states.intern(settings.clone());
        self.learn_defaults();
        self.listening = self.listened(heard, marked);
        if self.listening {
            self.pins.push("listen");
        }
        self.pins.iter().filter(|pin| !before.contains(pin)).for_each(|pin| self.pool.stats().pinned(pin));
        // What was reset goes back to what the client asked for at login, which the server cannot know.
        for (name, value) in self.initial.settings() {
            settings.entry(name.clone()).or_insert_with(|| value.clone());
        }
        let state = self.worker.states.intern(settings);
        self.set_state(state);
        self.settling = false;
        self.settle(Note::Restoring);
    }

    /// Remembers names of custom settings (`a.b`) that a text mentions, as words or inside strings.
    pub(super) fn touch_custom_names(&mut self, text: &[u8]) {
        let mut rest = text;
        while let Some(dot) = memchr::memchr(b'.', rest) {
            let start = rest[..dot].iter().rposition(|byte| !is_name(*byte)).map_or(0, |at| at + 1);
            let end =
                rest[dot + 1..].iter().position(|byte| !is_name(*byte)).map_or(rest.len(), |at| dot + 1 + at);
            self.touch(&rest[start..end]);
            rest = &rest[dot + 1..];
        }
    }

    pub(super) fn touch(&mut self, name: &[u8]) {
        if self.dialect.is_wide() && !name.is_ascii() {
            // It may have been cut within a character.
            return;
        }
        let name = name.to_ascii_lowercase();
        let two = name
            .split(|byte| *byte == b'.')
            .filter(|part| !part.is_empty() && !part[0].is_ascii_digit())
            .count();
        let fits = two == 2 && name.len() < 128 && name.iter().all(|byte| is_name(*byte) || *byte == b'.');
        let catalog = name.starts_with(b"pg_") || name.starts_with(b"information_schema");
        if fits
            && !catalog
            && self.touched.len() < MAX_TOUCHED
            && !self.touched.iter().any(|known| **known == *name)
        {
            self.touched.push(name.into());
        }
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
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
