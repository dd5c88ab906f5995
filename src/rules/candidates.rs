//! The rules that may hold for a shape, and what they decide on one of its statements.
//!
//! Three steps, so that what is known once is found out once: `Ruleset::candidates` for a shape, [`Candidates::of_session`] for a
//! session, and [`Candidates::decide`] for a statement. After either of the first two, [`Candidates::settled`] may have the decision already: where rules ask
//! nothing more, or nothing but whether a transaction is open.

use std::borrow::Cow;
use std::sync::Arc;

use super::action::{CONCERNS, Concern, Concerns};
use super::caching::Cache;
use super::context::{Context, Moment, Session};
use super::file::Mode;
use super::ruleset::Rule;

/// Rules whose conditions on the shape hold, in order.
#[derive(Debug, Clone, Default)]
pub struct Candidates {
    rules: Box<[Candidate]>,
    /// What is decided whatever the session and the moment are, outside of transactions and in them.
    settled: Option<Box<[Settled; 2]>>,
}

/// A decision, and which candidates count a hit for it.
#[derive(Debug, Clone)]
struct Settled {
    winners: Winners,
    counted: Box<[u16]>,
    /// The one that keeps answers, if nothing else is decided.
    caches: Option<u16>,
}

/// A rule, and what is still to be asked.
#[derive(Debug, Clone)]
struct Candidate {
    rule: Arc<Rule>,
    session: bool,
    moment: Asks,
}

/// What is to be asked of the moment of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    Nothing,
    /// Whether a transaction is open, and nothing else.
    Transaction,
    /// More than that.
    More,
}

impl Asks {
    fn of(rule: &Rule) -> Asks {
        match (rule.asks_more_of_the_moment(), rule.asks_the_moment()) {
            (true, _) => Asks::More,
            (false, true) => Asks::Transaction,
            (false, false) => Asks::Nothing,
        }
    }
}

/// Nobody has decided.
const NOBODY: u16 = u16::MAX;

/// Which candidates decide, by their index.
#[derive(Debug, Clone)]
struct Winners {
    by: [u16; CONCERNS],
    /// What they decide on.
    decided: Concerns,
    /// What those in shadow would have decided, in order.
    shadow: Vec<(u16, Concern)>,
}

impl Candidates {
    pub(super) fn of<'a>(rules: impl Iterator<Item = &'a Arc<Rule>>) -> Candidates {
        Candidates::new(rules.map(|rule| Candidate {
            rule: Arc::clone(rule),
            session: rule.asks_the_session(),
            moment: Asks::of(rule),
        }))
    }

    /// Leaves out those that come behind others which decide in any case, and decides where nothing more is to be asked.
    fn new(candidates: impl Iterator<Item = Candidate>) -> Candidates {
        let mut taken = Concerns::default();
        let mut rules = vec![];
        for candidate in candidates {
            if candidate.rule.concerns().without(taken).is_empty() {
                continue;
            }
            if !candidate.is_open() && candidate.rule.mode() == Mode::Enforce {
                taken = taken.with(candidate.rule.concerns());
            }
            rules.push(candidate);
        }
        let open = rules.iter().any(|one| one.session || one.moment == Asks::More);
        let settled =
            (!open && !rules.is_empty()).then(|| Box::new([false, true].map(|in_it| settle(&rules, in_it))));
        Candidates { rules: rules.into(), settled }
    }

    /// Whether there is none, so that nothing is decided, for nobody.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether the decision is the same whatever the session and the moment are, but for whether a transaction is open.
    pub fn is_settled(&self) -> bool {
        self.rules.is_empty() || self.settled.is_some()
    }

    /// The decision, if it is the same whatever the session and the moment are, but for whether a transaction is open. Counts hits.
    #[inline]
    pub fn settled(&self, in_transaction: bool) -> Option<Decision<'_>> {
        if self.rules.is_empty() {
            return Some(Decision::nothing());
        }
        let Settled { winners, counted, .. } = &self.settled.as_ref()?[usize::from(in_transaction)];
        counted.iter().for_each(|index| self.count(*index));
        let shadow = Cow::Borrowed(&winners.shadow[..]);
        Some(Decision { rules: &self.rules, by: winners.by, concerns: winners.decided, shadow })
    }

    /// How answers are kept, if that is all that is decided, as at [`Candidates::settled`]. Counts hits then.
    #[inline]
    pub fn settled_cache(&self, in_transaction: bool) -> Option<&Arc<Cache>> {
        let Settled { counted, caches, .. } = &self.settled.as_ref()?[usize::from(in_transaction)];
        let cache = self.rules.get(usize::from((*caches)?))?.rule.then().cache.as_ref()?;
        counted.iter().for_each(|index| self.count(*index));
        Some(cache)
    }

    /// Those whose conditions on the session hold: found once for a shape and a session, for as long as nothing that is in `session`
    /// changes.
    pub fn of_session(&self, session: &Session<'_>) -> Candidates {
        let holds = |one: &&Candidate| !one.session || one.rule.against_session(session).is_none();
        Candidates::new(
            self.rules.iter().filter(holds).map(|one| Candidate { session: false, ..one.clone() }),
        )
    }

    /// Decides on a statement. Counts hits.
    pub fn decide(&self, context: &Context<'_>) -> Decision<'_> {
        match self.settled(context.moment.in_transaction) {
            Some(decision) => decision,
            None => self.decision(context, |index| self.count(index)),
        }
    }

    /// What would be decided; counts nothing.
    pub fn would_decide(&self, context: &Context<'_>) -> Decision<'_> {
        self.decision(context, |_| ())
    }

    fn decision(&self, context: &Context<'_>, hit: impl FnMut(u16)) -> Decision<'_> {
        let holds = |one: &Candidate| {
            (!one.session || one.rule.against_session(&context.session).is_none())
                && (one.moment == Asks::Nothing || one.rule.against_moment(&context.moment).is_none())
        };
        let Winners { by, decided, shadow } = winners(&self.rules, holds, hit);
        Decision { rules: &self.rules, by, concerns: decided, shadow: Cow::Owned(shadow) }
    }

    fn count(&self, index: u16) {
        self.rules[usize::from(index)].rule.count();
    }
}

impl Candidate {
    fn is_open(&self) -> bool {
        self.session || self.moment != Asks::Nothing
    }
}

/// What is decided where nothing is asked but whether a transaction is open.
fn settle(rules: &[Candidate], in_transaction: bool) -> Settled {
    let moment = Moment { in_transaction, ..Moment::default() };
    let holds = |one: &Candidate| one.moment == Asks::Nothing || one.rule.against_moment(&moment).is_none();
    let mut counted = vec![];
    let winners = winners(rules, holds, |index| counted.push(index));
    let only_caches = winners.decided == Concerns::of(&[Concern::Cache]);
    let caches = only_caches.then_some(winners.by[Concern::Cache as usize]);
    Settled { winners, counted: counted.into(), caches }
}

/// The first that holds decides, for each concern; one in shadow, where nobody before it has decided, would have.
///
/// `hit` is told of each that counts.
fn winners(rules: &[Candidate], holds: impl Fn(&Candidate) -> bool, mut hit: impl FnMut(u16)) -> Winners {
    let mut winners = Winners { by: [NOBODY; CONCERNS], decided: Concerns::default(), shadow: vec![] };
    for (index, candidate) in (0..NOBODY).zip(rules) {
        let left = candidate.rule.concerns().without(winners.decided);
        if left.is_empty() || !holds(candidate) {
            continue;
        }
        hit(index);
        match candidate.rule.mode() {
            Mode::Shadow => winners.shadow.extend(left.iter().map(|concern| (index, concern))),
            Mode::Enforce => {
                left.iter().for_each(|concern| winners.by[concern as usize] = index);
                winners.decided = winners.decided.with(left);
            }
        }
    }
    winners
}

/// What was decided on a statement: for each concern the rule that did, if one did, and what those in shadow would have.
#[derive(Debug, Clone)]
pub struct Decision<'a> {
    rules: &'a [Candidate],
    by: [u16; CONCERNS],
    concerns: Concerns,
    shadow: Cow<'a, [(u16, Concern)]>,
}

/// An action, and the rule that it is of.
#[derive(Debug)]
pub struct Decided<'a, T> {
    /// The rule.
    pub rule: &'a Rule,
    /// What it does.
    pub action: &'a T,
}

impl<'a> Decision<'a> {
    /// Where there are no rules.
    pub fn nothing() -> Decision<'a> {
        Decision {
            rules: &[],
            by: [NOBODY; CONCERNS],
            concerns: Concerns::default(),
            shadow: Cow::Borrowed(&[]),
        }
    }

    /// Whether nothing was decided.
    pub fn is_empty(&self) -> bool {
        self.concerns.is_empty()
    }

    /// Whether something was decided on one of these.
    #[inline]
    pub fn has_one_of(&self, concerns: Concerns) -> bool {
        self.concerns.meets(concerns)
    }

    /// The rule that decided on a concern.
    pub fn rule(&self, concern: Concern) -> Option<&'a Rule> {
        let index = self.by[concern as usize];
        self.rules.get(usize::from(index)).map(|one| &*one.rule)
    }

    /// What was decided, in the order of the concerns.
    pub fn decided(&self) -> impl Iterator<Item = (Concern, &'a Rule)> {
        Concern::ALL.iter().filter_map(|concern| Some((*concern, self.rule(*concern)?)))
    }

    /// What rules in shadow would have decided, in the order of the rules.
    pub fn shadow(&self) -> impl Iterator<Item = (Concern, &'a Rule)> {
        self.shadow.iter().map(|(index, concern)| (*concern, &*self.rules[usize::from(*index)].rule))
    }
}
