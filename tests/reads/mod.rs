//! What is judged to be a read, against what PostgreSQL says when it runs.

mod attacks;
mod cases;
mod corpus;
mod explain;
mod generated;
mod grammar;
mod mappers;
mod relations;

use pgweir::catalog::{BODIES, Barriers, OWN, Reach, Row};
use pgweir::sql::not_a_read;

use crate::harness::raw::Client;

/// What PostgreSQL has of its own that is more than a read.
fn own(server: &mut Client) -> Vec<Row> {
    ask(server, Reach::SETTINGS);
    ask(server, OWN)
}

/// The names that make more than a read, as a connection of pgweir's own finds them.
fn barriers(server: &mut Client) -> Barriers {
    let own = own(server);
    barriers_beyond(&own, server)
}

fn barriers_beyond(own: &[Row], server: &mut Client) -> Barriers {
    ask(server, Reach::SETTINGS);
    let version = ask(server, "show server_version_num")[0][0].clone().and_then(|text| text.parse().ok());
    let mut reach = Reach::begin(version.expect("a version"), own, &ask(server, BODIES));
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

/// Why `text` is not judged to be a read.
fn reason(text: &str, barriers: &Barriers) -> Option<String> {
    let by_words = not_a_read(text.as_bytes(), true).map(|reason| reason.to_string());
    by_words.or_else(|| barriers.meets(text.as_bytes(), true).map(|barrier| barrier.to_string()))
}
