//! What is right and does nothing is told, and is no error.

use super::{load_file, load_text, with_url};
use crate::config::Loaded;
use crate::config::settings::Binding;

fn notes(loaded: &Loaded) -> Vec<String> {
    loaded.notes.iter().map(ToString::to_string).collect()
}

#[test]
fn what_only_clients_need_is_passed_over() {
    let url = "postgres://app:secret@db/shop?sslmode=require&channel_binding=require&keepalives_idle=5&gssencmode=disable";
    let loaded = load_text("", &with_url(url)).expect("nothing is wrong");
    assert_eq!(
        notes(&loaded),
        [
            "URL, character 71: `keepalives_idle` is for clients of libpq's; it is passed over here",
            "URL, character 89: `gssencmode` is for clients of libpq's; it is passed over here",
        ]
    );
    assert_eq!(loaded.settings.databases["shop"].tls.binding, Binding::Require);
}

#[test]
fn keys_of_reads_do_nothing_without_them() {
    let of = |reads: &str| {
        let database = "[databases.shop]\nurl = \"postgres://app:secret@a,b/shop\"\n";
        let text = format!("{database}zone = \"x\"\nbalance = \"weighted\"\n{reads}");
        notes(&load_file(&text).expect("nothing is wrong"))
    };
    assert_eq!(
        of(""),
        [
            "f.toml:4:1: `balance` does nothing while `reads` is `primary`; set it to `replicas`",
            "f.toml:3:1: `zone` does nothing while `reads` is `primary`; set it to `replicas`",
        ]
    );
    assert!(of("reads = \"replicas\"\n").is_empty());
}
