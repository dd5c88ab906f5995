//! The log: where it goes, and how much of it.

use tracing_subscriber::EnvFilter;

use crate::config::{ConfigError, Settings};

/// Changes how much is logged.
pub(super) type SetLevel = Box<dyn Fn(EnvFilter)>;

/// What is logged at this level. Of the driver of the fleet's history only what is wrong, for it tells statements with their values.
pub(super) fn filter(level: &str) -> EnvFilter {
    EnvFilter::new(format!("{level},tokio_postgres=warn"))
}

/// Begins to log; gives what changes the level.
pub(super) fn log(settings: &Settings) -> SetLevel {
    let filter = filter(&settings.log.level);
    let colour = std::io::IsTerminal::is_terminal(&std::io::stderr());
    // A terminal that is gone takes no log, and no complaint about it either, which would end the thread that logs.
    let builder =
        tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(colour).log_internal_errors(false);
    if settings.log.json {
        let builder = builder.json().with_env_filter(filter).with_filter_reloading();
        let handle = builder.reload_handle();
        let _ = builder.try_init();
        Box::new(move |level| drop(handle.reload(level)))
    } else {
        let builder = builder.with_target(false).with_env_filter(filter).with_filter_reloading();
        let handle = builder.reload_handle();
        let _ = builder.try_init();
        Box::new(move |level| drop(handle.reload(level)))
    }
}

/// Warns of what is right in the settings and does nothing.
pub(super) fn tell_notes(notes: &[ConfigError]) {
    notes.iter().for_each(|note| tracing::warn!("{note}"));
}
