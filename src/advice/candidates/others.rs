//! Indexes of other kinds than b-trees, where they are worth it.

use super::forms::MUCH;
use super::gin::{Served, brin, gin};
use super::served::{ENOUGH, has_rows, term_of};
use super::{Candidate, Look};
use crate::advice::index::Definition;
use crate::advice::scan::{Condition, Other, Scan, Test, of_condition, rows_left};
use crate::advice::schema::Table;

/// How rare something has to be for a kind of index that cannot be proven.
const RARE: f64 = 0.1;

/// GIN and BRIN.
pub(super) fn others(look: &mut Look<'_>, each: &[&Scan], table: &Table) {
    let scan = each[0];
    for (at, condition) in scan.conditions.iter().enumerate() {
        let same: Vec<&Condition> = each.iter().map(|scan| &scan.conditions[at]).collect();
        if let Some(found) = gin(condition, &same, look.schema) {
            one_gin(look, found, &same, scan, table);
        } else if let Some((definition, why)) = brin(condition, table) {
            let there = table.indexes.iter().any(|index| {
                index.valid
                    && index.definition.method == "brin"
                    && index.definition.keys.first() == definition.keys.first()
            });
            let part = rows_left(&scan.conditions, table) / table.rows.max(1.0);
            if !there && part <= MUCH && scan.order.is_empty() && scan.alone {
                look.propose(Candidate { definition, why, pattern: "brin", provable: false });
            }
        }
    }
}

fn one_gin(
    look: &mut Look<'_>,
    found: Result<Served, String>,
    each: &[&Condition],
    scan: &Scan,
    table: &Table,
) {
    let served = match found {
        Ok(served) => served,
        Err(why) => return look.reject(table, why),
    };
    let share = each.iter().map(|one| of_condition(one, table)).fold(1.0, f64::min);
    if share > RARE {
        let why = format!("what it looks for is in {:.0} % of the rows", share * 100.0);
        return look.reject(table, why);
    }
    if !look.is_read_whole(table) {
        return look.reject(table, "no plan reads the whole table".to_owned());
    }
    let rest = scan
        .conditions
        .iter()
        .filter(|one| matches!(one.test, Test::Equal) && !matches!(one.other, Other::Join(_)));
    let rest = rows_left(rest, table);
    if rest <= ENOUGH * 10.0 {
        return look.reject(
            table,
            format!("its equalities leave about {rest:.0} rows, which are soon looked through"),
        );
    }
    let key = &served.key;
    let there = table.indexes.iter().find(|index| {
        let first = index.definition.keys.iter().any(|known| {
            let class = known.class == key.class
                || (known.class.is_none() && key.class.as_deref() == Some("jsonb_path_ops"));
            class && term_of(known, table, look.schema) == term_of(key, table, look.schema)
        });
        index.valid
            && index.definition.method == "gin"
            && first
            && has_rows(&index.definition, &scan.conditions, table, look.schema)
    });
    if let Some(index) = there {
        return look.reject(table, format!("{} serves it already", index.name));
    }
    let definition =
        Definition { method: "gin".to_owned(), ..Definition::btree(table.oid, vec![served.key]) };
    look.propose(Candidate { definition, why: served.why, pattern: served.pattern, provable: false });
}
