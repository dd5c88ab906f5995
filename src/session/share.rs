//! Servers in common: a short read goes behind another session's instead of waking one more server.
//!
//! See [`crate::pool::follow`]; prepared reads are told apart in `cycle`. The client's message stays in the input until its answer begins, so that it can be sent
//! to another server if nothing comes of it here.

use std::io;
use std::rc::Rc;
use std::task::Context;
use std::time::Duration;

use super::outcome::Unsent;
use super::serve::{Session, drain_front};
use super::told::Asking;
use crate::config::settings::PoolMode;
use crate::plan::Profile;
use crate::pool::exchange::{Expect, Kind, Note};
use crate::pool::server::{Clock, UNKNOWN};
use crate::pool::{Ahead, Asked, Server};
use crate::wire::frame::TxStatus;

/// Longer messages go to servers of their own.
pub(super) const LONGEST: usize = 8 * 1024;

impl Session {
    /// The shape of a plain statement that is certain to read only, outside of transactions, where that makes a difference.
    pub(super) fn plain_read(&self, text: &[u8]) -> Option<Rc<Profile>> {
        let shares = self.mode == PoolMode::Transaction && self.pool.shares();
        if self.route.is_none()
            && (!shares || self.server.is_none() && !self.pool.looks_for_reads(Asked::Simple))
        {
            return None;
        }
        let in_transaction = self.tx_status() != TxStatus::Idle;
        if self.batch_open || in_transaction && (self.route.is_none() || !self.begins_to_read()) {
            return None;
        }
        self.read_of(text)
    }

    /// Whether what the session has is all in its settings: nothing else is to be done for it before or behind a read.
    pub(super) fn has_settings_only(&self) -> bool {
        self.has_nothing_but_settings() && self.makes_temporary_objects().is_empty()
    }

    /// The same, whatever the settings do.
    pub(super) fn has_nothing_but_settings(&self) -> bool {
        self.after.is_empty()
            && self.pins.is_empty()
            && self.listens.is_none()
            && !self.listening
            && !self.batch_open
    }

    pub(super) fn may_share(&self) -> bool {
        self.mode == PoolMode::Transaction
            && self.pool.shares()
            && !self.pool_to_lease_from().asking.is_watched()
            && self.has_settings_only()
    }

    /// Sends a read behind another session's, or wants a server of its own for it.
    pub(super) fn want_server_for_read(&mut self, whole: &[u8], profile: &Profile) {
        // It is the server's word that counts where a text may be one that it cannot read.
        let plain = self.unnamed.is_none() || whole.is_ascii();
        let may_follow = !self.alone
            && plain
            && whole.len() <= LONGEST
            && profile.may_follow()
            && self.held_begin.is_none()
            && self.limit_of_cycle() == 0
            && self.may_share();
        self.cycle = None;
        match may_follow {
            true => self.follow_or_want_server(Ahead { message: whole, statement: None }),
            false => self.want_server(None),
        }
    }

    /// Sends a read behind another session's if there is one to go behind; else stands in line, to be sent behind one from there.
    pub(super) fn follow_or_want_server(&mut self, ahead: Ahead<'_>) {
        match self.pool_to_lease_from().follow(&self.state, &self.defaults, ahead) {
            Some(ticket) => {
                self.handle.waiting.set(true);
                self.ticket = Some(ticket);
            }
            None => self.want_server(Some(ahead)),
        }
    }

    /// What was sent may be answered by another server yet.
    pub(super) fn may_be_taken_back(&self) -> bool {
        self.following > 0 || self.settling || matches!(self.asking, Asking::Waits(..))
    }

    /// Of what was sent to the server, one answer is missing.
    pub(super) fn has_one_under_way(&self) -> bool {
        self.server.as_deref().is_some_and(|server| server.expects.len() == 1)
    }

    /// The message just taken was a read, and the last that the client has sent: if it is short, others may go behind it.
    pub(super) fn let_follow(&mut self) {
        let short = self.reading_now.as_ref().is_some_and(|profile| profile.pace.is_short());
        let Some(server) = &self.server else { return };
        // What is too much is closed behind the statement, as if nobody were there.
        let closes = server.prepared.has_surplus();
        let hit = server.shared.cancels.get() > 0;
        let open = server.reading == self.defaults && server.limit == 0 && !hit && !closes;
        if short && open && self.may_share() {
            server.pool().open(server, &self.handle.waker.borrow(), self.profiles.judge.stamp());
        }
    }

    /// A cycle was answered. How long it took says how much room the servers have, if it was a read on one of its own.
    pub(super) fn note_pace(&mut self, time: Duration) {
        if let Some(profile) = self.reading_now.take()
            && let Some(stretch) = profile.pace.note(time)
            && profile.pace.is_short()
            && let Some(server) = &self.server
        {
            server.pool().observe(stretch);
        }
    }

    /// Others' answers come behind the session's own.
    #[inline]
    pub(super) fn has_followers(&self) -> bool {
        self.server.as_deref().is_some_and(|server| server.shared.follow.has_followers())
    }

    /// The session's own answer is there, and `rest` came behind it. True: it is kept for who follows, who gets the server.
    pub(super) fn passes_on(&mut self, rest: &[u8]) -> bool {
        let Some(server) = &mut self.server else { return false };
        if !server.expects.is_empty() || !server.shared.follow.has_followers() {
            return false;
        }
        let free = self.after.is_empty() && !self.keeps_server();
        let Some(server) = &mut self.server else { return false };
        if free {
            server.residue.extend_from_slice(rest);
            return true;
        }
        server.shared.follow.take_bytes(&mut server.out);
        // A Query takes it away, a batch does not.
        server.unnamed = UNKNOWN;
        for _ in 0..server.shared.follow.disown() {
            server.expects.push_back(Expect::ours(Kind::Query, Note::Abandoned));
        }
        false
    }

    /// All answers ahead of the session's own are there, that to the `sent` bytes at the front of its input.
    pub(super) fn follow_on(
        &mut self,
        server: Box<Server>,
        sent: usize,
        cx: &mut Context<'_>,
    ) -> io::Result<()> {
        let since = self.ticket.take().map(|ticket| ticket.since());
        self.handle.waiting.set(false);
        self.unsent = Some(Unsent::of(self));
        self.pool.note_assignment();
        *self.handle.server.borrow_mut() = Some(server.shared.clone());
        let server = self.server.insert(server);
        server.clock = Clock { exchange: since, transaction: since, ..Clock::default() };
        self.enter_server();
        self.enter_node();
        self.note_taken(usize::MAX);
        if !self.takes_as_sent(sent) {
            self.take_back();
            return Ok(());
        }
        let Some(server) = &mut self.server else { return Ok(()) };
        server.pool().clone().open(server, &self.handle.waker.borrow(), self.profiles.judge.stamp());
        let come = std::mem::take(&mut server.residue);
        if come.is_empty() { Ok(()) } else { self.relay(cx, &come) }
    }

    /// What was sent ahead is not answered: it goes to a server of the session's own.
    pub(super) fn follow_no_more(&mut self) {
        self.pool_to_lease_from().stats().sent_away.add(1);
        self.ticket = None;
        self.handle.waiting.set(false);
        self.following = 0;
        self.alone = true;
    }

    /// The answer to what was sent ahead has begun.
    pub(super) fn followed_well(&mut self) {
        let sent = std::mem::take(&mut self.following);
        drain_front(&mut self.input, sent);
        (self.unsent, self.taken_back) = (None, 0);
        self.begin_fill();
        self.keep_pace();
    }
}
