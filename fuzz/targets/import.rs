//! Configurations of other poolers: nothing that they hold stops the import, what it writes is TOML, and no password is shown.

use std::path::Path;

use pgweir::cli::import::{From, import};
use pgweir::config;

use super::byte;

/// A password that only the settings may have.
const SECRET: &str = "sEkReT";

/// A byte for whose it is, then the file.
pub fn run(mut data: &[u8]) {
    let from = match byte(&mut data) % 4 {
        0 => From::Pgbouncer,
        1 => From::Pgcat,
        2 => From::Pgdog,
        _ => From::Proxysql,
    };
    // Other files are no part of this.
    if [&b"include"[..], b"auth_file"].iter().any(|word| data.windows(word.len()).any(|at| at == *word)) {
        return;
    }
    let imported = import(Path::new("f"), data, Some(from));
    for text in
        [&imported.settings, &imported.settings_without_secrets, &imported.rules].into_iter().flatten()
    {
        assert!(!imported.report.failed(), "something was written in spite of an error");
        let problems = config::read(Path::new("pgweir.toml"), text).err().unwrap_or_default();
        let broken = problems.iter().find(|problem| problem.message.starts_with("not TOML"));
        assert!(broken.is_none(), "{broken:?}\n{text}");
    }
    if is_only_a_password(data) {
        let shown: String = imported.report.lines().iter().map(|line| format!("{line}\n")).collect();
        assert!(!shown.contains(SECRET), "{shown}");
        let bare = imported.settings_without_secrets.unwrap_or_default();
        assert!(!bare.contains(SECRET), "{bare}");
    }
}

/// Whether the secret stands nowhere but behind `password`, where changes of the input have not made a name of it.
fn is_only_a_password(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    text.match_indices(SECRET).all(|(at, _)| {
        let before = &text[..at];
        before.ends_with(" password=") || before.ends_with("\npassword = \"")
    })
}
