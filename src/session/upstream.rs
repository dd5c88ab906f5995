//! What the client sends: each message is answered here, or goes to the session's server.

use super::serve::Session;
use crate::config::settings::PoolMode;
use crate::pool::exchange::{Commits, Expect, Kind};
use crate::pool::{Ahead, Read};
use crate::wire::frame::{Frame, HEADER, front};
use crate::wire::{Fault, emit};

/// The longest of the messages that are short by nature (`PQ_SMALL_MESSAGE_LIMIT`).
const SMALL: usize = 10_000;

/// What became of a message.
pub(super) enum Flow {
    /// So many bytes of it were taken.
    Taken(usize),
    /// More of it must arrive first.
    More,
    /// It cannot be answered without a server.
    Server,
    /// It is looked at again, when what it waits for has happened.
    Later,
}

impl Session {
    /// Takes messages off the front of `bytes`; gives how many bytes were taken.
    pub(super) fn take(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            if self.end.is_some() || self.leaving {
                return bytes.len();
            }
            if self.is_held_up() {
                break;
            }
            if let Some(server) = &self.server {
                server.shared.follow.close();
            }
            let leased = self.server.is_some();
            let behind_a_read = self.reading_now.is_some();
            let flow = self.take_one(&bytes[at..]);
            if matches!(flow, Flow::Server) {
                self.want_server(None);
                if self.skipping {
                    self.capture_refused(&bytes[at..], "53300");
                }
            }
            if !leased {
                self.unsent.iter_mut().for_each(|unsent| unsent.from = at);
            }
            match flow {
                Flow::Taken(taken) => {
                    at += taken;
                    self.unused = false;
                    self.note_taken(taken);
                    self.note_cycle_taken(taken);
                    if behind_a_read {
                        // The time of both says nothing of the read.
                        self.reading_now = None;
                    } else if self.reading_now.is_some() && at == bytes.len() {
                        self.let_follow();
                    }
                }
                Flow::More => break,
                Flow::Server | Flow::Later => {}
            }
        }
        at
    }

    pub(super) fn take_one(&mut self, bytes: &[u8]) -> Flow {
        self.waits_no_more_to_explain();
        if self.input_rest > 0 {
            return self.take_rest(bytes);
        }
        let frame = match Frame::peek(bytes) {
            Ok(Some(frame)) => frame,
            Ok(None) => return Flow::More,
            Err(bad) => return self.refuse(&bad.into(), bytes),
        };
        if let Some(fault) = impossible(frame) {
            return self.refuse(&fault, bytes);
        }
        if self.skipping {
            return self.skip(frame, bytes);
        }
        if self.may_explain(frame, bytes)
            && let Some(flow) = self.explain_message(frame, bytes)
        {
            return flow;
        }
        if self.worker.rules.stamp() != 0 {
            return self.ruled_message(frame, bytes);
        }
        self.message(frame, bytes)
    }

    fn refuse(&mut self, fault: &Fault, bytes: &[u8]) -> Flow {
        self.fatal(fault);
        Flow::Taken(bytes.len())
    }

    fn take_rest(&mut self, bytes: &[u8]) -> Flow {
        let taken = self.input_rest.min(bytes.len());
        self.input_rest -= taken;
        if let (Some(server), false) = (&mut self.server, self.drop_rest) {
            server.out.extend_from_slice(&bytes[..taken]);
        }
        Flow::Taken(taken)
    }

    pub(super) fn message(&mut self, frame: Frame, bytes: &[u8]) -> Flow {
        let whole = bytes.get(..frame.total);
        let skips = self.server.as_ref().is_some_and(|server| server.skips);
        if skips && !matches!(frame.tag, front::SYNC | front::TERMINATE) {
            return self.pass_over(frame, bytes);
        }
        self.forget_choice();
        if let Some(flow) = self.goes_on_there(frame, bytes) {
            return flow;
        }
        match frame.tag {
            front::TERMINATE => {
                self.leaving = true;
                Flow::Taken(bytes.len())
            }
            front::COPY_DATA | front::COPY_DONE | front::COPY_FAIL => self.copy(frame, bytes),
            front::FLUSH | front::SYNC if self.copies() => {
                if frame.tag == front::SYNC
                    && whole.is_some()
                    && let Some(server) = &mut self.server
                {
                    server.sync_in_copy();
                }
                self.forward(frame, bytes)
            }
            front::FLUSH if self.server.is_none() && frame.total == HEADER => Flow::Taken(HEADER),
            // The server says what is wrong with it, and skips to Sync.
            front::FLUSH if frame.total > HEADER => self.malformed(frame, bytes, Kind::Parse),
            front::FLUSH => {
                self.batch.flushed = true;
                self.forward(frame, bytes)
            }
            front::SYNC => whole.map_or(Flow::More, |whole| self.sync(whole)),
            front::QUERY => {
                self.spoil_by_query_in_batch();
                let flow = self.query(frame, bytes);
                if matches!(flow, Flow::Taken(_)) {
                    // It has ended the batch, if there was one.
                    (self.batch_open, self.batch) = (false, Default::default());
                    self.capture_query(frame, bytes);
                }
                flow
            }
            front::PARSE | front::BIND if !self.choose_for_batch(bytes) => Flow::Later,
            front::PARSE => self.look_ahead(bytes).unwrap_or_else(|| self.parse(frame, bytes)),
            front::BIND => self.look_ahead(bytes).unwrap_or_else(|| self.bind(frame, bytes)),
            front::DESCRIBE => whole.map_or(Flow::More, |whole| self.describe(whole)),
            front::CLOSE => whole.map_or(Flow::More, |whole| self.close(whole)),
            front::EXECUTE => whole.map_or(Flow::More, |whole| self.execute(whole)),
            front::FUNCTION_CALL => self.function_call(frame, bytes),
            tag => self.refuse(&unknown_type(tag), bytes),
        }
    }

    /// Some servers are of no use to others after a simple query inside a batch.
    pub(super) fn spoil_by_query_in_batch(&mut self) {
        if let (true, Some(server)) = (self.batch_open && self.mode != PoolMode::Session, &mut self.server) {
            server.spoiled |= server.trips_over_query_in_batch();
        }
    }

    fn copies(&self) -> bool {
        self.server.as_ref().is_some_and(|server| server.copy_in)
    }

    /// Messages of COPY go through while a server may want them; else they are dropped, as PostgreSQL does.
    fn copy(&mut self, frame: Frame, bytes: &[u8]) -> Flow {
        let Some(server) = &mut self.server else { return self.pass_over(frame, bytes) };
        if server.expects.is_empty() {
            return self.pass_over(frame, bytes);
        }
        match frame.tag {
            front::COPY_DATA => server.copy_goes_on(),
            _ => server.copy_ends(),
        }
        self.forward(frame, bytes)
    }

    /// Drops a message, however long.
    pub(super) fn pass_over(&mut self, frame: Frame, bytes: &[u8]) -> Flow {
        let taken = frame.total.min(bytes.len());
        self.input_rest = frame.total - taken;
        self.drop_rest = true;
        Flow::Taken(taken)
    }

    /// Sends a message on as it is, however long.
    pub(super) fn forward(&mut self, frame: Frame, bytes: &[u8]) -> Flow {
        let Some(server) = &mut self.server else { return Flow::Server };
        let taken = frame.total.min(bytes.len());
        server.out.extend_from_slice(&bytes[..taken]);
        self.input_rest = frame.total - taken;
        self.drop_rest = false;
        Flow::Taken(taken)
    }

    fn sync(&mut self, whole: &[u8]) -> Flow {
        if self.server.is_none() && whole.len() > HEADER {
            // The server says what is wrong with it.
            return Flow::Server;
        }
        self.batch_open = false;
        let batch = std::mem::take(&mut self.batch);
        match &mut self.server {
            Some(server) => {
                server.out.extend_from_slice(whole);
                server.expect(Expect::client(Kind::Sync).committing(batch.commits));
                server.skips = false;
                self.answer_here();
            }
            None => {
                let status = self.tx_status();
                emit::ready(&mut self.out, status);
            }
        }
        Flow::Taken(whole.len())
    }

    fn function_call(&mut self, frame: Frame, bytes: &[u8]) -> Flow {
        let Some(server) = &mut self.server else { return Flow::Server };
        server.expect(Expect::client(Kind::Function).committing(Commits::AtItsEnd));
        self.note_function_call(bytes);
        self.capture_call();
        self.forward(frame, bytes)
    }

    /// Leases an idle server, or stands in line, from where a message that is a `read` may be sent behind another session's.
    pub(super) fn want_server(&mut self, read: Option<Ahead<'_>>) {
        let pool = self.pool_to_lease_from();
        if let Some(server) = pool.try_lease(&self.state, self.server_again()) {
            return self.lease(server);
        }
        let judged = self.profiles.judge.stamp();
        let read = read.map(|ahead| Read::new(&self.state, &self.defaults, ahead, judged));
        match pool.enqueue(read) {
            Ok(ticket) => {
                self.handle.waiting.set(true);
                self.ticket = Some(ticket);
            }
            Err(fault) if !self.node_refuses() => self.refused(fault),
            Err(_) => {}
        }
    }

    /// The cycle at the front of the input was answered by an error: what remains of it is dropped.
    pub(super) fn skip(&mut self, frame: Frame, bytes: &[u8]) -> Flow {
        self.forget_cycle();
        let ends = matches!(frame.tag, front::QUERY | front::SYNC | front::FUNCTION_CALL);
        // A Query ends the cycle only when it is its first message; behind a batch it is skipped too.
        if ends && (frame.tag == front::SYNC || !self.batch_open) {
            self.skipping = false;
            self.batch_open = false;
            let status = self.tx_status();
            emit::ready(&mut self.out, status);
        } else {
            self.batch_open = true;
        }
        if frame.tag == front::TERMINATE {
            self.leaving = true;
        }
        self.pass_over(frame, bytes)
    }
}

fn unknown_type(tag: u8) -> Fault {
    Fault::protocol(format!("invalid frontend message type {tag}")).routine("SocketBackend")
}

/// Why PostgreSQL would end the connection at the sight of this head.
pub(super) fn impossible(frame: Frame) -> Option<Fault> {
    let small = match frame.tag {
        front::QUERY | front::PARSE | front::BIND | front::FUNCTION_CALL | front::COPY_DATA => false,
        front::CLOSE | front::DESCRIBE | front::EXECUTE | front::FLUSH | front::SYNC | front::TERMINATE => {
            true
        }
        front::COPY_DONE | front::COPY_FAIL => true,
        tag => return Some(unknown_type(tag)),
    };
    (small && frame.total > SMALL + 1).then(|| Fault::protocol("invalid message length"))
}

/// The body of a whole message.
pub(super) fn body(whole: &[u8]) -> &[u8] {
    &whole[HEADER.min(whole.len())..]
}
