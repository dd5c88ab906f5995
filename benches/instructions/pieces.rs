//! The pieces. Each prepares what it needs, and hands what is counted to [`measured`].
//!
//! Left out: what needs a socket (lease, relay), and SCRAM, whose hash is chosen by the processor.

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use pgweir::cache::{
    Described, Form, Gate, KeyBuffer, Limits, Lookup, Needs, Parts, Relation, Shape, Store, Tag, Tags,
};
use pgweir::catalog::{Barriers, Definitions, Judge};
use pgweir::level::{Caching, OnStreamLoss};
use pgweir::plan::Profiles;
use pgweir::pool::exchange::Commits;
use pgweir::pool::state::{Settings, State, States, difference};
use pgweir::rules::{Candidates, Context, Ruleset, Session, Source, Subject};
use pgweir::session::lone::Lone;
use pgweir::session::statement::{Statement, Statements};
use pgweir::slow::Digests;
use pgweir::sql::facts::{Access, Class, Facts, Name, Table};
use pgweir::sql::{facts, plain_verb, shape, summarize};
use pgweir::stats::tally::{Answer, Served, Who};
use pgweir::wire::frame::{Frame, back, front};
use pgweir::wire::{emit, startup};

use crate::{ROUNDS, measured};

/// All of them.
pub const NAMES: [&str; 23] = [
    "startup",
    "frames_simple",
    "frames_extended",
    "plain_select",
    "summary_select",
    "summary_begin",
    "shape_select",
    "facts_select",
    "shape_known",
    "shape_prepared",
    "statement_known",
    "state_equal",
    "state_different",
    "emit_query",
    "rules_settled",
    "rules_of_session",
    "rules_new_shape",
    "cache_hit",
    "cache_tags",
    "cache_write",
    "capture_same",
    "capture_literals",
    "capture_answer",
];

/// A common read, of 150 bytes.
const SELECT: &[u8] =
    b"SELECT o.id, o.total, c.name AS customer FROM orders o JOIN customers c ON c.id = o.customer_id \
    WHERE o.id = $1 AND o.state <> 'gone' ORDER BY 2 LIMIT";

/// The same, of the same length, and complete, so that there is a tree of it.
const COMPLETE: &[u8] =
    b"SELECT o.id, o.total, c.name AS customer FROM orders o JOIN customers c ON c.id = o.customer_id \
    WHERE o.id = $1 AND o.state <> 'gone' ORDER BY o.total";

/// Runs one under the counter.
pub fn run(name: &str) -> anyhow::Result<()> {
    assert_eq!((SELECT.len(), COMPLETE.len()), (150, 150));
    match name {
        "startup" => start(),
        "frames_simple" => frames(&simple_answer()),
        "frames_extended" => frames(&extended_cycle()),
        "plain_select" => plain(SELECT),
        "summary_select" => text(SELECT),
        "summary_begin" => text(b"BEGIN"),
        "shape_select" => folded(SELECT),
        "facts_select" => new_shape(COMPLETE),
        "shape_known" => known_shape(),
        "shape_prepared" => prepared_shape(),
        "statement_known" => statement(),
        "state_equal" => states(&[("work_mem", "8MB")], &[("work_mem", "8MB")]),
        "state_different" => states(&[("work_mem", "8MB"), ("jit", "off")], &[("work_mem", "9MB")]),
        "emit_query" => query(),
        "rules_settled" => rules("then.tag = \"x\"", |candidates, context| {
            black_box(candidates.decide(black_box(context)).is_empty());
        }),
        "rules_of_session" => rules(PER_USER, |candidates, context| {
            black_box(candidates.decide(black_box(context)).is_empty());
        }),
        "rules_new_shape" => rules_of_new_shape(),
        "cache_hit" => cache_hit(),
        "cache_tags" => cache_tags(),
        "cache_write" => cache_write(),
        "capture_same" => capture(&[COMPLETE.to_vec()]),
        "capture_literals" => capture(&with_literals()),
        "capture_answer" => answer(),
        _ => bail!("no piece is called {name}"),
    }
    Ok(())
}

/// Counts the second run: the first may allocate what the others find. Tells how long it takes, for those who run a piece without the counter.
fn count(mut piece: impl FnMut()) {
    piece();
    let begin = Instant::now();
    measured(&mut piece);
    println!("{:.0} ns each", begin.elapsed().as_nanos() as f64 / ROUNDS as f64);
}

fn start() {
    let params =
        [("user", "app"), ("database", "shop"), ("application_name", "web"), ("client_encoding", "UTF8")];
    let params = params.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let packet = startup::start_message(startup::VERSION_3_0, params);
    count(|| drop(black_box(startup::parse(black_box(&packet[4..])))));
}

fn plain(sql: &[u8]) {
    assert!(plain_verb(sql).is_some());
    count(|| {
        black_box(plain_verb(black_box(sql)));
    });
}

/// All that a shape costs that nobody has seen: its shape, its tree, and the facts.
fn new_shape(sql: &[u8]) {
    let found = || facts(black_box(sql), true, &shape(black_box(sql), true));
    assert!(found().understood);
    count(|| drop(black_box(found())));
}

fn folded(sql: &[u8]) {
    count(|| drop(black_box(shape(black_box(sql), true))));
}

fn simple_answer() -> Vec<u8> {
    let mut out = vec![];
    emit::frame(&mut out, back::ROW_DESCRIPTION, |out| out.extend_from_slice(&[0; 30]));
    for _ in 0..3 {
        emit::frame(&mut out, back::DATA_ROW, |out| out.extend_from_slice(&[0; 50]));
    }
    emit::command_complete(&mut out, "SELECT 3");
    emit::ready(&mut out, pgweir::wire::frame::TxStatus::Idle);
    out
}

fn extended_cycle() -> Vec<u8> {
    let mut out = vec![];
    emit::parse(&mut out, b"s", &[SELECT, b"\0\0\0"].concat());
    emit::frame(&mut out, front::BIND, |out| out.extend_from_slice(b"\0s\0\0\0\0\x01\0\0\0\x0242\0\0"));
    emit::target(&mut out, front::DESCRIBE, b'P', b"");
    emit::frame(&mut out, front::EXECUTE, |out| out.extend_from_slice(&[0; 5]));
    emit::empty(&mut out, front::SYNC);
    out
}

fn frames(stream: &[u8]) {
    count(|| {
        let mut rest = black_box(stream);
        while let Ok(Some(frame)) = Frame::peek(rest) {
            black_box(frame);
            rest = rest.get(frame.total..).unwrap_or_default();
        }
    });
}

fn text(sql: &[u8]) {
    count(|| drop(black_box(summarize(black_box(sql), true))));
}

/// Where a statement is counted whose text was seen lately, or whose shape was.
fn capture(texts: &[Vec<u8>]) {
    let digests = Digests::default();
    digests.set_limit(1000);
    let identity = digests.identity(&Who::default());
    let mut next = texts.iter().cycle();
    count(|| {
        let text = next.next().map_or(&b""[..], Vec::as_slice);
        drop(black_box(digests.find(&identity, Some((black_box(text), true.into())))));
    });
    assert_eq!(digests.len(), 1);
}

/// A statement of 150 bytes, in so many values that its texts are never seen again before they are forgotten.
fn with_literals() -> Vec<Vec<u8>> {
    let values = (0..5000).map(|n| {
        String::from_utf8_lossy(COMPLETE)
            .replace("$1", &format!("{:02}", n % 100))
            .replace("gone", &format!("{n:04}"))
    });
    values.map(String::into_bytes).collect()
}

/// An answer is counted.
fn answer() {
    let digests = Digests::default();
    digests.set_limit(1000);
    let identity = digests.identity(&Who::default());
    let tally = digests.find(&identity, Some((COMPLETE, true.into())));
    let times = Some([0, 300, 0, 0, 300]);
    let answer = Answer { served: Served::Primary, rows: 1, bytes: 100, error: None, times };
    count(|| digests.count(&tally, black_box(&answer)));
    assert!(tally.sums.borrow().calls > 1000);
}

/// Profiles of a database whose names are known.
fn profiles() -> Rc<Profiles> {
    let judge = Judge::new(Definitions::new());
    judge.reading_wanted().expect("nothing is known").done(Some(Barriers::default().into()), None);
    Profiles::new(judge)
}

/// All that naming a statement and looking up what is known of it takes, where its shape is known: one pass over the text, and one look-up.
fn known_shape() {
    let profiles = profiles();
    assert!(profiles.read(COMPLETE, true.into()).is_some());
    count(|| drop(black_box(profiles.read(black_box(COMPLETE), true.into()))));
}

/// The same for one that is prepared.
fn prepared_shape() {
    let profiles = profiles();
    let tail = [COMPLETE, b"\0\0\0"].concat();
    let statement = Lone::Prepared(Rc::new(Statement::parsed(&tail, Commits::Nothing)));
    let read = || {
        let profile = black_box(&statement).profile(&profiles, true.into());
        profile.is_read(&profiles.judge, statement.text(), true.into())
    };
    assert!(read());
    count(|| {
        black_box(read());
    });
}

fn statement() {
    let mut statements = Statements::new(NonZeroUsize::MIN);
    let tail = [SELECT, b"\0\0\0"].concat();
    statements.insert(&tail, Rc::new(Statement::parsed(&tail, Commits::Nothing)));
    count(|| drop(black_box(statements.get(black_box(&tail)))));
}

fn states(has: &[(&str, &str)], wants: &[(&str, &str)]) {
    let states = States::default();
    let state = |pairs: &[(&str, &str)]| -> std::rc::Rc<State> {
        let pairs = pairs.iter().map(|(name, value)| (name.as_bytes().into(), value.as_bytes().into()));
        states.intern(pairs.collect::<Settings>())
    };
    let (has, wants) = (state(has), state(wants));
    count(|| drop(black_box(difference(black_box(&has), black_box(&wants), false))));
}

fn query() {
    let mut out = Vec::with_capacity(1024);
    count(|| {
        out.clear();
        emit::query(black_box(&mut out), black_box(SELECT));
    });
}

/// Rules that ask for the session: ten of them hold for each shape.
const PER_USER: &str = "when.user = \"tenant_*_x\"\nthen.log = \"info\"";

/// A thousand rules, each about ten tables in a row, so that ten hold for each shape; `more` is what each of them says.
fn thousand(more: &str) -> Ruleset {
    let rule = |n: usize| {
        let tables: Vec<String> = (n..n + 10).map(|n| format!("\"t{n}\"")).collect();
        format!("[[rule]]\nname = \"r{n}\"\nwhen.tables = [{}]\n{more}\n", tables.join(", "))
    };
    let text: String = (0..1000).map(rule).collect();
    Ruleset::compile(&[Source { path: "f.toml".into(), text }]).expect("sound rules")
}

/// Facts of a statement about one table.
fn about(table: &str) -> Facts {
    let name = Name { schema: None, name: table.into() };
    let tables = vec![Table { name, access: Access::Read }];
    Facts { understood: true, tables, ..Facts::of_class(Class::Select) }
}

fn rules(more: &str, decide: impl Fn(&Candidates, &Context<'_>)) {
    let (rules, facts, shape) = (thousand(more), about("t500"), shape(SELECT, true));
    let subject =
        Subject { facts: &facts, fingerprint: shape.fingerprint, shape: &shape.text, is_read: true };
    let candidates = rules.candidates(&subject);
    assert!(!candidates.is_empty());
    let session = Session { user: b"tenant_7", ..Session::default() };
    let context = Context { session, ..Context::default() };
    count(|| decide(black_box(&candidates), &context));
}

fn rules_of_new_shape() {
    let (rules, facts, shape) = (thousand(PER_USER), about("t500"), shape(SELECT, true));
    let subject =
        Subject { facts: &facts, fingerprint: shape.fingerprint, shape: &shape.text, is_read: true };
    count(|| drop(black_box(rules.candidates(black_box(&subject)))));
}

const TABLE: Relation = Relation { database: 1, oid: 16384 };

/// What a read of one row by its key depends on.
fn one_row() -> Needs {
    let mut needs = Needs::default();
    needs.begin(1);
    needs.rows(TABLE, &[1], [&b"4242"[..]]);
    needs
}

/// A prepared read with one parameter, of a statement of 150 bytes.
fn cached_parts() -> Parts<'static> {
    Parts {
        database: 1,
        form: Form::Extended(Described::Portal),
        user: b"app",
        settings: b"UTF8\0ISO, MDY\0Europe/Berlin\0",
        sql: SELECT,
        types: b"\0\x01\0\0\0\x17",
        bind: b"\0\0\0\x01\0\0\0\x044242\0\0",
    }
}

/// The key is built, the entry found, its tags looked at, and 100 bytes appended.
fn cache_hit() {
    let limits = Limits {
        size: 64 << 20,
        entry: 1 << 20,
        filling: 16 << 20,
        followers: 100,
        wait: Duration::from_secs(1),
        second_use: false,
    };
    let store = Store::new(Arc::new(Tags::new(1 << 20)), limits);
    let now = Instant::now();
    let gate = Gate {
        level: Caching::Session,
        now,
        fresh_as_of: Some(now),
        definitions_hold: true,
        floor: Some(now),
        bound: Duration::from_secs(1),
        ttl: Duration::from_secs(600),
        swr: Duration::ZERO,
        on_stream_loss: OnStreamLoss::Bypass,
    };
    let (parts, needs, mut buffer) = (cached_parts(), one_row(), KeyBuffer::default());
    let key = buffer.key(&parts).expect("a short key");
    let Lookup::Fill(mut filling) = store.lookup(&key, &gate, || Some(&needs)) else {
        panic!("an empty store has a hit");
    };
    filling.push(&[7; 100]);
    filling.finish(Duration::from_millis(1), now).expect("it is kept");
    let mut out = Vec::with_capacity(4096);
    count(|| {
        out.clear();
        let key = buffer.key(black_box(&parts)).expect("a short key");
        match store.lookup(&key, black_box(&gate), || None) {
            Lookup::Hit(entry) => out.extend_from_slice(entry.answer()),
            other => panic!("not a hit: {other:?}"),
        }
    });
    assert_eq!(out, [7; 100]);
}

/// Of a hit, whether its tags hold.
fn cache_tags() {
    let (tags, needs) = (Tags::new(1 << 20), one_row());
    let versions = tags.read(needs.tags()).expect("no doubt");
    count(|| assert!(tags.holds(black_box(&versions)).is_ok()));
}

/// A write of one row: its tags made, in doubt, and out of it.
fn cache_write() {
    let (tags, shape) = (Arc::new(Tags::new(1 << 20)), Shape::new(&[1]));
    count(|| {
        let key = Tag::shape(TABLE, black_box(&shape).columns());
        let row = Tag::values(key, [black_box(&b"4242"[..])]);
        tags.doubt(&[row, Tag::any_row(TABLE)]).release();
    });
}
