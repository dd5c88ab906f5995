//! Statements that rules let through one after the other: those that come too often, and those of which only so many may run at once.
//!
//! A statement waits at the front of the input, before its session looks for a server; nothing behind it overtakes it. It passes one gate
//! after the other: first that which counts how often, so that nobody keeps a permit while waiting for a token. In a transaction that is open on
//! a server it waits only if its rule says so: the server, and the locks of the transaction, would be kept from those whose
//! turn it is. A permit is kept until the cycle that its statement stands in is answered. See `docs/design/rules.md`.

use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::time::Instant;

use tokio::time::Sleep;

use super::ruled::Verdict;
use super::serve::{Batch, Session};
use super::upstream::Flow;
use crate::plan::explain;
use crate::pool::Server;
use crate::pool::exchange::Expect;
use crate::rules::gate::{Entered, Gate, Permit, Place, Refusal, Turn, Would};
use crate::rules::{Decision, Session as Subject};
use crate::wire::frame::{Frame, TxStatus, front};
use crate::wire::{Fault, emit};

/// What a statement needs besides a server, by the rules that decided on it.
#[derive(Default)]
pub(super) struct Needs {
    /// What it has yet to pass, the next one last, and as whose statement.
    gates: Vec<(Arc<Gate>, Box<[u8]>)>,
    /// Where it stands in line.
    place: Option<Box<Standing>>,
    permit: Option<Permit>,
    /// How long it may run, in milliseconds; 0: as long as it takes.
    pub(super) timeout: u32,
    /// The server has been told, in the statement's transaction.
    pub(super) timed: bool,
}

/// A place in line, and the alarm for the time at which to look again.
struct Standing {
    place: Place,
    alarm: Pin<Box<Sleep>>,
}

/// What rules keep of statements that are on their way.
#[derive(Default)]
pub(super) struct Pace {
    /// Permits, and how many of the session's cycles end until each is given back.
    permits: Vec<(Permit, usize)>,
    /// How long the statement that was sent last may run: for the case that it is sent once more.
    timeout: u32,
    /// The next message waits until all answers to what was sent are there.
    pub(super) drains: bool,
    /// A rule's timeout may be in force in the transaction.
    pub(super) local: bool,
    /// A short one that is in force on the server in hand is being taken away; and how often that has failed.
    pub(super) lifts: bool,
    pub(super) failed: u8,
}

impl Needs {
    /// By what was decided on a statement of `session`; `timeout` as in [`Needs`].
    pub(super) fn of(decision: &Decision<'_>, timeout: u32, session: &Subject<'_>) -> Option<Box<Needs>> {
        let gates = explain::gates(decision, session);
        if gates.is_empty() && timeout == 0 {
            return None;
        }
        Some(Box::new(Needs { gates, timeout, ..Needs::default() }))
    }
}

impl Verdict {
    /// The statement waits for its turn.
    fn stands_in_line(&self) -> bool {
        self.needs.as_ref().is_some_and(|needs| needs.place.is_some())
    }

    /// It is refused, and waits for nothing any more.
    fn refuse(&mut self, fault: Fault) {
        self.refusal = Some(Box::new(fault));
        self.needs = None;
    }
}

impl Session {
    /// Has the statement at the front pass what its rules have put before it. Gives why it does not go on yet; a refusal is in its verdict.
    pub(super) fn await_turn(&mut self, frame: Frame, bytes: &[u8]) -> Option<Flow> {
        loop {
            let needs = self.verdict.as_ref()?.needs.as_ref()?;
            let (gate, key) = needs.gates.last()?.clone();
            let whole = bytes.len() >= frame.total || frame.total > self.worker.limits().max_held_message;
            if !whole {
                // Nobody gets a permit for half a message.
                return Some(Flow::More);
            }
            if self.has_permit_in_batch(&gate) {
                self.passed(None);
                continue;
            }
            match gate.enter(&key, Instant::now(), self.holds_in_transaction()) {
                Entered::Goes(permit) => self.passed(permit),
                Entered::Waits(place) => {
                    self.stand(place);
                    return Some(Flow::Later);
                }
                Entered::Refused(refusal) => {
                    self.verdict.as_mut()?.refuse(refused(&gate, refusal));
                    return None;
                }
            }
        }
    }

    /// What would become of a statement on which rules decided this, if it came now: as [`Session::await_turn`] would have it. Said of the first
    /// gate that does not let it through.
    pub(super) fn turn_of(&self, decision: &Decision<'_>) -> Option<(String, Would)> {
        let gates = explain::gates(decision, &self.for_rules());
        explain::turn(&gates, self.holds_in_transaction(), |gate| self.has_permit_in_batch(gate))
    }

    fn passed(&mut self, permit: Option<Permit>) {
        let Some(needs) = self.verdict.as_mut().and_then(|verdict| verdict.needs.as_mut()) else { return };
        needs.gates.pop();
        needs.place = None;
        needs.permit = permit.or(needs.permit.take());
    }

    fn stand(&mut self, place: Place) {
        let Some(needs) = self.verdict.as_mut().and_then(|verdict| verdict.needs.as_mut()) else { return };
        let alarm = Box::pin(crate::timer::sleep_until(Instant::now()));
        needs.place = Some(Box::new(Standing { place, alarm }));
        self.part_with_server();
    }

    /// What the session has only prepared or described in its batch keeps no server: the batch is ended, and goes on elsewhere.
    fn part_with_server(&mut self) {
        let light = self.batch_open
            && Batch { flushed: true, ..self.batch } == (Batch { flushed: true, ..Batch::default() });
        let Some(server) = self.server.as_mut().filter(|server| light && !server.skips) else { return };
        if !server.expects.is_empty() {
            emit::empty(&mut server.out, front::FLUSH);
        }
        self.batch.flushed = true;
        self.end_light_batch();
    }

    /// Whether the session would keep a server in a transaction while it waits.
    fn holds_in_transaction(&self) -> bool {
        let begun =
            |server: &Server| server.tx != TxStatus::Idle || server.expects.iter().any(Expect::begins);
        self.server.as_deref().is_some_and(begun)
            || self.server.is_some() && self.batch_open && self.batch.heavy
    }

    /// The statement at the front waits for its turn.
    #[inline]
    pub(super) fn stands_in_line(&self) -> bool {
        self.verdict.as_ref().is_some_and(Verdict::stands_in_line)
    }

    /// The next message waits for answers that are on their way.
    #[inline]
    pub(super) fn drains(&self) -> bool {
        let under_way =
            || self.server.as_ref().is_some_and(|server| !server.expects.is_empty() && !server.copy_in);
        self.pace.as_ref().is_some_and(|pace| pace.drains) && under_way()
    }

    /// Looks whether it is the turn of the statement at the front.
    pub(super) fn poll_turn(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.stands_in_line() {
            return false;
        }
        // Before its own, answers may come that a cancel is for.
        self.handle.waiting.set(!self.cycle_under_way());
        let holds = self.holds_in_transaction();
        let passes_over = self.server.as_ref().is_some_and(|server| server.skips || server.copy_in);
        let Some(verdict) = &mut self.verdict else { return false };
        let Some(standing) = verdict.needs.as_mut().and_then(|needs| needs.place.as_mut()) else {
            return false;
        };
        let gate = standing.place.gate().clone();
        if passes_over {
            self.verdict = None;
        } else if holds && !gate.waits_in_transaction() {
            standing.place.refuse();
            verdict.refuse(refused(&gate, Refusal::InTransaction));
        } else {
            match standing.poll(cx) {
                Turn::Comes(permit) => self.passed(permit),
                Turn::TooLate => verdict.refuse(refused(&gate, Refusal::TooLate(None))),
                Turn::NotBefore(_) => return false,
            }
        }
        self.handle.waiting.set(false);
        true
    }

    /// The client wants no answer any more: the statement at the front is refused by that. False: it does not wait for its turn.
    pub(super) fn cancel_turn(&mut self) -> bool {
        let Some(verdict) = self.verdict.as_mut().filter(|verdict| verdict.stands_in_line()) else {
            return false;
        };
        let text = "canceling statement due to user request";
        verdict.refuse(Fault::error("57014", text).routine("ProcessInterrupts"));
        self.handle.waiting.set(false);
        true
    }

    /// The statement at the front was taken: what it has is kept until it is answered.
    pub(super) fn keep_pace(&mut self) {
        // Where it stands: it is large, and most have nothing that is kept.
        let needs = self.verdict.as_mut().and_then(|verdict| verdict.needs.take());
        self.verdict = None;
        if needs.is_none() && self.pace.is_none() {
            return;
        }
        let ends = self.cycles_to_come() + usize::from(self.batch_open);
        let pace = self.pace.get_or_insert_default();
        let needs = needs.unwrap_or_default();
        pace.timeout = needs.timeout;
        // What was answered here has nothing to come.
        pace.permits.extend(needs.permit.filter(|_| ends > 0).map(|permit| (permit, ends)));
    }

    /// What a statement needs that is sent once more: it has passed its gates.
    pub(super) fn needs_again(&self) -> Option<Box<Needs>> {
        let timeout = self.pace.as_ref().map_or(0, |pace| pace.timeout);
        (timeout > 0).then(|| Box::new(Needs { timeout, ..Needs::default() }))
    }

    fn cycles_to_come(&self) -> usize {
        let ends = |expect: &&Expect| !expect.ours && expect.ends_with_ready();
        self.server.as_ref().map_or(0, |server| server.expects.iter().filter(ends).count())
    }

    fn has_permit_in_batch(&self, gate: &Arc<Gate>) -> bool {
        let open = self.cycles_to_come() + 1;
        let same = |(permit, ends): &(Permit, usize)| *ends == open && permit.is_of(gate);
        self.batch_open && self.pace.as_ref().is_some_and(|pace| pace.permits.iter().any(same))
    }

    /// A cycle of the client's was answered.
    #[inline]
    pub(super) fn cycle_ended(&mut self) {
        let Some(pace) = &mut self.pace else { return };
        pace.permits.retain_mut(|(_, ends)| {
            *ends = ends.saturating_sub(1);
            *ends > 0
        });
    }

    /// The session goes to sleep: it has no permit if nothing of its client's is under way, in whatever way that ended.
    pub(super) fn give_permits_back(&mut self) {
        let asked_again = self.is_to_be_asked_again() || self.is_asked_again();
        if asked_again || self.batch_open || self.cycles_to_come() > 0 {
            return;
        }
        self.pace.iter_mut().for_each(|pace| pace.permits.clear());
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        self.place.waited_until(Instant::now());
    }
}

impl Standing {
    fn poll(&mut self, cx: &mut Context<'_>) -> Turn {
        loop {
            let turn = self.place.poll(cx.waker(), Instant::now());
            let Turn::NotBefore(at) = turn else { return turn };
            self.alarm.as_mut().reset(at.into());
            if self.alarm.as_mut().poll(cx).is_pending() {
                return turn;
            }
        }
    }
}

/// What the client is told.
fn refused(gate: &Gate, refusal: Refusal) -> Fault {
    let (rule, allows) = (gate.rule(), gate.allows());
    let fault = |why: &str| Fault::error("53400", format!("{why} rule \"{rule}\" ({allows})"));
    match refusal {
        Refusal::TooLate(Some(after)) => fault("too many statements for").hint(format!(
            "Its turn would come in {after:.1?}. Try again later, or raise `rate`, `burst` or `wait` of the rule."
        )),
        Refusal::TooLate(None) => fault("no turn came in time by")
            .hint("Try again later, or raise what the rule allows, or `wait`."),
        Refusal::Full => fault("too many statements wait for")
            .hint("Try again later, or raise `limit` or `queue` of the rule."),
        Refusal::InTransaction => fault("no turn at once, in a transaction, by").hint(
            "It would keep its server while it waits. Try the transaction again, or set `wait_in_transaction` for the rule.",
        ),
    }
}
