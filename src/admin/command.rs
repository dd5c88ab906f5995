//! The console's language: words, a few of them commands, names in quotes where they need them.

mod cache;

use std::net::IpAddr;

use super::Wait;
use crate::sql::facts::Name;
use crate::wire::Fault;

/// A statement of the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// SHOW, and of what, in upper case.
    Show(String),
    /// PAUSE, of one database or of all.
    Pause(Option<String>),
    /// RESUME.
    Resume(Option<String>),
    /// RECONNECT.
    Reconnect(Option<String>),
    /// WAIT_CLOSE.
    WaitClose(Option<String>),
    /// KILL.
    Kill(Option<String>),
    /// KILL_CLIENT.
    KillClient(String),
    /// DISABLE (`true`) or ENABLE of a database.
    Disable(String, bool),
    /// MARK: what was deployed now.
    Mark(String),
    /// RELOAD.
    Reload,
    /// SHUTDOWN; whether it waits for transactions to end.
    Shutdown(Wait),
    /// EXPLAIN ROUTE.
    Explain(Box<Explain>),
    /// SHOW CACHE ENTRIES: so many at most, from this place on.
    CacheEntries(usize, usize),
    /// CACHE FLUSH, of what reads a table or of everything.
    CacheFlush(Option<Name>),
    /// CACHE BARRIER.
    CacheBarrier,
    /// BEGIN, COMMIT or ROLLBACK, which drivers send by themselves: the tag to answer, and whether a block is open.
    Block(&'static str, bool),
}

/// A statement to be explained, and the session that would send it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Explain {
    /// The statement.
    pub sql: String,
    /// The database; without it, the only one.
    pub database: Option<String>,
    /// Who has logged in.
    pub user: Option<String>,
    /// `application_name`.
    pub application: Option<String>,
    /// Where the client is; without it, on the unix socket.
    pub client: Option<IpAddr>,
}

/// How much of a command is logged, in characters.
const LOGGED: usize = 200;

/// A word as written.
#[derive(Debug, PartialEq, Eq)]
struct Word<'a> {
    text: String,
    quoted: bool,
    typed: &'a str,
}

/// Splits a text into its commands, each with how it was typed, for the log; empty statements are left out.
///
/// # Errors
/// 42601 for what is not a command.
pub fn parse(text: &str) -> Result<Vec<(Command, String)>, Fault> {
    let statements = split(text)?;
    let statements = statements.iter().filter(|words| !words.is_empty());
    statements.map(|words| Ok((command(words)?, typed(words)))).collect()
}

fn typed(words: &[Word<'_>]) -> String {
    let words: Vec<_> = words.iter().map(|word| word.typed).collect();
    loggable(&words.join(" "))
}

/// What may go into a line of the log: without control characters, and cut off where it is too long.
pub fn loggable(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let cut = if text.chars().nth(LOGGED).is_some() { "..." } else { "" };
    text.chars().take(LOGGED).map(plain).chain(cut.chars()).collect()
}

fn command(words: &[Word<'_>]) -> Result<Command, Fault> {
    let keyword = |at: usize| {
        words.get(at).filter(|word: &&Word<'_>| !word.quoted).map(|word| word.text.to_ascii_uppercase())
    };
    let first = keyword(0).unwrap_or_default();
    if first == "EXPLAIN" && keyword(1).as_deref() == Some("ROUTE") {
        return explain(&words[2..]).map(|explain| Command::Explain(Box::new(explain)));
    }
    match (first.as_str(), keyword(1).as_deref(), words.len()) {
        ("SHOW", Some("CACHE"), 3..) => return cache::show(&words[2..]),
        ("CACHE", ..) => return cache::command(&words[1..]),
        _ => {}
    }
    let name = || words.get(1).map(|word| word.text.clone());
    let needed = || name().ok_or_else(|| syntax(format!("{first} needs an argument")));
    let command = match first.as_str() {
        "SHOW" => Command::Show(keyword(1).unwrap_or_else(|| "HELP".to_owned())),
        "PAUSE" => Command::Pause(name()),
        "RESUME" => Command::Resume(name()),
        "RECONNECT" => Command::Reconnect(name()),
        "WAIT_CLOSE" => Command::WaitClose(name()),
        "KILL" => Command::Kill(name()),
        "KILL_CLIENT" => Command::KillClient(needed()?),
        "DISABLE" => Command::Disable(needed()?, true),
        "ENABLE" => Command::Disable(needed()?, false),
        "MARK" => Command::Mark(needed()?),
        "RELOAD" => Command::Reload,
        "SHUTDOWN" => match keyword(1).as_deref() {
            None => Command::Shutdown(Wait::No),
            Some("WAIT_FOR_SERVERS") => Command::Shutdown(Wait::Servers),
            Some("WAIT_FOR_CLIENTS") => Command::Shutdown(Wait::Clients),
            Some(other) => return Err(syntax(format!("SHUTDOWN {other} is not a command"))),
        },
        "BEGIN" => Command::Block("BEGIN", true),
        "COMMIT" => Command::Block("COMMIT", false),
        "ROLLBACK" => Command::Block("ROLLBACK", false),
        "SET" => {
            return Err(Fault::error("0A000", "settings cannot be changed on the console")
                .hint("change the settings file, then RELOAD"));
        }
        "SUSPEND" => {
            return Err(Fault::error("0A000", "SUSPEND is not supported").hint("PAUSE waits for servers"));
        }
        _ => return Err(syntax(format!("unknown command \"{}\"", words[0].text))),
    };
    let longest = match &command {
        Command::Reload | Command::Block(..) => 1,
        _ => 2,
    };
    match words.get(longest) {
        Some(word) => Err(syntax(format!("unexpected \"{}\" after {first}", word.text))),
        None => Ok(command),
    }
}

/// How EXPLAIN ROUTE is written here.
pub const EXPLAIN: &str =
    "EXPLAIN ROUTE 'statement' [DATABASE db] [USER user] [APPLICATION name] [CLIENT address]";

/// What stands behind EXPLAIN ROUTE: a statement in quotes, and who would send it.
fn explain(words: &[Word<'_>]) -> Result<Explain, Fault> {
    let usage = |message: &str| Fault::error("42601", message).hint(EXPLAIN);
    let [sql, rest @ ..] = words else { return Err(usage("EXPLAIN ROUTE needs a statement")) };
    if !sql.quoted {
        return Err(usage("the statement behind EXPLAIN ROUTE must be in quotes"));
    }
    let mut explain = Explain { sql: sql.text.clone(), ..Explain::default() };
    for pair in rest.chunks(2) {
        let [name, value] = pair else { return Err(usage(&format!("{} needs an argument", pair[0].text))) };
        let value = value.text.clone();
        match name.text.to_ascii_uppercase().as_str() {
            "DATABASE" if !name.quoted => explain.database = Some(value),
            "USER" if !name.quoted => explain.user = Some(value),
            "APPLICATION" if !name.quoted => explain.application = Some(value),
            "CLIENT" if !name.quoted => match value.parse() {
                Ok(client) => explain.client = Some(client),
                Err(_) => return Err(usage(&format!("\"{value}\" is not an address"))),
            },
            _ => return Err(usage(&format!("unexpected \"{}\" after the statement", name.text))),
        }
    }
    Ok(explain)
}

/// What is said of a text that is no command.
pub fn syntax(message: String) -> Fault {
    Fault::error("42601", message).hint("SHOW HELP lists the commands")
}

fn split(text: &str) -> Result<Vec<Vec<Word<'_>>>, Fault> {
    let mut statements = vec![vec![]];
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let words = statements.last_mut().ok_or_else(|| syntax("no statement".to_owned()))?;
        rest = match first {
            ';' => {
                statements.push(vec![]);
                &rest[1..]
            }
            '-' if rest.starts_with("--") => rest.split_once('\n').map_or("", |(_, rest)| rest),
            '/' if rest.starts_with("/*") => rest.split_once("*/").map_or("", |(_, rest)| rest),
            '$' if rest.starts_with("$$") => {
                let unterminated = || syntax("unterminated dollar-quoted text".to_owned());
                let (text, behind) = rest[2..].split_once("$$").ok_or_else(unterminated)?;
                let typed = &rest[..rest.len() - behind.len()];
                words.push(Word { text: text.to_owned(), quoted: true, typed });
                behind
            }
            '"' | '\'' => {
                let (text, behind) = quoted(&rest[1..], first)?;
                words.push(Word { text, quoted: true, typed: &rest[..rest.len() - behind.len()] });
                behind
            }
            _ => {
                let end = rest
                    .find(|c: char| c.is_whitespace() || matches!(c, ';' | '"' | '\''))
                    .unwrap_or(rest.len());
                let (word, behind) = rest.split_at(end);
                words.push(Word { text: word.to_owned(), quoted: false, typed: word });
                behind
            }
        }
        .trim_start();
    }
    Ok(statements)
}

/// Up to the closing quote; a doubled one stands for itself.
fn quoted(mut rest: &str, quote: char) -> Result<(String, &str), Fault> {
    let mut text = String::new();
    loop {
        let (part, behind) =
            rest.split_once(quote).ok_or_else(|| syntax("unterminated quoted name".to_owned()))?;
        text.push_str(part);
        let Some(doubled) = behind.strip_prefix(quote) else { return Ok((text, behind)) };
        text.push(quote);
        rest = doubled;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Command {
        let mut commands = parse(text).unwrap();
        assert_eq!(commands.len(), 1, "{text}");
        commands.remove(0).0
    }

    #[test]
    fn admin_commands_are_read_in_any_case() {
        assert_eq!(one("show pools;"), Command::Show("POOLS".into()));
        assert_eq!(one(" -- a\n SHOW /* b */ Stats_Totals ; "), Command::Show("STATS_TOTALS".into()));
        assert_eq!(one("SHOW"), Command::Show("HELP".into()));
        assert_eq!(one("pause"), Command::Pause(None));
        assert_eq!(one("Pause MyDb;"), Command::Pause(Some("MyDb".into())));
        assert_eq!(one("RESUME \"a \"\"b\"\";\";"), Command::Resume(Some("a \"b\";".into())));
        assert_eq!(one("shutdown wait_for_servers"), Command::Shutdown(Wait::Servers));
        assert_eq!(one("begin"), Command::Block("BEGIN", true));
        assert_eq!(one("Mark 'v1.2 it''s out';"), Command::Mark("v1.2 it's out".into()));
        assert_eq!(one("MARK v1.2.3"), Command::Mark("v1.2.3".into()));
    }

    #[test]
    fn admin_commands_are_logged_as_they_were_typed() {
        let check = |text: &str, expected: &str| assert_eq!(parse(text).unwrap()[0].1, expected);
        check(" Enable /* it */ shop ; ", "Enable shop");
        check("shutdown", "shutdown");
        check("kill \"a \"\"b\"\"\"", "kill \"a \"\"b\"\"\"");
        check("pause 'a\n2026 INFO\u{1b}[0m'", "pause 'a 2026 INFO [0m'");
        check(&format!("pause {}", "é".repeat(LOGGED)), &format!("pause {}...", "é".repeat(LOGGED - 6)));
    }

    #[test]
    fn admin_texts_may_hold_several_commands_or_none() {
        assert_eq!(parse("show pools; reload").unwrap().len(), 2);
        assert_eq!(parse(" ;; -- nothing").unwrap(), []);
    }

    #[test]
    fn admin_statements_to_explain() {
        let explain = |text: &str| match one(text) {
            Command::Explain(explain) => *explain,
            other => panic!("{other:?}"),
        };
        let found = explain("explain route 'select ''a;b'' '");
        assert_eq!(found, Explain { sql: "select 'a;b' ".into(), ..Explain::default() });
        let found = explain(
            "EXPLAIN ROUTE $$select '1';$$ user \"a b\" Database shop client 10.0.0.1 application psql;",
        );
        let expected = Explain {
            sql: "select '1';".into(),
            database: Some("shop".into()),
            user: Some("a b".into()),
            application: Some("psql".into()),
            client: Some(IpAddr::from([10, 0, 0, 1])),
        };
        assert_eq!(found, expected);
        for text in [
            "explain route",
            "explain route select 1",
            "explain route 'select 1' user",
            "explain route 'select 1' role x",
            "explain route 'select 1' \"user\" x",
            "explain route 'select 1' client x",
            "explain route $$select 1",
            "explain select 1",
        ] {
            assert_eq!(parse(text).unwrap_err().sqlstate, "42601", "{text}");
        }
    }

    #[test]
    fn admin_nonsense_is_a_syntax_error() {
        for text in [
            "select 1",
            "kill_client",
            "disable;",
            "mark",
            "mark v1 v2",
            "reload now",
            "pause a b",
            "resume \"x",
            "shutdown soon",
            "é",
        ] {
            let fault = parse(text).unwrap_err();
            assert_eq!(fault.sqlstate, "42601", "{text}");
            assert!(fault.hint.is_some(), "{text}");
        }
        assert_eq!(parse("set a = 1").unwrap_err().sqlstate, "0A000");
    }
}
