//! Advice in plain text.

use std::fmt::Write;

use crate::advice::{Action, Advised, Fix, Proof, Workload};

/// Rejections that are listed.
const REJECTED: usize = 30;

/// All of it, with these names of the fixes: what to do, of each statement why, what was rejected, and what could not be looked at.
pub fn text(advised: &Advised, workload: &Workload, names: &[String]) -> String {
    let advice = &advised.advice;
    let mut out = format!(
        "{} statements looked at, {} plans asked for in {:.1} s, {}\n",
        advised.statements,
        advised.plans,
        advised.took.as_secs_f64(),
        if advised.hypothetical { "with HypoPG" } else { "without HypoPG" }
    );
    if advice.fixes.is_empty() {
        out += "\nNothing to do.\n";
    }
    for (name, fix) in names.iter().zip(&advice.fixes) {
        one(&mut out, name, fix);
    }
    out += "\nSTATEMENTS\n";
    for verdict in &advice.verdicts {
        let observed = workload.shapes.iter().find(|one| one.fingerprint == verdict.fingerprint);
        let text =
            observed.map_or("", |one| one.text.as_str()).split_whitespace().collect::<Vec<_>>().join(" ");
        let fixes: Vec<String> =
            verdict.fixes.iter().filter_map(|place| names.get(*place).cloned()).collect();
        let fixes = if fixes.is_empty() { String::new() } else { format!(" -> {}", fixes.join(", ")) };
        let _ = writeln!(out, " {}\n   {}{fixes}", cut(&text), verdict.why);
    }
    if !advice.rejected.is_empty() {
        out += "\nLOOKED AT AND REJECTED\n";
        for one in advice.rejected.iter().take(REJECTED) {
            let _ = writeln!(out, " {}: {}", one.what, one.why);
        }
        if let Some(more) = advice.rejected.len().checked_sub(REJECTED).filter(|more| *more > 0) {
            let _ = writeln!(out, " and {more} more");
        }
    }
    if !advice.notes.is_empty() {
        out += "\nNOTES\n";
        advice.notes.iter().for_each(|note| out += &format!(" {note}\n"));
    }
    out
}

fn one(out: &mut String, name: &str, fix: &Fix) {
    let saves = fix.saves.map_or(String::new(), |seconds| format!("   saves {seconds:.1} s a day"));
    let _ = writeln!(out, "\n{name}  {}{saves}   {}", fix.title, proof(fix.proof));
    fix.evidence.iter().for_each(|line| out.push_str(&format!("  - {line}\n")));
    match &fix.action {
        Action::Sql { run, undo, .. } => {
            run.iter().for_each(|line| out.push_str(&format!("    {line};\n")));
            undo.iter().for_each(|line| out.push_str(&format!("    -- undo: {line};\n")));
        }
        Action::Setting { run, undo } => {
            let _ = writeln!(out, "    {run};\n    -- undo: {undo};");
        }
        Action::Rule(rule) => rule.lines().for_each(|line| out.push_str(&format!("    {line}\n"))),
        Action::Code { change, rewritten } => {
            let _ = writeln!(out, "    {change}");
            rewritten.iter().for_each(|text| out.push_str(&format!("    {text}\n")));
        }
    }
}

/// How it is known.
pub fn proof(proof: Proof) -> String {
    match proof {
        Proof::Measured => "MEASURED".to_owned(),
        Proof::Planner { better, samples } => format!("PLANNER {better} of {samples} samples"),
        Proof::Simulated => "SIMULATED".to_owned(),
        Proof::Pattern => "PATTERN".to_owned(),
    }
}

fn cut(text: &str) -> String {
    const MOST: usize = 96;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
