//! The rules in force: read at the start and at each reload, replaced as a whole.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use std::time::Instant;

use super::Worker;
use crate::catalog::Contents;
use crate::config::{Settings, host};
use crate::plan::writes::TriggerWrites;
use crate::rules::{Mode, Problem, Route, Ruleset, TableFacts, TableName, folder, unknown_names};
use crate::session::mirror::Mirrors;
use crate::sql::facts::Name;

/// Those of the process, if it was started with a folder of rule files.
#[derive(Debug)]
pub struct InForce(Mutex<Arc<Ruleset>>);

impl InForce {
    /// These are.
    pub fn new(rules: Arc<Ruleset>) -> InForce {
        InForce(Mutex::new(rules))
    }

    /// Which are.
    pub fn get(&self) -> Arc<Ruleset> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts others in their place, which go on where these are.
    pub fn replace(&self, rules: Arc<Ruleset>) {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rules.go_on_from(&current, Instant::now());
        *current = rules;
    }
}

/// A worker's copy of them.
#[derive(Debug, Default)]
pub struct Rules {
    stamp: Cell<u64>,
    rules: RefCell<Arc<Ruleset>>,
    reword: Cell<bool>,
    caches: Cell<bool>,
    /// Some say what answers depend on beside what the catalog knows of.
    declare: Cell<bool>,
    /// What they say of triggers, by database.
    triggers: RefCell<HashMap<String, Rc<[TriggerWrites]>>>,
    /// Where copies of statements go.
    pub mirrors: Mirrors,
}

impl Rules {
    /// Gives whether what is kept may depend on more, by the words of these rules or of those before them, than it was said to when it was kept.
    pub(super) fn take(&self, in_force: Option<&InForce>) -> bool {
        let declared = self.declare.get();
        if let Some(in_force) = in_force {
            let rules = in_force.get();
            self.declare.set(declares(&rules));
            self.reword.set(rewords(&rules));
            self.caches.set(caches(&rules));
            *self.rules.borrow_mut() = rules;
            self.triggers.borrow_mut().clear();
            self.stamp.set(self.stamp.get() + 1);
        }
        declared || self.declare.get()
    }

    /// Another number whenever they have changed; 0 as long as the process lives where it was started without any.
    #[inline]
    pub fn stamp(&self) -> u64 {
        self.stamp.get()
    }

    /// Whether there are some that put statements in other words.
    #[inline]
    pub fn reword(&self) -> bool {
        self.reword.get()
    }

    /// Whether there are some that keep answers of reads.
    #[inline]
    pub fn caches(&self) -> bool {
        self.caches.get()
    }

    /// What they say of triggers of tables, in a database that clients call so.
    pub fn triggers(&self, database: &str) -> Rc<[TriggerWrites]> {
        if let Some(known) = self.triggers.borrow().get(database) {
            return known.clone();
        }
        let told: Rc<[TriggerWrites]> =
            TriggerWrites::told(&TableFacts::of(&self.rules.borrow(), database)).into();
        self.triggers.borrow_mut().insert(database.to_owned(), told.clone());
        told
    }

    /// The rules.
    pub fn get(&self) -> Arc<Ruleset> {
        self.rules.borrow().clone()
    }
}

impl Worker {
    /// Other rules are in force.
    pub(super) fn take_rules(&self) {
        if self.rules.take(self.shared.rules.as_ref()) {
            self.digests.forget_rules();
            // Nor is what is being fetched by the rules of before kept: each worker flushes when it has the new ones.
            self.shared.caches.store().flush();
        }
        if self.rules.caches() && !self.shared.some_rule_caches.swap(true, Ordering::Relaxed) {
            // What only the cache asks was not read with the names that are known.
            self.profiles.borrow().values().for_each(|profiles| drop(profiles.judge.change()));
        }
    }
}

/// Rules that send reads to replicas where no database has any that are watched, or to a node that none of those has.
pub fn without_replicas(rules: &Ruleset, settings: &Settings) -> Vec<Problem> {
    let watched = settings.databases.values().filter(|database| database.reads.to_replicas);
    let hosts: Vec<_> = watched.flat_map(|database| database.nodes()).collect();
    let why = |route: &Route| match route {
        Route::Replica | Route::Node(_) if hosts.is_empty() => Some(
            "sends reads to replicas, but no database has any: set reads = \"replicas\" in its section"
                .into(),
        ),
        Route::Node(node) if !host::parse(node).is_ok_and(|node| hosts.contains(&&node)) => {
            Some(format!("sends reads to {node}, which is a node of no database with reads = \"replicas\""))
        }
        _ => None,
    };
    let enforced = rules.rules().iter().filter(|rule| rule.mode() == Mode::Enforce);
    let told = enforced.filter_map(|rule| {
        let why: String = why(rule.then().route.as_ref()?)?;
        Some(Problem::warning(rule.place().clone(), format!("`{}` {why}", rule.name())))
    });
    told.collect()
}

fn rewords(rules: &Ruleset) -> bool {
    let rewords = |then: &crate::rules::Then| then.rewrite.is_some() || then.hint.is_some();
    rules.rules().iter().any(|rule| rule.mode() == Mode::Enforce && rewords(rule.then()))
}

/// Whether there are rules that keep answers of reads.
pub fn caches(rules: &Ruleset) -> bool {
    rules.rules().iter().any(|rule| rule.mode() == Mode::Enforce && rule.then().cache.is_some())
}

fn declares(rules: &Ruleset) -> bool {
    let declares =
        |then: &crate::rules::Then| then.cache.as_ref().is_some_and(|cache| !cache.depends_on.is_empty());
    rules.rules().iter().any(|rule| rule.mode() == Mode::Enforce && declares(rule.then()))
}

/// Rules that mirror, or send reads, to what is no address.
pub fn nowhere(rules: &Ruleset) -> Vec<Problem> {
    let told = |rule: &Arc<crate::rules::Rule>, key: &str, node: Option<&str>| {
        let wrong = host::parse(node?).err()?;
        let message = format!("{key} {wrong}; write it as in `hosts`, such as \"10.0.0.7:5432\"");
        Some(Problem::error(rule.place().clone(), message))
    };
    let of = |rule: &Arc<crate::rules::Rule>| {
        let then = rule.then();
        let mirror = told(rule, "`node` of `mirror`", then.mirror.as_ref().map(|mirror| &*mirror.node));
        let route = match &then.route {
            Some(Route::Node(node)) => told(rule, "`route`", Some(node)),
            _ => None,
        };
        mirror.into_iter().chain(route).collect::<Vec<_>>()
    };
    rules.rules().iter().flat_map(of).collect()
}

/// Names of tables and columns in rules that a database has not, by what was read of it.
pub fn not_there(rules: &Ruleset, database: &str, contents: &Contents) -> Vec<Problem> {
    let (Some(relations), Some(grounds)) = (&contents.relations, &contents.grounds) else { return vec![] };
    let exists = |table: &TableName, column: Option<&str>| {
        let name = Name { schema: table.schema.clone(), name: table.name.clone() };
        let has = |oid: u32| {
            grounds
                .detail(oid)
                .is_some_and(|detail| column.is_none_or(|column| detail.column(column).is_some()))
        };
        relations.named(&name, None).into_iter().any(|id| has(relations.oid(id)))
    };
    unknown_names(rules, database, &exists)
}

/// Reads the rule files of a folder, and logs which of their actions do nothing, at all or with these settings.
///
/// # Errors
/// Everything that is wrong with them.
pub fn read(folder: &Path, settings: &Settings) -> Result<Arc<Ruleset>, Vec<Problem>> {
    let rules = Ruleset::compile(&folder::read(folder)?)?;
    let nowhere = nowhere(&rules);
    if !nowhere.is_empty() {
        return Err(nowhere);
    }
    for Problem { place, message, .. } in without_replicas(&rules, settings) {
        tracing::warn!("{place}: {message}");
    }
    Ok(Arc::new(rules))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Source;

    fn rules(then: &str) -> Ruleset {
        let text = format!("[[rule]]\nname = \"a\"\nthen = {{ {then} }}\n");
        Ruleset::compile(&[Source { path: "a.toml".into(), text }]).expect("sound rules")
    }

    #[test]
    fn a_mirror_is_an_address() {
        for node in ["10.0.0.7:5432", "replica-2", "[::1]:5433", "/run/postgresql:5432"] {
            assert!(nowhere(&rules(&format!("mirror.node = \"{node}\""))).is_empty(), "{node}");
        }
        for node in ["a:b", "::1", "postgres://u:secret@a/b", "a:99999"] {
            let told = nowhere(&rules(&format!("mirror.node = \"{node}\"")));
            assert_eq!(told.len(), 1, "{node}");
            assert!(told[0].message.contains("as in `hosts`"), "{told:?}");
        }
    }

    #[test]
    fn a_route_names_a_node_by_its_address() {
        assert!(nowhere(&rules("route = \"10.0.0.7:5432\"")).is_empty());
        let told = nowhere(&rules("route = \"a:b\""));
        assert_eq!(told.len(), 1);
        assert!(told[0].message.starts_with("`route` holds `a:b`"), "{told:?}");
    }

    #[test]
    fn words_change_only_where_a_rule_in_force_says_so() {
        assert!(rewords(&rules("hint = \"SeqScan(t)\"")));
        assert!(rewords(&rules("rewrite = { from = \"select 1\", to = \"select 2\" }")));
        assert!(!rewords(&rules("max_rows = 5")));
    }
}
