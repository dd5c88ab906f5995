//! All rules, compiled: immutable, shared by all threads, and replaced as a whole.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::action::{Concerns, Then};
use super::calendar::{Date, Seconds};
use super::candidates::Candidates;
use super::condition::{Key, When};
use super::context::{Context, Moment, Session, Subject};
use super::file::{Contents, Mode, WrittenRule};
use super::gate::Gate;
use super::place::{Place, Problem, Severity, Source};

/// The most rules of a set.
pub const MOST: usize = 10_000;
/// The most regular expressions of a set: each may take some 128 kB, and as much for each thread that uses it.
const MOST_PATTERNS: usize = 1000;

/// A rule, with its counters.
#[derive(Debug)]
pub struct Rule {
    name: Box<str>,
    place: Place,
    mode: Mode,
    until: Option<Date>,
    when: When,
    then: Then,
    concerns: Concerns,
    /// Of its name: so that each rule with `percent` takes other sessions.
    seed: u64,
    hits: AtomicU64,
    shadow_hits: AtomicU64,
    gates: Gates,
}

/// What its statements have to pass, made when it is first asked for.
#[derive(Debug, Default)]
struct Gates {
    throttle: OnceLock<Arc<Gate>>,
    concurrency: OnceLock<Arc<Gate>>,
}

impl Rule {
    fn new(place: Place, written: WrittenRule) -> Rule {
        let WrittenRule { name, when, then, mode, until } = written;
        let (concerns, seed) = (then.concerns(), xxh3_64(name.as_bytes()));
        let (hits, shadow_hits) = (AtomicU64::new(0), AtomicU64::new(0));
        let gates = Gates::default();
        Rule { name, place, mode, until, when, then, concerns, seed, hits, shadow_hits, gates }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is written.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Whether it does what it says.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The last day on which it holds.
    pub fn until(&self) -> Option<Date> {
        self.until
    }

    /// Its conditions.
    pub fn when(&self) -> &When {
        &self.when
    }

    /// What it does.
    pub fn then(&self) -> &Then {
        &self.then
    }

    /// What it decides on.
    pub fn concerns(&self) -> Concerns {
        self.concerns
    }

    /// For how many statements it has decided something.
    pub fn hits(&self) -> u64 {
        self.hits.load(Relaxed)
    }

    /// For how many statements it would have decided something, were it not in shadow.
    pub fn shadow_hits(&self) -> u64 {
        self.shadow_hits.load(Relaxed)
    }

    /// What its statements have to pass so that they do not come too often.
    pub fn throttle_gate(&self) -> Option<&Arc<Gate>> {
        let action = self.then.throttle.as_ref()?;
        Some(self.gates.throttle.get_or_init(|| Gate::throttle(&self.name, action)))
    }

    /// What they have to pass so that not too many run at once.
    pub fn concurrency_gate(&self) -> Option<&Arc<Gate>> {
        let action = self.then.concurrency.as_ref()?;
        Some(self.gates.concurrency.get_or_init(|| Gate::concurrency(&self.name, action)))
    }

    /// Both, where there are.
    pub fn gates(&self) -> impl Iterator<Item = &Arc<Gate>> {
        self.throttle_gate().into_iter().chain(self.concurrency_gate())
    }

    /// Takes over what stands before and behind the gates of a rule that it replaces. A gate that it has no use for is opened.
    fn take_gates_of(&self, old: &Rule, now: Instant) {
        let enforced = self.mode == Mode::Enforce;
        if let Some(gate) = old.throttle_gate() {
            match &self.then.throttle {
                Some(action) if enforced => {
                    gate.throttle_by(action, now);
                    let _ = self.gates.throttle.set(gate.clone());
                }
                _ => gate.open(),
            }
        }
        if let Some(gate) = old.concurrency_gate() {
            match &self.then.concurrency {
                Some(action) if enforced => {
                    gate.bound_by(action);
                    let _ = self.gates.concurrency.set(gate.clone());
                }
                _ => gate.open(),
            }
        }
    }

    /// Whether its last day has passed.
    pub fn is_over(&self, now: Seconds) -> bool {
        self.until.is_some_and(|until| now >= until.end())
    }

    pub(super) fn count(&self) {
        let counter = if self.mode == Mode::Shadow { &self.shadow_hits } else { &self.hits };
        counter.fetch_add(1, Relaxed);
    }

    pub(super) fn asks_the_session(&self) -> bool {
        self.when.asks_the_session()
    }

    pub(super) fn asks_the_moment(&self) -> bool {
        self.when.asks_the_moment() || self.until.is_some()
    }

    /// The same, by something else than whether a transaction is open.
    pub(super) fn asks_more_of_the_moment(&self) -> bool {
        self.when.asks_more_of_the_moment() || self.until.is_some()
    }

    pub(super) fn against_session(&self, session: &Session<'_>) -> Option<Key> {
        let hash = || xxh3_64_with_seed(&session.number.to_le_bytes(), self.seed);
        self.when.against_session(session, hash)
    }

    pub(super) fn against_moment(&self, moment: &Moment<'_>) -> Option<Key> {
        if self.is_over(moment.now) { Some("until") } else { self.when.against_moment(moment) }
    }

    /// The first of all conditions that does not hold.
    pub fn fails(&self, subject: &Subject<'_>, context: &Context<'_>) -> Option<Key> {
        let shape = self.when.against_shape(subject);
        let session = || self.against_session(&context.session);
        shape.or_else(session).or_else(|| self.against_moment(&context.moment))
    }
}

/// Compiled rules, in order.
#[derive(Debug, Default)]
pub struct Ruleset {
    rules: Box<[Arc<Rule>]>,
}

impl Ruleset {
    /// Compiles all files, in the order given, or nothing.
    ///
    /// # Errors
    /// Everything that is wrong, in order of its place.
    pub fn compile(files: &[Source]) -> Result<Ruleset, Vec<Problem>> {
        let contents = Contents::of(files);
        let (ruleset, problems) = Ruleset::of(contents.rules, contents.problems);
        if problems.iter().any(|problem| problem.severity == Severity::Error) {
            return Err(problems);
        }
        Ok(ruleset)
    }

    /// The rules as far as they are sound, and what is wrong with those that are not.
    pub(super) fn of(
        written: Vec<(Place, WrittenRule)>,
        mut problems: Vec<Problem>,
    ) -> (Ruleset, Vec<Problem>) {
        let mut places: HashMap<Box<str>, Place> = HashMap::with_capacity(written.len());
        let mut rules = Vec::with_capacity(written.len());
        for (place, rule) in written {
            if let Some(first) = places.get(&rule.name) {
                let message = format!("a rule `{}` is at {first} already; give it another name", rule.name);
                problems.push(Problem::error(place, message));
                continue;
            }
            places.insert(rule.name.clone(), place.clone());
            rules.push(Arc::new(Rule::new(place, rule)));
        }
        problems.extend(too_many(&rules));
        problems.sort();
        (Ruleset { rules: rules.into() }, problems)
    }

    /// Its rules, in order.
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// The rules that may hold for the statements of a shape: found once for it. Linear in the number of rules.
    pub fn candidates(&self, subject: &Subject<'_>) -> Candidates {
        let holds = |rule: &&Arc<Rule>| rule.when.against_shape(subject).is_none();
        Candidates::of(self.rules.iter().filter(holds))
    }

    /// Goes on where the rules of the same names in `old` are: counters, who waits and who runs. What waits for rules that are gone, or in
    /// shadow now, waits no more. Before anybody asks these rules.
    pub fn go_on_from(&self, old: &Ruleset, now: Instant) {
        let mut before: HashMap<&str, &Rule> = old.rules.iter().map(|rule| (rule.name(), &**rule)).collect();
        for rule in &self.rules {
            if let Some(before) = before.remove(rule.name()) {
                rule.hits.fetch_add(before.hits(), Relaxed);
                rule.shadow_hits.fetch_add(before.shadow_hits(), Relaxed);
                rule.take_gates_of(before, now);
            }
        }
        before.values().flat_map(|gone| gone.gates()).for_each(|gate| gate.open());
    }
}

/// What is beyond the bounds, told at the first rule that is.
fn too_many(rules: &[Arc<Rule>]) -> Vec<Problem> {
    let told =
        |rule: Option<&Arc<Rule>>, what: String| rule.map(|rule| Problem::error(rule.place.clone(), what));
    let patterns = |rule: &&Arc<Rule>| rule.when.shape_regex.is_some() || rule.when.text_regex.is_some();
    let with_pattern = rules.iter().filter(patterns).nth(MOST_PATTERNS);
    let all = told(rules.get(MOST), format!("there are more than {MOST} rules; join some by lists"));
    let some = told(with_pattern, format!("more than {MOST_PATTERNS} rules have regular expressions"));
    all.into_iter().chain(some).collect()
}
