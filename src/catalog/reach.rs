//! The search for the names that a read must not mention.
//!
//! PostgreSQL's own come first ([`OWN`]); then, in rounds, what is such a name by itself or reaches one ([`Reach::question`]) and the
//! functions whose body mentions one, until nothing is new. Every question works from PostgreSQL 13 on, for any user, under
//! [`Reach::SETTINGS`].

use super::barriers::Barriers;
use super::read::{FUNCTIONS, MOST, ROUNDS, Row, pair};
use crate::sql::{Kind, Lexer, NotRead, words_against_reading};

/// `(catalog, oid, kind, name)`; see the file.
pub const OWN: &str = include_str!("sql/own.sql");
const REACHING: &str = include_str!("sql/reaching.sql");

/// The names found so far, and how to find more.
#[derive(Debug)]
pub struct Reach {
    barriers: Barriers,
    /// Functions whose body has not been found to mention any, by oid.
    bodies: Vec<(String, String)>,
    own: Own,
    has_sql_bodies: bool,
    sought: Sought,
    /// `(catalog, oid)` found last; the first question has none.
    fresh: Vec<(String, String)>,
    rounds: usize,
    /// An answer may lack rows, or there are too many rounds: then nothing is a read.
    overflow: bool,
}

/// What is searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sought {
    /// What a read must not reach.
    MoreThanReads,
    /// What makes a result depend on more than rows and settings.
    Unstable,
    /// What may change rows.
    Writing,
}

impl Sought {
    /// Functions that are such by themselves.
    fn functions(self) -> &'static str {
        match self {
            Sought::MoreThanReads => "p.provolatile = 'v'",
            Sought::Unstable => "p.provolatile <> 'i'",
            // What extensions that everybody has give as defaults.
            Sought::Writing => {
                "p.provolatile = 'v' AND NOT (l.lanname = 'c' AND p.prosrc ~ '^(uuid_generate_|pg_gen_salt|pg_random_)')"
            }
        }
    }

    /// Relations that are such by themselves.
    fn relations(self) -> &'static str {
        match self {
            Sought::MoreThanReads | Sought::Unstable => "relkind IN ('S', 'f') OR relpersistence = 'u'",
            Sought::Writing => "false",
        }
    }

    /// What trees have of it beside functions and views of PostgreSQL's own.
    fn pattern(self) -> &'static str {
        match self {
            Sought::MoreThanReads => MODIFYING,
            Sought::Writing => ":hasModifyingCTE true|:commandType [2345]",
            // Values of the moment, samples, PostgreSQL's own relations, and texts that are read as what may depend on the moment.
            Sought::Unstable => concat!(
                ":rowMarks [(]|:hasModifyingCTE true|:commandType [2345]|SQLVALUEFUNCTION|NEXTVALUEEXPR|TABLESAMPLECLAUSE",
                "|:relid ([0-9]{1,4}|1[0-5][0-9]{3}|16[0-2][0-9]{2}|163[0-7][0-9]|1638[0-3]) ",
                "|COERCEVIAIO.*:resulttype (?!(16|17|18|19|20|21|23|25|114|142|650|700|701|869|1042|1043|1186|1560|1562|1700|2950|3614|3615|3802) )"
            ),
        }
    }
}

const MODIFYING: &str = ":rowMarks [(]|:hasModifyingCTE true|:commandType [2345]";

/// What of PostgreSQL's own a read must not reach, by oid.
#[derive(Debug, Default)]
struct Own {
    functions: Vec<String>,
    views: Vec<String>,
}

impl Reach {
    /// What the connection has to set before any question. Compiling a question takes longer than answering it.
    pub const SETTINGS: &str = "SET search_path = pg_catalog; SET jit = off";

    /// Begins with the answers to [`OWN`] and [`super::BODIES`]; `version` as `server_version_num` has it.
    pub fn begin(version: u32, own: &[Row], bodies: &[Row]) -> Reach {
        let mut reach = Reach {
            barriers: Barriers::default(),
            bodies: bodies.iter().filter_map(pair).collect(),
            own: Own::default(),
            has_sql_bodies: version >= 140_000,
            sought: Sought::MoreThanReads,
            fresh: vec![],
            rounds: 0,
            overflow: own.len().max(bodies.len()) >= MOST,
        };
        for row in own {
            let [_, Some(oid), Some(kind), Some(name)] = row.as_slice() else { continue };
            reach.barriers.add(kind, name);
            match kind.as_str() {
                "call" => reach.own.functions.push(oid.clone()),
                "word" => reach.own.views.push(oid.clone()),
                _ => {}
            }
        }
        // None at all is an answer that something else gave.
        reach.overflow |= reach.own.functions.is_empty();
        reach
    }

    /// The search for names that make a result depend on more than rows and settings: begins with the answers to
    /// [`super::UNSTABLE`] and [`super::BODIES`].
    pub fn unstable(version: u32, own: &[Row], bodies: &[Row]) -> Reach {
        Reach { sought: Sought::Unstable, ..Reach::begin(version, own, bodies) }
    }

    /// The search for names that may change rows: begins with the answers to [`super::WRITING`] and [`super::BODIES`].
    pub fn writing(version: u32, own: &[Row], bodies: &[Row]) -> Reach {
        Reach { sought: Sought::Writing, ..Reach::begin(version, own, bodies) }
    }

    /// What is to be asked next; `None` when all is found, or too much to tell.
    pub fn question(&self) -> Option<String> {
        let is_first = self.rounds == 0;
        if self.overflow || !is_first && self.fresh.is_empty() {
            return None;
        }
        let start: Vec<String> =
            self.fresh.iter().map(|(catalog, oid)| format!("({catalog},{oid})")).collect();
        let start = if is_first { "(0,0)".to_owned() } else { start.join(",") };
        let functions = self.own.functions.join("|");
        let mut pattern =
            format!(":(funcid|opfuncid|aggfnoid|winfnoid) ({functions}) |{}", self.sought.pattern());
        if !self.own.views.is_empty() {
            pattern.push_str(&format!("|:relid ({}) ", self.own.views.join("|")));
        }
        let question = REACHING
            .replace("{start}", &start)
            .replace("{first}", if is_first { "true" } else { "false" })
            .replace("{sqlbody}", if self.has_sql_bodies { "prosqlbody::text" } else { "''" })
            .replace("{functions}", self.sought.functions())
            .replace("{relations}", self.sought.relations())
            .replace("{pattern}", &pattern)
            .replace("{own}", &format!("{{{}}}", self.own.functions.join(",")));
        Some(question)
    }

    /// The answer to it.
    #[must_use]
    pub fn answer(mut self, rows: &[Row]) -> Reach {
        self.rounds += 1;
        self.overflow |= rows.len() >= MOST || self.rounds >= ROUNDS;
        for row in rows {
            let [Some(catalog), Some(oid), Some(kind), Some(name)] = row.as_slice() else { continue };
            self.barriers.add(kind, name);
            if catalog == FUNCTIONS {
                self.bodies.retain(|(body, _)| body != oid);
            }
        }
        self.find_bodies();
        self
    }

    /// Functions that mention what was found, or run text made at run time, are found themselves.
    fn find_bodies(&mut self) {
        let barriers = &self.barriers;
        let meets = |body: &[u8], std_strings| barriers.meets(body, std_strings).is_some();
        let found = |(_, body): &(String, String)| {
            let body = body.as_bytes();
            let by = |std_strings| {
                meets(body, std_strings) || runs_text(body, std_strings) || says(body, std_strings)
            };
            by(true) || by(false)
        };
        let (new, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.bodies).into_iter().partition(found);
        self.bodies = rest;
        self.fresh = new.into_iter().map(|(oid, _)| (FUNCTIONS.to_owned(), oid)).collect();
    }

    /// All of them.
    pub fn barriers(self) -> Barriers {
        if self.overflow { Barriers::everywhere() } else { self.barriers }
    }
}

/// What the words say of a body; INTO has another meaning in PL/pgSQL.
fn says(body: &[u8], std_strings: bool) -> bool {
    words_against_reading(body, std_strings).is_some_and(|reason| reason != NotRead::Into)
}

/// EXECUTE of PL/pgSQL runs what its code does not show.
fn runs_text(body: &[u8], std_strings: bool) -> bool {
    Lexer::new(body, std_strings)
        .any(|token| token.kind == Kind::Ident && token.text(body).eq_ignore_ascii_case(b"execute"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Barrier;

    fn row(columns: &[&str]) -> Row {
        columns.iter().map(|column| Some((*column).to_owned())).collect()
    }

    fn begun(bodies: &[Row]) -> Reach {
        let own = [row(&["1255", "1574", "call", "nextval"]), row(&["1259", "12", "word", "pg_locks"])];
        Reach::begin(150_000, &own, bodies)
    }

    #[test]
    fn what_calls_it_is_found_until_nothing_is_new() {
        let bodies = [
            row(&["20", "select nextval('s')"]),
            row(&["21", "select one()"]),
            row(&["22", "select 1"]),
            row(&["23", "begin execute x; end"]),
        ];
        let reach = begun(&bodies);
        let first = reach.question().expect("there is a first question");
        assert!(first.contains("(1574)") && first.contains(":relid (12) ") && first.contains("prosqlbody"));
        let reach = reach.answer(&[row(&["1255", "30", "call", "audit"])]);
        assert!(reach.question().is_some_and(|text| text.contains("(1255,20),(1255,23)")));
        let reach =
            reach.answer(&[row(&["1255", "20", "call", "one"]), row(&["1255", "23", "call", "runs"])]);
        assert!(reach.question().is_some_and(|text| text.contains("(VALUES (1255,21))")));
        let reach = reach.answer(&[row(&["1255", "21", "call", "two"])]);
        assert_eq!(reach.question(), None);
        let barriers = reach.barriers();
        for name in ["nextval", "audit", "one", "two", "runs"] {
            let text = format!("select {name}()");
            assert_eq!(barriers.meets(text.as_bytes(), true), Some(Barrier::Call(name.as_bytes().into())));
        }
        assert_eq!(barriers.meets(b"select three() from t", true), None);
    }

    #[test]
    fn what_cannot_be_told_is_no_read() {
        let many = vec![row(&["1", "select 1"]); MOST];
        assert_eq!(begun(&many).question(), None);
        assert_eq!(begun(&many).barriers().meets(b"select 1", true), Some(Barrier::Unseen));
        assert_eq!(
            Reach::begin(150_000, &[], &[]).barriers().meets(b"select 1", true),
            Some(Barrier::Unseen)
        );
    }

    #[test]
    fn older_servers_have_no_bodies_in_the_standards_form() {
        let own = [row(&["1255", "1574", "call", "nextval"])];
        let question = Reach::begin(130_000, &own, &[]).question().expect("there is a first question");
        assert!(!question.contains("prosqlbody"));
    }
}
