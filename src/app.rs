//! Builds everything from the settings; starts, reloads, drains, stops.

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::auth::scram::MockSecret;
use crate::cli::RunArgs;
use crate::config::settings::{Database, Host};
use crate::config::{self, Loaded, Settings, Sources};
use crate::pool::budget::Budget;
use crate::pool::connect;
use crate::runtime::acceptor::{self, Entrance};
use crate::runtime::worker::{self, Order, Shared};
use crate::session::directory::Directory;

/// Runs the proxy until it is told to stop.
pub fn start(arguments: RunArgs, loaded: Loaded) -> ExitCode {
    log(&loaded.settings);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(4).build();
    let result = runtime
        .context("cannot start")
        .and_then(|runtime| runtime.block_on(run(&arguments, loaded.settings)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pgweir: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn log(settings: &Settings) {
    let filter = tracing_subscriber::EnvFilter::new(&settings.log.level);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = if settings.log.json { builder.json().try_init() } else { builder.with_target(false).try_init() };
}

async fn run(arguments: &RunArgs, settings: Settings) -> anyhow::Result<()> {
    let app = App::build(arguments, settings)?;
    app.open(arguments.reuse_port)?;
    app.until_stopped().await
}

struct App {
    entrance: Arc<Entrance>,
    sources: Sources,
    threads: Vec<JoinHandle<()>>,
    shared: Arc<Shared>,
}

impl App {
    fn build(arguments: &RunArgs, settings: Settings) -> anyhow::Result<App> {
        let limits = Arc::new(settings.limits.clone());
        let shared =
            Arc::new(Shared { servers: Budget::new(limits.max_servers), pools: Mutex::new(HashMap::new()) });
        let started: Result<Vec<_>, _> = (0..settings.workers.max(1))
            .map(|index| worker::start(index, shared.clone(), limits.clone()))
            .collect();
        let (workers, threads): (Vec<_>, Vec<_>) =
            started.context("cannot start a worker")?.into_iter().unzip();
        let mock = MockSecret::random().context("no randomness")?;
        let directory = Directory::new(settings, mock)?;
        let (console, _inbox) = tokio::sync::mpsc::unbounded_channel();
        let entrance = Entrance {
            directory: RwLock::new(Arc::new(directory)),
            unauthenticated: Budget::new(limits.max_unauthenticated),
            clients: Budget::new(limits.max_clients),
            workers,
            console,
        };
        Ok(App { entrance: Arc::new(entrance), sources: arguments.sources(), threads, shared })
    }

    fn open(&self, reuse_port: bool) -> anyhow::Result<()> {
        let directory = self.entrance.directory();
        for address in &directory.settings.listen {
            let listener = acceptor::bind(*address, reuse_port)
                .with_context(|| format!("cannot listen on {address}"))?;
            tracing::info!(%address, "listening");
            tokio::spawn(acceptor::accept_tcp(self.entrance.clone(), listener));
        }
        if let Some(folder) = &directory.settings.unix_socket_dir {
            let port = directory.settings.listen.first().map_or(6432, |address| address.port());
            let door = acceptor::bind_unix(folder, port)
                .with_context(|| format!("cannot listen on {}/.s.PGSQL.{port}", folder.display()))?;
            tokio::spawn(acceptor::accept_unix(self.entrance.clone(), door));
        }
        Ok(())
    }

    async fn until_stopped(self) -> anyhow::Result<()> {
        let mut hangup = signal(SignalKind::hangup())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        loop {
            tokio::select! {
                _ = hangup.recv() => self.reload(),
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
            }
        }
        self.drain(&mut interrupt).await;
        Ok(())
    }

    /// Reads the settings again. What is wrong is logged, and nothing changes.
    fn reload(&self) {
        let settings = match config::load(&self.sources) {
            Ok(settings) => settings,
            Err(errors) => {
                errors.iter().for_each(|error| tracing::error!(%error, "settings not reloaded"));
                return;
            }
        };
        let Ok(mock) = MockSecret::random() else { return };
        let directory = match Directory::new(settings, mock) {
            Ok(directory) => directory,
            Err(error) => return tracing::error!(%error, "settings not reloaded"),
        };
        let limits = Arc::new(directory.settings.limits.clone());
        self.entrance.clients.set_limit(limits.max_clients);
        self.entrance.unauthenticated.set_limit(limits.max_unauthenticated);
        self.shared.servers.set_limit(limits.max_servers);
        let targets = directory.targets_like(&self.entrance.directory());
        self.entrance.set_directory(Arc::new(directory));
        for worker in &self.entrance.workers {
            worker.send(Order::Reload(limits.clone(), targets.clone()));
        }
        tracing::info!("settings reloaded");
    }

    /// Lets transactions end, for as long as the settings say or until interrupted once more.
    async fn drain(self, interrupt: &mut tokio::signal::unix::Signal) {
        let patience = self.entrance.directory().settings.limits.drain_timeout;
        let until = Instant::now() + patience;
        self.entrance.workers.iter().for_each(|worker| worker.send(Order::Drain));
        tracing::info!(?patience, "stopping: waiting for transactions to end");
        let sessions = || self.entrance.workers.iter().map(|worker| worker.sessions()).sum::<usize>();
        while sessions() > 0 && Instant::now() < until {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
                _ = interrupt.recv() => break,
            }
        }
        let _ = self.threads.len();
        tracing::info!("stopped");
    }
}

/// Logs in to a node of a database and says what it is.
///
/// # Errors
/// What went wrong, and whose fault it is.
pub async fn probe(settings: &Settings, database: &Database, host: &Host) -> Result<String, String> {
    let Some(user) = &database.probe_user else {
        return connect::open(host)
            .await
            .map(|_| "reachable; no user to log in as".to_owned())
            .map_err(|error| error.to_string());
    };
    let name = settings
        .databases
        .iter()
        .find(|(_, known)| *known == database)
        .map_or("postgres", |(name, _)| name.as_str());
    let name = if name == "*" { "postgres" } else { name };
    let mut alone = settings.clone();
    let mut single = database.clone();
    single.hosts = vec![host.clone()];
    alone.databases.insert(name.to_owned(), single);
    let mock = MockSecret::random().map_err(|error| error.to_string())?;
    let directory = Directory::new(alone, mock).map_err(|error| error.to_string())?;
    let target = directory.target(name, user).ok_or("no such database")?;
    let connected = connect::connect(&target).await.map_err(|fault| fault.to_string())?;
    let text =
        |name| connected.param(name).map_or("?".into(), |value| String::from_utf8_lossy(value).into_owned());
    let role = if connected.param("in_hot_standby") == Some(b"on") { "standby" } else { "primary" };
    Ok(format!("PostgreSQL {}, {role}", text("server_version")))
}
