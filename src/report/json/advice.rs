//! What `pgweir advise --format json` prints: the fixes as a report has them, and a verdict for each statement that was looked at.

use serde_json::{Value, json};

use super::{VERSION, fix, hex, rejected};
use crate::advice::{Advised, Workload};
use crate::report::fixes::Listed;

/// Advice as JSON, with these names of the fixes. Each member is told in `docs/guide/advice.md`; fixes and rejections are as [`super::SCHEMA`] has them.
pub fn text(advised: &Advised, workload: &Workload, names: &[String]) -> String {
    let advice = &advised.advice;
    let listed = names.iter().zip(&advice.fixes).map(|(name, fix)| Listed::of(fix, name.clone()));
    let statements = advice.verdicts.iter().map(|verdict| {
        let observed = workload.shapes.iter().find(|one| one.fingerprint == verdict.fingerprint);
        let fixes = verdict.fixes.iter().filter_map(|place| names.get(*place));
        json!({
            "fingerprint": hex(&verdict.fingerprint),
            "text": observed.map(|one| one.text.as_str()),
            "verdict": verdict.why,
            "fixes": fixes.collect::<Vec<_>>(),
        })
    });
    let value = json!({
        "version": VERSION,
        "seconds": workload.window.as_secs_f64(),
        "plans": advised.plans,
        "took_us": advised.took.as_micros() as u64,
        "hypothetical": advised.hypothetical,
        "fixes": listed.map(|one| fix(&one)).collect::<Vec<Value>>(),
        "statements": statements.collect::<Vec<Value>>(),
        "rejected": advice.rejected.iter().map(rejected).collect::<Vec<Value>>(),
        "notes": advice.notes,
    });
    format!("{value:#}\n")
}
