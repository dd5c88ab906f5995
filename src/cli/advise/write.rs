//! Advice as files to review and to apply: one migration for each fix with SQL, with its undo, and a file for each rule.
//!
//! CREATE INDEX CONCURRENTLY must not run in a transaction, and two of it must not stand in one message: each tool has its own way to say so.
//!
//! | style | files | without a transaction by |
//! |---|---|---|
//! | sql | `NN_name.up.sql`, `NN_name.down.sql` | psql, statement by statement |
//! | rails | `NN_name.rb` | `disable_ddl_transaction!` |
//! | django | `NN_name.py` | `atomic = False` |
//! | flyway | `VNN__name.sql` and its `.conf`, `UNN__name.sql` | `executeInTransaction=false` |
//! | prisma | `NN_name/migration.sql`, `down.sql` | one statement in each migration |

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use super::text::proof;
use crate::advice::{Action, Advice, Fix};

/// Forms of migrations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Style {
    /// Files for psql.
    Sql,
    /// Ruby on Rails (ActiveRecord).
    Rails,
    /// Django.
    Django,
    /// Flyway.
    Flyway,
    /// Prisma Migrate.
    Prisma,
}

/// One migration: what to run, and what undoes it.
struct Migration<'a> {
    /// `01`, and so on, in the order of the fixes.
    number: usize,
    /// Small letters, digits and underscores.
    name: String,
    head: Vec<String>,
    run: &'a [String],
    undo: &'a [String],
}

/// Writes files to a folder, which is made if it is not there; gives their paths. A file that is there is not overwritten.
///
/// # Errors
/// As the system gives them.
pub fn write(folder: &Path, style: Style, advice: &Advice) -> io::Result<Vec<PathBuf>> {
    let mut files = vec![];
    for (place, fix) in advice.fixes.iter().enumerate() {
        files.extend(files_of(style, place + 1, fix));
    }
    if let Some((there, _)) = files.iter().find(|(path, _)| folder.join(path).exists()) {
        let why = format!("{} is there already; name an empty folder", there.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
    }
    let mut written = vec![];
    for (path, text) in files {
        let path = folder.join(path);
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(&path, text)?;
        written.push(path);
    }
    Ok(written)
}

fn files_of(style: Style, number: usize, fix: &Fix) -> Vec<(PathBuf, String)> {
    let name = name(&fix.title);
    let once;
    let (run, undo) = match &fix.action {
        Action::Sql { run, undo, .. } => (run.as_slice(), undo.as_slice()),
        Action::Setting { run, undo } => {
            once = (vec![run.clone()], vec![undo.clone()]);
            (once.0.as_slice(), once.1.as_slice())
        }
        Action::Rule(rule) => {
            return vec![(format!("rules/{number:02}_{name}.toml").into(), shadowed(fix, rule))];
        }
        Action::Code { .. } => return vec![],
    };
    let migration = Migration { number, name, head: head(fix, run), run, undo };
    match style {
        Style::Sql => migration.sql(),
        Style::Rails => migration.rails(),
        Style::Django => migration.django(),
        Style::Flyway => migration.flyway(),
        Style::Prisma => migration.prisma(),
    }
}

/// A rule file that only counts what it would have done, until somebody has looked at the counts.
fn shadowed(fix: &Fix, rule: &str) -> String {
    let head: String = head(fix, &[]).iter().map(|line| format!("# {line}\n")).collect();
    if rule.contains("mode =") {
        return head + rule + "\n";
    }
    let mut out = head;
    for line in rule.lines() {
        out += line;
        out.push('\n');
        if line.trim() == "[[rule]]" {
            out += "mode = \"shadow\"\n";
        }
    }
    out
}

/// What a reviewer has to know.
fn head(fix: &Fix, run: &[String]) -> Vec<String> {
    let saves = fix.saves.map_or(String::new(), |seconds| format!("; saves about {seconds:.1} s a day"));
    let mut lines = vec![format!("{} ({}{saves})", fix.title, proof(fix.proof))];
    lines.extend(fix.evidence.iter().cloned());
    let has = |words: &str| run.iter().any(|line| line.contains(words));
    if has("CREATE INDEX CONCURRENTLY") || has("REINDEX") || has("CREATE UNIQUE INDEX CONCURRENTLY") {
        let bytes = fix.price.bytes.max(0) as f64;
        // Reading, sorting and writing at some 20 MB of index a second, twice over the table.
        lines.push(format!(
            "Locks: reads and writes go on (SHARE UPDATE EXCLUSIVE); it waits for transactions that are open, and takes about {:.0} s on a machine with nothing else to do.",
            (bytes / 20e6).max(1.0)
        ));
        lines.push(
            "If it fails, an invalid index is left: drop it, and run this again. It must not run in a transaction."
                .to_owned(),
        );
    }
    if has("ATTACH PARTITION") || has("ON ONLY") {
        lines.push(
            "CREATE INDEX ON ONLY and ATTACH lock the parent for a moment; run them with a lock_timeout."
                .to_owned(),
        );
    }
    if has("DROP INDEX CONCURRENTLY") {
        lines.push("Locks: reads and writes go on; it waits for transactions that are open.".to_owned());
    }
    lines.iter().map(|line| line.replace(['\n', '\r'], " ")).collect()
}

impl Migration<'_> {
    fn base(&self) -> String {
        format!("{:02}_{}", self.number, self.name)
    }

    fn sql(&self) -> Vec<(PathBuf, String)> {
        let up = commented(&self.head, "-- ") + &ended(self.run);
        let down = format!("-- Undoes {}.up.sql\n", self.base()) + &self.undone("-- ");
        vec![
            (format!("{}.up.sql", self.base()).into(), up),
            (format!("{}.down.sql", self.base()).into(), down),
        ]
    }

    /// What undoes it, or that nothing does.
    fn undone(&self, comment: &str) -> String {
        if self.undo.is_empty() { format!("{comment}Nothing to undo.\n") } else { ended(self.undo) }
    }

    fn rails(&self) -> Vec<(PathBuf, String)> {
        let class: String = self.name.split('_').map(capital).collect();
        let mut text = commented(&self.head, "# ");
        let _ = write!(
            text,
            "class {class} < ActiveRecord::Migration[7.0]\n  disable_ddl_transaction!\n\n  def up\n"
        );
        for one in self.run {
            let _ = writeln!(text, "    execute <<~'SQL'\n      {one}\n    SQL");
        }
        text += "  end\n\n  def down\n";
        for one in self.undo {
            let _ = writeln!(text, "    execute <<~'SQL'\n      {one}\n    SQL");
        }
        text += "  end\nend\n";
        // Rails orders by a number in front, as long as a date and time; a reviewer gives it the real one.
        vec![(format!("2000010100{:04}_{}.rb", self.number, self.name).into(), text)]
    }

    fn django(&self) -> Vec<(PathBuf, String)> {
        let mut text = commented(&self.head, "# ");
        text += "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n    atomic = False\n\n";
        text += "    # The last migration of the app stands here: (\"app\", \"0001_initial\").\n    dependencies = []\n\n    operations = [\n";
        let undo: Vec<String> = self.undo.iter().map(|one| python(one)).collect();
        for (place, one) in self.run.iter().enumerate() {
            // What undoes all of it belongs to the first, which is undone last.
            let reverse = if place == 0 && !undo.is_empty() {
                format!("[{}]", undo.join(", "))
            } else {
                "migrations.RunSQL.noop".to_owned()
            };
            let _ = writeln!(text, "        migrations.RunSQL({}, reverse_sql={reverse}),", python(one));
        }
        text += "    ]\n";
        vec![(format!("{:04}_{}.py", self.number, self.name).into(), text)]
    }

    fn flyway(&self) -> Vec<(PathBuf, String)> {
        let up = commented(&self.head, "-- ") + &ended(self.run);
        let name = format!("V{:02}__{}.sql", self.number, self.name);
        vec![
            (format!("{name}.conf").into(), "executeInTransaction=false\n".to_owned()),
            (name.into(), up),
            (format!("U{:02}__{}.sql", self.number, self.name).into(), self.undone("-- ")),
        ]
    }

    /// A migration with one statement runs without a transaction, one with several in one message, where CONCURRENTLY is refused.
    fn prisma(&self) -> Vec<(PathBuf, String)> {
        let mut files = vec![];
        for (place, one) in self.run.iter().enumerate() {
            let folder = format!("{:04}{:02}_{}", self.number, place + 1, self.name);
            let head = if place == 0 { commented(&self.head, "-- ") } else { String::new() };
            files.push((format!("{folder}/migration.sql").into(), format!("{head}{one};\n")));
            if place == 0 {
                files.push((format!("{folder}/down.sql").into(), self.undone("-- ")));
            }
        }
        files
    }
}

fn commented(lines: &[String], comment: &str) -> String {
    lines.iter().map(|line| format!("{comment}{line}\n")).collect()
}

fn ended(statements: &[String]) -> String {
    statements.iter().map(|one| format!("{one};\n")).collect()
}

/// A text as Python writes it: JSON's escapes are Python's.
fn python(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// Of a title, what may stand in the name of a file and of a class.
fn name(title: &str) -> String {
    const MOST: usize = 48;
    let mut out = String::new();
    for c in title.chars() {
        if c.is_ascii_alphanumeric() {
            out.push(c.to_ascii_lowercase());
        } else if !out.ends_with('_') && !out.is_empty() {
            out.push('_');
        }
        if out.len() >= MOST {
            break;
        }
    }
    let out = out.trim_end_matches('_');
    // A class must not begin with a digit.
    if out.chars().next().is_none_or(|first| first.is_ascii_digit()) {
        format!("fix_{out}")
    } else {
        out.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::{Price, Proof};

    fn fix(action: Action) -> Fix {
        Fix {
            code: "index",
            title: "index orders(\"a b\", created_at DESC)".into(),
            evidence: vec!["it\nhelps".into()],
            action,
            helps: vec![],
            saves: Some(12.0),
            price: Price { bytes: 100_000_000, writes: 0.1 },
            proof: Proof::Pattern,
        }
    }

    fn sql() -> Action {
        Action::Sql {
            run: vec!["CREATE INDEX CONCURRENTLY i ON t (\"a b\")".into(), "ANALYZE t".into()],
            undo: vec!["DROP INDEX CONCURRENTLY i".into()],
            concurrently: true,
        }
    }

    fn all(style: Style, action: Action) -> Vec<(String, String)> {
        let files = files_of(style, 1, &fix(action)).into_iter();
        files.map(|(path, text)| (path.display().to_string(), text)).collect()
    }

    #[test]
    fn each_style_runs_without_a_transaction_and_has_its_undo() {
        let files = all(Style::Sql, sql());
        assert_eq!(files[0].0, "01_index_orders_a_b_created_at_desc.up.sql");
        assert!(
            files[0].1.contains("CREATE INDEX CONCURRENTLY i ON t (\"a b\");\nANALYZE t;\n"),
            "{}",
            files[0].1
        );
        assert!(files[0].1.contains("-- it helps\n") && files[0].1.contains("about 5 s"), "{}", files[0].1);
        assert!(files[1].1.ends_with("DROP INDEX CONCURRENTLY i;\n"), "{}", files[1].1);
        let rails = &all(Style::Rails, sql())[0].1;
        assert!(
            rails.contains("class IndexOrdersABCreatedAtDesc < ActiveRecord")
                && rails.contains("disable_ddl_transaction!")
        );
        let django = &all(Style::Django, sql())[0].1;
        assert!(django.contains("atomic = False"), "{django}");
        assert!(
            django.contains("RunSQL(\"CREATE INDEX CONCURRENTLY i ON t (\\\"a b\\\")\", reverse_sql=[\"DROP INDEX CONCURRENTLY i\"])"),
            "{django}"
        );
        let flyway = all(Style::Flyway, sql());
        assert_eq!(flyway[0].1, "executeInTransaction=false\n");
        assert!(flyway[2].0.starts_with('U'));
        let prisma = all(Style::Prisma, sql());
        assert_eq!(prisma.iter().filter(|(path, _)| path.ends_with("migration.sql")).count(), 2);
    }

    #[test]
    fn rules_are_written_in_shadow() {
        let files = all(Style::Rails, Action::Rule("[[rule]]\nname = \"x\"".into()));
        assert!(files[0].0.starts_with("rules/01_") && files[0].0.ends_with(".toml"));
        assert!(files[0].1.contains("[[rule]]\nmode = \"shadow\"\nname"), "{}", files[0].1);
        assert_eq!(all(Style::Sql, Action::Code { change: "x".into(), rewritten: None }).len(), 0);
    }

    #[test]
    fn names_are_plain() {
        assert_eq!(name("drop index \"É/../x\": a duplicate"), "drop_index_x_a_duplicate");
        assert_eq!(name("../"), "fix_");
        assert_eq!(name("9 lives"), "fix_9_lives");
    }
}
