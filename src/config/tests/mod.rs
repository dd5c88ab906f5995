//! Tests of the settings as a whole, as data: what is written, and what comes of it.

mod errors;
mod generated;
mod notes;
mod precedence;

use std::path::Path;

use super::kinds::Context;
use super::written::Written;
use super::{Loaded, Sources, command_line, file, finish};

/// The environment of the tests.
fn env(name: &str) -> Option<String> {
    match name {
        "SHOP_PASSWORD" => Some("from the environment".to_owned()),
        "SHOP_URL" => Some("postgres://app:sekret@db/shop?pool_size=3".to_owned()),
        "BAD_URL" => Some("postgres://app:sekret@db/shop?pool_sise=3".to_owned()),
        _ => None,
    }
}

/// Loads the text of a file named `f.toml`, then the command line.
fn load_text(text: &str, sources: &Sources) -> Result<Loaded, Vec<String>> {
    let folder = std::env::temp_dir();
    let context = Context { folder, env: &env };
    let mut written = Written::default();
    file::read_text(Path::new("f.toml"), text, &context, &mut written);
    command_line(sources, &context, &mut written);
    finish(written).map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

fn load_file(text: &str) -> Result<Loaded, Vec<String>> {
    load_text(text, &Sources::default())
}

fn with_url(url: &str) -> Sources {
    Sources { url: Some(url.to_owned()), ..Sources::default() }
}
