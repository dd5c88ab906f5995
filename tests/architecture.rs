//! The house keeps its shape: who may import whom, a head on every file, no file too long.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use pgweir::config::{self, Sources, keys};
use pgweir::plan::explain::REASONS;
use pgweir::plan::topology::STATES;
use pgweir::stats::PIN_REASONS;

use crate::harness::command::Folder;

/// The longest a file may be without its tests.
const LINES: usize = 500;

/// What each module of the data path and its leaves may import; the control plane may import anything.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("sql", &[]),
    ("stats", &[]),
    ("spelling", &[]),
    ("level", &[]),
    ("timer", &[]),
    ("catalog", &["sql"]),
    ("rules", &["sql", "spelling", "level"]),
    ("plan", &["sql", "catalog", "rules", "level"]),
    ("slow", &["sql", "stats"]),
    ("advice", &["sql", "stats", "spelling"]),
    ("auth", &["wire", "stats", "config"]),
    ("pool", &["wire", "auth", "stats", "config", "timer"]),
    ("cache", &["wire", "stats", "level"]),
    (
        "session",
        &[
            "catalog", "rules", "plan", "pool", "cache", "auth", "wire", "stats", "sql", "config", "slow",
            "runtime", "level", "timer",
        ],
    ),
];

#[test]
fn imports_follow_the_design() {
    let forbidden: Vec<String> =
        sources().iter().flat_map(|(path, text)| forbidden_imports(path, text)).collect();
    assert!(forbidden.is_empty(), "DESIGN: who may import whom\n{}", forbidden.join("\n"));
}

/// A worker's reactor keeps no timers: one that is made without [`pgweir::timer`] would panic there.
#[test]
fn workers_have_their_timers_kept() {
    const OF_WORKERS: [&str; 6] = ["session/", "pool/", "runtime/", "cache/", "plan/", "catalog/"];
    let theirs =
        |path: &str| OF_WORKERS.iter().any(|folder| path.starts_with(folder)) && path != "runtime/beat.rs";
    let makes = |line: &&str| line.contains("tokio::time") && line.trim() != "use tokio::time::Sleep;";
    let sources = sources();
    let made: Vec<String> = sources
        .iter()
        .filter(|(path, _)| theirs(path))
        .flat_map(|(path, text)| {
            without_tests(text)
                .lines()
                .filter(makes)
                .map(move |line| format!("{path}: {line}"))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(made.is_empty(), "timers that are not made by `timer`: {made:#?}");
}

#[test]
fn every_file_has_a_head() {
    let headless: Vec<String> =
        sources().into_iter().filter(|(_, text)| !text.starts_with("//!")).map(|f| f.0).collect();
    assert!(headless.is_empty(), "files that do not begin with `//!`: {headless:?}");
}

#[test]
fn no_file_is_too_long() {
    let long = sources().into_iter().filter_map(|(path, text)| {
        let lines = without_tests(&text).lines().count();
        (lines > LINES && !path.ends_with("tests.rs")).then(|| format!("{path}: {lines}"))
    });
    let long: Vec<String> = long.collect();
    assert!(long.is_empty(), "files of more than {LINES} lines without their tests: {long:?}");
}

#[test]
fn imports_are_found() {
    let text = "use crate::wire::frame;\nuse crate::{pool, sql::lexer, stats as s};\n    pub(super) use crate::plan;\nlet x = crate::cache::get();\n//! [`crate::admin`]\n";
    let found: Vec<&str> = modules_imported(text).into_iter().map(|f| f.1).collect();
    assert_eq!(found, ["wire", "pool", "sql", "stats", "plan", "cache"]);
    assert_eq!(forbidden_imports("wire/frame.rs", "use crate::wire::Tag;\nuse crate::pool::Pool;").len(), 1);
    assert_eq!(forbidden_imports("control/probe.rs", "use crate::pool::Pool;").len(), 0);
}

#[test]
fn every_pin_reason_is_in_the_guide() {
    let page = guide("pins.md");
    let missing: Vec<&str> =
        PIN_REASONS.into_iter().filter(|reason| !page.contains(&format!("| `{reason}` |"))).collect();
    assert!(missing.is_empty(), "docs/guide/pins.md has no line for {missing:?}");
}

#[test]
fn every_reason_of_explain_is_in_the_guide() {
    let (page, states) = (guide("explain.md"), &STATES[1..]);
    let is_told = |reason: &&&str| match states.contains(reason) {
        true => page.contains(&format!("`{reason}`")),
        false => page.contains(&format!("\n| `{reason}` |")),
    };
    let missing: Vec<_> = REASONS.iter().filter(|reason| !is_told(reason)).collect();
    assert!(missing.is_empty(), "docs/guide/explain.md has no line for {missing:?}");
    let lines = page.split("## Reasons").nth(1).expect("there are reasons").lines();
    let told = lines.filter_map(|line| line.strip_prefix("| `")?.split_once("` |")).map(|line| line.0);
    let unknown: Vec<_> = told.filter(|reason| !REASONS.contains(reason)).collect();
    assert!(unknown.is_empty(), "docs/guide/explain.md has reasons that are none: {unknown:?}");
}

#[test]
fn the_guide_from_pgbouncer_names_keys_that_exist() {
    let mut known = HashSet::new();
    for section in keys::sections() {
        known.extend(section.keys.iter().map(|key| format!("{}.{}", section.name, key.name)));
        if section.name == "pool" {
            // These may stand in a database too.
            known.extend(section.keys.iter().map(|key| format!("databases.NAME.{}", key.name)));
        }
    }
    let page = guide("from-pgbouncer.md");
    let named = dotted(&page);
    assert!(named.len() > 50, "keys are not found: {named:?}");
    let unknown: Vec<&str> = named.into_iter().filter(|name| !known.contains(*name)).collect();
    assert!(unknown.is_empty(), "docs/guide/from-pgbouncer.md names keys that do not exist: {unknown:?}");
}

#[test]
fn the_example_of_the_guide_from_pgbouncer_is_right() {
    let page = guide("from-pgbouncer.md");
    let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let folder = Folder::new();
    let path = folder.0.join("pgweir.toml");
    fs::write(&path, example.expect("there is an example")).expect("a file can be written");
    let settings = config::load(&Sources { file: Some(path), ..Sources::default() });
    let settings = settings.unwrap_or_else(|errors| panic!("{errors:?}"));
    assert_eq!(settings.databases.keys().collect::<Vec<_>>(), ["*", "reports", "shop"]);
}

#[test]
fn keys_in_a_text_are_found() {
    let text =
        "| `a.b_c` | `x` of `pgweir.toml`, `users.NAME.d`, `e.f = 1` |\n```\n`g.h`\n```\n`md5...` and `i.j`";
    assert_eq!(dotted(text), ["a.b_c", "users.NAME.d", "i.j"]);
}

/// A page of the guide.
fn guide(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What is written as code, outside of examples, and has a dot between its words, as a key has; files have another ending.
fn dotted(page: &str) -> Vec<&str> {
    let is_word =
        |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let is_file =
        |name: &str| [".ini", ".toml", ".txt", ".md", ".conf"].iter().any(|end| name.ends_with(end));
    let texts = page.split("```").step_by(2);
    let spans = texts.flat_map(|text| text.split('`').skip(1).step_by(2));
    spans.filter(|span| span.contains('.') && span.split('.').all(is_word) && !is_file(span)).collect()
}

/// Imports of a file that its module may not have.
fn forbidden_imports(path: &str, text: &str) -> Vec<String> {
    let module = path.split('/').next().unwrap_or_default().trim_end_matches(".rs");
    let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
        return Vec::new();
    };
    let imports = modules_imported(without_tests(text));
    let bad = imports.into_iter().filter(|(_, to)| *to != module && !allowed.contains(to));
    bad.map(|(line, to)| format!("src/{path}:{line}: `{module}` may not import `{to}`")).collect()
}

/// The modules named behind `crate::`, with their line numbers.
fn modules_imported(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let line_start = text[..at].rfind('\n').map_or(0, |n| n + 1);
        let comment = text[line_start..at].contains("//");
        let longer_name = text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        if comment || longer_name {
            continue;
        }
        let line = text[..at].lines().count().max(1);
        let rest = &text[at + "crate::".len()..];
        found.extend(names(rest).into_iter().map(|name| (line, name)));
    }
    found
}

/// The first names of a path, or of each path in braces.
fn names(rest: &str) -> Vec<&str> {
    let Some(inner) = rest.strip_prefix('{') else {
        return vec![first_name(rest)];
    };
    let mut depth = 0;
    let mut start = 0;
    let mut names = Vec::new();
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                names.push(first_name(&inner[start..at]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                names.push(first_name(&inner[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn first_name(path: &str) -> &str {
    let path = path.trim_start();
    let end = path.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(path.len());
    &path[..end]
}

/// The text up to the tests, which stand at the end.
fn without_tests(text: &str) -> &str {
    text.find("#[cfg(test)]\nmod ").map_or(text, |at| &text[..at])
}

/// Every source file: its path below `src`, and its text.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the sources are readable").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(&root).expect("below the root").display().to_string();
                files.push((name, fs::read_to_string(&path).expect("a readable file")));
            }
        }
    }
    assert!(!files.is_empty());
    files.sort();
    files
}
