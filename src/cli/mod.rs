//! The command line: what can be asked of the program.

pub mod advise;
pub mod check;
mod cluster;
pub mod demo;
pub mod explain;
mod facts;
mod files;
mod generate;
mod hint;
pub mod import;
mod mark;
mod passwords;
pub(crate) mod printed;
mod report;
mod rules;
mod summary;
pub mod upstream;
mod when;

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use self::printed::complain;
use crate::config::{self, ConfigError, Loaded, Settings, Sources};
use crate::runtime::acceptor;
use crate::runtime::rules::without_replicas;

/// A proxy for PostgreSQL: pooled connections that applications cannot tell from PostgreSQL.
#[derive(Debug, Parser)]
#[command(name = "pgweir", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy until it is stopped (SIGINT, SIGTERM); SIGHUP reloads settings and rules.
    Run(RunArgs),
    /// Check the settings and try every node; takes what `run` takes. With --rules, check rule files, alone or besides.
    Check(RunArgs),
    /// Run the proxy in front of a throw-away PostgreSQL with a sample shop in it.
    Demo(RunArgs),
    /// Say what a statement is to pgweir: its shape, whether it only reads, and what it does to its session
    Explain(ExplainArgs),
    /// Say what to do about slow statements, and which they are: from the store of `run --store`, or from a server's log
    Report(report::ReportArgs),
    /// Say what would make slow statements fast: indexes that the planner was asked about, and others; nothing is created
    Advise(advise::AdviseArgs),
    /// Mark a moment in the history, such as a deployment: pictures of reports and pages show it
    Mark(mark::MarkArgs),
    /// Write pgweir.toml from the configuration of another pooler, and say what changes in meaning
    Import(import::ImportArgs),
    /// The optional objects in a database, which tell a cache of changes that no row tells
    #[command(subcommand)]
    Upstream(upstream::UpstreamCommand),
    /// Put load on the sample shop of `demo`, with problems planted in it for `report` to find
    #[command(hide = true)]
    Load(demo::load::LoadArgs),
    /// Write a generated document to standard output.
    #[command(hide = true)]
    Generate {
        /// Which one.
        document: generate::Document,
    },
}

/// What `run` and `check` take.
#[derive(Args, Clone)]
pub struct RunArgs {
    /// Address on which clients are accepted; may be given several times [default: 127.0.0.1:6432]
    #[arg(long, value_name = "ADDR")]
    pub listen: Vec<String>,
    /// Settings file (TOML)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder with rule files; `check` checks them and runs their tests, `run` applies them
    #[arg(long, value_name = "DIR")]
    pub rules: Option<PathBuf>,
    /// File in which the history of statements is kept, made when it is missing; or a URL, `env:NAME` or `file:/path` of one, for a fleet; wins
    /// over `history.store` and `history.url`
    #[arg(long, value_name = "FILE|URL")]
    pub store: Option<PathBuf>,
    /// Address of the HTTP server, or `off` [default: 127.0.0.1:6433]
    #[arg(long, value_name = "ADDR")]
    pub http: Option<String>,
    /// Share the port with a running pgweir, to take over from it
    #[arg(long)]
    pub reuse_port: bool,
    /// postgres://user:password@host1,host2/database?pool_size=16; wins over the file. `env:NAME` or `file:/path` hold it where others
    /// cannot see it
    #[arg(value_name = "URL")]
    pub url: Option<String>,
    /// The server is of no use without this process.
    #[arg(skip)]
    pub throw_away: bool,
}

/// What `explain` takes.
#[derive(Args, Clone)]
struct ExplainArgs {
    /// A statement; several are looked at as a whole, as in one message
    #[arg(value_name = "SQL")]
    sql: String,
    /// postgres://user:password@host/database; without it and a file, only the words of the statement count
    #[arg(value_name = "URL")]
    url: Option<String>,
    /// Settings file (TOML)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Database of the settings [default: the only one]
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// User as whom its catalog is read [default: one that `check` would try]; for rules, who has logged in
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Folder with rule files: say, rule by rule, what becomes of the statement
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// For rules: the session's application_name
    #[arg(long, value_name = "NAME", default_value = "", requires = "rules")]
    application: String,
    /// For rules: the client's address [default: the unix socket]
    #[arg(long, value_name = "ADDR", requires = "rules")]
    client: Option<std::net::IpAddr>,
    /// For rules: the session is in a transaction
    #[arg(long, requires = "rules")]
    in_transaction: bool,
    /// Values of $1, $2, ... to be shown where they stand
    #[arg(long, value_name = "VALUE,...", value_delimiter = ',')]
    params: Vec<String>,
}

impl std::fmt::Debug for ExplainArgs {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExplainArgs").field("config", &self.config).finish_non_exhaustive()
    }
}

impl RunArgs {
    /// The part that says where settings are read from.
    pub fn sources(&self) -> Sources {
        Sources {
            file: self.config.clone(),
            url: self.url.clone(),
            listen: self.listen.clone(),
            http: self.http.clone(),
            store: self.store.clone(),
        }
    }
}

impl std::fmt::Debug for RunArgs {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunArgs")
            .field("config", &self.config)
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

/// Does what the command line says. `start` runs the proxy until it stops, and prints the lines that it is given when it
/// listens; `trial` is what settings can be tried with.
pub fn main<T: check::Trial + explain::Catalog + upstream::Open>(
    start: impl FnOnce(RunArgs, Loaded, &[String]) -> ExitCode,
    trial: impl FnOnce(Settings) -> T,
) -> ExitCode {
    match Cli::parse().command {
        Command::Run(arguments) => match config::load_with_origins(&arguments.sources()) {
            Ok(loaded) => {
                let greeting = arguments.url.as_deref().map(|url| to_paste(url, &loaded.settings));
                start(arguments, loaded, &greeting.unwrap_or_default())
            }
            Err(errors) => refuse(&errors),
        },
        Command::Check(arguments) => check_all(&arguments, trial),
        Command::Demo(arguments) => run_demo(arguments, start),
        Command::Explain(arguments) => explain(&arguments, trial),
        Command::Report(arguments) => report::run(&arguments, trial),
        Command::Advise(arguments) => advise::run(&arguments, trial),
        Command::Mark(arguments) => mark::run(&arguments),
        Command::Import(arguments) => import::run(&arguments),
        Command::Upstream(command) => tend_upstream(&command, trial),
        Command::Load(arguments) => put_load(&arguments, trial),
        Command::Generate { document } => {
            let _ = printed::stdout().write_all(document.text().as_bytes());
            ExitCode::SUCCESS
        }
    }
}

/// Runs the proxy in front of a throw-away server, which ends with it.
fn run_demo(mut arguments: RunArgs, start: impl FnOnce(RunArgs, Loaded, &[String]) -> ExitCode) -> ExitCode {
    arguments.throw_away = true;
    if let Err(error) = is_free(&arguments) {
        complain!("pgweir: {error}");
        return ExitCode::FAILURE;
    }
    let _ = writeln!(printed::stdout(), "making a throw-away PostgreSQL with a sample shop ...");
    let demo = match demo::Demo::start() {
        Ok(demo) => demo,
        Err(error) => {
            complain!("pgweir: cannot make the sample database: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    arguments.url = Some(demo.url());
    match config::load_with_origins(&arguments.sources()) {
        Ok(loaded) => {
            let greeting = where_to_connect(&demo.url(), &loaded.settings);
            let status = start(arguments, loaded, &greeting);
            drop(demo);
            status
        }
        Err(errors) => refuse(&errors),
    }
}

/// Whether the addresses are to be had, before a server is made in vain. What else is wrong with the settings is told later.
fn is_free(arguments: &RunArgs) -> Result<(), String> {
    let url = Some("postgres://demo:demo@127.0.0.1/shop".to_owned());
    let Ok(settings) = config::load(&Sources { url, ..arguments.sources() }) else { return Ok(()) };
    settings.listen.iter().try_for_each(|address| match acceptor::bind(*address, arguments.reuse_port) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{}: {error}", cannot_listen(&address.to_string()))),
    })
}

/// Set by the Makefile, where flags are given in another way.
const UNDER_MAKE: &str = "PGWEIR_UNDER_MAKE";

/// What to do about an address that is not to be had.
pub fn cannot_listen(name: &str) -> String {
    let another = match std::env::var_os(UNDER_MAKE) {
        Some(_) => "make run ARGS=\"--listen 127.0.0.1:6442\"",
        None => "--listen or `listen`",
    };
    format!("cannot listen on {name} (choose another with {another})")
}

/// The lines to paste: through pgweir, and directly.
fn where_to_connect(url: &str, settings: &Settings) -> Vec<String> {
    let authority = url.rfind('@').zip(url.rfind('/')).filter(|(at, slash)| at < slash);
    let through = authority.zip(settings.listen.first());
    let through = through.map(|((at, slash), address)| format!("{}{address}{}", &url[..=at], &url[slash..]));
    let lines = [
        through.map(|url| format!("through pgweir:  psql {url}")),
        Some(format!("directly:        psql {url}")),
    ];
    lines.into_iter().flatten().collect()
}

/// The line to paste for the database of a URL, through pgweir. Its password is not told, for what is printed is often kept: below it stands
/// that psql will ask for it, where it does. Nothing for a user who has none, and cannot log in.
fn to_paste(url: &str, settings: &Settings) -> Vec<String> {
    let read = |url: &str| config::url::parse(&config::meant_url(url).ok()?).ok();
    let Some((url, address)) = read(url).zip(settings.listen.first()) else { return vec![] };
    let named = url.user.as_deref().and_then(|user| settings.users.get(user));
    let asks = settings.auth.asks_for_passwords();
    if asks && named.is_some_and(|user| user.password.is_none()) {
        return vec![];
    }
    let line = format!("through pgweir:  psql {}", without_password(&url, *address));
    let whose = if url.password.is_some() { "the URL" } else { "[users]" };
    let asked = url.user.filter(|_| asks && named.is_some());
    let asked = asked.map(|user| {
        format!("                 psql asks for the password of {user}: that of {whose}; PGPASSWORD gives it to what cannot be asked")
    });
    std::iter::once(line).chain(asked).collect()
}

/// The database of a URL at an address of pgweir.
fn without_password(url: &config::url::Url, mut address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let user = url.user.as_deref().map_or(String::new(), |user| encoded(user) + "@");
    let database = url.database.as_deref().map_or(String::new(), |name| format!("/{}", encoded(name)));
    format!("postgres://{user}{address}{database}")
}

fn refuse(errors: &[ConfigError]) -> ExitCode {
    for error in errors {
        complain!("{error}");
    }
    ExitCode::FAILURE
}

/// Checks rule files if there are any, and the settings unless there are rule files only.
fn check_all<T: check::Trial>(arguments: &RunArgs, trial: impl FnOnce(Settings) -> T) -> ExitCode {
    let rules_are_well =
        match arguments.rules.as_deref().map(|folder| rules::check(folder, &mut printed::stdout())) {
            None | Some(Ok(true)) => true,
            Some(Ok(false)) => false,
            Some(Err(error)) => {
                complain!("standard output: {error}");
                false
            }
        };
    let only_rules = arguments.rules.is_some() && arguments.config.is_none() && arguments.url.is_none();
    let settings = match only_rules {
        true => ExitCode::SUCCESS,
        false => match config::load_with_origins(&arguments.sources()) {
            Ok(loaded) => {
                let folder = arguments.rules.as_deref().filter(|_| rules_are_well);
                folder.into_iter().for_each(|folder| warn_of_rules(folder, &loaded.settings));
                check(&loaded, folder, &trial(loaded.settings.clone()))
            }
            Err(errors) => refuse(&errors),
        },
    };
    if rules_are_well { settings } else { ExitCode::FAILURE }
}

/// Prints which sound rules do nothing with these settings.
fn warn_of_rules(folder: &Path, settings: &Settings) {
    let told = rules::compile(folder).map(|rules| without_replicas(&rules, settings)).unwrap_or_default();
    told.iter().for_each(|problem| drop(writeln!(printed::stdout(), "  {problem}")));
}

/// Checks the settings, and whether what rules say of tables is of tables that there are.
fn check(loaded: &Loaded, rules: Option<&Path>, trial: &impl check::Trial) -> ExitCode {
    until_said(async {
        let well = check::run(loaded, trial, &mut printed::stdout()).await?;
        let known = match rules {
            Some(folder) => rules::check_names(folder, &loaded.settings, trial).await,
            None => true,
        };
        Ok(well && known)
    })
}

/// Installs, shows or drops the optional objects.
fn tend_upstream<T: upstream::Open>(
    command: &upstream::UpstreamCommand,
    servers: impl FnOnce(Settings) -> T,
) -> ExitCode {
    let url = Some(command.arguments().url.clone());
    match config::load_with_origins(&Sources { url, ..Sources::default() }) {
        Ok(Loaded { settings, .. }) => {
            let servers = servers(settings.clone());
            until_said(upstream::run(command, &settings, &servers, &mut printed::stdout()))
        }
        Err(errors) => refuse(&errors),
    }
}

/// Works as an application that has problems.
fn put_load<T: upstream::Open>(
    arguments: &demo::load::LoadArgs,
    servers: impl FnOnce(Settings) -> T,
) -> ExitCode {
    let url = Some(arguments.url.clone());
    match config::load_with_origins(&Sources { url, ..Sources::default() }) {
        Ok(Loaded { settings, .. }) => {
            let servers = servers(settings.clone());
            until_said(demo::load::run(arguments, &settings, &servers, &mut printed::stdout()))
        }
        Err(errors) => refuse(&errors),
    }
}

/// Runs what says something and whether all is well.
fn until_said(work: impl Future<Output = std::io::Result<bool>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain!("no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(work) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            complain!("standard output: {error}");
            ExitCode::FAILURE
        }
    }
}

fn explain<T: explain::Catalog>(arguments: &ExplainArgs, catalog: impl FnOnce(Settings) -> T) -> ExitCode {
    let known = match ask_catalog(arguments, catalog) {
        Ok(known) => known,
        Err(problems) => {
            problems.iter().for_each(|problem| complain!("{problem}"));
            return ExitCode::FAILURE;
        }
    };
    let ruleset = match arguments.rules.as_deref().map(rules::compile) {
        Some(None) => return ExitCode::FAILURE,
        compiled => compiled.flatten(),
    };
    let circumstances = explain::Circumstances {
        known: known.as_ref(),
        rules: ruleset.as_ref().map(|ruleset| (ruleset, rules::context(arguments))),
        params: &arguments.params,
    };
    match explain::print(&arguments.sql, &circumstances, &mut printed::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain!("standard output: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What the database knows, if one is given.
fn ask_catalog<T: explain::Catalog>(
    arguments: &ExplainArgs,
    catalog: impl FnOnce(Settings) -> T,
) -> Result<Option<explain::Known>, Vec<String>> {
    if arguments.url.is_none() && arguments.config.is_none() {
        return Ok(None);
    }
    let sources =
        Sources { file: arguments.config.clone(), url: arguments.url.clone(), ..Sources::default() };
    let loaded = config::load_with_origins(&sources);
    let settings =
        loaded.map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())?.settings;
    let database =
        explain::database(&settings, arguments.database.as_deref()).map_err(|problem| vec![problem])?;
    let Some(database) = database.map(str::to_owned) else { return Ok(None) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| vec![format!("no runtime: {error}")])?;
    let known = runtime.block_on(catalog(settings).known(&database, arguments.user.as_deref()));
    known.map(Some).map_err(|fault| vec![format!("database `{database}`: {fault}")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn what_is_pasted_shows_no_password() {
        let check = |url: &str, listen: &str, expected: &str| {
            let sources =
                Sources { url: Some(url.into()), listen: vec![listen.into()], ..Sources::default() };
            let settings = config::load(&sources).expect("good settings");
            let lines = to_paste(url, &settings);
            assert_eq!(lines[0].split_once("psql postgres://"), Some(("through pgweir:  ", expected)));
            assert!(lines.iter().all(|line| !line.contains("sekret")), "{lines:?}");
        };
        check("postgres://app:sekret@db1,db2/shop?pool_size=4", "127.0.0.1:6432", "app@127.0.0.1:6432/shop");
        check("postgres:///my%20db?user=a%40b&password=sekret", "0.0.0.0:1", "a%40b@127.0.0.1:1/my%20db");
        check("postgres://app:sekret@db", "[::]:6432", "app@[::1]:6432");
    }

    #[test]
    fn whose_password_psql_asks_for_is_told_where_it_does() {
        let lines = |url: &str, method: &str| {
            let sources = Sources { url: Some(url.into()), ..Sources::default() };
            let mut settings = config::load(&sources).expect("good settings");
            if method == "trust" {
                settings.auth.method = crate::config::settings::AuthMethod::Trust;
            }
            to_paste(url, &settings)
        };
        let url = "postgres://app:sekret@h/shop";
        let told = "                 psql asks for the password of app: that of the URL; PGPASSWORD gives it to what cannot be asked";
        assert_eq!(lines(url, "scram-sha-256").get(1).map(String::as_str), Some(told));
        assert_eq!(lines(url, "trust").len(), 1);
        assert_eq!(lines("postgres://h/shop", "scram-sha-256").len(), 1);
    }

    #[test]
    fn a_user_without_a_password_gets_no_line_to_paste() {
        let pasted = |url: &str| {
            let sources = Sources { url: Some(url.into()), ..Sources::default() };
            let loaded = config::load_with_origins(&sources).expect("good settings");
            let notes: Vec<_> = loaded.notes.iter().map(ToString::to_string).collect();
            (!to_paste(url, &loaded.settings).is_empty(), notes)
        };
        let (is_there, notes) = pasted("postgres://trust2@h/shop");
        assert!(!is_there);
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert!(notes[0].starts_with("URL: `trust2` has no password here"), "{notes:?}");
        assert_eq!(pasted("postgres://app:sekret@h/shop"), (true, vec![]));
        let folder = std::env::temp_dir().join(format!("pgweir-url-{}", std::process::id()));
        std::fs::write(&folder, "postgres://app:sekret@h/shop\n").expect("written");
        assert_eq!(pasted(&format!("file:{}", folder.display())), (true, vec![]));
        std::fs::remove_file(&folder).expect("removed");
    }

    #[test]
    fn arguments_become_sources_and_are_not_shown() {
        let words = "pgweir check --listen [::1]:1 --listen 127.0.0.1:2 --http off --config f.toml postgres://u:sekret@h/d";
        let Command::Check(arguments) = Cli::parse_from(words.split(' ')).command else {
            panic!("not check");
        };
        assert!(!format!("{arguments:?}").contains("sekret"));
        let sources = arguments.sources();
        assert_eq!(sources.listen, ["[::1]:1", "127.0.0.1:2"]);
        assert_eq!(sources.http.as_deref(), Some("off"));
        assert_eq!(sources.file, Some(PathBuf::from("f.toml")));
        assert_eq!(sources.url.as_deref(), Some("postgres://u:sekret@h/d"));
    }
}
