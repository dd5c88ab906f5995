//! `pgweir explain`: what a statement is to pgweir, and why.

use std::io::{self, Write};

use crate::catalog::{Barriers, Names, Relations};
use crate::config::Settings;
use crate::sql::facts::{Access, Facts, Name, Operand, Predicate, Table};
use crate::sql::{Dialect, Effects, Shape, facts, not_a_read, shape, summarize};
use crate::wire::Fault;

/// What a database knows that a text does not show.
#[derive(Debug)]
pub struct Known {
    /// Names whose mention changes the session.
    pub names: Names,
    /// Names whose mention makes more than a read.
    pub barriers: Barriers,
    /// Which tables are reached through others; `None`: too many to tell.
    pub relations: Option<Relations>,
}

impl Known {
    /// The tables behind those that a statement names.
    pub fn behind(&self, facts: &Facts) -> Vec<Table> {
        self.relations.as_ref().map(|relations| relations.behind(&facts.tables)).unwrap_or_default()
    }
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

/// Prints what each statement of a text is; without a database, as far as its words say it.
///
/// # Errors
/// Those of `out`.
pub fn print(text: &str, known: Option<&Known>, out: &mut impl Write) -> io::Result<()> {
    let dialect = Dialect::from(true);
    let summary = summarize(text.as_bytes(), dialect);
    if summary.statements.is_empty() {
        return writeln!(out, "no statement");
    }
    if summary.statements.len() > 1 {
        writeln!(out, "{} statements in one text: as a whole, it is no read", summary.statements.len())?;
    }
    for statement in &summary.statements {
        let text = &text.as_bytes()[statement.range.clone()];
        let shape = shape(text, dialect);
        writeln!(out, "shape        {}", String::from_utf8_lossy(&shape.text))?;
        writeln!(out, "fingerprint  {}", shape.fingerprint)?;
        writeln!(out, "read         {}", read(text, dialect, known))?;
        let hidden = known.map_or(Effects::EMPTY, |known| known.names.effects_of(text, dialect));
        writeln!(out, "session      {}", session(statement.effects, hidden))?;
        let facts = facts(text, dialect, &shape);
        let behind = known.map(|known| known.behind(&facts)).unwrap_or_default();
        print_facts(&facts, &behind, &shape, text, out)?;
    }
    Ok(())
}

/// What the tree of a statement says: its class, and, where there is something to say, tables, those behind them, functions, clauses and
/// predicates.
fn print_facts(
    facts: &Facts,
    behind: &[Table],
    shape: &Shape,
    text: &[u8],
    out: &mut impl Write,
) -> io::Result<()> {
    writeln!(out, "class        {}", format!("{:?}", facts.class).to_ascii_lowercase())?;
    if !facts.understood {
        return writeln!(out, "tree         not understood by the parser");
    }
    let shown = |table: &Table| {
        let access = if table.access == Access::Write { "written" } else { "read" };
        format!("{} ({access})", table.name)
    };
    let clauses = [
        (facts.filtered, "where"),
        (facts.limited, "limit"),
        (facts.ordered, "order by"),
        (facts.cross_joined, "cross join"),
        (facts.locks, "row locks"),
    ];
    let clauses = clauses.iter().filter(|clause| clause.0).map(|clause| clause.1.to_owned());
    let predicates = facts.predicates.iter().map(|one| predicate(one, shape, text));
    print_list("tables", facts.tables.iter().map(shown).collect(), out)?;
    print_list("behind", behind.iter().map(shown).collect(), out)?;
    print_list("functions", facts.functions.iter().map(Name::to_string).collect(), out)?;
    print_list("clauses", clauses.collect(), out)?;
    predicates.into_iter().try_for_each(|line| writeln!(out, "predicate    {line}"))
}

fn print_list(name: &str, entries: Vec<String>, out: &mut impl Write) -> io::Result<()> {
    match entries.as_slice() {
        [] => Ok(()),
        entries => writeln!(out, "{name:<12} {}", entries.join(", ")),
    }
}

/// `t.i equal 7, for every row`.
fn predicate(predicate: &Predicate, shape: &Shape, text: &[u8]) -> String {
    let column = |table: &Option<Name>, column: &str| match table {
        Some(table) => format!("{table}.{column}"),
        None => column.to_owned(),
    };
    let operand = match &predicate.operand {
        Operand::Literal(place) | Operand::Cast(place) => {
            let literals = shape.literals.iter().filter(|literal| literal.place == *place);
            let texts = literals.map(|literal| String::from_utf8_lossy(&text[literal.range.clone()]));
            format!(" {}", texts.collect::<Vec<_>>().join(", "))
        }
        Operand::Parameter(number) => format!(" ${number}"),
        Operand::Column(table, name) => format!(" {}", column(table, name)),
        Operand::Other => String::new(),
    };
    let comparison = format!("{:?}", predicate.comparison).to_ascii_lowercase();
    let rows = if predicate.required { ", for every row" } else { "" };
    format!("{} {comparison}{operand}{rows}", column(&predicate.table, &predicate.column))
}

fn read(text: &[u8], dialect: Dialect, known: Option<&Known>) -> String {
    if let Some(reason) = not_a_read(text, dialect) {
        return format!("no: {reason}");
    }
    match known.map(|known| known.barriers.meets(text, dialect)) {
        Some(None) => "yes".to_owned(),
        Some(Some(barrier)) => format!("no: {barrier}"),
        None => "by its words; without a database, what it calls and reaches is not known".to_owned(),
    }
}

fn session(said: Effects, hidden: Effects) -> String {
    let names = |effects: Effects| effects.names().collect::<Vec<_>>().join(", ").to_ascii_lowercase();
    match (said.is_empty(), hidden.is_empty()) {
        (true, true) => "unchanged".to_owned(),
        (false, true) => names(said),
        (true, false) => format!("{} (by what it reaches)", names(hidden)),
        (false, false) => format!("{}; by what it reaches: {}", names(said), names(hidden)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(text: &str, known: Option<&Known>) -> String {
        let mut out = vec![];
        print(text, known, &mut out).expect("memory takes all");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn what_is_known_without_a_database() {
        let text = printed("SELECT * FROM t  WHERE i IN (1, 2)", None);
        assert!(text.starts_with("shape        select * from t where i in (?)\nfingerprint  "), "{text}");
        assert!(text.contains("read         by its words; without a database"), "{text}");
        let rest = "session      unchanged\nclass        select\ntables       t (read)\nclauses      where\n\
            predicate    t.i in 1, 2, for every row\n";
        assert!(text.ends_with(rest), "{text}");
        let text = printed("select pg_advisory_lock(1); delete from t", None);
        assert!(text.starts_with("2 statements in one text"), "{text}");
        assert!(text.contains("session      advisory\n"), "{text}");
        assert!(text.contains("read         no: is no SELECT, VALUES, TABLE or WITH\n"), "{text}");
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
        let known = Known { names: Names::everything(), barriers: Barriers::everywhere(), relations: None };
        let text = printed("select 1", Some(&known));
        assert!(text.contains("read         no: the catalog says nothing certain\n"), "{text}");
        assert!(text.contains("session      setting (by what it reaches)\n"), "{text}");
        let known = Known { names: Names::default(), barriers: Barriers::default(), relations: None };
        assert!(printed("select 1", Some(&known)).contains("read         yes\n"));
    }
}
