//! Throw-away PostgreSQL clusters: a folder, a port, a server, gone when the test process is.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::raw::{Client, Endpoint, Login};

/// The superuser.
pub const SUPERUSER: (&str, &str) = ("postgres", "super-secret");
/// The plain user that cases log in as.
pub const APP: (&str, &str) = ("app", "app-secret");
/// Another plain user.
pub const APP2: (&str, &str) = ("app2", "app2-secret");
/// A user whose stored verifier is an md5 one.
pub const MD5_USER: (&str, &str) = ("app_md5", "md5-secret");

/// Settings of a primary whose standbys come later.
pub const KEEPS_WAL: &str = "wal_keep_size = '200MB'\n";

/// Raise it whenever what goes into the template changes.
const TEMPLATE_EDITION: u32 = 1;
const START_DEADLINE: Duration = Duration::from_secs(60);

/// Keeps the server until the pipe to it closes, or the process of that number has ended; then stops it and removes the folder.
const WATCHER: &str = r#"
dir=$1; until=$2; shift 2
"$@" >"$dir/log" 2>&1 </dev/null &
server=$!
if [ "$until" = pipe ]; then cat >/dev/null; else tail --pid="$until" -s 0.2 -f /dev/null; fi
# After a restart it is another process than the one started here. A frozen one hears nothing.
server="$server $(head -n 1 "$dir/data/postmaster.pid" 2>/dev/null)"
for one in $server; do pkill -CONT -P $one; kill -CONT $one; kill -QUIT $one; done 2>/dev/null
# A server that was just starting may not have heard it.
(sleep 2; kill -QUIT $server; sleep 3; kill -KILL $server) >/dev/null 2>&1 &
again=$!
for one in $server; do while kill -0 $one 2>/dev/null; do sleep 0.02; done; done
kill $again 2>/dev/null
rm -rf "$dir"
"#;

/// A running cluster; stopped and removed when dropped, or when the process ends in whatever way.
pub struct Cluster {
    dir: PathBuf,
    /// The TCP port, and the number in the unix socket's name.
    pub port: u16,
    /// `None`: it is for the tests behind this one as well.
    watcher: Option<Child>,
}

impl Cluster {
    /// The cluster that all tests of this process share, and those that run behind them in their place: default settings, own databases.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| Self::of_place().unwrap_or_else(|| Self::start("", &[])))
    }

    /// A cluster with more lines in `postgresql.conf` and more files in its data folder.
    pub fn start(conf: &str, files: &[(&str, &str)]) -> Self {
        Self::start_with_hba(conf, files, "")
    }

    /// A cluster with another system identifier than all the others.
    pub fn stranger(conf: &str) -> Self {
        Self::start_from("-stranger", conf, &[], "")
    }

    /// The same, with lines put before the others of `pg_hba.conf`.
    pub fn start_with_hba(conf: &str, files: &[(&str, &str)], hba: &str) -> Self {
        Self::start_from("", conf, files, hba)
    }

    fn start_from(template: &str, conf: &str, files: &[(&str, &str)], hba: &str) -> Self {
        let mut last = None;
        for _ in 0..3 {
            match Self::try_start(template, conf, files, hba) {
                Ok(cluster) => return cluster,
                Err(e) => last = Some(e),
            }
        }
        panic!("no PostgreSQL could be started: {}", last.unwrap_or_default());
    }

    /// A standby that streams from this cluster: a copy of the same beginning, which has everything since to catch up
    /// with. `self` must be young, or have been started with [`KEEPS_WAL`].
    pub fn standby(&self) -> Self {
        let conf = format!("primary_conninfo = '{}'\n", self.conninfo());
        Self::start(&conf, &[("standby.signal", "")])
    }

    /// Address on IPv4.
    pub fn tcp(&self) -> Endpoint {
        Endpoint::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)))
    }

    /// Address on IPv6.
    pub fn tcp6(&self) -> Endpoint {
        Endpoint::Tcp(SocketAddr::from((Ipv6Addr::LOCALHOST, self.port)))
    }

    /// Folder of the unix socket.
    pub fn socket_dir(&self) -> &Path {
        &self.dir
    }

    /// The unix socket.
    pub fn unix(&self) -> Endpoint {
        Endpoint::Unix(self.dir.join(format!(".s.PGSQL.{}", self.port)))
    }

    /// A connection string for a user and a database; `query` goes behind the `?`.
    pub fn url(&self, user: (&str, &str), database: &str, query: &str) -> String {
        let (name, password) = user;
        format!("postgres://{name}:{password}@127.0.0.1:{}/{database}?{query}", self.port)
    }

    /// A superuser's session, directly at the server.
    pub fn superuser(&self, database: &str) -> Client {
        Client::connect(&self.unix(), &Login::new(SUPERUSER.0, SUPERUSER.1, database))
    }

    /// An empty database, owned by `app`, whose name nobody else has.
    pub fn database(&self) -> Database<'_> {
        Database::create(self, None)
    }

    /// The end of the server's log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// Restarts it (`fast`, `immediate`), and waits until it is up again.
    pub fn restart(&self, mode: &str) {
        self.control(&["restart", "-m", mode]);
    }

    /// Stops it (`fast`, `immediate`).
    pub fn stop(&self, mode: &str) {
        self.control(&["stop", "-m", mode]);
    }

    /// Starts it after a stop, and waits until it is up.
    pub fn start_again(&self) {
        self.control(&["start"]);
    }

    /// Makes a standby a primary, and waits until it is one.
    pub fn promote(&self) {
        self.control(&["promote"]);
    }

    /// Has a standby follow another primary.
    pub fn follow(&self, primary: &Cluster) {
        let mut superuser = self.superuser("postgres");
        superuser.run(&format!(
            "alter system set primary_conninfo = '{}'",
            primary.conninfo().replace('\'', "''")
        ));
        superuser.run("select pg_reload_conf()");
    }

    /// Starts what was a primary, and was stopped in order, as a standby of the one that has taken its place.
    pub fn start_as_standby(&self, primary: &Cluster) {
        let data = self.dir.join("data");
        let conninfo = primary.conninfo().replace('\'', "''");
        let auto = fs::read_to_string(data.join("postgresql.auto.conf")).expect("it was a server");
        let auto = format!("{auto}primary_conninfo = '{conninfo}'\n");
        fs::write(data.join("postgresql.auto.conf"), auto).expect("a file can be written");
        fs::write(data.join("standby.signal"), "").expect("a file can be written");
        self.start_again();
    }

    fn conninfo(&self) -> String {
        format!(
            "host={} port={} user={} password={}",
            self.dir.display(),
            self.port,
            SUPERUSER.0,
            SUPERUSER.1
        )
    }

    fn control(&self, order: &[&str]) {
        let mut command = as_server_user(&pg_bin().join("pg_ctl"));
        command.args(order).args(["-w", "-s", "-D"]).arg(self.dir.join("data"));
        if matches!(order[0], "start" | "restart") {
            command.arg("-l").arg(self.dir.join("log-after-restart"));
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(command.status().expect("pg_ctl runs").success(), "no {order:?}\n{}", self.log());
    }

    /// Stops all its processes in the middle of what they do, until the guard is dropped.
    pub fn freeze(&self) -> Frozen {
        let file = fs::read_to_string(self.dir.join("data/postmaster.pid")).expect("it runs");
        let postmaster = file.lines().next().expect("a process id").to_owned();
        let children = Command::new("pgrep").args(["-P", &postmaster]).output().expect("pgrep runs");
        let children = String::from_utf8_lossy(&children.stdout).into_owned();
        // The postmaster first, so that no child is born meanwhile.
        let processes: Vec<String> =
            [postmaster].into_iter().chain(children.lines().map(str::to_owned)).collect();
        Frozen::processes(processes)
    }

    fn try_start(template: &str, conf: &str, files: &[(&str, &str)], hba: &str) -> Result<Self, String> {
        let (port, dir) = (free_port(), new_dir());
        let watcher = Self::launch(&dir, port, "pipe", template, conf, files, hba)?;
        let cluster = Self { dir, port, watcher: Some(watcher) };
        cluster.wait_until_up().map(|()| cluster)
    }

    /// Starts a server in a folder; what has it removed [`WATCHER`] says.
    fn launch(
        dir: &Path,
        port: u16,
        until: &str,
        template_of: &str,
        conf: &str,
        files: &[(&str, &str)],
        hba: &str,
    ) -> Result<Child, String> {
        let template = template(template_of).map_err(|e| format!("no template: {e}"))?;
        prepare(dir, &template, port, conf, files, hba).map_err(|e| format!("{}: {e}", dir.display()))?;
        let mut command = Command::new("sh");
        command.arg("-c").arg(WATCHER).arg("watcher").arg(dir).arg(until);
        let server = as_server_user(&pg_bin().join("postgres")).arg("-D").arg(dir.join("data")).to_words();
        // Its own process group: an interrupt from the keyboard must leave it alive to clean up.
        command
            .args(server)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| e.to_string())
    }

    /// The cluster of the tests that nextest runs in one place, one after the other, each in a process of its own. The first one starts it; it ends when nextest
    /// does. `None`: this process is not one of nextest's, or what is there does not answer.
    fn of_place() -> Option<Self> {
        let place = std::env::var("NEXTEST_TEST_GLOBAL_SLOT").ok()?;
        let parent = std::os::unix::process::parent_id();
        let name = fs::read_to_string(format!("/proc/{parent}/comm")).ok()?;
        let dir = std::env::temp_dir().join(format!("pgweir-test-{parent}-at-{place}"));
        let told = dir.join("port");
        if !name.starts_with("cargo-nextest") {
            return None;
        }
        if let Ok(port) = fs::read_to_string(&told) {
            let cluster = Self { dir, port: port.parse().ok()?, watcher: None };
            return cluster.is_as_new().then_some(cluster);
        }
        // Where a test was stopped meanwhile, it is half done.
        fs::create_dir(&dir).ok()?;
        let port = free_port();
        Self::launch(&dir, port, &parent.to_string(), "", "", &[], "").ok()?;
        let cluster = Self { dir, port, watcher: None };
        cluster.wait_until_up().ok()?;
        fs::write(told, port.to_string()).ok().map(|()| cluster)
    }

    /// Whether it answers; what a test has left that failed is dropped.
    fn is_as_new(&self) -> bool {
        let login = Login::new(SUPERUSER.0, SUPERUSER.1, "postgres");
        let Ok(mut superuser) = Client::dial(&self.unix()) else { return false };
        if !superuser.login(&login).is_ok_and(|messages| messages.last().is_some_and(|m| m.tag == b'Z')) {
            return false;
        }
        let left =
            superuser.value("select string_agg(datname, ' ') from pg_database where datname like 'case%'");
        left.split_whitespace().all(|name| {
            let answer = superuser.simple(&format!("drop database {name} with (force)"));
            answer.iter().all(|message| message.tag != b'E')
        })
    }

    fn wait_until_up(&self) -> Result<(), String> {
        let end = Instant::now() + START_DEADLINE;
        let login = Login::new(SUPERUSER.0, SUPERUSER.1, "postgres");
        while Instant::now() < end {
            if let Ok(mut client) = Client::dial(&self.unix())
                && let Ok(messages) = client.login(&login)
                && messages.last().is_some_and(|m| m.tag == b'Z')
            {
                return Ok(());
            }
            if self.log().contains("could not create any TCP/IP sockets") {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(self.log())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        drop(watcher.stdin.take());
        let _ = watcher.wait();
    }
}

/// Processes that are stopped; they go on when this is dropped.
pub struct Frozen(Vec<String>);

impl Frozen {
    /// Stops these in the middle of what they do.
    pub fn processes(ids: Vec<String>) -> Frozen {
        signal("STOP", &ids);
        Frozen(ids)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        signal("CONT", &self.0);
    }
}

fn signal(name: &str, processes: &[String]) {
    let status = Command::new("kill").arg(format!("-{name}")).args(processes).status();
    assert!(status.is_ok() || std::thread::panicking(), "kill does not run");
}

/// A database of its own for one case; dropped with everybody in it at the end.
pub struct Database<'a> {
    cluster: &'a Cluster,
    /// Its name.
    pub name: String,
}

impl<'a> Database<'a> {
    /// Runs statements in it, as its owner.
    pub fn setup(&self, sql: &str) {
        if !sql.is_empty() {
            Client::connect(&self.cluster.unix(), &self.login()).run(sql);
        }
    }

    /// A login of `app` to it.
    pub fn login(&self) -> Login {
        Login::new(APP.0, APP.1, &self.name)
    }

    /// A copy with the same content and the same object ids. Nobody may be connected to it.
    pub fn copy(&self) -> Self {
        Self::create(self.cluster, Some(&self.name))
    }

    /// Drops it, and gives its name to `copy`.
    pub fn replace_by(&mut self, copy: Self) {
        let mut server = self.cluster.superuser("postgres");
        server.run(&format!("drop database {} with (force)", self.name));
        server.run(&format!("alter database {} rename to {}", copy.name, self.name));
        std::mem::forget(copy);
    }

    fn create(cluster: &'a Cluster, template: Option<&str>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("case_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let template = template.unwrap_or("template1");
        cluster.superuser("postgres").run(&format!("create database {name} template {template} owner app"));
        Self { cluster, name }
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let sql = format!("drop database {} with (force)", self.name);
            let mut superuser = self.cluster.superuser("postgres");
            // A replication slot may be in use for a moment after its client has gone.
            super::eventually("the database can be dropped", || {
                superuser.simple(&sql).iter().all(|message| message.tag != b'E')
            });
        }
    }
}

/// The folder of the server's programs: `PGWEIR_TEST_PG_BIN`, or those of the newest installed version.
pub fn pg_bin() -> &'static Path {
    static BIN: OnceLock<PathBuf> = OnceLock::new();
    BIN.get_or_init(|| match std::env::var_os("PGWEIR_TEST_PG_BIN") {
        Some(dir) => dir.into(),
        None => installed_bin(),
    })
}

/// The folder of the client's programs: beside the server's, or those of the newest installed version.
pub fn client_bin() -> PathBuf {
    let beside = pg_bin();
    if beside.join("psql").exists() { beside.to_owned() } else { installed_bin() }
}

fn installed_bin() -> PathBuf {
    let version = |path: &Path| -> u32 {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.parse().unwrap_or(0)
    };
    let installed =
        fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed in /usr/lib/postgresql");
    let newest = installed.flatten().map(|e| e.path()).max_by_key(|p| version(p));
    newest.expect("a version of PostgreSQL is installed").join("bin")
}

/// The major version of the server under test.
pub fn pg_version() -> u32 {
    static VERSION: OnceLock<u32> = OnceLock::new();
    *VERSION.get_or_init(|| major_version(&pg_bin().join("postgres")))
}

/// Whether the server is newer than the client's programs, some of which then refuse it.
pub fn newer_than_clients() -> bool {
    let newer = pg_version() > major_version(&client_bin().join("psql"));
    if newer {
        eprintln!("skipped: the client's programs are older than PostgreSQL {}", pg_version());
    }
    newer
}

/// Whether the server has what this version brought; says so where it has not.
pub fn since(version: u32) -> bool {
    let known = pg_version() >= version;
    if !known {
        eprintln!("skipped: since PostgreSQL {version}; this is {}", pg_version());
    }
    known
}

fn major_version(program: &Path) -> u32 {
    let out = Command::new(program).arg("--version").output().expect("the program runs");
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let number = text.split_whitespace().nth(2).unwrap_or_default();
    number.split(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse().ok()).expect("a version number")
}

/// A port on which nobody listens now.
pub fn free_port() -> u16 {
    /// Those that were given, of which nobody may have bound some yet.
    static GIVEN: Mutex<Vec<u16>> = Mutex::new(vec![]);
    let mut given = GIVEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let range = ports();
    let first = std::process::id() as u16 % range.len() as u16;
    let mut candidates = range.clone().cycle().skip(usize::from(first)).take(range.len());
    let free = |port: &u16| !given.contains(port) && TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let port = candidates.find(free).expect("a port is free");
    given.push(port);
    port
}

/// Ports that the system gives to no outgoing connection, and no other test that runs at this time takes: each has a slot.
fn ports() -> std::ops::Range<u16> {
    const FIRST: u16 = 10_240;
    const MANY: u16 = 1024;
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let outgoing = range.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(32_768_u16);
    let slots = (outgoing.saturating_sub(FIRST) / MANY).max(1);
    let slot =
        std::env::var("NEXTEST_TEST_GLOBAL_SLOT").ok().and_then(|slot| slot.parse().ok()).unwrap_or(0_u16);
    let start = FIRST + slot % slots * MANY;
    start..start + MANY
}

/// A new folder under the system's temporary one; short, because socket names are limited to 107 bytes.
pub fn new_dir() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    let dir = std::env::temp_dir().join(format!("pgweir-test-{}-{n}", std::process::id()));
    fs::create_dir_all(&dir).expect("a temporary folder can be made");
    dir
}

fn prepare(
    dir: &Path,
    template: &Path,
    port: u16,
    conf: &str,
    files: &[(&str, &str)],
    hba: &str,
) -> Result<(), io::Error> {
    let data = &dir.join("data");
    copy_folder(template, data)?;
    let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    let listen = if v6 { "127.0.0.1,::1" } else { "127.0.0.1" };
    let own = format!(
        "listen_addresses = '{listen}'\nport = {port}\nunix_socket_directories = '{}'\n{SETTINGS}{conf}\n",
        dir.display()
    );
    fs::write(data.join("postgresql.auto.conf"), own)?;
    let rules = fs::read_to_string(data.join("pg_hba.conf"))?;
    fs::write(data.join("pg_hba.conf"), format!("{hba}\n{rules}"))?;
    for (name, content) in files {
        fs::write(data.join(name), content)?;
        run(Command::new("chmod").arg("600").arg(data.join(name)))?;
    }
    give_to_server_user(dir)
}

const SETTINGS: &str = "fsync = off
synchronous_commit = off
full_page_writes = off
max_connections = 200
max_prepared_transactions = 20
wal_level = logical
shared_buffers = 32MB
timezone = 'UTC'
lc_messages = 'C'
client_min_messages = notice
log_min_messages = warning
";

/// Made once for each version and `kind`, then copied: initdb takes a second, a copy a tenth of it.
fn template(kind: &str) -> io::Result<PathBuf> {
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(tmp)?;
    let version = pg_bin().to_string_lossy().replace('/', "-");
    let path = tmp.join(format!("template{version}-{TEMPLATE_EDITION}{kind}"));
    let lock = File::create(path.with_extension("lock"))?;
    lock.lock()?;
    if !path.exists() {
        let dir = new_dir();
        let made = make_template(&dir).and_then(|()| {
            let half = path.with_extension("half");
            let _ = fs::remove_dir_all(&half);
            copy_folder(&dir.join("data"), &half)?;
            fs::rename(&half, &path)
        });
        let _ = fs::remove_dir_all(&dir);
        made?;
    }
    Ok(path)
}

fn make_template(dir: &Path) -> io::Result<()> {
    let data = dir.join("data");
    let password = dir.join("password");
    fs::write(&password, SUPERUSER.1)?;
    give_to_server_user(dir)?;
    let mut initdb = as_server_user(&pg_bin().join("initdb"));
    initdb.arg("-D").arg(&data).arg("--pwfile").arg(&password);
    run(initdb
        .args(["-U", SUPERUSER.0, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"])
        .args(["--no-sync", "--wal-segsize=1"]))?;
    let roles = format!(
        "create role {} login replication password '{}'\n\
         create role {} login password '{}'\n\
         set password_encryption = 'md5'\n\
         create role {} login password '{}'\n",
        APP.0, APP.1, APP2.0, APP2.1, MD5_USER.0, MD5_USER.1
    );
    let script = dir.join("roles.sql");
    fs::write(&script, roles)?;
    let mut single = as_server_user(&pg_bin().join("postgres"));
    run(single.args(["--single", "-D"]).arg(&data).arg("postgres").stdin(File::open(script)?))
}

/// A command run as `postgres` where we are root, which the server refuses to be.
fn as_server_user(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"]).arg(program);
    command
}

fn give_to_server_user(dir: &Path) -> io::Result<()> {
    if is_root() { run(Command::new("chown").args(["-R", "postgres:postgres"]).arg(dir)) } else { Ok(()) }
}

fn is_root() -> bool {
    static ROOT: OnceLock<bool> = OnceLock::new();
    *ROOT.get_or_init(|| {
        let id = Command::new("id").arg("-u").output().expect("id runs");
        id.stdout.trim_ascii() == b"0"
    })
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    run(Command::new("cp").arg("-r").arg(from).arg(to))?;
    run(Command::new("chmod").arg("700").arg(to))
}

fn run(command: &mut Command) -> io::Result<()> {
    let out = command.output()?;
    if out.status.success() {
        return Ok(());
    }
    let said = [out.stdout, out.stderr].concat();
    Err(io::Error::other(format!("{command:?}: {}", String::from_utf8_lossy(&said))))
}

trait ToWords {
    fn to_words(&self) -> Vec<std::ffi::OsString>;
}

impl ToWords for Command {
    fn to_words(&self) -> Vec<std::ffi::OsString> {
        std::iter::once(self.get_program()).chain(self.get_args()).map(Into::into).collect()
    }
}
