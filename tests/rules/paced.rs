//! `throttle` and `concurrency` in rules: who waits, for how long, in what order, and what is given back.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::applied::{Ruled, error};
use crate::admin::show;
use crate::harness::message::Message;
use crate::harness::raw::{self, Client};
use crate::harness::{eventually, frontend as msg};

/// One `heavy` statement at once, and of each application ten `often` in a second, two at once.
const RULES: &str = r#"
[[rule]]
name = "heavy"
when.text_regex = "heavy"
then.concurrency = { limit = 1, per = "application", queue = 20, wait = "5s" }

[[rule]]
name = "often"
when.text_regex = "often"
then.throttle = { rate = "10/s", burst = 2, per = "application", wait = "1s" }
"#;

const HEAVY: &str = "select 1 /* heavy */";
const HOLDS: &str = "select pg_sleep(20) /* heavy */";

impl Ruled {
    fn client_of(&self, application: &str) -> Client {
        let login = self.databases[0].login().param("application_name", application);
        Client::connect(&self.proxy.endpoint(), &login)
    }

    /// A number of a rule on the console.
    fn number(&self, rule: &str, column: &str) -> u64 {
        let rows = show(&mut self.console(), "RULES");
        let row = rows.iter().find(|row| row["name"] == rule).unwrap_or_else(|| panic!("no {rule}"));
        row[column].parse().expect("a number")
    }

    fn await_number(&self, rule: &str, column: &str, expected: u64) {
        eventually(&format!("{column} of {rule} is {expected}"), || self.number(rule, column) == expected);
    }

    /// A session that has the only permit of `heavy` until it is cancelled.
    fn holder(&self) -> Client {
        let mut client = self.client_of("holder");
        client.send(&msg::query(HOLDS));
        self.await_number("heavy", "running", 1);
        client
    }

    fn cancel(&self, client: &Client) {
        raw::cancel(&self.proxy.endpoint(), client.pid, &client.key);
    }

    /// The holder is stopped, and what it held is given back.
    fn stop(&self, mut holder: Client) {
        self.cancel(&holder);
        assert_eq!(error(&holder.until_ready()).sqlstate(), "57014");
    }
}

fn batch(text: &str) -> Vec<u8> {
    [msg::unnamed(text, &[]), msg::sync()].concat()
}

/// All ways in which a client sends one statement.
fn forms(text: &str) -> [Vec<u8>; 3] {
    let named = [
        msg::close_statement("n"),
        msg::parse("n", text),
        msg::bind("", "n", &[]),
        msg::execute("", 0),
        msg::sync(),
    ];
    [msg::query(text), batch(text), named.concat()]
}

fn values(messages: &[Message]) -> Vec<String> {
    messages.iter().filter(|message| message.tag == b'D').map(Message::value).collect()
}

fn succeeds(client: &mut Client) {
    let answer = client.until_ready();
    assert_eq!(values(&answer).len(), 1, "{answer:?}");
}

#[track_caller]
fn assert_refused(messages: &[Message], hint: &str) {
    let error = error(messages);
    let told = error.field(b'H').unwrap_or_default();
    assert!(error.sqlstate() == "53400" && told.contains(hint), "{error:?}");
    assert!(error.field(b'M').is_some_and(|message| message.contains("rule \"")), "{error:?}");
}

#[test]
fn statements_go_at_the_rate_of_their_rule() {
    let Some(ruled) = Ruled::with(RULES, "pool_size=3") else { return };
    let text = "select 7 /* often */";
    for (at, form) in forms(text).into_iter().enumerate() {
        let mut client = ruled.client_of(&format!("a{at}"));
        let began = Instant::now();
        for _ in 0..7 {
            client.send(&form);
            succeeds(&mut client);
        }
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(490) && took < Duration::from_secs(3), "{took:?}: {form:?}");
        // The same in one write: answers are in their order, and what is not throttled waits behind what is.
        std::thread::sleep(Duration::from_millis(300));
        let began = Instant::now();
        let all = [msg::query("select 1"), form.repeat(5), msg::query("select 2"), form.clone()];
        client.send(&all.concat());
        let answers: Vec<_> = (0..8).flat_map(|_| values(&client.until_ready())).collect();
        assert_eq!(answers, ["1", "7", "7", "7", "7", "7", "2", "7"]);
        assert!(began.elapsed() >= Duration::from_millis(390), "{:?}", began.elapsed());
    }
    assert_eq!(ruled.hits("often"), [39, 0]);
    let (waited, time) = (ruled.number("often", "waited"), ruled.number("often", "wait_time"));
    assert!(waited >= 12 && time >= 900_000, "{waited} statements, {time} µs");
    assert_eq!((ruled.number("often", "waiting"), ruled.number("often", "refused")), (0, 0));
    assert_eq!(ruled.metric("pgweir_rule_waits_total{rule=\"often\"}"), waited.to_string());
    assert_eq!(ruled.metric("pgweir_rule_refused_total{rule=\"often\"}"), "0");
}

#[test]
fn whose_turn_would_come_too_late_is_refused_at_once() {
    let rules = "[[rule]]\nname = \"seldom\"\nwhen.text_regex = \"seldom\"\n\
        then.throttle = { rate = \"2/m\", per = \"application\", wait = \"2s\" }\n";
    let Some(ruled) = Ruled::with(rules, "pool_size=1") else { return };
    for (at, form) in forms("select 1 /* seldom */").into_iter().enumerate() {
        let mut client = ruled.client_of(&format!("a{at}"));
        client.send(&form);
        succeeds(&mut client);
        client.send(&form);
        assert_refused(&client.until_ready(), "Its turn would come in ");
        // The first statement of its transaction, and a later one.
        for before in [None, Some("select 2")] {
            client.run("begin");
            before.into_iter().for_each(|text| client.run(text));
            client.send(&form);
            // What prepares under a name has a server by then.
            let has_server = before.is_some() || form.starts_with(b"C");
            let hint = if has_server { "wait_in_transaction" } else { "Its turn would come in " };
            let answer = client.until_ready();
            assert_refused(&answer, hint);
            assert_eq!(answer.last().map(|ready| ready.body[0]), Some(b'E'));
            assert_eq!(client.error("select 1"), "25P02");
            client.run("rollback");
        }
        assert_eq!(client.value("select 3"), "3");
    }
    assert_eq!(ruled.number("seldom", "refused"), 9);
}

#[test]
fn who_waits_takes_no_server() {
    let Some(ruled) = Ruled::with(RULES, "pool_size=2") else { return };
    let holder = ruled.holder();
    let rest = [msg::bind("", "", &[]), msg::execute("", 0), msg::sync()].concat();
    let described = [msg::parse("", HEAVY), msg::describe_statement(""), msg::flush()].concat();
    let whole = forms(HEAVY).map(|form| (vec![], form));
    let pieces = [(described, rest.clone()), (msg::parse("", HEAVY), rest)];
    let begun = [(msg::query("begin"), msg::query(HEAVY)), (msg::query("begin"), batch(HEAVY))];
    let mut waiting = vec![];
    for (at, (first, second)) in whole.into_iter().chain(pieces).chain(begun).enumerate() {
        let mut client = ruled.client_of(&format!("a{at}"));
        if !first.is_empty() {
            client.send(&first);
            std::thread::sleep(Duration::from_millis(100));
        }
        client.send(&second);
        waiting.push((client, first.starts_with(b"Q")));
        ruled.await_number("heavy", "waiting", waiting.len() as u64);
        // There is one server besides that of the holder.
        let began = Instant::now();
        assert_eq!(ruled.client_of("other").value("select 1"), "1");
        assert!(began.elapsed() < Duration::from_secs(2), "way {at}: {:?}", began.elapsed());
    }
    ruled.stop(holder);
    for (client, begun) in &mut waiting {
        if *begun {
            client.until_ready();
        }
        succeeds(client);
    }
    ruled.await_number("heavy", "running", 0);
    assert_eq!(ruled.number("heavy", "waiting"), 0);
}

#[test]
fn in_a_transaction_nobody_waits_unless_the_rule_says_so() {
    let Some(ruled) = Ruled::with(RULES, "pool_size=3") else { return };
    let holder = ruled.holder();
    for form in forms(HEAVY) {
        let mut client = ruled.client();
        client.run("begin");
        client.run("select 1");
        client.send(&form);
        assert_refused(&client.until_ready(), "wait_in_transaction");
        assert_eq!(client.error("select 1"), "25P02");
        client.run("rollback");
        // It was begun by what stands before it in the same write.
        client.send(&[msg::query("select 1"), msg::query("begin"), form, msg::query("rollback")].concat());
        succeeds(&mut client);
        client.until_ready();
        assert_refused(&client.until_ready(), "wait_in_transaction");
        client.until_ready();
    }
    ruled.write(&RULES.replace("queue = 20", "queue = 20, wait_in_transaction = true"));
    ruled.console().run("reload");
    let mut waiting: Vec<Client> = forms(HEAVY)
        .into_iter()
        .take(2)
        .map(|form| {
            let mut client = ruled.client();
            client.run("begin");
            client.run("select 1");
            client.send(&form);
            client
        })
        .collect();
    ruled.await_number("heavy", "waiting", 2);
    ruled.cancel(&waiting[1]);
    let answer = waiting[1].until_ready();
    assert_eq!(
        (error(&answer).sqlstate(), answer.last().map(|ready| ready.body[0])),
        ("57014".into(), Some(b'E'))
    );
    ruled.stop(holder);
    succeeds(&mut waiting[0]);
    waiting.iter_mut().for_each(|client| client.run("rollback"));
    assert_eq!((ruled.number("heavy", "running"), ruled.number("heavy", "refused")), (0, 6));
}

#[test]
fn a_cancel_ends_the_wait_at_once() {
    let Some(ruled) = Ruled::with(RULES, "pool_size=2") else { return };
    let holder = ruled.holder();
    for form in forms(HEAVY) {
        let mut client = ruled.client();
        client.send(&[form.clone(), msg::query("select 5")].concat());
        ruled.await_number("heavy", "waiting", 1);
        let began = Instant::now();
        ruled.cancel(&client);
        let answer = client.until_ready();
        let told = error(&answer).field(b'M').unwrap_or_default();
        assert_eq!(
            (error(&answer).sqlstate(), told.as_str()),
            ("57014".into(), "canceling statement due to user request")
        );
        assert!(began.elapsed() < Duration::from_secs(1));
        assert_eq!(values(&client.until_ready()), ["5"]);
        ruled.await_number("heavy", "waiting", 0);
        if form.starts_with(b"C") {
            // Its name is looked at when what stands before it is answered.
            continue;
        }
        // What runs before the one that waits is what a cancel is for.
        client.send(&[msg::query("select pg_sleep(20)"), form.clone()].concat());
        ruled.await_number("heavy", "waiting", 1);
        std::thread::sleep(Duration::from_millis(100));
        ruled.cancel(&client);
        assert_eq!(error(&client.until_ready()).sqlstate(), "57014");
        ruled.await_number("heavy", "waiting", 1);
        // The client goes without a word.
        drop(client);
        ruled.await_number("heavy", "waiting", 0);
    }
    ruled.stop(holder);
    assert_eq!(ruled.client().value(HEAVY), "1");
    assert_eq!(ruled.number("heavy", "running"), 0);
}

#[test]
fn too_many_and_too_long() {
    let rules = RULES.replace("queue = 20, wait = \"5s\"", "queue = 1, wait = \"300ms\"");
    let Some(ruled) = Ruled::with(&rules, "pool_size=2") else { return };
    let holder = ruled.holder();
    for form in forms(HEAVY) {
        let (mut first, mut second) = (ruled.client(), ruled.client());
        let began = Instant::now();
        first.send(&form);
        ruled.await_number("heavy", "waiting", 1);
        second.send(&form);
        assert_refused(&second.until_ready(), "`queue`");
        assert_refused(&first.until_ready(), "`wait`");
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(3), "{took:?}");
        assert_eq!(first.value("select 1"), "1");
    }
    ruled.stop(holder);
    assert_eq!((ruled.number("heavy", "refused"), ruled.number("heavy", "waited")), (6, 3));
}

#[test]
fn so_many_run_at_once_and_applications_take_turns() {
    let rules = RULES.replace("limit = 1", "limit = 2").replace("queue = 20", "queue = 100");
    let Some(ruled) = Ruled::with_two_workers(&rules, "pool_size=6") else { return };
    ruled.client().run("create table served (n serial, who text, at_once int)");
    let text = |who: &str| {
        // Each has a lock while it runs: what is only being prepared has none.
        format!(
            "insert into served (who, at_once) select '{who}', \
             (select count(*) from pg_locks where locktype = 'advisory' and objid = 4711) \
             from (select pg_advisory_xact_lock_shared(4711), pg_sleep(0.05)) as held /* heavy */"
        )
    };
    // Greedy has twelve sessions, and begins; modest has one.
    let many: Vec<Client> = (0..12).map(|_| ruled.client_of("greedy")).collect();
    let mut modest = ruled.client_of("modest");
    let (started, starts) = mpsc::channel();
    std::thread::scope(|scope| {
        for (at, mut client) in many.into_iter().enumerate() {
            let (text, started) = (text("greedy"), started.clone());
            scope.spawn(move || {
                for n in 0..4 {
                    client.send(&forms(&text)[(at + n) % 3]);
                    started.send(()).expect("somebody counts");
                    assert!(client.until_ready().iter().all(|message| message.tag != b'E'));
                }
            });
        }
        (0..12).for_each(|_| starts.recv().expect("it starts"));
        ruled.await_number("heavy", "running", 2);
        for n in 0..5 {
            modest.send(&forms(&text("modest"))[n % 3]);
            assert!(modest.until_ready().iter().all(|message| message.tag != b'E'));
        }
    });
    let mut client = ruled.client();
    assert_eq!(client.value("select max(at_once) from served"), "2");
    assert_eq!(client.value("select count(*) from served"), "53");
    // Between two of modest, greedy gets the turn that is its, and what runs already: not twelve.
    let between = "select max(gap) from (select n - lag(n) over (order by n) as gap from served where who = 'modest') as gaps";
    let gap: u32 = client.value(between).parse().expect("a number");
    assert!(gap <= 5, "{gap} statements of greedy between two of modest");
    assert_eq!((ruled.number("heavy", "running"), ruled.number("heavy", "waiting")), (0, 0));
    assert_eq!(ruled.number("heavy", "refused"), 0);
}

#[test]
fn a_batch_needs_one_permit() {
    let Some(ruled) = Ruled::with(RULES, "pool_size=2") else { return };
    let mut client = ruled.client();
    let began = Instant::now();
    let all =
        [msg::unnamed(HEAVY, &[]), msg::unnamed("select 2", &[]), msg::unnamed(HEAVY, &[]), msg::sync()];
    client.send(&[all.concat(), batch(HEAVY), msg::query(HEAVY), all.concat()].concat());
    let answers: Vec<_> = (0..4).map(|_| values(&client.until_ready()).len()).collect();
    assert_eq!(answers, [3, 1, 1, 3]);
    assert!(began.elapsed() < Duration::from_secs(3));
    // It is kept until the batch ends, and by nobody else's permit.
    client.send(&[msg::unnamed(HEAVY, &[]), msg::flush()].concat());
    client.until(b'C').expect("it has run");
    let mut other = ruled.client();
    other.send(&msg::query(HEAVY));
    ruled.await_number("heavy", "waiting", 1);
    client.send(&msg::sync());
    client.until_ready();
    succeeds(&mut other);
    ruled.await_number("heavy", "running", 0);
}

#[test]
fn permits_come_back_however_it_ends() {
    let Some(ruled) = Ruled::with_two_workers(RULES, "pool_size=4") else { return };
    let ended = |client: &mut Client| while client.read().is_ok_and(|message| message.is_some()) {};
    let ways: [&dyn Fn(&mut Client); 9] = [
        &|client| drop(client.simple("select 1/0 /* heavy */")),
        &|client| {
            client.send(&batch("select 1/0 /* heavy */"));
            client.until_ready();
        },
        &|client| {
            client.send(&msg::query(HOLDS));
            ruled.await_number("heavy", "running", 1);
            ruled.cancel(client);
            client.until_ready();
        },
        &|client| {
            client.send(&msg::query(HOLDS));
            ruled.await_number("heavy", "running", 1);
        },
        &|client| {
            client.send(&msg::query("select pg_terminate_backend(pg_backend_pid()) /* heavy */"));
            ended(client);
        },
        &|client| {
            // An unended batch, and half a message.
            client.send(&msg::unnamed(HEAVY, &[]));
            client.send(&msg::query(HEAVY)[..9]);
        },
        &|client| {
            client.run("begin");
            client.run(HEAVY);
        },
        &|client| {
            client.run("create temp table x (i int)");
            client.run(HEAVY);
            client.simple("copy x from stdin /* heavy */ select");
        },
        &|client| {
            client.send(&[msg::query(HEAVY), msg::terminate()].concat());
            ended(client);
        },
    ];
    for (at, way) in ways.into_iter().enumerate() {
        for _ in 0..2 {
            let mut client = ruled.client_of(&format!("way {at}"));
            way(&mut client);
            drop(client);
            let mut other = ruled.client();
            assert_eq!(other.value(HEAVY), "1", "way {at}");
            ruled.await_number("heavy", "running", 0);
        }
    }
    // A COPY, and what stands behind it in the same write.
    let mut client = ruled.client();
    client.run("create table c (i int)");
    let copy = [
        msg::query("copy c from stdin /* heavy */"),
        msg::copy_data(b"1\n2\n"),
        msg::copy_done(),
        msg::query(HEAVY),
    ];
    client.send(&copy.concat());
    assert!(client.until_ready().iter().all(|message| message.tag != b'E'));
    succeeds(&mut client);
    assert_eq!(client.value("select count(*) from c"), "2");
    // Servers that go away under many sessions.
    std::thread::scope(|scope| {
        for n in 0..6 {
            let (ruled, text) = (&ruled, ["select pg_sleep(0.02) /* heavy */", HEAVY][n % 2]);
            scope.spawn(move || {
                let until = Instant::now() + Duration::from_secs(3);
                while Instant::now() < until {
                    let mut client = ruled.client_of(&format!("app {}", n % 3));
                    for form in forms(text).into_iter().take(1 + n % 3) {
                        client.send(&form);
                        if n % 3 == 2 {
                            break;
                        }
                        while client
                            .read()
                            .is_ok_and(|message| message.is_some_and(|message| message.tag != b'Z'))
                        {
                        }
                    }
                }
            });
        }
        let name = &ruled.databases[0].name;
        let mut superuser = crate::harness::cluster::Cluster::shared().superuser("postgres");
        for _ in 0..12 {
            std::thread::sleep(Duration::from_millis(200));
            superuser.run(&format!(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"
            ));
        }
    });
    ruled.await_number("heavy", "running", 0);
    ruled.await_number("heavy", "waiting", 0);
    assert_eq!(ruled.client().value(HEAVY), "1");
}

#[test]
fn a_reload_lets_those_go_who_wait() {
    let Some(ruled) = Ruled::with(RULES, "pool_size=3") else { return };
    let holder = ruled.holder();
    let mut clients: Vec<Client> = (0..3).map(|n| ruled.client_of(&format!("app {n}"))).collect();
    for (client, form) in clients.iter_mut().zip(forms("select pg_sleep(20) /* heavy */")) {
        client.send(&form);
    }
    ruled.await_number("heavy", "waiting", 3);
    ruled.write(&RULES.replace("limit = 1", "limit = 2"));
    ruled.console().run("reload");
    ruled.await_number("heavy", "running", 2);
    assert_eq!(ruled.number("heavy", "waiting"), 2);
    ruled.write("");
    ruled.console().run("reload");
    // Nobody waits any more, but for servers.
    let active = "select count(*) from pg_stat_activity where state = 'active' and query like '%/* heavy */'";
    let mut superuser = crate::harness::cluster::Cluster::shared().superuser(&ruled.databases[0].name);
    let count = format!("{active} and datname = current_database()");
    eventually("three run, on all servers that there are", || superuser.value(&count) == "3");
    clients.iter().chain([&holder]).for_each(|client| ruled.cancel(client));
    std::thread::sleep(Duration::from_millis(100));
    clients.iter().for_each(|client| ruled.cancel(client));
    for client in &mut clients {
        assert_eq!(error(&client.until_ready()).sqlstate(), "57014");
    }
    assert_eq!(ruled.client().value(HEAVY), "1");
}

#[test]
fn the_throttle_of_the_starter_pack_works() {
    let pack = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/40-tenants.toml");
    let pack = std::fs::read_to_string(pack).expect("the pack is readable");
    let Some(shadow) = Ruled::with(&pack, "pool_size=4") else { return };
    let mut client = shadow.client_of("shop/acme");
    client.send(&msg::query("select 1").repeat(600));
    (0..600).for_each(|_| succeeds(&mut client));
    assert_eq!((shadow.hits("tenant-throttle"), shadow.number("tenant-throttle", "waited")), ([0, 600], 0));
    drop(shadow);
    let enforced = pack.replace("mode = \"shadow\"\n", "");
    let Some(ruled) = Ruled::with(&enforced, "pool_size=4") else { return };
    let (mut acme, mut others) = (ruled.client_of("shop/acme"), ruled.client_of("shop/others"));
    acme.run("create table orders (id int); insert into orders values (1)");
    // 400 at once, and 200 in a second: of these, 200 wait.
    std::thread::sleep(Duration::from_millis(50));
    let began = Instant::now();
    acme.send(&msg::query("select 1").repeat(600));
    (0..300).for_each(|_| succeeds(&mut acme));
    for _ in 0..50 {
        assert_eq!(others.value("select 2"), "2");
    }
    (300..600).for_each(|_| succeeds(&mut acme));
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(900) && took < Duration::from_secs(6), "{took:?}");
    assert_eq!(others.value("select id from orders"), "1");
    // Where the machine takes its time, tokens drip in as fast as statements come.
    let waited = ruled.number("tenant-throttle", "waited");
    assert!(waited >= 20 || took > Duration::from_millis(1500), "{waited} have waited");
    assert_eq!(ruled.hits("tenant-heavy-reads"), [1, 0]);
    assert_eq!(ruled.number("tenant-heavy-reads", "running"), 0);
}

#[test]
fn keys_of_clients_do_not_add_up() {
    let Some(ruled) = Ruled::with(RULES, "pool_size=2") else { return };
    let mut client = ruled.client();
    client.run("set application_name = 'first'");
    client.run("select 1 /* often */");
    let before = ruled.proxy.memory();
    for n in 0..12_000 {
        client.run(&format!("set application_name = 'n{n:060}'"));
        client.send(&[msg::query("select 1 /* often */"), msg::query(HEAVY)].concat());
        client.until_ready();
        client.until_ready();
    }
    let grown = ruled.proxy.memory().saturating_sub(before);
    assert!(grown < 24 << 20, "{grown} bytes");
}
