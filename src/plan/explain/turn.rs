//! When a statement may go on, where rules let only so many through.

use std::sync::Arc;
use std::time::Instant;

use super::{Line, reason};
use crate::rules::gate::{Gate, Refusal, Would};
use crate::rules::{Decision, Session};

/// Gates of a decision for a session's statements, each with the key by which it counts them; that which comes last first.
pub fn gates(decision: &Decision<'_>, session: &Session<'_>) -> Vec<(Arc<Gate>, Box<[u8]>)> {
    let concurrency =
        decision.concurrency().and_then(|of| Some((of.rule.concurrency_gate()?, of.action.per)));
    let throttle = decision.throttle().and_then(|of| Some((of.rule.throttle_gate()?, of.action.per)));
    let gates = [concurrency, throttle].into_iter().flatten();
    gates.map(|(gate, per)| (gate.clone(), per.key(session).as_ref().into())).collect()
}

/// What would become of a statement if it came now: said of the first gate that does not let it through, with the name of its rule. `holds`: it would keep a
/// server from others while it waits, in a transaction; `passed`: it needs no permit of that gate.
pub fn turn(
    gates: &[(Arc<Gate>, Box<[u8]>)],
    holds: bool,
    passed: impl Fn(&Arc<Gate>) -> bool,
) -> Option<(String, Would)> {
    let now = Instant::now();
    let would = |(gate, key): &(Arc<Gate>, Box<[u8]>)| match gate.would(key, now, holds) {
        Would::Go => None,
        would => Some((gate.rule().to_owned(), would)),
    };
    gates.iter().rev().filter(|(gate, _)| !passed(gate)).find_map(would)
}

/// Said of a statement that does not go on at once.
pub fn turn_line(rule: &str, would: Would) -> Line {
    let told = match would {
        Would::Go => "at once".to_owned(),
        Would::Wait(Some(after)) => format!("after {after:.1?}, by rule {rule}"),
        Would::Wait(None) => format!("when others have ended, by rule {rule}"),
        Would::Refuse(Refusal::TooLate(Some(after))) => {
            format!("too late, after {after:.1?}, by rule {rule}")
        }
        Would::Refuse(Refusal::TooLate(None)) => format!("not now, by rule {rule}, which lets nobody wait"),
        Would::Refuse(Refusal::Full) => format!("none, by rule {rule}: too many wait"),
        Would::Refuse(Refusal::InTransaction) => {
            format!("not now, by rule {rule}, which lets nobody wait in a transaction")
        }
    };
    Line::new("turn", told).because(reason::TURN)
}
