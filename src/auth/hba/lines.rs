//! The format that `pg_hba.conf` and `pg_ident.conf` share: lines of fields, fields of tokens, files that include files.
//!
//! Fields are parted by blanks, tokens of a field by commas. `"..."` takes away the special meaning of all that is inside, `""`
//! being a quote; `#` begins a comment; a backslash at the very end joins the next line; `@name` in a field stands for
//! the tokens of that file.

use std::io;
use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::str::Chars;

use super::{FileError, Sources};

/// Files inside files, as deep as PostgreSQL goes (`CONF_FILE_MAX_DEPTH`).
const MAX_DEPTH: usize = 10;
/// Bytes of all files together, so that files including each other end.
const MAX_BYTES: usize = 4 << 20;

/// A word of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::auth) struct Token {
    pub(in crate::auth) text: String,
    /// Quoted tokens are never keywords.
    pub(in crate::auth) quoted: bool,
}

/// A line that is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::auth) struct Line {
    pub(in crate::auth) file: PathBuf,
    pub(in crate::auth) number: usize,
    /// At least one field, and in each at least one token.
    pub(in crate::auth) fields: Vec<Vec<Token>>,
}

/// Reads `path` and all that it includes.
pub(in crate::auth) fn read_lines(path: &Path, sources: &Sources<'_>) -> Result<Vec<Line>, FileError> {
    let mut reader = Reader { sources, bytes: 0, lines: Vec::new() };
    let text = reader.load(path).map_err(|error| unreadable(path, &error).at(path, 0))?;
    reader.read_text(path, &text, 0)?;
    Ok(reader.lines)
}

impl Token {
    /// Whether it is this keyword, written without quotes.
    pub(in crate::auth) fn is_keyword(&self, keyword: &str) -> bool {
        !self.quoted && self.text == keyword
    }
}

impl Line {
    /// An error at this line.
    pub(in crate::auth) fn error(&self, problem: impl Into<String>, remedy: impl Into<String>) -> FileError {
        Problem::new(problem, remedy).at(&self.file, self.number)
    }

    /// The token of a field that takes only one.
    pub(in crate::auth) fn single<'a>(&self, field: &'a [Token], what: &str) -> Result<&'a Token, FileError> {
        match field {
            [token] => Ok(token),
            _ => Err(self.error(
                format!("several values for the {what}"),
                "write one line for each, or put a value that holds a comma in quotes",
            )),
        }
    }
}

/// An error that does not know yet where it is.
struct Problem {
    problem: String,
    remedy: String,
}

impl Problem {
    fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: remedy.into() }
    }

    fn at(self, file: &Path, line: usize) -> FileError {
        FileError { file: file.to_owned(), line, problem: self.problem, remedy: self.remedy }
    }
}

struct Reader<'a> {
    sources: &'a Sources<'a>,
    bytes: usize,
    lines: Vec<Line>,
}

impl Reader<'_> {
    /// `depth` is the number of files around this one.
    fn read_text(&mut self, file: &Path, text: &str, depth: usize) -> Result<(), FileError> {
        for (number, logical) in logical_lines(text) {
            let located = |problem: Problem| problem.at(file, number);
            let fields = self.fields_of(&logical, file, depth).map_err(located)?;
            if fields.is_empty() {
                continue;
            }
            let line = Line { file: file.to_owned(), number, fields };
            match include_of(&line)? {
                None => self.lines.push(line),
                Some((included, must_exist)) => {
                    let path = beside(file, included);
                    check_depth(depth).map_err(located)?;
                    match self.load(&path) {
                        Ok(text) => self.read_text(&path, &text, depth + 1)?,
                        Err(error) if !must_exist && error.kind() == io::ErrorKind::NotFound => {}
                        Err(error) => return Err(located(unreadable(&path, &error))),
                    }
                }
            }
        }
        Ok(())
    }

    /// The text of a file, within the limit on all of them.
    fn load(&mut self, path: &Path) -> io::Result<String> {
        let text = (self.sources.read)(path)?;
        self.bytes += text.len();
        if self.bytes > MAX_BYTES {
            let problem = format!("it and the files before it are larger than {MAX_BYTES} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
        }
        Ok(text)
    }

    fn fields_of(&mut self, text: &str, file: &Path, depth: usize) -> Result<Vec<Vec<Token>>, Problem> {
        let mut fields = Vec::new();
        for raw in split_fields(text)? {
            let mut field = Vec::new();
            for token in raw {
                match token.list_file() {
                    None => field.push(token.token),
                    Some(name) => self.read_list(&beside(file, name), depth, &mut field)?,
                }
            }
            if field.is_empty() {
                return Err(Problem::new(
                    "a list file names nothing",
                    "add at least one name to it, or remove the line",
                ));
            }
            fields.push(field);
        }
        Ok(fields)
    }

    /// Adds all tokens of the file that `@name` stands for.
    fn read_list(&mut self, path: &Path, depth: usize, into: &mut Vec<Token>) -> Result<(), Problem> {
        check_depth(depth)?;
        let text = self.load(path).map_err(|error| unreadable(path, &error))?;
        for (number, logical) in logical_lines(&text) {
            let fields = self.fields_of(&logical, path, depth + 1).map_err(|inner| {
                let place = format!("in {} line {number}: ", path.display());
                Problem { problem: place + &inner.problem, remedy: inner.remedy }
            })?;
            into.extend(fields.into_iter().flatten());
        }
        Ok(())
    }
}

/// The name that an include line gives, and whether the file must exist; `None` for any other line.
fn include_of(line: &Line) -> Result<Option<(&str, bool)>, FileError> {
    let must_exist = match line.fields[0][0].text.as_str() {
        "include" => true,
        "include_if_exists" => false,
        "include_dir" => {
            return Err(line
                .error("include_dir is not supported", "write an include line for each file of the folder"));
        }
        _ => return Ok(None),
    };
    match line.fields.as_slice() {
        [_, name] => Ok(Some((&line.single(name, "included file")?.text, must_exist))),
        _ => Err(line.error("an include line takes one file name", "put a name that holds blanks in quotes")),
    }
}

fn check_depth(depth: usize) -> Result<(), Problem> {
    if depth < MAX_DEPTH {
        return Ok(());
    }
    Err(Problem::new(
        format!("files are included more than {MAX_DEPTH} deep"),
        "look for a file that includes itself",
    ))
}

fn unreadable(path: &Path, error: &io::Error) -> Problem {
    Problem::new(
        format!("cannot read {}: {error}", path.display()),
        "check that the file exists, is UTF-8 text, and may be read by pgweir's user",
    )
}

/// Names are relative to the folder of the file that holds them.
fn beside(file: &Path, name: &str) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(name)
}

/// Lines joined at trailing backslashes, with the number of their first line.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut joined: Vec<(usize, String)> = Vec::new();
    let mut continues = false;
    for (index, line) in text.lines().enumerate() {
        let (content, more) = match line.strip_suffix('\\') {
            Some(content) => (content, true),
            None => (line, false),
        };
        match joined.last_mut().filter(|_| continues) {
            Some((_, logical)) => logical.push_str(content),
            None => joined.push((index + 1, content.to_owned())),
        }
        continues = more;
    }
    joined
}

/// A token, and whether its first character was a quote, which makes `@` an ordinary one.
struct RawToken {
    token: Token,
    starts_quoted: bool,
}

impl RawToken {
    /// The file that `@name` stands for.
    fn list_file(&self) -> Option<&str> {
        let name = self.token.text.strip_prefix('@').filter(|name| !name.is_empty())?;
        (!self.starts_quoted).then_some(name)
    }
}

/// Fields of a line; a comma after a token makes the next token one of the same field.
fn split_fields(text: &str) -> Result<Vec<Vec<RawToken>>, Problem> {
    let mut fields: Vec<Vec<RawToken>> = Vec::new();
    let mut chars = text.chars().peekable();
    let mut comma_before = false;
    while let Some((token, comma_after)) = next_token(&mut chars)? {
        match fields.last_mut().filter(|_| comma_before) {
            Some(field) => field.push(token),
            None => fields.push(vec![token]),
        }
        comma_before = comma_after;
    }
    Ok(fields)
}

/// The next token and whether a comma ends it; `None` at the end of the line or at a comment.
fn next_token(chars: &mut Peekable<Chars<'_>>) -> Result<Option<(RawToken, bool)>, Problem> {
    while chars.next_if(|&c| is_blank(c) || c == ',').is_some() {}
    let mut text = String::new();
    let (mut quoted, starts_quoted) = (false, chars.peek() == Some(&'"'));
    let mut comma = false;
    while let Some(&c) = chars.peek() {
        if is_blank(c) || c == '#' {
            break;
        }
        chars.next();
        match c {
            ',' => {
                comma = true;
                break;
            }
            '"' => {
                quoted = true;
                read_quoted(chars, &mut text)?;
            }
            _ => text.push(c),
        }
    }
    if chars.peek() == Some(&'#') && !comma {
        // A comment takes the rest of the line.
        chars.by_ref().for_each(drop);
    }
    if text.is_empty() && !quoted {
        return Ok(None);
    }
    Ok(Some((RawToken { token: Token { text, quoted }, starts_quoted }, comma)))
}

/// Reads up to the closing quote; the opening one was read.
fn read_quoted(chars: &mut Peekable<Chars<'_>>, text: &mut String) -> Result<(), Problem> {
    loop {
        match chars.next() {
            None => {
                return Err(Problem::new(
                    "a quote is opened and not closed",
                    "close it on the same line, and write a quote inside quotes as \"\"",
                ));
            }
            Some('"') if chars.next_if_eq(&'"').is_some() => text.push('"'),
            Some('"') => return Ok(()),
            Some(c) => text.push(c),
        }
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r')
}
