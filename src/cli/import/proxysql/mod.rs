//! A dump of ProxySQL's tables for PostgreSQL, its query rules above all. The table is [`keys`]; here is what goes together across rows.

mod chain;
mod keys;
mod nodes;
mod sql;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

pub use keys::SOURCE;
pub use nodes::Hostgroups;

use super::files::Text;
use super::report::Place;
use super::rule::Rule;
use super::table::{How, Key, Section, Turned};
use super::turn;
use super::value::Value;
use super::work::Work;
use chain::{Flat, Lost, Step};
use sql::Row;

/// Takes a dump over.
pub fn import(file: &Text, groups: &Hostgroups, work: &mut Work) {
    let tables = sql::rows(file, columns, &mut work.report);
    if work.report.failed() {
        return;
    }
    let of = |section: &Section| tables.get(section.name).map(Vec::as_slice).unwrap_or_default();
    let mut groups = groups.clone();
    for row in of(&keys::HOSTGROUPS) {
        tell(&keys::HOSTGROUPS, row, "", work);
        for (column, role) in [("writer_hostgroup", "primary"), ("reader_hostgroup", "replica")] {
            if let Some(number) = row.number(column) {
                groups.add(number, role);
            }
        }
    }
    let servers = nodes::servers(of(&keys::SERVERS), &groups, work);
    nodes::users(of(&keys::USERS), work);
    let mut steps = vec![];
    for row in of(&keys::RULES) {
        steps.extend(step(row, &groups, &servers, work));
    }
    write(&steps, of(&keys::RULES), &file.place(0), work);
    for row in of(&keys::FAST) {
        fast(row, &groups, work);
    }
    if tables.is_empty() {
        work.report.error(
            &file.place(0),
            "no row of ProxySQL's tables for PostgreSQL; dump pgsql_query_rules as INSERT statements",
        );
    }
}

/// The columns of a table that is read, in its own order.
fn columns(table: &str) -> Option<Vec<&'static str>> {
    let section = SOURCE.sections.iter().find(|section| section.name == table)?;
    if section.name == keys::RULES.name {
        return Some(RULE_COLUMNS.to_vec());
    }
    if section.name == keys::SERVERS.name {
        return Some(SERVER_COLUMNS.to_vec());
    }
    if section.name == keys::USERS.name {
        return Some(USER_COLUMNS.to_vec());
    }
    Some(section.keys.iter().flat_map(|key| key.names.iter().copied()).map(lower).collect())
}

/// Columns have one case in statements and another in the table's definition.
fn lower(name: &'static str) -> &'static str {
    match name {
        "flagIN" => "flagin",
        other => other,
    }
}

const RULE_COLUMNS: [&str; 34] = [
    "rule_id",
    "active",
    "username",
    "database",
    "flagin",
    "client_addr",
    "proxy_addr",
    "proxy_port",
    "digest",
    "match_digest",
    "match_pattern",
    "negate_match_pattern",
    "re_modifiers",
    "flagout",
    "replace_pattern",
    "destination_hostgroup",
    "cache_ttl",
    "cache_empty_result",
    "cache_timeout",
    "reconnect",
    "timeout",
    "retries",
    "delay",
    "next_query_flagin",
    "mirror_flagout",
    "mirror_hostgroup",
    "error_msg",
    "ok_msg",
    "sticky_conn",
    "multiplex",
    "log",
    "apply",
    "attributes",
    "comment",
];
const SERVER_COLUMNS: [&str; 11] = [
    "hostgroup_id",
    "hostname",
    "port",
    "status",
    "weight",
    "compression",
    "max_connections",
    "max_replication_lag",
    "use_ssl",
    "max_latency_ms",
    "comment",
];
const USER_COLUMNS: [&str; 12] = [
    "username",
    "password",
    "active",
    "use_ssl",
    "default_hostgroup",
    "transaction_persistent",
    "fast_forward",
    "backend",
    "frontend",
    "max_connections",
    "attributes",
    "comment",
];

/// The key of a column, whatever the case of its letters.
fn key_of(section: &'static Section, column: &str) -> Option<&'static Key> {
    section.keys.iter().find(|key| key.names.iter().any(|name| name.eq_ignore_ascii_case(column)))
}

/// Says of every column of a row what its table says. A column at its default says nothing.
fn tell(section: &'static Section, row: &Row, of: &str, work: &mut Work) {
    const DEFAULTS: [(&str, &str); 12] = [
        ("flagin", "0"),
        ("negate_match_pattern", "0"),
        ("active", "1"),
        ("apply", "0"),
        ("compression", "0"),
        ("weight", "1"),
        ("use_ssl", "0"),
        ("max_replication_lag", "0"),
        ("max_latency_ms", "0"),
        ("backend", "1"),
        ("frontend", "1"),
        ("fast_forward", "0"),
    ];
    for (column, value) in &row.values {
        if value.is_empty() || DEFAULTS.contains(&(column.as_str(), value.as_str())) {
            continue;
        }
        let key = key_of(section, column);
        let name = key.and_then(|key| key.names.iter().find(|name| name.eq_ignore_ascii_case(column)));
        let shown = format!("{of}{}", name.copied().unwrap_or(column));
        match key {
            Some(key) => match key.how {
                How::By(_) => {}
                _ => work.report.taken(&row.place, &shown, key),
            },
            None => work.unknown(&row.place, &shown, section),
        }
    }
}

/// A row of the rules; `None`: it is left out.
fn step(row: &Row, groups: &Hostgroups, servers: &BTreeMap<i64, String>, work: &mut Work) -> Option<Step> {
    let id = row.number("rule_id").unwrap_or(0);
    let of = format!("rule {id}: ");
    // The column's own default is 0.
    if row.number("active") != Some(1) {
        work.report.left(&row.place, &format!("{of}active"), "it is not active, so it is left out");
        return None;
    }
    let (when, then) = (conditions(row, &of, work), actions(row, &of, groups, servers, work));
    let when = when.filter(|_| row.get("ok_msg").is_none());
    let Some(when) = when else {
        let why = "it would hold for more than it should, or do less; statements that it caught now reach the rules below it";
        work.report.left(&row.place, &format!("rule {id}"), why);
        for column in keys::LEAVE_OUT {
            if row.get(column).is_some_and(|value| value != "0") {
                work.report.taken(&row.place, &format!("{of}{column}"), known(column));
            }
        }
        return None;
    };
    tell(&keys::RULES, row, &of, work);
    let (flag_in, apply) = (row.number("flagin").unwrap_or(0), row.number("apply") == Some(1));
    Some(Step { id, flag_in, flag_out: row.number("flagout"), apply, when, then })
}

/// A key of the rules; it is there, since the names are those of the table.
fn known(column: &str) -> &'static Key {
    key_of(&keys::RULES, column).unwrap_or_else(|| unreachable!("{column} is a column of the rules"))
}

/// `None`: one cannot be said.
fn conditions(row: &Row, of: &str, work: &mut Work) -> Option<Vec<(&'static str, String)>> {
    let mut when = vec![];
    let mut sound = !keys::LEAVE_OUT.iter().any(|column| row.get(column).is_some_and(|value| value != "0"));
    for (column, key) in [("username", "user"), ("database", "database")] {
        when.extend(row.get(column).map(|value| (key, value.to_owned())));
    }
    if let Some(address) = row.get("client_addr").filter(|address| *address != "%") {
        match network(address) {
            Some(network) => when.push(("client", network)),
            None => {
                work.report.left(
                    &row.place,
                    &format!("{of}client_addr"),
                    "it is neither an address nor one like 10.1.%; the rule is left out",
                );
                sound = false;
            }
        }
    }
    let caseless =
        row.get("re_modifiers").is_none_or(|modifiers| modifiers.to_ascii_uppercase().contains("CASELESS"));
    for (column, key) in [("match_digest", "shape_regex"), ("match_pattern", "text_regex")] {
        let Some(pattern) = row.get(column) else { continue };
        match unsupported(pattern) {
            None => {
                // Words of a shape are in lower case, so that case says nothing there.
                let prefix = if caseless || key == "shape_regex" { "(?i)" } else { "" };
                when.push((key, format!("{prefix}{pattern}")));
            }
            Some(why) => {
                work.report.left(
                    &row.place,
                    &format!("{of}{column}"),
                    &format!("{why}; the rule is left out"),
                );
                sound = false;
            }
        }
    }
    sound.then_some(when)
}

/// `10.1.%` as a network, an address as it is.
fn network(address: &str) -> Option<String> {
    if address.parse::<IpAddr>().is_ok() {
        return Some(address.to_owned());
    }
    let numbers: Vec<&str> = address.strip_suffix('%')?.strip_suffix('.')?.split('.').collect();
    let right = (1..=3).contains(&numbers.len()) && numbers.iter().all(|number| number.parse::<u8>().is_ok());
    right.then(|| {
        let bits = numbers.len() * 8;
        let zeros = vec!["0"; 4 - numbers.len()];
        format!("{}.{}/{bits}", numbers.join("."), zeros.join("."))
    })
}

/// Why an expression cannot be one here.
fn unsupported(pattern: &str) -> Option<&'static str> {
    const LONGEST: usize = 1000;
    if pattern.len() > LONGEST {
        return Some("an expression has at most 1024 bytes here");
    }
    if ["(?=", "(?!", "(?<=", "(?<!", "(?>"].iter().any(|group| pattern.contains(group)) {
        return Some("expressions have no look-around here; put a rule for the others before it");
    }
    let mut escaped = false;
    for character in pattern.chars() {
        if escaped && character.is_ascii_digit() && character != '0' {
            return Some("expressions have no back-references here");
        }
        escaped = character == '\\' && !escaped;
    }
    None
}

fn actions(
    row: &Row,
    of: &str,
    groups: &Hostgroups,
    servers: &BTreeMap<i64, String>,
    work: &mut Work,
) -> Vec<(&'static str, Value)> {
    let mut then = vec![];
    if let Some(message) = row.get("error_msg") {
        let message: String =
            message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
        then.push((
            "block",
            Value::Table(vec![("sqlstate", Value::text("42501")), ("message", Value::Text(message))]),
        ));
    }
    if let Some(group) = row.number("destination_hostgroup") {
        then.extend(
            route(group, groups, row, &format!("{of}destination_hostgroup"), work)
                .map(|role| ("route", role)),
        );
    }
    if let Some(text) = row.get("timeout") {
        match turn::millis(text) {
            Turned::Same(value) => then.push(("timeout", value)),
            _ => work.report.left(
                &row.place,
                &format!("{of}timeout"),
                "it is no number of milliseconds from 1; write then.timeout",
            ),
        }
    }
    if let Some(group) = row.number("mirror_hostgroup") {
        match servers.get(&group) {
            Some(node) => then.push(("mirror", Value::Table(vec![("node", Value::text(node))]))),
            None => {
                let why =
                    "the servers of the group are not in this dump; add pgsql_servers, or write then.mirror";
                work.report.left(&row.place, &format!("{of}mirror_hostgroup"), why);
            }
        }
    }
    if row.number("log") == Some(1) {
        then.push(("log", Value::text("info")));
    }
    then
}

/// Where a group's statements go.
fn route(group: i64, groups: &Hostgroups, row: &Row, shown: &str, work: &mut Work) -> Option<Value> {
    let role = groups.role(group);
    if role.is_none() {
        let why = format!(
            "which servers group {group} has is not said in this dump; add pgsql_replication_hostgroups, or --hostgroup {group}=primary or {group}=replica"
        );
        work.report.left(&row.place, shown, &why);
    }
    role.map(Value::text)
}

/// The rules in their order, and what was lost on the way.
fn write(steps: &[Step], rows: &[Row], whole: &Place, work: &mut Work) {
    let by_id: BTreeMap<i64, &Row> =
        rows.iter().map(|row| (row.number("rule_id").unwrap_or(0), row)).collect();
    let row_of = |id: i64| by_id.get(&id).copied();
    let place = |id: i64| row_of(id).map_or(whole, |row| &row.place).clone();
    let (flats, lost) = chain::flatten(steps);
    for lost in lost {
        match lost {
            Lost::Together(one, other) => {
                let why = format!(
                    "the conditions of rule {other} cannot be demanded together with its own; that rule of its chain is left out"
                );
                work.report.left(&place(one), &format!("rule {one}: flagOUT"), &why);
            }
            Lost::Circle(id) => {
                let why = "chains lead into each other in a circle, or too deep; its chain is left out";
                work.report.left(&place(id), &format!("rule {id}: flagOUT"), why);
            }
            Lost::TooMany => {
                let text = format!(
                    "more than {} rules would come of the chains; none was taken over, write them by hand",
                    chain::MOST
                );
                work.report.error(whole, text);
            }
        }
    }
    let written: BTreeSet<i64> = flats.iter().flat_map(|flat| flat.of.last().copied()).collect();
    for step in steps.iter().filter(|step| !written.contains(&step.id) && step.flag_out.is_none()) {
        let why =
            "nothing that it does can be said here; statements that it caught now reach the rules below it";
        work.report.left(&place(step.id), &format!("rule {}", step.id), why);
    }
    for flat in flats {
        let comment =
            flat.of.iter().filter_map(|id| row_of(*id)?.get("comment").map(str::to_owned)).collect();
        work.rules.push(rule(flat, comment));
    }
    if rows.iter().any(|row| row.number("active") == Some(1)) && !work.report.failed() {
        let text = format!(
            "{} rules are written; try them with pgweir check and pgweir explain before they are used",
            work.rules.len()
        );
        work.report.note(whole, text);
    }
}

fn rule(flat: Flat, comment: Vec<String>) -> Rule {
    let ids: Vec<String> = flat.of.iter().map(ToString::to_string).collect();
    let when = flat.when.into_iter().map(|(key, value)| (key, Value::Text(value))).collect();
    Rule { name: format!("proxysql-{}", ids.join("-")), comment, when, then: flat.then }
}

/// A row of fast routing: it is asked after the rules.
fn fast(row: &Row, groups: &Hostgroups, work: &mut Work) {
    if row.number("flagin").unwrap_or(0) != 0 {
        work.report.left(&row.place, "flagIN", "only those with flagIN 0 are taken over");
        return;
    }
    tell(&keys::FAST, row, "", work);
    let Some(group) = row.number("destination_hostgroup") else { return };
    let Some(route) = route(group, groups, row, "destination_hostgroup", work) else { return };
    let when = [("username", "user"), ("database", "database")];
    let when =
        when.into_iter().filter_map(|(column, key)| Some((key, Value::text(row.get(column)?)))).collect();
    let name = format!("proxysql-fast-{}", work.rules.len() + 1);
    work.rules.push(Rule { name, comment: vec![], when, then: vec![("route", route)] });
}

/// Whether a text looks like a dump of ProxySQL.
pub fn recognizes(text: &str) -> bool {
    ["pgsql_query_rules", "pgsql_servers", "pgsql_users"].iter().any(|table| text.contains(table))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_networks() {
        let check =
            |text: &str, expected: Option<&str>| assert_eq!(network(text).as_deref(), expected, "{text}");
        check("10.1.2.3", Some("10.1.2.3"));
        check("10.1.%", Some("10.1.0.0/16"));
        check("10.%", Some("10.0.0.0/8"));
        check("::1", Some("::1"));
        check("10.1.2.3.%", None);
        check("10.1%", None);
        check("host", None);
    }

    #[test]
    fn columns_of_the_definition_are_keys() {
        for (section, columns) in [
            (&keys::RULES, RULE_COLUMNS.as_slice()),
            (&keys::SERVERS, &SERVER_COLUMNS),
            (&keys::USERS, &USER_COLUMNS),
        ] {
            for column in columns {
                assert!(key_of(section, column).is_some(), "{}: {column}", section.name);
            }
        }
    }

    #[test]
    fn expressions_that_cannot_be_are_found() {
        assert!(unsupported("^select (?!for)").is_some());
        assert!(unsupported(r"(a)\1").is_some());
        assert!(unsupported(r"a\\1\d+\0").is_none());
        assert!(unsupported(&"a".repeat(2000)).is_some());
    }
}
