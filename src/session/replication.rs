//! Replication connections: a server of their own, logged in for this client alone, and bytes both ways.
//!
//! What they speak is not looked into: SQL and commands of replication, COPY in both directions, in any order. Only the
//! heads of the server's messages are followed, to know where one ends and whether the connection rests: that is when
//! it can be ended with a word. In each direction no more is held than one read brought; a side that does not take it
//! keeps the other side from being read.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use super::admit::{self, Admission};
use super::handle::{Handle, Request};
use super::serve::KEPT;
use crate::pool::Target;
use crate::pool::budget::Share;
use crate::pool::connect::{self, Connected, Params};
use crate::pool::server::Shared;
use crate::runtime::Worker;
use crate::stats::PoolStats;
use crate::wire::frame::{HEADER, back};
use crate::wire::{Fault, Socket};

/// What a client replicates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replication {
    /// A whole node: `replication=true`.
    Physical,
    /// A database: `replication=database`.
    Logical,
}

impl Replication {
    /// What the value of the startup parameter asks for, read as PostgreSQL reads it; `None`: an ordinary connection.
    ///
    /// # Errors
    /// FATAL 22023 for any other value.
    pub fn asked(value: &[u8]) -> Result<Option<Replication>, Fault> {
        if value == b"database" {
            return Ok(Some(Replication::Logical));
        }
        let given = value.to_ascii_lowercase();
        let shortens = |word: &[u8], least: usize| given.len() >= least && word.starts_with(&given);
        if shortens(b"true", 1) || shortens(b"yes", 1) || shortens(b"on", 2) || given == b"1" {
            return Ok(Some(Replication::Physical));
        }
        if shortens(b"false", 1) || shortens(b"no", 1) || shortens(b"off", 2) || given == b"0" {
            return Ok(None);
        }
        let value = String::from_utf8_lossy(value);
        Err(Fault::fatal("22023", format!("invalid value for parameter \"replication\": \"{value}\""))
            .hint("Valid values are: \"false\", 0, \"true\", 1, \"database\"."))
    }

    fn value(self) -> &'static [u8] {
        match self {
            Replication::Physical => b"true",
            Replication::Logical => b"database",
        }
    }
}

/// Logs in to a server for the client, greets it, and relays until one of the two leaves.
pub(super) async fn admit(worker: Rc<Worker>, admission: Admission, kind: Replication) {
    let Admission { socket, input, target, settings, minor, pending, peer, shares: counted, .. } = admission;
    let Ok(client) = socket.attach() else { return };
    let stats = worker.stats(&target);
    let (connected, shares) = match open(&worker, &target, settings, kind).await {
        Ok(opened) => opened,
        Err(fault) => return admit::refuse(client, pending, &stats, fault).await,
    };
    let Connected { socket: server, host, address, tls, pid, secret, params, .. } = connected;
    let shared = Shared {
        host,
        address,
        tls,
        pid,
        secret,
        cancels: Default::default(),
        own: Default::default(),
        born: Instant::now(),
        follow: Default::default(),
        prepared: Default::default(),
    };
    let all = params.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
    let application =
        all.clone().rfind(|(name, _)| *name == b"application_name").map_or(&b""[..], |one| one.1);
    let handle = worker.register(|pid| Handle {
        replication: Some(kind),
        server: Some(Rc::new(shared)).into(),
        ..admit::new_handle(pid, minor, &target, application, peer)
    });
    stats.client_logins.add(1);
    let asked = !input.is_empty();
    let down = Pipe::holding(admit::greeting(pending, &handle, all));
    let mut relay = Relay {
        worker: worker.clone(),
        handle: handle.clone(),
        stats,
        client,
        server,
        up: Pipe::holding(input),
        down,
        heads: Heads { ready: true, asked, ..Heads::default() },
        draining: false,
    };
    let end = std::future::poll_fn(|cx| relay.poll(cx)).await;
    tracing::debug!(pid = handle.pid, ?end, "replication connection ended");
    // Unread bytes would make the system throw away what the client was told last.
    relay.client.take_early_bytes();
    worker.unregister(&handle);
    drop((relay, shares, counted));
}

/// A server for this client, and its places among the servers and the replication connections.
async fn open(
    worker: &Worker,
    target: &Arc<Target>,
    settings: Params,
    kind: Replication,
) -> Result<(Connected, [Share; 2]), Fault> {
    if worker.is_paused(&target.database) {
        let text = format!("database \"{}\" is paused", target.database);
        return Err(Fault::fatal("57P03", text).hint("RESUME it on the console"));
    }
    let (servers, connections) = (&worker.shared.servers, &worker.shared.replication);
    let full = |name: &str, limit: usize| {
        Fault::fatal("53300", format!("too many replication connections ({name} = {limit})"))
    };
    let connection = connections.take().ok_or_else(|| full("max_replication", connections.limit()))?;
    let server = servers.take().ok_or_else(|| full("max_servers", servers.limit()))?;
    let mut params = vec![(b"replication".to_vec(), kind.value().to_vec())];
    params.extend(settings);
    let connected = connect::connect_with(target, &params).await;
    let stats = worker.stats(target);
    let outcome = if connected.is_ok() { &stats.server_logins } else { &stats.server_logins_failed };
    outcome.add(1);
    Ok((connected?, [server, connection]))
}

/// A client and its server, and the bytes between them.
struct Relay {
    worker: Rc<Worker>,
    handle: Rc<Handle>,
    stats: Arc<PoolStats>,
    client: Socket,
    server: Socket,
    /// From the client to the server.
    up: Pipe,
    /// From the server to the client.
    down: Pipe,
    heads: Heads,
    draining: bool,
}

/// One direction: what was read and is not yet taken.
#[derive(Debug, Default)]
struct Pipe {
    held: Vec<u8>,
    written: usize,
    /// Nothing more is read.
    over: bool,
    /// The taker was told so.
    shut: bool,
}

impl Relay {
    /// Moves what can be moved. Ready when the connection is over, as it is when either socket fails.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.handle.waker.borrow_mut().clone_from(cx.waker());
        match self.handle.request.take() {
            Some(Request::Kill) => {
                self.say_goodbye();
                // What the client does not take at once it does not get.
                let _ = self.down.deliver(cx, &mut self.client);
                return Poll::Ready(Ok(()));
            }
            Some(Request::Drain) => self.draining = true,
            Some(Request::Cancel | Request::Quiet(_)) | None => {}
        }
        if self.draining && !self.down.over && self.heads.may_end_here() {
            self.say_goodbye();
        }
        self.poll_up(cx)?;
        self.poll_down(cx)
    }

    /// Reads no more from the server. Between two of its messages the client can be told why.
    fn say_goodbye(&mut self) {
        self.down.over = true;
        if !self.heads.is_within() {
            let why = Fault::fatal("57P01", "terminating connection due to administrator command");
            self.stats.error(&why.sqlstate);
            why.emit(&mut self.down.held);
        }
    }

    fn poll_up(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while !self.up.shut {
            match self.up.deliver(cx, &mut self.server) {
                Poll::Ready(Ok(())) => {}
                Poll::Pending => return Ok(()),
                // What the server said before it closed is still to be read.
                Poll::Ready(Err(_)) => {
                    self.up = Pipe { over: true, shut: true, ..Pipe::default() };
                    return Ok(());
                }
            }
            if self.up.over {
                self.up.shut = self.server.poll_shutdown(cx).is_ready();
                return Ok(());
            }
            let mut scratch = self.worker.take_scratch();
            let read = self.client.poll_read(cx, &mut scratch);
            if let Poll::Ready(Ok(n)) = read {
                self.up.over = n == 0;
                self.heads.asked |= n > 0;
                self.stats.received.add(n as u64);
                self.up.held.extend_from_slice(&scratch[..n]);
            }
            self.worker.put_scratch(scratch);
            match read {
                Poll::Ready(read) => drop(read?),
                Poll::Pending => return Ok(()),
            }
        }
        Ok(())
    }

    fn poll_down(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.down.deliver(cx, &mut self.client))?;
            if self.down.over {
                return self.client.poll_flush(cx);
            }
            let mut scratch = self.worker.take_scratch();
            let read = self.server.poll_read(cx, &mut scratch);
            if let Poll::Ready(Ok(n)) = read {
                let passed = self.heads.follow(&scratch[..n], self.draining);
                self.down.over = n == 0;
                self.down.held.extend_from_slice(&scratch[..passed]);
                self.stats.sent.add(passed as u64);
                if self.draining && self.heads.may_end_here() {
                    self.say_goodbye();
                }
            }
            self.worker.put_scratch(scratch);
            match read {
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => self.down.over = true,
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Pipe {
    fn holding(held: Vec<u8>) -> Pipe {
        Pipe { held, ..Pipe::default() }
    }

    /// Writes what is held; ready when all of it is taken.
    fn deliver(&mut self, cx: &mut Context<'_>, to: &mut Socket) -> Poll<io::Result<()>> {
        while self.written < self.held.len() {
            self.written += ready!(to.poll_write(cx, &self.held[self.written..]))?;
        }
        self.written = 0;
        if self.held.capacity() > KEPT {
            self.held = Vec::new();
        }
        self.held.clear();
        // With TLS, what was taken may still wait for the socket, which wakes us.
        match to.poll_flush(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(())),
        }
    }
}

/// Where the server is in its messages, by their heads alone.
#[derive(Debug, Default)]
struct Heads {
    head: [u8; HEADER],
    /// Bytes of a head that are there.
    have: usize,
    /// Bytes of a body that are to come.
    rest: usize,
    /// Both sides copy: a stream without an end.
    streams: bool,
    /// ReadyForQuery outside a transaction was the last that it said.
    ready: bool,
    /// The client has said something since.
    asked: bool,
}

impl Heads {
    fn is_within(&self) -> bool {
        self.have > 0 || self.rest > 0
    }

    /// Whether nothing is lost when the connection ends after what was followed: a stream goes on elsewhere from where
    /// it was confirmed.
    fn may_end_here(&self) -> bool {
        !self.is_within() && (self.streams || self.ready && !self.asked)
    }

    /// Follows messages. Gives how many bytes were followed: all of them, but for one who wants to end, up to where
    /// that may be.
    fn follow(&mut self, bytes: &[u8], ending: bool) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            if self.rest > 0 {
                let step = self.rest.min(bytes.len() - at);
                self.rest -= step;
                at += step;
            } else {
                self.head[self.have] = bytes[at];
                self.have += 1;
                at += 1;
                if self.have < HEADER {
                    continue;
                }
                let [_, length @ ..] = self.head;
                self.rest = (u32::from_be_bytes(length) as usize).saturating_sub(4);
                self.have = 0;
            }
            if self.rest == 0 {
                self.message_ended(bytes[at - 1]);
                if ending && self.may_end_here() {
                    break;
                }
            }
        }
        at
    }

    fn message_ended(&mut self, last: u8) {
        match self.head[0] {
            back::COPY_BOTH_RESPONSE => self.streams = true,
            back::COPY_DONE | back::ERROR_RESPONSE => self.streams = false,
            back::READY_FOR_QUERY => {
                *self = Heads { head: self.head, ready: last == b'I', ..Heads::default() };
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, expected: Result<Option<Replication>, &str>) {
        let got = Replication::asked(value.as_bytes()).map_err(|fault| fault.sqlstate);
        assert_eq!(got, expected.map_err(str::to_owned), "{value}");
    }

    #[test]
    fn values_are_read_as_the_server_reads_them() {
        ["true", "TRUE", "t", "yes", "y", "on", "1"]
            .iter()
            .for_each(|value| check(value, Ok(Some(Replication::Physical))));
        ["false", "F", "no", "of", "OFF", "0"].iter().for_each(|value| check(value, Ok(None)));
        check("database", Ok(Some(Replication::Logical)));
        ["", "o", "maybe", "Database", "trueish", "10"].iter().for_each(|value| check(value, Err("22023")));
    }

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        [&[tag][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()
    }

    #[test]
    fn heads_tell_where_a_connection_may_end() {
        let ready = message(b'Z', b"I");
        let stream = [message(b'W', &[0, 0, 0]), message(b'd', b"wal"), message(b'd', b"more")].concat();
        let mut heads = Heads { asked: true, ..Heads::default() };
        for byte in &ready {
            assert!(!heads.may_end_here());
            assert_eq!(heads.follow(&[*byte], false), 1);
        }
        assert!(heads.may_end_here());
        heads.asked = true;
        assert!(!heads.may_end_here(), "a command runs");
        assert_eq!(heads.follow(&stream, false), stream.len());
        assert!(heads.may_end_here(), "a stream has no end to wait for");
        let more = [message(b'd', b"x"), message(b'd', b"y")].concat();
        assert_eq!(heads.follow(&more[..3], true), 3);
        assert!(heads.is_within());
        assert_eq!(heads.follow(&more[3..], true), 3, "up to the end of the first");
        heads.follow(&more[6..], false);
        heads.follow(&message(b'c', b""), false);
        assert!(!heads.may_end_here());
        heads.follow(&message(b'Z', b"T"), false);
        assert!(!heads.may_end_here(), "a transaction is open");
    }
}
