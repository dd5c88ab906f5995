//! SHOW: tables with PgBouncer's columns. What pgweir does not know is NULL; what it does not have is 0.

mod config;
mod stats;

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use super::command::{EXPLAIN, syntax};
use super::table::{Cell, Table, row};
use super::{Admin, Snapshot, advice, cache, nodes, off, rules, statements};
use crate::config::settings::{Host, PoolMode};
use crate::runtime::worker::ClientReport;
use crate::session::login::mode_name;
use crate::session::replication::Replication;
use crate::stats::PIN_REASONS;
use crate::wire::{Fault, emit};

/// Columns of CLIENTS and SERVERS.
const CONNECTION: &str = "type user database replication state addr port# local_addr local_port# connect_time \
    request_time wait# wait_us# close_needed# ptr link remote_pid# tls application_name prepared_statements# id#";

/// What is shown, and how its table is made.
type Show = (&'static str, fn(&Admin, &Snapshot) -> Table);

/// What can be shown, and how.
const SHOWS: &[Show] = &[
    ("VERSION", |_, _| Table::new("version").with([row![concat!("pgweir ", env!("CARGO_PKG_VERSION"))]])),
    ("POOLS", |_, all| pools(all)),
    ("CLIENTS", |_, all| clients(all)),
    ("SERVERS", |_, all| servers(all)),
    ("DATABASES", databases),
    ("USERS", |_, all| users(all)),
    ("NODES", |_, all| nodes::table(&all.clusters)),
    ("RULES", |_, all| rules::table(&all.rules)),
    ("CACHE", |_, all| cache::table(&all.cache)),
    ("STORE", |_, all| statements::store(&all.history)),
    (ADVICE, |admin, _| advice::advice(admin)),
    ("STATS", stats::stats),
    ("STATS_TOTALS", |_, all| stats::totals_by_database(all)),
    ("STATS_AVERAGES", stats::averages_by_database),
    ("TOTALS", stats::totals),
    ("PINS", |_, all| pins(all)),
    ("LISTS", |_, all| lists(all)),
    ("CONFIG", |_, all| config::config(&all.directory.settings)),
    ("MEM", |_, all| memory(all)),
    ("STATE", |admin, _| state(admin)),
];

/// What is shown behind a word on what is switched off.
const ADVICE: &str = "ADVICE";

/// What is shown of what was gathered for it.
const STATEMENTS: &str = "STATEMENTS";

/// Commands other than SHOW of what there is, for the help.
const COMMANDS: [&str; 17] = [
    "SHOW STATEMENTS",
    EXPLAIN,
    "SHOW CACHE ENTRIES [n [from]]",
    "CACHE FLUSH [[schema.]table]",
    "CACHE BARRIER",
    "PAUSE [db]",
    "RESUME [db]",
    "RECONNECT [db]",
    "WAIT_CLOSE [db]",
    "KILL [db]",
    "KILL_CLIENT id",
    "DISABLE db",
    "ENABLE db",
    "MARK 'what was deployed'",
    "RELOAD",
    "SHUTDOWN",
    "SHUTDOWN WAIT_FOR_SERVERS|WAIT_FOR_CLIENTS",
];

/// Answers SHOW `what`, which is in upper case.
///
/// # Errors
/// 42601 when there is no such thing.
pub async fn show(admin: &Admin, what: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
    if what == "HELP" {
        help(out);
        return Ok(());
    }
    if what == STATEMENTS {
        off::told_of_statements(admin).iter().for_each(|notice| notice.emit(out));
        admin.history.look(statements::statements).await.emit(out);
        return Ok(());
    }
    let known = SHOWS.iter().find(|(name, _)| *name == what);
    let (name, table) = known.ok_or_else(|| syntax(format!("there is no SHOW {what}")))?;
    if *name == ADVICE {
        off::told_of_advice(admin).iter().for_each(|notice| notice.emit(out));
    }
    table(admin, &admin.snapshot().await).emit(out);
    Ok(())
}

fn help(out: &mut Vec<u8>) {
    let names: Vec<_> = SHOWS.iter().map(|(name, _)| *name).collect();
    let detail = format!("\n\tSHOW HELP|{}\n\t{}", names.join("|"), COMMANDS.join("\n\t"));
    // Told as a notice, as PgBouncer does.
    let mut notice = Fault::warning("00000", "console usage").detail(detail).frame();
    out.append(&mut notice);
    emit::command_complete(out, "SHOW");
}

fn pools(all: &Snapshot) -> Table {
    let columns = "database user cl_active# cl_waiting# cl_active_cancel_req# cl_waiting_cancel_req# sv_active# \
        sv_active_cancel# sv_being_canceled# sv_idle# sv_used# sv_tested# sv_login# maxwait# maxwait_us# pool_mode \
        load_balance_hosts";
    let row = |((database, user), pool): (&(String, String), &super::snapshot::PoolView)| {
        let report = &pool.report;
        let active = pool.clients.saturating_sub(report.waiting);
        let mode = pool.target.as_ref().map(|target| mode_name(target.pool.mode));
        let (seconds, micros) = split(report.max_wait);
        row![
            database,
            user,
            active,
            report.waiting,
            0u64,
            0u64,
            report.leased + pool.replicating,
            0u64,
            report.cancelling,
            report.idle,
            0u64,
            0u64,
            report.connecting,
            seconds,
            micros,
            mode,
            Cell::Null,
        ]
    };
    Table::new(columns).with(all.pools.iter().map(row))
}

fn split(time: Duration) -> (u64, u64) {
    (time.as_secs(), time.subsec_micros().into())
}

fn since(age: Duration) -> Cell {
    Cell::from(SystemTime::now() - age)
}

fn pointer(kind: char, pid: i32) -> String {
    format!("{kind}{pid:x}")
}

/// As PgBouncer names it.
fn replication(client: &ClientReport) -> &'static str {
    match client.replication {
        None => "none",
        Some(Replication::Logical) => "logical",
        Some(Replication::Physical) => "physical",
    }
}

fn clients(all: &Snapshot) -> Table {
    let row = |client: &ClientReport| {
        let state = match (&client.server, client.waiting) {
            (_, true) => "waiting",
            (Some(_), _) => "active",
            (None, _) => "idle",
        };
        let (address, port) = match client.peer.rsplit_once(':') {
            Some((address, port)) => (address.trim_matches(['[', ']']), port.parse::<u16>().ok()),
            None => (client.peer.as_str(), None),
        };
        let link = client.server.as_ref().map(|(pid, ..)| pointer('s', *pid));
        row![
            "C",
            &client.user,
            &client.database,
            replication(client),
            state,
            address,
            port,
            Cell::Null,
            Cell::Null,
            since(client.age),
            Cell::Null,
            0u64,
            0u64,
            0u64,
            pointer('c', client.pid),
            link,
            0u64,
            "",
            &client.application,
            Cell::Null,
            client.pid,
        ]
    };
    Table::new(CONNECTION).with(all.clients.iter().map(row))
}

pub(super) fn place(host: &Host) -> (String, u16) {
    match host {
        Host::Tcp(name, port) => (name.clone(), *port),
        Host::Unix(folder, port) => (folder.display().to_string(), *port),
    }
}

fn servers(all: &Snapshot) -> Table {
    let mut table = Table::new(CONNECTION);
    let mut add = |user: &str,
                   database: &str,
                   state: &str,
                   server: (i32, &Host, Duration),
                   link: Option<&ClientReport>,
                   prepared: Option<usize>| {
        let (pid, host, age) = server;
        let (address, port) = place(host);
        let application = link.map_or("", |client| client.application.as_str());
        let kind = link.map_or("none", replication);
        let link = link.map(|client| pointer('c', client.pid));
        table.rows.push(row![
            "S",
            user,
            database,
            kind,
            state,
            address,
            port,
            Cell::Null,
            Cell::Null,
            since(age),
            Cell::Null,
            0u64,
            0u64,
            0u64,
            pointer('s', pid),
            link,
            pid,
            "",
            application,
            prepared,
            pid,
        ]);
    };
    for client in &all.clients {
        if let Some((pid, host, age)) = &client.server {
            add(&client.user, &client.database, "active", (*pid, host, *age), Some(client), None);
        }
    }
    for ((database, user), pool) in &all.pools {
        for server in &pool.report.servers {
            let state = if server.cancelling { "being_canceled" } else { "idle" };
            add(user, database, state, (server.pid, &server.host, server.age), None, Some(server.prepared));
        }
    }
    table
}

fn databases(admin: &Admin, all: &Snapshot) -> Table {
    let columns = "name host port# database force_user pool_size# min_pool_size# reserve_pool_size# server_lifetime# \
        pool_mode load_balance_hosts max_connections# current_connections# max_client_connections# \
        current_client_connections# paused# disabled#";
    let settings = &all.directory.settings;
    let names = settings.databases.keys().filter(|name| *name != "*");
    let names: BTreeSet<_> = names.chain(all.pools.keys().map(|(database, _)| database)).collect();
    let disabled = admin.entrance.disabled();
    let row = |name: &String| {
        let database = all.directory.database(name)?;
        let (hosts, ports): (Vec<_>, Vec<_>) = database.hosts.iter().map(place).unzip();
        let paused = admin.paused().holds(name);
        let pool = &database.pool;
        Some(row![
            name,
            hosts.join(","),
            ports.first().copied(),
            database.server_database.as_ref().unwrap_or(name),
            database.server_user.as_ref(),
            pool.size,
            pool.min_idle,
            0u64,
            pool.lifetime.as_secs(),
            mode_name(pool.mode),
            Cell::Null,
            0u64,
            all.servers(|known, _| known == name),
            0u64,
            all.sessions(|known, _| known == name),
            paused,
            disabled.contains(name),
        ])
    };
    Table::new(columns).with(names.into_iter().filter_map(row))
}

fn users(all: &Snapshot) -> Table {
    let columns = "name pool_size# reserve_pool_size# pool_mode max_user_connections# current_connections# \
        max_user_client_connections# current_client_connections#";
    let settings = &all.directory.settings;
    let names: BTreeSet<_> = settings.users.keys().chain(all.pools.keys().map(|(_, user)| user)).collect();
    let row = |name: &String| {
        let user = settings.users.get(name);
        let mode = user.and_then(|user| user.pool_mode).map(|mode: PoolMode| mode_name(mode));
        row![
            name,
            user.and_then(|user| user.pool_size),
            Cell::Null,
            mode,
            0u64,
            all.servers(|_, known| known == name),
            user.and_then(|user| user.max_clients).unwrap_or(0),
            all.sessions(|_, known| known == name),
        ]
    };
    Table::new(columns).with(names.into_iter().map(row))
}

/// Not PgBouncer's: how often sessions began to keep their server, and why.
fn pins(all: &Snapshot) -> Table {
    let rows = all.pools.iter().flat_map(|((database, user), pool)| {
        let reasons = PIN_REASONS.iter().zip(pool.totals.pins);
        reasons.map(move |(reason, count)| row![database, user, *reason, count])
    });
    Table::new("database user reason count#").with(rows)
}

fn lists(all: &Snapshot) -> Table {
    let process = &all.process;
    let servers = all.servers(|_, _| true);
    let settings = &all.directory.settings;
    let users: BTreeSet<_> = settings.users.keys().chain(all.pools.keys().map(|(_, user)| user)).collect();
    let named = settings.databases.keys().filter(|name| *name != "*");
    let databases: BTreeSet<_> = named.chain(all.pools.keys().map(|(name, _)| name)).collect();
    let items = [
        ("databases", databases.len()),
        ("users", users.len()),
        ("pools", all.pools.len()),
        ("free_clients", 0),
        ("used_clients", all.clients.len()),
        ("login_clients", process.logins.0),
        ("free_servers", 0),
        ("used_servers", servers),
        ("dns_names", 0),
        ("dns_zones", 0),
        ("dns_queries", 0),
        ("dns_pending", 0),
    ];
    Table::new("list items#").with(items.map(|(name, count)| row![name, count]))
}

fn memory(all: &Snapshot) -> Table {
    let memory = all.process.memory;
    Table::new("name size# used# free# memtotal#").with([row!["process", memory, 1u64, 0u64, memory]])
}

fn state(admin: &Admin) -> Table {
    let paused = admin.paused().is_all();
    let word = |yes: bool| if yes { "yes" } else { "no" };
    let rows = [("active", !paused), ("paused", paused), ("suspended", false)];
    Table::new("key value").with(rows.map(|(key, yes)| row![key, word(yes)]))
}
