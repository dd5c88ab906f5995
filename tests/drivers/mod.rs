//! Suites of real drivers, in transaction mode over a pool smaller than the number of clients.
//!
//! Every suite runs twice: directly at the server, which shows that the suite is right, and through pgweir.

mod asyncpg;
pub mod environment;
mod explained;
mod kept;
mod node_postgres;
mod pgbench;
mod psql;
mod psycopg;
mod replication;
mod sqlx;
mod tokio_postgres;

use std::process::Command;
use std::time::Duration;

use crate::harness::cluster::{APP, Cluster, Database, client_bin};
use crate::harness::command;
use crate::harness::direct_only;
use crate::harness::proxy::Proxy;

/// Servers of the pool.
const SERVERS: usize = 4;
/// Clients of a suite.
const CLIENTS: usize = 12;

/// Where a suite connects.
struct Target {
    host: String,
    port: u16,
    database: String,
}

impl Target {
    /// The connection string.
    fn url(&self) -> String {
        format!("postgres://{}:{}@{}:{}/{}", APP.0, APP.1, self.host, self.port, self.database)
    }

    /// A program of PostgreSQL that connects here.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(client_bin().join(name));
        self.environment(&mut command);
        command
    }

    /// The variables by which libpq and the suites find this place.
    fn environment(&self, command: &mut Command) {
        command
            .env("PGHOST", &self.host)
            .env("PGPORT", self.port.to_string())
            .env("PGDATABASE", &self.database)
            .env("PGUSER", APP.0)
            .env("PGPASSWORD", APP.1)
            .env("PGWEIR_TEST_CLIENTS", CLIENTS.to_string())
            .env("PSQLRC", "/dev/null")
            .env("LC_ALL", "C.UTF-8");
    }
}

/// Runs a suite directly and through pgweir, each in a database of its own.
fn directly_and_through_pgweir(suite: impl Fn(&Target)) {
    let cluster = Cluster::shared();
    let database = cluster.database();
    suite(&target(cluster.port, &database));
    drop(database);
    if direct_only() {
        return;
    }
    let database = cluster.database();
    let proxy = Proxy::start(&cluster.url(APP, &database.name, &format!("pool_size={SERVERS}")));
    suite(&target(proxy.addr.port(), &database));
}

fn target(port: u16, database: &Database<'_>) -> Target {
    Target { host: "127.0.0.1".into(), port, database: database.name.clone() }
}

/// Runs a program of a suite to its end, which must be a success.
fn run(command: &mut Command) -> String {
    command::run(command, Duration::from_secs(120)).success()
}

/// Runs a future with a deadline, on a runtime of its own.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime
        .block_on(async { tokio::time::timeout(Duration::from_secs(120), future).await })
        .expect("the suite ends in time")
}
