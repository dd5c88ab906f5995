//! `pgweir explain`: what a statement is to pgweir, and why.

use std::io::{self, Write};

use crate::catalog::{Barriers, Names};
use crate::config::Settings;
use crate::sql::{Dialect, Effects, not_a_read, shape, summarize};
use crate::wire::Fault;

/// What a database knows that a text does not show.
#[derive(Debug)]
pub struct Known {
    /// Names whose mention changes the session.
    pub names: Names,
    /// Names whose mention makes more than a read.
    pub barriers: Barriers,
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
    }
    Ok(())
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
        assert!(text.ends_with("session      unchanged\n"), "{text}");
        let text = printed("select pg_advisory_lock(1); delete from t", None);
        assert!(text.starts_with("2 statements in one text"), "{text}");
        assert!(text.contains("session      advisory\n"), "{text}");
        assert!(text.contains("read         no: is a command that may write\n"), "{text}");
        assert_eq!(printed(" -- nothing", None), "no statement\n");
    }

    #[test]
    fn what_the_database_adds() {
        let known = Known { names: Names::everything(), barriers: Barriers::everywhere() };
        let text = printed("select 1", Some(&known));
        assert!(text.contains("read         no: the catalog says nothing certain\n"), "{text}");
        assert!(text.contains("session      setting (by what it reaches)\n"), "{text}");
        let known = Known { names: Names::default(), barriers: Barriers::default() };
        assert!(printed("select 1", Some(&known)).contains("read         yes\n"));
    }
}
