//! Sorts and hashes that do not fit into their memory: only where the server has counted what they wrote to disk.

use super::{Fix, Seen};
use crate::advice::Action;
use crate::advice::existing::bytes;
use crate::advice::index::quoted;

/// Bytes that a call writes, and what it takes in all in milliseconds: less is no matter.
const WRITTEN: f64 = 1e6;
const SLOW: f64 = 20.0;
/// What is written takes so many times as much where it is in memory.
const IN_MEMORY: f64 = 2.0;
/// Nothing beyond is proposed for all statements of a user, in MB: each sort of each server may take it.
const MOST: u64 = 256;

pub(super) fn memory(seen: &Seen<'_>, fixes: &mut Vec<Fix>) {
    fixes.extend(work_mem(seen));
}

fn work_mem(seen: &Seen<'_>) -> Option<Fix> {
    let spill = seen.schema.spills.iter().find(|one| one.fingerprint == seen.observed.fingerprint)?;
    let each = spill.bytes as f64 / spill.calls.max(1) as f64;
    let user = seen.observed.by.first().map(|(who, _)| who.user.as_str()).filter(|user| !user.is_empty())?;
    if each < WRITTEN || seen.mean() < SLOW {
        return None;
    }
    let needed = (each * IN_MEMORY / f64::from(1 << 20)).ceil() as u64;
    let megabytes = needed.max(1).next_power_of_two();
    let has = spill.work_mem >> 20;
    if megabytes > MOST || megabytes <= has {
        return None;
    }
    let evidence = vec![
        format!(
            "a call writes {} of temporary files on average, {} in {} calls (pg_stat_statements, at the node that was asked), for its sorts and hashes have {} of memory each",
            bytes(each as u64),
            bytes(spill.bytes),
            spill.calls,
            bytes(spill.work_mem)
        ),
        format!(
            "with {megabytes} MB it would need no files; each sort and hash of each server of that user may then take so much. `SET LOCAL work_mem` in its transaction alone is more careful"
        ),
        "what it saves is seen when it is done; nothing is claimed".to_owned(),
    ];
    let user = quoted(user);
    let action = Action::Setting {
        run: format!("ALTER ROLE {user} SET work_mem = '{megabytes}MB'"),
        undo: format!("ALTER ROLE {user} RESET work_mem"),
    };
    let title = format!("memory for the sorts and hashes of {}", seen.words());
    Some(seen.fix("work_mem", title, evidence, action, None))
}
