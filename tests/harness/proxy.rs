//! pgweir as users run it: a process with a connection string, a port and a log.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::cluster::free_port;
use super::command::{Folder, wait};
use super::eventually;
use super::raw::Endpoint;

const START_DEADLINE: Duration = Duration::from_secs(20);

/// How to start it.
#[derive(Debug, Clone, Default)]
pub struct ProxyOptions {
    /// The connection string; without it the settings file has everything.
    pub url: Option<String>,
    /// Lines of the settings file; `http` is off already, because its port can be used only once.
    pub config: String,
    /// More arguments.
    pub args: Vec<String>,
    /// Where it listens; a free port if nothing is said.
    pub addr: Option<SocketAddr>,
    /// A program that starts it, with its arguments: a tracer.
    pub under: Vec<String>,
    /// More environment variables.
    pub environment: Vec<(String, String)>,
}

impl ProxyOptions {
    /// A connection string and nothing else.
    pub fn url(url: &str) -> Self {
        Self { url: Some(url.into()), ..Self::default() }
    }

    /// More lines of the settings file.
    pub fn config(mut self, lines: &str) -> Self {
        self.config.push_str(lines);
        self
    }
}

/// A running pgweir; killed when dropped, and by the system if this process ends first.
pub struct Proxy {
    child: Child,
    /// Where it listens.
    pub addr: SocketAddr,
    dir: Folder,
}

impl Proxy {
    /// Starts it in front of a connection string.
    pub fn start(url: &str) -> Self {
        Self::start_with(&ProxyOptions { url: Some(url.into()), ..ProxyOptions::default() })
    }

    /// Starts it with any options, and waits until it accepts.
    pub fn start_with(options: &ProxyOptions) -> Self {
        let dir = Folder::new();
        let any = || SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let addr = options.addr.unwrap_or_else(any);
        let log = File::create(dir.0.join("log")).expect("a file can be made");
        let mut command = dying_with_us(&options.under, &program());
        command.args(["run", "--listen", &addr.to_string()]);
        let path = dir.0.join("pgweir.toml");
        fs::write(&path, format!("http = \"off\"\n{}", options.config)).expect("the settings can be written");
        command.arg("--config").arg(path);
        command.args(&options.args).args(&options.url).envs(options.environment.iter().cloned());
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file handle can be copied"))
            .stderr(log)
            .spawn()
            .expect("pgweir starts");
        let mut proxy = Self { child, addr, dir };
        proxy.wait_until_up();
        proxy
    }

    /// Where it listens, for a client.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::Tcp(self.addr)
    }

    /// The connection string of a client.
    pub fn url(&self, user: (&str, &str), database: &str) -> String {
        format!("postgres://{}:{}@{}/{database}", user.0, user.1, self.addr)
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.dir.0.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Its settings file.
    pub fn config(&self) -> String {
        fs::read_to_string(self.dir.0.join("pgweir.toml")).expect("the settings can be read")
    }

    /// Replaces its settings file; RELOAD or SIGHUP make it read it.
    pub fn set_config(&self, text: &str) {
        fs::write(self.dir.0.join("pgweir.toml"), text).expect("the settings can be written");
    }

    /// Sends it a signal by name (`TERM`, `HUP`, ...).
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status().expect("sh runs");
        assert!(status.success(), "{kill} failed");
    }

    /// Stops it where it stands, until it gets the signal CONT. SIGSTOP is only on its way when `kill` returns.
    pub fn freeze(&self) {
        self.signal("STOP");
        let tasks = format!("/proc/{}/task", self.child.id());
        let state = |dir: io::Result<fs::DirEntry>| {
            let stat = fs::read_to_string(dir.ok()?.path().join("stat")).ok()?;
            stat.rsplit(')').next()?.trim_start().chars().next()
        };
        eventually("every thread of pgweir stands still", || {
            fs::read_dir(&tasks).expect("pgweir runs").map(state).all(|state| state == Some('T'))
        });
    }

    /// Waits until it has ended by itself.
    pub fn ended(&mut self, deadline: Duration) -> ExitStatus {
        let status = wait(&mut self.child, deadline);
        status.unwrap_or_else(|| panic!("pgweir does not end\n{}", self.log()))
    }

    /// Processor time that it has used.
    pub fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let ticks: u64 =
            fields.split_ascii_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        let status = wait(&mut self.child, Duration::from_secs(20));
        status.unwrap_or_else(|| panic!("pgweir does not end on SIGTERM\n{}", self.log()))
    }

    /// Its resident memory in bytes.
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
    }

    fn wait_until_up(&mut self) {
        let end = Instant::now() + START_DEADLINE;
        loop {
            if TcpStream::connect(self.addr).is_ok() {
                return;
            }
            let ended = self.child.try_wait().ok().flatten();
            let late = Instant::now() > end;
            assert!(ended.is_none() && !late, "pgweir did not come up ({ended:?})\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Nobody kills it by that signal but a test.
        let crashed = |status: ExitStatus| !status.success() && status.signal() != Some(9);
        let crashed = self.child.try_wait().ok().flatten().is_some_and(crashed);
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() || crashed {
            eprintln!("--- log of pgweir at {}\n{}---", self.addr, self.log());
        }
        assert!(!crashed || std::thread::panicking(), "pgweir ended by itself");
    }
}

/// The pgweir of this build, or the one that `PGWEIR_TEST_PROGRAM` names.
pub fn program() -> OsString {
    std::env::var_os("PGWEIR_TEST_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_pgweir").into())
}

/// A command whose process is killed when the thread that started it ends, in whatever way.
fn dying_with_us(under: &[String], program: &OsStr) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).args(under).arg(program);
    command
}
