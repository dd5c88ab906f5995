//! What is advised, for the console: SHOW ADVICE.

use super::Admin;
use super::table::{Table, row};
use crate::advice::Proof;

/// SHOW ADVICE: what to do, by database, the dearest first. What it saves is in seconds a day.
pub fn advice(admin: &Admin) -> Table {
    let told = admin.advising.told().into_iter();
    Table::new("database id code title saves# proof statements# at").with(told.map(|one| {
        row![
            one.database,
            one.id,
            one.fix.code,
            one.fix.title,
            one.fix.saves.map(|seconds| seconds.max(0.0).round() as u64),
            proof(one.fix.proof),
            one.fix.helps.len(),
            one.at,
        ]
    }))
}

fn proof(proof: Proof) -> String {
    match proof {
        Proof::Measured => "measured".to_owned(),
        Proof::Planner { better, samples } => format!("planner {better} of {samples}"),
        Proof::Simulated => "simulated".to_owned(),
        Proof::Pattern => "pattern".to_owned(),
    }
}
