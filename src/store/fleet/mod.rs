//! History in a PostgreSQL, for a fleet of pgweirs: what the file of one has, in one place, each count with the name of its pgweir.
//!
//! Everything is done in transactions that are bounded in time, and nobody waits for them but the store's thread (`keeper`) and reports
//! (`read`). Why it is as it is: `docs/design/store.md`.

mod bulk;
mod fold;
pub(super) mod keeper;
mod link;
pub(super) mod marks;
mod migrate;
pub(super) mod numbers;
pub(super) mod plans;
mod put;
pub(super) mod read;
mod samples;
mod trouble;
pub(super) mod turns;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Transaction};

use super::file::Trouble;
use super::status::State;
use crate::auth::scram::MockSecret;
use crate::config::settings::TargetSessionAttrs;
use crate::config::{self, Settings};
use crate::pool::Target;
use crate::session::directory::Directory;
use migrate::Kind;

/// How long one statement may take, and how long it may wait for a lock.
const STATEMENT: Duration = Duration::from_secs(10);
const LOCK: Duration = Duration::from_secs(5);
/// How long a piece of work may take in all before its connection is given up.
const WORK: Duration = Duration::from_secs(20);
/// How long a report may take.
const REPORT: Duration = Duration::from_secs(120);
/// Who makes tables, or changes them.
const LOCK_MIGRATE: &str = "SELECT pg_catalog.pg_advisory_xact_lock(1885828965, 1)";
/// The longest name of an instance, database, user or application: four of them fit into a row of an index.
const NAME: usize = 600;
/// As whom the server sees the connection.
const APPLICATION: &str = "pgweir history";

/// Where the history of a fleet is.
pub struct Fleet {
    settings: Settings,
    database: String,
    user: String,
}

impl Fleet {
    /// The history in the database of a URL.
    ///
    /// # Errors
    /// What is wrong with the URL, without its password.
    pub fn of(url: &str) -> Result<Fleet, String> {
        let (settings, database, user) = config::place_of_url(url)?;
        Ok(Fleet { settings, database, user })
    }

    /// How its server is reached. Files of TLS are read each time, so that new ones are taken up.
    fn target(&self, writes: bool) -> Result<Arc<Target>, Trouble> {
        let unusable = |error: &dyn fmt::Display| Trouble::Standing(State::Unusable, error.to_string());
        let mut settings = self.settings.clone();
        if let Some(database) = settings.databases.get_mut(&self.database) {
            // A single host is what somebody meant, and says by itself that it is a standby.
            if writes && database.hosts.len() > 1 && database.target == TargetSessionAttrs::Any {
                database.target = TargetSessionAttrs::Primary;
            }
            let options = &mut database.server_options;
            options.entry("application_name".to_owned()).or_insert_with(|| APPLICATION.to_owned());
            options.insert("client_encoding".to_owned(), "UTF8".to_owned());
        }
        let mock = MockSecret::random().map_err(|error| unusable(&error))?;
        let directory = Directory::new(settings, mock).map_err(|error| unusable(&error))?;
        directory.target(&self.database, &self.user).ok_or_else(|| unusable(&"the URL names no database"))
    }

    /// Logs in, and looks whether it is a place for a history.
    async fn open(&self, writes: bool) -> Result<Client, Trouble> {
        let client = link::open(&self.target(writes)?).await?;
        let encoding = client.query_typed("SHOW server_encoding", &[]).await?;
        match encoding.first().map(|row| row.get::<_, String>(0)) {
            Some(encoding) if encoding != "UTF8" => {
                let reason = format!("its database is in {encoding}; a history needs one in UTF8");
                Err(Trouble::Standing(State::Unusable, reason))
            }
            _ => Ok(client),
        }
    }

    /// Opens it for a report. The tables are left as they are: to make or change them is for those that write counts.
    async fn open_as_it_is(&self, writes: bool) -> Result<Client, Trouble> {
        let client = self.open(writes).await?;
        let kind = migrate::kind(&client).await?;
        migrate::usable(&kind)?;
        match kind {
            Kind::Older(0) => {
                Err(Trouble::Standing(State::Foreign, "it has no history of pgweir's in it yet".to_owned()))
            }
            Kind::Older(version) => {
                let reason = format!(
                    "its tables are of version {version}, which is older than this pgweir: they are brought up to date when one of this version runs with it"
                );
                Err(Trouble::Standing(State::Unusable, reason))
            }
            _ => Ok(client),
        }
    }

    /// Says whether the history can be kept there, without changing anything: what is there, or what will be made.
    ///
    /// # Errors
    /// What is the matter.
    pub async fn try_out(&self) -> Result<&'static str, Trouble> {
        let tried = async {
            let client = self.open(true).await?;
            let kind = migrate::kind(&client).await?;
            migrate::usable(&kind)?;
            let denied = |reason: &str| Err(Trouble::Standing(State::Denied, reason.to_owned()));
            let allowed = |sql: &'static str| {
                let client = &client;
                async move {
                    let rows = client.query_typed(sql, &[]).await?;
                    Ok::<bool, Trouble>(
                        rows.first().is_some_and(|row| row.get::<_, Option<bool>>(0) == Some(true)),
                    )
                }
            };
            if allowed("SELECT pg_catalog.pg_is_in_recovery()").await? {
                return Err(Trouble::Standing(
                    State::ReadOnly,
                    "it is a standby; name the primary".to_owned(),
                ));
            }
            match kind {
                Kind::Ours if allowed(MAY_WRITE).await? => Ok("its tables are there"),
                Kind::Ours => denied("its user may not write to the tables in pgweir_history"),
                _ if allowed(MAY_MAKE).await? => Ok("its tables will be made"),
                _ => denied("its user may make neither the schema pgweir_history nor tables in it"),
            }
        };
        tokio::time::timeout(WORK, tried).await.unwrap_or_else(|_| Err(trouble::late("asking it")))
    }
}

const MAY_WRITE: &str = "SELECT pg_catalog.bool_and(pg_catalog.has_table_privilege(c.oid, 'SELECT')
        AND pg_catalog.has_table_privilege(c.oid, 'INSERT') AND pg_catalog.has_table_privilege(c.oid, 'UPDATE')
        AND pg_catalog.has_table_privilege(c.oid, 'DELETE'))
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'pgweir_history' AND c.relkind = 'r' AND c.relname NOT IN ('migration', 'secret')";
const MAY_MAKE: &str = "SELECT coalesce(
        (SELECT pg_catalog.has_schema_privilege(oid, 'CREATE') FROM pg_catalog.pg_namespace WHERE nspname = 'pgweir_history'),
        pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'))";

impl fmt::Display for Fleet {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = self.settings.databases.get(&self.database);
        let hosts = database.map(|known| known.hosts.iter().map(ToString::to_string).collect::<Vec<_>>());
        let named = database.and_then(|known| known.server_database.as_deref()).unwrap_or(&self.database);
        write!(f, "postgres://{}@{}/{named}", self.user, hosts.unwrap_or_default().join(","))
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fleet({self})")
    }
}

/// What to do about a history that cannot be kept.
pub fn what_to_do(trouble: &Trouble) -> &'static str {
    match trouble {
        Trouble::Standing(state, _) => what_to_do_in(*state),
        Trouble::Corrupt(_) => what_to_do_in(State::Unusable),
    }
}

fn what_to_do_in(state: State) -> &'static str {
    match state {
        State::Locked => "somebody has locked its tables; it is tried again",
        State::Full => "make room on the server's disk, or lower history.max_size; it is tried again",
        State::ReadOnly => "name the primary; it is tried again",
        State::Refused => {
            "see its user, password and database, and the server's pg_hba.conf; it is tried again"
        }
        State::Denied => {
            "let its user make tables: GRANT CREATE ON DATABASE, or a schema pgweir_history that it owns; it is tried again"
        }
        State::Slow => "see what its server does; it is tried again",
        State::Newer => "run the pgweir that made the tables, or name another database",
        State::Foreign => "name another database",
        _ => "see whether its server runs and can be reached; it is tried again",
    }
}

/// A runtime for one thread that does one thing after the other.
fn runtime() -> Result<Runtime, Trouble> {
    let made = tokio::runtime::Builder::new_current_thread().enable_all().build();
    made.map_err(|error| Trouble::Standing(State::Unusable, format!("no runtime: {error}")))
}

/// Does a piece of work that writes, within its time.
fn work<T>(
    fleet: &Fleet,
    name: &'static str,
    work: impl AsyncFnOnce(&mut Client) -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    let working = async {
        let mut client = fleet.open_as_it_is(true).await?;
        work(&mut client).await
    };
    let limited = async {
        let answer = tokio::time::timeout(WORK, working).await;
        answer.unwrap_or_else(|_| Err(trouble::late(name)))
    };
    runtime()?.block_on(limited)
}

/// Bounds that hold in a transaction, as statements.
fn bounds() -> String {
    format!(
        "SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {}",
        STATEMENT.as_millis(),
        LOCK.as_millis()
    )
}

/// A value of a statement, and its type there.
type Value<'a> = (&'a (dyn ToSql + Sync), Type);

/// Asks one thing in a transaction; the first row.
async fn first(
    part: &Transaction<'_>,
    sql: &str,
    values: &[Value<'_>],
) -> Result<Option<tokio_postgres::Row>, Trouble> {
    Ok(part.query_typed(sql, values).await?.into_iter().next())
}

/// Asks one thing within bounds, which hold in a transaction only.
async fn ask(
    client: &mut Client,
    sql: &str,
    values: &[Value<'_>],
) -> Result<Vec<tokio_postgres::Row>, Trouble> {
    let part = client.transaction().await?;
    part.batch_execute(&bounds()).await?;
    let rows = part.query_typed(sql, values).await?;
    part.commit().await?;
    Ok(rows)
}

/// A text that every index takes: without zero bytes, and not too long.
fn short(text: &str, most: usize) -> String {
    let end = (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text[..end.unwrap_or(0)].replace('\0', "")
}

/// The number of a fingerprint; 0 is that of all shapes that have none.
fn number(fingerprint: &[u8]) -> u128 {
    fingerprint.try_into().map_or(0, u128::from_be_bytes)
}

fn long(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let fleet =
            Fleet::of("postgres://watch:xSECRETx@h1,h2:5433/history?sslmode=prefer").expect("a good URL");
        assert_eq!(fleet.to_string(), "postgres://watch@h1:5432,h2:5433/history");
        assert!(!format!("{fleet:?}").contains("SECRET"));
        for bad in [
            "postgres://watch:xSECRETx@h1",
            "postgres://h1/history",
            "mysql://watch:xSECRETx@h1/a",
            "postgres://watch:xSECRETx@h1:port/a",
        ] {
            let reason = Fleet::of(bad).expect_err(bad);
            assert!(!reason.contains("SECRET"), "{reason}");
        }
    }

    #[test]
    fn names_are_cut_between_characters() {
        assert_eq!(short("a\0bä", 3), "ab");
        assert_eq!(short("a\0bä", 5), "abä");
    }
}
