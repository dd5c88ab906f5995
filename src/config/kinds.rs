//! Kinds of values: what each accepts, and how it is read.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::host;
use super::settings::{
    AuthMethod, Binding, Capture, ClientTlsMode, Host, PinPolicy, PoolMode, Secret, Sharing, SslMode,
    TargetSessionAttrs,
};
use super::{startup_options, suggest};
use crate::plan::balance::Strategy;
use crate::plan::consistency::Level;
use crate::plan::topology::Transactions;

/// A value as somebody wrote it.
#[derive(Clone, PartialEq)]
pub enum Given {
    /// `true` or `false` in the file.
    Bool(bool),
    /// A whole number in the file.
    Integer(i64),
    /// Text in quotes in the file.
    Text(String),
    /// A word of a URL or of the command line, where everything is text.
    Word(String),
    /// A list in the file.
    List(Vec<Given>),
    /// Anything else, by what it is: "a table".
    Other(&'static str),
}

impl Given {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Word(text) => Some(text),
            _ => None,
        }
    }
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Text(value) => write!(f, "{value:?}"),
            Self::Word(value) => write!(f, "`{value}`"),
            Self::List(_) => f.write_str("a list"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

/// What values are read against.
pub struct Context<'a> {
    /// Relative paths start here: the folder of the settings file.
    pub folder: PathBuf,
    /// Environment variables, for `env:NAME`.
    pub env: &'a dyn Fn(&str) -> Option<String>,
}

/// Why a value is refused.
pub enum Problem {
    /// It is not what the kind accepts.
    NotThat,
    /// Something that can be said better; continues the sentence "`key` ...".
    Because(String),
}

type Reading<V> = Result<V, Problem>;

/// A kind of value.
pub struct Kind<V: 'static> {
    /// One word for the reference page.
    pub name: &'static str,
    /// What it accepts; continues "takes ...".
    pub accepts: &'static str,
    read: fn(&Given, &Context<'_>) -> Reading<V>,
}

impl<V> Kind<V> {
    /// The value, or the rest of a sentence that begins with the name of the key.
    pub fn value(&self, given: &Given, context: &Context<'_>) -> Result<V, String> {
        (self.read)(given, context).map_err(|problem| match problem {
            Problem::NotThat => format!("is {given}, but takes {}", self.accepts),
            Problem::Because(reason) => reason,
        })
    }
}

fn because<V>(reason: impl Into<String>) -> Reading<V> {
    Err(Problem::Because(reason.into()))
}

macro_rules! kind {
    ($(#[doc = $doc:literal] $NAME:ident: $V:ty = $name:literal, $accepts:literal, $read:expr;)+) => {
        $(#[doc = $doc] pub const $NAME: Kind<$V> =
            Kind { name: $name, accepts: $accepts, read: $read };)+
    };
}

kind! {
    /// Yes or no.
    BOOL: bool = "boolean", "true or false", |given, _| boolean(given);
    /// A number of things that may be none.
    COUNT: usize = "number", "a whole number from 0", |given, _| number(given, 0..=MANY);
    /// A number of things, one at least.
    POSITIVE: usize = "number", "a whole number from 1", |given, _| number(given, 1..=MANY);
    /// Threads; `auto`: as many as suit the machine.
    WORKERS: usize = "number", "a whole number from 1 to 1024, or \"auto\"", |given, _| {
        match given.text() {
            Some("auto") => Ok(automatic_workers()),
            _ => number(given, 1..=1024),
        }
    };
    /// A time longer than none.
    DURATION: Duration = "duration", "a duration with a unit, such as \"500ms\", \"5s\" or \"1h\"",
        |given, _| match is_bare_zero(given) {
            true => not_zero(Duration::ZERO),
            false => duration(given).and_then(not_zero),
        };
    /// A time that may be none.
    DURATION_OR_ZERO: Duration = "duration", "a duration with a unit, such as \"30s\" or \"0s\"",
        |given, _| duration(given);
    /// A time, or never.
    DURATION_OR_NEVER: Option<Duration> = "duration",
        "a duration with a unit, such as \"10m\", or \"never\"", |given, _| match given.text() {
            Some("never") => Ok(None),
            _ if is_bare_zero(given) => not_zero_but_never(Duration::ZERO).map(Some),
            _ => duration(given).and_then(not_zero_but_never).map(Some),
        };
    /// As `DURATION`; in a URL also seconds without a unit, since that is what libpq takes.
    CONNECT_TIMEOUT: Duration = "duration",
        "a duration with a unit, such as \"5s\" (in a URL also a number of seconds)", |given, _| {
            match given {
                Given::Word(word) if word.bytes().all(|byte| byte.is_ascii_digit()) =>
                    duration(&Given::Word(format!("{word}s"))).and_then(not_zero),
                _ => duration(given).and_then(not_zero),
            }
        };
    /// Bytes.
    SIZE: usize = "size", "a size with a unit, such as \"64kB\" or \"16MB\"", |given, _| size(given);
    /// Hundredths of a percent.
    PERCENTAGE: u16 = "percentage", "a percentage from \"0%\" to \"100%\", such as \"0.1%\"", |given, _| percentage(given);
    /// Text; `None` when empty.
    TEXT: Option<String> = "text", "text in quotes", |given, _| match given.text() {
        Some(text) => Ok(Some(text.to_owned()).filter(|text| !text.is_empty())),
        None => Err(Problem::NotThat),
    };
    /// Names of users.
    NAMES: Vec<String> = "list", "a list of names, such as [\"postgres\"]", |given, _| list(given);
    /// A file or folder; `None` when empty.
    FILE: Option<PathBuf> = "path", "a path in quotes (relative ones start at this file's folder)",
        |given, context| match given.text() {
            Some("") => Ok(None),
            Some(path) => Ok(Some(context.folder.join(path))),
            None => Err(Problem::NotThat),
        };
    /// TCP addresses to listen on.
    ADDRESSES: Vec<SocketAddr> = "list", "a list of addresses, such as [\"127.0.0.1:6432\"]",
        |given, _| list(given)?.iter().map(|text| address(text)).collect();
    /// A TCP address to listen on, or none.
    ADDRESS_OR_OFF: Option<SocketAddr> = "address", "an address, such as \"127.0.0.1:6433\", or \"off\"",
        |given, _| match given.text() {
            Some("off") => Ok(None),
            Some(text) => address(text).map(Some),
            None => Err(Problem::NotThat),
        };
    /// A password or something that holds one. No error shows it.
    SECRET: Option<Secret> = "secret", "text in quotes, \"env:NAME\" or \"file:/path\"", secret;
    /// Nodes.
    HOSTS: Vec<Host> = "list", "a list of hosts, such as [\"10.0.0.1:5432\", \"/run/postgresql\"]",
        |given, _| hosts(given);
    /// Nodes, perhaps none.
    SOME_HOSTS: Vec<Host> = "list", "a list of hosts, such as [\"10.0.0.3:5432\"], or []", |given, _| match given {
        Given::List(items) if items.is_empty() => Ok(vec![]),
        given => hosts(given),
    };
    /// Shares of nodes.
    WEIGHTS: Vec<(Host, u32)> = "list", "a list such as [\"10.0.0.2:5432=3\"], with weights from 1 to 1000",
        |given, _| of_hosts(given, |text| match text.parse() {
            Ok(weight @ 1..=1000) => Ok(weight),
            _ => Err("the weight is not a whole number from 1 to 1000"),
        });
    /// Places of nodes.
    ZONES: Vec<(Host, String)> = "list", "a list such as [\"10.0.0.2:5432=eu-1a\"]",
        |given, _| of_hosts(given, |text| match text {
            "" => Err("the zone is empty"),
            zone => Ok(zone.to_owned()),
        });
    /// What a read from a replica promises.
    CONSISTENCY: Level = "text", "\"session\", \"any\", \"primary\", or \"bounded:\" and a duration, such as \"bounded:500ms\"",
        |given, _| level(given);
    /// Settings for a server at start-up, as in libpq's `options`.
    OPTIONS: BTreeMap<String, String> = "text", "options, such as \"-c statement_timeout=5min\"",
        |given, _| match given.text() {
            Some(text) => startup_options::parse(text).map_err(Problem::Because),
            None => Err(Problem::NotThat),
        };
}

macro_rules! choice {
    ($(#[doc = $doc:literal] $NAME:ident: $V:ty =
        $first:literal => $first_value:expr $(, $word:literal => $value:expr)*;)+) => {
        $(#[doc = $doc] pub const $NAME: Kind<$V> = Kind {
            name: "choice",
            accepts: concat!("one of `", $first, "`" $(, ", `", $word, "`")*),
            read: |given, _| pick(given, &[($first, $first_value) $(, ($word, $value))*]),
        };)+
    };
}

choice! {
    /// TLS towards clients.
    CLIENT_TLS_MODE: ClientTlsMode = "disable" => ClientTlsMode::Disable, "allow" => ClientTlsMode::Prefer,
        "prefer" => ClientTlsMode::Prefer, "require" => ClientTlsMode::Require;
    /// How clients prove who they are.
    AUTH_METHOD: AuthMethod = "scram-sha-256" => AuthMethod::ScramSha256, "md5" => AuthMethod::Md5,
        "password" => AuthMethod::Password, "cert" => AuthMethod::Cert, "trust" => AuthMethod::Trust;
    /// When a server goes back to the pool.
    POOL_MODE: PoolMode = "session" => PoolMode::Session, "transaction" => PoolMode::Transaction,
        "statement" => PoolMode::Statement;
    /// What happens to state that cannot follow its session.
    PINS: PinPolicy = "pin" => PinPolicy::Pin, "refuse" => PinPolicy::Refuse;
    /// When short reads share a server.
    SHARING: Sharing = "auto" => Sharing::Auto, "always" => Sharing::Always, "off" => Sharing::Off;
    /// Whether statements are counted.
    CAPTURE: Capture = "auto" => Capture::Auto, "on" => Capture::On, "off" => Capture::Off;
    /// TLS towards servers.
    SSLMODE: SslMode = "disable" => SslMode::Disable, "allow" => SslMode::Allow, "prefer" => SslMode::Prefer,
        "require" => SslMode::Require, "verify-ca" => SslMode::VerifyCa, "verify-full" => SslMode::VerifyFull;
    /// How TLS towards servers begins; true: at once.
    SSLNEGOTIATION: bool = "postgres" => false, "direct" => true;
    /// Whether logins are tied to their TLS connection.
    BINDING: Binding = "disable" => Binding::Disable, "prefer" => Binding::Prefer, "require" => Binding::Require;
    /// Which host to take.
    TARGET: TargetSessionAttrs = "any" => TargetSessionAttrs::Any,
        "read-write" => TargetSessionAttrs::ReadWrite, "read-only" => TargetSessionAttrs::ReadOnly,
        "primary" => TargetSessionAttrs::Primary, "standby" => TargetSessionAttrs::Standby,
        "prefer-standby" => TargetSessionAttrs::PreferStandby;
    /// Where reads go; true: to replicas.
    READS: bool = "primary" => false, "replicas" => true;
    /// How a replica is chosen.
    BALANCE: Strategy = "latency" => Strategy::Latency, "round-robin" => Strategy::RoundRobin,
        "weighted" => Strategy::Weighted, "least-in-flight" => Strategy::LeastInFlight,
        "client-hash" => Strategy::ClientHash;
    /// Which transactions may be on replicas.
    TRANSACTIONS: Transactions = "primary" => Transactions::Primary,
        "read-committed" => Transactions::ReadCommitted, "all" => Transactions::All;
    /// Form of the log; true: JSON.
    LOG_FORMAT: bool = "text" => false, "json" => true;
    /// The least important event that is logged.
    LOG_LEVEL: &'static str = "error" => "error", "warn" => "warn", "info" => "info", "debug" => "debug",
        "trace" => "trace";
}

/// More than anybody means, and far from overflow.
const MANY: usize = 10_000_000;
/// So that adding one to any instant cannot overflow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
const DURATION_UNITS: &str = "us, ms, s, m or min, h, d";
const SIZE_UNITS: &str = "B, kB, MB, GB";

fn automatic_workers() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 4).max(1))
}

fn boolean(given: &Given) -> Reading<bool> {
    match given {
        Given::Bool(value) => Ok(*value),
        Given::Word(word) => match word.as_str() {
            "true" | "on" | "yes" | "1" => Ok(true),
            "false" | "off" | "no" | "0" => Ok(false),
            _ => Err(Problem::NotThat),
        },
        _ => Err(Problem::NotThat),
    }
}

fn number(given: &Given, range: RangeInclusive<usize>) -> Reading<usize> {
    let number = match given {
        Given::Integer(number) => usize::try_from(*number).ok(),
        Given::Word(word) => word.parse().ok(),
        _ => None,
    };
    match number {
        Some(number) if range.contains(&number) => Ok(number),
        Some(number) if number > *range.end() => {
            because(format!("is {number}, but at most {} is possible", range.end()))
        }
        _ => Err(Problem::NotThat),
    }
}

/// A number and its unit; `None` in its place when there is no unit.
fn with_unit(given: &Given) -> Reading<(u64, Option<&str>)> {
    let text = match given {
        Given::Integer(number) => {
            return u64::try_from(*number).map(|number| (number, None)).or(Err(Problem::NotThat));
        }
        other => other.text().ok_or(Problem::NotThat)?,
    };
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number = text[..digits].parse().or(Err(Problem::NotThat))?;
    let unit = text[digits..].trim();
    Ok((number, Some(unit).filter(|unit| !unit.is_empty())))
}

fn duration(given: &Given) -> Reading<Duration> {
    let (number, unit) = with_unit(given)?;
    let duration = match unit {
        Some("us") => Duration::from_micros(number),
        Some("ms") => Duration::from_millis(number),
        Some("s") => Duration::from_secs(number),
        Some("m" | "min") => Duration::from_secs(number.saturating_mul(60)),
        Some("h") => Duration::from_secs(number.saturating_mul(3600)),
        Some("d") => Duration::from_secs(number.saturating_mul(86400)),
        Some(unit) => {
            return because(format!("has the unit `{unit}`; the units are {DURATION_UNITS}"));
        }
        None => {
            return because(format!(
                "is {number} without a unit; write for example \"{number}s\" (the units are {DURATION_UNITS})"
            ));
        }
    };
    if duration > LONGEST {
        return because(format!("is {given}, but the longest possible is \"365d\""));
    }
    Ok(duration)
}

/// Zero without a unit: where it is refused anyway, a hint to write a unit would lead to the next refusal.
fn is_bare_zero(given: &Given) -> bool {
    *given == Given::Integer(0) || given.text() == Some("0")
}

fn not_zero(duration: Duration) -> Reading<Duration> {
    match duration.is_zero() {
        true => because(
            "is zero, but must be longer; where there is to be no limit, write a long time, up to \"365d\"",
        ),
        false => Ok(duration),
    }
}

fn not_zero_but_never(duration: Duration) -> Reading<Duration> {
    match duration.is_zero() {
        true => because("is zero, but must be longer; write \"never\" where there is to be no limit"),
        false => Ok(duration),
    }
}

fn size(given: &Given) -> Reading<usize> {
    let (number, unit) = with_unit(given)?;
    let shift = match unit {
        Some("B") => 0,
        Some("kB") => 10,
        Some("MB") => 20,
        Some("GB") => 30,
        Some(unit) => {
            return because(format!("has the unit `{unit}`; the units are {SIZE_UNITS}, so written"));
        }
        None => {
            return because(format!(
                "is {number} without a unit; write for example \"{number}B\" (the units are {SIZE_UNITS})"
            ));
        }
    };
    let bytes = number.saturating_mul(1 << shift);
    match usize::try_from(bytes) {
        Ok(bytes) if (1024..=1 << 30).contains(&bytes) => Ok(bytes),
        _ => because(format!("is {given}, but must be from \"1kB\" to \"1GB\"")),
    }
}

fn percentage(given: &Given) -> Reading<u16> {
    let number = given.text().and_then(|text| text.strip_suffix('%')?.trim_end().parse::<f64>().ok());
    let hundredths = number.ok_or(Problem::NotThat)? * 100.0;
    if !(0.0..=10_000.0).contains(&hundredths) {
        return Err(Problem::NotThat);
    }
    if (hundredths.round() - hundredths).abs() > 1e-6 {
        return because(format!("is {given}, but 0.01% is the smallest step"));
    }
    Ok(hundredths.round() as u16)
}

fn list(given: &Given) -> Reading<Vec<String>> {
    let Given::List(items) = given else {
        return Err(Problem::NotThat);
    };
    items
        .iter()
        .map(|item| match item.text() {
            Some("") => because("holds an empty text; remove it"),
            Some(text) => Ok(text.to_owned()),
            None => because(format!("holds {item}; put it in quotes")),
        })
        .collect()
}

fn address(text: &str) -> Reading<SocketAddr> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let hint = match text.rsplit_once(':') {
        Some(("*", port)) => format!("write 0.0.0.0:{port}, and [::]:{port} beside it for IPv6"),
        Some(("localhost", port)) => format!("write 127.0.0.1:{port}"),
        _ => "write an IP address and a port, such as 127.0.0.1:6432 or [::1]:6432".to_owned(),
    };
    because(format!("holds `{text}`, which is not an address to listen on; {hint}"))
}

fn hosts(given: &Given) -> Reading<Vec<Host>> {
    let texts = match given.text() {
        Some(text) => text.split(',').map(|host| host.trim().to_owned()).collect(),
        None => list(given)?,
    };
    if texts.is_empty() {
        return because("is empty; name at least one host");
    }
    texts.iter().map(|text| host::parse(text).map_err(Problem::Because)).collect()
}

/// `HOST=VALUE` for several hosts.
fn of_hosts<V>(given: &Given, value: fn(&str) -> Result<V, &'static str>) -> Reading<Vec<(Host, V)>> {
    let texts = match given.text() {
        Some(text) => text.split(',').map(|one| one.trim().to_owned()).collect(),
        None => list(given)?,
    };
    let one = |text: &String| {
        let Some((host, given)) = text.rsplit_once('=') else {
            return because(format!("holds `{text}`, which has no `=`; write the host, `=` and its value"));
        };
        let host = host::parse(host).map_err(Problem::Because)?;
        let value = value(given).map_err(|reason| Problem::Because(format!("holds `{text}`: {reason}")))?;
        Ok((host, value))
    };
    texts.iter().map(one).collect()
}

fn level(given: &Given) -> Reading<Level> {
    let bound = |text: &str| duration(&Given::Word(text.to_owned())).and_then(not_zero);
    Level::read(given.text().ok_or(Problem::NotThat)?, bound).unwrap_or(Err(Problem::NotThat))
}

pub(super) fn secret(given: &Given, context: &Context<'_>) -> Reading<Option<Secret>> {
    let Some(text) = given.text() else {
        return because("must be text in quotes");
    };
    let secret = if let Some(name) = text.strip_prefix("env:") {
        (context.env)(name).ok_or_else(|| {
            Problem::Because(format!("asks for the environment variable {name}, which is not set"))
        })?
    } else if let Some(path) = text.strip_prefix("file:") {
        let path = context.folder.join(path);
        let secret = std::fs::read_to_string(&path).map_err(|error| {
            Problem::Because(format!("asks for the file {}, which cannot be read: {error}", path.display()))
        })?;
        secret.trim_end_matches(['\r', '\n']).to_owned()
    } else {
        text.strip_prefix("plain:").unwrap_or(text).to_owned()
    };
    if secret.contains('\0') {
        return because("holds a zero byte, which no password may");
    }
    Ok(Some(Secret(secret)).filter(|secret| !secret.0.is_empty()))
}

fn pick<V: Copy>(given: &Given, choices: &[(&'static str, V)]) -> Reading<V> {
    let text = given.text().ok_or(Problem::NotThat)?;
    if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let words = choices.iter().map(|(word, _)| *word);
    match suggest::nearest(text, words) {
        Some(near) => because(format!("is {given}; did you mean `{near}`?")),
        None => Err(Problem::NotThat),
    }
}
