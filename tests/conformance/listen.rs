//! LISTEN in transaction mode: many sessions, one listening server; what is lost is told, and what hides is pinned.

use std::time::Duration;

use super::numbers::Numbers;
use super::prelude::*;
use crate::harness::direct_only;
use crate::harness::eventually;
use crate::harness::message::Message;
use crate::harness::proxy::{Proxy, ProxyOptions};
use crate::harness::raw::Client;

const SOON: Duration = Duration::from_millis(300);

/// Channel and payload of the notifications among the messages.
fn heard(messages: &[Message]) -> Vec<String> {
    let text = |m: &Message| String::from_utf8_lossy(&m.body[4..]).trim_end_matches('\0').replace('\0', " ");
    messages.iter().filter(|m| m.tag == b'A').map(text).collect()
}

#[test]
fn some_of_several_channels() {
    case("59", "UNLISTEN of one, under savepoints, in batches, and of all by DISCARD ALL")
        .pool("pool_size=2")
        .may_say("ParameterStatus is_superuser=off")
        .may_say("ParameterStatus session_authorization=app")
        .both_forms()
        .steps([
            A.sql("listen a"),
            A.sql("listen b"),
            A.sql("listen a"),
            A.sql("begin"),
            A.sql("unlisten a"),
            A.sql("listen c"),
            A.sql("commit"),
            A.sql("select pg_listening_channels()"),
            B.sql("notify a"),
            B.sql("notify b, '1'"),
            A.until(b'A'),
            B.sql("notify c, '2'"),
            A.until(b'A'),
            A.sql("begin"),
            A.sql("savepoint s"),
            A.sql("unlisten b"),
            A.sql("rollback to s"),
            A.sql("commit"),
            B.sql("notify b, '3'"),
            A.until(b'A'),
            A.sql("begin"),
            A.sql("listen d"),
            A.sql("select 1/0"),
            A.sql("commit"),
            B.sql("notify d"),
            B.sql("notify c, '4'"),
            A.until(b'A'),
            A.sql("listen ok; notify ok, 'both'; unlisten c"),
            A.sql("discard all"),
            A.sql("select pg_listening_channels()"),
            B.sql("notify b"),
            A.quiet(),
            B.sql("select pg_listening_channels()"),
        ])
        .expect([
            "A DataRow (b)",
            "A CommandComplete SELECT 2",
            "A NotificationResponse b \"1\"",
            "A NotificationResponse c \"2\"",
            "A NotificationResponse b \"3\"",
            "A NotificationResponse c \"4\"",
            "A CommandComplete DISCARD ALL",
            "A CommandComplete SELECT 0",
            "B CommandComplete SELECT 0",
        ])
        .run();
}

#[test]
fn what_one_notifies_is_heard_before_its_answer_ends() {
    case("59", "one's own notifications, from functions and batches, and behind an error")
        .setup("create function shout() returns int language plpgsql as $$begin perform pg_notify('ch', 'f'); return 1; end$$")
        .both_forms()
        .steps([
            A.sql("listen ch"),
            A.sql("select shout()"),
            A.sql("notify ch, 'one'"),
            A.sql("begin"),
            A.sql("notify ch, 'two'"),
            A.sql("commit"),
            A.sql("select 1/0"),
            A.send([msg::unnamed("notify ch, 'three'", &[]), msg::unnamed("select 1", &[]), msg::sync()]),
            A.ready(),
        ])
        .expect([
            "NotificationResponse ch \"f\"",
            "NotificationResponse ch \"one\"",
            "NotificationResponse ch \"two\"",
            "22012",
            "NotificationResponse ch \"three\"",
            "ReadyForQuery I",
        ])
        .run();
}

#[test]
fn a_listen_that_the_text_does_not_show() {
    case("59", "LISTEN and UNLISTEN inside DO")
        .pool("pool_size=3")
        .steps([
            A.sql("listen seen"),
            A.sql("do $$begin execute 'listen hidden'; end$$"),
            B.sql("notify seen, '1'"),
            A.until(b'A'),
            B.sql("notify hidden, '2'"),
            A.until(b'A'),
            A.sql("do $$begin execute 'unlisten hidden'; end$$"),
            B.sql("notify hidden, '3'"),
            B.sql("notify seen, '4'"),
            A.until(b'A'),
            A.quiet(),
        ])
        .expect([
            "A NotificationResponse seen \"1\"",
            "A NotificationResponse hidden \"2\"",
            "A NotificationResponse seen \"4\"",
        ])
        .run();
}

#[test]
fn other_encodings() {
    case("59", "payloads in the client's encoding")
        .pool("pool_size=2")
        .steps([
            A.login(&[("client_encoding", "LATIN1")]),
            A.sql("listen ch"),
            B.sql("listen ch"),
            B.query("notify ch, 'caf\u{e9}'"),
            B.until(b'A'),
            B.until(b'Z'),
            A.until(b'A'),
        ])
        .expect([
            "A CommandComplete LISTEN",
            "B NotificationResponse ch \"caf\u{e9}\"",
            "A NotificationResponse ch",
        ])
        .run();
}

#[test]
fn forty_listeners_on_one_server() {
    if direct_only() {
        return;
    }
    let database = Cluster::shared().database();
    let options =
        ProxyOptions::url(&Cluster::shared().url(APP, &database.name, "pool_size=2&share_servers=off"))
            .config("[pool]\npins = \"refuse\"\n");
    let proxy = Proxy::start_with(&options);
    let mut listeners: Vec<_> =
        (0..40).map(|_| Client::connect(&proxy.endpoint(), &database.login())).collect();
    for listener in &mut listeners {
        listener.run("listen ch");
    }
    let mut speaker = Client::connect(&proxy.endpoint(), &database.login());
    speaker.run("select pg_notify('ch', i::text) from generate_series(1, 3) i");
    for listener in &mut listeners {
        let mut all = vec![];
        while all.len() < 3 {
            all.extend(heard(&listener.until(b'A').expect("each hears")));
        }
        assert_eq!(all, ["ch 1", "ch 2", "ch 3"], "in order");
    }
    let servers =
        "select count(*) from pg_stat_activity where datname = current_database() and usename = 'app'";
    // Whoever reads the catalogs at the beginning is soon gone.
    eventually("two servers of the pool and one that listens", || {
        Cluster::shared().superuser(&database.name).value(servers).parse::<u32>().expect("a number") <= 3
    });
    drop(listeners);
    let left = r#"select count(*) from pg_stat_activity where datname = current_database() and query like 'UNLISTEN "ch"%'"#;
    eventually("nobody is listened for any more", || {
        Cluster::shared().superuser(&database.name).value(left) == "1"
    });
}

#[test]
fn a_lost_listening_server_is_told() {
    if direct_only() {
        return;
    }
    let database = Cluster::shared().database();
    let proxy = Proxy::start(&Cluster::shared().url(APP, &database.name, "pool_size=2"));
    let mut listener = Client::connect(&proxy.endpoint(), &database.login());
    let mut speaker = Client::connect(&proxy.endpoint(), &database.login());
    listener.run("listen ch");
    let mut admin = Cluster::shared().superuser(&database.name);
    let clean =
        "select count(*) from pg_stat_activity where datname = current_database() and query like 'UNLISTEN%'";
    eventually("the pool's server does not listen", || admin.value(clean) == "1");
    let kill = "select pg_terminate_backend(pid) from pg_stat_activity \
         where datname = current_database() and usename = 'app' and query not like 'UNLISTEN%'";
    admin.run(kill);
    let warning = listener.until(b'N').expect("the loss is told");
    let warning = warning.last().expect("one");
    assert_eq!((warning.sqlstate().as_str(), warning.field(b'S').as_deref()), ("01000", Some("WARNING")));
    speaker.run("notify ch, 'again'");
    let again = listener.until(b'A').expect("it listens again");
    assert_eq!(heard(&again), ["ch again"]);
    assert_eq!(listener.value("select 'works'"), "works");
}

#[test]
fn a_mailbox_has_a_bound() {
    if direct_only() {
        return;
    }
    let database = Cluster::shared().database();
    let options = ProxyOptions::url(&Cluster::shared().url(APP, &database.name, "pool_size=2"))
        .config("[limits]\nmax_held_message = \"64kB\"\n");
    let proxy = Proxy::start_with(&options);
    let mut listener = Client::connect(&proxy.endpoint(), &database.login());
    let mut speaker = Client::connect(&proxy.endpoint(), &database.login());
    listener.run("listen ch");
    listener.run("begin");
    listener.run("select 1");
    speaker.run("select pg_notify('ch', repeat('x', 1000) || i) from generate_series(1, 200) i");
    assert_eq!(heard(&listener.within(SOON).expect("open")), [""; 0], "a transaction is not disturbed");
    let end = listener.simple("commit");
    let kept = heard(&end).len();
    assert!((30..70).contains(&kept), "as many as 64 kB hold, not {kept}");
    let warnings: Vec<_> = end.iter().filter(|m| m.tag == b'N').map(Message::sqlstate).collect();
    assert_eq!(warnings, ["01000"], "the loss is told, once");
    speaker.run("notify ch, 'more'");
    assert_eq!(heard(&listener.until(b'A').expect("it goes on")), ["ch more"]);
}

#[test]
fn without_a_listening_server_the_session_is_pinned() {
    if direct_only() {
        return;
    }
    let database = Cluster::shared().database();
    let name = database.name.clone();
    database.setup(&format!("alter database {name} connection limit 1"));
    let proxy = Proxy::start(&Cluster::shared().url(APP, &database.name, "pool_size=1"));
    let mut listener = Client::connect(&proxy.endpoint(), &database.login());
    listener.run("listen ch");
    Cluster::shared().superuser(&database.name).run("notify ch, 'by its own server'");
    assert_eq!(heard(&listener.until(b'A').expect("it hears")), ["ch by its own server"]);
    assert_eq!(listener.value("select count(*) from pg_listening_channels()"), "1");
}

#[test]
fn rolled_back_with_something_behind() {
    case(
        "59",
        "LISTEN and UNLISTEN rolled back in one string, by an error, in one batch, and to a savepoint",
    )
    .pool("pool_size=2")
    .steps([
        A.sql("listen x"),
        A.sql("begin"),
        A.sql("listen y"),
        A.sql("rollback; select 1"),
        A.sql("select pg_listening_channels()"),
        A.sql("begin"),
        A.sql("unlisten x"),
        A.sql("rollback; select 2"),
        A.sql("begin; select 3"),
        A.sql("unlisten *"),
        A.send([msg::unnamed("rollback", &[]), msg::unnamed("select 4", &[]), msg::sync()]),
        A.ready(),
        A.sql("begin; unlisten x; listen z; rollback; select 5"),
        A.sql("select pg_listening_channels()"),
        A.send([
            msg::query("begin"),
            msg::query("unlisten x"),
            msg::query("select 1/0"),
            msg::query("rollback"),
            msg::query("select 6"),
        ]),
        A.ready_times(5),
        B.sql("notify x, 'still'"),
        A.until(b'A'),
        A.quiet(),
    ])
    .expect([
        "A DataRow (x)",
        "A CommandComplete SELECT 1",
        "A DataRow (6)",
        "A NotificationResponse x \"still\"",
    ])
    .run();
}

#[test]
fn channels_under_savepoints() {
    case("59", "UNLISTEN and LISTEN before, under and behind savepoints that are kept or rolled back")
        .pool("pool_size=2")
        .both_forms()
        .steps([
            A.sql("listen a"),
            A.sql("listen b"),
            A.sql("begin"),
            A.sql("select 1"),
            A.sql("savepoint s"),
            A.sql("unlisten a"),
            A.sql("release s"),
            A.sql("commit"),
            A.sql("select pg_listening_channels()"),
            A.sql("begin"),
            A.sql("select 1"),
            A.sql("savepoint s"),
            A.sql("listen c"),
            A.sql("rollback to s"),
            A.sql("unlisten b"),
            A.sql("listen d"),
            A.sql("commit"),
            A.sql("select pg_listening_channels()"),
            A.sql("begin"),
            A.sql("select 1"),
            A.sql("listen e"),
            A.sql("savepoint s"),
            A.sql("unlisten *"),
            A.sql("rollback to s"),
            A.sql("listen f"),
            A.sql("commit"),
            A.sql("select pg_listening_channels()"),
            A.sql("begin"),
            A.sql("select 1"),
            A.sql("unlisten d"),
            A.sql("savepoint s"),
            A.sql("listen g"),
            A.sql("rollback to s"),
            A.sql("listen h"),
            A.sql("commit"),
            A.sql("select pg_listening_channels()"),
            B.sql("notify a"),
            B.sql("notify b"),
            B.sql("notify c"),
            B.sql("notify d"),
            B.sql("notify g"),
            B.sql("notify h, 'last'"),
            A.until(b'A'),
            A.quiet(),
            B.sql("select pg_listening_channels()"),
        ])
        .expect([
            "A CommandComplete SELECT 1",
            "A DataRow (d)",
            "A CommandComplete SELECT 1",
            "A CommandComplete SELECT 3",
            "A CommandComplete SELECT 3",
            "A NotificationResponse h \"last\"",
            "B CommandComplete SELECT 0",
        ])
        .run();
}

#[test]
fn channels_in_pipelines() {
    let unnamed = |sql| msg::unnamed(sql, &[]);
    case(
        "59",
        "cycles sent at once: each sees what those before it did, and is answered with its own notifications",
    )
    .pool("pool_size=2")
    // PostgreSQL 13 repeats them behind DISCARD ALL; here only where the session has its server yet.
    .may_say("ParameterStatus is_superuser=off")
    .may_say("ParameterStatus session_authorization=app")
    .steps([
        A.send([msg::query("notify a, '0'"), msg::query("listen a"), msg::query("select 1")]),
        A.ready_times(3),
        A.send([
            msg::query("listen b; notify b, '1'"),
            unnamed("select 2"),
            msg::sync(),
            msg::query("notify a, '2'"),
        ]),
        A.ready_times(3),
        A.send([
            msg::query("notify a, '3'"),
            unnamed("unlisten a"),
            msg::sync(),
            msg::query("notify a, '4'"),
        ]),
        A.ready_times(3),
        A.send([
            msg::query("select 3"),
            msg::query("select pg_listening_channels()"),
            msg::query("notify b, '5'; unlisten b"),
        ]),
        A.ready_times(3),
        A.send([
            msg::query("listen c"),
            msg::query("discard all"),
            msg::query("select pg_listening_channels()"),
        ]),
        A.ready_times(3),
        A.send([
            unnamed("select 4"),
            unnamed("listen d"),
            msg::sync(),
            unnamed("select 5"),
            unnamed("unlisten d"),
            unnamed("listen e"),
            msg::sync(),
            msg::query("notify e, '6'"),
        ]),
        A.ready_times(3),
        A.sql("select pg_listening_channels()"),
        A.send([
            msg::query("begin"),
            msg::query("listen f"),
            msg::query("notify e, '7'"),
            msg::query("commit"),
            msg::query("notify f, '8'"),
        ]),
        A.ready_times(5),
        A.quiet(),
        B.sql("select pg_listening_channels()"),
        C.sql("select pg_listening_channels()"),
    ])
    .expect([
        "A NotificationResponse b \"1\"",
        "A NotificationResponse a \"2\"",
        "A NotificationResponse a \"3\"",
        "A DataRow (b)",
        "A CommandComplete SELECT 0",
        "A NotificationResponse e \"6\"",
        "A DataRow (e)",
        "A NotificationResponse e \"7\"",
        "A NotificationResponse f \"8\"",
        "B CommandComplete SELECT 0",
        "C CommandComplete SELECT 0",
    ])
    .never("\"0\"")
    .never("\"4\"")
    .never("\"5\"")
    .run();
}

#[test]
fn listening_again_behind_discard_all() {
    let batch =
        |texts: [&str; 3]| [&texts.map(|sql| msg::unnamed(sql, &[])).concat(), &msg::sync()[..]].concat();
    case("59", "DISCARD ALL and LISTEN in one batch: the session needs no server of its own afterwards")
        .pool("pool_size=1")
        .steps([
            A.sql("listen a"),
            A.send([batch(["rollback", "discard all", "listen b"])]),
            A.ready(),
            B.sql("notify a, 'no'"),
            B.sql("notify b, 'yes'"),
            A.until(b'A'),
            A.quiet(),
        ])
        .expect([
            "A CommandComplete DISCARD ALL",
            "B CommandComplete NOTIFY",
            "A NotificationResponse b \"yes\"",
        ])
        .run();
}

#[test]
fn copy_by_a_session_that_listens() {
    case("59", "COPY both ways, all sent at once, between notifications")
        .setup("create table t (i int)")
        .pool("pool_size=2")
        .steps([
            A.sql("listen ch"),
            A.send([
                msg::query("copy t from stdin"),
                msg::copy_data(b"1\n2\n"),
                msg::copy_done(),
                msg::query("notify ch, 'in'"),
                msg::query("copy t to stdout"),
                msg::query("notify ch, 'out'"),
            ]),
            A.ready_times(4),
            A.send([
                msg::unnamed("copy t from stdin", &[]),
                msg::copy_data(b"3\n"),
                msg::copy_done(),
                msg::sync(),
                msg::query("notify ch"),
            ]),
            A.ready_times(2),
            A.send([msg::query("select 1"), msg::query("notify ch, 'bye'"), msg::terminate()]),
            A.half_close(),
            A.closed(),
        ])
        .expect([
            "CommandComplete COPY 2",
            "NotificationResponse ch \"in\"",
            "NotificationResponse ch \"out\"",
            "CommandComplete COPY 1",
            "NotificationResponse ch \"bye\"",
        ])
        .run();
}

#[test]
fn the_encoding_changes_later() {
    case("59", "SET client_encoding of a session that listens, plain, in a batch and in a transaction")
        .pool("pool_size=2")
        .steps([
            A.sql("listen ch"),
            B.query("notify ch, 'caf\u{e9}'"),
            B.ready(),
            A.until(b'A'),
            A.sql("set client_encoding = 'LATIN1'"),
            B.query("notify ch, 'caf\u{e9}'"),
            B.ready(),
            A.until(b'A'),
            A.send([
                msg::query("set client_encoding = 'WIN1252'"),
                msg::query("select pg_notify('ch', chr(8364))"),
            ]),
            A.ready_times(2),
            A.sql("begin"),
            A.sql("set client_encoding = 'UTF8'"),
            A.sql("commit"),
            A.sql("select pg_notify('ch', chr(8364))"),
            A.quiet(),
        ])
        .expect(["A NotificationResponse ch", "A NotificationResponse ch"])
        .never("lost")
        .run();
}

/// A text of one to three statements, as a Query or as a batch. In a transaction block, what shows the channels is left
/// out: there it shows those of the transaction only.
fn some_cycle(numbers: &mut Numbers, payload: &mut u32, in_block: &mut bool) -> Vec<u8> {
    let mut statements = vec![];
    for _ in 0..=numbers.below(3) {
        let channel = numbers.of(&["a", "b", "\"A b\""]);
        let verb =
            numbers.of(&["listen", "listen", "unlisten", "notify", "notify", "notify", "block", "other"]);
        statements.push(match verb {
            "block" if *in_block => {
                numbers.of(&["savepoint s", "rollback to s", "release s", "commit", "rollback"]).to_owned()
            }
            "block" => "begin".to_owned(),
            "notify" => {
                *payload += 1;
                format!("notify {channel}, '{payload}'")
            }
            "other" => numbers.of(&["select 1", "unlisten *", "select 1/0"]).to_owned(),
            verb => format!("{verb} {channel}"),
        });
        let last = statements.last().map_or("", String::as_str);
        *in_block = last == "begin" || *in_block && !matches!(last, "commit" | "rollback");
    }
    if numbers.below(2) == 0 {
        return msg::query(&statements.join("; "));
    }
    let batch = statements.iter().flat_map(|sql| msg::unnamed(sql, &[]));
    batch.chain(msg::sync()).collect()
}

#[test]
fn random_pipelines() {
    let (mut numbers, mut payload) = (Numbers::seeded(), 0);
    let mut steps = vec![];
    for _ in 0..250 {
        let (mut cycles, mut in_block) = (vec![], false);
        for _ in 0..=numbers.below(4) {
            cycles.push(some_cycle(&mut numbers, &mut payload, &mut in_block));
        }
        let count = cycles.len();
        steps.push(A.send([cycles.concat()]));
        steps.push(A.ready_times(count));
        steps.push(A.sql("rollback"));
        steps.push(A.sql("select pg_listening_channels()"));
        if numbers.below(8) == 0 {
            steps.push(A.sql("discard all"));
        }
    }
    steps.push(A.quiet());
    steps.extend([B, C].map(|other| other.sql("select pg_listening_channels()")));
    case("59", "LISTEN, UNLISTEN and NOTIFY in cycles sent at once, in and out of transactions")
        .pool("pool_size=2")
        .may_say("ParameterStatus is_superuser=off")
        .may_say("ParameterStatus session_authorization=app")
        .steps(steps)
        .expect(["B CommandComplete SELECT 0", "C CommandComplete SELECT 0"])
        .run();
}
