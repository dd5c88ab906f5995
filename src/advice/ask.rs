//! Plans, asked for harmlessly.
//!
//! What is asked runs in a transaction that may not write, with a limit on time and on waiting for locks, and is rolled back whatever comes
//! of it; so many plans a second, and no more. A statement travels as one message of the extended protocol, in which a server takes no
//! second statement, with its values beside it: they are read by the types that the server infers or the driver named, and never become text
//! of ours. Nothing is run: EXPLAIN without ANALYZE only plans.
//!
//! Which connection that is, and how it logs in, others know: here it is a [`Server`].

use std::time::Duration;

use tokio::time::Instant;

use super::plan::Plan;
use super::samples::Parameter;
use crate::sql::{Dialect, Value, Verb, shape, summarize};

/// Text columns of a row.
pub type Row = Vec<Option<String>>;

/// A connection to a database that is advised on, and that nobody else uses.
pub trait Server {
    /// Runs statements of our own (`begin`), asks one statement with values in text form, and runs others of our own (`end`) whatever came of
    /// it; all of it is sent at once. A type of 0, or that is missing, is inferred by the server. Where one of ours is empty, nothing is run.
    ///
    /// # Errors
    /// As the server refuses the first of them that it refuses, more than one statement to be asked among other things, or as the connection
    /// is lost.
    fn ask(
        &mut self,
        begin: &str,
        asked: Asked<'_>,
        end: &str,
    ) -> impl Future<Output = Result<Vec<Row>, Refused>>;
}

/// Why a server gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({sqlstate})")]
pub struct Refused {
    /// Its SQLSTATE.
    pub sqlstate: String,
    /// Its words.
    pub message: String,
    /// The connection is gone, and with it what was known in it.
    pub lost: bool,
}

impl Refused {
    /// Its words, but for the values that those about data have behind a colon or in quotes.
    fn without_values(&self) -> String {
        let is_of_data = self.sqlstate.starts_with("22") || self.sqlstate.starts_with("23");
        let words = self.message.split([':', '"']).next().filter(|_| is_of_data).unwrap_or(&self.message);
        format!("{} ({})", words.trim_end(), self.sqlstate)
    }
}

/// Bounds of asking.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Plans a second.
    pub plans_per_second: f64,
    /// How long planning one statement may take on the server.
    pub statement_timeout: Duration,
    /// How long it may wait for a lock.
    pub lock_timeout: Duration,
    /// When no more is asked.
    pub until: Instant,
}

/// A statement with its values.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// With `$1`, `$2`, ... in the places of values.
    pub text: &'a str,
    /// What the driver said the types are; 0 or missing where it did not.
    pub types: &'a [u32],
    /// In text form.
    pub values: &'a [Option<String>],
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPlan {
    /// It is no statement that has a plan; it was not sent.
    #[error("{0}")]
    NotSent(&'static str),
    /// The server refused it.
    #[error("PostgreSQL says: {}", .0.without_values())]
    Refused(#[from] Refused),
    /// The answer is no plan.
    #[error("EXPLAIN cannot be read: {0}")]
    Unreadable(String),
    /// The time for advice was over.
    #[error("the time for advice was over before it could be planned")]
    Late,
}

/// Asks, within bounds.
#[derive(Debug)]
pub struct Asker<S> {
    server: S,
    /// Who is asked when that one is gone.
    spare: Option<S>,
    /// So many questions in a row found nobody there.
    lost: u32,
    /// The spare one is asked.
    replaced: bool,
    bounds: Bounds,
    /// When the next plan may be asked for.
    next: Instant,
    /// Plans asked for so far.
    asked: u64,
    /// How names are looked up while a catalog is read; empty: as the login has it.
    path: String,
}

impl<S: Server> Asker<S> {
    /// With nothing asked yet.
    pub fn new(server: S, bounds: Bounds) -> Asker<S> {
        let (spare, lost, replaced) = (None, 0, false);
        Asker { server, spare, lost, replaced, bounds, next: Instant::now(), asked: 0, path: String::new() }
    }

    /// With another server that has the same, to be asked when this one is gone.
    pub fn with_spare(self, spare: S) -> Asker<S> {
        Asker { spare: Some(spare), ..self }
    }

    /// The server, to be a spare one.
    pub fn into_server(self) -> S {
        self.server
    }

    /// Whether the spare server took the first one's place.
    pub fn is_replaced(&self) -> bool {
        self.replaced
    }

    /// Whether nobody is there to be asked.
    pub fn is_gone(&self) -> bool {
        self.lost >= GONE
    }

    /// Plans asked for so far.
    pub fn asked(&self) -> u64 {
        self.asked
    }

    /// From now on nothing is asked after `until`.
    pub fn set_end(&mut self, until: Instant) {
        self.bounds.until = until;
    }

    /// Whether the time is over.
    pub fn is_late(&self) -> bool {
        Instant::now() >= self.bounds.until
    }

    /// From now on a catalog is read with these schemas behind PostgreSQL's own.
    pub fn set_path(&mut self, schemas: &[String]) {
        let names = schemas.iter().filter(|name| *name != "pg_catalog").map(|name| always_quoted(name));
        let path: Vec<String> = ["pg_catalog".to_owned()].into_iter().chain(names).collect();
        self.path = format!("SET LOCAL search_path = {};", path.join(", "));
    }

    /// Reads a catalog: one statement of our own, with its values.
    ///
    /// # Errors
    /// As the server refuses it.
    pub async fn catalog(
        &mut self,
        sql: &str,
        values: &[Option<String>],
        patience: Duration,
    ) -> Result<Vec<Row>, Refused> {
        let begin = begin(patience, self.bounds.lock_timeout) + &self.path;
        self.send(&begin, Asked { text: sql, types: &[], values }, "ROLLBACK").await
    }

    /// The plan for these values, as a server makes it that knows them.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn plan(&mut self, asked: Asked<'_>) -> Result<Plan, NoPlan> {
        plannable(asked.text).map_err(NoPlan::NotSent)?;
        match self.plan_of(asked).await {
            // `interval $1` is what is left of `interval '1 day'`: with its value in its place it is one again.
            Err(NoPlan::Refused(refused)) if refused.sqlstate == "42601" && !asked.values.is_empty() => {
                let text = with_values(asked.text, asked.values);
                self.plan_of(Asked { text: &text, types: &[], values: &[] }).await
            }
            answer => answer,
        }
    }

    async fn plan_of(&mut self, asked: Asked<'_>) -> Result<Plan, NoPlan> {
        self.turn().await?;
        let text = format!("{EXPLAIN} {}", asked.text);
        let asked = Asked { text: &text, ..asked };
        read(self.send(&self.begin(), asked, "ROLLBACK").await?)
    }

    /// The plan that is made without values, as a server has it from the sixth execution of a prepared statement on where that seems no dearer.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn generic_plan(&mut self, text: &str, types: &[u32], values: usize) -> Result<Plan, NoPlan> {
        plannable(text).map_err(NoPlan::NotSent)?;
        self.turn().await?;
        let types = self.type_names(types).await?;
        let types = if types.is_empty() { types } else { format!(" ({types})") };
        let prepare = format!("PREPARE pgweir_advice{types} AS {text}");
        self.send(&self.begin(), bare(&prepare), "ROLLBACK").await?;
        let values = vec!["NULL"; values].join(", ");
        let values = if values.is_empty() { values } else { format!("({values})") };
        let explain = format!("{EXPLAIN} EXECUTE pgweir_advice{values}");
        let begin = self.begin() + "SET LOCAL plan_cache_mode = force_generic_plan";
        read(self.send(&begin, bare(&explain), FORGET).await?)
    }

    async fn type_names(&mut self, types: &[u32]) -> Result<String, Refused> {
        if types.iter().all(|oid| *oid == 0) {
            return Ok(String::new());
        }
        let list = types.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        let sql = "SELECT pg_catalog.string_agg(CASE t.oid WHEN '0'::pg_catalog.oid THEN 'unknown' \
            ELSE pg_catalog.format_type(t.oid, NULL) END, ', ' ORDER BY t.place) \
            FROM pg_catalog.unnest($1::pg_catalog.oid[]) WITH ORDINALITY AS t(oid, place)";
        let rows = self.tell(sql, &[Some(format!("{{{list}}}"))]).await?;
        Ok(rows.into_iter().next().and_then(|row| row.into_iter().next().flatten()).unwrap_or_default())
    }

    /// The types that the server infers for `$1`, `$2`, ...
    ///
    /// # Errors
    /// Why it has none.
    pub async fn types(&mut self, text: &str) -> Result<Vec<Parameter>, NoPlan> {
        plannable(text).map_err(NoPlan::NotSent)?;
        let prepare = format!("PREPARE pgweir_advice AS {text}");
        self.send(&self.begin(), bare(&prepare), "ROLLBACK").await?;
        let sql = "SELECT y.oid, y.typcategory, pg_catalog.format_type(y.oid, NULL) \
            FROM pg_catalog.pg_prepared_statements p, \
            pg_catalog.unnest(p.parameter_types::pg_catalog.oid[]) WITH ORDINALITY AS t(oid, place), \
            pg_catalog.pg_type y WHERE y.oid OPERATOR(pg_catalog.=) t.oid::pg_catalog.oid \
            AND p.name OPERATOR(pg_catalog.=) 'pgweir_advice' ORDER BY t.place";
        let rows = self.send(&self.begin(), bare(sql), FORGET).await?;
        let parameter = |row: &Row| {
            let cell = |at: usize| row.get(at)?.as_deref();
            Some(Parameter {
                oid: cell(0)?.parse().ok()?,
                category: cell(1)?.chars().next()?,
                name: cell(2)?.to_owned(),
            })
        };
        Ok(rows.iter().filter_map(parameter).collect())
    }

    /// What HypoPG is told to do, which is no part of a transaction, and other questions of our own.
    ///
    /// # Errors
    /// As the server refuses it.
    pub(super) async fn tell(&mut self, sql: &str, values: &[Option<String>]) -> Result<Vec<Row>, Refused> {
        self.send(&self.begin(), Asked { text: sql, types: &[], values }, "ROLLBACK").await
    }

    /// Asks. A connection that is lost is made again for the next question; when that is in vain, too, the spare server is asked from then on. The
    /// question itself is not asked again: what it rests upon, such as hypothetical indexes, went with the connection.
    async fn send(&mut self, begin: &str, asked: Asked<'_>, end: &str) -> Result<Vec<Row>, Refused> {
        let answer = self.server.ask(begin, asked, end).await;
        let is_lost = answer.as_ref().is_err_and(|refused| refused.lost);
        self.lost = if is_lost { self.lost + 1 } else { 0 };
        if self.is_gone()
            && let Some(spare) = self.spare.take()
        {
            (self.server, self.lost, self.replaced) = (spare, 0, true);
        }
        answer
    }

    fn begin(&self) -> String {
        begin(self.bounds.statement_timeout, self.bounds.lock_timeout)
    }

    /// Waits until one more may be asked for.
    async fn turn(&mut self) -> Result<(), NoPlan> {
        let at = self.next.max(Instant::now());
        if at >= self.bounds.until {
            return Err(NoPlan::Late);
        }
        tokio::time::sleep_until(at).await;
        self.next = at + Duration::from_secs_f64(1.0 / self.bounds.plans_per_second.clamp(0.01, 100_000.0));
        self.asked += 1;
        Ok(())
    }
}

/// A server that was not there for so many questions in a row is gone.
const GONE: u32 = 2;

/// What is asked for of a plan: the whole of names, and settings that are not what they are by default.
const EXPLAIN: &str = "EXPLAIN (FORMAT JSON, VERBOSE, SETTINGS)";

/// Ends a transaction, and forgets what was prepared, which a transaction does not take along.
const FORGET: &str = "ROLLBACK; DEALLOCATE ALL";

fn bare(text: &str) -> Asked<'_> {
    Asked { text, types: &[], values: &[] }
}

/// How a transaction begins that cannot do harm.
fn begin(statement: Duration, lock: Duration) -> String {
    format!(
        "BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY; SET LOCAL statement_timeout = {}; \
         SET LOCAL lock_timeout = {}; SET LOCAL client_min_messages = error; SET LOCAL standard_conforming_strings = on;",
        statement.as_millis().max(1),
        lock.as_millis().max(1)
    )
}

fn read(rows: Vec<Row>) -> Result<Plan, NoPlan> {
    let lines: Vec<&str> = rows.iter().filter_map(|row| row.first()?.as_deref()).collect();
    Plan::parse(&lines.join("\n")).map_err(NoPlan::Unreadable)
}

/// A name that is one whatever is in it.
pub(super) fn always_quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Whether a text is one statement that has a plan.
///
/// # Errors
/// Why not.
pub fn plannable(text: &str) -> Result<(), &'static str> {
    let summary = summarize(text.as_bytes(), Dialect::from(true));
    match summary.statements.as_slice() {
        [] => Err("it is empty"),
        [one] => match one.verb {
            Verb::Select | Verb::Values | Verb::Table | Verb::With => Ok(()),
            Verb::Insert | Verb::Update | Verb::Delete | Verb::Merge => Ok(()),
            _ => Err("it is a command that has no plan"),
        },
        _ => Err("it is several statements in one text"),
    }
}

/// A text with its values as literals, whose types the server infers from where they stand. What has no value stays.
pub fn with_values(text: &str, values: &[Option<String>]) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    let mut done = 0;
    for literal in shape(text.as_bytes(), true).literals {
        let Value::Parameter(number) = literal.value else { continue };
        let Some(value) = usize::from(number).checked_sub(1).and_then(|at| values.get(at)) else { continue };
        let Some(between) = text.get(done..literal.range.start) else { continue };
        out += between;
        match value {
            // A blank on each side: a word before it must not become the prefix of the string.
            Some(value) => out += &format!(" '{}' ", value.replace('\'', "''")),
            None => out += " NULL ",
        }
        done = literal.range.end;
    }
    out + text.get(done..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_single_statements_with_a_plan_are_sent() {
        for text in [
            "select 1",
            "/* a */ with x as (select 1) select * from x;",
            "delete from t",
            "values (1)",
            "TABLE t",
        ] {
            assert_eq!(plannable(text), Ok(()), "{text}");
        }
        for text in [
            "",
            ";",
            "select 1; drop table t",
            "explain select 1",
            "explain analyze delete from t",
            "copy t to stdout",
            "vacuum",
            "call f()",
            "do $$begin end$$",
            "create table x as select 1",
            "begin",
            "prepare x as select 1",
        ] {
            assert!(plannable(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_refusal_tells_no_value() {
        let refused = |sqlstate: &str, message: &str| {
            NoPlan::Refused(Refused { sqlstate: sqlstate.into(), message: message.into(), lost: false })
                .to_string()
        };
        let told = refused("22P02", "invalid input syntax for type bigint: \"secret\"");
        assert_eq!(told, "PostgreSQL says: invalid input syntax for type bigint (22P02)");
        assert_eq!(refused("22003", "value \"77\" is out of range"), "PostgreSQL says: value (22003)");
        let told = refused("42501", "permission denied for table t");
        assert_eq!(told, "PostgreSQL says: permission denied for table t (42501)");
    }

    #[test]
    fn values_stand_where_their_parameters_stood() {
        let check = |text, values: &[Option<&str>], expected| {
            let values: Vec<_> = values.iter().map(|value| value.map(str::to_owned)).collect();
            assert_eq!(with_values(text, &values), expected);
        };
        check(
            "select interval $1, $2",
            &[Some("1 day"), Some("it's")],
            "select interval  '1 day' ,  'it''s' ",
        );
        check("select '$1', \"$1\", $1 -- $1", &[None], "select '$1', \"$1\",  NULL  -- $1");
        check("select $2, $3", &[Some("a"), Some("b")], "select  'b' , $3");
        check("select 'x', 5", &[], "select 'x', 5");
    }
}
