//! Whatever is wrong with the file, statements go on; it is told, and it is put right where it can be.

use std::path::Path;
use std::process::{Command, Stdio};

use rusqlite::Connection;

use super::{Scene, calls};
use crate::harness::command::Folder;
use crate::harness::eventually;

/// How often the log says that something is the matter.
fn told(scene: &Scene, words: &str) -> usize {
    scene.proxy.log().lines().filter(|line| line.contains(words)).count()
}

fn aside(folder: &Folder) -> Vec<String> {
    let names = std::fs::read_dir(&folder.0).expect("a folder").map(|one| one.expect("a file").file_name());
    names.map(|name| name.to_string_lossy().into_owned()).filter(|name| name.contains(".corrupt-")).collect()
}

/// Statements go on, and whatever is the matter, is seen.
fn goes_on(scene: &Scene, state: &str) {
    let mut client = scene.client();
    (0..5).for_each(|_| client.run("select 1"));
    eventually("it is seen", || scene.state() == state);
    assert_eq!(client.value("select 2"), "2");
}

#[test]
fn store_that_is_no_database_is_moved_aside_and_begun_anew() {
    let garbage = vec![b'?'; 20_000];
    let Some(mut scene) =
        Scene::with_file("", |file| std::fs::write(file, &garbage).expect("it can be written"))
    else {
        return;
    };
    goes_on(&scene, "ok");
    scene.written(5);
    let moved = aside(&scene.folder);
    assert_eq!(moved.len(), 1, "{moved:?}");
    assert_eq!(std::fs::read(scene.folder.0.join(&moved[0])).expect("it is kept"), garbage);
    assert_eq!(told(&scene, "the store is damaged"), 1, "{}", scene.proxy.log());
    assert_eq!(scene.show("STORE")[0]["corrupt_files"], "1");
    scene.proxy.stop();
    assert_eq!(calls(&scene.file()), 6);
}

#[test]
fn store_that_is_damaged_while_it_is_used_is_begun_anew() {
    let Some(mut scene) = Scene::new("") else { return };
    goes_on(&scene, "ok");
    scene.proxy.stop();
    // The file is a database, and its tables are not what they were.
    let mut bytes = std::fs::read(scene.file()).expect("a file");
    bytes[4096..].fill(0xa5);
    std::fs::write(scene.file(), bytes).expect("it can be written");
    scene.restart();
    goes_on(&scene, "ok");
    eventually("a new one is begun", || aside(&scene.folder).len() == 1);
    scene.proxy.stop();
    assert_eq!(calls(&scene.file()), 6);
}

#[test]
fn store_that_is_taken_away_is_begun_anew() {
    let Some(mut scene) = Scene::new("") else { return };
    goes_on(&scene, "ok");
    scene.written(6);
    for part in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{part}", scene.file().display()));
    }
    goes_on(&scene, "ok");
    scene.written(12);
    scene.proxy.stop();
    assert_eq!(calls(&scene.file()), 6);
}

#[test]
fn store_that_is_locked_is_written_when_it_is_free() {
    let Some(mut scene) = Scene::new("") else { return };
    goes_on(&scene, "ok");
    scene.written(6);
    let other = Connection::open(scene.file()).expect("it is a database");
    other.execute_batch("BEGIN IMMEDIATE").expect("it is free");
    goes_on(&scene, "locked");
    other.execute_batch("ROLLBACK").expect("it was locked");
    eventually("it is written", || scene.state() == "ok");
    assert_eq!(told(&scene, "the store cannot be written"), 1, "{}", scene.proxy.log());
    scene.proxy.stop();
    assert_eq!(calls(&scene.file()), 12, "nothing is lost: {}", scene.proxy.log());
}

#[test]
fn store_that_is_locked_for_long_is_dropped_and_counted() {
    let Some(mut scene) = Scene::new("") else { return };
    goes_on(&scene, "ok");
    scene.written(6);
    let other = Connection::open(scene.file()).expect("it is a database");
    other.execute_batch("BEGIN IMMEDIATE").expect("it is free");
    let mut client = scene.client();
    eventually("there is no more room", || {
        client.run("select 3");
        scene.show("STORE")[0]["dropped"] != "0"
    });
    other.execute_batch("ROLLBACK").expect("it was locked");
    eventually("it is written", || scene.state() == "ok");
    client.run("select 3");
    drop(client);
    std::thread::sleep(std::time::Duration::from_millis(500));
    scene.proxy.stop();
    let missing: i64 = Connection::open(scene.file())
        .and_then(|file| file.query_row("SELECT sum(statements) FROM missing", [], |row| row.get(0)))
        .expect("it says what is missing");
    assert!(missing > 0);
}

/// A small file system in a folder, where this may be made; taken away when dropped.
struct Small(std::path::PathBuf);

impl Small {
    fn new(folder: &Path, options: &str) -> Option<Small> {
        std::fs::create_dir(folder).expect("a folder can be made");
        let small = Small(folder.to_owned());
        small.mount(options).then_some(small)
    }

    fn mount(&self, options: &str) -> bool {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&self.0).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A scene whose file is in a small file system; `None` where none can be made, which is told.
fn in_small(options: &str) -> Option<(Scene, Small)> {
    let mut scene = Scene::new("")?;
    let Some(small) = Small::new(&scene.folder.0.join("small"), options) else {
        eprintln!("not tested: no file system can be mounted here");
        return None;
    };
    scene.proxy.stop();
    let file = small.0.join("history.db").display().to_string();
    scene.options.args = vec!["--store".to_owned(), file];
    scene.restart();
    Some((scene, small))
}

#[test]
fn store_that_may_not_be_written_is_told_once() {
    let Some((mut scene, small)) = in_small("size=4m") else { return };
    goes_on(&scene, "ok");
    scene.proxy.stop();
    assert!(small.mount("remount,ro"), "it can be made read-only");
    scene.restart();
    goes_on(&scene, "read-only");
    assert_eq!(told(&scene, "the store cannot be written"), 1, "{}", scene.proxy.log());
    assert!(small.mount("remount,rw"), "it can be made writable");
    eventually("it is written", || scene.state() == "ok");
    scene.proxy.stop();
    let copy = scene.folder.0.join("copy.db");
    std::fs::copy(small.0.join("history.db"), &copy).expect("it can be read");
    assert_eq!(calls(&copy), 12);
}

#[test]
fn store_without_room_on_its_disk_does_not_stop_statements() {
    let Some((mut scene, small)) = in_small("size=300k") else { return };
    let mut client = scene.client();
    let long = "x".repeat(3000);
    (0..100).for_each(|n| client.run(&format!("select {n} as \"{long}{n}\"")));
    eventually("it is seen", || scene.state() == "full");
    assert_eq!(client.value("select 2"), "2");
    assert_eq!(told(&scene, "state=\"full\""), 1, "{}", scene.proxy.log());
    assert!(small.mount("remount,size=8m"), "it can be made larger");
    eventually("it is written", || scene.state() == "ok");
    drop(client);
    scene.proxy.stop();
    let copy = scene.folder.0.join("copy.db");
    std::fs::copy(small.0.join("history.db"), &copy).expect("it can be read");
    assert_eq!(calls(&copy), 101, "nothing is lost: {}", scene.proxy.log());
}

#[test]
fn store_that_is_a_folder_is_told_once() {
    let Some(scene) = Scene::with_file("", |file| std::fs::create_dir(file).expect("a folder")) else {
        return;
    };
    goes_on(&scene, "unusable");
    assert_eq!(told(&scene, "the store cannot be written"), 1, "{}", scene.proxy.log());
    assert!(scene.file().is_dir() && aside(&scene.folder).is_empty());
}

#[test]
fn store_of_a_newer_pgweir_or_of_somebody_else_is_left_alone() {
    let newer = |file: &Path| {
        let file = Connection::open(file).expect("a file");
        file.execute_batch(
            "CREATE TABLE t (x); PRAGMA application_id = 1885828978; PRAGMA user_version = 99",
        )
        .expect("a table");
    };
    let foreign = |file: &Path| {
        Connection::open(file).and_then(|file| file.execute_batch("CREATE TABLE mine (x)")).expect("a table");
    };
    for (prepare, state) in [(&newer as &dyn Fn(&Path), "newer"), (&foreign, "foreign")] {
        let Some(mut scene) = Scene::with_file("", prepare) else { return };
        let before = std::fs::read(scene.file()).expect("a file");
        goes_on(&scene, state);
        scene.proxy.stop();
        assert_eq!(std::fs::read(scene.file()).expect("a file"), before, "{state}");
    }
}

#[test]
fn store_that_is_as_large_as_it_may_be_drops_what_is_oldest() {
    let Some(mut scene) = Scene::new("max_size = \"1MB\"\nstatements = 100000\n") else { return };
    let mut client = scene.client();
    let long = "x".repeat(2000);
    for round in 0..12 {
        for n in 0..60 {
            client.run(&format!("select 1 as c{round}_{n}, 2 as \"{long}\""));
        }
        std::thread::sleep(std::time::Duration::from_millis(150));
    }
    assert_eq!(scene.state(), "ok", "{}", scene.proxy.log());
    drop(client);
    scene.proxy.stop();
    let size = std::fs::metadata(scene.file()).expect("a file").len();
    assert!(size <= 1_300_000, "{size} bytes");
    assert!(calls(&scene.file()) > 0);
}
