//! `EXPLAIN ROUTE` on the console: what would become of a statement of a session at rest that has seen nothing, by what is in force now.
//!
//! A session answers the same command with what it knows itself: its transaction, its pins, what it must not see undone.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::Admin;
use super::command::{EXPLAIN, Explain};
use super::table::{Table, row};
use crate::catalog::{Contents, Judge, Known};
use crate::config::Settings;
use crate::config::settings::Database;
use crate::plan::choose::Read;
use crate::plan::explain::{self, Line, Names, Reads, Statement, Wish, asked_level, reason};
use crate::rules::gate::Would;
use crate::rules::{Candidates, Context, Decision, Moment, Session};
use crate::runtime::rules::InForce;
use crate::session::explain::{TAG, nothing_to_explain};
use crate::sql::{Dialect, Effects};
use crate::wire::Fault;

/// Answers with a table.
///
/// # Errors
/// 42601 if there is no statement, 3D000 if there is no such database, or it is not clear which is meant.
pub fn answer(admin: &Admin, asked: &Explain, out: &mut Vec<u8>) -> Result<(), Fault> {
    let lines = lines(admin, asked)?;
    let rows = lines.into_iter().map(|line| row![line.item, line.value, line.reason]);
    Table::new("item value reason").with(rows).emit_as(TAG, out);
    Ok(())
}

fn lines(admin: &Admin, asked: &Explain) -> Result<Vec<Line>, Fault> {
    let dialect = Dialect::from(true);
    let statement = Statement::of(asked.sql.as_bytes(), dialect).ok_or_else(nothing_to_explain)?;
    let directory = admin.entrance.directory();
    let name = database(&directory.settings, asked.database.as_deref())?;
    let unknown = || Fault::error("3D000", format!("there is no database \"{name}\""));
    let database = directory.database(&name).ok_or_else(unknown)?;
    let found = known(admin, statement, database, &name, dialect);
    let Found { statement, reads, hidden, .. } = &found;
    let mut lines = statement.lines(reads, *hidden, &[]);
    let subject = statement.subject(reads);
    let context = context(asked, &name, statement);
    let ruleset = admin.shared.rules.as_ref().map(InForce::get);
    let candidates = ruleset.as_ref().map_or_else(Candidates::default, |rules| rules.candidates(&subject));
    let decision = candidates.would_decide(&context);
    if let Some(ruleset) = &ruleset {
        lines.extend(explain::rules(ruleset, &subject, &context));
        lines.extend(explain::decision(&decision));
    }
    lines.extend(cache_lines(&found, &decision, dialect));
    let gates = explain::gates(&decision, &context.session);
    let turn = explain::turn(&gates, false, |_| false);
    add_place(admin, (&name, database), asked.user.as_deref(), reads, (&decision, turn), &mut lines);
    Ok(lines)
}

/// The database that is meant: the one that is named, or the only one that there is.
fn database(settings: &Settings, named: Option<&str>) -> Result<String, Fault> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    let mut all = settings.databases.keys().filter(|name| *name != "*");
    match (all.next(), all.next()) {
        (Some(only), None) => Ok(only.clone()),
        _ => Err(Fault::error("3D000", "it is not clear which database is meant").hint(EXPLAIN)),
    }
}

/// A statement, and what sessions of its database have made known of it.
struct Found<'a> {
    statement: Statement<'a>,
    reads: Reads,
    /// What the names in it may do.
    hidden: Effects,
    /// What is known of the database, if that holds.
    contents: Option<Arc<Contents>>,
}

fn known<'a>(
    admin: &Admin,
    statement: Statement<'a>,
    database: &Database,
    name: &str,
    dialect: Dialect,
) -> Found<'a> {
    let on_server = database.server_database.as_deref().unwrap_or(name);
    let Some((names, contents)) = admin.shared.known_names(&database.hosts, on_server) else {
        let reads = statement.reads(Names::NotYet);
        return Found { statement, reads, hidden: Effects::EMPTY, contents: None };
    };
    let judge = Judge::new(contents);
    let contents = judge.contents();
    let statement = statement.with_relations(contents.relations.as_ref());
    let barrier = judge.barrier(statement.text(), dialect);
    let reads = statement.reads(barrier.map_or(Names::NotYet, Names::Known));
    let hidden = Known::new(names).effects_of(statement.text(), dialect);
    Found { statement, reads, hidden, contents: judge.knows().then_some(contents) }
}

/// What the cache has to do with it, if a rule asks for that.
fn cache_lines(found: &Found<'_>, decision: &Decision<'_>, dialect: Dialect) -> Vec<Line> {
    let Some(asked) = decision.cache() else { return vec![] };
    let wish = Wish {
        rule: asked.rule.name(),
        cache: asked.action,
        known: found.contents.as_deref().map_or(explain::Known::NotYet, explain::Known::Contents),
        settings: None,
        simple: None,
        kept_from: None,
        not_a_read: found.reads.reason().is_some(),
    };
    found.statement.cached(dialect, &wish)
}

fn context<'a>(asked: &'a Explain, database: &'a str, statement: &Statement<'a>) -> Context<'a> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let session = Session {
        user: asked.user.as_deref().unwrap_or_default().as_bytes(),
        database: database.as_bytes(),
        application: asked.application.as_deref().unwrap_or_default().as_bytes(),
        client: asked.client,
        number: 0,
    };
    let now = since.as_secs().try_into().unwrap_or(i64::MAX);
    Context { session, moment: Moment { in_transaction: false, now, text: statement.text() } }
}

/// The nodes, and where it goes.
fn add_place(
    admin: &Admin,
    (name, database): (&str, &Database),
    user: Option<&str>,
    reads: &Reads,
    (decision, turn): (&Decision<'_>, Option<(String, Would)>),
    lines: &mut Vec<Line>,
) {
    let directory = admin.entrance.directory();
    let is_named = directory.settings.databases.contains_key(name);
    let of_user = user.and_then(|user| directory.settings.users.get(user)?.consistency);
    let cluster = admin.shared.clusters.of(name, is_named);
    let mut fit = vec![];
    if let Some(cluster) = &cluster {
        let topology = &cluster.sighting().topology;
        let (level, line) = explain::asked(asked_level(decision), None, of_user, topology.policy.level);
        lines.push(line);
        let told = explain::nodes(&Read::of_level(level), topology, &Default::default());
        fit = told.fit;
        lines.extend(told.lines);
    }
    let hosts: Vec<_> = database.hosts.iter().map(ToString::to_string).collect();
    let primary = match &cluster {
        None => hosts.join(", "),
        Some(cluster) => {
            let topology = &cluster.sighting().topology;
            let node = topology.primary.and_then(|id| topology.node(id));
            node.map_or("none is known: it waits for one".to_owned(), |node| node.name.to_string())
        }
    };
    let blocked = decision.block().map(|block| {
        (format!("refused ({}), by rule {}", block.action.sqlstate, block.rule.name()), reason::BLOCKED)
    });
    let late = turn.as_ref().filter(|(_, would)| matches!(would, Would::Refuse(_)));
    let late = late.map(|(rule, _)| (format!("refused (53400), by rule {rule}"), reason::TURN));
    lines.extend(turn.map(|(rule, would)| explain::turn_line(&rule, would)));
    let (plan, why, target) = match (blocked.or(late), reads.reason(), &cluster) {
        (Some((refused, why)), ..) => (refused, Some(why), "none".to_owned()),
        (None, Some(why), _) => ("primary".to_owned(), Some(why), primary),
        (None, None, None) => ("primary".to_owned(), Some(reason::NOT_WATCHED), primary),
        (None, None, Some(_)) if fit.is_empty() => {
            let reasons = lines.iter().filter(|line| line.item == "node").filter_map(|line| line.reason);
            let known = crate::plan::choose::REASONS;
            let worst = reasons.filter_map(|why| known.iter().rposition(|name| *name == why)).max();
            ("primary".to_owned(), Some(known[worst.unwrap_or(1)]), primary)
        }
        (None, None, Some(_)) => ("replica".to_owned(), None, format!("one of {}", fit.join(", "))),
    };
    lines.push(Line::new("plan", plan).because(why));
    lines.push(Line::new("target", target));
}
