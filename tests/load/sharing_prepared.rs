//! Prepared reads of several sessions on one server, one behind the other: each gets its own answer, and no other than it would get alone.

use super::prelude::*;
use super::sharing::{Random, Scene, pad, padded};

/// Statements by their names, and how they are run once. None of them fails before it runs, whichever plan the server takes.
const STATEMENTS: [(&str, &str, &str); 4] = [
    ("pad", "select i || pad from t where i = $1", "1"),
    ("sleep", "select pg_catalog.pg_sleep($1)", "0"),
    ("divided", "select 1000 / (i - i + $1) from t where i = 1", "1"),
    ("many", "select pad from t where i > $1", "999"),
];

fn bound(name: &str, value: &str) -> Vec<u8> {
    [msg::bind("", name, &[value]), msg::describe_portal(""), msg::execute("", 0), msg::sync()].concat()
}

fn prepare(client: &mut Client, name: &str, sql: &str) {
    client.send(&[msg::parse(name, sql), msg::sync()].concat());
    let answer = client.until_ready();
    assert!(answer.iter().all(|message| message.tag != b'E'), "{sql}: {answer:?}");
}

fn ask(client: &mut Client, name: &str, value: &str) -> Vec<Message> {
    client.send(&bound(name, value));
    client.until_ready()
}

fn tags(answer: &[Message]) -> String {
    answer.iter().map(|message| char::from(message.tag)).collect()
}

/// The one value of an answer that goes well.
#[track_caller]
fn value(answer: &[Message]) -> String {
    assert_eq!(tags(answer), "2TDCZ", "{answer:?}");
    answer[2].value()
}

#[track_caller]
fn check_pad(answer: &[Message], i: u32) {
    assert_eq!(value(answer), padded(i));
}

impl Scene<'_> {
    /// A client that has the statements, and was told what they are.
    fn prepared(&self) -> Client {
        let mut client = self.connect();
        for (name, sql, once) in STATEMENTS {
            prepare(&mut client, name, sql);
            ask(&mut client, name, once);
        }
        client
    }
}

impl Scene<'_> {
    /// The same while servers end: until it has what it needs.
    fn prepared_again(&self) -> Client {
        for _ in 0..50 {
            let mut client = self.connect();
            let all = STATEMENTS.map(|(name, sql, once)| [msg::parse(name, sql), bound(name, once)].concat());
            client.send(&all.concat());
            let answers: Vec<_> = STATEMENTS.iter().map(|_| client.until(b'Z')).collect();
            if answers
                .iter()
                .all(|answer| answer.as_ref().is_ok_and(|answer| tags(answer).starts_with("12TD")))
            {
                return client;
            }
        }
        panic!("no session gets its statements");
    }
}

impl Scene<'static> {
    fn of_prepared(query: &str) -> Self {
        let scene = Scene::new(query);
        let (mut one, mut other) = (scene.prepared(), scene.prepared());
        eventually("prepared reads go behind others", || {
            for _ in 0..40 {
                STATEMENTS.iter().for_each(|(name, _, once)| drop(ask(&mut one, name, once)));
            }
            let before = scene.followed();
            one.send(&bound("sleep", "0.004"));
            std::thread::sleep(Duration::from_millis(1));
            check_pad(&ask(&mut other, "pad", "3"), 3);
            one.until_ready();
            scene.followed() > before
        });
        scene
    }
}

/// Sends a read behind a statement that takes so many seconds, and gives both answers.
fn behind(slow: &mut Client, seconds: &str, client: &mut Client, read: &[u8]) -> [Vec<Message>; 2] {
    slow.send(&bound("sleep", seconds));
    std::thread::sleep(Duration::from_millis(2));
    client.send(read);
    let answer = client.until_ready();
    [slow.until_ready(), answer]
}

/// One that takes its time now and then is still short by most accounts.
fn calm(client: &mut Client) {
    (0..150).for_each(|_| drop(ask(client, "sleep", "0")));
}

#[test]
fn every_session_reads_its_own_answer() {
    if direct_only() {
        return;
    }
    let scene = Scene::of_prepared("pool_size=1");
    let before = scene.counted("answered");
    std::thread::scope(|scope| {
        for session in 0..12_u64 {
            let mut client = scene.prepared();
            scope.spawn(move || {
                let mut random = Random(session + 1);
                for n in 0..400 {
                    let i = random.below(1000) as u32 + 1;
                    match random.below(24) {
                        0 => {
                            let answer = ask(&mut client, "divided", "0");
                            assert_eq!(
                                (tags(&answer).as_str(), answer[2].sqlstate().as_str()),
                                ("2TEZ", "22012")
                            );
                        }
                        1 => {
                            let answer = ask(&mut client, "pad", "x");
                            assert_eq!(
                                (tags(&answer).as_str(), answer[0].sqlstate().as_str()),
                                ("EZ", "22P02")
                            );
                        }
                        2 => {
                            let rows = ask(&mut client, "many", "500");
                            assert_eq!(rows.iter().filter(|row| row.tag == b'D').count(), 500);
                        }
                        3 => assert_eq!(client.value(&pad(i)), padded(i)),
                        4 => {
                            // In two cycles, without a description.
                            let run = |i: u32| {
                                let i = i.to_string();
                                [msg::bind("", "pad", &[&i]), msg::execute("", 0), msg::sync()].concat()
                            };
                            client.send(&[run(i), run(7)].concat());
                            for i in [i, 7] {
                                let answer = client.until_ready();
                                assert_eq!(
                                    (tags(&answer).as_str(), answer[1].value()),
                                    ("2DCZ", padded(i)),
                                    "{n}"
                                );
                            }
                        }
                        _ => check_pad(&ask(&mut client, "pad", &i.to_string()), i),
                    }
                }
            });
        }
    });
    let followed = scene.counted("answered") - before;
    assert!(followed > 500, "{followed} reads of 4,800 went behind others");
}

/// Those who stand in line when no server is free go behind the first of them who gets one, in their order, whichever protocol they speak.
#[test]
fn reads_in_line_are_sent_together() {
    if direct_only() {
        return;
    }
    let scene = Scene::of_prepared("pool_size=1");
    let mut holder = scene.connect();
    let mut readers: Vec<Client> = (0..12).map(|_| scene.prepared()).collect();
    for round in 0..6 {
        holder.run("begin");
        holder.value("select 1");
        let before = scene.counted("answered");
        for (reader, i) in readers.iter_mut().zip(1..) {
            match round % 2 == 0 || i % 3 > 0 {
                true => reader.send(&bound("pad", &i.to_string())),
                false => reader.send(&msg::query(&pad(i))),
            }
            // One after the other into the line.
            std::thread::sleep(Duration::from_millis(1));
        }
        // Their answers wait for longer than anybody stands behind others.
        std::thread::sleep(Duration::from_millis(40));
        holder.run("commit");
        for (reader, i) in readers.iter_mut().zip(1..) {
            let answer = reader.until_ready();
            let found = answer.iter().find(|message| message.tag == b'D').map(Message::value);
            assert_eq!(found, Some(padded(i)), "{round}: {answer:?}");
        }
        let followed = scene.counted("answered") - before;
        assert!((7..12).contains(&followed), "{round}: {followed} of 12 went behind others");
    }
}

/// The server of those who were sent away is there again as soon as it has answered them, also where it answers with errors, and they
/// get their answers from another one, or from it.
#[test]
fn who_is_behind_a_slow_statement_is_sent_elsewhere() {
    if direct_only() {
        return;
    }
    for pool in ["pool_size=2", "pool_size=1"] {
        let scene = Scene::of_prepared(pool);
        let (mut slow, mut quick) = (scene.prepared(), scene.prepared());
        let before = scene.counted("sent_away");
        for n in 0..30 {
            let (name, given) = [("pad", "7"), ("divided", "0"), ("pad", "x"), ("many", "400")][n % 4];
            let start = Instant::now();
            let [slept, answer] = behind(&mut slow, "0.06", &mut quick, &bound(name, given));
            assert!(start.elapsed() < Duration::from_secs(1), "{pool}: {:?} behind 60 ms", start.elapsed());
            assert_eq!(tags(&slept), "2TDCZ");
            match n % 4 {
                0 => check_pad(&answer, 7),
                1 => assert_eq!(answer[2].sqlstate(), "22012"),
                2 => assert_eq!(answer[0].sqlstate(), "22P02"),
                _ => assert_eq!(answer.len(), 2 + 600 + 2),
            }
            calm(&mut slow);
        }
        let away = scene.counted("sent_away") - before;
        assert!(away >= 8, "{pool}: {away} of 30 were sent away");
    }
}

/// Only a server that has the statement is gone behind.
#[test]
fn a_statement_is_not_sent_to_a_server_that_does_not_have_it() {
    if direct_only() {
        return;
    }
    let scene = Scene::of_prepared("pool_size=2");
    let [mut one, mut other, mut slow] = [scene.connect(), scene.connect(), scene.prepared()];
    let mut reader = scene.prepared();
    let begin = |client: &mut Client| drop((client.run("begin"), client.value("select 1")));
    for n in 0..6 {
        // It is prepared on the server that the one leaves free, and the slow statement on the other.
        begin(&mut one);
        let text = format!("select i || pad from t where i = $1 and {n} = {n}");
        prepare(&mut reader, &format!("s{n}"), &text);
        begin(&mut other);
        one.run("commit");
        calm(&mut slow);
        let name = format!("s{n}");
        let before = scene.followed();
        let [_, answer] = behind(&mut slow, "0.012", &mut reader, &bound(&name, "5"));
        check_pad(&answer, 5);
        assert_eq!(
            scene.followed(),
            before,
            "{n}: it went behind a statement on a server that does not have it"
        );
        // It was brought there; and when it is known there what it is, it goes behind.
        eventually("it goes behind", || {
            calm(&mut slow);
            for _ in 0..20 {
                check_pad(&ask(&mut reader, &name, "6"), 6);
            }
            let [_, answer] = behind(&mut slow, "0.012", &mut reader, &bound(&name, "8"));
            check_pad(&answer, 8);
            scene.followed() == before + 1
        });
        other.run("commit");
    }
}

/// A statement whose rows are others since a change of definitions fails behind others as it does alone; prepared anew it is the new one.
#[test]
fn a_statement_that_is_another_one_by_now_fails_behind_others() {
    if direct_only() {
        return;
    }
    let scene = Scene::of_prepared("pool_size=1");
    scene.database.setup("create table d (i int); insert into d values (1)");
    let (mut slow, mut reader) = (scene.prepared(), scene.prepared());
    let (mut failed, mut behind_others) = (0, 0);
    for n in 0..8 {
        let name = format!("d{n}");
        prepare(&mut reader, &name, "select * from d where i = $1");
        eventually("the statement is known to be short, and goes behind others", || {
            (0..20).for_each(|_| drop(ask(&mut reader, &name, "1")));
            calm(&mut slow);
            let before = scene.followed();
            let [_, answer] = behind(&mut slow, "0.008", &mut reader, &bound(&name, "1"));
            assert_eq!(tags(&answer), "2TDCZ");
            assert_eq!(answer[2].values().len(), n + 1);
            scene.followed() > before
        });
        calm(&mut slow);
        let before = scene.followed();
        slow.send(&bound("sleep", "0.15"));
        std::thread::sleep(Duration::from_millis(2));
        reader.send(&bound(&name, "1"));
        Cluster::shared().superuser(&scene.database.name).run(&format!("alter table d add c{n} int"));
        let answer = reader.until_ready();
        slow.until_ready();
        match tags(&answer).as_str() {
            "EZ" => {
                assert_eq!(answer[0].sqlstate(), "0A000", "{answer:?}");
                failed += 1;
            }
            // It came before the change.
            tags => assert_eq!((tags, answer[2].values().len()), ("2TDCZ", n + 1)),
        }
        behind_others += scene.followed() - before;
        let again = ask(&mut reader, &name, "1");
        assert_eq!((tags(&again).as_str(), again[0].sqlstate().as_str()), ("EZ", "0A000"), "{again:?}");
    }
    assert!(failed >= 4 && behind_others >= 6, "{failed} of 8 failed, {behind_others} went behind others");
}

/// Servers forget statements that are too many, and sessions go behind each other all the same.
#[test]
fn statements_come_and_go_on_servers() {
    if direct_only() {
        return;
    }
    let limits = "[limits]\nprepared_per_server = 6\n";
    let scene = Scene::at(Cluster::shared(), "pool_size=2", limits);
    let before = scene.counted("answered");
    std::thread::scope(|scope| {
        for session in 0..8_u64 {
            let mut client = scene.connect();
            for n in 0..12 {
                let text = format!("select i || pad from t where i = $1 and {n} = {n} and i < 100{n}");
                prepare(&mut client, &format!("s{n}"), &text);
            }
            scope.spawn(move || {
                let mut random = Random(session * 31 + 7);
                for n in 0..600 {
                    let i = random.below(999) as u32 + 1;
                    // Few at a time, others later.
                    let name = format!("s{}", (n / 100 + random.below(5)) % 12);
                    check_pad(&ask(&mut client, &name, &i.to_string()), i);
                }
            });
        }
    });
    let followed = scene.counted("answered") - before;
    assert!(followed > 100, "{followed} reads of 4,800 went behind others");
}

#[test]
fn a_cancel_hits_nobody_behind_or_ahead() {
    if direct_only() {
        return;
    }
    let scene = Scene::of_prepared("pool_size=2");
    let [mut first, mut second, mut third] = [scene.prepared(), scene.prepared(), scene.prepared()];
    let mut hits = [0; 2];
    for n in 0..30 {
        first.send(&bound("sleep", if n % 3 == 0 { "0.3" } else { "0.004" }));
        second.send(&bound("sleep", "0.001"));
        third.send(&bound("pad", "9"));
        let hit = n % 2;
        let (pid, key) = if hit == 0 { (first.pid, &first.key) } else { (second.pid, &second.key) };
        std::thread::sleep(Duration::from_millis(1));
        raw::cancel(&scene.proxy.endpoint(), pid, key);
        let [first, second] = [first.until_ready(), second.until_ready()];
        check_pad(&third.until_ready(), 9);
        let (own, other) = if hit == 0 { (&first, &second) } else { (&second, &first) };
        assert!(other.iter().all(|message| message.tag != b'E'), "{n}: {other:?}");
        let error = own.iter().find(|message| message.tag == b'E');
        assert!(error.is_none_or(|error| error.sqlstate() == "57014"), "{n}: {own:?}");
        hits[hit] += u32::from(error.is_some());
    }
    assert!(hits[0] > 2, "the cancels of the one ahead hit {} times", hits[0]);
}

#[test]
fn a_server_that_ends_takes_nobody_along_who_is_behind() {
    if direct_only() {
        return;
    }
    let scene = Scene::of_prepared("pool_size=2");
    let mut superuser = Cluster::shared().superuser(&scene.database.name);
    let (mut behind, mut ended) = (scene.prepared(), 0);
    for n in 0..20 {
        let mut ahead = scene.prepared();
        let before = scene.followed();
        ahead.send(&bound("sleep", "0.4"));
        std::thread::sleep(Duration::from_millis(2));
        behind.send(&bound("pad", &(n + 1).to_string()));
        std::thread::sleep(Duration::from_millis(u64::from(n % 5)));
        superuser.simple(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() \
             and state = 'active' and query like '%pg_sleep($1)%' and pid <> pg_backend_pid()",
        );
        check_pad(&behind.until_ready(), n + 1);
        let told = ahead.until(b'Z');
        let error = told.is_err() || told.is_ok_and(|messages| messages.iter().any(|m| m.tag == b'E'));
        ended += u32::from(error && scene.followed() > before);
        calm(&mut behind);
    }
    assert!(ended > 4, "{ended} of 20 servers ended with somebody behind");
}

#[test]
fn clients_that_leave_take_nothing_along() {
    if direct_only() {
        return;
    }
    let scene = Scene::of_prepared("pool_size=2");
    let mut stays = scene.prepared();
    for n in 0..30 {
        let (mut one, mut two) = (scene.prepared(), scene.prepared());
        one.send(&bound("sleep", "0.003"));
        two.send(&bound("pad", "5"));
        stays.send(&bound("pad", &(n + 1).to_string()));
        match n % 3 {
            0 => drop(one),
            1 => drop(two),
            _ => {
                one.half_close();
                two.half_close();
            }
        }
        check_pad(&stays.until_ready(), n + 1);
        calm(&mut stays);
    }
}

/// Everything at once: reads, failures, cancels, sessions that come and go, statements prepared anew, definitions that change, and servers that
/// end.
#[test]
fn whatever_others_do_a_session_reads_what_it_asked_for() {
    if direct_only() {
        return;
    }
    let scene = Scene::of_prepared("pool_size=3");
    let before = scene.followed();
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..10).map(|session| Reader::new(&scene, session)).collect();
        let readers: Vec<_> = readers.into_iter().map(|reader| scope.spawn(|| reader.run(400))).collect();
        scope.spawn(|| {
            let mut superuser = Cluster::shared().superuser(&scene.database.name);
            for n in 0.. {
                if over.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
                superuser.run(
                    "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() \
                     and pid <> pg_backend_pid() order by random() limit 1",
                );
                if n % 4 == 0 {
                    superuser.run(&format!("create table made_{n} (i int)"));
                }
                std::thread::sleep(Duration::from_millis(60));
            }
        });
        let ended: Vec<_> = readers.into_iter().map(|reader| reader.join()).collect();
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        let lost: Vec<u32> = ended.into_iter().map(|end| end.expect("each reads its own answers")).collect();
        println!("connections lost with their servers: {lost:?}");
    });
    let followed = scene.followed() - before;
    println!("{followed} of 4,000 followed, {} were sent away", scene.counted("sent_away"));
    assert!(followed > 200, "only {followed} reads followed");
}

/// One of those sessions.
struct Reader<'a> {
    scene: &'a Scene<'a>,
    client: Client,
    random: Random,
    lost: u32,
}

impl<'a> Reader<'a> {
    fn new(scene: &'a Scene<'a>, session: u64) -> Self {
        Reader { scene, client: scene.prepared(), random: Random(session * 7919 + 17), lost: 0 }
    }

    fn run(mut self, operations: u32) -> u32 {
        (0..operations).for_each(|n| self.operation(n));
        self.lost
    }

    fn operation(&mut self, n: u32) {
        let i = self.random.below(1000) as u32 + 1;
        match self.random.below(30) {
            0 => self.client = self.scene.prepared_again(),
            1 => {
                self.client.send(&bound("sleep", "0.03"));
                std::thread::sleep(Duration::from_millis(self.random.below(8)));
                raw::cancel(&self.scene.proxy.endpoint(), self.client.pid, &self.client.key);
                self.check(|answer| {
                    assert!(["2TDCZ", "2TEZ", "EZ"].contains(&tags(answer).as_str()), "{answer:?}")
                });
            }
            2 => {
                self.client.send(&bound("divided", "0"));
                self.check(|answer| assert_eq!(tags(answer), "2TEZ"));
            }
            3 => {
                let name = format!("n{n}");
                self.client.send(
                    &[msg::parse(&name, "select i || pad from t where i = $1"), bound(&name, &i.to_string())]
                        .concat(),
                );
                self.check(|answer| {
                    assert_eq!((tags(answer).as_str(), answer[3].value()), ("12TDCZ", padded(i)))
                });
            }
            4 => {
                self.client.send(&bound("pad", "9"));
                self.client = self.scene.prepared_again();
            }
            5 => {
                self.client.send(&bound("sleep", "0.002"));
                self.check(|answer| assert_eq!(tags(answer), "2TDCZ"));
            }
            6 => {
                self.client.send(&[bound("pad", &i.to_string()), bound("pad", "8")].concat());
                self.check(|answer| check_pad(answer, i));
                self.check(|answer| check_pad(answer, 8));
            }
            7 => {
                for piece in bound("pad", &i.to_string()).chunks(1 + self.random.below(40) as usize) {
                    self.client.send(piece);
                }
                self.check(|answer| check_pad(answer, i));
            }
            _ => {
                self.client.send(&bound("pad", &i.to_string()));
                self.check(|answer| check_pad(answer, i));
            }
        }
    }

    /// An answer is right, or the connection ends with its server.
    fn check(&mut self, is_right: impl FnOnce(&[Message])) {
        let answer = self.client.until(b'Z').unwrap_or_default();
        let ended = answer.last().is_none_or(|last| last.tag != b'Z');
        let fatal = |message: &&Message| message.field(b'V').is_some_and(|severity| severity == "FATAL");
        match answer.iter().filter(|message| message.tag == b'E').find(fatal) {
            None if !ended => is_right(&answer),
            fault => {
                let known = |error: &Message| ["57P01", "08006"].contains(&error.sqlstate().as_str());
                assert!(ended && fault.is_none_or(known), "{answer:?}");
                self.lost += 1;
                self.client = self.scene.prepared_again();
            }
        }
    }
}

/// Both protocols are told what is asked of them.
#[test]
fn explain_route_tells_of_prepared_reads() {
    if direct_only() {
        return;
    }
    let scene = Scene::of_prepared("pool_size=2");
    let mut client = scene.connect();
    let explained = format!("explain route {}", pad(1));
    let unnamed = [msg::unnamed(&explained, &[]), msg::sync()].concat();
    for (bytes, expected) in [
        (msg::query(&explained), "yes, where a server is at work on a read of a session with equal settings"),
        (
            unnamed,
            "yes, prepared under a name, where a server that has it is at work on a read of a session with equal settings",
        ),
    ] {
        assert_eq!(share_told(&mut client, &bytes), [expected, ""]);
    }
}

/// What the answer says of sharing, and why.
fn share_told(client: &mut Client, explained: &[u8]) -> [String; 2] {
    client.send(explained);
    let answer = client.until_ready();
    let rows = answer.iter().filter(|message| message.tag == b'D').map(Message::values);
    let mut rows = rows.map(|row| row.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>());
    let share = rows.find(|row| row[0] == b"share").expect("there is such a line");
    [1, 2].map(|at| String::from_utf8_lossy(&share[at]).into_owned())
}

/// A pool whose sessions ask for what sequences gave them shares no server, and says so.
#[test]
fn explain_route_tells_that_sequences_are_watched() {
    if direct_only() {
        return;
    }
    let scene = Scene::of_prepared("pool_size=2");
    let mut client = scene.connect();
    let explained = msg::query(&format!("explain route {}", pad(1)));
    let told = share_told(&mut client, &explained);
    assert!(told[0].starts_with("yes"), "{told:?}");
    client.run("create temporary sequence s");
    client.run("select nextval('s'), currval('s')");
    client.run("discard all");
    assert_eq!(share_told(&mut client, &explained), ["no", "sequences watched"]);
}

/// News of how texts are read come with somebody's answer, who asks more of the server then: who is behind is answered all the same.
#[test]
fn servers_that_change_their_settings_answer_everybody() {
    if direct_only() {
        return;
    }
    let cluster = Cluster::start("", &[]);
    let scene = Scene::at(&cluster, "pool_size=1", "");
    let before = scene.counted("answered");
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for session in 1..9_u32 {
            let (scene, over) = (&scene, &over);
            scope.spawn(move || {
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    // One that has seen a change keeps what it was told at first, by itself.
                    let mut client = scene.prepared();
                    for _ in 0..40 {
                        let answer = ask(&mut client, "pad", &session.to_string());
                        check_pad(&without_news(answer), session);
                    }
                }
            });
        }
        let mut superuser = cluster.superuser("postgres");
        for n in 0..40 {
            let strings = ["off", "on"][n % 2];
            superuser.run(&format!("alter system set standard_conforming_strings = {strings}"));
            superuser.run("select pg_reload_conf()");
            std::thread::sleep(Duration::from_millis(60));
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let followed = scene.counted("answered") - before;
    assert!(followed > 100, "{followed} reads went behind others");
}

fn without_news(answer: Vec<Message>) -> Vec<Message> {
    answer.into_iter().filter(|message| message.tag != b'S').collect()
}

/// Everything that may stand between prepared reads, on two sessions at once: one by pgweir and one at the server itself, of which each says
/// byte for byte the same.
#[test]
fn mixed_operations_are_answered_as_by_the_server_itself() {
    if direct_only() {
        return;
    }
    let scene = Scene::of_prepared("pool_size=2");
    scene.database.setup("create table written (session text, n int)");
    let before = scene.counted("answered");
    std::thread::scope(|scope| {
        for session in 0..8_u64 {
            let proxied = scene.prepared();
            let mut direct = Client::connect(&Cluster::shared().tcp(), &scene.database.login());
            for (name, sql, once) in STATEMENTS {
                prepare(&mut direct, name, sql);
                ask(&mut direct, name, once);
            }
            let pair = Pair { proxied, direct, random: Random(session * 7919 + 17), session, made: 0 };
            scope.spawn(move || pair.run(1300));
        }
    });
    let followed = scene.counted("answered") - before;
    println!("{followed} of 10,400 followed, {} were sent away", scene.counted("sent_away"));
    assert!(followed > 100, "only {followed} reads went behind others");
}

/// The same with another name in it, which is as long.
fn by_another(bytes: &[u8]) -> Vec<u8> {
    let (one, other) = (b"proxied", b"itsself");
    let mut bytes = bytes.to_vec();
    while let Some(at) = bytes.windows(one.len()).position(|part| part == one) {
        bytes[at..at + one.len()].copy_from_slice(other);
    }
    bytes
}

/// Two sessions that are told the same.
struct Pair {
    proxied: Client,
    direct: Client,
    random: Random,
    session: u64,
    made: u64,
}

impl Pair {
    fn run(mut self, operations: u64) {
        for n in 0..operations {
            let (bytes, cycles) = self.operation(n);
            let piece = 1 + self.random.below(60) as usize;
            match self.random.below(8) {
                0 => bytes.chunks(piece).for_each(|piece| self.proxied.send(piece)),
                _ => self.proxied.send(&bytes),
            }
            self.direct.send(&by_another(&bytes));
            for _ in 0..cycles {
                let [found, expected] = [&mut self.proxied, &mut self.direct]
                    .map(|client| client.until_ready().iter().map(Message::comparable).collect::<Vec<_>>());
                let words = |answer: &[Vec<u8>]| String::from_utf8_lossy(&answer.concat()).into_owned();
                let sent = String::from_utf8_lossy(&bytes).into_owned();
                assert_eq!(found, expected, "{n}: {sent:?}\n{}\n{}", words(&found), words(&expected));
            }
        }
    }

    /// What is sent, and how many cycles it is.
    fn operation(&mut self, n: u64) -> (Vec<u8>, usize) {
        let i = (self.random.below(1000) + 1).to_string();
        let session = self.session;
        let run = |name: &str| [msg::bind("", name, &[&i]), msg::execute("", 0), msg::sync()].concat();
        let some = [msg::bind("", "many", &["900"]), msg::execute("", 3), msg::sync()].concat();
        match self.random.below(40) {
            0 => (bound("divided", "0"), 1),
            1 => (bound("pad", "x"), 1),
            2 => (bound("nobodys", "1"), 1),
            3 => (some, 1),
            4 => (msg::query(&pad(i.parse().unwrap_or(1))), 1),
            5 => ([run("pad"), run("divided"), bound("many", &i)].concat(), 3),
            6 => ([msg::unnamed("select $1::int4 + 1", &[&i]), msg::sync()].concat(), 1),
            7 => ([msg::bind("", "", &[&i]), msg::execute("", 0), msg::sync()].concat(), 1),
            8 => ([msg::bind("p", "pad", &[&i]), msg::execute("p", 0), msg::sync()].concat(), 1),
            9 => {
                let write = format!("insert into written values ('proxied{session}', {n})");
                let count = format!("select count(*) from written where session = 'proxied{session}'");
                let all = ["begin", &write, &count, "commit"].map(msg::query);
                (all.concat(), 4)
            }
            10 => (
                [msg::query("begin"), bound("pad", &i), bound("divided", "0"), msg::query("commit")].concat(),
                4,
            ),
            11 => {
                self.made += 1;
                let name = format!("m{}", self.made);
                let text = format!("select pad from t where i = $1 and {} = 1", self.made % 2);
                ([msg::parse(&name, &text), msg::sync(), bound(&name, &i)].concat(), 2)
            }
            12 => ([msg::close_statement(&format!("m{}", self.made)), bound("pad", &i)].concat(), 1),
            13 => (bound(&format!("m{}", self.made), &i), 1),
            14 => ([msg::parse("pad", "select 1"), msg::sync()].concat(), 1),
            15 => ([msg::describe_statement("pad"), bound("pad", &i)].concat(), 1),
            16 => (bound("sleep", "0.002"), 1),
            17 => ([run("pad"), msg::query("select 1")].concat(), 2),
            18 => {
                let zone = ["UTC", "Asia/Tokyo"][self.random.below(2) as usize];
                (msg::query(&format!("set timezone = '{zone}'")), 1)
            }
            19 => (msg::query("reset timezone"), 1),
            20..30 => (run("pad"), 1),
            _ => (bound("pad", &i), 1),
        }
    }
}
