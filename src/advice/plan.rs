//! A plan, as `EXPLAIN (FORMAT JSON)` tells it (PostgreSQL manual, 14.1 and EXPLAIN).

use serde_json::{Map, Value};

use super::schema::{Schema, Table};

/// `random_page_cost` by default.
const RANDOM_PAGE_COST: f64 = 4.0;

/// A plan of one statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The node at the top.
    pub top: Node,
    /// Milliseconds that it really took, where it was run (ANALYZE).
    pub milliseconds: Option<f64>,
    /// Settings that are not what they are by default.
    pub settings: Vec<(String, String)>,
    /// Triggers that ran, and the milliseconds of each, where it was run.
    pub triggers: Vec<(String, f64)>,
}

/// A node of a plan.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Node {
    /// Its type: `Seq Scan`, `Index Scan`, `Sort`, ...
    pub kind: String,
    /// What it is to the node above: `Outer`, `Inner`, `SubPlan`, `InitPlan`, `Member`, ...
    pub relationship: String,
    /// The table that it reads, with its schema where EXPLAIN was VERBOSE.
    pub table: Option<(Option<String>, String)>,
    /// The name that the statement gives the table.
    pub alias: Option<String>,
    /// The index that it uses.
    pub index: Option<String>,
    /// Planner cost until the first row, and of all.
    pub cost: (f64, f64),
    /// Rows that the planner expects, of one run.
    pub rows: f64,
    /// Bytes of a row that the planner expects.
    pub width: f64,
    /// How it is where it was run.
    pub actual: Option<Actual>,
    /// Conditions by the name that EXPLAIN gives them: `Filter`, `Index Cond`, `Hash Cond`, `Join Filter`, `Recheck Cond`, ...
    pub conditions: Vec<(String, String)>,
    /// `Sort Key`, with directions as printed.
    pub sort: Vec<String>,
    /// `Group Key`.
    pub group: Vec<String>,
    /// `Join Type`.
    pub join: Option<String>,
    /// Partitions that were not read, of an Append.
    pub removed: u64,
    /// Nodes below.
    pub below: Vec<Node>,
}

/// What a node really did, of all its runs (ANALYZE).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Actual {
    /// Milliseconds of one run, with what is below.
    pub milliseconds: f64,
    /// Rows of one run.
    pub rows: f64,
    /// How often it ran.
    pub loops: f64,
    /// Rows that a condition threw away, of one run.
    pub thrown: f64,
    /// Blocks found in shared buffers.
    pub hit: u64,
    /// Blocks read.
    pub read: u64,
}

/// Whether some plan reads all of a table, or of a partition of it; where there are no plans, it may.
pub fn is_read_whole(plans: &[Plan], table: &Table, schema: &Schema) -> bool {
    let is_it = |name: &str| name == table.name || schema.below(table.oid).any(|one| one.name == name);
    let whole = |plan: &Plan| plan.whole_tables().iter().any(|(_, name)| is_it(name));
    plans.is_empty() || plans.iter().any(whole)
}

impl Plan {
    /// From what EXPLAIN gives: a list with one object, whose member `Plan` is the top.
    ///
    /// # Errors
    /// What is missing, when it is not that.
    pub fn parse(text: &str) -> Result<Plan, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let whole = value.as_array().and_then(|list| list.first()).unwrap_or(&value);
        let whole = whole.as_object().ok_or("EXPLAIN did not give an object")?;
        let top = whole.get("Plan").and_then(Value::as_object).ok_or("EXPLAIN gave no plan")?;
        let settings = whole.get("Settings").and_then(Value::as_object);
        let settings = settings.into_iter().flatten();
        let triggers = whole.get("Triggers").and_then(Value::as_array);
        let triggers = triggers.into_iter().flatten().filter_map(Value::as_object);
        Ok(Plan {
            top: node(top),
            milliseconds: whole.get("Execution Time").and_then(Value::as_f64),
            settings: settings.map(|(name, value)| (name.clone(), word(value))).collect(),
            triggers: triggers.map(|one| (text_of(one, "Trigger Name"), number(one, "Time"))).collect(),
        })
    }

    /// Planner cost of all of it.
    pub fn cost(&self) -> f64 {
        self.top.cost.1
    }

    /// What a page costs that is read out of order, as the server has it set.
    pub fn random_page_cost(&self) -> f64 {
        let set = self.settings.iter().find(|(name, _)| name == "random_page_cost");
        set.and_then(|(_, value)| value.parse().ok()).unwrap_or(RANDOM_PAGE_COST)
    }

    /// Tables that are read from end to end: one after the other page, or all of an index, where no limit stops that.
    pub fn whole_tables(&self) -> Vec<&(Option<String>, String)> {
        let nodes = self.nodes();
        let limited = nodes.iter().any(|node| node.kind == "Limit");
        let whole = |node: &&Node| match node.kind.as_str() {
            "Seq Scan" => true,
            "Index Scan" | "Index Only Scan" => !limited && node.condition("Index Cond").is_none(),
            _ => false,
        };
        nodes.into_iter().filter(whole).filter_map(|node| node.table.as_ref()).collect()
    }

    /// Every node, those above first.
    pub fn nodes(&self) -> Vec<&Node> {
        let mut all = vec![&self.top];
        let mut at = 0;
        while let Some(node) = all.get(at).copied() {
            all.extend(&node.below);
            at += 1;
        }
        all
    }
}

impl Node {
    /// A condition by name.
    pub fn condition(&self, name: &str) -> Option<&str> {
        self.conditions.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str())
    }
}

fn node(from: &Map<String, Value>) -> Node {
    let conditions = from.iter().filter(|(name, _)| name.ends_with("Cond") || name.ends_with("Filter"));
    let below =
        from.get("Plans").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object);
    Node {
        kind: text_of(from, "Node Type"),
        relationship: text_of(from, "Parent Relationship"),
        table: maybe(from, "Relation Name").map(|name| (maybe(from, "Schema"), name)),
        alias: maybe(from, "Alias"),
        index: maybe(from, "Index Name"),
        cost: (number(from, "Startup Cost"), number(from, "Total Cost")),
        rows: number(from, "Plan Rows"),
        width: number(from, "Plan Width"),
        actual: from.get("Actual Loops").map(|_| Actual {
            milliseconds: number(from, "Actual Total Time"),
            rows: number(from, "Actual Rows"),
            loops: number(from, "Actual Loops"),
            thrown: number(from, "Rows Removed by Filter"),
            hit: number(from, "Shared Hit Blocks") as u64,
            read: number(from, "Shared Read Blocks") as u64,
        }),
        conditions: conditions.map(|(name, value)| (name.clone(), word(value))).collect(),
        sort: list(from, "Sort Key"),
        group: list(from, "Group Key"),
        join: maybe(from, "Join Type"),
        removed: number(from, "Subplans Removed") as u64,
        below: below.map(node).collect(),
    }
}

fn maybe(from: &Map<String, Value>, name: &str) -> Option<String> {
    from.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn text_of(from: &Map<String, Value>, name: &str) -> String {
    maybe(from, name).unwrap_or_default()
}

fn number(from: &Map<String, Value>, name: &str) -> f64 {
    from.get(name).and_then(Value::as_f64).unwrap_or_default()
}

fn list(from: &Map<String, Value>, name: &str) -> Vec<String> {
    from.get(name).and_then(Value::as_array).into_iter().flatten().map(word).collect()
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_with_its_nodes_and_conditions() {
        let text = r#"[{"Plan": {"Node Type": "Limit", "Startup Cost": 1.5, "Total Cost": 9.25, "Plan Rows": 10,
            "Plan Width": 8, "Plans": [{"Node Type": "Seq Scan", "Parent Relationship": "Outer",
            "Relation Name": "orders", "Schema": "public", "Alias": "o", "Startup Cost": 0, "Total Cost": 8,
            "Plan Rows": 100, "Plan Width": 8, "Actual Total Time": 2.5, "Actual Rows": 90, "Actual Loops": 1,
            "Filter": "(o.id > 5)", "Rows Removed by Filter": 7, "Shared Hit Blocks": 3}]},
            "Settings": {"work_mem": "8MB"}, "Execution Time": 3.5}]"#;
        let plan = Plan::parse(text).expect("a plan");
        assert_eq!((plan.cost(), plan.milliseconds), (9.25, Some(3.5)));
        assert_eq!(plan.settings, [("work_mem".to_owned(), "8MB".to_owned())]);
        assert_eq!((plan.random_page_cost(), plan.whole_tables().len()), (4.0, 1));
        let set = text.replace("work_mem", "random_page_cost").replace("8MB", "1.1");
        assert_eq!(Plan::parse(&set).expect("a plan").random_page_cost(), 1.1);
        let scan = plan.nodes()[1];
        assert_eq!(scan.condition("Filter"), Some("(o.id > 5)"));
        assert_eq!(scan.table, Some((Some("public".to_owned()), "orders".to_owned())));
        let actual = scan.actual.expect("it was run");
        assert_eq!((actual.thrown, actual.hit, actual.rows), (7.0, 3, 90.0));
    }

    #[test]
    fn what_is_no_plan_is_an_error() {
        for text in ["", "[]", "[1]", "{\"Plan\": 3}", "null"] {
            assert!(Plan::parse(text).is_err(), "{text}");
        }
    }
}
