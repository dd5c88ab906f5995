//! The form of a dump: `INSERT INTO table (columns) VALUES (...), ...;`, as SQLite reads it, which is what ProxySQL keeps its tables in.

use std::collections::BTreeMap;

use crate::cli::import::files::Text;
use crate::cli::import::report::{Place, Report};

/// A row of a table: its values by column, those that are not NULL.
#[derive(Debug, Clone)]
pub struct Row {
    /// Where it begins.
    pub place: Place,
    /// The values, by column.
    pub values: BTreeMap<String, String>,
}

impl Row {
    /// A value; NULL and an empty text are none.
    pub fn get(&self, column: &str) -> Option<&str> {
        self.values.get(column).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// A number.
    pub fn number(&self, column: &str) -> Option<i64> {
        self.get(column)?.parse().ok()
    }
}

/// The rows by table, which is named without its schema. `columns`: of a table, where the statement does not name them.
pub fn rows(
    file: &Text,
    columns: impl Fn(&str) -> Option<Vec<&'static str>>,
    report: &mut Report,
) -> BTreeMap<String, Vec<Row>> {
    let Some(tokens) = tokens(file, report) else { return BTreeMap::new() };
    let mut reader = Reader { file, tokens, at: 0 };
    let mut tables = BTreeMap::new();
    while reader.at < reader.tokens.len() {
        if reader.insert_begins() {
            if let Err((line, problem)) = reader.insert(&columns, &mut tables) {
                report.error(&file.place(line), problem);
                reader.skip_statement();
            }
        } else {
            reader.skip_statement();
        }
    }
    tables
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// A word or a number, or a name in quotes.
    Word(String),
    /// A text in single quotes.
    Text(String),
    /// Anything else.
    Sign(char),
}

/// The tokens with their lines; `None`: a text does not end.
fn tokens(file: &Text, report: &mut Report) -> Option<Vec<(usize, Token)>> {
    let text = &file.text;
    let (mut at, mut line, mut found) = (0, 1, vec![]);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let begin = at;
        let first = rest.chars().next().unwrap_or(' ');
        if rest.starts_with("--") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if rest.starts_with("/*") {
            at += rest.find("*/").map_or(rest.len(), |end| end + 2);
        } else if ['\'', '"', '`'].contains(&first) {
            let Some((value, length)) = quoted(rest, first) else {
                report.error(&file.place(line), format!("a text has no closing {first}"));
                return None;
            };
            found.push((line, if first == '\'' { Token::Text(value) } else { Token::Word(value) }));
            at += length;
        } else if first.is_alphanumeric() || first == '_' || first == '-' {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || "_.-+".contains(c))).unwrap_or(rest.len());
            found.push((line, Token::Word(rest[..end].to_owned())));
            at += end;
        } else {
            if !first.is_whitespace() {
                found.push((line, Token::Sign(first)));
            }
            at += first.len_utf8();
        }
        line += text[begin..at].matches('\n').count();
    }
    Some(found)
}

/// What stands between two such quotes, a doubled one being one; and its length with them.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut at = 1;
    loop {
        let end = at + text[at..].find(quote)?;
        value.push_str(&text[at..end]);
        at = end + 1;
        if !text[at..].starts_with(quote) {
            return Some((value, at));
        }
        value.push(quote);
        at += 1;
    }
}

struct Reader<'a> {
    file: &'a Text,
    tokens: Vec<(usize, Token)>,
    at: usize,
}

type Wrong = (usize, &'static str);

impl Reader<'_> {
    fn word(&self, ahead: usize) -> Option<&str> {
        match self.tokens.get(self.at + ahead) {
            Some((_, Token::Word(word))) => Some(word),
            _ => None,
        }
    }

    fn is(&self, ahead: usize, word: &str) -> bool {
        self.word(ahead).is_some_and(|found| found.eq_ignore_ascii_case(word))
    }

    fn line(&self) -> usize {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(1, |(line, _)| *line)
    }

    fn insert_begins(&self) -> bool {
        self.is(0, "INSERT") || self.is(0, "REPLACE")
    }

    fn skip_statement(&mut self) {
        let rest = self.tokens.get(self.at..).unwrap_or_default();
        let end = rest.iter().position(|(_, token)| *token == Token::Sign(';'));
        self.at += end.map_or(rest.len(), |end| end + 1);
    }

    fn insert(
        &mut self,
        columns: &impl Fn(&str) -> Option<Vec<&'static str>>,
        tables: &mut BTreeMap<String, Vec<Row>>,
    ) -> Result<(), Wrong> {
        while self.at < self.tokens.len() && !self.is(0, "INTO") {
            self.at += 1;
        }
        // A schema may stand before a name in quotes, as a word of its own.
        if self.word(1).is_some_and(|word| word.ends_with('.')) {
            self.at += 1;
        }
        let name = self.word(1).ok_or((self.line(), "INSERT INTO has no table"))?;
        let table = name.rsplit('.').next().unwrap_or(name).to_ascii_lowercase();
        self.at += 2;
        let Some(all) = columns(&table) else {
            self.skip_statement();
            return Ok(());
        };
        let mut names: Vec<String> = all.iter().map(|name| (*name).to_owned()).collect();
        if self.sign('(') {
            names.clear();
            while !self.sign(')') {
                names.push(
                    self.word(0).ok_or((self.line(), "a list of columns does not end"))?.to_ascii_lowercase(),
                );
                self.at += 1;
                self.sign(',');
            }
        }
        if !self.is(0, "VALUES") {
            return Err((self.line(), "only INSERT INTO ... VALUES can be read; write the rows so"));
        }
        self.at += 1;
        loop {
            let place = self.file.place(self.line());
            let values = self.row(&names)?;
            tables.entry(table.clone()).or_default().push(Row { place, values });
            if !self.sign(',') {
                break;
            }
        }
        self.skip_statement();
        Ok(())
    }

    fn row(&mut self, names: &[String]) -> Result<BTreeMap<String, String>, Wrong> {
        let line = self.line();
        if !self.sign('(') {
            return Err((line, "a row does not begin with `(`"));
        }
        let mut values = BTreeMap::new();
        for (index, name) in names.iter().enumerate() {
            if index > 0 && !self.sign(',') {
                return Err((self.line(), "a row has not as many values as there are columns"));
            }
            match self.tokens.get(self.at) {
                Some((_, Token::Text(text))) => drop(values.insert(name.clone(), text.clone())),
                Some((_, Token::Word(word))) if word.eq_ignore_ascii_case("NULL") => {}
                Some((_, Token::Word(word))) => drop(values.insert(name.clone(), word.clone())),
                _ => return Err((self.line(), "a row has not as many values as there are columns")),
            }
            self.at += 1;
        }
        if self.sign(')') {
            Ok(values)
        } else {
            Err((self.line(), "a row has more values than there are columns"))
        }
    }

    fn sign(&mut self, sign: char) -> bool {
        let is = self.tokens.get(self.at).is_some_and(|(_, token)| *token == Token::Sign(sign));
        self.at += usize::from(is);
        is
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn read(text: &str) -> (Vec<String>, Vec<String>) {
        let mut report = Report::default();
        let columns = |table: &str| (table == "t").then(|| vec!["a", "b"]);
        let tables = rows(&Text::new(Path::new("f"), text.into()), columns, &mut report);
        let rows =
            tables.into_values().flatten().map(|row| format!("{} {:?}", row.place, row.values)).collect();
        (rows, report.lines().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn rows_are_read() {
        let check = |text: &str, rows: &[&str]| {
            assert_eq!(read(text), (rows.iter().map(|r| r.to_string()).collect(), vec![]), "{text}")
        };
        check("INSERT INTO t VALUES (1,'x');", &[r#"f:1 {"a": "1", "b": "x"}"#]);
        check(
            "-- c\n/* ; */ insert or replace into main.\"t\" (`b`, A) values\n('it''s \\d;', -5),\n(NULL, 2)",
            &[r#"f:3 {"a": "-5", "b": "it's \\d;"}"#, r#"f:4 {"a": "2"}"#],
        );
        check("UPDATE t SET a = 1; LOAD PGSQL QUERY RULES TO RUNTIME; INSERT INTO u VALUES (x,y,z);", &[]);
        check("", &[]);
    }

    #[test]
    fn broken_ones_have_their_line() {
        let check = |text: &str, error: &str| assert_eq!(read(text).1, [error], "{text}");
        check("\nINSERT INTO t VALUES (1);", "f:2: a row has not as many values as there are columns");
        check("INSERT INTO t VALUES (1,2,3);", "f:1: a row has more values than there are columns");
        check("INSERT INTO t VALUES (1,'x", "f:1: a text has no closing '");
        check(
            "INSERT INTO t SELECT 1, 2;",
            "f:1: only INSERT INTO ... VALUES can be read; write the rows so",
        );
        check("INSERT INTO t (a", "f:1: a list of columns does not end");
        check("INSERT INTO", "f:1: INSERT INTO has no table");
        check("INSERT", "f:1: INSERT INTO has no table");
    }
}
