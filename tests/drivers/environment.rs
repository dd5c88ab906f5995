//! Installs the drivers of other languages under `target/`, once, at pinned versions.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::harness::command;

const PYTHON: &[&str] = &["psycopg[binary]==3.3.9", "asyncpg==0.32.0"];
const MAPPERS: &[&str] = &["psycopg[binary]==3.3.9", "django==5.2.19", "sqlalchemy==2.1.9"];
/// PostgreSQL's own grammar, that of version 18.
const GRAMMAR: &[&str] = &["pglast==8.8"];
const NODE: &[&str] = &["pg@8.23.1", "pg-cursor@2.22.0"];
const DEADLINE: Duration = Duration::from_secs(300);

/// The interpreter of a virtual environment that has psycopg and asyncpg.
pub fn python() -> PathBuf {
    python_with("python", PYTHON)
}

/// The interpreter of one that has Django and SQLAlchemy.
pub fn python_with_mappers() -> PathBuf {
    python_with("mappers", MAPPERS)
}

/// The interpreter of one that has PostgreSQL's own grammar.
pub fn python_with_grammar() -> PathBuf {
    python_with("grammar", GRAMMAR)
}

fn python_with(name: &str, packages: &[&str]) -> PathBuf {
    let folder = installed(name, packages, |folder| {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder));
        run(Command::new(folder.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check"])
            .args(packages));
    });
    folder.join("bin/python")
}

/// A folder whose `node_modules` has node-postgres and its cursor.
pub fn node_modules() -> PathBuf {
    let folder = installed("node", NODE, |folder| {
        fs::create_dir_all(folder).expect("a folder can be made");
        fs::write(folder.join("package.json"), "{}").expect("a file can be written");
        run(Command::new("npm")
            .args(["install", "--silent", "--no-audit", "--no-fund"])
            .args(NODE)
            .current_dir(folder));
    });
    folder.join("node_modules")
}

/// The suite of a driver, beside this file.
pub fn suite(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/drivers").join(name)
}

/// Installs unless that was done; a folder without the mark is one whose installation was interrupted.
fn installed(name: &str, packages: &[&str], install: impl Fn(&Path)) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("drivers");
    fs::create_dir_all(&root).expect("a folder can be made");
    let lock = File::create(root.join(format!("{name}.lock"))).expect("a file can be made");
    lock.lock().expect("a lock can be taken");
    let folder = root.join(name);
    let mark = folder.join("installed");
    let wanted = packages.join("\n");
    if fs::read_to_string(&mark).ok().as_deref() != Some(&wanted) {
        let _ = fs::remove_dir_all(&folder);
        install(&folder);
        fs::write(mark, wanted).expect("a file can be written");
    }
    folder
}

fn run(command: &mut Command) {
    command::run(command, DEADLINE).success();
}
