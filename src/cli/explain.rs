//! `pgweir explain`: what a statement is to pgweir, and why.

use std::io::{self, Write};

use crate::catalog::{Contents, Names};
use crate::config::Settings;
use crate::plan::explain::{self, Line, Statement};
use crate::rules::{Context, Decision, Ruleset};
use crate::sql::{Dialect, Effects};
use crate::wire::Fault;

/// What a database knows that a text does not show.
#[derive(Debug)]
pub struct Known {
    /// Names whose mention changes the session.
    pub names: Names,
    /// Names whose mention makes more than a read, which tables are reached through others, and what the result cache decides by.
    pub contents: Contents,
}

/// Where that can be asked.
pub trait Catalog {
    /// Reads it from the database of that name, as one of its `probe_users` if no user is given.
    fn known(&self, database: &str, user: Option<&str>) -> impl Future<Output = Result<Known, Fault>>;
}

/// The database that is meant: the one that is named, or the only one that there is.
///
/// # Errors
/// What to do when it is not clear.
pub fn database<'a>(settings: &'a Settings, named: Option<&'a str>) -> Result<Option<&'a str>, String> {
    let mut all = settings.databases.keys().map(String::as_str).filter(|name| *name != "*");
    let fallback = settings.databases.contains_key("*").then_some("*");
    match (named, all.next(), all.next()) {
        (Some(named), ..) if settings.databases.contains_key(named) => Ok(Some(named)),
        (Some(named), ..) => Err(format!("there is no database `{named}`")),
        (None, only, None) => Ok(only.or(fallback)),
        (None, ..) => Err("there are several databases: name one with --database".to_owned()),
    }
}

/// What a statement is explained with, beside its text.
#[derive(Debug, Default)]
pub struct Circumstances<'a> {
    /// What its database knows; without it, only its words count.
    pub known: Option<&'a Known>,
    /// Rules, and the session and moment that they are asked about.
    pub rules: Option<(&'a Ruleset, Context<'a>)>,
    /// Values of its parameters, from `$1` on.
    pub params: &'a [String],
}

/// Prints what a statement is: the same lines, as far as they can be known here, as `EXPLAIN ROUTE` answers.
///
/// # Errors
/// Those of `out`.
pub fn print(text: &str, circumstances: &Circumstances<'_>, out: &mut impl Write) -> io::Result<()> {
    let dialect = Dialect::from(true);
    let Some(statement) = Statement::of(text.as_bytes(), dialect) else {
        return writeln!(out, "no statement");
    };
    let known = circumstances.known;
    let statement = statement.with_relations(known.and_then(|known| known.contents.relations.as_ref()));
    let reads = statement.reads(match known {
        Some(known) => explain::Names::Known(known.contents.barriers.meets(statement.text(), dialect)),
        None => explain::Names::NotAsked,
    });
    let hidden = known.map_or(Effects::EMPTY, |known| known.names.effects_of(statement.text(), dialect));
    let mut lines = statement.lines(&reads, hidden, circumstances.params);
    if let Some((ruleset, context)) = &circumstances.rules {
        let mut context = *context;
        context.moment.text = statement.text();
        let subject = statement.subject(&reads);
        lines.extend(explain::rules(ruleset, &subject, &context));
        let candidates = ruleset.candidates(&subject);
        let decision = candidates.would_decide(&context);
        lines.extend(explain::decision(&decision));
        lines.extend(cache_lines(&statement, &reads, known, &decision));
    }
    lines.iter().try_for_each(|line| writeln!(out, "{:<12} {}", line.item, line.value))
}

/// What the cache has to do with it, if a rule asks for that.
fn cache_lines(
    statement: &Statement<'_>,
    reads: &explain::Reads,
    known: Option<&Known>,
    decision: &Decision<'_>,
) -> Vec<Line> {
    let Some(asked) = decision.cache() else { return vec![] };
    let wish = explain::Wish {
        rule: asked.rule.name(),
        cache: asked.action,
        known: known.map_or(explain::Known::NotAsked, |known| explain::Known::Contents(&known.contents)),
        settings: None,
        simple: None,
        kept_from: None,
        not_a_read: reads.reason().is_some(),
    };
    statement.cached(Dialect::from(true), &wish)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Barriers;

    fn printed(text: &str, known: Option<&Known>) -> String {
        let mut out = vec![];
        let circumstances = Circumstances { known, ..Circumstances::default() };
        print(text, &circumstances, &mut out).expect("memory takes all");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn what_is_known_without_a_database() {
        let text = printed("SELECT * FROM t  WHERE i IN (1, 2)", None);
        assert!(
            text.starts_with("shape        select * from t where i in ($1 /*, ... */)\nfingerprint  "),
            "{text}"
        );
        assert!(text.contains("read         by its words; without a database"), "{text}");
        let rest = "session      unchanged\npins         no\nclass        select\ntables       t (read)\n\
            clauses      where\npredicate    t.i in 1, 2, for every row\n";
        assert!(text.ends_with(rest), "{text}");
        let text = printed("select pg_advisory_lock(1); delete from t", None);
        assert!(text.starts_with("statements   2, looked at together"), "{text}");
        assert!(text.contains("session      advisory\n"), "{text}");
        assert!(text.contains("read         no: is not one statement\n"), "{text}");
        assert_eq!(printed(" -- nothing", None), "no statement\n");
    }

    #[test]
    fn what_the_tree_says() {
        let text = printed("update s.t a set n = f() from u where a.i = u.i or a.i > $1", None);
        let facts = "class        update\ntables       u (read), s.t (written)\nfunctions    f\nclauses      where\n\
            predicate    s.t.i equal u.i\npredicate    u.i equal s.t.i\npredicate    s.t.i range $1\n";
        assert!(text.ends_with(facts), "{text}");
        let text = printed("alter table t add i int", None);
        assert!(text.ends_with("class        define\ntree         not understood by the parser\n"), "{text}");
    }

    #[test]
    fn what_the_database_adds() {
        let known = Known { names: Names::everything(), contents: Barriers::everywhere().into() };
        let text = printed("select 1", Some(&known));
        assert!(text.contains("read         no: the catalog says nothing certain\n"), "{text}");
        assert!(text.contains("session      setting (by what it reaches)\n"), "{text}");
        let known = Known { names: Names::default(), contents: Contents::default() };
        assert!(printed("select 1", Some(&known)).contains("read         yes\n"));
    }
}
