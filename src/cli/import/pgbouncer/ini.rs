//! The form of `pgbouncer.ini` and `userlist.txt`, as PgBouncer reads them (`usual/cfparser.c`, `src/loader.c`).

use crate::cli::import::files::Text;
use crate::cli::import::report::Report;

/// A line of the file that says something.
#[derive(Debug, PartialEq)]
pub enum Item {
    /// `[name]`.
    Section(String),
    /// `key = value`.
    Key(String, String),
    /// `%include file`.
    Include(String),
}

/// The lines of a file, with their numbers. What cannot be understood is in the report.
pub fn lines(file: &Text, report: &mut Report) -> Vec<(usize, Item)> {
    let mut items = vec![];
    for (index, line) in file.text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        match item(line) {
            Ok(item) => items.push((index + 1, item)),
            Err(problem) => report.error(&file.place(index + 1), problem),
        }
    }
    items
}

fn item(line: &str) -> Result<Item, &'static str> {
    if let Some(rest) = line.strip_prefix('[') {
        let (name, _) = rest.split_once(']').ok_or("a section has no `]`; write [name]")?;
        return Ok(Item::Section(name.to_owned()));
    }
    if let Some(rest) = line.strip_prefix("%include") {
        let name = rest.trim();
        let right = rest.starts_with([' ', '\t']) && !name.is_empty();
        return if right { Ok(Item::Include(name.to_owned())) } else { Err("write %include and a file") };
    }
    let (key, rest) = match line.strip_prefix('"') {
        Some(rest) => quoted_name(rest).ok_or("a name has no second `\"`; write \"name\" = ...")?,
        None => {
            let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || "_.-*".contains(c)));
            let (key, rest) = line.split_at(end.unwrap_or(line.len()));
            (key.to_owned(), rest)
        }
    };
    let value = rest.trim_start().strip_prefix('=').ok_or("there is no `=`; write key = value")?;
    if key.is_empty() {
        return Err("there is no key before the `=`; write key = value");
    }
    Ok(Item::Key(key, value.trim().to_owned()))
}

/// A name up to its second quote, `""` being one quote; and what follows.
fn quoted_name(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let at = rest.find('"')?;
        name.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                name.push('"');
                rest = after;
            }
            None => return Some((name, rest)),
        }
    }
}

/// `key=value` pairs of a line of `[databases]` or `[users]`; a value may stand in single quotes, `''` being one.
///
/// # Errors
/// What is wrong and what to do; it does not show the text, which may hold a password.
pub fn pairs(text: &str) -> Result<Vec<(String, String)>, &'static str> {
    let mut pairs = vec![];
    let mut rest = text.trim_start_matches(' ');
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=').ok_or("a key has no `=`; write key=value")?;
        let key = key.trim_end_matches(' ');
        if key.is_empty() || key.contains(' ') {
            return Err("a key has no `=`, or there is none before an `=`; write key=value");
        }
        let after = after.trim_start_matches(' ');
        let (value, after) = match after.strip_prefix('\'') {
            Some(quoted) => quoted_value(quoted).ok_or("a value has no second `'`; write key='value'")?,
            None => {
                let (value, after) = after.split_at(after.find(' ').unwrap_or(after.len()));
                (value.to_owned(), after)
            }
        };
        if value.is_empty() {
            return Err("a value is empty; take its key out");
        }
        pairs.push((key.to_owned(), value));
        rest = after.trim_start_matches(' ');
    }
    Ok(pairs)
}

fn quoted_value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let at = rest.find('\'')?;
        value.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match rest.strip_prefix('\'') {
            Some(after) => {
                value.push('\'');
                rest = after;
            }
            None => return Some((value, rest)),
        }
    }
}

/// A user of `userlist.txt`.
pub struct Listed {
    /// The line.
    pub line: usize,
    /// The name.
    pub name: String,
    /// The password or verifier.
    pub password: String,
}

/// The users of a file. What cannot be understood is in the report, without its text.
pub fn users(file: &Text, report: &mut Report) -> Vec<Listed> {
    let mut users = vec![];
    for (index, line) in file.text.lines().enumerate() {
        let text = line.trim();
        if text.is_empty() || text.starts_with(';') {
            continue;
        }
        let user = text.strip_prefix('"').and_then(quoted_name).and_then(|(name, rest)| {
            let (password, _) = quoted_name(rest.trim_start().strip_prefix('"')?)?;
            (!name.is_empty()).then_some((name, password))
        });
        match user {
            Some((name, password)) => users.push(Listed { line: index + 1, name, password }),
            None => report.error(&file.place(index + 1), "this is no user; write \"name\" \"password\""),
        }
    }
    users
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_pgbouncer_reads_them() {
        let key = |key: &str, value: &str| Ok(Item::Key(key.into(), value.into()));
        let check = |line: &str, expected: Result<Item, &str>| assert_eq!(item(line), expected, "{line}");
        check("[pgbouncer] rest", Ok(Item::Section("pgbouncer".into())));
        check("a = b ; c # d", key("a", "b ; c # d"));
        check("*=host=x", key("*", "host=x"));
        check(r#""a ""b""" = c"#, key("a \"b\"", "c"));
        check("%include other.ini", Ok(Item::Include("other.ini".into())));
        check("%included", Err("write %include and a file"));
        check("a b", Err("there is no `=`; write key = value"));
        check("= b", Err("there is no key before the `=`; write key = value"));
        check("ä = b", Err("there is no `=`; write key = value"));
        check("\"a", Err("a name has no second `\"`; write \"name\" = ..."));
        check("[a", Err("a section has no `]`; write [name]"));
    }

    #[test]
    fn pairs_are_read_as_pgbouncer_reads_them() {
        let check = |text: &str, expected: Result<&[(&str, &str)], ()>| {
            let expected =
                expected.map(|pairs| pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect());
            assert_eq!(pairs(text).map_err(|_| ()), expected, "{text}");
        };
        check("", Ok(&[]));
        check("host=a  port = 5", Ok(&[("host", "a"), ("port", "5")]));
        check("q='it''s  so' user=x", Ok(&[("q", "it's  so"), ("user", "x")]));
        check("host=", Err(()));
        check("host", Err(()));
        check("a b=c", Err(()));
        check("=c", Err(()));
        check("q='open", Err(()));
    }
}
