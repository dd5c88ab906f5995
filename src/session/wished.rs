//! `pgweir.consistency`: the level that a session asks for.
//!
//! A value that is none of the levels is refused where pgweir sees it before it is sent: in the text of a SET, by either protocol, and among the
//! parameters of a start. What `set_config` or a function sets is found when its transaction has ended: the session is warned when it next
//! reads, and the level of the settings holds.

use super::route::Route;
use super::serve::Session;
use crate::plan::consistency::Level;
use crate::pool::state::State;
use crate::sql::{Detail, SetValue, Summary};
use crate::wire::{Fault, Severity};

/// The setting.
const CONSISTENCY: &[u8] = b"pgweir.consistency";

fn is_level(name: &[u8]) -> bool {
    // PostgreSQL keeps a custom name as it was written first, and finds it in any case.
    name.eq_ignore_ascii_case(CONSISTENCY)
}

fn set_in(state: &State) -> Option<&[u8]> {
    state.settings().iter().find(|(name, _)| is_level(name)).map(|(_, value)| &**value)
}

/// The level, if the session has set it to one.
pub(super) fn level_in(state: &State) -> Option<Level> {
    Level::of_session(&String::from_utf8_lossy(set_in(state)?))
}

/// What is wrong with the level that a text sets.
pub(super) fn set_wrongly(summary: &Summary) -> Option<Fault> {
    summary.statements.iter().find_map(|one| match &one.detail {
        Detail::Set { name, value: SetValue::Literal(value), .. } if is_level(name) => check(value).err(),
        _ => None,
    })
}

/// Looks at the settings that a client gives at its start.
///
/// # Errors
/// 22023 where the level is none.
pub(super) fn at_startup(settings: &[(Vec<u8>, Vec<u8>)]) -> Result<(), Fault> {
    settings.iter().filter(|(name, _)| is_level(name)).try_for_each(|(_, value)| check(value))
}

/// Nothing at all is what PostgreSQL makes of a custom setting that is reset: as if it had not been set.
fn check(value: &[u8]) -> Result<(), Fault> {
    let text = String::from_utf8_lossy(value);
    if text.trim().is_empty() || Level::of_session(&text).is_some() {
        return Ok(());
    }
    let told = format!("invalid value for parameter \"pgweir.consistency\": \"{text}\"");
    Err(Fault::error("22023", told)
        .hint("Available values: session, any, primary, and bounded with a time, such as bounded:500ms."))
}

impl Session {
    /// The session has other settings than when it read last: warns it of a level that is none.
    pub(super) fn warn_of_level(&mut self, route: &Route) {
        if route.knows_wish(&self.state) {
            return;
        }
        let wrong = set_in(&self.state).and_then(|value| check(value).err());
        if let Some(fault) = wrong {
            let fault = fault.detail("The level of the settings holds.");
            Fault { severity: Severity::Warning, ..fault }.emit(&mut self.out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql;

    #[test]
    fn a_text_may_set_what_is_a_level() {
        let check = |text: &str, wrong: bool| {
            let found = set_wrongly(&sql::summarize(text.as_bytes(), true));
            assert_eq!(found.is_some(), wrong, "{text}");
            found.iter().for_each(|fault| assert_eq!(fault.sqlstate, "22023"));
        };
        check("set pgweir.consistency = 'any'", false);
        check("set PGWEIR.Consistency to BOUNDED('5ms')", false);
        check("set pgweir.consistency to default; reset pgweir.consistency", false);
        check("set pgweir.consistency = ''", false);
        check("set pgweir.token = 'nonsense'", false);
        check("set pgweir.consistency = 'nonsense'", true);
        check("set local pgweir.consistency = 'bounded:5'", true);
        check("select 1; set session PgWeir.Consistency to nonsense", true);
    }

    #[test]
    fn a_start_may_name_what_is_a_level() {
        let start = |value: &str| at_startup(&[(b"pgweir.consistency".to_vec(), value.into())]).is_ok();
        assert!(start("bounded:1s") && start("") && !start("strong"));
    }
}
