//! All of it at once: sessions that come and go, rules that change under them, answers that are one of those that may be, and nothing left behind.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::applied::Ruled;
use crate::harness::cluster::Cluster;
use crate::harness::message::Message;
use crate::harness::raw::Client;
use crate::harness::{eventually, frontend as msg};

const TEXT: &str = "select i, 'all' from t where i = ";

/// Rules with other words for the same statement each, and other limits.
fn rules(round: u64) -> String {
    let (word, most) = (["one", "two", "three"][round as usize % 3], [5, 50, 500][round as usize % 3]);
    let words = format!(
        "[[rule]]\nname = \"words\"\nthen.rewrite = {{ from = \"{TEXT}1\", to = \"select i, '{word}' from t where i = $2\" }}\n"
    );
    let more = format!(
        "[[rule]]\nname = \"few\"\nwhen.text_regex = \"/\\\\* few\"\nthen.max_rows = {most}\n\
         [[rule]]\nname = \"hint\"\nwhen.class = \"read\"\nthen.hint = \"SeqScan(t)\"\n"
    );
    if round % 4 == 3 { more } else { words + &more }
}

/// A number below `end`, another each time.
fn draw(seed: &mut u64, end: u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % end
}

fn assert_worded(answer: &[Message], i: &str) {
    let row = answer.iter().find(|message| message.tag == b'D').unwrap_or_else(|| panic!("{answer:?}"));
    let values: Vec<_> =
        row.values().into_iter().map(|value| String::from_utf8(value.unwrap_or_default())).collect();
    let word = values[1].as_deref().expect("UTF-8");
    assert_eq!(values[0].as_deref(), Ok(i));
    assert!(["all", "one", "two", "three"].contains(&word), "{word}");
}

fn assert_limited(answer: &[Message], rows: u64) {
    let came = answer.iter().filter(|message| message.tag == b'D').count() as u64;
    match answer.iter().find(|message| message.tag == b'E') {
        Some(error) => {
            assert_eq!(error.sqlstate(), "54000", "{error:?}");
            assert!([5, 50, 500].contains(&came) && came < rows, "{came} of {rows}");
        }
        None => assert!(came == rows && rows <= 500, "{came} of {rows}"),
    }
}

/// One thing that a client does; gives whether it stays.
fn act(client: &mut Client, seed: &mut u64) -> bool {
    let (i, rows) = ((draw(seed, 5) + 1).to_string(), [1, 5, 6, 60, 4000][draw(seed, 5) as usize]);
    let few = format!("select generate_series(1, {rows}) /* few */");
    let bound = [msg::bind("", "s", &[&i]), msg::execute("", 0), msg::sync()].concat();
    match draw(seed, 7) {
        0 => assert_worded(&client.simple(&format!("{TEXT}{i}")), &i),
        1 => {
            client.send(&[msg::unnamed(&format!("{TEXT}$1"), &[&i]), msg::sync()].concat());
            assert_worded(&client.until_ready(), &i);
        }
        2 => {
            client.send(&bound);
            assert_worded(&client.until_ready(), &i);
        }
        3 => assert_limited(&client.simple(&few), rows),
        4 => {
            client.send(&[msg::unnamed(&few, &[]), msg::sync(), bound].concat());
            assert_limited(&client.until_ready(), rows);
            assert_worded(&client.until_ready(), &i);
        }
        5 => {
            client.run("begin");
            client.send(&bound);
            assert_worded(&client.until_ready(), &i);
            let answer = client.simple(&few);
            assert_limited(&answer, rows);
            let failed = answer.iter().any(|message| message.tag == b'E');
            let ended = client.simple("commit")[0].command_tag();
            assert_eq!(ended, if failed { "ROLLBACK" } else { "COMMIT" });
        }
        _ => {
            // It leaves with something under way.
            client.send(&[msg::query("begin"), msg::query(&few), bound].concat());
            return false;
        }
    }
    true
}

#[test]
fn whatever_happens_answers_are_right_and_nothing_is_left() {
    let Some(ruled) = Ruled::new(&rules(0)) else { return };
    let (done, acts) = (AtomicBool::new(false), AtomicU64::new(0));
    let connect = || {
        let mut client = ruled.client();
        client.send(
            &[msg::parse("s", &format!("{TEXT}$1")), msg::describe_statement("s"), msg::sync()].concat(),
        );
        assert!(client.until_ready().iter().all(|message| message.tag != b'E'));
        client
    };
    std::thread::scope(|scope| {
        for n in 0..8 {
            let (done, acts) = (&done, &acts);
            scope.spawn(move || {
                let mut seed = n * 7919 + 1;
                while !done.load(Ordering::Acquire) {
                    let mut client = connect();
                    while act(&mut client, &mut seed) && !done.load(Ordering::Acquire) {
                        acts.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        let mut console = ruled.console();
        for round in 1..25 {
            std::thread::sleep(std::time::Duration::from_millis(200));
            ruled.write(&rules(round));
            console.run("reload");
        }
        done.store(true, Ordering::Release);
    });
    assert!(acts.load(Ordering::Relaxed) > 200, "{acts:?}");
    let mut superuser = Cluster::shared().superuser(&ruled.databases[0].name);
    eventually("nothing is at work, and no more servers than the pool's", || {
        superuser.value(
            "select count(*) <= 3 and count(*) filter (where state <> 'idle') = 0 from pg_stat_activity \
             where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'",
        ) == "t"
    });
    // All servers are as good as new.
    let mut clients: Vec<_> = (0..3).map(|_| ruled.client()).collect();
    clients.iter_mut().for_each(|client| client.run("begin"));
    clients.iter_mut().for_each(|client| assert_eq!(client.value("select count(*) from t"), "5"));
}
