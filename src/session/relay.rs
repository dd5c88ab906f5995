//! What the server answers: runs of bytes go to the client as they are; messages that carry state are looked at.

use std::io;
use std::ops::ControlFlow;
use std::task::{Context, Poll};

use super::outcome;
use super::rename::end_of_show;
use super::serve::{Batch, End, Session};
use crate::pool::Server;
use crate::pool::exchange::{Expect, Kind, Note, Unnamed};
use crate::wire::frame::{self, BadFrame, Frame, HEADER, READY, TxStatus, back, front};
use crate::wire::{Fault, emit};

/// What becomes of a message.
pub(super) enum Verdict {
    Forward,
    Swallow,
    /// The client reads this instead.
    Replace(Box<[u8]>),
    /// Neither this nor what came ahead of it is for the client: another server is asked.
    Again,
}

/// Bytes on their way to the client: those before `from` are settled.
struct Run<'a> {
    bytes: &'a [u8],
    from: usize,
}

impl Session {
    pub(super) fn read_server(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let Some(server) = &mut self.server else { return Ok(false) };
        let mut scratch = self.worker.take_scratch();
        let kept = server.residue.len();
        if kept + HEADER > scratch.len() / 2 {
            scratch.resize(kept * 2 + 64 * 1024, 0);
        }
        scratch[..kept].copy_from_slice(&server.residue);
        let poll = server.socket.poll_read(cx, &mut scratch[kept..]);
        let result = match poll {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => {
                self.server_gone();
                Ok(true)
            }
            Poll::Ready(Ok(n)) => {
                server.residue.clear();
                self.relay(cx, &scratch[..kept + n]).map(|()| true)
            }
        };
        self.worker.put_scratch(scratch);
        result
    }

    pub(super) fn relay(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<()> {
        let mut run = Run { bytes, from: 0 };
        let mut at = 0;
        while at < bytes.len() {
            match self.relay_one(&mut run, at) {
                ControlFlow::Continue(next) => {
                    at = next;
                    if self.passes_on(&bytes[at.min(bytes.len())..]) {
                        break;
                    }
                }
                ControlFlow::Break(()) => break,
            }
        }
        let tail = at.min(bytes.len()).max(run.from);
        self.capture_read();
        self.close_exchange();
        self.write_run(cx, &bytes[run.from..tail])?;
        self.capture_taken(false);
        Ok(())
    }

    /// Relays what stands at `at`; gives where the next thing stands, or `Break` when more must arrive.
    fn relay_one(&mut self, run: &mut Run<'_>, at: usize) -> ControlFlow<(), usize> {
        let Some(server) = &mut self.server else { return ControlFlow::Break(()) };
        let bytes = &run.bytes[at..];
        if server.rest > 0 {
            let passed = server.rest.min(bytes.len());
            server.rest -= passed;
            if server.swallow_rest {
                run.cut(&mut self.out, at, at + passed);
            } else {
                self.fill_on(&bytes[..passed]);
            }
            return ControlFlow::Continue(at + passed);
        }
        let frame = match Frame::peek(bytes) {
            Ok(Some(frame)) if frame.tag == back::READY_FOR_QUERY && frame.total != READY => {
                let length = (frame.total - 1) as u32;
                return self.garbled(run, at, BadFrame { tag: frame.tag, length });
            }
            Ok(Some(frame)) => frame,
            Ok(None) => return keep(server, bytes),
            Err(bad) => return self.garbled(run, at, bad),
        };
        if self.following > 0 && frame.tag != back::ERROR_RESPONSE {
            self.followed_well();
        }
        let Some(server) = &mut self.server else { return ControlFlow::Break(()) };
        let ours = server.expects.front().is_some_and(|expect| expect.ours);
        let ours =
            ours || server.expects.front().is_some_and(|front| matches!(front.note, Note::Followed(true)));
        if !ours {
            self.note_beginning(frame.tag);
        }
        let Some(server) = &mut self.server else { return ControlFlow::Break(()) };
        if matches!(frame.tag, back::DATA_ROW | back::COPY_DATA) && !ours {
            if let Some(capture) = &mut self.capture {
                capture.row(frame.total);
            }
            if server.expects.front().is_some_and(|front| front.terms.is_some()) {
                return self.relay_counted(run, frame, at);
            }
            let next = pass(server, frame, bytes.len(), at);
            self.fill_row(frame.tag, &bytes[..frame.total.min(bytes.len())]);
            return next;
        }
        let Some(whole) = bytes.get(..frame.total) else {
            return self.relay_part(run, frame, at, ours);
        };
        if let (false, Some(capture)) = (ours, &mut self.capture) {
            capture.message(frame.tag, whole);
        }
        match self.answer(frame.tag, whole) {
            Verdict::Forward => self.fill(frame.tag, whole),
            Verdict::Swallow => run.cut(&mut self.out, at, at + frame.total),
            Verdict::Replace(other) => {
                run.cut(&mut self.out, at, at + frame.total);
                self.out.extend_from_slice(&other);
                self.fill_no_more();
            }
            Verdict::Again => run.from = at + frame.total,
        }
        if self.answers_here() {
            run.cut(&mut self.out, at + frame.total, at + frame.total);
            self.answer_here();
        }
        ControlFlow::Continue(at + frame.total)
    }

    /// A row for which there are terms: the client gets no more than they allow.
    fn relay_counted(&mut self, run: &mut Run<'_>, frame: Frame, at: usize) -> ControlFlow<(), usize> {
        let dropped = self.is_one_too_many(frame.tag);
        let Some(server) = &mut self.server else { return ControlFlow::Break(()) };
        let there = run.bytes.len() - at;
        let next = pass(server, frame, there, at);
        if dropped {
            server.swallow_rest = true;
            run.cut(&mut self.out, at, at + frame.total.min(there));
        }
        next
    }

    /// What came before it is the client's; with what follows nothing can be done.
    fn garbled(&mut self, run: &mut Run<'_>, at: usize, bad: BadFrame) -> ControlFlow<(), usize> {
        run.cut(&mut self.out, at, run.bytes.len());
        if let Some(server) = &mut self.server {
            server.broken = true;
        }
        self.fatal(&Fault::fatal("08P01", format!("server sent a malformed message: {bad}")));
        ControlFlow::Break(())
    }

    fn answers_here(&self) -> bool {
        self.server.as_ref().is_some_and(|server| server.answers_here())
    }

    /// The message is not whole. Long ones go on in pieces, as far as nothing needs to be read in them.
    fn relay_part(
        &mut self,
        run: &mut Run<'_>,
        frame: Frame,
        at: usize,
        ours: bool,
    ) -> ControlFlow<(), usize> {
        let Some(server) = &mut self.server else { return ControlFlow::Break(()) };
        let there = run.bytes.len() - at;
        let long = frame.total > self.worker.limits().max_held_message.min(1 << 20);
        let described = matches!(server.expects.front().map(|front| &front.note), Some(Note::Describing(_)));
        let streams =
            matches!(frame.tag, back::ROW_DESCRIPTION | back::PARAMETER_DESCRIPTION) && !described || long;
        if !streams || ours && !long {
            return keep(server, &run.bytes[at..]);
        }
        let next = pass(server, frame, there, at);
        self.fill_no_more();
        let verdict = self.answer(frame.tag, &run.bytes[at..]);
        if let (Verdict::Swallow | Verdict::Replace(_) | Verdict::Again, Some(server)) =
            (verdict, &mut self.server)
        {
            server.swallow_rest = true;
            run.cut(&mut self.out, at, run.bytes.len());
        }
        next
    }

    /// Takes note of a message and says what becomes of it.
    fn answer(&mut self, tag: u8, whole: &[u8]) -> Verdict {
        if tag == back::PARAMETER_STATUS {
            self.hear_setting(whole);
        }
        let Some(server) = &mut self.server else { return Verdict::Forward };
        let Some(front) = server.expects.front_mut() else { return self.unasked(tag, whole) };
        if front.unnamed == Unnamed::GoesIfRead && answers(tag) {
            front.unnamed = Unnamed::Goes;
        }
        let (kind, ours) = (front.kind, front.ours);
        let shown = tag == back::COMMAND_COMPLETE && front.ends_a_show();
        let wanted = matches!(front.note, Note::Probe | Note::Isolation);
        // One for all up to ReadyForQuery, whatever it was.
        let abandoned = matches!(front.note, Note::Abandoned);
        let (in_parts, stepping) =
            (matches!(front.note, Note::Part(..)), matches!(front.note, Note::Renamed(_) | Note::Part(..)));
        let unheard = matches!(front.note, Note::Settling(_) | Note::Resetting)
            || matches!(front.note, Note::Probe) && self.asks_carefully();
        if let Some(verdict) = self.followed(tag, whole) {
            return verdict;
        }
        if let Some(verdict) = self.beyond_rows(tag, whole) {
            return verdict;
        }
        let Some(server) = &mut self.server else { return Verdict::Forward };
        if tag == back::COMMAND_COMPLETE {
            server.ended_well();
        }
        match tag {
            back::READY_FOR_QUERY => {
                self.ready(whole);
                if in_parts || !ours && self.ready_waits() {
                    return Verdict::Swallow;
                }
            }
            back::ERROR_RESPONSE => return self.error(whole),
            back::PARSE_COMPLETE | back::BIND_COMPLETE | back::CLOSE_COMPLETE | back::PORTAL_SUSPENDED
                if !abandoned =>
            {
                self.done()
            }
            back::PARAMETER_DESCRIPTION => self.parameters_described(whole),
            back::ROW_DESCRIPTION | back::NO_DATA if is_describe(kind) => {
                self.described(whole);
                self.done()
            }
            back::COMMAND_COMPLETE | back::EMPTY_QUERY_RESPONSE if kind == Kind::Execute => self.done(),
            back::COMMAND_COMPLETE if stepping => self.statement_ended(whole),
            back::COPY_IN_RESPONSE => self.copy_in_begins(),
            back::DATA_ROW if ours && wanted => server.captured.push(whole.to_vec()),
            back::NOTIFICATION_RESPONSE => return self.notification(whole),
            back::NOTICE_RESPONSE if !ours => return self.notice(whole),
            back::PARAMETER_STATUS if unheard => return Verdict::Swallow,
            back::PARAMETER_STATUS => return Verdict::Forward,
            _ => {}
        }
        match (ours, shown) {
            (true, _) => Verdict::Swallow,
            (false, true) => Verdict::Replace(end_of_show()),
            (false, false) => Verdict::Forward,
        }
    }

    /// Behind the client's own statement stands one of ours: what it answers is swallowed.
    fn followed(&mut self, tag: u8, whole: &[u8]) -> Option<Verdict> {
        let server = self.server.as_mut()?;
        let at_once = server.reports_at_once();
        let Note::Followed(ended) = &mut server.expects.front_mut()?.note else { return None };
        match tag {
            back::PARAMETER_STATUS if at_once => {
                let (name, rest) = frame::cstr(whole.get(HEADER..)?)?;
                let (name, reported) = (name.to_ascii_lowercase(), frame::cstr(rest)?.0);
                let restored = self.initial.settings().get(name.as_slice())?;
                let current = self.state.settings().get(name.as_slice())?;
                // The reset's own news is old as soon as what follows has run, which is none where nothing changed.
                let known = current == restored || **current == *reported;
                (!*ended || known && server.tx == TxStatus::Idle).then_some(Verdict::Swallow)
            }
            back::ROW_DESCRIPTION | back::DATA_ROW | back::COMMAND_COMPLETE if *ended => {
                Some(Verdict::Swallow)
            }
            back::COMMAND_COMPLETE => {
                *ended = true;
                None
            }
            _ => None,
        }
    }

    pub(super) fn ready(&mut self, whole: &[u8]) {
        let Some(server) = &mut self.server else { return };
        server.tx = TxStatus::from_byte(whole[HEADER]);
        server.copy_in = false;
        let ours = server.expects.front().is_some_and(|front| front.ours);
        self.done();
        if !ours {
            self.server.iter_mut().for_each(|server| server.blame = None);
            self.count_cycle();
            if self.one_by_one {
                self.one_by_one = self.cycle_under_way() || self.discards_all();
                self.has_time_again();
            }
            self.leave_doubts(self.tx_status() == TxStatus::Idle);
            self.cycle_ended();
        }
        if self.server.as_ref().is_some_and(|server| server.tx == TxStatus::Idle) {
            self.portals.clear();
            if !self.batch_open {
                self.carried.forget_portals();
            }
        }
    }

    /// The oldest exchange ended well.
    pub(super) fn done(&mut self) {
        let Some(expect) = self.server.as_mut().and_then(|server| server.expects.pop_front()) else { return };
        if expect.unnamed != Unnamed::Stays {
            self.replaced.pop_front();
        }
        self.count_exchange(expect.kind, expect.ours);
        if let Some(tally) = expect.tally.filter(|_| !expect.ours) {
            self.capture_done(expect.kind, tally);
        }
        if let Some(terms) = &expect.terms {
            self.count_copied(expect.kind, terms);
        }
        self.apply(expect.note);
    }

    fn apply(&mut self, note: Note) {
        let Some(server) = &mut self.server else { return };
        match note {
            Note::Settling(state) => {
                server.murky = false;
                self.settled(state);
            }
            Note::Restoring(state) => self.settled(state),
            Note::Set(name, value) => self.has_set(self.state.with(&name, value.as_deref())),
            Note::SetAll(all) => self.has_set(self.state.with_all(all)),
            Note::Renamed(renamed) => renamed.steps.into_iter().for_each(|step| self.confirm(step)),
            Note::DiscardAll(step) => {
                (server.murky, server.limit) = (false, 0);
                server.state = self.worker.states.base();
                self.confirm(step);
                self.forget_settings();
            }
            Note::Probe => self.probed(),
            Note::Isolation => self.isolation_told(),
            Note::Part(rest, renamed) => {
                renamed.steps.into_iter().for_each(|step| self.confirm(step));
                drop(self.input.splice(..0, rest));
            }
            _ => {}
        }
    }

    /// COPY FROM STDIN began: the server ignores Syncs that were sent before the data's end.
    fn copy_in_begins(&mut self) {
        let Some(server) = &mut self.server else { return };
        server.copy_begins();
        let in_batch = server.expects.front().is_some_and(|front| front.kind == Kind::Execute);
        self.batch_open |= in_batch && server.copy_in;
    }

    /// After the answers that arrived: asks what a finished transaction left behind, gives the server back.
    pub(super) fn close_exchange(&mut self) {
        if self.carried.stopping.is_some() {
            // The cancel could hit what is asked now.
            return;
        }
        self.end_light_batch();
        let Some(server) = &self.server else { return };
        server.shared.own.set(server.expects.front().is_some_and(|front| front.ours));
        if server.skips || !server.expects.is_empty() || server.broken || self.batch_open {
            // While it skips to Sync it would skip what is ours as well.
            return;
        }
        self.close_surplus();
        self.end_what_leaves();
        let Some(server) = &self.server else { return };
        if server.tx == TxStatus::Idle && server.expects.is_empty() {
            if !self.after.is_empty() {
                self.ask_what_is_left();
            }
            self.release_if_free();
        }
    }

    /// A client that prepares and describes, and asks for the answers by Flush, may take its time before it goes on.
    /// Nothing has run yet, so the batch is ended here and the server is free for others; what was prepared is brought
    /// along when the client goes on.
    pub(super) fn end_light_batch(&mut self) {
        let Some(server) = &mut self.server else { return };
        let light = self.batch_open && self.batch == Batch { flushed: true, ..Batch::default() };
        if !light
            || server.skips
            || server.tx != TxStatus::Idle
            || !server.expects.is_empty()
            || server.broken
        {
            return;
        }
        emit::empty(&mut server.out, front::SYNC);
        server.expect(Expect::ours(Kind::Sync, Note::None));
        self.batch_open = false;
        self.batch = Batch::default();
    }

    /// Writes a run straight from the read buffer; what the client does not take waits in `out`.
    fn write_run(&mut self, cx: &mut Context<'_>, run: &[u8]) -> io::Result<()> {
        if !self.out.is_empty() || self.holds_answer() {
            self.out.extend_from_slice(run);
            return Ok(());
        }
        if run.is_empty() {
            return Ok(());
        }
        let written = match self.client.poll_write(cx, run)? {
            Poll::Ready(written) => written,
            Poll::Pending => 0,
        };
        self.pool.stats().sent.add(written as u64);
        self.out.extend_from_slice(&run[written..]);
        Ok(())
    }

    /// The server closed the connection. Inside a message the client can only be told by closing too.
    pub(super) fn server_gone(&mut self) {
        self.fill_no_more();
        if self.end.is_none() && self.unsent.is_some() {
            self.take_back();
            return;
        }
        let Some(mut server) = self.server.take() else { return };
        *self.handle.server.borrow_mut() = None;
        let told = server.broken || server.is_inside_message();
        server.broken = true;
        let fault = outcome::lost(&server);
        let tally = server.expects.iter().find_map(|expect| expect.tally.clone());
        if self.end.is_none() && self.asks_again_elsewhere(&server) {
            return self.forget_batch(server);
        }
        drop(server);
        if self.end.is_some() {
            return;
        }
        if told {
            self.end = Some(End::Told);
        } else {
            self.fatal(&fault);
        }
        tally.into_iter().for_each(|tally| self.capture_lost(tally, &fault));
    }
}

impl Run<'_> {
    /// Settles what stands before `at`, and goes on at `next`.
    fn cut(&mut self, out: &mut Vec<u8>, at: usize, next: usize) {
        out.extend_from_slice(&self.bytes[self.from..at]);
        self.from = next;
    }
}

/// Whether a message says that PostgreSQL has read what it answers.
fn answers(tag: u8) -> bool {
    !matches!(
        tag,
        back::ERROR_RESPONSE | back::NOTICE_RESPONSE | back::NOTIFICATION_RESPONSE | back::PARAMETER_STATUS
    )
}

fn is_describe(kind: Kind) -> bool {
    matches!(kind, Kind::DescribeStatement | Kind::DescribePortal)
}

fn keep(server: &mut Server, bytes: &[u8]) -> ControlFlow<(), usize> {
    server.residue.extend_from_slice(bytes);
    ControlFlow::Break(())
}

/// The message goes on as far as it is there; the rest follows when it arrives.
fn pass(server: &mut Server, frame: Frame, there: usize, at: usize) -> ControlFlow<(), usize> {
    let passed = frame.total.min(there);
    server.rest = frame.total - passed;
    server.swallow_rest = false;
    ControlFlow::Continue(at + passed)
}
