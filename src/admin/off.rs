//! What is switched off, so that nothing is to be seen of it, and how to switch it on: for the console and the pages.

use super::Admin;
use crate::config::settings::{Capture, Settings};
use crate::wire::Fault;

/// Why nothing is known of what statements cost; `None`: they are counted.
pub fn counting(settings: &Settings) -> Option<&'static str> {
    match settings.history.capture {
        _ if settings.counts() => None,
        Capture::Off => Some(
            "Statements are not counted: capture is \"off\" under [history]; set it to \"on\", and reload.",
        ),
        Capture::Auto | Capture::On => Some(
            "Statements are not counted: start pgweir with --store FILE, or set capture = \"on\" under [history] and reload.",
        ),
    }
}

/// Why no database is asked for advice; `None`: they are, from time to time.
pub fn advising(settings: &Settings) -> Option<&'static str> {
    let never =
        "No database is asked for advice: advise is \"never\" under [history]; set it to \"1h\", and reload.";
    counting(settings).or_else(|| settings.history.advise.is_none().then_some(never))
}

/// Notices before the rows of `SHOW STATEMENTS`.
pub fn told_of_statements(admin: &Admin) -> Vec<Fault> {
    counting(&admin.entrance.directory().settings).into_iter().map(Fault::notice).collect()
}

/// Notices before the rows of `SHOW ADVICE`: also that nobody was asked yet, and what came in between.
pub fn told_of_advice(admin: &Admin) -> Vec<Fault> {
    const NOT_YET: &str = "No database was asked for advice yet: that is done within a minute after the start, then every `advise` of [history], when no session waits.";
    let off = advising(&admin.entrance.directory().settings);
    let told = off.or_else(|| admin.advising.advice().is_none().then_some(NOT_YET));
    told.map(Fault::notice)
        .into_iter()
        .chain(admin.advising.failures().into_iter().map(Fault::notice))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_switch_is_named() {
        let told = |capture: Capture, stored: bool, advise: Option<u64>| {
            let mut settings = Settings::default();
            settings.history.capture = capture;
            settings.history.store = stored.then(|| "h.db".into());
            settings.history.advise = advise.map(Duration::from_secs);
            [counting(&settings), advising(&settings)]
                .map(|text| text.and_then(|text| text.split('"').nth(1)))
        };
        assert_eq!(told(Capture::Auto, false, Some(1)), [Some("on"); 2]);
        assert_eq!(told(Capture::Off, true, Some(1)), [Some("off"); 2]);
        assert_eq!(told(Capture::Auto, true, Some(1)), [None; 2]);
        assert_eq!(told(Capture::On, false, None), [None, Some("never")]);
    }
}
