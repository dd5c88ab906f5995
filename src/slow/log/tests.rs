//! The slow-query log as a whole, on real files.

use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::time::SystemTime;

use super::*;
use crate::stats::tally::{Answer, Served, Who};

/// A folder of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("pgweir-slow-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let folder = Folder(std::env::temp_dir().join(name));
        std::fs::create_dir_all(&folder.0).expect("a folder");
        folder
    }

    fn policy(&self) -> Policy {
        Policy { file: self.0.join("slow.log"), json: true, max_size: 1 << 20, max_age: None, keep: 2 }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn line(fingerprint: u128) -> Line {
    let answer =
        Answer { served: Served::Primary, rows: 0, bytes: 0, error: None, times: Some([0, 1, 0, 0, 1]) };
    let (who, text) = (Arc::<Who>::default(), "select $1".into());
    let (usual, sqlstate, place, trace, caller) = (0, None, 0, None, None);
    Line { at: SystemTime::now(), who, text, fingerprint, answer, usual, sqlstate, place, trace, caller }
}

/// The lines of a file; each must be JSON.
fn lines(path: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn lines_are_written_with_the_advice_that_is_known() {
    let folder = Folder::new();
    let advised = Advised::default();
    let advice = Advice { plan: Some("p1".into()), advice: Some("index t(a)".into()) };
    advised.lock().expect("nobody has it").insert(7, advice);
    let mut log = Log::start(folder.policy(), 1000, advised).expect("a thread");
    (0..20).for_each(|n| log.sink().send(|| line(n)));
    assert!(log.close(Duration::from_secs(10)));
    let found = lines(&folder.0.join("slow.log"));
    assert_eq!((found.len(), log.counts().written.load(Relaxed)), (20, 20));
    assert_eq!(
        (&found[7]["plan"], &found[7]["advice"], &found[8]["advice"]),
        (&"p1".into(), &"index t(a)".into(), &serde_json::Value::Null)
    );
}

#[test]
fn too_many_lines_are_dropped_and_told() {
    let folder = Folder::new();
    let mut log = Log::start(folder.policy(), 10, Advised::default()).expect("a thread");
    (0..500).for_each(|n| log.sink().send(|| line(n)));
    assert!(log.close(Duration::from_secs(10)));
    let found = lines(&folder.0.join("slow.log"));
    let told = found.last().and_then(|last| last["lines"].as_u64()).expect("it is told");
    let written = log.counts().written.load(Relaxed);
    assert!(written < 50 && told + written == 500, "{written} and {told}");
}

#[test]
fn files_are_turned_over_and_the_oldest_go() {
    let folder = Folder::new();
    let policy = Policy { max_size: 1000, ..folder.policy() };
    let mut log = Log::start(policy, 100_000, Advised::default()).expect("a thread");
    for n in 0..40 {
        let written = log.counts().written.load(Relaxed);
        log.sink().send(|| line(n));
        while log.counts().written.load(Relaxed) == written {
            std::thread::yield_now();
        }
    }
    assert!(log.close(Duration::from_secs(10)));
    let mut names: Vec<_> =
        std::fs::read_dir(&folder.0).expect("a folder").map(|one| one.expect("a file").file_name()).collect();
    names.sort();
    assert_eq!(names, ["slow.log", "slow.log.1", "slow.log.2"]);
    let last: Vec<_> = ["slow.log.2", "slow.log.1", "slow.log"]
        .iter()
        .flat_map(|name| lines(&folder.0.join(name)))
        .collect();
    let numbers: Vec<_> =
        last.iter().filter_map(|line| u128::from_str_radix(line["fingerprint"].as_str()?, 16).ok()).collect();
    assert!(numbers.len() >= 4 && numbers.is_sorted() && numbers.last() == Some(&39), "{numbers:?}");
    for name in names {
        assert!(std::fs::metadata(folder.0.join(name)).expect("a file").len() <= 1000);
    }
}

#[test]
fn old_files_are_turned_over_too() {
    let folder = Folder::new();
    let policy = Policy { max_age: Some(Duration::from_millis(50)), ..folder.policy() };
    let mut file = file::File::new(policy);
    file.write(b"one\n").expect("it is written");
    file.write(b"two\n").expect("it is written");
    std::thread::sleep(Duration::from_millis(60));
    file.write(b"three\n").expect("it is written");
    let read = |name: &str| std::fs::read_to_string(folder.0.join(name)).expect("a file");
    assert_eq!((read("slow.log.1").as_str(), read("slow.log").as_str()), ("one\ntwo\n", "three\n"));
}

#[test]
fn a_file_that_was_moved_is_opened_again() {
    let folder = Folder::new();
    let mut log = Log::start(folder.policy(), 1000, Advised::default()).expect("a thread");
    log.sink().send(|| line(1));
    while log.counts().written.load(Relaxed) < 1 {
        std::thread::yield_now();
    }
    std::fs::rename(folder.0.join("slow.log"), folder.0.join("moved")).expect("it can be moved");
    log.reload(folder.policy(), 1000);
    std::thread::sleep(TICK * 2);
    log.sink().send(|| line(2));
    assert!(log.close(Duration::from_secs(10)));
    assert_eq!((lines(&folder.0.join("moved")).len(), lines(&folder.0.join("slow.log")).len()), (1, 1));
}

#[test]
fn what_cannot_be_written_is_dropped_and_nobody_waits() {
    let folder = Folder::new();
    let policy = Policy { file: folder.0.join("missing/slow.log"), ..folder.policy() };
    let mut log = Log::start(policy, 1_000_000, Advised::default()).expect("a thread");
    let began = Instant::now();
    (0..20_000).for_each(|n| log.sink().send(|| line(n)));
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(log.close(Duration::from_secs(10)));
    assert_eq!((log.counts().written.load(Relaxed), log.counts().dropped.load(Relaxed)), (0, 20_000));
}
