//! Fuzzing in every run of the tests: the committed corpus, and for some seconds what becomes of it by change.
//!
//! `PGWEIR_FUZZ_SECONDS` is the time for each target, `PGWEIR_FUZZ_SEED` makes the changes others than those of every
//! day. How it goes together with libFuzzer: `docs/design/fuzz.md`.

mod mutate;
mod sessions;
#[path = "../../fuzz/targets/mod.rs"]
mod targets;

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mutate::Mutator;

/// Seconds for each target.
const SECONDS: u64 = 2;
/// The same changes in every run.
const SEED: u64 = 0x7067_7765_6972;

#[test]
fn frames() {
    fuzz("frames", targets::frames::run);
}

#[test]
fn startup() {
    fuzz("startup", targets::startup::run);
}

#[test]
fn scram() {
    fuzz("scram", targets::scram::run);
}

#[test]
fn sql() {
    fuzz("sql", targets::sql::run);
}

#[test]
fn facts() {
    fuzz("facts", targets::facts::run);
}

#[test]
fn state() {
    fuzz("state", targets::state::run);
}

#[test]
fn hba() {
    fuzz("hba", targets::hba::run);
}

#[test]
fn token() {
    fuzz("token", targets::token::run);
}

#[test]
fn url() {
    fuzz("url", targets::url::run);
}

#[test]
fn import() {
    fuzz("import", targets::import::run);
}

#[test]
fn pgoutput() {
    fuzz("pgoutput", targets::pgoutput::run);
}

#[test]
fn rules() {
    fuzz("rules", targets::rules::run);
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(number("PGWEIR_FUZZ_SECONDS", SECONDS))
}

fn seed() -> u64 {
    number("PGWEIR_FUZZ_SEED", SEED)
}

/// Runs what is committed, then changes of it until the time is over.
fn fuzz(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let corpus = files(&folder.join("corpus").join(target));
    assert!(!corpus.is_empty(), "no corpus of {target}");
    corpus.iter().for_each(|input| try_one(target, run, input));
    let dictionary = std::fs::read_to_string(folder.join("dictionaries").join(target)).unwrap_or_default();
    let mut mutator = Mutator::new(seed(), corpus, mutate::dictionary(&dictionary));
    let end = deadline();
    let mut rounds = 0_u64;
    while Instant::now() < end {
        try_one(target, run, &mutator.next());
        rounds += 1;
    }
    assert!(rounds > 0, "there was no time for a single change");
    println!("{target}: {rounds} changed inputs");
}

/// A finding is kept in a file that both `make fuzz` and a debugger can be given.
fn try_one(target: &str, run: fn(&[u8]), input: &[u8]) {
    let Err(panic) = std::panic::catch_unwind(AssertUnwindSafe(|| run(input))) else { return };
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("finding-{target}"));
    let kept = std::fs::write(&path, input).map_or_else(|e| e.to_string(), |()| path.display().to_string());
    eprintln!("{target} fails for b\"{}\" ({kept})", input.escape_ascii());
    std::panic::resume_unwind(panic);
}

/// The contents of the files of a folder, in the order of their names.
fn files(folder: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a readable file")).collect()
}
