//! Databases that clients name and that are not there.

use crate::admin::{Scene, get, show};
use crate::harness::cluster::APP;
use crate::harness::raw::{Client, Login};
use crate::harness::{eventually, message::Message};

#[test]
fn databases_that_are_not_there_are_forgotten() {
    let Some(scene) = Scene::new("pool_size=2") else { return };
    let mut client = scene.client();
    client.run("select 1");
    for n in 0..30 {
        let login = Login::new(APP.0, APP.1, &format!("nowhere_{n}"));
        let mut stranger = Client::dial(&scene.proxy.endpoint()).expect("it listens");
        let told = stranger.login(&login);
        let sqlstate = |messages: &[Message]| messages.last().map(Message::sqlstate);
        // Who is told at the login, or by the first statement.
        let sqlstate = told.ok().and_then(|messages| sqlstate(&messages).filter(|state| !state.is_empty()));
        assert_eq!(sqlstate.unwrap_or_else(|| stranger.error("select 1")), "3D000", "nowhere_{n}");
    }
    let mut console = scene.console(APP);
    let is_nowhere = |name: &str| name.starts_with("nowhere_");
    for what in ["DATABASES", "POOLS", "STATS"] {
        eventually(what, || {
            let column = if what == "DATABASES" { "name" } else { "database" };
            !show(&mut console, what).iter().any(|row| is_nowhere(&row[column]))
        });
    }
    let (_, page) = get(scene.http, "/metrics");
    assert!(!page.contains("nowhere_"), "{page}");
    let own = show(&mut console, "STATS").into_iter().find(|row| row["database"] == scene.database.name);
    assert_ne!(own.expect("it is in use")["total_query_count"], "0");
    // A client that comes again is told again.
    let login = Login::new(APP.0, APP.1, "nowhere_1");
    let mut stranger = Client::dial(&scene.proxy.endpoint()).expect("it listens");
    assert!(stranger.login(&login).map_or(true, |told| told.last().is_some_and(|last| last.tag == b'E')));
    assert_eq!(client.value("select 'works'"), "works");
}
