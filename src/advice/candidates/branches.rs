//! OR: an index for each branch, or none.

use super::gin::{gin, key_of, prefix_class};
use super::served::{Want, serves, term_of};
use super::{Candidate, Look};
use crate::advice::index::Definition;
use crate::advice::scan::{Condition, Other, Pattern, Scan, Test, is_text, pattern, rows_left};
use crate::advice::schema::Table;

/// Branches that leave more of a table together are answered by reading it.
const MUCH: f64 = 0.1;

/// What a branch needs.
enum Branch {
    /// Nothing: an index is there.
    Served,
    /// An index.
    Wants(Candidate),
}

pub(super) fn branches(look: &mut Look<'_>, each: &[&Scan], table: &Table) {
    for (at, branches) in each[0].branches.iter().enumerate() {
        let all: Vec<&[Condition]> =
            each.iter().filter_map(|scan| scan.branches.get(at)?.first()).map(Vec::as_slice).collect();
        let rows: f64 = branches.iter().map(|branch| rows_left(branch, table)).sum();
        if rows > MUCH * table.rows || all.len() != each.len() {
            let why = format!(
                "the branches of an OR leave {:.0} % of the rows",
                rows / table.rows.max(1.0) * 100.0
            );
            look.reject(table, why);
            continue;
        }
        let around = &each[0].conditions;
        let needs: Option<Vec<Branch>> =
            branches.iter().map(|branch| one(look, branch, around, table)).collect();
        for need in needs.into_iter().flatten() {
            if let Branch::Wants(candidate) = need {
                look.propose(candidate);
            }
        }
    }
}

fn one(look: &Look<'_>, branch: &[Condition], around: &[Condition], table: &Table) -> Option<Branch> {
    by_btree(look, branch, around, table).or_else(|| branch.iter().find_map(|one| by_gin(look, one, table)))
}

fn by_btree(look: &Look<'_>, branch: &[Condition], around: &[Condition], table: &Table) -> Option<Branch> {
    let schema = look.schema;
    let usable = |one: &&Condition| {
        let typed = one.what.type_name().unwrap_or_default();
        one.what.is_indexable()
            && !matches!(typed, "jsonb" | "tsvector" | "boolean")
            && !typed.ends_with("[]")
    };
    let equal: Vec<&Condition> = branch
        .iter()
        .filter(usable)
        .filter(|one| matches!(one.test, Test::Equal | Test::In) && !matches!(one.other, Other::Join(_)))
        .collect();
    let key = |one: &Condition| Some(key_of(&one.what, one.what.print(schema.version)?));
    let mut keys = equal.iter().map(|one| key(one)).collect::<Option<Vec<_>>>()?;
    let mut tail = vec![];
    if let Some(range) = branch.iter().filter(usable).find(|one| is_range(one)) {
        let mut last = key(range)?;
        if range.test == Test::Like {
            last.class = prefix_class(&range.what, table, schema).map(str::to_owned);
        }
        tail.push(last);
    }
    keys.extend(tail.iter().cloned());
    if keys.is_empty() {
        return None;
    }
    let want = Want {
        equal: equal.iter().map(|one| one.what.of(0)).collect(),
        tail,
        ordered: false,
        include: vec![],
    };
    let conditions: Vec<Condition> = branch.iter().chain(around).cloned().collect();
    if table.indexes.iter().any(|index| serves(index, &want, &conditions, table, schema)) {
        return Some(Branch::Served);
    }
    let why =
        format!("one branch of an OR, which leaves about {:.0} rows", rows_left(branch, table).max(1.0));
    let definition = Definition::btree(table.oid, keys);
    Some(Branch::Wants(Candidate { definition, why, pattern: "or_branch", provable: true }))
}

fn is_range(condition: &Condition) -> bool {
    let Other::Constants(all) = &condition.other else {
        return matches!(condition.test, Test::Less | Test::Greater);
    };
    match condition.test {
        Test::Less | Test::Greater => true,
        Test::Like if condition.what.type_name().is_some_and(is_text) => {
            all.iter().all(|one| matches!(pattern(one), Pattern::Prefix(_) | Pattern::Exact(_)))
        }
        _ => false,
    }
}

fn by_gin(look: &Look<'_>, condition: &Condition, table: &Table) -> Option<Branch> {
    let served = gin(condition, &[condition], look.schema)?.ok()?;
    let wanted = term_of(&served.key, table, look.schema);
    let there = table.indexes.iter().any(|index| {
        let has = |key: &crate::advice::index::Key| {
            key.class == served.key.class && term_of(key, table, look.schema) == wanted
        };
        index.valid && index.definition.method == "gin" && index.definition.keys.iter().any(has)
    });
    if there {
        return Some(Branch::Served);
    }
    let definition =
        Definition { method: "gin".to_owned(), ..Definition::btree(table.oid, vec![served.key]) };
    let why = format!("one branch of an OR: {}", served.why);
    Some(Branch::Wants(Candidate { definition, why, pattern: "or_branch", provable: false }))
}
