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
    /// What a result shows for certain is what was visible when its query was sent, not when its answer had come.
    ShownWhenSent,
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

#[cfg(test)]
thread_local! {
    static BETWEEN: std::cell::RefCell<Option<Box<dyn FnMut()>>> = const { std::cell::RefCell::new(None) };
}

/// Before a word of the table of tags is loaded: a test lets others have their turn.
#[cfg(not(test))]
#[inline]
pub(super) const fn before_load() {}

/// Before a word of the table of tags is loaded: a test lets others have their turn.
#[cfg(test)]
pub(super) fn before_load() {
    let turn = BETWEEN.take();
    if let Some(mut turn) = turn {
        turn();
        BETWEEN.set(Some(turn));
    }
}

/// From now on this runs before each load of this thread; `None`: no longer.
#[cfg(test)]
pub(super) fn between(turn: Option<Box<dyn FnMut()>>) {
    BETWEEN.set(turn);
}

/// Runs something without a cure.
#[cfg(test)]
pub(super) fn without<T>(cure: Option<Cure>, run: impl FnOnce() -> T) -> T {
    OFF.set(cure);
    let done = run();
    OFF.set(None);
    done
}
