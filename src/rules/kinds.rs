//! Kinds of values in rule files: what each accepts, and how it is read.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use toml::de::DeValue;
use toml::value::Datetime;

use super::action::{
    Block, Concern, Concurrency, Consistency, Hint, Level, Mirror, Per, Rate, Route, Share, Then, Throttle,
};
use super::caching::{self, Cache, TableName};
use super::calendar::{DAY_NAMES, Date, Days, MINUTES, Seconds, Window};
use super::condition::{Classes, When};
use super::file::{Decided, Mode};
use super::glob::{self, Dotted, Glob};
use super::keys;
use super::network::Network;
use super::pattern::Pattern;
use super::reader::{Kind, Reader, Value, Wrong, because, shown};
use super::rewrite::Rewrite;
use crate::level::{Caching, InTransaction, OnStreamLoss};
use crate::spelling;
use crate::sql::Fingerprint;

type Reading<V> = Result<V, Wrong>;

macro_rules! kind {
    ($(#[doc = $doc:literal] $NAME:ident: $V:ty = $name:literal, $accepts:literal, $read:expr;)+) => {
        $(#[doc = $doc] pub(super) const $NAME: Kind<$V> =
            Kind { name: $name, accepts: $accepts, read: $read };)+
    };
}

kind! {
    /// The name of a rule.
    NAME: Box<str> = "name", "a name of up to 63 letters, digits, `-`, `_` and `.`", |value, _| name(value);
    /// Words for people.
    TEXT: Box<str> = "text", "text in quotes", |value, _| plain(value, TEXT_LONGEST);
    /// Text that is not looked into.
    RAW: Box<str> = "text", "text in quotes", |value, _| text(value).map(Into::into);
    /// Yes or no.
    BOOL: bool = "boolean", "true or false", |value, _| value.get_ref().as_bool().ok_or(Wrong::NotThat);
    /// Enforced, or only counted.
    MODE: Mode = "word", "\"enforce\" or \"shadow\"",
        |value, _| pick(value, &[("enforce", Mode::Enforce), ("shadow", Mode::Shadow)]);
    /// A day.
    DATE: Date = "date", "a date such as 2027-03-31", |value, _| date(value);
    /// Conditions.
    WHEN: When = "table", "a table of the keys of `when`", |value, reader| reader.inner(&keys::WHEN, value);
    /// Actions.
    THEN: Then = "table", "a table of the keys of `then`", |value, reader| reader.inner(&keys::THEN, value);
    /// Classes and verdicts.
    CLASSES: Classes = "words", "a class or a list of them: select, insert, update, delete, merge, truncate, copy, define, call, transaction, session, explain, utility, several, unknown, read, write",
        |value, _| classes(value);
    /// Tables.
    TABLES: Vec<Dotted> = "patterns", "a name or a list of them, as in \"orders\", \"sales.orders\", \"sales.*\" or \"tmp_*\"",
        |value, _| list(value, |text| dotted(text, 2));
    /// Columns.
    COLUMNS: Vec<Dotted> = "patterns", "a name or a list of them, as in \"tenant_id\" or \"orders.tenant_id\"",
        |value, _| list(value, |text| dotted(text, 3));
    /// Shapes.
    FINGERPRINTS: Vec<Fingerprint> = "fingerprints", "a fingerprint of 32 hexadecimal digits or a list of them; `pgweir explain` shows it",
        |value, _| list(value, |text| text.parse().map_err(|_| Wrong::Because(format!("has {text:?}, which is no fingerprint; `pgweir explain` shows those of a statement, 32 hexadecimal digits"))));
    /// Names.
    GLOBS: Vec<Glob> = "patterns", "a name or a list of them, in which `*` stands for anything",
        |value, _| list(value, glob);
    /// Networks.
    NETWORKS: Vec<Network> = "networks", "a network such as \"10.0.0.0/8\", an address, \"local\" (the unix socket), or a list of them",
        |value, _| list(value, |text| Network::parse(text).map_err(|problem| Wrong::Because(format!("has {text:?}, which {problem}"))));
    /// A share.
    PERCENT: Share = "number", "a number from 0.01 to 100", |value, _| share(value, 1);
    /// The same, or none of it.
    PERCENT_OR_ZERO: Share = "number", "a number from 0.01 to 100, or 0", |value, _| share(value, 0);
    /// A time of day.
    WINDOW: Window = "table", "a table of the keys of `time`", |value, reader| window(value, reader);
    /// Days of the week.
    DAYS: Days = "words", "a day or a list of days: mon, tue, wed, thu, fri, sat, sun", |value, _| days(value);
    /// A minute of the day.
    CLOCK: u16 = "time", "a time of day such as \"08:30\"; \"24:00\" is the end of the day", |value, _| clock(value);
    /// An offset from UTC, in minutes.
    ZONE: i16 = "offset", "an offset from UTC such as \"+01:00\", or \"UTC\"", |value, _| zone(value);
    /// A regular expression.
    REGEX: Pattern = "regular expression", "a regular expression in quotes",
        |value, _| Pattern::new(text(value)?).map_err(Wrong::Because);
    /// A node or a role.
    ROUTE: Route = "word", "\"primary\", \"replica\", \"any\", or the name of a node",
        |value, _| Ok(match &*node(value)? {
            "primary" => Route::Primary,
            "replica" => Route::Replica,
            "any" => Route::Any,
            node => Route::Node(node.into()),
        });
    /// A node.
    NODE: Box<str> = "address", "an address as in `hosts`, such as \"10.0.0.7:5432\"", |value, _| node(value);
    /// A level of consistency.
    CONSISTENCY: Consistency = "word", "\"session\", \"bounded:500ms\" (or another time), \"any\" or \"primary\"",
        |value, _| consistency(value);
    /// A time longer than none.
    DURATION: Duration = "duration", "a duration with a unit, such as \"500ms\", \"5s\" or \"1h\"",
        |value, _| duration(text(value)?);
    /// A length of time, or none.
    WAIT: Duration = "duration", "a duration with a unit, such as \"500ms\" or \"5s\", or \"0s\"",
        |value, _| if text(value)?.trim() == "0s" { Ok(Duration::ZERO) } else { duration(text(value)?) };
    /// A number of things.
    COUNT: u32 = "number", "a whole number from 1 to 1000000", |value, _| number(value, 1, 1_000_000).map(|n| n as u32);
    /// A number of things, or none.
    COUNT_OR_ZERO: u32 = "number", "a whole number from 0 to 100000", |value, _| number(value, 0, 100_000).map(|n| n as u32);
    /// A number of rows.
    ROWS: u64 = "number", "a whole number from 1", |value, _| number(value, 1, i64::MAX as u64);
    /// A number of a session.
    SESSION: u64 = "number", "a whole number from 0", |value, _| number(value, 0, i64::MAX as u64);
    /// Answers that are kept.
    CACHE: Arc<Cache> = "table", "a table of the keys of `cache`", |value, reader| caching::read(value, reader).map(Arc::new);
    /// A level of the cache.
    CACHING: Caching = "word", "\"ttl\", \"bounded\", \"session\", \"strict\" or \"strict_all\"",
        |value, _| pick(value, &Caching::WORDS);
    /// What a lost stream means.
    STREAM_LOSS: OnStreamLoss = "word", "\"bypass\" or \"ttl\"", |value, _| pick(value, &OnStreamLoss::WORDS);
    /// In which transactions.
    IN_TRANSACTION: InTransaction = "word", "\"never\" or \"read_only\"", |value, _| pick(value, &InTransaction::WORDS);
    /// Names of tables.
    TABLE_NAMES: Vec<TableName> = "names", "a table or a list of them, as in \"prices\" or \"sales.prices\"",
        |value, _| list(value, TableName::read);
    /// Tables, and those that their triggers write.
    TRIGGER_WRITES: Vec<(TableName, Vec<TableName>)> = "table",
        "a table of tables, each with a table or a list of them, as in { orders = [\"audit\", \"stock\"] }; an empty list: none",
        |value, _| caching::by_table(value, |tables| names(tables, TableName::read));
    /// Tables, and columns of theirs.
    IMMUTABLE: Vec<(TableName, Vec<Box<str>>)> = "table",
        "a table of tables, each with a column or a list of them, as in { orders = [\"tenant_id\"] }",
        |value, _| caching::by_table(value, |columns| list(columns, caching::column));
    /// A template.
    REWRITE: Rewrite = "table", "a table of the keys of `rewrite`", |value, reader| {
        let written = reader.inner(&keys::REWRITE, value)?;
        Rewrite::new(&written.from, &written.to).map_err(Wrong::Because)
    };
    /// A refusal.
    BLOCK: Block = "table", "a table of the keys of `block`", |value, reader| reader.inner(&keys::BLOCK, value);
    /// An SQLSTATE.
    SQLSTATE: Box<str> = "SQLSTATE", "five digits or capital letters that are no success or warning, such as \"42501\"",
        |value, _| sqlstate(value);
    /// A rate limit.
    THROTTLE: Throttle = "table", "a table of the keys of `throttle`", |value, reader| reader.inner(&keys::THROTTLE, value);
    /// So many in a time.
    RATE: Rate = "rate", "a number in a time, such as \"100/s\", \"20/m\" or \"5/10s\"", |value, _| rate(value);
    /// What statements are told apart by.
    PER: Per = "word", "\"rule\", \"user\", \"database\", \"application\" or \"client\"", |value, _| pick(value, &[
        ("rule", Per::Rule), ("user", Per::User), ("database", Per::Database),
        ("application", Per::Application), ("client", Per::Client),
    ]);
    /// A bound on how many run.
    CONCURRENCY: Concurrency = "table", "a table of the keys of `concurrency`",
        |value, reader| reader.inner(&keys::CONCURRENCY, value);
    /// A copy to another node.
    MIRROR: Mirror = "table", "a table of the keys of `mirror`", |value, reader| reader.inner(&keys::MIRROR, value);
    /// Hints of `pg_hint_plan`.
    HINT: Hint = "text", "hints in quotes, such as \"SeqScan(orders)\", without comment signs", |value, _| hint(value);
    /// A level of the log.
    LEVEL: Level = "word", "\"error\", \"warn\", \"info\" or \"debug\"", |value, _| pick(value, &[
        ("error", Level::Error), ("warn", Level::Warn), ("info", Level::Info), ("debug", Level::Debug),
    ]);
    /// Where a client is.
    CLIENT: Option<IpAddr> = "address", "an IP address, or \"local\" (the unix socket)", |value, _| match text(value)? {
        "local" => Ok(None),
        address => address.parse().map(Some).map_err(|_| Wrong::NotThat),
    };
    /// A moment.
    MOMENT: Seconds = "moment", "a date and time with its offset, such as 2027-03-31T08:00:00Z", |value, _| moment(value);
    /// One class.
    CLASS: Box<str> = "word", "a class: select, insert, update, ...", |value, _| one_class(value);
    /// Which rule decides what.
    DECIDED: Decided = "table", "a table of concerns (the keys of `then`) and the names of rules", |value, _| decided(value);
    /// Names of rules.
    RULES: Vec<Box<str>> = "names", "a list of names of rules; it may be empty", |value, _| names(value, |text| Ok(text.into()));
}

/// The longest text, in bytes.
const TEXT_LONGEST: usize = 1000;
/// The most members of a list.
const LIST_LONGEST: usize = 1000;
/// So that adding one to any instant cannot overflow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
const DURATION_UNITS: &str = "us, ms, s, m or min, h, d";

fn text<'a>(value: &'a Value<'_>) -> Reading<&'a str> {
    value.get_ref().as_str().ok_or(Wrong::NotThat)
}

/// Text that may be shown to a client or in a log.
fn plain(value: &Value<'_>, longest: usize) -> Reading<Box<str>> {
    let text = text(value)?;
    if text.trim().is_empty() {
        return because("is empty; write something or remove it");
    }
    if text.len() > longest {
        return because(format!("is longer than {longest} bytes; make it shorter"));
    }
    if text.chars().any(char::is_control) {
        return because("holds a control character, such as the end of a line; remove it");
    }
    Ok(text.into())
}

fn name(value: &Value<'_>) -> Reading<Box<str>> {
    let text = text(value)?;
    let sound = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    match (1..=63).contains(&text.len()) && text.chars().all(sound) {
        true => Ok(text.into()),
        false => Err(Wrong::NotThat),
    }
}

fn node(value: &Value<'_>) -> Reading<Box<str>> {
    let text = plain(value, 255)?;
    match text.contains(char::is_whitespace) {
        true => because("holds a blank, which no node's name has"),
        false => Ok(text),
    }
}

/// One text, or a list of them that is not empty.
fn list<V>(value: &Value<'_>, mut read: impl FnMut(&str) -> Reading<V>) -> Reading<Vec<V>> {
    match value.get_ref() {
        DeValue::String(text) => read(text).map(|value| vec![value]),
        DeValue::Array(items) if items.is_empty() => {
            because("is an empty list; remove it, or name something")
        }
        DeValue::Array(items) if items.len() > LIST_LONGEST => {
            because(format!("has more than {LIST_LONGEST} members; use a pattern, or several rules"))
        }
        DeValue::Array(items) => items
            .iter()
            .map(|item| {
                let at = item.span().start;
                let text = item.get_ref().as_str().ok_or_else(|| {
                    Wrong::At(at, format!("holds {}; put it in quotes", shown(item.get_ref())))
                })?;
                read(text).map_err(|wrong| match wrong {
                    Wrong::Because(reason) => Wrong::At(at, reason),
                    Wrong::NotThat => Wrong::At(at, format!("holds {text:?}, which is not possible")),
                    other => other,
                })
            })
            .collect(),
        _ => Err(Wrong::NotThat),
    }
}

/// The same, and the list may be empty.
fn names<V>(value: &Value<'_>, read: impl FnMut(&str) -> Reading<V>) -> Reading<Vec<V>> {
    match value.get_ref() {
        DeValue::Array(items) if items.is_empty() => Ok(vec![]),
        _ => list(value, read),
    }
}

fn pick<V: Copy>(value: &Value<'_>, choices: &[(&'static str, V)]) -> Reading<V> {
    let text = text(value)?;
    if let Some((_, value)) = choices.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    match spelling::nearest(text, choices.iter().map(|(word, _)| *word)) {
        Some(near) => because(format!("is {text:?}; did you mean `{near}`?")),
        None => Err(Wrong::NotThat),
    }
}

fn one_of(text: &str, known: impl Iterator<Item = &'static str> + Clone, what: &str) -> Wrong {
    match spelling::nearest(text, known.clone()) {
        Some(near) => Wrong::Because(format!("has {text:?}; did you mean `{near}`?")),
        None => {
            let known: Vec<_> = known.collect();
            Wrong::Because(format!("has {text:?}, which is no {what}; there are {}", known.join(", ")))
        }
    }
}

fn classes(value: &Value<'_>) -> Reading<Classes> {
    let mut all = Classes::default();
    let words = || Classes::words().collect::<Vec<_>>().into_iter();
    list(value, |word| {
        all = all.with(word).ok_or_else(|| one_of(word, words(), "class"))?;
        Ok(())
    })?;
    Ok(all)
}

fn one_class(value: &Value<'_>) -> Reading<Box<str>> {
    let word = text(value)?;
    let known = || super::condition::CLASS_NAMES.iter().map(|(name, _)| *name);
    match known().any(|name| name == word) {
        true => Ok(word.into()),
        false => Err(one_of(word, known(), "class")),
    }
}

fn glob(text: &str) -> Reading<Glob> {
    match text.len() {
        0 => because("holds an empty text; remove it"),
        length if length > glob::LONGEST => {
            because(format!("holds a pattern of more than {} bytes", glob::LONGEST))
        }
        _ => Ok(Glob::new(text)),
    }
}

fn dotted(text: &str, parts: usize) -> Reading<Dotted> {
    glob(text)?;
    let form = if parts == 2 { "name or schema.name" } else { "column, table.column or schema.table.column" };
    Dotted::new(text, parts)
        .ok_or_else(|| Wrong::Because(format!("has {text:?}, which is no name; write {form}")))
}

fn number(value: &Value<'_>, least: u64, most: u64) -> Reading<u64> {
    let DeValue::Integer(number) = value.get_ref() else { return Err(Wrong::NotThat) };
    match u64::from_str_radix(number.as_str(), number.radix()) {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(Wrong::NotThat),
    }
}

/// `least` in hundredths of a percent.
fn share(value: &Value<'_>, least: u16) -> Reading<Share> {
    let number: f64 = match value.get_ref() {
        DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse().ok(),
        DeValue::Float(number) => number.as_str().parse().ok(),
        _ => None,
    }
    .ok_or(Wrong::NotThat)?;
    let hundredths = (number * 100.0).round();
    if !(f64::from(least)..=10_000.0).contains(&hundredths) {
        return Err(Wrong::NotThat);
    }
    if (hundredths - number * 100.0).abs() > 1e-6 {
        return because("has more than two digits behind the point; 0.01 is the smallest step");
    }
    Ok(Share(hundredths as u16))
}

fn duration(text: &str) -> Reading<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().or(Err(Wrong::NotThat))?;
    let duration = match text[digits..].trim() {
        "us" => Duration::from_micros(number),
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" | "min" => Duration::from_secs(number.saturating_mul(60)),
        "h" => Duration::from_secs(number.saturating_mul(3600)),
        "d" => Duration::from_secs(number.saturating_mul(86400)),
        "" => {
            return because(format!(
                "is {number} without a unit; write for example \"{number}s\" (the units are {DURATION_UNITS})"
            ));
        }
        unit => return because(format!("has the unit `{unit}`; the units are {DURATION_UNITS}")),
    };
    if duration.is_zero() {
        return because("is zero, but must be longer");
    }
    if duration > LONGEST {
        return because(format!("is {text:?}, but the longest possible is \"365d\""));
    }
    Ok(duration)
}

fn consistency(value: &Value<'_>) -> Reading<Consistency> {
    Consistency::read(text(value)?, duration).unwrap_or_else(|| pick(value, &Consistency::WORDS))
}

fn rate(value: &Value<'_>) -> Reading<Rate> {
    let (count, per) = text(value)?.split_once('/').ok_or(Wrong::NotThat)?;
    let count =
        count.trim().parse().ok().filter(|count| (1..=1_000_000).contains(count)).ok_or(Wrong::NotThat)?;
    let per = per.trim();
    let whole =
        if per.starts_with(|c: char| c.is_ascii_digit()) { per.to_owned() } else { format!("1{per}") };
    Ok(Rate { count, per: duration(&whole)? })
}

fn sqlstate(value: &Value<'_>) -> Reading<Box<str>> {
    let text = text(value)?;
    let sound = text.len() == 5 && text.chars().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase());
    match sound && !["00", "01", "02"].contains(&&text[..2]) {
        true => Ok(text.into()),
        false => Err(Wrong::NotThat),
    }
}

fn hint(value: &Value<'_>) -> Reading<Hint> {
    let text = plain(value, TEXT_LONGEST)?;
    match text.contains("*/") || text.contains("/*") {
        true => because("holds a comment sign; write the hints only"),
        false => Ok(Hint(text)),
    }
}

fn days(value: &Value<'_>) -> Reading<Days> {
    let mut all = Days::NONE;
    list(value, |word| {
        let day = DAY_NAMES.iter().position(|name| *name == word);
        all = all.with(day.ok_or_else(|| one_of(word, DAY_NAMES.into_iter(), "day"))?);
        Ok(())
    })?;
    Ok(all)
}

/// Hours and minutes.
fn hours(text: &str) -> Option<(u16, u16)> {
    let (hour, minute) = text.split_once(':')?;
    let part = |text: &str| {
        Some(text).filter(|t| t.len() == 2 && t.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()
    };
    Some((part(hour)?, part(minute).filter(|minute| *minute < 60)?))
}

fn clock(value: &Value<'_>) -> Reading<u16> {
    let (hour, minute) = hours(text(value)?).ok_or(Wrong::NotThat)?;
    Some(hour * 60 + minute).filter(|minutes| *minutes <= MINUTES).ok_or(Wrong::NotThat)
}

fn zone(value: &Value<'_>) -> Reading<i16> {
    let text = text(value)?;
    if text == "UTC" {
        return Ok(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let (hour, minute) = text.strip_prefix(['+', '-']).and_then(hours).ok_or(Wrong::NotThat)?;
    match hour <= 15 {
        true => Ok(sign * (hour * 60 + minute) as i16),
        false => Err(Wrong::NotThat),
    }
}

fn window(value: &Value<'_>, reader: &mut Reader<'_>) -> Reading<Window> {
    let window = reader.inner(&keys::TIME, value)?;
    if window.from == window.to || window.from == MINUTES {
        return because("begins when it ends; leave out `from` and `to` for the whole day");
    }
    Ok(window)
}

fn date(value: &Value<'_>) -> Reading<Date> {
    match value.get_ref() {
        DeValue::Datetime(Datetime { date: Some(date), time: None, offset: None }) => {
            Ok(Date { year: date.year, month: date.month, day: date.day })
        }
        _ => Err(Wrong::NotThat),
    }
}

fn moment(value: &Value<'_>) -> Reading<Seconds> {
    let DeValue::Datetime(Datetime { date: Some(date), time: Some(time), offset: Some(offset) }) =
        value.get_ref()
    else {
        return Err(Wrong::NotThat);
    };
    let minutes = match offset {
        toml::value::Offset::Z => 0,
        toml::value::Offset::Custom { minutes } => i64::from(*minutes),
    };
    let start = Date { year: date.year, month: date.month, day: date.day }.start();
    let seconds =
        i64::from(time.hour) * 3600 + i64::from(time.minute) * 60 + i64::from(time.second.unwrap_or(0));
    Ok(start + seconds - minutes * 60)
}

fn decided(value: &Value<'_>) -> Reading<Decided> {
    let table = value.get_ref().as_table().ok_or(Wrong::NotThat)?;
    let mut all = Decided::default();
    for (key, rule) in table {
        let names = Concern::ALL.iter().map(|concern| concern.name());
        let Some(concern) = Concern::named(key.get_ref()) else {
            let Wrong::Because(problem) = one_of(key.get_ref(), names, "concern") else { continue };
            return Err(Wrong::At(key.span().start, problem));
        };
        let rule = rule.get_ref().as_str();
        let rule =
            rule.ok_or_else(|| Wrong::At(key.span().start, "takes names of rules in quotes".to_owned()))?;
        all.insert(concern, rule.into());
    }
    Ok(all)
}
