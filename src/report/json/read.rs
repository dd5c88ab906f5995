//! An earlier report, read back.

use std::collections::HashMap;

use serde_json::Value;

use super::super::before::{Before, Figures};
use super::VERSION;

/// Reads what an earlier report said. `what` is what it is called.
///
/// # Errors
/// What is wrong with it, and what to do.
pub fn before(text: &str, what: String) -> Result<Before, String> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| format!("it is no JSON ({error}); write one with: pgweir report --format json"))?;
    match value["version"].as_u64() {
        Some(VERSION) => {}
        Some(other) => return Err(format!("it is of version {other}, and this pgweir reads {VERSION}")),
        None => {
            return Err(
                "it is no report: it has no `version`; write one with: pgweir report --format json".into()
            );
        }
    }
    let seconds = value["seconds"].as_f64().filter(|seconds| *seconds > 0.0);
    let mut before = Before {
        what,
        seconds: seconds.ok_or("`seconds` is missing or not above 0")?,
        all: figures(&value["all"]).ok_or("`all` has no calls")?,
        ..Before::default()
    };
    let statements = value["statements"].as_array().ok_or("`statements` is no list")?;
    before.is_complete = value["complete"].as_bool().unwrap_or(false)
        && value["shapes"].as_u64() == Some(statements.len() as u64);
    for (at, one) in statements.iter().enumerate() {
        let name =
            name(&one["fingerprint"]).ok_or_else(|| format!("`statements[{at}].fingerprint` is none"))?;
        let figures = figures(one).ok_or_else(|| format!("`statements[{at}]` has no calls"))?;
        before.statements.insert(name, figures);
        keep(&mut before.names, name, &one["id"], "Q");
    }
    for one in value["fixes"].as_array().into_iter().flatten() {
        if let Some(key) = name(&one["key"]) {
            keep(&mut before.fixes, key, &one["id"], "FIX-");
        }
    }
    Ok(before)
}

/// Keeps a name if it looks like one.
fn keep(names: &mut HashMap<u128, String>, key: u128, id: &Value, prefix: &str) {
    let looks_right = |id: &&str| {
        id.strip_prefix(prefix).is_some_and(|rest| {
            (1..=40).contains(&rest.len())
                && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
    };
    if let Some(id) = id.as_str().filter(looks_right) {
        names.insert(key, id.to_owned());
    }
}

fn name(value: &Value) -> Option<u128> {
    let text = value.as_str().filter(|text| text.len() == 32)?;
    u128::from_str_radix(text, 16).ok()
}

fn figures(value: &Value) -> Option<Figures> {
    let errors = value["errors"].as_object();
    let scans = value["seq_scans"].as_array();
    Some(Figures {
        text: value["text"].as_str().unwrap_or_default().to_owned(),
        calls: value["calls"].as_u64()?,
        errors: errors.into_iter().flat_map(|errors| errors.values()).filter_map(Value::as_u64).sum(),
        micros: value["clocks"]["total"]["sum_us"].as_u64()?,
        p95: value["clocks"]["total"]["p95_us"].as_u64(),
        scanned: scans.map(|tables| tables.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
    })
}
