//! Statistics before indexes: what the planner says of a table that has become another one since they were made is not to be built upon.

use super::tell::duration;
use crate::advice::index::Definition;
use crate::advice::schema::Table;
use crate::advice::{Fix, Rejected, Schema};

/// From this part of its rows on that were changed, and from so many times as many pages on, a table is another one. (What was written in the
/// transaction that analyzed it counts as changed since.)
const CHANGED: f64 = 0.5;
const GROWN: f64 = 2.0;

/// Takes indexes away that are of such tables, where ANALYZE is proposed: first that, then the question again. What they would have saved is said there.
pub fn statistics_first(
    indexes: Vec<(Definition, Fix)>,
    of_schema: &mut [Fix],
    schema: &Schema,
    rejected: &mut Vec<Rejected>,
) -> Vec<Fix> {
    let mut left = vec![];
    for (definition, fix) in indexes {
        let table = schema.table(definition.table).filter(|table| is_another(table));
        let analyze = table.and_then(|table| {
            let title = format!("ANALYZE {}", table.name);
            of_schema.iter_mut().find(|one| one.code == "analyze" && one.title == title)
        });
        let Some((table, analyze)) = table.zip(analyze) else {
            left.push(fix);
            continue;
        };
        analyze.helps.extend(&fix.helps);
        analyze.helps.sort_unstable();
        analyze.helps.dedup();
        let saves = fix.saves.unwrap_or_default();
        analyze.saves = Some(analyze.saves.unwrap_or_default() + saves);
        analyze.evidence.push(format!(
            "by the plans of these statistics an {} would save {} a day; by true ones its statements may need none: run this first, and look again",
            fix.title,
            duration(saves)
        ));
        let why =
            format!("the statistics of {} are of another time: ANALYZE first, then ask again", table.name);
        rejected.push(Rejected { what: fix.title, shapes: fix.helps, why });
    }
    left
}

fn is_another(table: &Table) -> bool {
    table.grown >= GROWN && table.activity.stale as f64 >= CHANGED * table.rows.max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::index::Key;
    use crate::advice::{Action, Price, Proof};

    fn fix(code: &'static str, title: &str, saves: Option<f64>) -> Fix {
        Fix {
            code,
            title: title.to_owned(),
            evidence: vec![],
            action: Action::Sql { run: vec![], undo: vec![], concurrently: false },
            helps: if code == "index" { vec![7] } else { vec![] },
            saves,
            price: Price::default(),
            proof: Proof::Pattern,
        }
    }

    #[test]
    fn an_index_waits_for_statistics_that_are_of_another_table() {
        let of = |stale: u64, grown: f64| {
            let mut table = Table { oid: 1, name: "t".to_owned(), rows: 10_000.0, grown, ..Table::default() };
            table.activity.stale = stale;
            let schema = Schema { tables: vec![table], ..Schema::default() };
            let index =
                (Definition::btree(1, vec![Key::column("a")]), fix("index", "index t(a)", Some(90.0)));
            let (mut fixes, mut rejected) = (vec![fix("analyze", "ANALYZE t", None)], vec![]);
            let left = statistics_first(vec![index], &mut fixes, &schema, &mut rejected);
            (left.len(), rejected.len(), fixes.remove(0))
        };
        let (left, rejected, analyze) = of(9_000, 3.0);
        assert_eq!((left, rejected, analyze.saves, analyze.helps), (0, 1, Some(90.0), vec![7]));
        assert!(
            analyze.evidence[0].contains("an index t(a) would save 90 s a day"),
            "{:?}",
            analyze.evidence
        );
        for (stale, grown) in [(3_000, 3.0), (9_000, 1.0), (9_000, 0.0)] {
            let (left, rejected, analyze) = of(stale, grown);
            assert_eq!((left, rejected, analyze.saves), (1, 0, None));
        }
    }
}
