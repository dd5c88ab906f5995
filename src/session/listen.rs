//! LISTEN without a server of one's own: the worker's [`Listener`] hears for all sessions of a database.
//!
//! LISTEN, UNLISTEN and whatever else reads or changes the session's channels run on the session's server like any
//! statement, so that their errors, their tags and their transactions are PostgreSQL's. Around them:
//!
//! 1. Before a LISTEN is sent, the listener listens to the channel and has caught up: what it hears from then on
//!    was not committed before the client asked. The same again before a COMMIT of a transaction that listened.
//! 2. A session that listens already has its channels set up on its server first, for UNLISTEN and
//!    `pg_listening_channels()` to act on.
//! 3. After the transaction the probe reads what the server listens to: these are the session's channels. The
//!    mailbox hears them from now on, and the server forgets them before it is released.
//!
//! What a transaction notifies, its own session hears before the answer ends, as with PostgreSQL: the ReadyForQuery of
//! a session that listens waits until the listener has caught up. A LISTEN that the text does not show, in a function,
//! pins the session to its server; so does every LISTEN while the listener cannot connect.

use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::serve::{BACKLOG, Session};
use super::statement::significant;
use super::upstream::Flow;
use crate::config::settings::PoolMode;
use crate::pool::Target;
use crate::pool::exchange::{Expect, Kind, Note};
use crate::pool::listener::{CatchUp, Channels, Listener, Mailbox};
use crate::pool::state::quote_identifier;
use crate::sql::{self, Detail, Effects};
use crate::wire::emit;
use crate::wire::frame::{self, HEADER, TxStatus};

/// Effects that need the session's channels on its server.
const CHANNELS: Effects = Effects::LISTEN.union(Effects::UNLISTEN).union(Effects::CHANNELS);

/// What a session listens to.
pub(super) struct Listens {
    listener: Rc<Listener>,
    mailbox: Rc<Mailbox>,
    /// As of the last transaction.
    channels: Channels,
    /// Of LISTENs whose transaction has not ended.
    announced: Channels,
    /// The session waits for the listener to catch up.
    waits: Option<(CatchUp, Then)>,
    /// Nothing for `announced` is in the mailbox that was committed before the client's last message.
    caught_up: bool,
    /// The listener could not connect: this transaction's LISTENs are not announced.
    alone: bool,
    /// A ReadyForQuery is to follow the notifications.
    owes_ready: bool,
    set_up: SetUp,
    /// A savepoint was used after the set-up.
    savepoint: bool,
    /// The last thing that the server said of a statement: it failed, or it was a rollback.
    rolled_back: bool,
}

/// What becomes of the session when the listener has caught up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// The client's message is looked at again.
    GoOn,
    /// The answer ends.
    Ready,
}

/// Whether the session's channels are on its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SetUp {
    No,
    /// Since before the transaction.
    Before,
    /// Since within the transaction: they go when it is rolled back.
    Within,
}

impl Drop for Listens {
    fn drop(&mut self) {
        self.listener.leave(&self.mailbox);
    }
}

impl Listens {
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
        self.waits = Some((self.listener.catch_up(target), then));
    }

    /// Throws out what is not for the session.
    fn sort(&self) {
        self.mailbox.retain(|channel| has(&self.channels, channel));
    }

    fn want_all(&self) {
        self.mailbox.want(self.channels.iter().chain(&self.announced));
    }

    /// All that it may listen to, and `more`.
    fn all_and(&self, more: &Channels) -> Channels {
        let mut all = self.channels.clone();
        all.extend(more.iter().filter(|name| !self.channels.contains(name)).cloned());
        all
    }

    fn decide(&mut self, channels: Channels) {
        self.channels = channels;
        self.announced.clear();
        (self.set_up, self.savepoint, self.alone) = (SetUp::No, false, false);
        self.want_all();
        self.sort();
    }
}

impl Session {
    /// What must happen before a statement with these effects is sent; `None` when it has.
    pub(super) fn listening_first(&mut self, text: &[u8], effects: Effects) -> Option<Flow> {
        if self.mode == PoolMode::Session || effects.contains(Effects::DISCARD) {
            return None;
        }
        if effects.contains(Effects::LISTEN) && self.announce(text) {
            return Some(Flow::Later);
        }
        let listens = self.listens.as_mut()?;
        listens.savepoint |= effects.contains(Effects::SAVEPOINT);
        if effects.contains(Effects::COMMIT) && !listens.announced.is_empty() && !listens.caught_up {
            listens.wait(self.pool.target(), Then::GoOn);
            return Some(Flow::Later);
        }
        if effects.intersects(CHANNELS) {
            listens.caught_up = false;
        }
        if self.listens_on_server(effects) && !self.batch_open {
            if self.server.is_none() {
                return Some(Flow::Server);
            }
            self.set_up_channels();
        }
        None
    }

    /// Whether a statement with these effects needs the session's channels on the server, which are not there yet.
    pub(super) fn listens_on_server(&self, effects: Effects) -> bool {
        let missing = |known: &Listens| !known.channels.is_empty() && known.set_up == SetUp::No;
        effects.intersects(CHANNELS)
            && !effects.contains(Effects::DISCARD)
            && self.listens.as_deref().is_some_and(missing)
    }

    /// Has the listener hear the channels of these LISTENs. Gives whether the statement must wait for that.
    fn announce(&mut self, text: &[u8]) -> bool {
        let (text, _) = frame::cstr(text).unwrap_or((text, b""));
        let mut named = Channels::new();
        for one in sql::summarize(text, self.dialect).statements {
            if let Detail::Listen { channel } = one.detail {
                named.push(significant(&channel).into());
            }
        }
        if let Some(listens) = &self.listens {
            named.retain(|name| !listens.channels.contains(name) && !listens.announced.contains(name));
            if listens.alone {
                return false;
            }
        }
        if named.is_empty() {
            return false;
        }
        let encoding = self.state.settings().get(&b"client_encoding"[..]).cloned();
        let listens = self.listens.get_or_insert_with(|| {
            let listener = self.worker.listener(&self.pool, encoding);
            Box::new(Listens {
                mailbox: listener.join(),
                listener,
                channels: Channels::new(),
                announced: Channels::new(),
                waits: None,
                caught_up: false,
                alone: false,
                owes_ready: false,
                set_up: SetUp::No,
                savepoint: false,
                rolled_back: false,
            })
        });
        listens.announced.append(&mut named);
        listens.want_all();
        listens.wait(self.pool.target(), Then::GoOn);
        self.after |= Effects::CHANNELS;
        true
    }

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
        let between = server.tx == TxStatus::Idle && server.expects.is_empty();
        listens.set_up = if between { SetUp::Before } else { SetUp::Within };
        emit::query(&mut server.out, &sql);
        server.expect(Expect::ours(Kind::Query, Note::None));
        self.after |= Effects::CHANNELS;
    }

    /// Whether the client's next message must wait.
    pub(super) fn waits_for_listener(&self) -> bool {
        self.listens.as_ref().is_some_and(|listens| listens.waits.is_some() || listens.owes_ready)
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

    /// A statement ended, or failed.
    pub(super) fn note_end(&mut self, rolled_back: bool) {
        if let Some(listens) = &mut self.listens {
            listens.rolled_back = rolled_back;
        }
    }

    /// The client's transaction ended: what it notified is heard before the client may go on.
    pub(super) fn ready_waits(&mut self) -> bool {
        let (Some(listens), Some(server)) = (&mut self.listens, &self.server) else { return false };
        let ended = server.tx == TxStatus::Idle && server.expects.is_empty();
        let hears = !listens.channels.is_empty() || !listens.announced.is_empty();
        if ended && hears {
            listens.wait(server.pool().target(), Then::Ready);
        }
        ended && hears
    }

    /// What the server listens to after the transaction; gives whether that pins the session to it.
    pub(super) fn listened(&mut self, heard: Channels) -> bool {
        let Some(listens) = &mut self.listens else { return !heard.is_empty() };
        let known = |name: &[u8]| has(&listens.channels, name) || has(&listens.announced, name);
        let hidden = !heard.iter().all(|name| known(name));
        let undone = listens.set_up == SetUp::Within && (listens.rolled_back || listens.savepoint);
        let channels = match listens.set_up {
            _ if hidden => listens.channels.clone(),
            SetUp::Before | SetUp::Within if !undone => heard.clone(),
            _ => listens.all_and(&heard),
        };
        listens.decide(channels);
        if let (Some(server), false, false) = (&mut self.server, hidden, heard.is_empty()) {
            emit::query(&mut server.out, b"UNLISTEN *");
            server.expect(Expect::ours(Kind::Query, Note::None));
        }
        hidden
    }

    /// Nobody knows what the transaction did: rather too much is heard than too little.
    pub(super) fn listened_to_what(&mut self) {
        if let Some(listens) = &mut self.listens {
            let all = listens.all_and(&listens.announced);
            listens.decide(all);
        }
    }

    /// The client's message was answered by an error, and never sent.
    pub(super) fn listened_to_nothing(&mut self) {
        if let Some(listens) = &mut self.listens {
            listens.decide(listens.channels.clone());
        }
    }

    /// UNLISTEN *, by DISCARD ALL.
    pub(super) fn listens_no_more(&mut self) {
        if let Some(listens) = &mut self.listens {
            listens.decide(Channels::new());
        }
    }

    /// Goes on with what waited for the listener, and tells the client what it heard.
    pub(super) fn poll_listening(&mut self, cx: &mut Context<'_>) -> bool {
        let rests = self.hears_now();
        let Some(listens) = &mut self.listens else { return false };
        listens.mailbox.wake_by(cx.waker());
        let mut progress = false;
        if let Some((wish, then)) = &mut listens.waits
            && let Poll::Ready(result) = wish.poll(cx)
        {
            progress = true;
            match *then {
                Then::Ready => listens.owes_ready = true,
                Then::GoOn => {
                    listens.caught_up = true;
                    listens.alone |= result.is_err();
                    listens.sort();
                }
            }
            listens.waits = None;
            if listens.alone {
                listens.announced.clear();
                listens.want_all();
            }
        }
        // Until the probe has told what the session listens to, it is not known what is for it.
        let decided = listens.announced.is_empty() && listens.set_up == SetUp::No;
        if decided && (listens.owes_ready || rests && !listens.mailbox.is_empty()) {
            progress = true;
            self.pool.stats().notifications.add(listens.mailbox.empty_into(&mut self.out));
            if std::mem::take(&mut listens.owes_ready) {
                emit::ready(&mut self.out, TxStatus::Idle);
            }
        }
        if listens.is_over() {
            self.listens = None;
        }
        progress
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
