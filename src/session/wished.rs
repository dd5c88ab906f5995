//! Settings of pgweir's own, of which one is `pgweir.consistency`: the level that a session asks for.
//!
//! A value that is none of the levels is refused where pgweir sees it before it is sent: in the text of a SET, by either protocol, and among the
//! parameters of a start. What `set_config` or a function sets is found when its transaction has ended: the session is warned when it next
//! reads, and the level of the settings holds.
//!
//! What SHOW tells is what is in force, whoever asked for it; `current_setting` is not looked into, and knows what the session has set.
//!
//! Nor is any other name that begins like it a setting of pgweir's: PostgreSQL would take it, and a level with a slip in its name would be none.

use std::borrow::Cow;
use std::rc::Rc;

use super::login::mode_name;
use super::read_only::modes_under;
use super::route::Route;
use super::serve::Session;
use super::token::{TOKEN, WHERE};
use super::upstream::Flow;
use crate::plan::consistency::Level;
use crate::plan::explain::level_name;
use crate::pool::exchange::Kind;
use crate::pool::state::State;
use crate::sql::{self, Detail, Isolation, Modes, SetValue, Summary};
use crate::wire::frame::{Frame, HEADER};
use crate::wire::{Fault, Severity, emit};

/// What names of pgweir's own begin with.
const PREFIX: &[u8] = b"pgweir.";
/// The level.
const CONSISTENCY: &[u8] = b"pgweir.consistency";
/// How a connection uses servers, which it says when it begins.
const POOL_MODE: &[u8] = b"pgweir.pool_mode";

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

fn is_serializable(state: &State) -> bool {
    modes_under(state, Modes::default()).isolation == Some(Isolation::Serializable)
}

/// What a session's settings say of where it reads, found once for each set of them.
pub(super) struct Wished {
    of: Rc<State>,
    level: Option<Level>,
    serializable: bool,
}

impl Wished {
    pub(super) fn of(state: &Rc<State>) -> Wished {
        Wished { of: state.clone(), level: level_in(state), serializable: is_serializable(state) }
    }

    /// Looks at these settings. False: it had before.
    pub(super) fn look(&mut self, state: &Rc<State>) -> bool {
        let others = !Rc::ptr_eq(&self.of, state);
        if others {
            *self = Wished::of(state);
        }
        others
    }

    /// `pgweir.consistency`, if that is one of the levels.
    pub(super) fn level(&self) -> Option<Level> {
        self.level
    }

    /// Whether transactions of a session with these settings are serializable where nobody says otherwise.
    pub(super) fn is_serializable(&self, state: &Rc<State>) -> bool {
        if Rc::ptr_eq(&self.of, state) { self.serializable } else { is_serializable(state) }
    }
}

/// What is wrong with a setting of pgweir's that a text sets.
pub(super) fn set_wrongly(summary: &Summary) -> Option<Fault> {
    summary.statements.iter().find_map(|one| match &one.detail {
        Detail::Set { name, value: SetValue::Literal(value), .. } => set(name, value, false).err(),
        _ => None,
    })
}

/// Looks at the settings that a client gives at its start.
///
/// # Errors
/// 22023 where the level is none; 42602 where a name is none.
pub(super) fn at_startup(settings: &[(Vec<u8>, Vec<u8>)]) -> Result<(), Fault> {
    settings.iter().try_for_each(|(name, value)| set(name, value, true))
}

fn set(name: &[u8], value: &[u8], starts: bool) -> Result<(), Fault> {
    let is_ours = name.get(..PREFIX.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(PREFIX));
    let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
    if !is_ours || is(TOKEN) || starts && is(POOL_MODE) {
        return Ok(());
    }
    if is_level(name) {
        return check(value);
    }
    let name = String::from_utf8_lossy(name);
    if is(POOL_MODE) {
        return Err(Fault::error(
            "55P02",
            format!("parameter \"{name}\" cannot be set after connection start"),
        ));
    }
    Err(Fault::error("42602", format!("invalid configuration parameter name \"{name}\""))
        .detail("\"pgweir\" is a reserved prefix.")
        .hint("Its settings are pgweir.consistency, pgweir.token, and, at the start of a connection, pgweir.pool_mode."))
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

/// The statement that tells the level: what the session has set, if it is one, or else this.
fn shown_level(unasked: &str) -> String {
    format!(
        "SELECT CASE WHEN set OPERATOR(pg_catalog.~) '^(session|any|primary|bounded[:(].*)$' THEN set ELSE '{unasked}' END AS \"pgweir.consistency\" \
        FROM (SELECT pg_catalog.lower(pg_catalog.btrim(pg_catalog.current_setting('pgweir.consistency', true))) OFFSET 0) AS session (set)"
    )
}

impl Session {
    /// A text that asks for a setting of pgweir's, or sets one: `None` where it does none of it, or sets what is right.
    pub(super) fn query_of_own(&mut self, frame: Frame, bytes: &[u8], summary: &Summary) -> Option<Flow> {
        if let Some(fault) = set_wrongly(summary) {
            return Some(self.refuse_statement(frame, bytes, fault));
        }
        for one in &summary.statements {
            if let Detail::Set { name, value: SetValue::Literal(value), .. } = &one.detail
                && name == TOKEN
                && let Err(fault) = self.take_token(value)
            {
                return Some(self.refuse_statement(frame, bytes, fault));
            }
        }
        let text = bytes[HEADER..frame.total].strip_suffix(b"\0")?;
        let (mut out, mut copied, mut shows) = (vec![], 0, vec![]);
        for (number, one) in summary.statements.iter().enumerate() {
            let Some(shown) = self.shown(&one.detail) else { continue };
            shows.push(number);
            out.extend_from_slice(&text[copied..one.range.start]);
            out.extend_from_slice(shown.as_bytes());
            copied = one.range.end;
        }
        if copied == 0 {
            return None;
        }
        out.extend_from_slice(&text[copied..]);
        Some(match self.query_showing(&out, shows) {
            Flow::Taken(_) => Flow::Taken(frame.total),
            other => other,
        })
    }

    /// Sends a text in which these statements are SELECTs in the place of SHOW. It is no plain read: what is sent behind another session's is
    /// the client's own message.
    fn query_showing(&mut self, text: &[u8], shows: Vec<usize>) -> Flow {
        let mut message = vec![];
        emit::query(&mut message, text);
        let mut summary = sql::summarize(text, self.dialect);
        summary.effects |= self.hidden_effects(text);
        let before = self.exchanges();
        let flow = self.query_by_effects(&message, text, &summary);
        let sent = self.server.iter_mut().flat_map(|server| server.expects.iter_mut().skip(before));
        let mut sent = sent.filter(|sent| !sent.ours && sent.kind == Kind::Query);
        if let Some(sent) = sent.next_back() {
            sent.shows(shows);
        }
        flow
    }

    /// The statement that SHOW of a setting of pgweir's becomes.
    pub(super) fn shown(&self, detail: &Detail) -> Option<Cow<'static, str>> {
        let Detail::Show { name } = detail else { return None };
        match name.as_slice() {
            TOKEN => Some(WHERE.into()),
            CONSISTENCY => Some(
                match self.level_unasked() {
                    None => "SELECT 'primary'::pg_catalog.text AS \"pgweir.consistency\"".to_owned(),
                    Some(level) => shown_level(&level_name(level)),
                }
                .into(),
            ),
            POOL_MODE => {
                let mode = mode_name(self.mode);
                Some(format!("SELECT '{mode}'::pg_catalog.text AS \"pgweir.pool_mode\"").into())
            }
            _ => None,
        }
    }

    /// The level of its reads where neither it nor a rule asks for one; `None`: all are read where all is written, whoever asks.
    fn level_unasked(&self) -> Option<Level> {
        let route = self.route.as_ref()?;
        Some(self.pool.level().unwrap_or_else(|| route.nodes.sighting().topology.policy.level))
    }

    /// If the session has other settings than when it read last, looks at them, and warns it of a level that is none.
    pub(super) fn look_at_wishes(&mut self, route: &mut Route) {
        if !route.wished.look(&self.state) {
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
        let sqlstate = |text: &str| {
            set_wrongly(&sql::summarize(text.as_bytes(), true))
                .map(|fault| fault.sqlstate.as_str().to_owned())
        };
        let check = |text: &str, wrong: bool| {
            assert_eq!(sqlstate(text), wrong.then(|| "22023".to_owned()), "{text}");
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

    #[test]
    fn names_of_pgweir_are_no_others() {
        let set =
            |name: &str, starts| set(name.as_bytes(), b"session", starts).map_err(|fault| fault.sqlstate);
        for (name, by_set, at_start) in [
            ("pgweir.consistency", None, None),
            ("PgWeir.Token", None, None),
            ("pgweir.pool_mode", Some("55P02"), None),
            ("pgweir.consistancy", Some("42602"), Some("42602")),
            ("pgweir.", Some("42602"), Some("42602")),
            ("pgweirs.x", None, None),
            ("work_mem", None, None),
        ] {
            let found = [false, true].map(|starts| set(name, starts).err());
            let told = found.each_ref().map(|sqlstate| sqlstate.as_ref().map(|one| one.as_str()));
            assert_eq!(told, [by_set, at_start], "{name}");
        }
    }
}
