//! `EXPLAIN ROUTE` among other messages, in any order: answers are where those to PostgreSQL's own EXPLAIN would be.

use super::Scene;
use crate::harness::cluster::Cluster;
use crate::harness::frontend as msg;
use crate::harness::message::Message;
use crate::harness::raw::Client;

/// A small generator (xorshift): the same messages each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }
}

/// One cycle, as messages with `EXPLAIN ROUTE`, or with PostgreSQL's own in its place.
fn cycle(random: &mut Random, own: bool) -> Vec<u8> {
    let why = if own { "explain select 1" } else { "explain route select 1" };
    let texts = [why, "select 7", why, "insert into t values (1)", why, "select 1 / 0"];
    // Errors are rarer than the rest.
    let text = |random: &mut Random| {
        let most = 5 + random.below(2);
        texts[random.below(most)]
    };
    if random.below(3) == 0 {
        let more = ["begin", "commit", "rollback"];
        let at = random.below(10);
        return msg::query(more.get(at).copied().unwrap_or_else(|| text(random)));
    }
    let mut batch = vec![];
    for _ in 0..1 + random.below(4) {
        let name = ["", "", "a", "b"][random.below(4)];
        match random.below(4) {
            0 => batch.extend([msg::parse(name, text(random)), msg::describe_statement(name)].concat()),
            1 => batch.extend(msg::close_statement(name)),
            2 => batch.extend([msg::bind("", name, &[]), msg::execute("", random.below(2) as u32)].concat()),
            _ => batch.extend(msg::unnamed(text(random), &[])),
        }
    }
    batch.extend(msg::sync());
    batch
}

/// Types of the messages, errors by SQLSTATE, and the transaction status; rows count as one.
fn outline(messages: &[Message]) -> String {
    let mut parts: Vec<String> = vec![];
    for message in messages {
        let part = match message.tag {
            b'E' => message.sqlstate(),
            b'Z' => format!("Z{}", message.body[0] as char),
            tag => (tag as char).to_string(),
        };
        if part != "D" || parts.last().is_none_or(|last| last != "D") {
            parts.push(part);
        }
    }
    parts.join(" ")
}

#[test]
fn answers_are_where_those_to_explain_would_be() {
    let Some(scene) = Scene::new("", "pool_size=2") else { return };
    let direct = Cluster::shared().database();
    direct.setup("create table t (i int)");
    for seed in 1..=60_u64 {
        let connect = || [Client::connect(&Cluster::shared().tcp(), &direct.login()), scene.client()];
        let [mut directly, mut through] = connect();
        let (mut one, mut other) = (Random(seed * 7919), Random(seed * 7919));
        let mut failed = false;
        for round in 0..20 {
            // Some cycles in one write.
            let many = 1 + Random(seed * 31 + round).below(3);
            let sent: Vec<_> = (0..many).map(|_| (cycle(&mut one, true), cycle(&mut other, false))).collect();
            directly.send(&sent.iter().flat_map(|(own, _)| own.clone()).collect::<Vec<_>>());
            through.send(&sent.iter().flat_map(|(_, ours)| ours.clone()).collect::<Vec<_>>());
            for _ in 0..many {
                let expected = outline(&directly.until_ready());
                let found = outline(&through.until_ready());
                // In a failed transaction PostgreSQL's own is refused.
                failed |= expected.contains("25P02");
                if !failed && found != expected {
                    for (own, _) in &sent {
                        println!("{}", String::from_utf8_lossy(own).escape_debug());
                    }
                }
                if !failed {
                    assert_eq!(found, expected, "seed {seed}, round {round}");
                }
            }
            if failed {
                break;
            }
        }
    }
}

#[test]
fn what_is_asked_without_end_takes_no_memory() {
    let Some(scene) = Scene::new("", "") else { return };
    let mut client = scene.client();
    client.run("select 1");
    let many = 3000;
    let before = scene.proxy.memory();
    // Nobody takes the answers; of what is in one batch behind a statement, not more waits than the bound.
    let query = msg::query("explain route select i from t");
    let endpoint = scene.proxy.endpoint();
    let login = scene.database.login();
    std::thread::scope(|scope| {
        let mut flood = Client::connect(&endpoint, &login);
        let mut batch = Client::connect(&endpoint, &login);
        scope.spawn(move || {
            let writer = std::thread::spawn(move || {
                flood.send(&query.repeat(2000));
                flood
            });
            std::thread::sleep(std::time::Duration::from_secs(1));
            let mut flood = writer.join().expect("it is sent");
            (0..2000).for_each(|_| drop(flood.until_ready()));
        });
        let why = msg::unnamed(&format!("explain route vacuum {}", "x".repeat(4000)), &[]);
        batch.send(&[msg::unnamed("select 7", &[]), why.repeat(many), msg::sync()].concat());
        let answer = batch.until_ready();
        let error = answer.iter().find(|message| message.tag == b'E').expect("it is refused");
        assert_eq!(error.sqlstate(), "54000");
    });
    let grown = scene.proxy.memory().saturating_sub(before);
    assert!(grown < 64 << 20, "{} MB more", grown >> 20);
    assert_eq!(client.value("select 7"), "7");
}
