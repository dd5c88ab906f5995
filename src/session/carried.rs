//! What rules ask beyond refusals and routes is carried out: other words, a limit on rows, a copy to another node.
//!
//! It is decided with the rest (`ruled`), once for a statement, and done when the message that runs it is taken. The answers to come are
//! marked with what is to be made of them: [`Terms`].

use std::cell::{Cell, OnceCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Instant;

use super::limited::{Limit, Stopping};
use super::mirror::Wanted;
use super::relay::Verdict;
use super::rewritten::Reworded;
use super::serve::Session;
use super::upstream::{Flow, body};
use crate::plan::Profile;
use crate::pool::exchange::{Kind, Note};
use crate::pool::terms::{Terms, Wording};
use crate::rules::{Concern, Concerns, Decision};
use crate::wire::frame::{self, Frame, front};
use crate::wire::{Fault, emit};

/// What is carried out by [`Asks`].
pub(super) const CARRIED: Concerns =
    Concerns::of(&[Concern::Rewrite, Concern::Hint, Concern::MaxRows, Concern::Mirror]);

/// What rules ask of one statement.
pub(super) struct Asks {
    /// It goes on in these words.
    pub(super) reworded: Option<Reworded>,
    /// How many rows it may answer.
    limit: Option<Limit>,
    /// Where a copy of it goes.
    copy: Option<Wanted>,
    /// The Query in the new words, and as the client sent it.
    query: OnceCell<[Box<[u8]>; 2]>,
}

/// What a session has of statements for which rules have asked for something.
#[derive(Default)]
pub(super) struct Carried {
    /// Portals whose executions have terms.
    portals: HashMap<Box<[u8]>, Rc<Terms>, foldhash::fast::RandomState>,
    /// Statements of the session may stand for other words than the client's.
    pub(super) rewords: bool,
    /// An execution of the open batch is answered before the client goes on with that.
    pub(super) holds: bool,
    /// A statement with too many rows is being stopped.
    pub(super) stopping: Option<Stopping>,
}

impl Carried {
    /// Nothing that the session prepares or binds has to do with rules.
    pub(super) fn is_nothing(&self) -> bool {
        self.portals.is_empty() && !self.rewords && !self.holds && self.stopping.is_none()
    }

    /// The transaction has ended, and its portals with it.
    pub(super) fn forget_portals(&mut self) {
        self.portals.clear();
    }
}

impl Session {
    /// What rules ask of a statement of which `profile` is the shape. `again`: it was sent to a replica already, and its copy to a node.
    pub(super) fn asks(
        &self,
        decision: &Decision<'_>,
        text: &[u8],
        profile: &Profile,
        again: bool,
    ) -> Option<Rc<Asks>> {
        let reworded = self.reword(decision, text);
        let limit = decision.max_rows().and_then(|most| self.limit(&most, text, profile));
        let copy = decision.mirror().filter(|_| !again).and_then(|mirror| self.wants_copy(&mirror));
        if reworded.is_none() && limit.is_none() && copy.is_none() {
            return None;
        }
        Some(Rc::new(Asks { reworded, limit, copy, query: OnceCell::new() }))
    }

    /// The shape of the statement as it is sent, if its words are others than the client's.
    pub(super) fn profile_of(&self, asks: Option<&Rc<Asks>>) -> Option<Rc<Profile>> {
        let reworded = asks?.reworded.as_ref()?;
        // That judges it, where it is new.
        let _ = self.profiles.read(&reworded.text, self.dialect);
        Some(self.profiles.of(&reworded.text, self.dialect))
    }

    /// The message at the front as the client sent it, where `sent` is what it became.
    pub(super) fn as_client_sent<'a>(&'a self, sent: &'a [u8]) -> &'a [u8] {
        let asks = self.verdict.as_ref().and_then(|verdict| verdict.asks.as_ref());
        asks.and_then(|asks| asks.query.get()).map_or(sent, |[_, client]| client)
    }

    /// The text behind the hints that rules have put before it.
    pub(super) fn behind_hint<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        let asks = self.verdict.as_ref().and_then(|verdict| verdict.asks.as_ref());
        let hint = asks.and_then(|asks| asks.reworded.as_ref()).map_or(0, |reworded| reworded.hint);
        text.get(hint..).unwrap_or(text)
    }

    /// Takes a message of which rules may ask something, or have asked before.
    pub(super) fn carry_out(&mut self, frame: Frame, bytes: &[u8]) -> Flow {
        let asks = self.verdict.as_ref().and_then(|verdict| verdict.asks.clone());
        match (frame.tag, asks) {
            (front::QUERY, Some(asks)) if bytes.len() >= frame.total => {
                self.carry_out_query(&asks, frame, bytes)
            }
            (front::PARSE, _) if self.server.is_some() => self.parse_reworded(frame, bytes),
            (front::DESCRIBE, _) if self.carried.rewords && self.server.is_some() => {
                self.describe_reworded(frame, bytes)
            }
            (front::BIND, asks) if self.server.is_some() => {
                self.carry_out_bind(asks.as_deref(), frame, bytes)
            }
            (front::EXECUTE, _) if !self.carried.portals.is_empty() => self.carry_out_execute(frame, bytes),
            _ => self.message(frame, bytes),
        }
    }

    fn carry_out_query(&mut self, asks: &Asks, frame: Frame, bytes: &[u8]) -> Flow {
        let client = &bytes[..frame.total];
        let sent = asks.reworded.as_ref().map_or(client, |reworded| {
            let [sent, _] = asks.query.get_or_init(|| {
                let mut message = vec![];
                emit::query(&mut message, &reworded.text);
                [message.into(), client.into()]
            });
            sent
        });
        // Nobody else's statement is to be behind one that may be cancelled, nor is it to be sent in two wordings.
        self.alone = true;
        let flow = self.message(Frame { tag: front::QUERY, total: sent.len() }, sent);
        let Flow::Taken(_) = flow else { return flow };
        self.alone = false;
        self.was_asked_again();
        let copied = asks.copy.as_ref().and_then(|wanted| self.copy_query(wanted, sent));
        let wording = asks.reworded.as_ref().map(|reworded| reworded.wording.clone());
        let terms = self.terms(asks, wording, copied);
        if terms.rows.is_some() {
            (self.one_by_one, self.reading_now) = (true, None);
        }
        let last = self.server.as_mut().and_then(|server| server.expects.back_mut());
        if let Some(last) = last.filter(|last| !last.ours && last.kind == Kind::Query) {
            last.terms = Some(Rc::new(terms));
        }
        Flow::Taken(frame.total)
    }

    fn carry_out_bind(&mut self, asks: Option<&Asks>, frame: Frame, bytes: &[u8]) -> Flow {
        let there = &bytes[..frame.total.min(bytes.len())];
        let names = frame::cstr(body(there)).and_then(|(portal, rest)| Some((portal, frame::cstr(rest)?)));
        let Some((portal, (name, values))) = names else { return self.message(frame, bytes) };
        let reworded = asks.and_then(|asks| asks.reworded.as_ref());
        if (reworded.is_some() || self.carried.rewords) && !self.reword_named(name, reworded) {
            return Flow::Later;
        }
        let wording = self.wording_of(name);
        if (asks.is_some() || wording.is_some()) && !self.has_room_for_portal(portal) {
            return self.refuse_portal(frame, bytes);
        }
        let before = self.exchanges();
        let flow = self.message(frame, bytes);
        if asks.is_none() && wording.is_none() {
            if matches!(flow, Flow::Taken(_)) && !self.carried.portals.is_empty() {
                self.carried.portals.remove(portal);
            }
            return flow;
        }
        let whole = there.len() == frame.total && matches!(flow, Flow::Taken(_));
        let copied = asks.and_then(|asks| asks.copy.as_ref()).filter(|_| whole);
        let copied = copied.and_then(|wanted| self.copy_bound(wanted, name, values));
        let terms = match asks {
            Some(asks) => self.terms(asks, wording, copied),
            None => Terms { wording, ..Terms::default() },
        };
        let terms = Rc::new(terms);
        self.mark(before, &terms);
        if matches!(flow, Flow::Taken(_)) {
            self.keep_portal(portal, terms);
        }
        flow
    }

    fn has_room_for_portal(&self, portal: &[u8]) -> bool {
        let portals = &self.carried.portals;
        portals.len() < self.worker.limits().prepared_per_session || portals.contains_key(portal)
    }

    fn refuse_portal(&mut self, frame: Frame, bytes: &[u8]) -> Flow {
        let text = format!(
            "more than {} portals of statements with rules (prepared_per_session)",
            self.carried.portals.len()
        );
        let fault = Fault::error("54000", text).hint("end the transaction, or raise the limit");
        self.pool.stats().error(&fault.sqlstate);
        self.batch_open = true;
        self.fail_here(fault.frame().into());
        self.pass_over(frame, bytes)
    }

    fn keep_portal(&mut self, portal: &[u8], terms: Rc<Terms>) {
        if terms.is_empty() {
            self.carried.portals.remove(portal);
        } else {
            self.carried.portals.insert(portal.into(), terms);
        }
    }

    fn carry_out_execute(&mut self, frame: Frame, bytes: &[u8]) -> Flow {
        let portal = bytes.get(..frame.total).and_then(|whole| frame::cstr(body(whole)));
        let terms = portal.and_then(|(portal, _)| self.carried.portals.get(portal).cloned());
        let before = self.exchanges();
        let flow = self.message(frame, bytes);
        if let (Some(terms), Flow::Taken(taken)) = (terms, &flow) {
            self.mark(before, &terms);
            if terms.rows.is_some() {
                self.hold_behind_rows(&bytes[*taken..]);
            }
        }
        flow
    }

    fn terms(&self, asks: &Asks, wording: Option<Rc<Wording>>, copied: Option<Instant>) -> Terms {
        Terms { wording, rows: asks.limit.as_ref().map(Limit::rows), copied: Cell::new(copied) }
    }

    /// How many answers are to come.
    pub(super) fn exchanges(&self) -> usize {
        self.server.as_ref().map_or(0, |server| server.expects.len())
    }

    /// What was sent since there were `before` answers to come has these terms, so far as it is of the client's statement.
    pub(super) fn mark(&mut self, before: usize, terms: &Rc<Terms>) {
        let Some(server) = &mut self.server else { return };
        let sent = server.expects.iter_mut().skip(before);
        for expect in sent.filter(|expect| !expect.ours || expect.kind == Kind::Parse) {
            expect.terms = Some(terms.clone());
        }
    }

    /// The terms of the answer that turns out to be an error, unless that is one of pgweir's own making.
    pub(super) fn terms_in_error(&self) -> Option<Rc<Terms>> {
        let front = self.server.as_ref()?.expects.front()?;
        front.terms.clone().filter(|_| !matches!(front.note, Note::Blame(_)))
    }

    /// What becomes of an error of the server's by these terms.
    pub(super) fn error_by_terms(&self, terms: &Terms, whole: &[u8], verdict: Verdict) -> Verdict {
        if self.server.as_ref().is_none_or(|server| server.broken) {
            return verdict;
        }
        if let Some(rows) = terms.rows.as_ref().filter(|rows| rows.is_over()) {
            return Verdict::Replace(rows.fault.clone());
        }
        match &terms.wording {
            Some(wording) => self.in_words_of_client(wording, whole, verdict),
            None => verdict,
        }
    }
}
