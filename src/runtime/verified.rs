//! Counts of hits that were run again on the primary and compared.

use std::sync::atomic::{AtomicU64, Ordering};

/// What came of a hit that was run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verified {
    /// The primary answers the same.
    Same,
    /// It answers something else, though nothing that the answer depends on has changed: the answer was wrong.
    Wrong,
    /// Something that it depends on has changed meanwhile.
    Changed,
    /// The primary answers something else, and it cannot be told whether that is wrong: the order of rows decides, or the stream did not come to it in time.
    Undecided,
    /// It could not be run.
    Failed,
    /// Others were to be run before it.
    Dropped,
}

impl Verified {
    /// All of them, in order.
    pub const ALL: [Verified; 6] = [
        Verified::Same,
        Verified::Wrong,
        Verified::Changed,
        Verified::Undecided,
        Verified::Failed,
        Verified::Dropped,
    ];

    /// Its name in metrics; it does not change.
    pub fn name(self) -> &'static str {
        match self {
            Verified::Same => "same",
            Verified::Wrong => "wrong",
            Verified::Changed => "changed",
            Verified::Undecided => "undecided",
            Verified::Failed => "failed",
            Verified::Dropped => "dropped",
        }
    }
}

/// One count for each of [`Verified::ALL`].
#[derive(Debug, Default)]
pub struct Verifications([AtomicU64; Verified::ALL.len()]);

impl Verifications {
    /// One more.
    pub fn count(&self, what: Verified) {
        self.0[what as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// All of them, as they are now.
    pub fn all(&self) -> [u64; Verified::ALL.len()] {
        std::array::from_fn(|at| self.0[at].load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_place_and_a_name() {
        let counts = Verifications::default();
        Verified::ALL.iter().for_each(|what| counts.count(*what));
        counts.count(Verified::Wrong);
        assert_eq!(counts.all(), [1, 2, 1, 1, 1, 1]);
        let names = Verified::ALL.map(Verified::name);
        assert_eq!(names, ["same", "wrong", "changed", "undecided", "failed", "dropped"]);
    }
}
