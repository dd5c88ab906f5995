//! `pgweir demo`: a throw-away PostgreSQL with a sample shop in it.
//!
//! The server belongs to a small shell script (`demo.sh`), not to this process. The script waits on a pipe that
//! this process holds open, and stops the server and removes its folder when the pipe closes. So there is one way
//! to clean up, and it works whether the demo is dropped, Ctrl-C is pressed or the process is killed.

pub mod load;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

/// Creates, keeps and removes the server.
const KEEPER: &str = include_str!("demo.sh");
/// Fills the database.
const CONTENT: &str = include_str!("demo.sql");
/// Superuser of the demo, so that every feature can be tried.
const USER: &str = "demo";
/// The database with the shop.
const DATABASE: &str = "shop";
/// Where Debian and its relatives keep PostgreSQL's programs, a folder per major version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// An immediate shutdown takes well under a second; longer than this, we leave it to the script.
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// A running throw-away server. Dropping it stops the server and removes its folder.
#[derive(Debug)]
pub struct Demo {
    folder: PathBuf,
    bin: PathBuf,
    port: u16,
    password: String,
    keeper: Child,
    /// Closing this is what ends the server.
    lifeline: Option<ChildStdin>,
}

impl Demo {
    /// Creates the server from the newest PostgreSQL of this machine and fills it. Blocks for some seconds.
    ///
    /// # Errors
    /// No PostgreSQL server programs are found, or one of them fails; its own words are in the error. Nothing is left behind.
    pub fn start() -> anyhow::Result<Self> {
        let bin = newest_bin()?;
        let password = random_hex()?;
        let folder = new_folder()?;
        let port = free_port()?;
        let (keeper, lifeline) = spawn_keeper(&folder, &bin, port)?;
        // From here on, dropping `demo` cleans up.
        let mut demo = Self { folder, bin, port, password, keeper, lifeline: Some(lifeline) };
        demo.wait_ready()?;
        demo.psql("postgres", &format!("CREATE DATABASE {DATABASE};"))?;
        demo.psql(DATABASE, CONTENT)?;
        Ok(demo)
    }

    /// Connection string of the shop, over TCP, password included.
    pub fn url(&self) -> String {
        format!("postgres://{USER}:{}@127.0.0.1:{}/{DATABASE}", self.password, self.port)
    }

    /// Folder of the server's data, its log (`server.log`) and its unix socket.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Stops the server, removes its folder, and waits until that is done.
    pub fn stop(mut self) {
        self.end();
    }

    /// Hands the password over and waits for the first `ready`.
    fn wait_ready(&mut self) -> anyhow::Result<()> {
        let lifeline = self.lifeline.as_mut().context("the demo server was stopped")?;
        writeln!(lifeline, "{}", self.password)?;
        let stdout = self.keeper.stdout.take().context("no standard output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        if line.trim() == "ready" {
            return Ok(());
        }
        let mut reason = String::new();
        if let Some(mut stderr) = self.keeper.stderr.take() {
            stderr.read_to_string(&mut reason)?;
        }
        bail!("could not create a throw-away PostgreSQL with {}:\n{}", self.bin.display(), reason.trim_end())
    }

    /// Runs a script, stopping at its first error.
    fn psql(&self, database: &str, script: &str) -> anyhow::Result<()> {
        let mut psql = Command::new(self.bin.join("psql"))
            .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", USER, "-d", database, "-h"])
            .arg(&self.folder)
            .args(["-p", &self.port.to_string()])
            .env("PGPASSWORD", &self.password)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("could not run psql")?;
        if let Some(mut stdin) = psql.stdin.take() {
            // A failing psql closes its end early; its own message below says more than a broken pipe.
            let _ = stdin.write_all(script.as_bytes());
        }
        let output = psql.wait_with_output()?;
        ensure!(
            output.status.success(),
            "could not fill the sample database:\n{}",
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
        Ok(())
    }

    /// The only value of a question, asked directly.
    #[cfg(test)]
    pub(in crate::cli) fn psql_value(&self, database: &str, sql: &str) -> String {
        let url = self.url().replace("/shop", &format!("/{database}"));
        let asked = Command::new(self.bin.join("psql")).args(["-X", "-A", "-t", "-c", sql]).arg(url).output();
        String::from_utf8_lossy(&asked.expect("psql runs").stdout).trim().to_owned()
    }

    /// Closes the pipe and waits for the script to finish; does nothing the second time.
    fn end(&mut self) {
        if self.lifeline.take().is_none() {
            return;
        }
        let deadline = Instant::now() + STOP_WITHIN;
        while matches!(self.keeper.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.end();
    }
}

/// Starts the script in a process group of its own, out of reach of the terminal's Ctrl-C.
fn spawn_keeper(folder: &Path, bin: &Path, port: u16) -> anyhow::Result<(Child, ChildStdin)> {
    let mut keeper = Command::new("/bin/sh")
        .args(["-c", KEEPER, "pgweir-demo"])
        .args([folder, bin])
        .args([&port.to_string(), USER])
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("could not run /bin/sh")?;
    let lifeline = keeper.stdin.take().context("no standard input")?;
    Ok((keeper, lifeline))
}

/// The folder of the newest installed PostgreSQL server's programs.
///
/// # Errors
/// There is none, neither where Debian keeps them nor on `PATH`.
pub fn newest_bin() -> anyhow::Result<PathBuf> {
    let packaged = fs::read_dir(VERSIONS).into_iter().flatten().flatten().filter_map(|entry| {
        let major: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((major, entry.path().join("bin")))
    });
    let newest = packaged.filter(|(_, bin)| bin.join("initdb").is_file()).max().map(|(_, bin)| bin);
    let on_path = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).find(|bin| bin.join("initdb").is_file())
    };
    newest.or_else(on_path).with_context(|| {
        format!(
            "no PostgreSQL server programs (initdb) in {VERSIONS}/*/bin or on PATH; \
             install them (Debian, Ubuntu: apt-get install postgresql) or give a connection string: pgweir run postgres://..."
        )
    })
}

/// A new empty folder that only we can enter. Its path is short: a unix socket's may have 107 bytes.
fn new_folder() -> anyhow::Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("pgweir-demo-{}", &random_hex()?[..12]));
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&folder)
        .with_context(|| format!("could not create {}", folder.display()))?;
    Ok(folder)
}

/// A port that was free a moment ago.
fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// 128 random bits, in hexadecimal.
fn random_hex() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Set for the copies of this test program that are ended from outside.
    const HOLDER: &str = "PGWEIR_TEST_DEMO_HOLDER";

    fn ask(demo: &Demo, sql: &str) -> String {
        let output = Command::new(demo.bin.join("psql"))
            .args(["-X", "-A", "-t", "-c", sql])
            .arg(demo.url())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn server_pid(folder: &Path) -> String {
        let file = fs::read_to_string(folder.join("data/postmaster.pid")).unwrap();
        file.lines().next().unwrap().to_owned()
    }

    fn runs(pid: &str) -> bool {
        Path::new("/proc").join(pid).exists()
    }

    #[test]
    fn shop_is_filled_and_removed() {
        let demo = Demo::start().unwrap();
        let folder = demo.folder().to_owned();
        let pid = server_pid(&folder);
        assert!(runs(&pid));

        let counts = "SELECT (SELECT count(*) FROM tenants), (SELECT count(*) FROM customers), \
                      (SELECT count(*) FROM products), (SELECT count(*) FROM orders), \
                      (SELECT count(*) FROM order_lines), (SELECT count(*) FROM events)";
        assert_eq!(ask(&demo, counts), "20|4000|1000|15000|37611|43000");
        // The same rows each time: what the guide shows is what the reader sees.
        assert_eq!(ask(&demo, "SELECT sum(total), max(lines) FROM order_totals"), "7500409.87|4");
        demo.stop();
        assert!(!folder.exists());
        assert!(!runs(&pid));
    }

    #[test]
    fn killed_process_leaves_nothing() {
        let mut holder = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "cli::demo::tests::hold_until_killed", "--nocapture"])
            .env(HOLDER, "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(holder.stdout.take().unwrap()).lines();
        let folder = lines
            .map(Result::unwrap)
            .find_map(|line| line.strip_prefix("folder ").map(PathBuf::from))
            .unwrap();
        let pid = server_pid(&folder);
        assert!(runs(&pid));

        holder.kill().unwrap();
        holder.wait().unwrap();
        let deadline = Instant::now() + STOP_WITHIN;
        while folder.exists() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(!folder.exists());
        assert!(!runs(&pid));
    }

    /// Whether a process runs that names this path.
    fn is_named_by_a_process(path: &Path) -> bool {
        let name = path.display().to_string();
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let commands = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
        commands.into_iter().any(|command| String::from_utf8_lossy(&command).contains(&name))
    }

    #[test]
    fn a_process_that_is_interrupted_during_setup_leaves_nothing() {
        let parent = new_folder().unwrap();
        // The server may run as another user.
        fs::set_permissions(&parent, fs::Permissions::from_mode(0o755)).unwrap();
        for after in [200, 400, 600, 800, 1000, 1200] {
            let mut holder = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "cli::demo::tests::hold_until_killed", "--nocapture"])
                .env(HOLDER, "1")
                .env("TMPDIR", &parent)
                .stdout(Stdio::null())
                .spawn()
                .unwrap();
            std::thread::sleep(Duration::from_millis(after));
            let interrupted = Command::new("/bin/kill").args(["-INT", &holder.id().to_string()]).status();
            assert!(interrupted.unwrap().success());
            holder.wait().unwrap();
            let is_left =
                || fs::read_dir(&parent).unwrap().next().is_some() || is_named_by_a_process(&parent);
            let deadline = Instant::now() + STOP_WITHIN;
            while is_left() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(20));
            }
            assert!(!is_left(), "interrupted after {after} ms: see {}", parent.display());
        }
        fs::remove_dir(&parent).unwrap();
    }

    /// Not a test by itself: the process that the tests above end.
    #[test]
    fn hold_until_killed() {
        if std::env::var_os(HOLDER).is_some() {
            let demo = Demo::start().unwrap();
            println!("\nfolder {}", demo.folder().display());
            std::thread::sleep(Duration::from_secs(60));
        }
    }
}
