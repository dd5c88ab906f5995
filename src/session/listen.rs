//! LISTEN without a server of one's own: the worker's [`Listener`] hears for all sessions of a database.
//!
//! LISTEN, UNLISTEN and whatever else reads or changes the session's channels run on the session's server like any
//! statement, so that their errors, their tags and their transactions are PostgreSQL's. Around them:
//!
//! 1. Before a LISTEN is sent, the listener listens to the channel and has caught up: what it hears from then on
//!    was not committed before the client asked. The same again before a COMMIT of a transaction that listened.
//! 2. A session that listens already has its channels set up on its server first, for UNLISTEN and
//!    `pg_listening_channels()` to act on. Inside a transaction a marker is set with them, which is gone when
//!    they are: after a rollback, to a savepoint too.
//! 3. After the transaction the probe reads what the server listens to: these are the session's channels. The
//!    mailbox hears them from now on, and the server forgets them before it is released.
//!
//! What a transaction notifies, its own session hears before the answer ends, as with PostgreSQL: the ReadyForQuery of
//! a session that listens waits until the listener has caught up, and its next cycle waits for that. A LISTEN that
//! the text does not show, in a function, pins the session to its server; so does every LISTEN while the listener
//! cannot connect.

use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::serve::{BACKLOG, Session};
use super::statement::significant;
use super::upstream::Flow;
use crate::config::settings::PoolMode;
use crate::pool::exchange::{Expect, Kind, Note};
use crate::pool::listener::{CatchUp, Channels, Listener, Mailbox};
use crate::pool::{Server, Target};
use crate::sql::{self, Detail, Effects};
use crate::wire::emit;
use crate::wire::frame::{self, HEADER, TxStatus, front};

/// Effects that need the session's channels on its server.
pub(super) const CHANNELS: Effects = Effects::LISTEN.union(Effects::UNLISTEN).union(Effects::CHANNELS);

/// What a session listens to.
pub(super) struct Listens {
    place: Place,
    /// As of the last transaction.
    pub(super) channels: Channels,
    /// Of LISTENs whose transaction has not ended.
    announced: Channels,
    /// Those of them that stand further on in the cycle, and have not been sent.
    ahead: Channels,
    /// Those of them to which the listener has not listened yet, as far as is known.
    fresh: Channels,
    /// Answers to what stands before a LISTEN in its batch must be there first.
    awaits_answers: bool,
    /// The session waits for the listener to catch up.
    waits: Option<(CatchUp, Then)>,
    /// Nothing for `announced` is in the mailbox that was committed before the client's last message.
    caught_up: bool,
    /// The listener could not connect: this transaction's LISTENs are not announced.
    alone: bool,
    /// A ReadyForQuery is to follow the notifications.
    owes_ready: bool,
    pub(super) set_up: SetUp,
    /// Where the session hears from now on, in the encoding that it has changed to.
    next: Option<Place>,
}

/// A listener, and the session's mailbox there.
struct Place {
    listener: Rc<Listener>,
    mailbox: Rc<Mailbox>,
}

/// What becomes of the session when the listener has caught up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// The client's message is looked at again.
    GoOn,
    /// The answer ends.
    Ready,
    /// The session hears there from now on; so many notifications waited in the old mailbox before.
    Move(usize),
}

/// Whether the session's channels are on its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SetUp {
    No,
    /// Since before the transaction.
    Before,
    /// Since within the transaction, as far as it was not rolled back: this is the marker's value.
    Within(u64),
}

impl Drop for Listens {
    fn drop(&mut self) {
        self.place.leave();
        self.next.iter().for_each(Place::leave);
    }
}

impl Place {
    fn at(listener: Rc<Listener>) -> Place {
        Place { mailbox: listener.join(), listener }
    }

    fn leave(&self) {
        self.listener.leave(&self.mailbox);
    }
}

impl Listens {
    fn at(listener: Rc<Listener>) -> Listens {
        Listens {
            place: Place::at(listener),
            channels: Channels::new(),
            announced: Channels::new(),
            ahead: Channels::new(),
            fresh: Channels::new(),
            awaits_answers: false,
            waits: None,
            caught_up: false,
            alone: false,
            owes_ready: false,
            set_up: SetUp::No,
            next: None,
        }
    }

    /// Whether there is nothing left to listen to, to wait for or to find out.
    fn is_over(&self) -> bool {
        self.channels.is_empty()
            && self.announced.is_empty()
            && self.waits.is_none()
            && !self.owes_ready
            && !self.alone
            && self.set_up == SetUp::No
    }

    fn wait(&mut self, target: Arc<Target>, then: Then) {
        self.waits = Some((self.place.listener.catch_up(target), then));
    }

    /// Throws out what is not for the session.
    fn sort(&self) {
        self.place.mailbox.retain(|channel| has(&self.channels, channel) || has(&self.ahead, channel));
    }

    /// LISTENs further on that were not sent by the end of their cycle never are.
    fn forget_ahead(&mut self) {
        if !self.ahead.is_empty() {
            let ahead = std::mem::take(&mut self.ahead);
            self.announced.retain(|name| !has(&ahead, name));
            self.want_all();
            self.place.mailbox.retain(|channel| !has(&ahead, channel));
        }
    }

    fn want_all(&self) {
        self.place.mailbox.want(self.channels.iter().chain(&self.announced));
    }

    /// All that it may listen to, and `more`.
    fn all_and(&self, more: &Channels) -> Channels {
        let mut all = self.channels.clone();
        all.extend(more.iter().filter(|name| !self.channels.contains(name)).cloned());
        all
    }

    fn decide(&mut self, channels: Channels) {
        self.channels = channels;
        let ahead = &self.ahead;
        self.announced.retain(|name| has(ahead, name));
        (self.set_up, self.alone) = (SetUp::No, false);
        self.want_all();
        self.sort();
    }

    /// Until the probe has told what the session listens to, it is not known what is for it.
    fn is_decided(&self) -> bool {
        self.announced.is_empty() && self.set_up == SetUp::No
    }

    /// Begins to hear in the encoding that the session has changed to. Not with names that it would have to spell
    /// otherwise.
    fn move_to(&mut self, listener: Rc<Listener>, target: Arc<Target>) {
        let next = Place::at(listener);
        next.mailbox.want(self.channels.iter());
        self.waits = Some((next.listener.catch_up(target), Then::Move(self.place.mailbox.len())));
        self.next = Some(next);
    }

    /// The other listener listens. What came meanwhile may have come to both, or to one of them.
    fn moved(&mut self, letters_before: usize, heard: bool) {
        let Some(next) = self.next.take() else { return };
        let quiet = self.place.mailbox.len() == letters_before && next.mailbox.is_empty();
        next.mailbox.inherit(&self.place.mailbox, !(quiet && heard));
        self.place.leave();
        self.place = next;
    }

    /// The listener has caught up, or cannot.
    fn caught_up(&mut self, then: Then, heard: bool) {
        match then {
            Then::Ready => self.owes_ready = true,
            Then::Move(letters_before) => self.moved(letters_before, heard),
            Then::GoOn => {
                self.caught_up = true;
                self.alone |= !heard;
                let fresh = std::mem::take(&mut self.fresh);
                self.place.mailbox.retain(|channel| !has(&fresh, channel));
                if self.channels.is_empty() {
                    // Who listens to nothing begins behind what is committed before its own COMMIT.
                    self.sort();
                }
            }
        }
        if self.alone {
            self.announced.clear();
            self.ahead.clear();
            self.want_all();
        }
    }
}

impl Session {
    /// What must happen before a statement with these effects is sent; `None` when it has.
    pub(super) fn listening_first(&mut self, text: &[u8], effects: Effects) -> Option<Flow> {
        if self.mode == PoolMode::Session || effects.contains(Effects::DISCARD) {
            return None;
        }
        if effects.contains(Effects::LISTEN) {
            if self.cycle_under_way() {
                // What it notifies was committed before.
                self.one_cycle_at_a_time();
                return Some(Flow::Later);
            }
            if self.awaits_answers() || self.announce(text, false) {
                return Some(Flow::Later);
            }
        }
        self.note_asking_for_channels(effects);
        if effects.contains(Effects::BEGIN) {
            self.bring_channels();
        }
        let listens = self.listens.as_mut()?;
        let begins = listens.channels.is_empty() && !listens.announced.is_empty();
        if effects.contains(Effects::COMMIT) && begins && !listens.caught_up {
            listens.wait(self.pool.target(), Then::GoOn);
            return Some(Flow::Later);
        }
        if effects.intersects(CHANNELS) {
            listens.caught_up = false;
        }
        if self.listens_on_server(effects) {
            if self.server.is_none() {
                return Some(Flow::Server);
            }
            self.set_up_channels();
        }
        None
    }

    /// The client's next cycle waits until this one was answered.
    pub(super) fn one_cycle_at_a_time(&mut self) {
        self.listens();
    }

    /// Whether the session has listened to something since before this transaction.
    pub(super) fn listens_already(&self) -> bool {
        let listens = |known: &Listens| !known.channels.is_empty();
        self.mode != PoolMode::Session && self.listens.as_deref().is_some_and(listens)
    }

    /// What a session that has not listened before notifies ahead of its LISTEN, in the same batch, is not for it: that must have happened before the
    /// listener listens.
    fn awaits_answers(&mut self) -> bool {
        let runs = |expect: &Expect| !expect.ours && expect.kind == Kind::Execute;
        let runs = |server: &Server| server.expects.iter().any(runs);
        let waits = self.batch_open && !self.listens_already() && self.server.as_deref().is_some_and(runs);
        if waits {
            self.server.iter_mut().for_each(|server| emit::empty(&mut server.out, front::FLUSH));
        }
        if waits || self.listens.is_some() {
            self.listens().awaits_answers = waits;
        }
        waits
    }

    /// The same as [`Session::announce`] for LISTENs that stand further on than what is sent next.
    pub(super) fn announce_ahead(&mut self, text: &[u8]) -> bool {
        self.announce(text, true)
    }

    /// Has the listener hear the channels of these LISTENs. Gives whether the statement must wait for that.
    fn announce(&mut self, text: &[u8], ahead: bool) -> bool {
        let (text, _) = frame::cstr(text).unwrap_or((text, b""));
        let mut named = Channels::new();
        for one in sql::summarize(text, self.dialect).statements {
            if let Detail::Listen { channel } = one.detail {
                named.push(significant(&channel).into());
            }
        }
        if let Some(listens) = &mut self.listens {
            if !ahead {
                listens.ahead.retain(|name| !has(&named, name));
            }
            named.retain(|name| !listens.channels.contains(name) && !listens.announced.contains(name));
            if listens.alone {
                return false;
            }
        }
        if named.is_empty() {
            return false;
        }
        let target = self.pool.target();
        let listens = self.listens();
        if ahead {
            listens.ahead.extend_from_slice(&named);
        }
        listens.fresh.extend_from_slice(&named);
        listens.announced.append(&mut named);
        listens.want_all();
        listens.wait(target, Then::GoOn);
        self.after |= Effects::CHANNELS;
        true
    }

    fn listens(&mut self) -> &mut Listens {
        let encoding = self.encoding().map(Into::into);
        let (worker, pool) = (&self.worker, &self.pool);
        self.listens.get_or_insert_with(|| Box::new(Listens::at(worker.listener(pool, encoding))))
    }

    /// The `client_encoding` that the session has asked for.
    fn encoding(&self) -> Option<&[u8]> {
        self.state.settings().get(&b"client_encoding"[..]).map(|name| &**name)
    }

    /// Whether the client's next message must wait: for the listener, or for the end of the cycle before.
    pub(super) fn waits_for_listener(&self) -> bool {
        let Some(listens) = &self.listens else { return false };
        let answered = self.server.as_ref().is_none_or(|server| server.expects.is_empty());
        listens.waits.is_some()
            || listens.owes_ready
            || self.cycle_under_way()
            || listens.awaits_answers && !answered
    }

    /// Whether a cycle that the client has ended is still to be answered.
    pub(super) fn cycle_under_way(&self) -> bool {
        let ends = |expect: &Expect| !expect.ours && expect.ends_with_ready();
        self.server.as_ref().is_some_and(|server| !server.copy_in && server.expects.iter().any(ends))
    }

    /// Whether what this transaction did to the channels must be asked of the server.
    pub(super) fn channels_may_have_changed(&self, effects: Effects) -> bool {
        effects.intersects(CHANNELS) && self.listens.is_some()
    }

    /// Whether a LISTEN now is for the session's own server.
    pub(super) fn listens_alone(&self) -> bool {
        self.mode == PoolMode::Session || self.listens.as_ref().is_some_and(|listens| listens.alone)
    }

    /// Whether the session hears this channel by the listener.
    pub(super) fn hears(&self, message: &[u8]) -> bool {
        let channel = message.get(HEADER + 4..).and_then(frame::cstr);
        let listens = self.listens.as_ref().zip(channel);
        listens.is_some_and(|(listens, (channel, _))| has(&listens.channels, channel))
    }

    /// The client's transaction ended: what it notified is heard before the client may go on.
    pub(super) fn ready_waits(&mut self) -> bool {
        let (Some(listens), Some(server)) = (&mut self.listens, &self.server) else { return false };
        listens.forget_ahead();
        let ended = server.tx == TxStatus::Idle && server.expects.is_empty();
        let hears = !listens.channels.is_empty() || !listens.announced.is_empty();
        if ended && hears {
            listens.wait(server.pool().target(), Then::Ready);
        }
        ended && hears
    }

    /// What the server listens to after the transaction, and whether the marker is there; gives whether that pins the
    /// session to it.
    pub(super) fn listened(&mut self, heard: Channels, marked: bool) -> bool {
        let Some(listens) = &mut self.listens else { return !heard.is_empty() };
        let known = |name: &[u8]| has(&listens.channels, name) || has(&listens.announced, name);
        let hidden = !heard.iter().all(|name| known(name));
        let channels = match listens.set_up {
            _ if hidden => listens.channels.clone(),
            SetUp::Before => heard.clone(),
            SetUp::Within(_) if marked => heard.clone(),
            SetUp::Within(_) | SetUp::No => listens.all_and(&heard),
        };
        listens.decide(channels);
        if let (Some(server), false, false) = (&mut self.server, hidden, heard.is_empty()) {
            server.ask(b"UNLISTEN *", Note::None);
        }
        hidden
    }

    /// The client's message was answered by an error, and never sent.
    pub(super) fn listened_to_nothing(&mut self) {
        if let Some(listens) = &mut self.listens {
            listens.forget_ahead();
            listens.decide(listens.channels.clone());
        }
    }

    /// UNLISTEN *, by DISCARD ALL. What stands behind it in the same batch may listen again: the probe tells.
    pub(super) fn listens_no_more(&mut self) {
        let in_cycle = self.server.is_some();
        match &mut self.listens {
            Some(listens) if in_cycle && !listens.announced.is_empty() => {
                listens.channels.clear();
                listens.set_up = SetUp::Before;
            }
            Some(listens) => listens.decide(Channels::new()),
            None => {}
        }
    }

    /// Goes on with what waited for the listener, and tells the client what it heard.
    pub(super) fn poll_listening(&mut self, cx: &mut Context<'_>) -> bool {
        let rests = self.hears_now();
        let Some(listens) = &mut self.listens else { return false };
        listens.place.mailbox.wake_by(cx.waker());
        let mut progress = false;
        if let Some((wish, then)) = &mut listens.waits
            && let Poll::Ready(result) = wish.poll(cx)
        {
            progress = true;
            let then = *then;
            listens.waits = None;
            listens.caught_up(then, result.is_ok());
        }
        let tells = listens.owes_ready || rests;
        if !tells || self.settling || listens.waits.is_some() || !listens.is_decided() {
            return progress;
        }
        if self.follows_encoding() {
            return true;
        }
        let Some(listens) = &mut self.listens else { return progress };
        if listens.owes_ready || !listens.place.mailbox.is_empty() {
            progress = true;
            self.pool.stats().notifications.add(listens.place.mailbox.empty_into(&mut self.out));
            if std::mem::take(&mut listens.owes_ready) {
                emit::ready(&mut self.out, TxStatus::Idle);
            }
        }
        if listens.is_over() {
            self.listens = None;
        }
        progress
    }

    /// Sends the session to the listener of the encoding that it has changed to, if it has.
    fn follows_encoding(&mut self) -> bool {
        let stays = |listens: &Listens| {
            let names = &listens.channels;
            let here = listens.place.listener.encoding() == self.encoding();
            here || names.is_empty() || !names.iter().all(|name| name.is_ascii())
        };
        if self.listens.as_deref().is_none_or(stays) {
            return false;
        }
        let listener = self.worker.listener(&self.pool, self.encoding().map(Into::into));
        let target = self.pool.target();
        self.listens.iter_mut().for_each(|listens| listens.move_to(listener.clone(), target.clone()));
        true
    }

    /// Between transactions a client may be told at any time.
    fn hears_now(&self) -> bool {
        self.held_begin.is_none()
            && self.ticket.is_none()
            && !self.batch_open
            && self.input_rest == 0
            && self.out.len() < BACKLOG
            && self.server.as_ref().is_none_or(|server| {
                server.tx == TxStatus::Idle && server.expects.iter().all(|expect| expect.ours)
            })
    }
}

fn has(channels: &Channels, name: &[u8]) -> bool {
    channels.iter().any(|known| **known == *name)
}
