//! `pgweir.token`: what a session has seen, to be carried to another session or another pgweir.
//!
//! SHOW asks the server where the WAL is: behind all that the session has done or seen, since a primary has what its replicas have
//! shown, whether a probe has told of it or not. Whoever sets a token has it in its floor, from wherever the setting comes: the text of a
//! SET is looked at before it is sent, so that a wrong one is refused; what functions and parameters set is found with the session's
//! state. It stays in no session's state: servers are not made different by it.
//!
//! To the result cache it is a moment: a token is made after what it stands for could be seen, so a session that sets one has seen nothing that the database did not
//! show by then.

use std::rc::Rc;
use std::time::Instant;

use super::serve::Session;
use crate::plan::consistency::Floor;
use crate::plan::token::{BadToken, Token};
use crate::pool::Target;
use crate::pool::state::State;
use crate::runtime::Worker;
use crate::sql::{Detail, SetValue, Summary};
use crate::wire::Fault;

/// The setting.
pub(super) const TOKEN: &[u8] = b"pgweir.token";

/// What SHOW of it becomes. The system identifier is a number of 64 bits that PostgreSQL takes for a signed one; a standby may have shown one
/// record more than it tells.
pub(super) const WHERE: &str = "SELECT pg_catalog.concat('1:', pg_catalog.mod((pg_catalog.pg_control_system()).system_identifier::pg_catalog.numeric \
    OPERATOR(pg_catalog.+) 18446744073709551616, 18446744073709551616), ':', \
    CASE WHEN standby THEN GREATEST((pg_catalog.pg_control_checkpoint()).timeline_id, \
            (pg_catalog.pg_control_recovery()).min_recovery_end_timeline, \
            (SELECT received_tli FROM pg_catalog.pg_stat_get_wal_receiver())) \
        ELSE ('x' OPERATOR(pg_catalog.||) pg_catalog.substr(pg_catalog.pg_walfile_name(\
            pg_catalog.pg_current_wal_insert_lsn()), 1, 8))::bit(32)::pg_catalog.int4 END, ':', \
    CASE WHEN standby THEN COALESCE(pg_catalog.pg_last_wal_replay_lsn(), '0/0') \
        ELSE pg_catalog.pg_current_wal_insert_lsn() END, \
    CASE WHEN standby THEN '+' END) AS \"pgweir.token\" \
    FROM (SELECT pg_catalog.pg_is_in_recovery() OFFSET 0) AS node (standby)";

/// The token that a text sets.
pub(super) fn set_by(summary: &Summary) -> Option<Box<[u8]>> {
    summary.statements.iter().find_map(|one| match &one.detail {
        Detail::Set { name, value: SetValue::Literal(value), .. } if name == TOKEN => {
            Some(value.as_slice().into())
        }
        _ => None,
    })
}

fn read(value: &[u8]) -> Result<Token, BadToken> {
    std::str::from_utf8(value).map_err(|_| BadToken::NotOne)?.parse()
}

fn refused(value: &[u8], why: BadToken) -> Fault {
    let text =
        format!("invalid value for parameter \"pgweir.token\": \"{}\"", String::from_utf8_lossy(value));
    Fault::error("22023", text).detail(why.to_string()).hint(why.hint())
}

/// Takes the token out of the settings that a client gives at its start.
///
/// # Errors
/// 22023 where it is none, or another cluster's.
pub(super) fn at_startup(
    worker: &Worker,
    target: &Target,
    settings: &mut Vec<(Vec<u8>, Vec<u8>)>,
) -> Result<Option<Vec<u8>>, Fault> {
    let Some(at) = settings.iter().position(|(name, _)| name == TOKEN) else { return Ok(None) };
    let (_, value) = settings.remove(at);
    let token = read(&value).map_err(|why| refused(&value, why))?;
    if let Some(nodes) = worker.nodes(&target.database, target.is_named) {
        let topology = &nodes.sighting().topology;
        Floor::default().raise(token, topology).map_err(|why| refused(&value, why))?;
    }
    Ok(Some(value))
}

impl Session {
    /// The client sets this token: what it stands for must not be undone.
    ///
    /// # Errors
    /// 22023 where it is none, or another cluster's.
    pub(super) fn take_token(&mut self, value: &[u8]) -> Result<(), Fault> {
        let raised = read(value).and_then(|token| match &mut self.route {
            Some(route) => route.floor.raise(token, &route.nodes.sighting().topology),
            None => Ok(()),
        });
        if let (Ok(()), Some(cached)) = (&raised, &mut self.cached) {
            // All that it stands for is visible on the primary, so that a stream that has come to now has told it.
            cached.saw(Instant::now());
        }
        raised.map_err(|why| refused(value, why))
    }

    /// The session's settings without the token, which is heeded. One that is wrong, and was not seen before it was set, is as good as any: the
    /// session may have seen all that there is.
    pub(super) fn heed_token(&mut self, state: Rc<State>) -> Rc<State> {
        let Some(value) = state.settings().get(TOKEN) else { return state };
        if let Err(fault) = self.take_token(value) {
            tracing::info!(pid = self.handle.pid, error = %fault, "a token was set that is none of this cluster's");
            if let Some(route) = &mut self.route {
                route.floor.doubt(&route.nodes.sighting().topology);
            }
        }
        self.worker.states.intern(state.with(TOKEN, None))
    }
}
