//! Statements in each form of the protocol, and answers as far as they matter.

use std::collections::HashSet;

use crate::harness::frontend as msg;
use crate::harness::message::{Message, cut_str};

/// A parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arg {
    /// int4.
    Int(u32),
    /// int8.
    Long(i64),
    /// int4[], always as text.
    Ints(Vec<u32>),
}

/// What a session has prepared.
#[derive(Debug, Default)]
pub struct Prepared {
    names: HashSet<String>,
    generation: u32,
}

impl Prepared {
    /// Nobody knows what of it is there: other names are taken from now on.
    pub fn forget(&mut self) {
        self.names.clear();
        self.generation += 1;
    }
}

/// A statement with parameters.
#[derive(Debug, Clone)]
pub struct Sql {
    /// With `$1`, `$2`, ...
    pub text: String,
    /// Their values.
    pub args: Vec<Arg>,
}

/// How a statement is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// As a simple query with its values in the text.
    Simple,
    /// As the unnamed statement.
    Unnamed,
    /// As a prepared statement, without a description.
    Named,
    /// As a prepared statement, values and answer in binary, with a description.
    Binary,
}

/// All of them.
pub const FORMS: [Form; 4] = [Form::Simple, Form::Unnamed, Form::Named, Form::Binary];

impl Sql {
    /// A statement.
    pub fn new(text: impl Into<String>, args: &[Arg]) -> Sql {
        Sql { text: text.into(), args: args.to_vec() }
    }

    /// Its messages in a form, without a Sync where one is due.
    pub fn encode(&self, form: Form, prepared: &mut Prepared) -> Vec<u8> {
        let (Form::Named | Form::Binary) = form else {
            return match form {
                Form::Simple => msg::query(&self.inline()),
                _ => [
                    self.parse(""),
                    self.bind("", Form::Unnamed),
                    msg::describe_portal(""),
                    msg::execute("", 0),
                ]
                .concat(),
            };
        };
        let name = self.name(prepared.generation);
        let parse = if prepared.names.insert(name.clone()) { self.parse(&name) } else { vec![] };
        let describe = if form == Form::Binary { msg::describe_portal("") } else { vec![] };
        [parse, self.bind(&name, form), describe, msg::execute("", 0)].concat()
    }

    /// The name under which it is prepared: one for each text.
    fn name(&self, generation: u32) -> String {
        let hash = self.text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        format!("s{hash:x}_{generation}")
    }

    /// With its values in the text.
    pub fn inline(&self) -> String {
        let mut text = self.text.clone();
        for (n, arg) in self.args.iter().enumerate().rev() {
            let value = match arg {
                Arg::Int(n) => n.to_string(),
                Arg::Long(n) => n.to_string(),
                Arg::Ints(_) => format!("'{}'", arg.text()),
            };
            text = text.replace(&format!("${}", n + 1), &value);
        }
        text
    }

    fn parse(&self, name: &str) -> Vec<u8> {
        let types = self.args.iter().map(|arg| match arg {
            Arg::Int(_) => 23,
            Arg::Long(_) => 20,
            Arg::Ints(_) => 1007,
        });
        msg::parse_typed(name, &self.text, &types.collect::<Vec<_>>())
    }

    fn bind(&self, statement: &str, form: Form) -> Vec<u8> {
        let binary = form == Form::Binary;
        let values: Vec<(u16, Vec<u8>)> = self.args.iter().map(|arg| arg.bytes(binary)).collect();
        let formats: Vec<u16> = values.iter().map(|value| value.0).collect();
        let values: Vec<Option<&[u8]>> = values.iter().map(|value| Some(&value.1[..])).collect();
        msg::bind_formats("", statement, &formats, &values, if binary { &[1] } else { &[] })
    }
}

impl Arg {
    fn text(&self) -> String {
        match self {
            Arg::Int(n) => n.to_string(),
            Arg::Long(n) => n.to_string(),
            Arg::Ints(all) => {
                format!("{{{}}}", all.iter().map(u32::to_string).collect::<Vec<_>>().join(","))
            }
        }
    }

    fn bytes(&self, binary: bool) -> (u16, Vec<u8>) {
        match self {
            Arg::Int(n) if binary => (1, n.to_be_bytes().into()),
            Arg::Long(n) if binary => (1, n.to_be_bytes().into()),
            _ => (0, self.text().into()),
        }
    }
}

/// The messages up to ReadyForQuery, as far as they matter.
#[derive(Debug, Default)]
pub struct Answer {
    /// Names of the columns, if they were described.
    pub columns: Vec<String>,
    /// Rows of integers.
    pub rows: Vec<Vec<Option<i64>>>,
    /// The SQLSTATE of the first error.
    pub error: Option<String>,
}

impl Answer {
    /// Cuts messages.
    pub fn new(messages: &[Message], form: Form) -> Answer {
        let mut answer = Answer::default();
        for message in messages {
            match message.tag {
                b'T' => answer.columns = columns(message),
                b'D' => answer.rows.push(message.values().iter().map(|value| number(value, form)).collect()),
                b'E' if answer.error.is_none() => answer.error = Some(message.sqlstate()),
                _ => {}
            }
        }
        answer
    }
}

fn columns(description: &Message) -> Vec<String> {
    let mut rest = &description.body[2..];
    let mut names = vec![];
    while let Some((name, after)) = cut_str(rest) {
        names.push(name);
        rest = &after[18..];
    }
    names
}

fn number(value: &Option<Vec<u8>>, form: Form) -> Option<i64> {
    let value = value.as_deref()?;
    let number = match (form, value.len()) {
        (Form::Binary, 4) => i64::from(i32::from_be_bytes(value.try_into().ok()?)),
        (Form::Binary, 8) => i64::from_be_bytes(value.try_into().ok()?),
        _ => std::str::from_utf8(value).ok()?.parse().ok()?,
    };
    Some(number)
}
