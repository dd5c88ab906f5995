//! Rules that cannot mean what they say: conditions that never hold together, actions that exclude each other.

use super::action::{Concern, Consistency, Route};
use super::condition::Classes;
use super::file::WrittenRule;
use crate::sql::facts::Class;

/// What contradicts itself in a rule, at which key of which table.
#[derive(Debug, PartialEq)]
pub(super) struct Contradiction {
    pub key: (&'static str, &'static str),
    pub message: String,
}

/// All of a rule.
pub(super) fn of(rule: &WrittenRule) -> Vec<Contradiction> {
    let mut found = vec![];
    let mut add = |table: &'static str, key: &'static str, message: &str| {
        found.push(Contradiction { key: (table, key), message: message.to_owned() });
    };
    actions(rule, &mut add);
    routes(rule, &mut add);
    cached(rule, &mut add);
    rewrites(rule, &mut add);
    if let Some(classes) = rule.when.class {
        conditions(rule, classes, &mut add);
    }
    found
}

/// Says what is wrong with a key of a table.
type Add<'a> = dyn FnMut(&'static str, &'static str, &str) + 'a;

fn actions(rule: &WrittenRule, add: &mut Add<'_>) {
    let concerns = rule.then.concerns();
    if concerns.is_empty() {
        add("then", "then", "`then` is empty; say what the rule does, such as log = \"info\"");
    }
    if rule.then.block.is_some() {
        let spoken = [Concern::Block, Concern::Log, Concern::Tag];
        for concern in concerns.iter().filter(|concern| !spoken.contains(concern)) {
            let name = concern.name();
            let message = format!(
                "`{name}` stands beside `block`, and a statement that is refused is not run; remove one"
            );
            add("then", name, &message);
        }
    }
}

fn routes(rule: &WrittenRule, add: &mut Add<'_>) {
    let (route, consistency) = (&rule.then.route, rule.then.consistency);
    if *route == Some(Route::Primary) && consistency.is_some_and(|level| level != Consistency::Primary) {
        add("then", "consistency", "`consistency` is for replicas, and `route` is \"primary\"; remove one");
    }
    let to_a_replica = matches!(route, Some(Route::Replica));
    if to_a_replica && consistency == Some(Consistency::Primary) {
        let message = "`consistency` lets no replica answer, and `route` is \"replica\"; remove one";
        add("then", "consistency", message);
    }
    if let (Some(Route::Node(node)), Some(mirror)) = (route, &rule.then.mirror)
        && *node == mirror.node
    {
        add("then", "mirror", "`mirror` names the node that `route` names; take another node");
    }
    if rule.when.class.is_some_and(Classes::only_writes) && matches!(route, Some(Route::Replica | Route::Any))
    {
        let message = "`route` asks for a replica, and `class` has only statements that write; remove one";
        add("then", "route", message);
    }
}

fn cached(rule: &WrittenRule, add: &mut Add<'_>) {
    if rule.then.cache.is_none() {
        return;
    }
    if rule.when.class.is_some_and(Classes::only_writes) || !rule.when.writes.is_empty() {
        add("then", "cache", "`cache` is for reads, and `when` has only statements that write; remove one");
    }
    if rule.when.in_transaction == Some(true) {
        let message =
            "`cache` is for reads outside of transactions, and `in_transaction` is true; remove one";
        add("then", "cache", message);
    }
}

fn rewrites(rule: &WrittenRule, add: &mut Add<'_>) {
    let Some(rewrite) = &rule.then.rewrite else { return };
    let shapes = &rule.when.fingerprint;
    if !shapes.is_empty() && *shapes != [rewrite.fingerprint()] {
        let message = format!(
            "`fingerprint` is not that of `from` in `rewrite`, which is {}; remove it",
            rewrite.fingerprint()
        );
        add("when", "fingerprint", &message);
    }
}

fn conditions(rule: &WrittenRule, classes: Classes, add: &mut Add<'_>) {
    use Class::{Call, Copy, Define, Delete, Explain, Insert, Merge, Select, Truncate, Update, Utility};
    let when = &rule.when;
    let never = |key: &str, others: &str| format!("`{key}` never holds for the classes of `class`; {others}");
    let trees = [Select, Insert, Update, Delete, Merge, Truncate, Copy, Define, Call, Explain, Utility];
    let key = when.first_of_the_tree();
    if !key.is_empty() && !classes.may_be(&trees) {
        add("when", key, &never(key, "it is about tables, and these have none"));
        return;
    }
    if when.filtered.is_some() && !classes.may_be(&[Select, Update, Delete, Copy]) {
        add("when", "where", &never("where", "a WHERE of its own has SELECT, UPDATE, DELETE or COPY"));
    }
    if when.limited.is_some() && !classes.may_be(&[Select]) {
        add("when", "limit", &never("limit", "a LIMIT of its own has SELECT"));
    }
    if !when.writes.is_empty() && classes.only_reads() {
        add("when", "writes", &never("writes", "a read changes no table"));
    }
    if rule.then.max_rows.is_some()
        && !classes.may_be(&[Select, Insert, Update, Delete, Merge, Explain, Utility, Copy])
    {
        add("then", "max_rows", "`max_rows` has no sense for the classes of `class`; they answer no rows");
    }
}
