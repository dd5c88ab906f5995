//! The questions that find the names, and what the answers mean.
//!
//! First the code itself ([`CODE`], [`USERS`]). Where some of it changes sessions: the bodies of all functions ([`BODIES`]), and
//! in turns what depends on what was found ([`Search::question`]) and the bodies that name it, until nothing is new. Every
//! question works from PostgreSQL 13 on, for any user, and whatever the search path is.

use super::defining::code_may_define;
use super::names::{Names, custom_settings};
use crate::sql::{Effects, mentions_session_effects};

/// As an answer gives it.
pub type Row = Vec<Option<String>>;

/// One row; see the file.
pub const MARK: &str = include_str!("sql/mark.sql");
/// `(oid, name, language, code, path)`; see the file.
pub const CODE: &str = include_str!("sql/code.sql");
/// `(catalog, oid)`; see the file.
pub const USERS: &str = include_str!("sql/users.sql");
/// `(oid, body)`; see the file.
pub const BODIES: &str = include_str!("sql/bodies.sql");
const DEPENDENTS: &str = include_str!("sql/dependents.sql");

/// The `LIMIT` of each question. An answer that has as many rows may lack some, and then every text may do anything.
pub(super) const MOST: usize = 20_000;
/// Questions for dependents, beyond which the same is true.
pub(super) const ROUNDS: usize = 32;
/// The number of `pg_proc`.
pub(super) const FUNCTIONS: &str = "1255";

/// Effects of a function's code that matter to its caller's session.
pub(super) const LASTING: Effects = Effects::SETTING
    .union(Effects::ROLE)
    .union(Effects::TEMP)
    .union(Effects::ADVISORY)
    .union(Effects::HOLD)
    .union(Effects::LISTEN)
    .union(Effects::LOAD)
    .union(Effects::SEQUENCE)
    .union(Effects::RANDOM_SEED)
    .union(Effects::PROCESS)
    .union(Effects::UNNAMED)
    .union(Effects::BOUND_NAME);

/// The names found so far, and how to find more.
#[derive(Debug, Default)]
pub struct Search {
    names: Names,
    /// Functions whose body has not been found to name anything, by oid.
    bodies: Vec<(String, String)>,
    /// `(catalog, oid)` of what was found last.
    fresh: Vec<(String, String)>,
    rounds: usize,
    overflow: bool,
}

impl Search {
    /// Begins with the answers to [`CODE`] and [`USERS`].
    pub fn begin(code: &[Row], users: &[Row]) -> Search {
        let mut search = Search { overflow: code.len().max(users.len()) >= MOST, ..Search::default() };
        for row in code {
            let [Some(oid), Some(name), Some(language), code, path] = row.as_slice() else { continue };
            let code = code.as_deref().unwrap_or_default();
            let mut effects = effects_of_code(language, code);
            if path.is_some() && mentions_session_effects(code.as_bytes()).contains(Effects::DDL) {
                effects |= Effects::TEMP;
            }
            search.judge(oid, name, code, effects);
        }
        search.fresh.extend(users.iter().filter_map(pair));
        search
    }

    fn judge(&mut self, oid: &str, name: &str, code: &str, effects: Effects) {
        if effects.is_empty() {
            return;
        }
        self.names.add_word(name.as_bytes(), effects);
        self.names.add_settings(custom_settings(code.as_bytes()));
        // What `currval` says is the caller's business only; see "Sequences" in the notes on session state.
        if effects != Effects::SEQUENCE {
            self.fresh.push((FUNCTIONS.to_owned(), oid.to_owned()));
        }
    }

    /// Whether more is to be found.
    pub fn goes_on(&self) -> bool {
        !self.fresh.is_empty() && !self.overflow
    }

    /// The answer to [`BODIES`], which is needed only if the search goes on.
    pub fn bodies(&mut self, rows: Vec<Row>) {
        self.overflow |= rows.len() >= MOST;
        self.bodies = rows.iter().filter_map(pair).collect();
    }

    /// What is to be asked next.
    pub fn question(&self) -> String {
        let start: Vec<String> =
            self.fresh.iter().map(|(catalog, oid)| format!("({catalog},{oid})")).collect();
        DEPENDENTS.replace("{start}", &start.join(","))
    }

    /// The answer to it.
    pub fn answer(mut self, rows: &[Row]) -> Search {
        self.rounds += 1;
        self.overflow |= rows.len() >= MOST || self.rounds >= ROUNDS;
        for row in rows {
            let [_, _, Some(kind), Some(name)] = row.as_slice() else { continue };
            match kind.as_str() {
                "word" => self.names.add_word(name.as_bytes(), Effects::SETTING),
                "operator" => self.names.add_operator(name.as_bytes(), Effects::SETTING),
                "ddl" => self.names.add_ddl(Effects::SETTING),
                _ => self.names.add_always(Effects::SETTING),
            }
        }
        self.find_bodies();
        self
    }

    /// Functions that name what was found are found themselves.
    fn find_bodies(&mut self) {
        let names = &self.names;
        let reads = |body: &[u8], std_strings| {
            !names.effects_of(body, std_strings).without(Effects::SEQUENCE).is_empty()
        };
        let found =
            |(_, body): &(String, String)| reads(body.as_bytes(), true) || reads(body.as_bytes(), false);
        let (new, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.bodies).into_iter().partition(found);
        self.bodies = rest;
        // What they call may be given its name by them.
        for (_, body) in &new {
            self.names.add_settings(custom_settings(body.as_bytes()));
        }
        self.fresh = new.into_iter().map(|(oid, _)| (FUNCTIONS.to_owned(), oid)).collect();
    }

    /// All names, or `None` when there are too many to tell.
    pub fn names(mut self) -> Option<Names> {
        self.names.add_what_goes_by_strings();
        (!self.overflow).then_some(self.names)
    }
}

fn effects_of_code(language: &str, code: &str) -> Effects {
    if !matches!(language, "sql" | "plpgsql" | "internal") {
        // Code that we cannot read may run SQL. Of C, only what does was asked for.
        return Effects::SETTING;
    }
    let mentioned = mentions_session_effects(code.as_bytes());
    // What runs text made at run time may do anything.
    let dynamic = mentioned.contains(Effects::OPAQUE);
    let mut effects = mentioned.without(mentioned.without(LASTING));
    if dynamic {
        effects |= Effects::SETTING;
    }
    if (dynamic || mentioned.contains(Effects::DDL)) && code_may_define(code.as_bytes()) {
        effects |= Effects::SETTING | Effects::DDL | Effects::OPAQUE;
    }
    effects
}

/// The first two columns of a row, if it has no others and neither is null.
pub(super) fn pair(row: &Row) -> Option<(String, String)> {
    let [Some(one), Some(two)] = row.as_slice() else { return None };
    Some((one.clone(), two.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(columns: &[&str]) -> Row {
        columns.iter().map(|column| Some((*column).to_owned())).collect()
    }

    /// Without a search path of its own.
    fn code(columns: [&str; 4]) -> Row {
        let mut code = row(&columns);
        code.push(None);
        code
    }

    #[test]
    fn callers_of_a_function_have_its_effects() {
        let search = Search::begin(
            &[
                code(["1", "lock_it", "sql", "select pg_advisory_lock(7)"]),
                code(["2", "tenant", "plpgsql", "begin perform set_config('app.tenant', $1, false); end"]),
                code(["3", "total", "sql", "select sum(i) from t"]),
                code(["4", "alias", "internal", "set_config()"]),
                code(["5", "other", "plperl", "return 1"]),
            ],
            &[],
        );
        let names = search.names().expect("there are few");
        assert!(names.effects_of(b"select lock_it()", true).contains(Effects::ADVISORY));
        assert!(names.effects_of(b"select x from TENANT('a')", true).contains(Effects::SETTING));
        assert!(names.effects_of(b"select alias('role', 'x', false)", true).contains(Effects::ROLE));
        assert!(names.effects_of(b"select other()", true).contains(Effects::SETTING));
        assert!(names.effects_of(b"select total(), 'lock_it()'", true).is_empty());
        assert_eq!(names.settings(), [b"app.tenant"[..].into()]);
    }

    #[test]
    fn nothing_is_searched_for_where_nothing_was_found() {
        let search = Search::begin(&[code(["3", "total", "sql", "select sum(i) from t"])], &[]);
        assert!(!search.goes_on());
        assert!(search.names().is_some_and(|names| names.is_empty()));
        let asks = Search::begin(&[code(["3", "last", "sql", "select lastval()"])], &[]);
        assert!(!asks.goes_on());
        assert_eq!(
            asks.names().map(|names| names.effects_of(b"select last()", true)),
            Some(Effects::SEQUENCE)
        );
    }

    #[test]
    fn what_calls_it_is_found_until_nothing_is_new() {
        let mut search = Search::begin(&[code(["1", "f", "sql", "select pg_advisory_lock(7)"])], &[]);
        search.bodies(vec![
            row(&["1", "select pg_advisory_lock(7)"]),
            row(&["2", "select * from V"]),
            row(&["3", "select 1"]),
        ]);
        assert!(search.question().contains("(VALUES (1255,1))"));
        search = search.answer(&[row(&["1255", "1", "word", "f"]), row(&["1259", "9", "word", "v"])]);
        assert!(search.goes_on() && search.question().contains("(VALUES (1255,2))"));
        search = search.answer(&[row(&["1255", "2", "word", "g"]), row(&["2617", "8", "operator", "@@@"])]);
        assert!(!search.goes_on());
        let names = search.names().expect("there are few");
        for text in ["select * from v", "select g()", "select 1 @@@ 2", "select table_to_xml('v')"] {
            assert!(names.effects_of(text.as_bytes(), true).contains(Effects::SETTING), "{text}");
        }
        assert!(names.effects_of(b"select h(), 1 @@ 2", true).is_empty());
    }

    #[test]
    fn temporary_by_the_path_of_the_function() {
        let mut made = code(["1", "make", "sql", "create table t (i int)"]);
        made[4] = Some("pg_temp".to_owned());
        let mut reads = code(["2", "reads", "sql", "select 1 from t"]);
        reads[4] = Some("pg_temp".to_owned());
        let plain = code(["3", "plain", "sql", "create table t (i int)"]);
        let names = Search::begin(&[made, reads, plain], &[]).names().expect("there are few");
        assert!(names.effects_of(b"select make()", true).contains(Effects::TEMP));
        assert!(names.effects_of(b"select reads(), plain()", true).is_empty());
    }

    #[test]
    fn too_many_are_told() {
        let many = vec![code(["1", "f", "sql", "select 1"]); MOST];
        assert!(Search::begin(&many, &[]).names().is_none());
    }

    #[test]
    fn a_standard_body_comes_with_its_head() {
        let head = "FUNCTION public.f() RETURNS text LANGUAGE sql SET work_mem TO '64kB' ";
        let check = |body: &str| effects_of_code("sql", &format!("{head}{body}"));
        assert_eq!(check("RETURN 1"), Effects::EMPTY);
        assert_eq!(
            check("BEGIN ATOMIC SELECT set_config('a.b'::text, 'x'::text, false); END"),
            Effects::SETTING
        );
    }

    #[test]
    fn code_that_defines_code() {
        let defines = |code| effects_of_code("plpgsql", code).contains(Effects::DDL | Effects::OPAQUE);
        assert!(defines("begin execute 'create function ' || name || '() ...'; end"));
        assert!(defines("begin create view v as select 1; end"));
        assert!(!defines("begin create temp table t (i int); end"));
        assert!(!defines("begin execute 'select 1'; end"));
    }
}
