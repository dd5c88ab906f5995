//! Statements that are better written otherwise.

use super::{Fix, Seen, code, is_small};
use crate::advice::candidates::{is_led_by, served_enough};
use crate::advice::rewrite::{
    Change, casts_of_values, keyset, not_exists, print_hidden, printable_hidden, sargable, union_all,
    without_strings,
};
use crate::advice::scan::{
    Condition, Note, Other, Scan, Term, Test, Value, base, of_condition_text, rows_left, selectivity,
};
use crate::advice::schema::Table;

/// An OFFSET that is deep.
const DEEP: f64 = 1_000.0;
/// A table of so many rows is not sorted for a few of them.
const SORTED: f64 = 10_000.0;
/// Nor counted.
const COUNTED: f64 = 100_000.0;
/// An inner query over so many rows.
const INNER: f64 = 10_000.0;
/// So many times as few rows are looked up rather than looked for among all.
const FEWER: f64 = 20.0;
/// A condition that leaves more than this of a table is answered by reading it.
const MUCH: f64 = 0.25;

pub(super) fn written(seen: &Seen<'_>, fixes: &mut Vec<Fix>) {
    let Some(first) = seen.first() else { return };
    expressions(seen, fixes);
    fixes.extend(words(seen));
    casts(seen, fixes);
    for note in &first.notes {
        match note {
            Note::OrAcross(relations) => fixes.extend(or_across(seen, relations)),
            Note::NotIn { nullable } => fixes.extend(not_in(seen, *nullable)),
            Note::Offset(_) => fixes.extend(offset(seen)),
            Note::RandomOrder(relations) => fixes.extend(random(seen, relations)),
            Note::CountAll(relation) => fixes.extend(count_all(seen, *relation)),
            Note::Star | Note::Unlimited => {}
        }
    }
}

/// Conditions on expressions: one finding for each column.
fn expressions(seen: &Seen<'_>, fixes: &mut Vec<Fix>) {
    let Some(first) = seen.first() else { return };
    let Some(mut tree) = printable_hidden(seen.text()) else { return };
    let changes = sargable(&mut tree, first, seen.schema);
    let rewritten = print_hidden(&tree);
    let own =
        |change: &Change| change.column.rsplit('.').next().unwrap_or_default().trim_matches('"').to_owned();
    let mut names: Vec<String> = changes.iter().map(own).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let of: Vec<&Change> = changes.iter().filter(|change| own(change) == name).collect();
        fixes.extend(expression(seen, &name, &of, rewritten.clone()));
    }
}

fn expression(seen: &Seen<'_>, name: &str, changes: &[&Change], rewritten: Option<String>) -> Option<Fix> {
    let (scan, table) = scan_with(seen, name)?;
    let each: Vec<&Scan> = seen.found.iter().filter_map(|found| found.scan(scan.relation)).collect();
    let share = share_with(scan, name, table);
    let served = served_enough(&each, table, seen.schema).is_some();
    if is_small(table) || !seen.is_read_whole(table) || served || share > MUCH {
        return None;
    }
    let led = table.indexes.iter().find(|index| index.valid && is_led_by(&index.definition, name));
    let all = |part: &dyn Fn(&Change) -> &str| {
        changes.iter().map(|change| part(change)).collect::<Vec<_>>().join(" and ")
    };
    let before = without_strings(&all(&|change| &change.before));
    let after = without_strings(&all(&|change| &change.after));
    let mut evidence = vec![format!(
        "{before} of {} is on an expression; no index on {name} serves it, and about {:.2} % of {:.0} rows satisfy it",
        table.name,
        share * 100.0,
        table.rows
    )];
    evidence.push(match led {
        Some(index) => format!("{} on {name} is there and would serve {after}", index.name),
        None => format!("{after} can be served by an index on {name}, which is yet to be created"),
    });
    let provided = changes.iter().filter_map(|change| change.provided);
    evidence.extend(provided.map(|provided| format!("both are the same provided that {provided}")));
    if led.is_some() {
        evidence.push("saves: the server's time for the part of the table that need not be read".to_owned());
    }
    let saves = led.map(|_| seen.server_seconds() * (1.0 - share * 4.0).max(0.0) * 0.9);
    let title = format!("compare {name} itself instead of an expression on it");
    let action = code(format!("write {after} in place of {before}"), rewritten);
    Some(seen.fix("rewrite_sargable", title, evidence, action, saves))
}

/// The part of rows that the conditions on a column leave, or those of a branch that has some.
fn share_with(scan: &Scan, column: &str, table: &Table) -> f64 {
    let share = |conditions: &[Condition]| {
        let on: Vec<&Condition> = conditions
            .iter()
            .filter(|one| one.what.columns().iter().any(|known| known.name == column))
            .collect();
        if on.is_empty() { 1.0 } else { rows_left(on, table) / table.rows.max(1.0) }
    };
    let branches = scan.branches.iter().flatten().map(|branch| share(branch));
    branches.fold(share(&scan.conditions), f64::min)
}

/// Words of a text by the session's configuration, on which there can be no index.
fn words(seen: &Seen<'_>) -> Option<Fix> {
    let unnamed = |what: &Term| matches!(what, Term::Call { name, arguments, .. } if name == "to_tsvector" && arguments.len() == 1);
    let scans = &seen.first()?.scans;
    let (scan, condition) = scans.iter().find_map(|scan| {
        let found = scan.conditions.iter().find(|one| one.test == Test::Search && unnamed(&one.what));
        Some((scan, found?))
    })?;
    let table = seen.table(scan).filter(|table| !is_small(table) && seen.is_read_whole(table))?;
    let column = condition.what.columns().first().map(|column| column.name.clone())?;
    let evidence = vec![
        format!(
            "to_tsvector({column}) depends on default_text_search_config, so that no index on it can be made; all {:.0} rows of {} are read into words",
            table.rows, table.name
        ),
        format!("{} calls of {:.1} ms on average", seen.observed.sums.calls, seen.mean()),
    ];
    let change = format!(
        "name the configuration, as in to_tsvector('english', {column}) (SHOW default_text_search_config tells which), on both sides of @@; then a GIN index on the expression serves it"
    );
    let title = format!("name the text search configuration of {column}");
    Some(seen.fix("rewrite_sargable", title, evidence, code(change, None), None))
}

fn scan_with<'a>(seen: &Seen<'a>, column: &str) -> Option<(&'a Scan, &'a Table)> {
    let mut scans = seen.first()?.scans.iter().filter_map(|scan| Some((scan, seen.table(scan)?)));
    scans.find(|(scan, table)| {
        let compared = scan.all_conditions().any(|one| {
            one.what.as_column().is_none_or(|_| one.test == Test::Member)
                && one.what.columns().iter().any(|known| known.name == column)
        });
        compared && table.column(column).is_some()
    })
}

/// Columns that are cast because of the type of a value.
fn casts(seen: &Seen<'_>, fixes: &mut Vec<Fix>) {
    let mut cast: Vec<(String, String, String, &Table)> = vec![];
    let filters = filters(seen);
    for scan in seen.found.iter().flat_map(|found| &found.scans).chain(&filters) {
        let Some(table) = seen.table(scan) else { continue };
        for condition in &scan.conditions {
            let Some((name, to)) = widened(&condition.what, &condition.other) else { continue };
            let Some(column) = table.column(&name).filter(|_| condition.test == Test::Equal) else {
                continue;
            };
            let one = (name, base(&column.type_name), to, table);
            if !cast.iter().any(|known| known.0 == one.0 && known.3.oid == one.3.oid) {
                cast.push(one);
            }
        }
    }
    for (name, type_name, to, table) in cast {
        let led = table.indexes.iter().find(|index| index.valid && is_led_by(&index.definition, &name));
        let known = table.column(&name).and_then(|column| column.statistics.as_ref());
        let rare = known.is_some_and(|known| known.distinct * MUCH >= 1.0);
        if is_small(table) || !seen.is_read_whole(table) || !(led.is_some() || rare) {
            continue;
        }
        let columns = [(name.clone(), type_name.clone())];
        let rewritten = printable_hidden(seen.text()).and_then(|mut tree| {
            casts_of_values(&mut tree, &columns)?;
            print_hidden(&tree)
        });
        let evidence = vec![
            format!(
                "{}.{name} is {type_name}, the value is {to}: the column is cast for each of {:.0} rows, and {}",
                table.name,
                table.rows,
                match led {
                    Some(index) => format!("{} cannot be used", index.name),
                    None => format!("an index on {name}, which is yet to be created, could not be used"),
                }
            ),
            format!("{} calls of {:.1} ms on average", seen.observed.sums.calls, seen.mean()),
            "saves: nine tenths of the server's time, as for a scan that becomes a look-up".to_owned(),
        ];
        let title = format!("send {name} as {type_name}, not as {to}");
        let change = format!(
            "bind the value as {type_name} in the driver, or cast it in the statement: $n::{type_name}"
        );
        let saves = led.map(|_| seen.server_seconds() * 0.9);
        fixes.push(seen.fix("implicit_cast", title, evidence, code(change, rewritten), saves));
    }
}

/// What plans look for in tables that they read whole.
fn filters(seen: &Seen<'_>) -> Vec<Scan> {
    let nodes = seen.plans.iter().flat_map(|plan| plan.nodes()).filter(|node| node.kind == "Seq Scan");
    let scans = nodes.filter_map(|node| {
        let (schema, name) = node.table.as_ref()?;
        let table = seen.schema.named(schema.as_deref(), name)?;
        let alias = node.alias.as_deref().unwrap_or(name);
        of_condition_text(node.condition("Filter")?, alias, table, seen.schema)
    });
    scans.collect()
}

/// A column that stands in a cast to a wider type which its value has; the name, and that type.
fn widened(what: &Term, other: &Other) -> Option<(String, String)> {
    let Other::Constants(all) = other else { return None };
    let constant = all.first()?;
    if let (Term::Column(column), Some(name)) = (what, &constant.type_name) {
        // A text beside `char(n)` makes the column a text.
        let padded = base(&column.type_name) == "character" && constant.parameter.is_some();
        return (padded && matches!(&*base(name), "text" | "character varying"))
            .then(|| (column.name.clone(), base(name)));
    }
    let Term::Cast { of, to } = what else { return None };
    let Term::Column(column) = &**of else { return None };
    let whole = matches!(&*base(&column.type_name), "smallint" | "integer" | "bigint");
    let wide = matches!(to.as_str(), "numeric" | "double precision" | "real");
    let typed = constant.type_name.as_deref() == Some(to.as_str());
    let value = matches!(constant.value, Value::Number(_)) || constant.parameter.is_some() || typed;
    (whole && wide && value).then(|| (column.name.clone(), to.clone()))
}

fn or_across(seen: &Seen<'_>, relations: &[usize]) -> Option<Fix> {
    let first = seen.first()?;
    let tables: Vec<&Table> = relations
        .iter()
        .filter_map(|one| seen.table(first.scan(*one)?))
        .filter(|table| !is_small(table))
        .collect();
    let read = tables.iter().filter(|table| seen.is_read_whole(table)).count();
    // One condition beside it that leaves little makes the OR cheap.
    let narrow = relations.iter().filter_map(|one| first.scan(*one)).any(|scan| {
        seen.table(scan).is_some_and(|table| {
            selectivity(scan, seen.schema) * table.rows < 1_000.0
                && !scan.conditions.iter().all(|one| matches!(one.other, Other::Join(_)))
        })
    });
    if tables.len() < 2 || read == 0 || narrow {
        return None;
    }
    let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
    let rewritten = printable_hidden(seen.text()).and_then(|tree| print_hidden(&union_all(&tree)?));
    let evidence = vec![
        format!(
            "its OR is over columns of {}: a row of one can only be left out when the other is known, so that all of both are joined",
            names.join(" and ")
        ),
        format!("{} calls of {:.1} ms on average; {}", seen.observed.sums.calls, seen.mean(), sizes(&tables)),
        "how much is saved depends on how few rows each branch leaves".to_owned(),
    ];
    let change = "each branch of the OR as a query of its own, put together by UNION ALL; the second leaves out what the first has".to_owned();
    let title = format!("split the OR over {}", names.join(" and "));
    Some(seen.fix("rewrite_union", title, evidence, code(change, rewritten), None))
}

fn sizes(tables: &[&Table]) -> String {
    tables
        .iter()
        .map(|table| format!("{} has {:.0} rows", table.name, table.rows))
        .collect::<Vec<_>>()
        .join(", ")
}

fn not_in(seen: &Seen<'_>, nullable: bool) -> Option<Fix> {
    let first = seen.first()?;
    let filters = seen.plans.iter().flat_map(|plan| plan.nodes()).flat_map(|node| &node.conditions);
    let filters: Vec<&str> = filters.map(|(_, text)| text.as_str()).collect();
    let plans = |hashed: bool| {
        let with = |text: &&str| text.contains("NOT (") && text.contains("SubPlan");
        filters.iter().filter(|text| with(text)).any(|text| text.contains("hashed SubPlan") == hashed)
    };
    let each = plans(false);
    let inner =
        first.scans.iter().filter_map(|scan| seen.table(scan)).map(|table| table.rows).fold(0.0, f64::max);
    let outer =
        first.scans.iter().filter_map(|scan| Some(selectivity(scan, seen.schema) * seen.table(scan)?.rows));
    let outer = outer.fold(inner, f64::min);
    // All of the inner rows are put into a table, to look for a few of them.
    let for_few = plans(true) && outer * FEWER <= inner;
    if (!seen.plans.is_empty() && !each && !for_few) || inner < INNER {
        return None;
    }
    let rewritten = printable_hidden(seen.text()).and_then(|mut tree| {
        not_exists(&mut tree)?;
        print_hidden(&tree)
    });
    let mut evidence = vec![match (each, for_few) {
        (true, _) => "its plan runs the inner query again for each row".to_owned(),
        (_, true) => format!(
            "each call reads all of the inner query, as many as {inner:.0} rows, to look for about {outer:.0} of them; NOT EXISTS can look up those by an index"
        ),
        _ => format!(
            "the inner query is over as many as {inner:.0} rows; once it does not fit into work_mem, it runs again for each row"
        ),
    }];
    if nullable {
        evidence.push("a NULL among the inner values makes NOT IN give no rows at all; NOT EXISTS does not care, which is mostly what is meant".to_owned());
    }
    evidence.push(format!("{} calls of {:.1} ms on average", seen.observed.sums.calls, seen.mean()));
    let saves = each.then(|| seen.server_seconds() * 0.9);
    let title = "NOT EXISTS in place of NOT IN".to_owned();
    Some(seen.fix(
        "rewrite_not_exists",
        title,
        evidence,
        code("ask for rows that have no counterpart", rewritten),
        saves,
    ))
}

fn offset(seen: &Seen<'_>) -> Option<Fix> {
    let offsets = seen.found.iter().flat_map(|found| &found.notes).filter_map(|note| match note {
        Note::Offset(Some(offset)) => Some(*offset),
        _ => None,
    });
    let all: Vec<f64> = offsets.collect();
    let deepest = all.iter().copied().fold(0.0, f64::max);
    let mean = all.iter().sum::<f64>() / all.len().max(1) as f64;
    if deepest < DEEP {
        return None;
    }
    let first = seen.first()?;
    let rewritten =
        printable_hidden(seen.text()).and_then(|tree| print_hidden(&keyset(&tree, first, seen.schema)?));
    let rows = seen.per_call(seen.observed.sums.rows).max(1.0);
    let evidence = vec![
        format!(
            "OFFSET {deepest:.0} was seen ({mean:.0} on average of {} samples): so many rows are read and thrown away for {rows:.0} that are wanted",
            all.len()
        ),
        format!("{} calls of {:.1} ms on average", seen.observed.sums.calls, seen.mean()),
        "saves: the server's time for the part that is thrown away".to_owned(),
    ];
    let change = "remember the keys of the last row of a page, and ask for what comes behind them; an index in this order makes every page as fast as the first";
    let saves = Some(seen.server_seconds() * mean / (mean + rows) * 0.9);
    Some(seen.fix(
        "deep_offset",
        "pages by key instead of by OFFSET".to_owned(),
        evidence,
        code(change, rewritten),
        saves,
    ))
}

fn random(seen: &Seen<'_>, relations: &[usize]) -> Option<Fix> {
    let first = seen.first()?;
    let [only] = relations else { return None };
    let scan = first.scan(*only)?;
    let table = seen.table(scan)?;
    let rows = selectivity(scan, seen.schema) * table.rows;
    if rows < SORTED {
        return None;
    }
    let evidence = vec![
        format!(
            "about {rows:.0} rows of {} are read and sorted by a random number for {:.0} of them",
            table.name,
            seen.per_call(seen.observed.sums.rows)
        ),
        format!("{} calls of {:.1} ms on average", seen.observed.sums.calls, seen.mean()),
    ];
    let share = (100.0 * 1_000.0 / table.rows).clamp(0.001, 100.0);
    let change = format!(
        "take a sample first (FROM {} TABLESAMPLE SYSTEM ({share:.3}), which reads about 1,000 rows), or a random value of an indexed key and the first row from there on",
        table.name
    );
    let saves = Some(seen.server_seconds() * 0.9);
    Some(seen.fix(
        "order_by_random",
        format!("a random row of {} without sorting it", table.name),
        evidence,
        code(change, None),
        saves,
    ))
}

fn count_all(seen: &Seen<'_>, relation: usize) -> Option<Fix> {
    let table = seen.table(seen.first()?.scan(relation)?)?;
    if table.rows < COUNTED {
        return None;
    }
    let name = crate::advice::index::quoted(&table.schema) + "." + &crate::advice::index::quoted(&table.name);
    let estimate = format!(
        "SELECT reltuples::bigint FROM pg_class WHERE oid = '{}'::regclass",
        name.replace('\'', "''")
    );
    let evidence = vec![
        format!("all {:.0} rows ({} pages) of {} are counted each time", table.rows, table.pages, table.name),
        format!("{} calls of {:.1} ms on average", seen.observed.sums.calls, seen.mean()),
        "the estimate is right up to what changed since the last VACUUM or ANALYZE; where it has to be exact, keep a counter or a cached answer".to_owned(),
    ];
    let saves = Some(seen.server_seconds() * 0.99);
    let partitioned = table.kind == 'p';
    let rewritten = (!partitioned).then_some(estimate);
    Some(seen.fix(
        "count_everything",
        format!("do not count all of {}", table.name),
        evidence,
        code("an estimate in place of the number", rewritten),
        saves,
    ))
}
