//! What we say of statements, against PostgreSQL's own grammar.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use pgweir::sql::facts::{Access, Class, Facts};
use pgweir::sql::{facts, not_a_read, shape, summarize};
use serde_json::Value;

use super::{corpus, generated, mappers};
use crate::drivers::environment;
use crate::harness::big;
use crate::harness::command::run_with_input;

/// Of the statements of applications that both have to understand, how many in a hundred must be understood.
const UNDERSTOOD: usize = 95;

#[test]
fn the_grammar_agrees() {
    let folder = corpus::folder();
    let cluster = mappers::logging();
    let database = cluster.database();
    let sources = [
        ("regression", regression(&folder)),
        ("demo", split(include_str!("../../src/cli/demo.sql"))),
        ("mappers", mappers::sent(&cluster, &database.name)),
        ("generated", generated::statements(4_000)),
    ];
    let mut wrong = vec![];
    for (name, texts) in sources {
        let texts: BTreeSet<String> = texts.into_iter().filter(|text| !text.contains('\0')).collect();
        let texts: Vec<String> = texts.into_iter().collect();
        let mut counted = Counted::default();
        for (text, grammar) in texts.iter().zip(by_grammar(&texts)) {
            if let Value::Object(_) = grammar {
                counted.statement(text, &grammar);
            }
        }
        counted.print(name);
        if counted.rows.0 * 100 < counted.rows.1 * UNDERSTOOD {
            wrong.push(format!("{name}: too little is understood"));
        }
        wrong.extend(counted.wrong.into_iter().map(|text| format!("{name}: {text}")));
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[derive(Default)]
struct Counted {
    statements: usize,
    writes: usize,
    understood: usize,
    /// Statements about rows: SELECT, INSERT, UPDATE, DELETE, MERGE; how many were understood, and of how many.
    rows: (usize, usize),
    not_understood: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

impl Counted {
    fn statement(&mut self, text: &str, grammar: &Value) {
        self.statements += 1;
        let bytes = text.as_bytes();
        let facts = facts(bytes, true, &shape(bytes, true));
        let writes = grammar["writes"] == true;
        self.writes += usize::from(writes);
        if writes && not_a_read(bytes, true).is_none() {
            self.wrong.push(format!("judged a read, and is none: {text}"));
        }
        let class = format!("{:?}", facts.class).to_lowercase();
        if grammar["class"] != class {
            self.wrong.push(format!("class {class}, by the grammar {}: {text}", grammar["class"]));
        }
        let of_rows = matches!(
            facts.class,
            Class::Select | Class::Insert | Class::Update | Class::Delete | Class::Merge
        );
        self.rows.1 += usize::from(of_rows);
        if !facts.understood {
            *self.not_understood.entry(class).or_default() += 1;
            return;
        }
        self.understood += 1;
        self.rows.0 += usize::from(of_rows);
        self.wrong.extend(differences(&facts, grammar).map(|how| format!("{how}: {text}")));
    }

    fn print(&self, name: &str) {
        let share = |part: usize, of: usize| 100.0 * part as f64 / of.max(1) as f64;
        println!(
            "{name}: {} statements, {} of them writes by the grammar; understood {} ({:.1} %), of statements about rows {} of {} ({:.1} %); {} differ; not understood: {:?}",
            self.statements,
            self.writes,
            self.understood,
            share(self.understood, self.statements),
            self.rows.0,
            self.rows.1,
            share(self.rows.0, self.rows.1),
            self.wrong.len(),
            self.not_understood,
        );
    }
}

/// How what was understood differs from what the grammar says.
fn differences(facts: &Facts, grammar: &Value) -> impl Iterator<Item = String> {
    let mut all = vec![];
    let mut compare = |what: &str, ours: Value| {
        if ours != grammar[what] {
            all.push(format!("{what} {ours}, by the grammar {}", grammar[what]));
        }
    };
    let mut tables: Vec<[&str; 3]> = vec![];
    for table in &facts.tables {
        let access = if table.access == Access::Write { "write" } else { "read" };
        tables.push([table.name.schema.as_deref().unwrap_or_default(), &table.name.name, access]);
    }
    tables.sort_unstable();
    let without_catalog =
        |schema: Option<&str>| schema.filter(|schema| *schema != "pg_catalog").unwrap_or_default().to_owned();
    let functions: BTreeSet<[String; 2]> = facts
        .functions
        .iter()
        .map(|name| [without_catalog(name.schema.as_deref()), name.name.to_string()])
        .collect();
    compare("tables", tables.into());
    compare("functions", functions.into_iter().collect());
    compare("filtered", facts.filtered.into());
    compare("limited", facts.limited.into());
    compare("ordered", facts.ordered.into());
    compare("locks", facts.locks.into());
    all.into_iter()
}

fn by_grammar(texts: &[String]) -> Vec<Value> {
    let mut helper = Command::new(environment::python_with_grammar());
    helper.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reads/grammar.py"));
    let input = serde_json::to_string(texts).expect("texts");
    let said = run_with_input(&mut helper, &input, Duration::from_secs(120)).success();
    serde_json::from_str(&said).expect("a list")
}

/// Every fourth statement of PostgreSQL's own tests; all of them with `PGWEIR_TEST_BIG=1`.
fn regression(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder.join("sql")).expect("a folder of tests");
    let mut names: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
    names.sort();
    let stem = |path: &PathBuf| path.file_stem().expect("a name").to_string_lossy().into_owned();
    let all = names.iter().flat_map(|path| corpus::statements(folder, &stem(path)));
    all.step_by(if big() { 1 } else { 4 }).collect()
}

fn split(text: &str) -> Vec<String> {
    let statements = summarize(text.as_bytes(), true).statements.into_iter();
    statements.map(|one| text[one.range].to_owned()).collect()
}
