//! The place of the experiment: a folder, the processes started in it, and what `/proc` tells of them.

use std::cell::RefCell;
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

/// Cleans up when we cannot.
const KEEPER: &str = include_str!("keeper.sh");
/// Page size assumed for resident memory, bytes.
const PAGE: u64 = 4096;

/// A temporary folder and the programs to use in it. Removed on drop, and also if this process is killed.
pub struct Lab {
    pub folder: PathBuf,
    /// PostgreSQL's programs.
    pub bin: PathBuf,
    keeper: Child,
    lifeline: Rc<RefCell<Option<ChildStdin>>>,
}

impl Lab {
    pub fn new() -> anyhow::Result<Self> {
        let bin = pgweir::cli::demo::newest_bin()?;
        let folder = std::env::temp_dir().join(format!("pgweir-bench-{}", std::process::id()));
        fs::DirBuilder::new().mode(0o700).create(&folder).with_context(|| folder.display().to_string())?;
        let mut keeper = Command::new("/bin/sh")
            .args(["-c", KEEPER, "pgweir-bench"])
            .arg(&folder)
            .process_group(0)
            .stdin(Stdio::piped())
            .spawn()?;
        let lifeline = Rc::new(RefCell::new(keeper.stdin.take()));
        let lab = Self { folder, bin, keeper, lifeline };
        lab.give_to_postgres(&lab.folder)?;
        Ok(lab)
    }

    /// A command that runs as the user postgres when we are root, which PostgreSQL and pgbouncer refuse.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command
                .args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"])
                .arg(program.as_ref());
            command
        } else {
            Command::new(program.as_ref())
        };
        command.current_dir(&self.folder).stdin(Stdio::null());
        command
    }

    /// Writes a file that the commands of [`Lab::command`] can read.
    pub fn write(&self, name: &str, content: &str) -> anyhow::Result<PathBuf> {
        let path = self.folder.join(name);
        fs::write(&path, content)?;
        self.give_to_postgres(&path)?;
        Ok(path)
    }

    /// Runs a command to its end; its output is in the error if it fails.
    pub fn complete(&self, mut command: Command) -> anyhow::Result<String> {
        let output = command.output().with_context(|| format!("could not run {command:?}"))?;
        let [stdout, stderr] =
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        ensure!(output.status.success(), "{command:?} failed:\n{stdout}{stderr}");
        Ok(stdout)
    }

    /// Starts a server and waits until it accepts connections on `address`. Its output goes to `<name>.log`.
    pub fn serve(&self, name: &str, address: SocketAddr, mut command: Command) -> anyhow::Result<Process> {
        let log = self.folder.join(format!("{name}.log"));
        let output = fs::File::create(&log)?;
        // Out of reach of the terminal's Ctrl-C: it ends us, and the keeper then ends everything in order.
        command.process_group(0).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().with_context(|| format!("could not run {command:?}"))?;
        let mut process = Process { child, lifeline: self.lifeline.clone() };
        process.tell_keeper('+');
        let deadline = Instant::now() + Duration::from_secs(15);
        while TcpStream::connect(address).is_err() {
            if process.child.try_wait()?.is_some() || Instant::now() > deadline {
                bail!("{name} does not answer on {address}:\n{}", fs::read_to_string(&log)?);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(process)
    }

    fn give_to_postgres(&self, path: &Path) -> anyhow::Result<()> {
        if is_root() {
            let mut chown = Command::new("chown");
            chown.arg("postgres:").arg(path);
            self.complete(chown)?;
        }
        Ok(())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // The keeper removes the folder.
        self.lifeline.borrow_mut().take();
        let _ = self.keeper.wait();
    }
}

/// A running server program. Ended on drop.
pub struct Process {
    child: Child,
    lifeline: Rc<RefCell<Option<ChildStdin>>>,
}

impl Process {
    /// CPU seconds of all its threads, and of those of its children, user and system, to the nanosecond: the scheduler's own count, where the
    /// kernel's clock ticks would round a second of logins to a tenth. What has ended is left out; none of the proxies ends any.
    pub fn cpu(&self) -> anyhow::Result<f64> {
        let mut nanoseconds = 0.0;
        for process in [self.child.id()].into_iter().chain(self.children()) {
            for thread in fs::read_dir(format!("/proc/{process}/task"))? {
                let text = fs::read_to_string(thread?.path().join("schedstat"))?;
                nanoseconds += text.split_whitespace().next().context("schedstat")?.parse::<f64>()?;
            }
        }
        Ok(nanoseconds / 1e9)
    }

    /// The processes that it has begun; none where the kernel does not tell (CONFIG_PROC_CHILDREN).
    pub fn children(&self) -> Vec<u32> {
        let own = self.child.id();
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
        children.split_whitespace().filter_map(|id| id.parse().ok()).collect()
    }

    /// Resident memory, bytes.
    pub fn resident(&self) -> anyhow::Result<u64> {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.child.id()))?;
        let pages: u64 = statm.split_whitespace().nth(1).context("resident")?.parse()?;
        Ok(pages * PAGE)
    }

    fn tell_keeper(&self, sign: char) {
        if let Some(lifeline) = self.lifeline.borrow_mut().as_mut() {
            // If the keeper is gone, dropping us still cleans up.
            let _ = writeln!(lifeline, "{sign} {}", self.child.id());
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // QUIT is PostgreSQL's immediate shutdown, which takes its children along; haproxy and others may ignore it.
        let _ = Command::new("kill").args(["-QUIT", &self.child.id().to_string()]).status();
        let deadline = Instant::now() + Duration::from_secs(2);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.tell_keeper('-');
    }
}

/// A port that was free a moment ago.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// How many files a process may have open, as inherited by everything we start.
pub fn open_files_limit() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap_or_default();
    line.split_whitespace().next().and_then(|soft| soft.parse().ok()).unwrap_or(1024)
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}
