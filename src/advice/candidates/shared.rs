//! In which order columns that are compared for equality stand in an index: the one that serves most of the workload by a common prefix.

use std::collections::HashMap;

use crate::advice::scan::{Scan, Term, Test, of_observed};
use crate::advice::{Schema, Workload};

/// How much of the workload compares each column for equality.
#[derive(Debug, Clone, Default)]
pub struct Shared(HashMap<(u32, String), u64>);

impl Shared {
    /// Of all statements of a workload, by their number of shapes, so that nothing depends on their order.
    pub fn of(workload: &Workload, schema: &Schema) -> Shared {
        let mut shared = Shared::default();
        for observed in &workload.shapes {
            let Some(found) = of_observed(observed, schema).into_iter().next() else { continue };
            found.scans.iter().for_each(|scan| shared.add(scan, schema.version));
        }
        shared
    }

    fn add(&mut self, scan: &Scan, version: u32) {
        let mut names: Vec<String> = scan
            .conditions
            .iter()
            .filter(|one| matches!(one.test, Test::Equal | Test::In))
            .filter_map(|one| one.what.print(version))
            .collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            *self.0.entry((scan.table, name)).or_default() += 1;
        }
    }

    /// How many shapes compare it.
    pub(super) fn rank(&self, table: u32, what: &Term, version: u32) -> u64 {
        let name = what.print(version).unwrap_or_default();
        self.0.get(&(table, name)).copied().unwrap_or_default()
    }
}
