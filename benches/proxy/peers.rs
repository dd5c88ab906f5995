//! What is compared: PostgreSQL itself, and each proxy in front of it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{bail, ensure};

use crate::cache::{pgpool, redis};
use crate::lab::{Lab, Process, free_address};

/// The one user, superuser of the server.
pub const USER: &str = "bench";
/// Its password: nothing here outlives the run, or is reachable from elsewhere.
pub const PASSWORD: &str = "not-a-secret";
/// The one database.
pub const DATABASE: &str = "bench";
/// Servers in each pool.
pub const POOL: usize = 16;
/// haproxy connects one to one, so PostgreSQL must bear as many clients as pgbench opens.
const MAX_CONNECTIONS: usize = 700;

/// Something that pgbench can connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Direct,
    Pgbouncer,
    Haproxy,
    Pgweir,
    /// pgweir with rules.
    Ruled,
    /// pgweir with replicas.
    Spread,
    /// pgweir with both.
    Routed,
    /// pgpool-II with its cache.
    Pgpool,
    /// Redis, for what an answer out of memory costs.
    Redis,
    /// pgweir with its cache at the level `session`.
    Session,
    /// pgweir with its cache at the level `strict`.
    Strict,
}

impl Kind {
    pub fn parse(name: &str) -> anyhow::Result<Self> {
        let all = [Self::Direct, Self::Pgbouncer, Self::Haproxy, Self::Pgweir];
        match all.into_iter().find(|kind| kind.name() == name) {
            Some(kind) => Ok(kind),
            None => bail!("unknown proxy '{name}'; known: direct, pgbouncer, haproxy, pgweir"),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Pgbouncer => "pgbouncer",
            Self::Haproxy => "haproxy",
            Self::Pgweir => "pgweir",
            Self::Ruled => "rules",
            Self::Spread => "replicas",
            Self::Routed => "routed",
            Self::Pgpool => "pgpool",
            Self::Redis => "redis",
            Self::Session => "session",
            Self::Strict => "strict",
        }
    }

    /// Whether named prepared statements work: pgbouncer before 1.21 does not know them in transaction mode.
    pub fn prepares(self) -> bool {
        self != Self::Pgbouncer
    }

    /// Whether replicas read for it.
    pub fn spreads(self) -> bool {
        matches!(self, Self::Spread | Self::Routed)
    }

    /// Whether it authenticates clients by itself, and holds them without a server each.
    pub fn logs_in(self) -> bool {
        matches!(self, Self::Pgbouncer | Self::Pgweir)
    }
}

/// One of them, running.
pub struct Peer {
    pub kind: Kind,
    pub address: SocketAddr,
    /// `None` for the server itself, whose cost is not asked for.
    pub process: Option<Process>,
}

/// A PostgreSQL that asks for SCRAM, with the tables of pgbench at scale 1. Its data are in the folder `data`; `settings` as in `name=value`.
pub fn start_server(
    lab: &Lab,
    data: &str,
    address: SocketAddr,
    settings: &[&str],
) -> anyhow::Result<Process> {
    lab.write("password", PASSWORD)?;
    let mut initdb = lab.command(lab.bin.join("initdb"));
    initdb.args([
        "-D",
        data,
        "-U",
        USER,
        "--pwfile=password",
        "-A",
        "scram-sha-256",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
    ]);
    initdb.arg("--no-sync");
    lab.complete(initdb)?;
    let mut server = postgres(lab, data, address);
    server.args(settings.iter().flat_map(|setting| ["-c", setting]));
    let process = lab.serve(&format!("postgres-{data}"), address, server)?;
    wait_started(lab, || {
        let mut createdb = client_command(lab, "createdb", address);
        createdb.arg(DATABASE);
        createdb
    })?;
    let mut pgbench = client_command(lab, "pgbench", address);
    pgbench.args(["-i", "-q", "-s", "1", DATABASE]);
    lab.complete(pgbench)?;
    Ok(process)
}

/// A server of the data in that folder.
pub fn postgres(lab: &Lab, data: &str, address: SocketAddr) -> Command {
    let mut postgres = lab.command(lab.bin.join("postgres"));
    postgres.args(["-D", data, "-p", &address.port().to_string(), "-k", ""]);
    for setting in ["listen_addresses=127.0.0.1", "fsync=off", &format!("max_connections={MAX_CONNECTIONS}")]
    {
        postgres.args(["-c", setting]);
    }
    postgres
}

/// The port answers a little before the server lets anyone in.
pub fn wait_started(lab: &Lab, first: impl Fn() -> Command) -> anyhow::Result<()> {
    for _ in 0..50 {
        let output = first().output()?;
        if output.status.success() {
            return Ok(());
        }
        let reason = String::from_utf8_lossy(&output.stderr).into_owned();
        let is_on_its_way =
            ["starting up", "not yet accepting connections"].iter().any(|words| reason.contains(words));
        ensure!(is_on_its_way, "{:?}: {reason}", first());
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    bail!("PostgreSQL does not finish starting; see the logs in {}", lab.folder.display())
}

/// A client program of PostgreSQL, pointed at `address` without TLS.
pub fn client_command(lab: &Lab, program: &str, address: SocketAddr) -> Command {
    pointed(Command::new(lab.bin.join(program)), address)
}

/// Points a client program of PostgreSQL at `address`, without TLS.
pub fn pointed(mut command: Command, address: SocketAddr) -> Command {
    command.env("PGPASSWORD", PASSWORD).env("PGSSLMODE", "disable").env("PGGSSENCMODE", "disable");
    command.args(["-h", "127.0.0.1", "-p", &address.port().to_string(), "-U", USER]);
    command
}

/// Starts one of them, in front of `server`.
pub fn start(lab: &Lab, kind: Kind, server: SocketAddr) -> anyhow::Result<Peer> {
    let address = if kind == Kind::Direct { server } else { free_address()? };
    let process = match kind {
        Kind::Direct => None,
        Kind::Pgbouncer => Some(start_pgbouncer(lab, address, server)?),
        Kind::Haproxy => Some(start_haproxy(lab, address, server)?),
        Kind::Pgpool => Some(pgpool::start(lab, address, server)?),
        Kind::Redis => Some(redis::start(lab, address)?),
        Kind::Pgweir | Kind::Ruled | Kind::Spread | Kind::Routed | Kind::Session | Kind::Strict => {
            let url = format!("postgres://{USER}:{PASSWORD}@{server}/{DATABASE}?pool_size={POOL}");
            Some(start_pgweir(lab, kind.name(), address, &[url])?)
        }
    };
    Ok(Peer { kind, address, process })
}

/// It gets the SCRAM verifier, as its manual advises: with the plain password it would derive the keys at each login.
fn start_pgbouncer(lab: &Lab, address: SocketAddr, server: SocketAddr) -> anyhow::Result<Process> {
    let mut psql = client_command(lab, "psql", server);
    psql.args([
        "-X",
        "-A",
        "-t",
        "-d",
        DATABASE,
        "-c",
        "SELECT rolpassword FROM pg_authid WHERE rolname = current_user",
    ]);
    let verifier = lab.complete(psql)?;
    lab.write("users.txt", &format!("\"{USER}\" \"{}\"\n", verifier.trim()))?;
    let settings = format!(
        "[databases]\n{DATABASE} = host=127.0.0.1 port={} dbname={DATABASE}\n\
         [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {}\nunix_socket_dir =\n\
         auth_type = scram-sha-256\nauth_file = {}\npool_mode = transaction\ndefault_pool_size = {POOL}\n\
         max_client_conn = 12000\nlog_connections = 0\nlog_disconnections = 0\n",
        server.port(),
        address.port(),
        lab.folder.join("users.txt").display(),
    );
    let file = lab.write("pgbouncer.ini", &settings)?;
    let mut pgbouncer = lab.command(program("pgbouncer"));
    pgbouncer.arg("-q").arg(file);
    lab.serve("pgbouncer", address, pgbouncer)
}

fn start_haproxy(lab: &Lab, address: SocketAddr, server: SocketAddr) -> anyhow::Result<Process> {
    let settings = format!(
        "global\n nbthread 1\n maxconn 2000\n\
         defaults\n mode tcp\n timeout connect 10s\n timeout client 1h\n timeout server 1h\n\
         listen postgres\n bind {address}\n server one {server}\n"
    );
    let file = lab.write("haproxy.cfg", &settings)?;
    let mut haproxy = lab.command(program("haproxy"));
    haproxy.arg("-db").arg("-f").arg(file);
    lab.serve("haproxy", address, haproxy)
}

/// A pgweir with these arguments.
pub fn start_pgweir(lab: &Lab, name: &str, address: SocketAddr, more: &[String]) -> anyhow::Result<Process> {
    let release = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release/pgweir");
    let program = std::env::var_os("BENCH_PGWEIR").map_or_else(release, PathBuf::from);
    ensure!(program.exists(), "{} is missing; run: cargo build --release", program.display());
    let mut pgweir = Command::new(program);
    pgweir.current_dir(&lab.folder).stdin(std::process::Stdio::null()).args([
        "run",
        "--listen",
        &address.to_string(),
    ]);
    pgweir.args(more);
    lab.serve(name, address, pgweir)
}

/// Debian keeps these outside of an ordinary user's PATH.
pub fn program(name: &str) -> String {
    let packaged = format!("/usr/sbin/{name}");
    if Path::new(&packaged).exists() { packaged } else { name.to_owned() }
}
