//! The form of a plan: which nodes over which tables and indexes, without values, costs and numbers of rows. Two plans of one form do the same
//! work in the same way.
//!
//! Partitions of one table are one table in it: which of them are read changes with the day and the value, and how they are read stays.

use xxhash_rust::xxh3::xxh3_64;

use super::plan::{Node, Plan};
use super::schema::{Schema, Table};

/// A plan's form that was seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// The shape whose plan it is.
    pub fingerprint: u128,
    /// What tells it from others.
    pub hash: u64,
    /// The form, for people: `Limit (Sort (Seq Scan on orders))`.
    pub form: String,
    /// Rows of the largest table that it reads, as the planner reckons.
    pub rows: f64,
}

/// So much of a form is kept, in bytes.
const LONGEST: usize = 300;

impl Planned {
    /// The form of a plan of this shape.
    pub fn of(fingerprint: u128, plan: &Plan, schema: &Schema) -> Planned {
        let mut form = String::new();
        write(&plan.top, false, &mut form);
        let hash = xxh3_64(form.as_bytes());
        if form.len() > LONGEST {
            let end = (0..=LONGEST).rev().find(|at| form.is_char_boundary(*at)).unwrap_or(0);
            form.truncate(end);
            form += "...";
        }
        Planned { fingerprint, hash, form, rows: largest(plan, schema) }
    }
}

fn write(node: &Node, of_partitions: bool, form: &mut String) {
    form.push_str(&node.kind);
    if let Some(join) = node.join.as_ref().filter(|join| *join != "Inner") {
        *form += &format!(" {join}");
    }
    if let Some(index) = node.index.as_ref().filter(|_| !of_partitions) {
        *form += &format!(" {index}");
    }
    if let Some((_, name)) = &node.table {
        *form += if of_partitions { " on a partition" } else { " on " };
        *form += if of_partitions { "" } else { name };
    }
    if node.below.is_empty() {
        return;
    }
    let of_partitions = of_partitions || matches!(node.kind.as_str(), "Append" | "Merge Append");
    let mut parts: Vec<String> = vec![];
    for below in &node.below {
        let mut part = String::new();
        write(below, of_partitions, &mut part);
        if !of_partitions || parts.last() != Some(&part) {
            parts.push(part);
        }
    }
    *form += &format!(" ({})", parts.join(", "));
}

/// Rows of the largest table that a plan reads.
fn largest(plan: &Plan, schema: &Schema) -> f64 {
    let nodes = plan.nodes();
    let tables = nodes.iter().filter_map(|node| {
        let (of, name) = node.table.as_ref()?;
        whole(schema.named(of.as_deref(), name)?, schema)
    });
    tables.fold(0.0, f64::max)
}

/// Rows of a table, or of all that it is a partition of.
fn whole(table: &Table, schema: &Schema) -> Option<f64> {
    let parent = table.parent.and_then(|parent| schema.table(parent));
    Some(parent.map_or(table.rows, |parent| parent.rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(nodes: &str) -> Plan {
        Plan::parse(&format!("[{{\"Plan\": {nodes}}}]")).expect("a plan")
    }

    fn scan(kind: &str, table: &str, cost: u64) -> String {
        format!(
            r#"{{"Node Type": "{kind}", "Relation Name": "{table}", "Index Name": "{table}_i", "Total Cost": {cost}, "Filter": "(a = 'secret')"}}"#
        )
    }

    #[test]
    fn a_form_is_what_is_done_and_to_which_tables() {
        let schema = Schema::default();
        let of = |nodes: &str| Planned::of(1, &plan(nodes), &schema);
        let over = |below: &[String]| {
            format!(r#"{{"Node Type": "Hash Join", "Join Type": "Left", "Plans": [{}]}}"#, below.join(","))
        };
        let one = of(&over(&[scan("Index Scan", "a", 5), scan("Seq Scan", "b", 7)]));
        assert_eq!(one.form, "Hash Join Left (Index Scan a_i on a, Seq Scan b_i on b)");
        let dearer = of(&over(&[scan("Index Scan", "a", 500), scan("Seq Scan", "b", 7)]));
        assert_eq!(one.hash, dearer.hash);
        let other = of(&over(&[scan("Seq Scan", "a", 5), scan("Seq Scan", "b", 7)]));
        assert_ne!(one.hash, other.hash);
    }

    #[test]
    fn partitions_are_one() {
        let of = |parts: &[String]| {
            let nodes = format!(r#"{{"Node Type": "Append", "Plans": [{}]}}"#, parts.join(","));
            Planned::of(1, &plan(&nodes), &Schema::default())
        };
        let one = of(&[scan("Seq Scan", "may", 1), scan("Seq Scan", "june", 1)]);
        assert_eq!(one.form, "Append (Seq Scan on a partition)");
        assert_eq!(one, of(&[scan("Seq Scan", "july", 9)]));
        assert_ne!(one.hash, of(&[scan("Index Scan", "july", 9)]).hash);
    }

    #[test]
    fn a_long_form_is_cut_and_known_all_the_same() {
        let many: Vec<String> = (0..40).map(|n| scan("Seq Scan", &format!("täble{n}"), 1)).collect();
        let of = |tables: &[String]| {
            let nodes = format!(r#"{{"Node Type": "Nested Loop", "Plans": [{}]}}"#, tables.join(","));
            Planned::of(1, &plan(&nodes), &Schema::default())
        };
        let (all, less) = (of(&many), of(&many[..39]));
        assert!(all.form.len() <= LONGEST + 3 && all.form.ends_with("..."), "{}", all.form);
        assert!(all.form == less.form && all.hash != less.hash);
    }
}
