//! Cures that tests switch off, to see that they are needed. Outside of tests there is no such switch.

/// What keeps a hit from being wrong, piece by piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cure {
    /// A hit needs the versions that its tags had.
    Versions,
    /// A hit needs tags that nobody has in doubt.
    Doubt,
    /// Doubts are looked at before versions.
    DoubtFirst,
    /// Versions are those of before the query was sent.
    VersionsBefore,
    /// A flight takes nobody in who must see more than it does.
    Detachment,
    /// A shape is used when all who make tags know it.
    ShapeKnown,
}

#[cfg(not(test))]
#[inline]
pub(super) const fn is_off(_: Cure) -> bool {
    false
}

#[cfg(test)]
thread_local! {
    static OFF: std::cell::Cell<Option<Cure>> = const { std::cell::Cell::new(None) };
}

/// Whether a test of this thread has switched it off.
#[cfg(test)]
pub(super) fn is_off(cure: Cure) -> bool {
    OFF.get() == Some(cure)
}

/// Runs something without a cure.
#[cfg(test)]
pub(super) fn without<T>(cure: Option<Cure>, run: impl FnOnce() -> T) -> T {
    OFF.set(cure);
    let done = run();
    OFF.set(None);
    done
}
