//! What is said of results that may be kept and of what statements may write, against what PostgreSQL does.

mod cases;
mod generator;
mod property;
mod writing;

use std::collections::BTreeMap;

use pgweir::catalog::{
    BODIES, Barriers, CALLS, Contents, DETAILS, EDGES, Grounds, OWN, RELATIONS, Reach, Relations, Row,
    UNSTABLE, WRITING,
};
use pgweir::plan::cacheable::{Around, Given, KeyRow, Link, Parameter, Refusal, RowKey, Touched, judge};
use pgweir::plan::writes::{self, TriggerWrites, Writes};
use pgweir::sql::facts::Facts;
use pgweir::sql::{Literal, facts, shape};

use crate::harness::raw::Client;

/// What is known of a database, as a connection of pgweir's own finds it.
struct Known {
    contents: Contents,
    /// Names of relations by their numbers, without the schema `public`.
    names: BTreeMap<u32, String>,
}

/// On what a result depends.
#[derive(Debug, PartialEq)]
struct Judged {
    touched: Vec<Touched>,
    /// By what its rows can be told.
    key: Option<RowKey>,
    /// Tables of which it can show which rows matter.
    links: Vec<Link>,
}

/// Answers that a test may make something else of.
struct Changed {
    edges: Vec<Row>,
    details: Vec<Row>,
}

impl Known {
    fn read(server: &mut Client) -> Known {
        Known::read_with(server, |_| {})
    }

    fn read_with(server: &mut Client, change: impl FnOnce(&mut Changed)) -> Known {
        ask(server, Reach::SETTINGS);
        let version = ask(server, "show server_version_num")[0][0].clone().and_then(|text| text.parse().ok());
        let version: u32 = version.expect("a version");
        let bodies = ask(server, BODIES);
        let own = ask(server, OWN);
        let barriers = reached(server, Reach::begin(version, &own, &bodies));
        let own = ask(server, UNSTABLE);
        let unstable = reached(server, Reach::unstable(version, &own, &bodies));
        let own = ask(server, WRITING);
        let writing = reached(server, Reach::writing(version, &own, &bodies));
        let relations = ask(server, RELATIONS);
        let names = relations.iter().map(named).collect();
        let mut changed = Changed { edges: ask(server, EDGES), details: ask(server, DETAILS) };
        change(&mut changed);
        let relations = Relations::new(&relations, &changed.edges);
        let grounds = Grounds::new(unstable, writing, &changed.details, &ask(server, CALLS));
        assert!(relations.is_some() && grounds.is_some(), "there is little, in the form that is asked for");
        Known { contents: Contents { barriers, relations, grounds }, names }
    }

    fn around<'a>(&'a self, path: Option<&'a [&'a str]>) -> Around<'a> {
        Around { contents: &self.contents, search_path: path, temporary: false }
    }

    /// On what the result of a text depends; `change` may make something else of what its tree says.
    fn touched(
        &self,
        text: &str,
        parameters: &[Parameter<'_>],
        change: impl FnOnce(&mut Facts),
    ) -> Result<Vec<Touched>, Refusal> {
        self.judged(text, parameters, change).map(|judged| judged.touched)
    }

    /// The same, and what the result can tell.
    fn judged(
        &self,
        text: &str,
        parameters: &[Parameter<'_>],
        change: impl FnOnce(&mut Facts),
    ) -> Result<Judged, Refusal> {
        let bytes = text.as_bytes();
        let shape = shape(bytes, true);
        let mut facts = facts(bytes, true, &shape);
        change(&mut facts);
        let given = given(text, &shape.literals, parameters);
        let dependencies = judge(bytes, true.into(), &facts, &self.around(Some(&["public"])))?;
        let links = dependencies.linked(&given).cloned().collect();
        let touched = dependencies.touched(&given)?.into_vec();
        Ok(Judged { touched, key: dependencies.row_key, links })
    }

    /// What a text may write.
    fn writes(&self, text: &str, triggers: &[TriggerWrites]) -> Writes {
        writes::of(text.as_bytes(), true.into(), &self.around(Some(&["public"])), triggers)
    }

    fn name(&self, oid: u32) -> &str {
        self.names.get(&oid).map_or("?", String::as_str)
    }
}

fn given<'a>(text: &'a str, literals: &'a [Literal], parameters: &'a [Parameter<'a>]) -> Given<'a> {
    Given { text: text.as_bytes(), dialect: true.into(), literals, parameters, same_encoding: true }
}

fn named(row: &Row) -> (u32, String) {
    let [Some(oid), Some(schema), Some(name), _] = row.as_slice() else { panic!("{row:?}") };
    let name = if schema == "public" { name.clone() } else { format!("{schema}.{name}") };
    (oid.parse().expect("a number"), name)
}

fn reached(server: &mut Client, mut reach: Reach) -> Barriers {
    while let Some(question) = reach.question() {
        reach = reach.answer(&ask(server, &question));
    }
    reach.barriers()
}

fn ask(server: &mut Client, question: &str) -> Vec<Row> {
    let answer = server.simple(question);
    assert!(answer.iter().all(|message| message.tag != b'E'), "{question}\n{answer:?}");
    let rows = answer.iter().filter(|message| message.tag == b'D');
    let text = |value: Option<Vec<u8>>| value.map(|value| String::from_utf8_lossy(&value).into_owned());
    rows.map(|row| row.values().into_iter().map(text).collect()).collect()
}

/// `t(1,2)=a,b|c,d` for values of columns, `t` for any row.
fn shown(known: &Known, touched: &[Touched]) -> String {
    let one = |one: &Touched| {
        let name = known.name(one.table);
        if one.columns.is_empty() {
            return name.to_owned();
        }
        let columns: Vec<String> = one.columns.iter().map(ToString::to_string).collect();
        let row = |row: &KeyRow| {
            row.iter().map(|value| String::from_utf8_lossy(value)).collect::<Vec<_>>().join(",")
        };
        let values: Vec<String> = one.values.iter().map(row).collect();
        format!("{name}({})={}", columns.join(","), values.join("|"))
    };
    let mut all: Vec<String> = touched.iter().map(one).collect();
    all.sort();
    all.join(" ")
}
