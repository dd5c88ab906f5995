//! What the session counts of its statements, by shape: see [`crate::slow`].
//!
//! A statement finds where it is counted when it is sent, and that goes with what is expected of the server. Of the answer, messages are counted as
//! they pass. Clocks are read where they are read anyway: when the first message of an exchange is written, and at its ReadyForQuery. Besides, only
//! where an answer does not come in one read: after a read that has a first row in it or the end of a statement, but not the end of the cycle;
//! where the client does not take the end of the answer at once; and where a session has stood in line for a server.
//!
//! So what comes in one read has come at one time: the first row of a short answer is as late as its end, and several statements that are answered in
//! one read have equal parts of the time. The pauses of a client that asks for answers by Flush, and then goes on in the same cycle, count as the
//! server's.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::asked::Asked;
use super::block::Block;
use super::held::Held;
use super::reading::depends_on_reading;
use super::serve::Session;
use super::statement::{Named, Statement};
use crate::pool::exchange::{Kind, Note};
use crate::pool::state::State;
use crate::slow::Identity;
use crate::stats::tally::{Answer, Served, Tally, Who};
use crate::wire::Fault;
use crate::wire::frame::{self, Frame, HEADER, back};

/// Stands for a function called by its number, which has no text.
const CALL: &[u8] = b"(function call)";
/// So many portals with a name are remembered.
const PORTALS: usize = 64;

/// What a session has of what is counted.
pub(super) struct Capture {
    /// Who it is, by the state that names its application.
    identity: (Rc<State>, Rc<Identity>),
    /// The statement of the unnamed portal, and of those with a name, the newest last.
    unnamed: Option<Rc<Tally>>,
    named: Vec<(Box<[u8]>, Rc<Tally>)>,
    /// What has come of the answer that is under way.
    rows: u64,
    since_tag: u64,
    bytes: u64,
    first: Moment,
    /// The SQLSTATE with which it fails.
    error: Option<[u8; 5]>,
    /// How long the session stood in line for it.
    wait: Duration,
    /// Statements whose answers have ended, and when is not known yet.
    ended: Vec<Ended>,
    /// When the one before them ended, in the same exchange.
    from: Option<Instant>,
    /// The last one, of which the client may not have taken everything.
    last: Option<Last>,
    /// What is held of one that is under way.
    pub(super) held: Option<Held>,
    /// What was sent in the transaction block that is open.
    pub(super) block: Block,
}

/// A statement that is over for the server.
struct Last {
    tally: Rc<Tally>,
    answer: Answer,
    end: Instant,
    sqlstate: Option<[u8; 5]>,
    /// The how many-th of its transaction block.
    place: u32,
}

/// When something happened.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Moment {
    /// It did not.
    #[default]
    Never,
    /// In what is being read; the time comes with the end of that.
    Now,
    /// Before.
    At(Instant),
}

struct Ended {
    tally: Rc<Tally>,
    answer: Answer,
    first: Moment,
    sqlstate: Option<[u8; 5]>,
}

impl Capture {
    fn new(identity: (Rc<State>, Rc<Identity>)) -> Capture {
        Capture {
            identity,
            unnamed: None,
            named: vec![],
            rows: 0,
            since_tag: 0,
            bytes: 0,
            first: Moment::Never,
            error: None,
            wait: Duration::ZERO,
            ended: vec![],
            from: None,
            last: None,
            held: None,
            block: Block::default(),
        }
    }

    /// A row for the client, or a piece of a COPY.
    #[inline]
    pub(super) fn row(&mut self, length: usize) {
        self.bytes += length as u64;
        self.since_tag += 1;
        if self.first == Moment::Never {
            self.first = Moment::Now;
        }
    }

    /// Another message for the client.
    #[inline]
    pub(super) fn message(&mut self, tag: u8, whole: &[u8]) {
        self.bytes += whole.len() as u64;
        match tag {
            back::COMMAND_COMPLETE => {
                self.rows += rows_of(whole);
                self.since_tag = 0;
            }
            back::PORTAL_SUSPENDED => self.rows += std::mem::take(&mut self.since_tag),
            _ => {}
        }
    }

    /// What came since the statement before is that of one that has ended.
    fn end(&mut self, tally: Rc<Tally>, served: Served) {
        let sqlstate = self.error.take();
        let (rows, bytes) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.bytes));
        let answer = Answer { served, rows, bytes, error: sqlstate.map(class), times: None };
        self.since_tag = 0;
        let first = std::mem::take(&mut self.first);
        self.ended.push(Ended { tally, answer, first, sqlstate });
    }
}

/// The rows that a CommandComplete tells: the last of its words, if that is a number.
fn rows_of(whole: &[u8]) -> u64 {
    let tag = whole.get(HEADER..whole.len() - 1).unwrap_or_default();
    let digits = tag.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let number = &tag[tag.len() - digits..];
    number.iter().take(19).fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'))
}

fn micros(time: Duration) -> u64 {
    time.as_micros() as u64
}

impl Session {
    /// Who the session is, where statements are counted.
    #[inline]
    fn identity(&mut self) -> Option<Rc<Identity>> {
        if !self.worker.digests.is_on() {
            self.capture = None;
            return None;
        }
        match &self.capture {
            Some(capture) if Rc::ptr_eq(&capture.identity.0, &self.state) => Some(capture.identity.1.clone()),
            _ => Some(self.identify()),
        }
    }

    fn identify(&mut self) -> Rc<Identity> {
        let application = String::from_utf8_lossy(self.for_rules().application).into_owned();
        let (database, user) = (self.handle.database.clone(), self.handle.user.clone());
        let identity = self.worker.digests.identity(&Who { database, user, application });
        let known = (self.state.clone(), identity.clone());
        match &mut self.capture {
            Some(capture) => capture.identity = known,
            None => self.capture = Some(Box::new(Capture::new(known))),
        }
        identity
    }

    /// Where a text of the session's is counted.
    pub(super) fn tally(&mut self, text: &[u8]) -> Option<Rc<Tally>> {
        let identity = self.identity()?;
        let read = !(self.was_reading_uncertain() && depends_on_reading(text));
        Some(self.worker.digests.find(&identity, read.then_some((text, self.dialect))))
    }

    /// Where a statement is counted.
    #[inline]
    pub(super) fn tally_of(&mut self, statement: &Statement) -> Option<Rc<Tally>> {
        let identity = self.identity()?;
        let mut known = statement.tally.borrow_mut();
        if let Some(tally) = known.as_ref().filter(|tally| identity.has(tally)) {
            return Some(tally.clone());
        }
        let tally = self.worker.digests.find(&identity, statement.as_read());
        *known = Some(tally.clone());
        Some(tally)
    }

    /// The message that was just sent is a part of this statement.
    #[inline]
    fn mark_last(&mut self, kind: Kind, tally: Option<Rc<Tally>>) {
        let Some(server) = &mut self.server else { return };
        if let Some(last) = server.expects.back_mut().filter(|last| !last.ours && last.kind == kind) {
            last.tally = tally;
        }
    }

    /// A Query was sent.
    pub(super) fn capture_query(&mut self, frame: Frame, bytes: &[u8]) {
        if !self.worker.digests.is_on() {
            return;
        }
        let text = bytes.get(HEADER..frame.total).and_then(|text| text.strip_suffix(b"\0"));
        let tally = match text {
            Some(text) => self.tally(text),
            None => self.identity().map(|identity| self.worker.digests.find(&identity, None)),
        };
        if let (Some(tally), Some(text)) = (&tally, text) {
            self.hold_query(tally, text);
        }
        self.mark_last(Kind::Query, tally);
    }

    /// A Query was sent ahead, which is so many bytes of the input, and its answer is the next.
    pub(super) fn capture_followed(&mut self, sent: usize) {
        if self.worker.digests.is_on() {
            let message = self.input.get(..sent).map(<[u8]>::to_vec).unwrap_or_default();
            let frame = Frame { tag: frame::front::QUERY, total: message.len() };
            self.capture_query(frame, &message);
        }
    }

    /// A function call was sent.
    pub(super) fn capture_call(&mut self) {
        let tally = self.tally(CALL);
        self.mark_last(Kind::Function, tally);
    }

    /// A statement was sent to be prepared, if it was.
    pub(super) fn capture_parse(&mut self, statement: &Statement) {
        if self.worker.digests.is_on() {
            let tally = self.tally_of(statement);
            self.mark_last(Kind::Parse, tally);
        }
    }

    /// A statement was sent to be bound, with these values if they are all there; `None`: one of which nothing is known.
    #[inline]
    pub(super) fn capture_bind(&mut self, portal: &[u8], named: Option<&Named>, values: &[u8]) {
        let tally = match named {
            Some(named) => self.tally_of(named.in_clients_words()),
            None => self.identity().map(|identity| self.worker.digests.find(&identity, None)),
        };
        if let (Some(tally), Some(named)) = (&tally, named) {
            self.hold_bind(tally, named, values);
        }
        let Some(capture) = &mut self.capture else { return };
        match (portal, &tally) {
            (b"", tally) => capture.unnamed.clone_from(tally),
            (portal, Some(tally)) => {
                capture.named.retain(|(known, _)| **known != *portal);
                if capture.named.len() >= PORTALS {
                    capture.named.remove(0);
                }
                capture.named.push((portal.into(), tally.clone()));
            }
            (_, None) => {}
        }
        self.mark_last(Kind::Bind, tally);
    }

    /// A portal was sent to be executed.
    #[inline]
    pub(super) fn capture_execute(&mut self, portal: Option<&[u8]>) {
        let Some(capture) = &self.capture else { return };
        let known = match portal {
            Some(b"") | None => capture.unnamed.clone(),
            Some(portal) => {
                let known = capture.named.iter().find(|(known, _)| **known == *portal);
                known.map(|(_, tally)| tally.clone())
            }
        };
        let tally = known.or_else(|| {
            let identity = self.identity()?;
            Some(self.worker.digests.find(&identity, None))
        });
        self.mark_last(Kind::Execute, tally);
    }

    /// The session has stood in line, and gets a server.
    pub(super) fn capture_wait(&mut self) {
        if let (Some(ticket), true) = (&self.ticket, self.worker.digests.is_on()) {
            let wait = ticket.since().elapsed();
            self.identity();
            self.capture.iter_mut().for_each(|capture| capture.wait += wait);
        }
    }

    /// An exchange of the client's has ended that is a part of this statement.
    #[inline]
    pub(super) fn capture_done(&mut self, kind: Kind, tally: Rc<Tally>) {
        if matches!(kind, Kind::Query | Kind::Execute | Kind::Function) {
            let served = self.served();
            self.capture.iter_mut().for_each(|capture| capture.end(tally.clone(), served));
        }
    }

    /// Which node the server in hand is at.
    fn served(&self) -> Served {
        match self.server.as_deref() {
            Some(server) if !Rc::ptr_eq(server.pool(), &self.pool) => Served::Replica,
            _ => Served::Primary,
        }
    }

    /// Whether what fails now is a part of a statement that is counted: of which, and what pgweir says of it, if that is in place of the server's word.
    pub(super) fn failing(&self) -> Option<(Kind, Rc<Tally>, Option<[u8; 5]>)> {
        let front = self.server.as_ref()?.expects.front().filter(|front| !front.ours)?;
        let blamed = match &front.note {
            Note::Blame(fault) => sqlstate_of(fault),
            _ => None,
        };
        Some((front.kind, front.tally.clone()?, blamed))
    }

    /// A statement has failed. A Query ends with its ReadyForQuery, anything else has ended.
    pub(super) fn capture_error(
        &mut self,
        (kind, tally, blamed): (Kind, Rc<Tally>, Option<[u8; 5]>),
        whole: &[u8],
    ) {
        let served = self.served();
        let goes_on = self.server.as_ref().is_some_and(|server| !server.broken);
        let Some(capture) = &mut self.capture else { return };
        capture.error = blamed.or_else(|| sqlstate_of(whole)).or(Some(*b"?????"));
        if goes_on && !matches!(kind, Kind::Query | Kind::Function) {
            capture.end(tally, served);
        }
    }

    /// A cycle of the client's has ended.
    #[inline]
    pub(super) fn capture_cycle(&mut self, now: Instant) {
        if self.capture.is_none() {
            return;
        }
        self.settle_times(now);
        self.note_cycle_in_block(now);
        let more =
            self.server.as_ref().and_then(|server| server.expects.back()).is_some_and(|last| !last.ours);
        if let Some(capture) = &mut self.capture {
            (capture.bytes, capture.rows, capture.since_tag) = (0, 0, 0);
            (capture.first, capture.error) = (Moment::Never, None);
            if !more {
                (capture.from, capture.wait) = (None, Duration::ZERO);
            }
        }
    }

    /// All that was read was looked at: what has happened in it, and has no time yet, has happened now.
    #[inline]
    pub(super) fn capture_read(&mut self) {
        let Some(capture) = &mut self.capture else { return };
        if capture.ended.is_empty() && capture.first != Moment::Now {
            return;
        }
        let now = Instant::now();
        if capture.first == Moment::Now {
            capture.first = Moment::At(now);
        }
        self.settle_times(now);
    }

    /// The statements that have ended had until now.
    fn settle_times(&mut self, now: Instant) {
        let asked = self.server.as_ref().and_then(|server| server.clock.exchange);
        let Some(capture) = &mut self.capture else { return };
        let Some(several) = u32::try_from(capture.ended.len()).ok().filter(|several| *several > 0) else {
            return;
        };
        let began = capture.from.or(asked).unwrap_or(now);
        let part = now.saturating_duration_since(began) / several;
        let wait = micros(std::mem::take(&mut capture.wait));
        capture.from = Some(now);
        let mut ended = std::mem::take(&mut capture.ended);
        for (at, Ended { tally, mut answer, first, sqlstate }) in ended.drain(..).enumerate() {
            let stream = match first {
                Moment::At(first) if several == 1 => now.saturating_duration_since(first).min(part),
                _ => Duration::ZERO,
            };
            let wait = if at == 0 { wait } else { 0 };
            let (first, stream) = (micros(part - stream), micros(stream));
            answer.times = Some([wait, first, stream, 0, wait + first + stream]);
            self.count_last(None);
            let place = self.note_in_block(&tally);
            if let Some(capture) = &mut self.capture {
                capture.last = Some(Last { tally, answer, end: now, sqlstate, place });
            }
        }
        // Its memory is used again.
        self.capture.iter_mut().for_each(|capture| capture.ended = std::mem::take(&mut ended));
    }

    /// The client was given something, at once or `late`: if it has taken all, the last statement is over for it too.
    #[inline]
    pub(super) fn capture_taken(&mut self, late: bool) {
        if self.capture.as_ref().is_some_and(|capture| capture.last.is_some()) && self.out.is_empty() {
            self.count_last(late.then(Instant::now));
        }
    }

    /// Counts the last statement.
    fn count_last(&mut self, until: Option<Instant>) {
        let Some(capture) = &mut self.capture else { return };
        let Some(Last { tally, mut answer, end, sqlstate, place }) = capture.last.take() else { return };
        if let (Some(until), Some(times)) = (until, &mut answer.times) {
            let drain = micros(until.saturating_duration_since(end));
            (times[3], times[4]) = (drain, times[4] + drain);
        }
        self.look_at(&tally, &answer, (sqlstate, place));
        self.worker.digests.count(&tally, &answer);
    }

    /// Counts a statement that needed no server.
    pub(super) fn capture_here(&mut self, text: &[u8]) {
        if self.worker.digests.is_on()
            && let Some(tally) = self.tally(text)
        {
            let answer = Answer { served: Served::Pgweir, rows: 0, bytes: 0, error: None, times: None };
            self.worker.digests.count(&tally, &answer);
        }
    }

    /// Counts a statement that the cache answers.
    pub(super) fn capture_by_cache(&mut self, asked: &Asked<'_>, answer: &[u8]) {
        if !self.worker.digests.is_on() {
            return;
        }
        let text = self.text_of(asked).map(|(text, _)| text.to_vec());
        let Some(tally) = text.and_then(|text| self.tally(&text)) else { return };
        let mut rows = 0;
        let mut rest = answer;
        while let Ok(Some(frame)) = Frame::peek(rest) {
            let Some(whole) = rest.get(..frame.total) else { break };
            rows += if frame.tag == back::COMMAND_COMPLETE { rows_of(whole) } else { 0 };
            rest = &rest[frame.total..];
        }
        let bytes = answer.len() as u64;
        let answer = Answer { served: Served::Cache, rows, bytes, error: None, times: None };
        self.worker.digests.count(&tally, &answer);
    }

    /// The server is gone with the answer of this statement, and the client was told so.
    pub(super) fn capture_lost(&mut self, tally: Rc<Tally>, fault: &Fault) {
        let said = self.capture.as_mut().and_then(|capture| capture.error.take());
        let error = said.map(class).or_else(|| fault.sqlstate.as_bytes().first_chunk().copied());
        let answer = Answer { served: Served::Primary, rows: 0, bytes: 0, error, times: None };
        self.worker.digests.count(&tally, &answer);
    }

    /// The session ends: what the client has not taken by now it never does.
    pub(super) fn capture_end(&mut self) {
        if self.capture.as_ref().is_some_and(|capture| capture.last.is_some()) {
            self.count_last(Some(Instant::now()));
        }
        self.end_block();
    }
}

/// The SQLSTATE of an ErrorResponse.
fn sqlstate_of(whole: &[u8]) -> Option<[u8; 5]> {
    let code = frame::fields(whole.get(HEADER..)?).find(|(code, _)| *code == b'C')?.1;
    code.first_chunk().copied()
}

/// The class of a SQLSTATE.
fn class(sqlstate: [u8; 5]) -> [u8; 2] {
    [sqlstate[0], sqlstate[1]]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::emit;

    #[test]
    fn rows_are_the_number_at_the_end_of_the_tag() {
        let check = |tag: &str, rows: u64| {
            let mut message = vec![];
            emit::command_complete(&mut message, tag);
            assert_eq!(rows_of(&message), rows, "{tag}");
        };
        check("SELECT 17", 17);
        check("INSERT 0 3", 3);
        check("BEGIN", 0);
        check("", 0);
        check("COPY 1234567890123", 1_234_567_890_123);
        check("SELECT 99999999999999999999999999999", 9_999_999_999_999_999_999);
    }

    #[test]
    fn an_error_has_its_class() {
        assert_eq!(sqlstate_of(&Fault::error("23505", "twice").frame()), Some(*b"23505"));
        assert_eq!(sqlstate_of(b"E\0\0\0\x04"), None);
    }
}
