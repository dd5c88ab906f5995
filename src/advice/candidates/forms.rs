//! The forms of b-trees.

use std::collections::BTreeSet;

use super::gin::{key_of, prefix_class};
use super::predicate::{Partial, not_null, partial};
use super::served::{Want, served_enough, serves};
use super::{Candidate, Look};
use crate::advice::Origin;
use crate::advice::index::{Definition, Key};
use crate::advice::rewrite::is_rewritable;
use crate::advice::scan::{Condition, Other, Pattern, Scan, Sort, Term, Test, is_guess, is_text, pattern};
use crate::advice::schema::Table;

/// Conditions that leave more of a table than this are answered by reading it.
pub(super) const MUCH: f64 = 0.25;
/// Columns are carried along where they spare so many visits of the table.
const VISITS: f64 = 50.0;
/// And where an index that is there finds the rows: so many that a copy of their columns is worth it.
const VISITS_SERVED: f64 = 1_000.0;
/// So many columns are carried, and so many bytes of them.
const CARRIED: usize = 6;
const CARRIED_BYTES: u32 = 120;
/// Values of more bytes, on average, may be too long for a b-tree, which takes 2,704 at most.
const WIDE: u32 = 600;
/// So many columns that are compared for equality; further ones make an index no better.
const KEYS: usize = 6;
/// So many relations are looked at from which a table may be entered by a join.
const JOINS: usize = 3;
/// A predicate of flags is worth an index of its own where it leaves no more than this.
const HALF: f64 = 0.5;

/// A way into a table.
struct Entry<'a> {
    equal: Vec<&'a Condition>,
    /// The relation from which it is entered, by a join.
    joined: bool,
}

pub(super) fn btrees(look: &mut Look<'_>, each: &[&Scan], table: &Table) {
    let first = each[0];
    let conditions: Vec<&[Condition]> = each.iter().map(|scan| &scan.conditions[..]).collect();
    let often = each.len() > 1 || look.observed.sums.calls >= 10;
    let sampled = look.observed.samples.iter().any(|one| one.origin != Origin::Statistics);
    let part = partial(&conditions, often && sampled, table, look.schema.version);
    if let Some(why) = served_enough(each, table, look.schema) {
        return look.reject(table, why);
    }
    for entry in entries(first, part.as_ref(), look, table) {
        let mut forms = Forms { look, each, table, part: part.as_ref(), entry: &entry };
        forms.all();
    }
}

/// What is compared for equality: constants alone, and with each relation that a join comes from.
fn entries<'a>(scan: &'a Scan, part: Option<&Partial>, look: &Look<'_>, table: &Table) -> Vec<Entry<'a>> {
    let in_part = |one: &Condition| {
        part.is_some_and(|part| {
            part.whats.contains(&one.what.of(0)) && !matches!(one.test, Test::Equal | Test::In)
        })
    };
    let equal =
        |one: &&Condition| matches!(one.test, Test::Equal | Test::In) && !in_part(one) && is_key(one, table);
    let all: Vec<&Condition> = scan.conditions.iter().filter(equal).collect();
    let constants: Vec<&Condition> =
        all.iter().copied().filter(|one| !matches!(one.other, Other::Join(_))).collect();
    let relation = |one: &Condition| match &one.other {
        Other::Join(term) => term.relations().into_iter().next(),
        _ => None,
    };
    let from: BTreeSet<usize> = all.iter().filter_map(|one| relation(one)).collect();
    let mut entries = vec![Entry { equal: constants.clone(), joined: false }];
    for other in from.into_iter().take(if look.restricted { JOINS } else { 0 }) {
        let mut equal = constants.clone();
        equal.extend(all.iter().filter(|one| relation(one) == Some(other)));
        entries.push(Entry { equal, joined: true });
    }
    for entry in &mut entries {
        order_keys(&mut entry.equal, look, table);
    }
    entries
}

/// The order that the workload shares; then what has most values; then by name, so that it is always the same. Lists come last.
fn order_keys(equal: &mut Vec<&Condition>, look: &Look<'_>, table: &Table) {
    let version = look.schema.version;
    let key = |one: &Condition| {
        let rank = look.shared.rank(table.oid, &one.what, version);
        let column = one.what.as_column().and_then(|column| table.column(&column.name));
        let known = column.and_then(|column| column.statistics.as_ref());
        let distinct = known.map_or(0, |known| known.distinct as u64);
        let text = one.what.print(version).unwrap_or_default();
        (one.test == Test::In, std::cmp::Reverse(rank), std::cmp::Reverse(distinct), text)
    };
    equal.sort_by_key(|one| key(one));
    let mut seen: Vec<Term> = vec![];
    equal.retain(|one| {
        let new = !seen.contains(&one.what);
        seen.push(one.what.clone());
        new
    });
    equal.truncate(KEYS);
}

/// Whether a b-tree can hold what a condition compares, and should.
fn is_key(condition: &Condition, table: &Table) -> bool {
    let what = &condition.what;
    let type_name = what.type_name().unwrap_or_default();
    let unordered = matches!(type_name, "jsonb" | "json" | "tsvector" | "xml" | "point" | "");
    let plain = what.as_column().is_some();
    let flag = type_name == "boolean";
    let usable = if plain { !flag } else { !is_rewritable(condition, table) };
    let wide = what
        .as_column()
        .and_then(|column| table.column(&column.name))
        .is_some_and(|column| column.statistics.as_ref().is_some_and(|known| known.width > WIDE));
    what.is_indexable() && !unordered && !type_name.ends_with("[]") && usable && !wide
}

/// What comes of one way into a table.
struct Forms<'l, 'a, 'e> {
    look: &'l mut Look<'a>,
    each: &'e [&'e Scan],
    table: &'e Table,
    part: Option<&'e Partial>,
    entry: &'e Entry<'e>,
}

/// The tail of a b-tree, and what it is for.
struct Tail {
    keys: Vec<Key>,
    ordered: bool,
    pattern: &'static str,
    /// Without it, rows would have to be looked at beyond those that are wanted.
    limited: bool,
    /// The conditions that it serves, by their place in the scan.
    serves: Vec<usize>,
}

impl Forms<'_, '_, '_> {
    fn all(&mut self) {
        let mut tails = vec![];
        if !self.entry.equal.is_empty() {
            let pattern = if self.entry.joined { "join" } else { "equality" };
            tails.push(Tail { keys: vec![], ordered: false, pattern, limited: false, serves: vec![] });
        }
        if !self.entry.joined || !self.entry.equal.is_empty() {
            tails.extend(self.ranges());
            tails.extend(self.orders());
        }
        for tail in &tails {
            self.form(tail);
        }
        if let (Some(part), true) = (self.part, self.entry.equal.is_empty() && tails.is_empty()) {
            self.flags_alone(part);
        }
    }

    /// Each range, and each prefix.
    fn ranges(&self) -> Vec<Tail> {
        let scan = self.each[0];
        let mut tails: Vec<Tail> = vec![];
        for (at, condition) in scan.conditions.iter().enumerate() {
            if !is_key(condition, self.table) || self.is_equal(&condition.what) {
                continue;
            }
            let pattern = match condition.test {
                Test::Less | Test::Greater => "range",
                Test::Like
                    if is_texts(condition)
                        && self.each.iter().all(|scan| is_prefix(&scan.conditions[at])) =>
                {
                    "prefix"
                }
                _ => continue,
            };
            let Some(mut key) = self.key(&condition.what) else { continue };
            if pattern == "prefix" {
                key.class = prefix_class(&condition.what, self.table, self.look.schema).map(str::to_owned);
            }
            match tails.iter_mut().find(|tail| tail.keys == [key.clone()]) {
                Some(tail) => tail.serves.push(at),
                None => tails.push(Tail {
                    keys: vec![key],
                    ordered: false,
                    pattern,
                    limited: false,
                    serves: vec![at],
                }),
            }
        }
        tails
    }

    /// The order of ORDER BY, of DISTINCT ON, and of groups.
    fn orders(&self) -> Vec<Tail> {
        let scan = self.each[0];
        let sorted = |sorts: &[Sort]| -> Option<Vec<Key>> {
            let wanted = sorts.iter().filter(|sort| !self.is_fixed(&sort.what));
            let keys = wanted.map(|sort| {
                let key = self.key(&sort.what)?;
                Some(Key { descending: sort.descending, nulls_first: sort.nulls_first, ..key })
            });
            keys.collect::<Option<Vec<Key>>>().filter(|keys| !keys.is_empty())
        };
        let mut tails = vec![];
        let limited = scan.limit.is_some();
        if let Some(keys) = sorted(&scan.order) {
            let pattern = match (limited, scan.group.is_empty()) {
                (true, _) => "order_limit",
                // DISTINCT ON takes the first of each group.
                (false, false) => "group",
                (false, true) => "order",
            };
            let serves = self.served_by(&keys);
            tails.push(Tail { keys, ordered: true, pattern, limited, serves });
        }
        if scan.order.is_empty() && !scan.group.is_empty() {
            let sorts = scan.group.iter().map(|what| Sort {
                what: what.clone(),
                descending: false,
                nulls_first: false,
            });
            if let Some(keys) = sorted(&sorts.collect::<Vec<_>>()) {
                let serves = self.served_by(&keys);
                tails.push(Tail { keys, ordered: true, pattern: "group", limited: false, serves });
            }
        }
        tails
    }

    /// Ranges over the first key of an order.
    fn served_by(&self, keys: &[Key]) -> Vec<usize> {
        let first = keys.first().map(|key| key.what.clone());
        let conditions = self.each[0].conditions.iter().enumerate();
        let same = conditions.filter(|(_, one)| {
            matches!(one.test, Test::Less | Test::Greater) && self.key(&one.what).map(|key| key.what) == first
        });
        same.map(|(at, _)| at).collect()
    }

    fn key(&self, what: &Term) -> Option<Key> {
        let text = what.print(self.look.schema.version)?;
        what.is_indexable().then(|| key_of(what, text))
    }

    fn is_equal(&self, what: &Term) -> bool {
        self.entry.equal.iter().any(|one| one.what == *what)
    }

    /// It has one value in all rows that are wanted.
    fn is_fixed(&self, what: &Term) -> bool {
        self.entry.equal.iter().any(|one| one.what == *what && one.test == Test::Equal)
    }

    /// With all columns that are compared, without lists where they would break the order, partial, and with columns carried along.
    fn form(&mut self, tail: &Tail) {
        let equal = self.entry.equal.clone();
        self.shape(&equal, tail);
        let listed = equal.iter().any(|one| one.test == Test::In);
        if tail.ordered && tail.limited && listed {
            let without: Vec<&Condition> = equal.into_iter().filter(|one| one.test != Test::In).collect();
            self.shape(&without, tail);
        }
    }

    fn shape(&mut self, equal: &[&Condition], tail: &Tail) {
        let partial_equal: Vec<&Condition> = match self.part {
            Some(part) => equal.iter().copied().filter(|one| !part.whats.contains(&one.what.of(0))).collect(),
            None => equal.to_vec(),
        };
        let (full, part) = (self.keys(equal, tail), self.keys(&partial_equal, tail));
        if !full.is_empty() {
            self.with_include(full, equal, tail, None);
        }
        if let Some(partial) = self.part.filter(|_| !part.is_empty()) {
            self.with_include(part, &partial_equal, tail, Some(partial));
        }
        if let ([only], true) = (equal, tail.keys.is_empty() && self.part.is_none())
            && let Some(partial) = not_null(&only.what, self.table)
        {
            self.with_include(self.keys(equal, tail), equal, tail, Some(&partial));
        }
    }

    fn keys(&self, equal: &[&Condition], tail: &Tail) -> Vec<Key> {
        let mut keys: Vec<Key> = equal.iter().filter_map(|one| self.key(&one.what)).collect();
        keys.extend(tail.keys.iter().cloned());
        keys
    }

    /// What is compared is a flag and nothing else: its rows, by the primary key.
    fn flags_alone(&mut self, part: &Partial) {
        if part.share > MUCH {
            let why = format!("{} leaves {:.0} % of the rows", part.text, part.share * 100.0);
            return self.look.reject(self.table, why);
        }
        let primary = self.table.indexes.iter().find(|index| index.primary);
        let Some(keys) = primary.map(|index| index.definition.keys.clone()) else { return };
        let tail = Tail { keys: vec![], ordered: false, pattern: "partial", limited: false, serves: vec![] };
        self.with_include(keys, &[], &tail, Some(part));
    }

    fn with_include(&mut self, keys: Vec<Key>, equal: &[&Condition], tail: &Tail, part: Option<&Partial>) {
        if part.is_some_and(|part| part.share > HALF && tail.pattern == "partial") {
            return;
        }
        let left = self.left(equal, tail, part);
        if let Some(why) = self.too_much(left, tail) {
            return self.look.reject(self.table, why);
        }
        let carried = self.carried(&keys, left, self.is_served(equal, tail));
        self.offer(keys.clone(), vec![], equal, tail, part, left);
        if let Some(include) = carried {
            self.offer(keys, include, equal, tail, part, left);
        }
    }

    /// The part of rows that an index leaves, of the sample for which that is least.
    fn left(&self, equal: &[&Condition], tail: &Tail, part: Option<&Partial>) -> f64 {
        let mut least: f64 = 1.0;
        for scan in self.each {
            let whats: Vec<&Term> = equal.iter().map(|one| &one.what).collect();
            let mut used: Vec<&Condition> =
                scan.conditions.iter().filter(|one| whats.contains(&&one.what)).collect();
            used.extend(tail.serves.iter().filter_map(|at| scan.conditions.get(*at)));
            used.dedup();
            let rows = scan.rows_left(&used, self.table);
            least = least.min(rows / self.table.rows.max(1.0));
        }
        least * part.map_or(1.0, |part| part.share)
    }

    fn too_much(&self, left: f64, tail: &Tail) -> Option<String> {
        // The first of each group, or groups of a part of the table: groups of all of it are reckoned up in one go, in any order.
        let grouped = tail.pattern == "group" && (left <= MUCH || !self.each[0].order.is_empty());
        let ordered = tail.ordered && (tail.limited || grouped);
        (left > MUCH && !ordered && !self.entry.joined).then(|| {
            format!(
                "its conditions leave {:.0} % of the rows at least; from about {:.0} % on, reading the table is as fast",
                left * 100.0,
                MUCH * 100.0
            )
        })
    }

    /// Columns to carry, where they are all that is missing to answer without the table.
    fn carried(&self, keys: &[Key], left: f64, is_served: bool) -> Option<Vec<String>> {
        let scan = self.each[0];
        let needed = scan.columns.as_ref()?;
        let has = |name: &String| keys.iter().any(|key| key.name() == Some(name));
        let missing: Vec<String> = needed.iter().filter(|name| !has(name)).cloned().collect();
        let width = |name: &String| {
            let column = self.table.column(name);
            column.and_then(|column| column.statistics.as_ref()).map_or(32, |known| known.width)
        };
        let bytes: u32 = missing.iter().map(width).sum();
        let rows = left * self.table.rows;
        let rows = scan.limit.flatten().map_or(rows, |limit| limit.min(rows));
        let many = match is_served {
            true => rows >= VISITS_SERVED,
            false => rows >= VISITS || self.entry.joined,
        };
        (!missing.is_empty() && many && missing.len() <= CARRIED && bytes <= CARRIED_BYTES).then_some(missing)
    }

    fn offer(
        &mut self,
        keys: Vec<Key>,
        include: Vec<String>,
        equal: &[&Condition],
        tail: &Tail,
        part: Option<&Partial>,
        left: f64,
    ) {
        let scan = self.each[0];
        let want = want(equal, tail, include.clone());
        let schema = self.look.schema;
        if let Some(index) =
            self.table.indexes.iter().find(|index| serves(index, &want, &scan.conditions, self.table, schema))
            && (part.is_none() || index.definition.predicate.is_some())
        {
            let why = format!("{} serves {} already", index.name, printed(&keys));
            return self.look.reject(self.table, why);
        }
        let mut definition = Definition::btree(self.table.oid, keys);
        definition.include = include;
        definition.predicate = part.map(|part| part.text.clone());
        let pattern = pattern_name(&definition, tail, equal);
        let why = told(&definition, equal, tail, left * self.table.rows, schema.version);
        // A range over an expression without statistics is a third of the table to the planner, whatever is shown to it.
        let provable = !tail.serves.iter().filter_map(|at| scan.conditions.get(*at)).any(|one| {
            matches!(one.test, Test::Less | Test::Greater)
                && one.what.as_column().is_none()
                && is_guess(one, self.table)
        });
        self.look.propose(Candidate { definition, why, pattern, provable });
    }

    /// Whether an index that is there finds the same rows.
    fn is_served(&self, equal: &[&Condition], tail: &Tail) -> bool {
        let (want, conditions) = (want(equal, tail, vec![]), &self.each[0].conditions);
        let mut there = self.table.indexes.iter();
        there.any(|index| serves(index, &want, conditions, self.table, self.look.schema))
    }
}

fn want(equal: &[&Condition], tail: &Tail, include: Vec<String>) -> Want {
    let equal = equal.iter().map(|one| one.what.of(0)).collect();
    Want { equal, tail: tail.keys.clone(), ordered: tail.ordered, include }
}

fn is_texts(condition: &Condition) -> bool {
    condition.what.type_name().is_some_and(is_text)
}

fn is_prefix(condition: &Condition) -> bool {
    let Other::Constants(all) = &condition.other else { return false };
    all.iter().all(|one| matches!(pattern(one), Pattern::Prefix(_) | Pattern::Exact(_)))
}

fn pattern_name(definition: &Definition, tail: &Tail, equal: &[&Condition]) -> &'static str {
    let expression = definition.keys.iter().any(|key| key.name().is_none());
    match (definition.predicate.is_some(), definition.include.is_empty(), tail.pattern) {
        (true, ..) => "partial",
        (_, false, _) => "covering",
        _ if expression => "expression",
        (.., "range") if !equal.is_empty() => "equality_range",
        (.., "order" | "order_limit") if !equal.is_empty() => "equality_order",
        (.., other) => other,
    }
}

fn printed(keys: &[Key]) -> String {
    let names = keys.iter().map(|key| match &key.what {
        crate::advice::index::Held::Column(name) | crate::advice::index::Held::Expression(name) => {
            name.clone()
        }
    });
    names.collect::<Vec<_>>().join(", ")
}

fn told(definition: &Definition, equal: &[&Condition], tail: &Tail, rows: f64, version: u32) -> String {
    let names: Vec<String> = equal.iter().filter_map(|one| one.what.print(version)).collect();
    let mut parts = vec![];
    if !names.is_empty() {
        parts.push(format!("{} by equality", names.join(", ")));
    }
    if !tail.keys.is_empty() {
        let how = match (tail.ordered, tail.pattern) {
            (_, "group") => "in the order of groups",
            (true, _) => "in the order that is asked for",
            (_, "prefix") => "by what it begins with",
            _ => "by range",
        };
        parts.push(format!("{} {how}", printed(&tail.keys)));
    }
    let carried = if definition.include.is_empty() { "" } else { ", answered without the table" };
    let only =
        definition.predicate.as_ref().map(|text| format!(", only rows with {text}")).unwrap_or_default();
    format!("{}{only}{carried}; about {:.0} rows are left", parts.join(", then "), rows.max(1.0))
}
