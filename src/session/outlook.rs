//! What would become of a statement if the session sent it now, and why; found without doing any of it.
//!
//! The order of the questions is that of the path of a statement: rules, what pgweir answers itself, the server in hand, then what
//! [`super::route`] asks before it chooses a node. What is asked there of its own state is asked here of copies.

use std::rc::Rc;

use super::begin::TRANSACTION;
use super::explain::nothing_to_explain;
use super::route::{LONGEST, Route};
use super::ruled::asked_node;
use super::serve::Session;
use super::share;
use super::wished::level_in;
use super::{timing, waited};
use crate::config::settings::{Host, PoolMode};
use crate::plan::Profile;
use crate::plan::choose::{Choice, Read};
use crate::plan::explain::{self, Line, Names, Reads, Statement, asked_level, reason};
use crate::pool::{Asked, Pool, Target};
use crate::rules::gate::Would;
use crate::rules::{Candidates, Decision};
use crate::sql::{self, Detail, DiscardTarget, Effects, SetValue, Verb};
use crate::wire::Fault;
use crate::wire::frame::TxStatus;

/// Where a statement goes: what will be done with it, at which node, and why.
struct Place {
    plan: String,
    reason: Option<&'static str>,
    target: String,
    /// The pool of the replica that would answer, where the session has been there.
    pool: Option<Rc<Pool>>,
}

/// A statement that is explained.
pub(super) struct Explained<'a> {
    /// All of the text.
    whole: &'a [u8],
    pub(super) statement: Statement<'a>,
    /// What it and the names in it may do to the session.
    hidden: Effects,
    pub(super) reads: Reads,
    /// What is remembered of its shape.
    profile: Option<Rc<Profile>>,
    /// It comes as a Query.
    pub(super) simple: bool,
}

impl Session {
    /// What there is to say of the text behind EXPLAIN ROUTE. `values` are those of its parameters; `simple`: it would come as a Query.
    ///
    /// # Errors
    /// 42601 if there is no statement.
    pub(super) fn explanation(
        &self,
        text: &[u8],
        values: &[String],
        simple: bool,
    ) -> Result<Vec<Line>, Fault> {
        let statement = Statement::of(text, self.dialect).ok_or_else(nothing_to_explain)?;
        let contents = self.profiles.judge.contents();
        let statement = statement.with_relations(contents.relations.as_ref());
        let names = match self.profiles.judge.barrier(statement.text(), self.dialect) {
            Some(barrier) => Names::Known(barrier),
            None => Names::NotYet,
        };
        let reads = statement.reads(names);
        let hidden = self.functions.effects_of(statement.text(), self.dialect);
        let profile = [text.trim_ascii(), statement.text()];
        let profile = profile.iter().find_map(|text| self.profiles.known(text, self.dialect));
        let mut lines = statement.lines(&reads, hidden, values);
        let ruleset = self.worker.rules.get();
        let candidates = match self.worker.rules.stamp() {
            0 => Candidates::default(),
            _ => ruleset.candidates(&statement.subject(&reads)),
        };
        let context = self.context(statement.text());
        let decision = candidates.would_decide(&context);
        if self.worker.rules.stamp() != 0 {
            lines.extend(explain::rules(&ruleset, &statement.subject(&reads), &context));
            lines.extend(explain::decision(&decision));
        }
        let explained = Explained { whole: text, statement, hidden, reads, profile, simple };
        lines.extend(self.cache_lines(&explained, &decision));
        self.add_place(&explained, &decision, &mut lines);
        Ok(lines)
    }

    /// Where it goes: the session, the nodes, the plan.
    fn add_place(&self, explained: &Explained<'_>, decision: &Decision<'_>, lines: &mut Vec<Line>) {
        lines.push(self.transaction_line());
        if !self.pins.is_empty() {
            lines.push(Line::new("pinned", self.pins.join(", ")).because(self.pins.first().copied()));
        }
        let mut choosing = None;
        if let Some(route) = self.route.as_deref() {
            let sighting = route.nodes.sighting().clone();
            let (asked, settings) = (level_in(&self.state), sighting.topology.policy.level);
            let (level, line) =
                explain::asked(asked_level(decision), asked, self.pool.target().level, settings);
            let read = Read { client: route.client, ..Read::of_level(level) };
            let read = route.at_node(asked_node(decision).as_ref(), read);
            lines.push(line);
            lines.extend(explain::nodes(&read, &sighting.topology, &route.floor).lines);
            choosing = Some((route, read));
        }
        lines.extend(self.turn_of(decision).map(|(rule, would)| explain::turn_line(&rule, would)));
        let Place { plan, reason, target, pool } = self.place(explained, decision, choosing);
        lines.push(Line::new("plan", plan).because(reason));
        lines.push(Line::new("target", target));
        let pool = pool.as_ref().unwrap_or(&self.pool);
        let why_not =
            self.why_not_shared(explained, reason, pool).or_else(|| self.why_alone(explained, decision));
        lines.push(share_line(explained.simple, why_not));
    }

    fn transaction_line(&self) -> Line {
        let told = match (self.tx_status(), self.held_begin.is_some()) {
            (TxStatus::Idle, _) => "none",
            (TxStatus::Open, true) => "open; its BEGIN waits for its first statement",
            (TxStatus::Open, false) => "open",
            (TxStatus::Failed, _) => "failed",
        };
        Line::new("transaction", told)
    }

    fn place(
        &self,
        explained: &Explained<'_>,
        decision: &Decision<'_>,
        choosing: Option<(&Route, Read)>,
    ) -> Place {
        if let Some(place) = self.refused_or_here(explained, decision) {
            return place;
        }
        if let Some(server) = &self.server {
            let role = self.role_of(&server.shared.host).map_or(String::new(), |role| format!(" ({role})"));
            let target = format!("{}{role}, {}", server.shared.host, pool_name(&self.pool.target()));
            return Place {
                plan: "the server in hand".into(),
                reason: Some(self.why_in_hand()),
                target,
                pool: None,
            };
        }
        let primary = |reason: &'static str| self.at_primary(reason);
        if let Some(reason) = self.why_not_elsewhere(explained) {
            return primary(reason);
        }
        let Some((route, read)) = choosing else { return primary(reason::NOT_WATCHED) };
        if !self.isolation_allows(route) {
            return primary(if self.held_begin.is_some() {
                reason::IN_TRANSACTION
            } else {
                reason::SERIALIZABLE
            });
        }
        if explained.profile.as_ref().is_some_and(|profile| profile.refused.get()) {
            return primary(reason::REFUSED_BEFORE);
        }
        match route.nodes.would_choose(read, &route.floor) {
            Choice::Replica(node) => {
                let sighting = route.nodes.sighting().clone();
                let name = sighting.topology.node(node).map_or(String::new(), |node| node.name.to_string());
                let target = format!("{name} (replica), {}", pool_name(&self.pool.target()));
                let pool = route.known_pool(node).cloned();
                Place { plan: "replica".into(), reason: None, target, pool }
            }
            Choice::Primary(why) => {
                let wait = route.patience(route.nodes.sighting().topology.policy.wait);
                let wait = waited::cut(wait, self.time_for(explained, decision));
                let place = primary(why.name());
                let plan = match why.may_change() && !wait.is_zero() {
                    true => format!("primary, if no replica may answer it within {wait:?}"),
                    false => place.plan,
                };
                Place { plan, ..place }
            }
        }
    }

    /// What the statement may take, as far as is known here, in milliseconds.
    fn time_for(&self, explained: &Explained<'_>, decision: &Decision<'_>) -> u32 {
        let text = explained.statement.text();
        let by_rule = decision.timeout().map(|of| timing::milliseconds(*of.action, text, self.dialect));
        waited::least(self.time_of_its_own(), by_rule.unwrap_or(0))
    }

    /// What is not sent to anybody.
    fn refused_or_here(&self, explained: &Explained<'_>, decision: &Decision<'_>) -> Option<Place> {
        let none = |plan: String, reason| {
            Some(Place { plan, reason: Some(reason), target: "none".into(), pool: None })
        };
        if let Some(block) = decision.block() {
            let plan = format!("refused ({}), by rule {}", block.action.sqlstate, block.rule.name());
            return none(plan, reason::BLOCKED);
        }
        if let Some((rule, Would::Refuse(_))) = self.turn_of(decision) {
            return none(format!("refused (53400), by rule {rule}"), reason::TURN);
        }
        let text = explained.statement.text();
        let summary = sql::summarize(text, self.dialect);
        let ends = matches!(summary.statements.as_slice(), [one] if ends_failure(one.verb));
        if self.tx_status() == TxStatus::Failed && !ends {
            return none("refused (25P02), until ROLLBACK".into(), reason::FAILED);
        }
        let effects = explained.statement.effects();
        if self.refused_effects(effects).is_some() {
            return none("refused (0A000)".into(), reason::PINS_REFUSED);
        }
        let here = sql::explain_route(text, self.dialect).is_some() || self.is_bound_here(text, &summary);
        if here { none("answered by pgweir".into(), reason::ANSWERED_HERE) } else { None }
    }

    /// Whether it begins or ends a transaction of which no server knows, or empties a session that has none.
    fn is_bound_here(&self, text: &[u8], summary: &sql::Summary) -> bool {
        let [one] = summary.statements.as_slice() else { return false };
        if self.server.is_some() || self.batch_open || !text.is_ascii() {
            return false;
        }
        match (&one.detail, self.held_begin.is_some()) {
            (Detail::Begin { simple: true, .. }, false) => self.may_hold(text),
            (Detail::Set { name, value: SetValue::Modes(_), .. }, true) => {
                name == TRANSACTION && self.may_hold_too(text)
            }
            (Detail::Commit { chain: false }, true) => one.verb == Verb::Commit,
            (Detail::Rollback { chain: false }, true) => true,
            (Detail::Discard(DiscardTarget::All), false) => true,
            _ => false,
        }
    }

    pub(super) fn why_in_hand(&self) -> &'static str {
        let in_transaction = self.tx_status() != TxStatus::Idle;
        match () {
            () if in_transaction => reason::IN_TRANSACTION,
            () if self.mode == PoolMode::Session => reason::SESSION_POOL,
            () if !self.pins.is_empty() => reason::PINNED,
            () if self.batch_open => reason::IN_BATCH,
            () => reason::SESSION_STATE,
        }
    }

    /// Why a statement is for the primary whatever the nodes are: as [`super::route`] asks before it looks at them.
    fn why_not_elsewhere(&self, explained: &Explained<'_>) -> Option<&'static str> {
        let in_transaction = self.held_begin.is_some() && !self.begins_to_read();
        let is_plain = explained.hidden.is_empty() && self.is_plain(explained.whole);
        match explained.reads.reason() {
            _ if in_transaction => Some(reason::IN_TRANSACTION),
            Some(reason) => Some(reason),
            None if self.mode == PoolMode::Session => Some(reason::SESSION_POOL),
            None if explained.simple && !is_plain => Some(reason::NOT_PLAIN),
            None if explained.whole.len() > LONGEST => Some(reason::TOO_LONG),
            // What was answered before is on its way to the client: that says nothing of what comes next.
            None if self.out.is_empty() && !self.may_route() || !self.has_settings_only() => {
                Some(reason::SESSION_STATE)
            }
            None => None,
        }
    }

    /// Whether a Query of this text is looked at as one that may be a read.
    fn is_plain(&self, text: &[u8]) -> bool {
        !self.dialect.is_wide() && sql::plain_verb(text).is_some()
    }

    fn at_primary(&self, reason: &'static str) -> Place {
        let target = self.pool.target();
        let place = match &self.route {
            Some(route) => {
                let sighting = route.nodes.sighting().clone();
                let primary = sighting.topology.primary.and_then(|id| sighting.topology.node(id));
                primary.map_or("none is known: it waits for one".to_owned(), |node| node.name.to_string())
            }
            None => match target.hosts.as_slice() {
                [one] => one.to_string(),
                several => {
                    let names: Vec<_> = several.iter().map(ToString::to_string).collect();
                    format!("the first of {} that suits", names.join(", "))
                }
            },
        };
        let target = format!("{place}, {}", pool_name(&target));
        Place { plan: "primary".into(), reason: Some(reason), target, pool: None }
    }

    fn role_of(&self, host: &Host) -> Option<&'static str> {
        let sighting = self.route.as_ref()?.nodes.sighting().clone();
        sighting.topology.node(sighting.id_of(host)?).map(|node| node.role.word())
    }

    /// Why it may not go behind another session's statement on a server of this pool: as [`super::share`] asks.
    fn why_not_shared(
        &self,
        explained: &Explained<'_>,
        reason: Option<&'static str>,
        pool: &Pool,
    ) -> Option<&'static str> {
        let profile = explained.profile.as_deref();
        let asked = if explained.simple { Asked::Simple } else { Asked::Prepared };
        match () {
            () if self.mode != PoolMode::Transaction || !pool.shares() => Some(reason::SHARING_OFF),
            () if self.server.is_some() || self.held_begin.is_some() => {
                Some(reason.unwrap_or(reason::SESSION_STATE))
            }
            () if explained.reads.reason().is_some() => explained.reads.reason(),
            () if explained.simple && !self.is_plain(explained.whole) => Some(reason::NOT_PLAIN),
            () if !explained.simple && !explained.hidden.is_empty() => Some(reason::REACHES_MORE),
            () if explained.simple && explained.whole.len() > share::LONGEST => Some(reason::TOO_LONG),
            () if profile.is_none_or(|profile| !profile.pace.is_short()) => Some(reason::NOT_SHORT),
            () if profile.is_some_and(Profile::calls_others) => Some(reason::CALLS),
            () if !self.has_settings_only() => Some(reason::SESSION_STATE),
            () if pool.asking.would_be_watched() => Some(reason::SEQUENCES),
            () if !pool.shares_now(asked) => Some(reason::SHARING_DEAR),
            () => None,
        }
    }

    /// Why rules have it sent to a server that nobody else is sent to.
    fn why_alone(&self, explained: &Explained<'_>, decision: &Decision<'_>) -> Option<&'static str> {
        let text = explained.statement.text();
        let timeout = decision.timeout().map(|of| timing::milliseconds(*of.action, text, self.dialect));
        let timed = timeout.is_some_and(|timeout| timeout > 0 && !self.has_own_limit(timeout));
        (timed || self.is_changed(explained, decision)).then_some(reason::CHANGED)
    }

    /// Whether rules reword it, bound its rows or copy it.
    pub(super) fn is_changed(&self, explained: &Explained<'_>, decision: &Decision<'_>) -> bool {
        decision.max_rows().is_some()
            || decision.mirror().is_some()
            || self.reword(decision, explained.statement.text()).is_some()
    }
}

/// Where it may be shared, it depends on what others do then.
fn share_line(simple: bool, why_not: Option<&'static str>) -> Line {
    let share = match simple {
        _ if why_not.is_some() => "no",
        true => "yes, where a server is at work on a read of a session with equal settings",
        false => {
            "yes, prepared under a name, where a server that has it is at work on a read of a session with equal settings"
        }
    };
    Line::new("share", share).because(why_not)
}

/// Whether it is taken in a failed transaction.
fn ends_failure(verb: Verb) -> bool {
    matches!(verb, Verb::Commit | Verb::Rollback | Verb::RollbackTo | Verb::PrepareTransaction)
}

fn pool_name(target: &Target) -> String {
    let Target { database, user, server_database, server_user, .. } = target;
    let pool = format!("pool of {user} at {database}");
    match database == server_database && user == server_user {
        true => pool,
        false => format!("{pool} (there {server_user} at {server_database})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::explain::{REASONS, pins};
    use crate::stats::{PIN_REASONS, PRIMARY_REASONS};

    #[test]
    fn reasons_are_those_of_the_metrics() {
        let unknown = PRIMARY_REASONS.iter().filter(|name| !REASONS.contains(name)).count();
        assert_eq!(unknown, 0);
        let all = pins(Effects::TEMP.union(Effects::ADVISORY).union(Effects::HOLD).union(Effects::SEQUENCE))
            .chain(pins(Effects::UNNAMED.union(Effects::LOAD)))
            .chain(pins(Effects::RANDOM_SEED.union(Effects::PROCESS)));
        let all: Vec<_> = all.collect();
        assert_eq!(all.len(), 8);
        assert!(all.iter().all(|name| PIN_REASONS.contains(name)), "{all:?}");
        let mut names = REASONS.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), REASONS.len(), "each is there once");
    }
}
