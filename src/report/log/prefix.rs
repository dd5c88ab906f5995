//! `log_line_prefix` as an expression that finds its parts (PostgreSQL manual, 20.8.3).

use regex::Regex;

use super::entry::{Entry, moment};

/// The severities that begin an entry (manual, table 20.2), and what belongs to one before.
const WORDS: &str = "DEBUG[1-5]?|INFO|NOTICE|WARNING|ERROR|LOG|FATAL|PANIC|DETAIL|HINT|QUERY|CONTEXT|LOCATION|STATEMENT|BACKTRACE";

/// Prefixes that are common: PostgreSQL's own, Debian's, pgBadger's, those of hosters.
const COMMON: &[&str] = &[
    "%m [%p] ",
    "%m [%p] %q%u@%d ",
    "%m [%p] %q%u@%d/%a ",
    "%m [%p] %q[user=%u,db=%d,app=%a] ",
    "%t [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ",
    "%t [%p]: user=%u,db=%d,app=%a,client=%h ",
    "%m [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ",
    "%t [%p]: [%l-1] user=%u,db=%d ",
    "%t:%r:%u@%d:[%p]:",
    "%m:%r:%u@%d:[%p]:%l:%e:%s:%v:%x:%c:%q%a:",
    "%t-%p-%u-%d-",
    "%t [%p] ",
    "%m %u@%d [%p] ",
    "%m %e [%p] %q%u@%d ",
    "%m [%p] %e %q%u@%d ",
    "",
];

/// A prefix, ready to be looked for.
pub(super) struct Prefix {
    expression: Regex,
}

/// What a line with a prefix has.
pub(super) struct Begun {
    /// What the prefix says, with the severity.
    pub entry: Entry,
    /// The process, or the session; empty where the prefix does not tell.
    pub process: String,
    /// What is behind the severity.
    pub rest: String,
}

impl Prefix {
    /// What a line has, if it begins an entry or belongs to one under its own prefix.
    pub(super) fn begun(&self, line: &str) -> Option<Begun> {
        let found = self.expression.captures(line)?;
        let part = |name: &str| found.name(name).map(|part| part.as_str().trim().to_owned());
        let known = |name: &str| part(name).filter(|text| text != "[unknown]").unwrap_or_default();
        let at = part("time").and_then(|text| moment(&text));
        let epoch = || part("epoch").and_then(|text| text.split('.').next()?.parse().ok());
        let entry = Entry {
            at: at.or_else(epoch),
            user: known("user"),
            database: known("database"),
            application: known("application"),
            severity: part("severity").unwrap_or_default(),
            sqlstate: part("sqlstate").filter(|state| !state.is_empty()),
            ..Entry::default()
        };
        let process = part("process").or_else(|| part("session")).unwrap_or_default();
        Some(Begun { entry, process, rest: line[found.get(0)?.end()..].to_owned() })
    }
}

/// Makes an expression of a prefix.
///
/// # Errors
/// An escape that is none.
pub(super) fn compile(prefix: &str) -> Result<Prefix, String> {
    let mut expression = "^".to_owned();
    let mut optional = false;
    let mut named = vec![];
    let mut chars = prefix.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            expression += &regex::escape(c.encode_utf8(&mut [0; 4]));
            continue;
        }
        let mut padded = false;
        while let Some(digit) = chars.peek().filter(|c| c.is_ascii_digit() || **c == '-') {
            padded |= digit.is_ascii_digit() || *digit == '-';
            chars.next();
        }
        let escape = chars.next().ok_or("log_line_prefix ends in a %")?;
        let (name, form) = escape_form(escape).ok_or_else(|| format!("log_line_prefix has no %{escape}"))?;
        if escape == 'q' {
            expression += "(?:";
            optional = true;
            continue;
        }
        // A name can stand once in an expression.
        let form = if name.is_empty() || named.contains(&name) {
            format!("(?:{form})")
        } else {
            format!("(?P<{name}>{form})")
        };
        named.push(name);
        expression += &if padded { format!(r" *{form} *") } else { form };
    }
    if optional {
        expression += ")?";
    }
    expression += &format!("(?P<severity>{WORDS}):  ?");
    let expression =
        Regex::new(&expression).map_err(|error| format!("log_line_prefix cannot be looked for: {error}"))?;
    Ok(Prefix { expression })
}

/// What an escape is called, if it matters, and what it looks like.
fn escape_form(escape: char) -> Option<(&'static str, &'static str)> {
    const TIME: &str =
        r"[0-9]{4}-[0-9][0-9]-[0-9][0-9] [0-9][0-9]:[0-9][0-9]:[0-9][0-9](?:\.[0-9]+)? [A-Za-z0-9+:-]+";
    Some(match escape {
        'a' => ("application", ".*?"),
        'u' => ("user", r"[^ ]*?"),
        'd' => ("database", r"[^ ]*?"),
        'p' => ("process", r"[0-9]+"),
        'P' => ("", r"[0-9]*"),
        'c' => ("session", r"[0-9a-f]+\.[0-9a-f]+"),
        't' | 'm' => ("time", TIME),
        'n' => ("epoch", r"[0-9]+(?:\.[0-9]+)?"),
        's' => ("", TIME),
        'e' => ("sqlstate", "[0-9A-Z]{5}"),
        'l' => ("", r"[0-9]+"),
        'x' | 'Q' => ("", r"-?[0-9]+"),
        'v' => ("", r"(?:-?[0-9]+/[0-9]+)?"),
        'r' | 'h' | 'L' => ("", r"[^ ,]*?"),
        'b' | 'i' => ("", "[A-Za-z ]*?"),
        '%' => ("", "%"),
        'q' => ("", ""),
        _ => return None,
    })
}

/// The prefix that most of these lines have, and how it is written.
///
/// # Errors
/// When none of the common ones is theirs.
pub(super) fn guess(lines: &[String]) -> Result<(Prefix, &'static str), String> {
    let mut best: Option<(usize, Prefix, &'static str)> = None;
    // Those lines that may have one.
    let may_begin = |line: &&String| line.contains(":  ") && !line.starts_with(['\t', ' ']);
    let candidates: Vec<&String> = lines.iter().filter(may_begin).collect();
    for text in COMMON {
        let prefix = compile(text)?;
        // One that tells more is better.
        let told = |line: &&&String| {
            prefix.begun(line).map_or(0, |begun| 2 + usize::from(!begun.entry.user.is_empty()))
        };
        let score: usize = candidates.iter().map(|line| told(&line)).sum();
        if best.as_ref().is_none_or(|(most, ..)| score > *most) {
            best = Some((score, prefix, text));
        }
    }
    match best {
        Some((score, prefix, text)) if score >= candidates.len().max(1) => Ok((prefix, text)),
        _ => Err("its lines have none of the common prefixes; give the server's with --log-line-prefix (SHOW log_line_prefix)".into()),
    }
}
