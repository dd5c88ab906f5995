//! Builds everything from the settings; starts, reloads, drains, stops.

mod log;
mod servers;

use std::collections::HashMap;
use std::io::{IsTerminal as _, Write as _};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use log::{SetLevel, log, tell_notes};
pub use servers::Servers;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use crate::admin::{self, Admin, Demand, Wait};
use crate::auth::scram::MockSecret;
use crate::cli::printed::complain;
use crate::cli::{RunArgs, cannot_listen};
use crate::config::{self, ConfigError, Loaded, Sources};
use crate::control::Control;
use crate::control::advising::Advising;
use crate::control::caching::Streams;
use crate::control::history::History;
use crate::pool::budget::Budget;
use crate::rules::Problem;
use crate::runtime::acceptor::{self, Door, Entrance, UnixPath};
use crate::runtime::peers::{self, Peers};
use crate::runtime::rules::{self, InForce};
use crate::runtime::worker::{self, KillOrder, Order, PoolOrder};
use crate::runtime::{Shared, beat, files};
use crate::session::directory::Directory;
use crate::stats::DoorStats;

/// Runs the proxy until it is told to stop; prints `greeting` when it listens.
pub fn start(arguments: RunArgs, loaded: Loaded, greeting: &[String]) -> ExitCode {
    let set_level = log(&loaded.settings);
    let rules = arguments.rules.as_deref().map(|folder| rules::read(folder, &loaded.settings));
    let rules = match rules.transpose() {
        Ok(rules) => rules.map(InForce::new),
        Err(problems) => {
            problems.iter().for_each(|problem| complain!("{problem}"));
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(4).build();
    let result = runtime
        .context("cannot start")
        .and_then(|runtime| runtime.block_on(run(&arguments, (loaded, rules), set_level, greeting)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain!("pgweir: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(
    arguments: &RunArgs,
    (mut loaded, rules): (Loaded, Option<InForce>),
    set_level: SetLevel,
    greeting: &[String],
) -> anyhow::Result<()> {
    files::fit_limits(&mut loaded);
    let mut app = App::build(arguments, (loaded, rules), set_level)?;
    // Whoever sees that it listens may send one.
    let signals = Signals::caught()?;
    app.open(arguments.reuse_port)?;
    // Whoever started it need not listen.
    greeting.iter().for_each(|line| drop(writeln!(std::io::stdout(), "{line}")));
    app.until_stopped(signals).await
}

/// How often it is looked whether clients have gone.
const STEP: Duration = Duration::from_millis(20);

/// How a socket came to be listened on, in the log.
const LISTENING: &str = "listening";
const TAKEN_OVER: &str = "taken over";
struct App {
    set_level: SetLevel,
    entrance: Arc<Entrance>,
    sources: Sources,
    /// Where rule files are.
    rules: Option<PathBuf>,
    /// Removed in the end.
    unix_path: Option<UnixPath>,
    shared: Arc<Shared>,
    admin: Arc<Admin>,
    demands: mpsc::UnboundedReceiver<Demand>,
    control: Mutex<Control>,
    /// They tell caches what was changed.
    streams: Streams,
    history: Arc<History>,
    advising: Arc<Advising>,
    hangup: Hangup,
}

impl App {
    fn build(
        arguments: &RunArgs,
        (loaded, rules): (Loaded, Option<InForce>),
        set_level: SetLevel,
    ) -> anyhow::Result<App> {
        let Loaded { settings, origins, notes } = loaded;
        tell_notes(&notes);
        let limits = Arc::new(settings.limits.clone());
        let (shared, wanted) = Shared::new(&limits, rules);
        let (beats, timers) = beat::start(settings.workers.max(1)).context("cannot start a thread")?;
        let started: Result<Vec<_>, _> = (0..)
            .zip(beats)
            .map(|(index, beat)| worker::start(index, shared.clone(), limits.clone(), (beat, timers.clone())))
            .collect();
        // Their threads end with the process.
        let (workers, _threads): (Vec<_>, Vec<_>) =
            started.context("cannot start a worker")?.into_iter().unzip();
        let mock = MockSecret::random().context("no randomness")?;
        let directory = Directory::new(settings, mock)
            .map_err(|unready| origins.error(unready.setting(), unready.to_string()))?;
        let address = directory.settings.listen.first().filter(|_| arguments.reuse_port);
        let peers = address.map(|address| Peers::of(*address).map(Arc::new)).transpose()?;
        let (console, clients) = mpsc::unbounded_channel();
        let entrance = Entrance {
            directory: RwLock::new(Arc::new(directory)),
            unauthenticated: Budget::new(limits.max_unauthenticated),
            clients: Budget::new(limits.max_clients),
            turned_away: Budget::new(acceptor::MAX_TURNED_AWAY),
            peers,
            control: Handle::current(),
            workers,
            stats: DoorStats::default(),
            draining: AtomicBool::new(false),
            beating: AtomicBool::new(false),
            disabled: Mutex::default(),
            console,
        };
        let entrance = Arc::new(entrance);
        let (demand, demands) = mpsc::unbounded_channel();
        let history = History::start(&entrance.directory().settings, entrance.workers.clone());
        let advising = Advising::start(entrance.clone(), history.clone());
        let kept = (history.clone(), advising.clone());
        let admin = Admin::new(entrance.clone(), shared.clone(), demand, kept);
        tokio::spawn(admin::console::serve(admin.clone(), clients));
        let app = App {
            set_level,
            entrance,
            sources: arguments.sources(),
            rules: arguments.rules.clone(),
            unix_path: None,
            shared,
            admin,
            demands,
            control: Mutex::default(),
            streams: Streams::new(wanted),
            history,
            advising,
            hangup: Hangup::of(arguments),
        };
        app.watch_nodes();
        Ok(app)
    }

    /// Watches the nodes of the databases in force.
    fn watch_nodes(&self) {
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        control.watch(&self.entrance.directory(), &self.shared.clusters);
    }

    fn open(&mut self, reuse_port: bool) -> anyhow::Result<()> {
        let directory = self.entrance.directory();
        let settings = &directory.settings;
        let peers = self.entrance.peers.clone();
        let mut taken: HashMap<_, _> = peers.iter().flat_map(|peers| peers.take_over()).collect();
        for address in &settings.listen {
            let name = address.to_string();
            let (listener, how) = match taken.remove(&name) {
                Some(socket) => (acceptor::adopt(socket), TAKEN_OVER),
                None => (acceptor::bind(*address, reuse_port), LISTENING),
            };
            let listener = listener.with_context(|| cannot_listen(&name))?;
            tracing::info!(address = name, "{how}");
            self.offer(name, &listener)?;
            self.entrance.open(Door::Tcp(listener));
        }
        if let Some(folder) = &settings.unix_socket_dir {
            let port = settings.listen.first().map_or(6432, |address| address.port());
            let path = folder.join(format!(".s.PGSQL.{port}"));
            let name = path.display().to_string();
            let (listener, how) = match taken.remove(&name) {
                Some(socket) => (acceptor::adopt_unix(socket), TAKEN_OVER),
                None => (acceptor::bind_unix(&path), LISTENING),
            };
            let listener = listener.with_context(|| cannot_listen(&name))?;
            tracing::info!(address = name, "{how}");
            self.offer(name, &listener)?;
            self.entrance.open(Door::Unix(listener));
            self.unix_path = Some(UnixPath::new(path, peers.clone()));
        }
        if let Some(address) = settings.http_listen {
            tokio::spawn(admin::http::serve(self.admin.clone(), address, reuse_port));
        }
        peers.map_or(Ok(()), |peers| peers::serve(self.entrance.clone(), peers))?;
        Ok(())
    }

    /// Keeps a listening socket for a process that takes over.
    fn offer(&self, name: String, listener: &impl AsFd) -> std::io::Result<()> {
        if let Some(peers) = &self.entrance.peers {
            peers.offer(name, listener.as_fd().try_clone_to_owned()?);
        }
        Ok(())
    }

    async fn until_stopped(mut self, signals: Signals) -> anyhow::Result<()> {
        let Signals { mut hangup, mut interrupt, mut terminate, mut quit, mut pause, mut resume } = signals;
        let mut clients_first = false;
        // Whoever asked by the console is answered when newcomers are turned away.
        let mut begun = None;
        loop {
            tokio::select! {
                wanted = self.streams.wanted() => self.streams.begin(&wanted, &self.entrance.directory(), &self.shared.caches),
                _ = hangup.recv() => {
                    if self.hangup.ends() {
                        break;
                    }
                    drop(self.reload());
                }
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                _ = quit.recv() => return self.stop().await,
                _ = pause.recv() => self.admin.order_all(PoolOrder::Pause),
                _ = resume.recv() => self.admin.order_all(PoolOrder::Resume),
                Some(demand) = self.demands.recv() => match demand {
                    Demand::Reload(answer) => drop(answer.send(self.reload())),
                    Demand::Stop(Wait::No, _) => return self.stop().await,
                    Demand::Stop(wait, asked) => {
                        clients_first = wait == Wait::Clients;
                        begun = Some(asked);
                        break;
                    }
                },
            }
        }
        let demands = std::mem::replace(&mut self.demands, mpsc::unbounded_channel().1);
        let mut hurry = Hurry { signals: [interrupt, terminate, quit], demands };
        if clients_first {
            self.entrance.draining.store(true, Ordering::Relaxed);
            drop(begun.take());
            tracing::info!("stopping: waiting for clients to leave; a signal ends this wait");
            while self.entrance.clients.used() > 0 {
                tokio::select! {
                    () = tokio::time::sleep(STEP) => {}
                    () = hurry.asked() => break,
                }
            }
        }
        self.drain(&mut hurry, begun).await
    }

    /// Reads settings and rule files again; gives what can be changed by a restart only, and is not what it should be. What is wrong is
    /// logged and told, and nothing changes.
    fn reload(&mut self) -> Result<Vec<String>, Vec<String>> {
        let done = self.read_again();
        self.shared.reloads[usize::from(done.is_err())].add(1);
        done
    }

    fn read_again(&mut self) -> Result<Vec<String>, Vec<String>> {
        let refused = |errors: Vec<ConfigError>| {
            errors.iter().for_each(|error| tracing::error!(%error, "settings not reloaded"));
            errors.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let mut loaded = config::load_with_origins(&self.sources).map_err(refused)?;
        files::fit_limits(&mut loaded);
        let Loaded { mut settings, origins, notes } = loaded;
        let unsound = |problems: Vec<Problem>| {
            problems.iter().for_each(|error| tracing::error!(%error, "rules not reloaded"));
            problems.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        tell_notes(&notes);
        let rules = self.rules.as_deref().map(|folder| rules::read(folder, &settings));
        let rules = rules.transpose().map_err(unsound)?;
        let waiting = config::keep_until_restart(&mut settings, &self.entrance.directory().settings);
        let waiting: Vec<_> =
            waiting.iter().map(|key| format!("`{key}` is changed by a restart only")).collect();
        waiting.iter().for_each(|text| tracing::warn!("{text}"));
        (self.set_level)(log::filter(&settings.log.level));
        let random = |_| vec!["no randomness".to_owned()];
        let mock = MockSecret::random().map_err(random)?;
        let mut directory = Directory::new(settings, mock)
            .map_err(|unready| refused(vec![origins.error(unready.setting(), unready.to_string())]))?;
        directory.inherit(&self.entrance.directory());
        let limits = Arc::new(directory.settings.limits.clone());
        self.entrance.clients.set_limit(limits.max_clients);
        self.entrance.unauthenticated.set_limit(limits.max_unauthenticated);
        self.shared.servers.set_limit(limits.max_servers);
        self.shared.replication.set_limit(limits.max_replication);
        rules.into_iter().for_each(|rules| self.shared.take_rules(rules));
        let targets = directory.targets_like(&self.entrance.directory());
        self.entrance.set_directory(Arc::new(directory));
        for worker in &self.entrance.workers {
            worker.send(Order::Reload(limits.clone(), targets.clone()));
        }
        self.history.reload(&self.entrance.directory().settings);
        self.advising.reload();
        self.watch_nodes();
        self.streams.follow(&self.entrance.directory(), &self.shared.caches);
        tracing::info!("settings reloaded");
        Ok(waiting)
    }

    /// Ends every session now.
    async fn stop(&mut self) -> anyhow::Result<()> {
        self.entrance.draining.store(true, Ordering::Relaxed);
        self.entrance.workers.iter().for_each(|worker| worker.send(Order::Kill(KillOrder::All)));
        let until = Instant::now() + Duration::from_secs(1);
        while self.sessions() > 0 && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.streams.stop().await;
        self.history.stop().await;
        tracing::info!("stopped");
        Ok(())
    }

    fn sessions(&self) -> usize {
        self.entrance.workers.iter().map(|worker| worker.sessions()).sum()
    }

    /// Lets transactions end, for as long as the settings say or until interrupted once more. `begun` is dropped when newcomers are turned away.
    async fn drain(&mut self, hurry: &mut Hurry, begun: Option<oneshot::Sender<()>>) -> anyhow::Result<()> {
        let patience = self.entrance.directory().settings.limits.drain_timeout;
        let until = Instant::now() + patience;
        let mut gently = self.leave_the_door().await;
        self.entrance.draining.store(true, Ordering::Relaxed);
        drop(begun);
        let taken_over = gently;
        self.order(|| if taken_over { Order::Retire } else { Order::Drain });
        tracing::info!(
            ?patience,
            gently,
            "stopping: waiting for transactions to end; another signal stops at once"
        );
        while self.busy(taken_over) && Instant::now() < until {
            tokio::select! {
                () = tokio::time::sleep(STEP) => {}
                () = hurry.asked() => break,
            }
            if gently && Instant::now() + patience / 2 >= until {
                gently = false;
                self.order(|| Order::Drain);
            }
        }
        // Whoever is left is told.
        self.stop().await
    }

    /// Stops accepting if another process accepts on the same sockets; says whether one does.
    async fn leave_the_door(&self) -> bool {
        let Some(peers) = self.entrance.peers.as_ref().filter(|peers| peers.any()) else { return false };
        peers.withdraw();
        self.entrance.close().await;
        true
    }

    fn order(&self, order: impl Fn() -> Order) {
        self.entrance.workers.iter().for_each(|worker| worker.send(order()));
    }

    /// Whether there is a session; where nobody is to notice the stop, also one that has still to log in.
    fn busy(&self, taken_over: bool) -> bool {
        let logins = self.entrance.clients.used() + self.entrance.unauthenticated.used();
        self.sessions() > 0 || taken_over && logins > 0
    }
}

/// What SIGHUP means: read the settings again, or end, since nobody is there any more.
struct Hangup {
    /// The server goes with this process, and there is nothing to read again.
    throw_away: bool,
    /// It was started in a terminal.
    terminal: bool,
}

impl Hangup {
    fn of(arguments: &RunArgs) -> Hangup {
        let has_files = arguments.config.is_some() || arguments.rules.is_some();
        Hangup { throw_away: arguments.throw_away && !has_files, terminal: std::io::stdin().is_terminal() }
    }

    /// A terminal that was closed is one no more; what has none from the start (a service, `nohup`) is not ended so.
    fn ends(&self) -> bool {
        self.throw_away || self.terminal && !std::io::stdin().is_terminal()
    }
}

/// The signals that mean something, from the moment on that they are caught.
struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
    quit: Signal,
    pause: Signal,
    resume: Signal,
}

impl Signals {
    fn caught() -> std::io::Result<Signals> {
        Ok(Signals {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            pause: signal(SignalKind::user_defined1())?,
            resume: signal(SignalKind::user_defined2())?,
        })
    }
}

/// Whoever asks a process that is stopping for more.
struct Hurry {
    signals: [Signal; 3],
    demands: mpsc::UnboundedReceiver<Demand>,
}

impl Hurry {
    /// Returns when it is to stop at once: at another signal, or a SHUTDOWN on the console.
    async fn asked(&mut self) {
        let [interrupt, terminate, quit] = &mut self.signals;
        loop {
            tokio::select! {
                _ = interrupt.recv() => return,
                _ = terminate.recv() => return,
                _ = quit.recv() => return,
                Some(demand) = self.demands.recv() => match demand {
                    Demand::Reload(answer) => drop(answer.send(Err(vec!["pgweir is stopping".to_owned()]))),
                    Demand::Stop(Wait::No, _) => return,
                    Demand::Stop(..) => {}
                },
            }
        }
    }
}
