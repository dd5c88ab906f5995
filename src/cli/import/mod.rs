//! `pgweir import`: the configuration of another pooler as settings and rules of pgweir, and what changes in meaning on the way.
//!
//! Each source has a file with its table (`keys`): what becomes of every key. The import, its report and `docs/guide/importing.md` come from
//! these tables. Facts are from the projects' own sources and documentation: PgBouncer 1.18 to 1.26 (`doc/config.md`, `src/main.c`,
//! `src/loader.c`), PgCat 1.2.0 (`src/config.rs`, `CONFIG.md`), PgDog 0.1 of 2026 (`pgdog-config`), ProxySQL 3.0
//! (`ProxySQL_Admin_Tables_Definitions.h`, the documentation of its main tables).
//!
//! The order is: `files` reads, a source fills `work::Work`, `output` writes. Passwords go nowhere but into files that only their owner reads.

mod document;
mod draft;
pub mod files;
mod output;
pub mod page;
mod pgbouncer;
mod pgcat;
mod pgdog;
mod proxysql;
pub mod report;
mod rule;
pub mod table;
#[cfg(test)]
mod tests;
mod turn;
pub mod value;
mod work;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use files::Text;
use report::Report;
use table::Source;
use work::Work;

use super::printed::{self, complain};

/// The poolers that can be imported.
pub const SOURCES: [&Source; 4] = [&pgbouncer::SOURCE, &pgcat::SOURCE, &pgdog::SOURCE, &proxysql::SOURCE];

/// What `import` takes.
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    /// The other pooler's configuration: pgbouncer.ini, pgcat.toml, pgdog.toml, or a dump of ProxySQL's pgsql_query_rules
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Whose it is [default: found by what is in it]
    #[arg(long, value_name = "POOLER")]
    pub from: Option<From>,
    /// Folder to write pgweir.toml and rules to [default: standard output, without passwords]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// What a hostgroup of ProxySQL is, such as 0=primary or 1=replica; may be given several times
    #[arg(long, value_name = "N=ROLE")]
    pub hostgroup: Vec<String>,
}

/// A pooler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum From {
    /// PgBouncer.
    Pgbouncer,
    /// PgCat.
    Pgcat,
    /// PgDog.
    Pgdog,
    /// ProxySQL.
    Proxysql,
}

/// What came of an import, before it is written.
pub struct Imported {
    /// `pgweir.toml`; `None`: the source has no settings, only rules.
    pub settings: Option<String>,
    /// The same without passwords and verifiers.
    pub settings_without_secrets: Option<String>,
    /// The rule file, if there are rules.
    pub rules: Option<String>,
    /// What is said.
    pub report: Report,
}

/// Imports, writes and reports.
pub fn run(arguments: &ImportArgs) -> ExitCode {
    let hostgroups = match proxysql::Hostgroups::parse(&arguments.hostgroup) {
        Ok(hostgroups) => hostgroups,
        Err(problem) => {
            complain!("{problem}");
            return ExitCode::FAILURE;
        }
    };
    let mut work = Work::default();
    if let Some(file) = work.files.read(&arguments.file, None, &mut work.report) {
        fill(&file, arguments.from, &hostgroups, &mut work);
    }
    let imported = finish(&arguments.file, work);
    match output::write(&imported, arguments.out.as_deref(), &mut printed::stdout()) {
        Ok(well) => {
            if well {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(problem) => {
            complain!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// What comes of a text that stands in a file of this name. Files that it names are read.
pub fn import(path: &Path, text: &[u8], from: Option<From>) -> Imported {
    let mut work = Work::default();
    if let Some(file) = files::text(path, text.to_vec(), &mut work.report) {
        fill(&file, from, &proxysql::Hostgroups::default(), &mut work);
    }
    finish(path, work)
}

fn fill(file: &Text, from: Option<From>, hostgroups: &proxysql::Hostgroups, work: &mut Work) {
    match from.or_else(|| recognize(file)) {
        Some(From::Pgbouncer) => pgbouncer::import(file, work),
        Some(From::Pgcat) => pgcat::import(file, work),
        Some(From::Pgdog) => pgdog::import(file, work),
        Some(From::Proxysql) => proxysql::import(file, hostgroups, work),
        None => {
            let text = "it looks like the configuration of none of them; say whose it is with --from";
            work.report.error(&file.place(0), text);
        }
    }
}

/// Whose file it is: by what is in it, else by its name.
fn recognize(file: &Text) -> Option<From> {
    let by_content = [
        (From::Pgbouncer, pgbouncer::recognizes as fn(&str) -> bool),
        (From::Pgcat, pgcat::recognizes),
        (From::Pgdog, pgdog::recognizes),
        (From::Proxysql, proxysql::recognizes),
    ];
    let content = by_content.iter().find(|(_, recognizes)| recognizes(&file.text)).map(|(from, _)| *from);
    content.or_else(|| {
        let name = file.path.file_name()?.to_str()?.to_ascii_lowercase();
        let by_name = [
            (From::Pgbouncer, "pgbouncer"),
            (From::Pgcat, "pgcat"),
            (From::Pgdog, "pgdog"),
            (From::Proxysql, "proxysql"),
            (From::Pgbouncer, ".ini"),
        ];
        by_name.iter().find(|(_, part)| name.contains(part)).map(|(from, _)| *from)
    })
}

fn finish(path: &Path, mut work: Work) -> Imported {
    let whole = Text::new(path, String::new()).place(0);
    if work.report.failed() {
        return Imported { settings: None, settings_without_secrets: None, rules: None, report: work.report };
    }
    work.finish(&whole);
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().replace(char::is_control, "?"))
        .unwrap_or_default();
    let about = format!("Made from {name} by `pgweir import`.");
    let settings = (!work.draft.is_empty()).then(|| work.draft.text(&about, true));
    let settings_without_secrets = settings.is_some().then(|| work.draft.text(&about, false));
    let rules = (!work.rules.is_empty()).then(|| rule::text(&about, &rule::named(work.rules)));
    Imported { settings, settings_without_secrets, rules, report: work.report }
}
