//! The generated documents say what the code does, and are committed as generated.

use super::*;
use crate::config::{Settings, keys, reference};

fn committed(path: &str, text: &str, command: &str) {
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let found = std::fs::read_to_string(&whole).unwrap_or_default();
    assert!(found == text, "{path} is not as generated; run: cargo run -- generate {command} > {path}");
}

#[test]
fn documents_are_committed_as_generated() {
    committed("pgweir.toml", &reference::sample_toml(), "sample-settings");
    committed("docs/guide/settings.md", &reference::settings_page(), "settings-page");
}

#[test]
fn the_sample_says_the_defaults() {
    let uncommented: Vec<_> = reference::sample_toml()
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting.to_owned(),
            _ => line.to_owned(),
        })
        .collect();
    // After the sections stands something that makes the settings complete.
    let text = uncommented.join("\n") + "\n[databases.d]\nhosts = ['h']\n";
    let settings = load_file(&text).expect("the sample is right").settings;
    let databases = settings.databases.clone();
    assert_eq!(settings, Settings { databases, ..Settings::default() });
    let known: usize =
        keys::sections().iter().filter(|section| !section.name.contains('.')).map(|s| s.keys.len()).sum();
    let set = uncommented.iter().filter(|line| !line.starts_with('#') && line.contains(" = ")).count();
    assert_eq!(set, known, "every key is in the sample");
}

#[test]
fn the_sample_is_right_when_all_of_it_is_taken_in() {
    let uncommented: Vec<_> = reference::sample_toml()
        .lines()
        .map(|line| match line.strip_prefix("#   ").or_else(|| line.strip_prefix('#')) {
            Some(setting) if !setting.starts_with(' ') => setting.to_owned(),
            _ => line.to_owned(),
        })
        .collect();
    let settings = load_file(&uncommented.join("\n")).expect("the sample is right").settings;
    assert_eq!(settings.databases.keys().collect::<Vec<_>>(), ["reports", "shop"]);
    assert_eq!(settings.users.keys().collect::<Vec<_>>(), ["app", "monitoring", "report"]);
    let known: usize = keys::sections().iter().map(|section| section.keys.len()).sum();
    let set = uncommented.iter().filter(|line| !line.starts_with('#') && line.contains(" = ")).count();
    assert_eq!(set, known, "every key is in the sample");
}

#[test]
fn what_is_shown_of_databases_and_users_can_be_written() {
    for section in keys::sections() {
        for key in section.keys {
            for value in key.default().into_iter().chain([key.example]).filter(|value| !value.is_empty()) {
                let assignment = format!("{} = {value}\n", key.name);
                let text = match section.name {
                    "" => assignment,
                    name => format!("[{name}]\n{assignment}"),
                };
                // Incomplete, so that it is read and not compared with the rest.
                let mut written = Written::default();
                let context = Context { folder: "".into(), env: &|_| Some("secret".to_owned()) };
                file::read_text(Path::new("f.toml"), &text, &context, &mut written);
                assert_eq!(written.errors, [], "{text}");
            }
        }
    }
}
