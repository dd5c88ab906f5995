//! The session's channels on its server, where statements act on them; and what a cycle says of channels further on.
//!
//! Inside a transaction the server learns the channels with a marker, a setting, which is rolled back as they are. PostgreSQL shows them only behind
//! the transaction, so `pg_listening_channels()` needs them there before it begins: a batch that is there up to its end is looked through when it
//! begins, and once a session of the pool has asked inside a transaction, every session that listens brings its channels ahead of its transactions.

use std::sync::atomic::Ordering;

use super::extended::run_in_batch;
use super::listen::{CHANNELS, Listens, SetUp};
use super::serve::Session;
use super::statement::{fresh_id, significant};
use super::upstream::{Flow, body};
use crate::config::settings::PoolMode;
use crate::pool::exchange::Note;
use crate::pool::prepared::Form;
use crate::pool::state::quote_identifier;
use crate::sql::{self, Effects, Summary};
use crate::wire::frame::{self, Frame, TxStatus, front};

impl Session {
    /// A batch may begin with this message: what it says of channels further on is done before anything of it is sent. Gives what becomes of
    /// the message if it must wait for that.
    #[inline]
    pub(super) fn look_ahead(&mut self, bytes: &[u8]) -> Option<Flow> {
        if self.batch_open || !self.listens_already() {
            return None;
        }
        self.look_through(bytes)
    }

    fn look_through(&mut self, bytes: &[u8]) -> Option<Flow> {
        let texts = self.texts_ahead(bytes);
        let summaries = texts.iter().map(|text| sql::summarize(text, self.dialect).effects);
        let effects = summaries.fold(Effects::EMPTY, Effects::union);
        if effects.contains(Effects::BEGIN) {
            self.bring_channels();
        }
        if !effects.intersects(CHANNELS) || effects.contains(Effects::DISCARD) {
            return None;
        }
        if self.cycle_under_way() {
            return Some(Flow::Later);
        }
        if self.server.is_none() {
            return Some(Flow::Server);
        }
        if texts.iter().fold(false, |waits, text| self.announce_ahead(text) | waits) {
            return Some(Flow::Later);
        }
        if self.listens_on_server(effects) {
            self.set_up_channels();
        }
        None
    }

    /// Texts of the statements that are parsed or bound in the batch at the front of `bytes`, as far as it is there.
    fn texts_ahead(&self, bytes: &[u8]) -> Vec<Box<[u8]>> {
        let (mut texts, mut rest) = (vec![], bytes);
        while let Ok(Some(frame)) = Frame::peek(rest)
            && let Some(whole) = rest.get(..frame.total)
        {
            rest = &rest[frame.total..];
            let names =
                frame::cstr(body(whole)).and_then(|(first, behind)| Some((first, frame::cstr(behind)?.0)));
            match (frame.tag, names) {
                (front::SYNC | front::QUERY, _) => break,
                (front::PARSE, Some((_, text))) => texts.push(text.into()),
                (front::BIND, Some((_, name))) if !name.is_empty() => {
                    let named = self.names.get(significant(name));
                    if let Some(Form::Parse(tail)) = named.map(|named| &named.statement.prepared.form) {
                        texts.push(frame::cstr(tail).map_or(&**tail, |(text, _)| text).into());
                    }
                }
                _ => {}
            }
        }
        texts
    }

    /// A transaction is about to begin on the session's server: its channels go ahead, if sessions of its pool ask for them there.
    pub(super) fn bring_channels(&mut self) {
        let missing = self.listens.as_deref().is_some_and(|known| known.set_up == SetUp::No);
        let begins =
            self.server.as_ref().is_some_and(|server| server.tx == TxStatus::Idle) && !self.batch_open;
        if missing
            && begins
            && self.listens_already()
            && self.pool.target().asks_channels.load(Ordering::Relaxed)
        {
            self.set_up_channels();
        }
    }

    /// A text is sent that asks for the channels: inside a transaction they may be missing, this time.
    pub(super) fn note_asking_for_channels(&self, effects: Effects) {
        if effects.contains(Effects::CHANNELS) && self.tx_status() != TxStatus::Idle {
            self.pool.target().asks_channels.store(true, Ordering::Relaxed);
        }
    }

    /// Where in the text a statement ends a transaction before another one needs the session's channels as they are then.
    pub(super) fn ends_before_channels(&self, summary: &Summary) -> Option<usize> {
        // In a transaction that has failed nothing can be prepared that is run behind its end.
        let running = if self.tx_status() == TxStatus::Idle { Effects::EMPTY } else { Effects::EXECUTE };
        let awaited = CHANNELS.union(running);
        if self.mode == PoolMode::Session || !summary.effects.intersects(awaited) {
            return None;
        }
        let ends = Effects::COMMIT.union(Effects::ROLLBACK);
        let at = summary.statements.iter().position(|one| one.effects.intersects(ends))?;
        let (first, rest) = summary.statements.split_at(at + 1);
        if rest.iter().any(|one| one.effects.contains(Effects::DISCARD)) {
            // Which is refused behind other statements, and would not be alone.
            return None;
        }
        rest.iter().any(|one| one.effects.intersects(awaited)).then(|| first[at].range.end)
    }

    /// Whether a statement with these effects needs the session's channels on the server, which may not be there.
    pub(super) fn listens_on_server(&self, effects: Effects) -> bool {
        let missing = |known: &Listens| !known.channels.is_empty() && known.set_up != SetUp::Before;
        effects.intersects(CHANNELS)
            // Behind a DISCARD in the same batch there is nothing left to set up.
            && !effects.union(self.after).contains(Effects::DISCARD)
            && self.listens.as_deref().is_some_and(missing)
    }

    /// Has the server listen to what the session listens to. Where that may be so already, or may be rolled back, it
    /// is the marker that tells.
    pub(super) fn set_up_channels(&mut self) {
        let (Some(listens), Some(server)) = (&mut self.listens, &mut self.server) else { return };
        if server.tx == TxStatus::Failed {
            return;
        }
        let mut sql = vec![];
        for channel in &listens.channels {
            sql.extend_from_slice(b"LISTEN ");
            quote_identifier(&mut sql, channel);
            sql.push(b';');
        }
        self.after |= Effects::CHANNELS;
        let between = server.tx == TxStatus::Idle && server.expects.is_empty() && !self.batch_open;
        if between {
            listens.set_up = SetUp::Before;
        } else {
            let marker = if let SetUp::Within(marker) = listens.set_up { marker } else { fresh_id() };
            listens.set_up = SetUp::Within(marker);
            sql = unless_marked(marker, &sql);
        }
        if self.batch_open {
            return run_in_batch(server, &sql, Note::None);
        }
        server.ask(&sql, Note::None);
    }

    /// The marker of a set-up that may have been rolled back.
    pub(super) fn channels_marker(&self) -> Option<u64> {
        match self.listens.as_ref()?.set_up {
            SetUp::Within(marker) => Some(marker),
            SetUp::No | SetUp::Before => None,
        }
    }
}

/// What listens to the channels, once: a rollback takes the marker with them.
fn unless_marked(marker: u64, listens: &[u8]) -> Vec<u8> {
    let value = marker.to_string();
    [
        b"DO $_pgweir$BEGIN IF pg_catalog.current_setting('_pgweir.channels', true) IS DISTINCT FROM '",
        value.as_bytes(),
        b"' THEN ",
        listens,
        b"PERFORM pg_catalog.set_config('_pgweir.channels', '",
        value.as_bytes(),
        b"', false); END IF; END$_pgweir$",
    ]
    .concat()
}
