//! LISTEN in transaction mode: many sessions, one listening server; what is lost is told, and what hides is pinned.

use std::time::Duration;

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
    let options = ProxyOptions::url(&Cluster::shared().url(APP, &database.name, "pool_size=2"))
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
    let servers: u32 = Cluster::shared().superuser(&database.name).value(servers).parse().expect("a number");
    assert!(servers <= 3, "two servers of the pool and one that listens, not {servers}");
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
