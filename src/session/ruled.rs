//! Rules on the way: what they decide on a statement, once, before it goes anywhere.
//!
//! A statement is judged when it is at the front of the input: a Query as a whole, one of the extended protocol when it is bound, or, where its
//! batch may be sent to a replica, when that begins. The verdict stays until the message is taken, however often it is looked at before.

use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::asked::Asked;
use super::carried::{Asks, CARRIED};
use super::kept::Passing;
use super::lone::Lone;
use super::pacing::Needs;
use super::route::UNKNOWN;
use super::serve::Session;
use super::timing;
use super::upstream::{Flow, body};
use crate::catalog::Judge;
use crate::config::host;
use crate::config::settings::Host;
use crate::plan::Profile;
use crate::plan::consistency::Level;
use crate::plan::explain::asked_level;
use crate::pool::exchange::Expect;
use crate::pool::state::State;
use crate::rules::calendar::Seconds;
use crate::rules::{self, Block, Cache, Candidates, Concern, Concerns, Decided, Decision, Moment};
use crate::sql::{Literal, shape};
use crate::wire::Fault;
use crate::wire::frame::{self, Frame, HEADER, TxStatus, front};

/// Where more rules than this may hold for a shape, a session remembers which of them are for it.
const MANY: usize = 8;
/// For so many shapes.
const SHAPES: usize = 16;
/// So much of a shape is logged, in bytes.
const LOGGED: usize = 1000;
/// What is told in the log.
const TOLD: Concerns = Concerns::of(&[Concern::Log, Concern::Tag]);
/// What a statement needs besides a server ([`Needs`]).
const NEEDED: Concerns = Concerns::of(&[Concern::Timeout, Concern::Throttle, Concern::Concurrency]);

/// What was decided on the statement at the front of the input.
#[derive(Default)]
pub(super) struct Verdict {
    /// Its shape; `None` where nothing was to be decided.
    pub(super) profile: Option<Rc<Profile>>,
    /// What stands for values in its text, where that was sent with it and the cache may ask.
    pub(super) literals: Option<Box<[Literal]>>,
    /// It is refused.
    pub(super) refusal: Option<Box<Fault>>,
    /// What a read of a replica must promise for it.
    level: Option<Level>,
    /// The node that is to answer it.
    pub(super) node: Option<Box<Host>>,
    /// What else is asked of it.
    pub(super) asks: Option<Rc<Asks>>,
    runs: Runs,
    /// What it needs besides a server.
    pub(super) needs: Option<Box<Needs>>,
    /// Its answer may be kept, or be one that was.
    pub(super) cache: Option<Arc<Cache>>,
    /// How far it has come on its way past the cache.
    pub(super) stage: Stage,
    /// When the cache was asked first.
    pub(super) begun: Option<Instant>,
    /// Its answer is to be kept, or to be compared with what is.
    pub(super) filling: Option<Passing>,
    /// From so many microseconds on it is slow; 0: as the settings say.
    pub(super) slow: u64,
}

/// What the cycle runs in which a statement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Runs {
    /// More than the statement, as far as is known.
    #[default]
    More,
    /// Nothing but the statement.
    It,
    /// The same, in a batch of so many bytes that may be sent to replicas as it is.
    ItInBatch(usize),
}

/// How far a statement has come on its way past the cache. It only goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Stage {
    /// It was judged.
    #[default]
    Judged,
    /// It has waited for the stream, for which it does not wait again.
    StreamCame,
    /// It has waited for another session's answer, and waits for nothing more.
    AnswerCame,
    /// The cache was asked, and it goes to the database.
    Looked,
    /// What it may change is in doubt.
    InDoubt,
}

/// What is left of the rules for shapes where the session's own conditions are looked at: for so many of the shapes that it used last.
pub(super) struct Narrowed {
    /// Names the application.
    state: Rc<State>,
    shapes: VecDeque<(Weak<Candidates>, Rc<Candidates>)>,
}

impl Verdict {
    /// Whether the statement is known to read only, in the words in which it is sent.
    pub(super) fn is_read(&self, judge: &Judge) -> bool {
        self.profile.as_ref().is_some_and(|profile| profile.is_known_read(judge))
    }

    /// Whether the statement's cycle runs nothing but it.
    pub(super) fn is_alone(&self) -> bool {
        self.runs != Runs::More
    }

    /// The length of the batch that runs nothing but it.
    fn batch(&self) -> Option<usize> {
        match self.runs {
            Runs::ItInBatch(length) => Some(length),
            Runs::More | Runs::It => None,
        }
    }
}

impl Session {
    /// Takes a message where there are rules.
    pub(super) fn ruled_message(&mut self, frame: Frame, bytes: &[u8]) -> Flow {
        if self.goes_with_what_was_judged(frame) {
            return self.message(frame, bytes);
        }
        self.begin_caching();
        // Not so where data are copied: the server may have refused them, and run what stands behind.
        if self.server.as_ref().is_some_and(|server| server.skips) {
            self.verdict = None;
            self.put_in_doubt(frame, bytes);
            self.verdict = None;
            self.drain(false);
            return self.message(frame, bytes);
        }
        // One on a batch is none on a Query, whatever became of that batch.
        self.verdict.take_if(|verdict| frame.tag == front::QUERY && verdict.batch().is_some());
        if self.verdict.is_none() {
            self.judge_message(frame, bytes);
        }
        if let Some(flow) = self.await_turn(frame, bytes) {
            return flow;
        }
        let refusal = self.verdict.as_mut().and_then(|verdict| verdict.refusal.take());
        if refusal.is_none()
            && let Some(flow) = self.look_in_cache(frame, bytes)
        {
            return flow;
        }
        if refusal.is_none()
            && let Some(flow) = self.keep_time(frame, bytes)
        {
            return flow;
        }
        let flow = match refusal {
            Some(fault) => {
                self.capture_refused(bytes, &fault.sqlstate);
                self.refuse_statement(frame, bytes, *fault)
            }
            None => {
                self.put_in_doubt(frame, bytes);
                self.carry_out(frame, bytes)
            }
        };
        if matches!(flow, Flow::Taken(_)) {
            self.begin_fill();
        }
        // What is prepared or described first has the verdict on what is bound behind it.
        let goes_on = matches!(frame.tag, front::PARSE | front::DESCRIBE);
        if matches!(flow, Flow::Taken(taken) if !goes_on || taken > frame.total) {
            self.keep_pace();
        }
        flow
    }

    /// Whether the message only describes, runs or ends what was bound before, of which rules want nothing more.
    #[inline]
    fn goes_with_what_was_judged(&self, frame: Frame) -> bool {
        matches!(frame.tag, front::DESCRIBE | front::EXECUTE | front::SYNC)
            && self.verdict.is_none()
            && self.pace.is_none()
            && self.carried.is_nothing()
            && self.server.as_ref().is_some_and(|server| server.limit == 0 && !server.skips)
    }

    fn judge_message(&mut self, frame: Frame, bytes: &[u8]) {
        if !matches!(frame.tag, front::QUERY | front::PARSE | front::BIND | front::DESCRIBE) {
            return;
        }
        if frame.tag == front::QUERY {
            let whole = bytes.get(..frame.total).and_then(|whole| whole[HEADER..].strip_suffix(b"\0"));
            whole.into_iter().for_each(|text| self.judge(&Lone::Sent(text), Runs::It));
        } else if let Some((length, statement)) =
            (frame.tag != front::DESCRIBE).then(|| self.batch_without_server(bytes)).flatten()
        {
            self.judge(&statement, Runs::ItInBatch(length));
        } else if let Some(statement) = self.asked_alone(frame, bytes) {
            self.judge(&statement, Runs::It);
        } else if frame.tag == front::BIND {
            let there = &bytes[..frame.total.min(bytes.len())];
            let name = frame::cstr(body(there)).and_then(|(_, rest)| frame::cstr(rest));
            let bound =
                name.filter(|(name, _)| !self.is_contested(name)).and_then(|(name, _)| self.named(name));
            if let Some(named) = bound
                && let Some((text, _)) = named.as_parsed().and_then(frame::cstr)
            {
                self.judge(&Lone::Sent(text), Runs::More);
            }
        }
    }

    /// The statement of a cycle that the cache may answer, though it is not sent to replicas as it is: it begins with what describes the statement, or ends with what
    /// closes the portal.
    fn asked_alone<'a>(&self, frame: Frame, bytes: &'a [u8]) -> Option<Lone<'a>> {
        if self.cached.is_none() || self.server.is_some() || self.batch_open {
            return None;
        }
        let asked = Asked::read(frame, bytes)?;
        match asked.parsed {
            Some(tail) => Some(Lone::Sent(frame::cstr(tail)?.0)),
            None => self.plain_prepared(asked.name).map(Lone::Prepared),
        }
    }

    fn batch_without_server<'a>(&self, bytes: &'a [u8]) -> Option<(usize, Lone<'a>)> {
        let begins = !self.batch_open && (self.server.is_none() || self.may_read_there());
        begins.then(|| self.lone_read(bytes)).flatten()
    }

    /// Has the rules decide on a statement, once.
    fn judge(&mut self, statement: &Lone<'_>, runs: Runs) {
        let (profile, literals) = statement.with_literals(&self.profiles, self.dialect);
        // Only the cache asks for them.
        let literals = literals.filter(|_| self.cached.is_some()).map(Into::into);
        let text = statement.text();
        let rules = &self.worker.rules;
        let given = (rules.stamp(), || rules.get());
        let candidates = self.profiles.candidates(&profile, (text, self.dialect), given);
        let mut verdict = Verdict { profile: Some(profile), literals, runs, ..Verdict::default() };
        if candidates.is_settled() || candidates.len() <= MANY {
            self.decide(&candidates, text, &mut verdict);
        } else {
            let candidates = self.narrow(&candidates);
            self.decide(&candidates, text, &mut verdict);
        }
        if let Some(sent) = self.profile_of(verdict.asks.as_ref()) {
            (verdict.profile, verdict.literals) = (Some(sent), None);
        }
        self.verdict = Some(verdict);
    }

    /// Those of the candidates that are for this session.
    fn narrow(&mut self, candidates: &Rc<Candidates>) -> Rc<Candidates> {
        let known = self.narrowed.as_ref().filter(|narrowed| Rc::ptr_eq(&narrowed.state, &self.state));
        let same = |(of, _): &&(Weak<Candidates>, Rc<Candidates>)| of.as_ptr() == Rc::as_ptr(candidates);
        if let Some((_, own)) = known.and_then(|narrowed| narrowed.shapes.iter().find(same)) {
            return own.clone();
        }
        let own = Rc::new(candidates.of_session(&self.for_rules()));
        let mut narrowed = match self.narrowed.take() {
            Some(narrowed) if Rc::ptr_eq(&narrowed.state, &self.state) => narrowed,
            _ => Box::new(Narrowed { state: self.state.clone(), shapes: VecDeque::new() }),
        };
        narrowed.shapes.truncate(SHAPES - 1);
        narrowed.shapes.push_front((Rc::downgrade(candidates), own.clone()));
        self.narrowed = Some(narrowed);
        own
    }

    fn decide(&self, candidates: &Candidates, text: &[u8], verdict: &mut Verdict) {
        if candidates.is_empty() {
            return;
        }
        let Some(profile) = &verdict.profile else { return };
        if self.is_asked_again() {
            // It was judged, and counted, before a replica was asked.
            let decision = candidates.would_decide(&self.context(text));
            verdict.asks = self.asks(&decision, text, profile, true);
            verdict.needs = self.needs_again();
            verdict.slow = slow_from(&decision);
            return;
        }
        let in_transaction = self.is_in_transaction();
        if let Some(cache) = candidates.settled_cache(in_transaction) {
            verdict.cache = Some(Arc::clone(cache));
            return;
        }
        let decision = match candidates.settled(in_transaction) {
            Some(decision) => decision,
            None => candidates.decide(&self.context(text)),
        };
        if decision.is_empty() {
            return;
        }
        if decision.has_one_of(CARRIED) {
            verdict.asks = self.asks(&decision, text, profile, false);
        }
        if decision.has_one_of(TOLD) {
            self.tell(&decision, text);
        }
        verdict.refusal = decision.block().map(|block| Box::new(refusal(&block)));
        verdict.level = asked_level(&decision).map(|(level, _)| level);
        verdict.node = asked_node(&decision).map(Box::new);
        verdict.cache = decision.cache().map(|cache| Arc::clone(cache.action));
        verdict.slow = slow_from(&decision);
        if decision.has_one_of(NEEDED) {
            let timeout = decision.timeout();
            let timeout = timeout.map_or(0, |of| timing::milliseconds(*of.action, text, self.dialect));
            verdict.needs = Needs::of(&decision, timeout, &self.for_rules());
        }
    }

    pub(super) fn context<'a>(&'a self, text: &'a [u8]) -> rules::Context<'a> {
        let moment = Moment { in_transaction: self.is_in_transaction(), now: now(), text: alone(text) };
        rules::Context { session: self.for_rules(), moment }
    }

    pub(super) fn for_rules(&self) -> rules::Session<'_> {
        let set = self.state.settings().get(&b"application_name"[..]);
        rules::Session {
            user: self.handle.user.as_bytes(),
            database: self.handle.database.as_bytes(),
            application: set.map_or(self.handle.application.as_bytes(), |name| name),
            client: self.handle.client,
            number: self.number,
        }
    }

    pub(super) fn is_in_transaction(&self) -> bool {
        let begins = |server: &crate::pool::Server| server.expects.iter().any(Expect::begins);
        self.tx_status() != TxStatus::Idle || self.server.as_deref().is_some_and(begins)
    }

    /// Logs a statement, without its values, if a rule wants it to be.
    fn tell(&self, decision: &Decision<'_>, text: &[u8]) {
        let (log, tag) = (decision.log(), decision.tag());
        let Some(rule) = log.as_ref().map(|log| log.rule).or(tag.as_ref().map(|tag| tag.rule)) else {
            return;
        };
        let tag = tag.map(|tag| &**tag.action);
        let blocked_by = decision.block().map(|block| block.rule.name());
        let words = |text: &[u8]| String::from_utf8_lossy(&text[..text.len().min(LOGGED)]).into_owned();
        macro_rules! event {
            ($level:ident) => {
                if tracing::enabled!(tracing::Level::$level) {
                    let (session, shape) = (self.for_rules(), shape(alone(text), self.dialect));
                    tracing::event!(
                        tracing::Level::$level,
                        rule = rule.name(),
                        tag,
                        blocked_by,
                        user = words(session.user),
                        database = words(session.database),
                        application = words(session.application),
                        client = session.client.map(tracing::field::display),
                        fingerprint = %shape.fingerprint,
                        shape = words(&shape.kept(self.dialect)),
                        "statement"
                    );
                }
            };
        }
        match log.map(|log| log.action) {
            Some(rules::Level::Error) => event!(ERROR),
            Some(rules::Level::Warn) => event!(WARN),
            Some(rules::Level::Info) => event!(INFO),
            Some(rules::Level::Debug) | None => event!(DEBUG),
        }
    }

    /// Answers a statement with an error: here where the session has no server, else by way of the server, whose transaction fails too.
    pub(super) fn refuse_statement(&mut self, frame: Frame, bytes: &[u8], fault: Fault) -> Flow {
        if self.server.is_none() {
            if frame.tag != front::BIND {
                // A text that was to replace it must not leave the one before.
                self.unnamed = None;
            }
            self.refused(fault);
            return self.skip(frame, bytes);
        }
        self.pool.stats().error(&fault.sqlstate);
        if frame.tag == front::QUERY {
            self.spoil_by_query_in_batch();
            self.send_blamed_query(&fault);
            (self.batch_open, self.batch) = (false, Default::default());
        } else {
            self.batch_open = true;
            self.fail_here(fault.frame().into());
        }
        self.pass_over(frame, bytes)
    }

    /// What rules ask of a read of a replica for the statement at the front.
    pub(super) fn level_by_rule(&self) -> Option<Level> {
        self.verdict.as_ref().and_then(|verdict| verdict.level)
    }

    /// The node that rules want for it.
    pub(super) fn node_by_rule(&self) -> Option<&Host> {
        self.verdict.as_ref().and_then(|verdict| verdict.node.as_deref())
    }

    /// The shape of a text, if it is certain that it only reads; it is looked up once.
    pub(super) fn read_of(&self, text: &[u8]) -> Option<Rc<Profile>> {
        self.judged_read().unwrap_or_else(|| self.profiles.read(text, self.dialect))
    }

    /// The shape of what was judged last, if it is certain that it only reads; `None`: nothing was.
    fn judged_read(&self) -> Option<Option<Rc<Profile>>> {
        let profile = self.verdict.as_ref()?.profile.as_ref()?;
        Some(profile.is_known_read(&self.profiles.judge).then(|| profile.clone()))
    }

    /// The length of the batch at the front, and its shape, if it is certain that it is one read.
    pub(super) fn batch_that_reads(&self, bytes: &[u8]) -> Option<(usize, Rc<Profile>)> {
        let judged = self.verdict.as_ref().and_then(Verdict::batch);
        if let Some(length) = judged
            && let Some(read) = self.judged_read()
        {
            if read.is_none() && !self.profiles.judge.knows() {
                let statement = self.lone_read(bytes);
                statement.into_iter().for_each(|(_, statement)| self.count_unknown(statement.text()));
            }
            return Some((length, read?));
        }
        let (length, statement) = self.lone_read(bytes)?;
        let profile = statement.profile(&self.profiles, self.dialect);
        if profile.is_read(&self.profiles.judge, statement.text(), self.dialect) {
            return Some((length, profile));
        }
        if !self.profiles.judge.knows() {
            self.count_unknown(statement.text());
        }
        None
    }

    /// A statement is about to go to the primary that was not found to be a read: counts it where that is only for want of definitions.
    pub(super) fn count_unknown(&self, text: &[u8]) {
        if self.route.is_some() && self.may_route() && self.profiles.may_be_read(text, self.dialect) {
            self.pool.stats().kept[UNKNOWN].add(1);
        }
    }
}

/// The node that a decision names.
pub(super) fn asked_node(decision: &Decision<'_>) -> Option<Host> {
    match decision.route()?.action {
        rules::Route::Node(name) => host::parse(name).ok(),
        _ => None,
    }
}

/// From how many microseconds on rules call it slow; 0: they do not say.
fn slow_from(decision: &Decision<'_>) -> u64 {
    decision.slow().map_or(0, |slow| slow.action.as_micros() as u64)
}

fn refusal(block: &Decided<'_, Block>) -> Fault {
    let Block { sqlstate, message, hint } = block.action;
    let message = match message.is_empty() {
        true => format!("refused by rule \"{}\"", block.rule.name()),
        false => message.to_string(),
    };
    let fault = Fault::error(sqlstate, message);
    match hint {
        Some(hint) => fault.hint(hint.clone()),
        None => fault,
    }
}

/// A statement without what may stand behind it.
fn alone(text: &[u8]) -> &[u8] {
    let mut text = text.trim_ascii();
    while let Some(rest) = text.strip_suffix(b";") {
        text = rest.trim_ascii_end();
    }
    text
}

fn now() -> Seconds {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Seconds::try_from(since.as_secs()).unwrap_or(Seconds::MAX)
}
