//! Writing what came of an import: settings and rules to a folder or to standard output, the report to standard error.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::Imported;
use crate::cli::printed::complain;
use crate::config::{self, ConfigError};
use crate::session::entry::Entry;

/// Writes everything. False: nothing was written, or the settings would be refused.
///
/// # Errors
/// What could not be written, and what to do.
pub fn write(imported: &Imported, out: Option<&Path>, stdout: &mut impl Write) -> Result<bool, String> {
    for line in imported.report.lines() {
        complain!("{line}");
    }
    if imported.report.failed() {
        if imported.report.is_full() {
            complain!(
                "there is more to say than fits here; this is no configuration, or one to be cut into several"
            );
        }
        complain!("nothing was written");
        return Ok(false);
    }
    let settings = imported.settings.as_deref().map(|text| ("pgweir.toml", text));
    let rules = imported.rules.as_deref().map(|text| ("rules/50-imported.toml", text));
    let path = match out {
        Some(folder) => {
            let files: Vec<(PathBuf, &str)> =
                settings.into_iter().chain(rules).map(|(name, text)| (folder.join(name), text)).collect();
            to_files(&files)?;
            folder.join("pgweir.toml")
        }
        None => {
            to_output(imported, stdout).map_err(|error| format!("standard output: {error}"))?;
            PathBuf::from("pgweir.toml")
        }
    };
    complain!("{}", imported.report.summary());
    let problems = imported.settings.as_deref().map(|text| refused(&path, text)).unwrap_or_default();
    for problem in &problems {
        complain!("pgweir refuses what was written: {problem}");
    }
    Ok(problems.is_empty())
}

/// What pgweir's reader has against settings in a file of this name.
pub fn refused(path: &Path, text: &str) -> Vec<ConfigError> {
    match config::read(path, text) {
        Err(problems) => problems,
        Ok(loaded) => Entry::problems(&loaded.settings)
            .iter()
            .map(|bad| loaded.origins.error(bad.setting(), bad.to_string()))
            .collect(),
    }
}

fn to_output(imported: &Imported, stdout: &mut impl Write) -> std::io::Result<()> {
    if let Some(text) = &imported.settings_without_secrets {
        stdout.write_all(text.as_bytes())?;
    }
    if let Some(text) = &imported.rules {
        if imported.settings.is_some() {
            writeln!(
                stdout,
                "\n# ---- what follows belongs in a file of its own: rules/50-imported.toml ----"
            )?;
        }
        stdout.write_all(text.as_bytes())?;
    }
    stdout.flush()
}

/// New files that only their owner reads. None is written if one of them is there.
fn to_files(files: &[(PathBuf, &str)]) -> Result<(), String> {
    let there = files.iter().find(|(path, _)| path.symlink_metadata().is_ok());
    if let Some((path, _)) = there {
        return Err(format!(
            "{} is there already, and nothing was written; name another folder",
            path.display()
        ));
    }
    for (path, text) in files {
        let folder = path.parent().unwrap_or(Path::new(""));
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| format!("{}: {error}; correct --out", folder.display()))?;
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| format!("{}: {error}; correct --out", path.display()))?;
        complain!("{} was written", path.display());
    }
    Ok(())
}
