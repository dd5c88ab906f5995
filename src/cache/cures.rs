//! Cures that are left out to see that they are needed: by tests of this crate, and by the checker of `tests/cache/`, which starts a debug build with
//! `PGWEIR_CACHE_WITHOUT=<name>` in its environment. A release build has nothing of it: there, all cures are on.

/// Defines the cures with their names.
macro_rules! cures {
    ($($(#[$doc:meta])* $Variant:ident = $name:literal;)+) => {
        /// What keeps an answer from being wrong, piece by piece.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Cure {
            $($(#[$doc])* $Variant,)+
        }

        #[cfg(all(debug_assertions, not(test)))]
        impl Cure {
            fn named(name: &str) -> Option<Cure> {
                match name {
                    $($name => Some(Cure::$Variant),)+
                    _ => None,
                }
            }
        }
    };
}

cures! {
    /// A hit needs the versions that its tags had.
    Versions = "versions";
    /// A hit needs tags that nobody has in doubt.
    Doubt = "doubt";
    /// Doubts are looked at before versions.
    DoubtFirst = "doubt_first";
    /// Versions are those of before the query was sent.
    VersionsBefore = "versions_before";
    /// A flight takes nobody in who must see more than it does.
    Detachment = "detachment";
    /// What a result shows for certain is what was visible when its query was sent, not when its answer had come.
    ShownWhenSent = "shown_when_sent";
    /// A shape is used when all who make tags know it.
    ShapeKnown = "shape_known";
    /// Versions of rows that are known when the answer is there count only if no row of the table has changed since the query was sent.
    RowsGuard = "rows_guard";
    /// What a write may change is in doubt before it is sent; without: from its answer on.
    DoubtBeforeSent = "doubt_before_sent";
    /// An answered write is handed to the cache, which keeps it in doubt until the stream has told it; without: its doubt ends with the answer.
    BumpBeforeTold = "bump_before_told";
    /// What is read in a transaction is neither kept nor answered from what is kept.
    Batch = "batch";
    /// The role is in the key.
    Role = "role";
    /// What the stream tells is in doubt until a snapshot shows it; without: it is bumped at once.
    Limbo = "limbo";
    /// The stream must have come to all that the session has seen.
    Floor = "floor";
    /// The stream must not be later than the rule lets it be.
    Bound = "bound";
    /// When the stream is lost, and when the next one has begun, everything is forgotten.
    Loss = "loss";
}

/// Whether a cure is left out.
#[cfg(not(any(debug_assertions, test)))]
#[inline]
pub(crate) const fn is_off(_: Cure) -> bool {
    false
}

/// Whether the environment leaves a cure out.
#[cfg(all(debug_assertions, not(test)))]
pub(crate) fn is_off(cure: Cure) -> bool {
    static OFF: std::sync::OnceLock<Option<Cure>> = std::sync::OnceLock::new();
    let off = OFF.get_or_init(|| {
        let name = std::env::var("PGWEIR_CACHE_WITHOUT").ok()?;
        let cure = Cure::named(&name);
        tracing::warn!(name, known = cure.is_some(), "a cure of the result cache is left out");
        cure
    });
    *off == Some(cure)
}

#[cfg(test)]
thread_local! {
    static OFF: std::cell::Cell<Option<Cure>> = const { std::cell::Cell::new(None) };
}

/// Whether a test of this thread has left it out.
#[cfg(test)]
pub(crate) fn is_off(cure: Cure) -> bool {
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
