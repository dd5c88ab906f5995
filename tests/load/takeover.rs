//! A second process takes over the port: nobody is refused, nobody is cut off, and cancels find their session.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::prelude::*;
use crate::harness::cluster::free_port;

/// Two processes, one after the other, at one address.
struct Succession {
    database: Database<'static>,
    options: ProxyOptions,
}

impl Succession {
    fn new() -> Option<Succession> {
        if direct_only() {
            return None;
        }
        let database = Cluster::shared().database();
        let url = Cluster::shared().url(APP, &database.name, "pool_size=4");
        let mut options = ProxyOptions::url(&url).config("[limits]\ndrain_timeout = \"20s\"\n").config(TRUST);
        options.args.push("--reuse-port".into());
        options.addr = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())));
        Some(Succession { database, options })
    }

    fn first(&self) -> Proxy {
        Proxy::start_with(&self.options)
    }

    /// The first one listens at the same address, so that only its log tells when this one does.
    fn second(&self) -> Proxy {
        let second = Proxy::start_with(&self.options);
        eventually("the second process took over", || second.log().contains("taken over"));
        second
    }

    fn client(&self, proxy: &Proxy) -> Client {
        Client::connect(&proxy.endpoint(), &self.database.login())
    }
}

/// Connects, asks and leaves, again and again, until told to stop.
fn come_and_go(
    proxy: &raw::Endpoint,
    login: &Login,
    stop: &AtomicBool,
    served: &AtomicU32,
) -> Result<(), String> {
    while !stop.load(Ordering::Relaxed) {
        let mut client = Client::dial(proxy).map_err(|e| format!("cannot connect: {e}"))?;
        let greeting = client.login(login)?;
        if greeting.last().is_none_or(|m| m.tag != b'Z') {
            return Err(format!("not let in: {greeting:?}"));
        }
        client.send(&msg::query("select 'served'"));
        let answer = client.until(b'Z')?;
        if answer.iter().find(|m| m.tag == b'D').map(Message::value).as_deref() != Some("served") {
            return Err(format!("not served: {answer:?}"));
        }
        client.send(&msg::terminate());
        served.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

#[test]
fn nobody_is_refused_when_a_second_process_takes_over() {
    let Some(scene) = Succession::new() else { return };
    scene.database.setup("create table t (i int)");
    let mut first = scene.first();
    let mut under_way = scene.client(&first);
    under_way.run("begin");
    under_way.run("insert into t values (1)");
    let mut idle = scene.client(&first);
    let (stop, served, failures) = (AtomicBool::new(false), AtomicU32::new(0), Mutex::new(vec![]));
    let login = scene.database.login();
    let endpoint = first.endpoint();
    let more = |n: u32| {
        let goal = served.load(Ordering::Relaxed) + n;
        eventually("more clients are served", || {
            served.load(Ordering::Relaxed) >= goal || !failures.lock().expect("no panic").is_empty()
        });
    };
    let second = std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                if let Err(failure) = come_and_go(&endpoint, &login, &stop, &served) {
                    failures.lock().expect("no panic").push(failure);
                }
            });
        }
        more(100);
        let second = scene.second();
        more(100);
        first.signal("TERM");
        for n in 2..12 {
            under_way.run(&format!("insert into t values ({n})"));
            more(20);
        }
        under_way.run("commit");
        more(100);
        assert!(first.ended(Duration::from_secs(18)).success());
        more(100);
        stop.store(true, Ordering::Relaxed);
        second
    });
    assert_eq!(*failures.lock().expect("no panic"), Vec::<String>::new());
    assert_eq!(scene.client(&second).value("select count(*) from t"), "11");
    let farewell = idle.until(b'E').expect("an answer in time");
    assert_eq!(farewell.last().map(Message::sqlstate).as_deref(), Some("57P01"), "{farewell:?}");
}

#[test]
fn a_cancel_finds_its_session_in_either_process() {
    let Some(scene) = Succession::new() else { return };
    let mut first = scene.first();
    let mut old = scene.client(&first);
    let second = scene.second();
    // The sessions of the second process are those that the first does not have.
    let mut clients: Vec<Client> = (0..8).map(|_| scene.client(&second)).collect();
    clients.push(old);
    for client in &mut clients {
        check_cancel(&scene, &second, client);
    }
    old = clients.pop().expect("the one pushed last");
    old.run("begin");
    first.signal("TERM");
    eventually("the first process leaves the door", || first.log().contains("stopping"));
    for _ in 0..3 {
        check_cancel(&scene, &second, &mut old);
        old.run("rollback; begin");
    }
    old.run("rollback");
    drop(old);
    drop(clients);
    assert!(first.ended(Duration::from_secs(18)).success());
    let mut new = scene.client(&second);
    check_cancel(&scene, &second, &mut new);
}

/// A statement is running, and is cancelled through whichever process accepts the request.
fn check_cancel(scene: &Succession, proxy: &Proxy, client: &mut Client) {
    client.send(&msg::query("select pg_sleep(60)"));
    let running = "select count(*) from pg_stat_activity where datname = current_database() and state = 'active' and query = 'select pg_sleep(60)'";
    let mut superuser = Cluster::shared().superuser(&scene.database.name);
    eventually("the statement runs", || superuser.value(running) == "1");
    raw::cancel(&proxy.endpoint(), client.pid, &client.key);
    let answer = client.until_ready();
    let error = answer.iter().find(|m| m.tag == b'E').map(Message::sqlstate);
    assert_eq!(error.as_deref(), Some("57014"), "{answer:?}");
}

#[test]
fn a_unix_socket_is_taken_over() {
    let Some(mut scene) = Succession::new() else { return };
    let folder = crate::harness::command::Folder::new();
    scene.options.config.insert_str(0, &format!("unix_socket_dir = {:?}\n", folder.0));
    let mut first = scene.first();
    let path = folder.0.join(format!(".s.PGSQL.{}", first.addr.port()));
    let mut second = scene.second();
    assert!(first.stop().success());
    let mut client = Client::connect(&raw::Endpoint::Unix(path.clone()), &scene.database.login());
    assert_eq!(client.value("select 'served'"), "served");
    drop(client);
    assert!(second.stop().success());
    assert!(!path.exists(), "the last one takes its unix socket away");
}

#[test]
fn without_a_successor_clients_are_told() {
    let Some(scene) = Succession::new() else { return };
    let mut only = scene.first();
    let mut under_way = scene.client(&only);
    under_way.run("begin");
    under_way.run("select 1");
    only.signal("TERM");
    eventually("it stops", || only.log().contains("stopping"));
    let mut late = Client::dial(&only.endpoint()).expect("it still listens");
    let answer = late.login(&scene.database.login()).expect("an answer in time");
    assert_eq!(answer.last().map(Message::sqlstate).as_deref(), Some("57P03"), "{answer:?}");
    under_way.run("commit");
    assert!(only.ended(Duration::from_secs(18)).success());
}
