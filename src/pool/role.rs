//! What a node is, and whether it is one of those that `target_session_attrs` asks for.

use super::ask;
use super::connect::Connected;
use crate::config::settings::TargetSessionAttrs;
use crate::wire::Fault;

/// What PostgreSQL before 14 does not report by itself. A standby cannot do it in a serializable transaction, which may be the default.
pub(super) const ASK: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; \
    SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('default_transaction_read_only'); COMMIT";

/// Which cluster it belongs to.
const SYSTEM: &str = "SELECT system_identifier FROM pg_catalog.pg_control_system()";

/// What a node is for those who connect to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Role {
    /// It follows a primary (hot standby).
    pub standby: bool,
    /// Transactions begin as read-only unless they say otherwise.
    pub read_only_by_default: bool,
}

/// Whether a node will do, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Suits {
    /// It will.
    Yes,
    /// Only where there is no better one.
    IfNoOther,
    /// It will not.
    No,
}

/// What the node at the other end is: as it reported at login, or, if it is older than that, as it says when asked.
///
/// # Errors
/// Those of the question.
pub async fn of(connected: &mut Connected) -> Result<Role, Fault> {
    if let Some(standby) = connected.param("in_hot_standby") {
        let read_only = connected.param("default_transaction_read_only");
        return Ok(Role { standby: standby == b"on", read_only_by_default: read_only == Some(b"on") });
    }
    Ok(told(&ask::rows(connected, ASK).await?))
}

/// What the answer to [`ASK`] says.
pub(super) fn told(rows: &[ask::Row]) -> Role {
    let column = |n: usize| rows.first().and_then(|row| row.get(n)).and_then(Option::as_deref);
    Role { standby: column(0) == Some("t"), read_only_by_default: column(1) == Some("on") }
}

/// The `system_identifier` of the cluster at the other end; `None` where it is not told.
pub async fn system(connected: &mut Connected) -> Option<u64> {
    let rows = ask::rows(connected, SYSTEM).await.ok()?;
    let text = rows.into_iter().next()?.into_iter().next()??;
    text.parse::<i64>().ok().map(|number| number as u64)
}

impl Role {
    /// Whether it is what `attrs` asks for.
    pub fn suits(self, attrs: TargetSessionAttrs) -> Suits {
        let read_only = self.standby || self.read_only_by_default;
        let yes = match attrs {
            TargetSessionAttrs::Any => true,
            TargetSessionAttrs::ReadWrite => !read_only,
            TargetSessionAttrs::ReadOnly => read_only,
            TargetSessionAttrs::Primary => !self.standby,
            TargetSessionAttrs::Standby => self.standby,
            TargetSessionAttrs::PreferStandby if !self.standby => return Suits::IfNoOther,
            TargetSessionAttrs::PreferStandby => true,
        };
        if yes { Suits::Yes } else { Suits::No }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_suits_some() {
        use TargetSessionAttrs::{Any, PreferStandby, Primary, ReadOnly, ReadWrite, Standby};
        let check = |standby, read_only_by_default, suited: &[TargetSessionAttrs]| {
            let role = Role { standby, read_only_by_default };
            let all = [Any, ReadWrite, ReadOnly, Primary, Standby, PreferStandby];
            let found: Vec<_> = all.into_iter().filter(|attrs| role.suits(*attrs) == Suits::Yes).collect();
            assert_eq!(found, suited, "{role:?}");
        };
        check(false, false, &[Any, ReadWrite, Primary]);
        check(false, true, &[Any, ReadOnly, Primary]);
        check(true, false, &[Any, ReadOnly, Standby, PreferStandby]);
        check(true, true, &[Any, ReadOnly, Standby, PreferStandby]);
        let primary = Role { standby: false, read_only_by_default: false };
        assert_eq!(primary.suits(PreferStandby), Suits::IfNoOther);
    }
}
