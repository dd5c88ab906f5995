//! What the server knows and a text does not show.
//!
//! So far: functions written in SQL, PL/pgSQL and the like whose code changes the state of the session that calls
//! them (`set_config`, session advisory locks, temporary tables, LISTEN). A statement that calls one by name is
//! treated as if it said so itself. Functions called by views, triggers, operators or other functions are not found.

use std::collections::HashMap;

use crate::sql::{Dialect, Effects, called_functions, mentions_session_effects};

/// Gives `(name, source)` of every function that may have such effects; the filter is wider than the judgement.
pub const FUNCTIONS: &str = "SELECT p.proname, p.prosrc FROM pg_catalog.pg_proc p \
     JOIN pg_catalog.pg_language l ON l.oid OPERATOR(pg_catalog.=) p.prolang \
     WHERE l.lanname NOT IN ('internal', 'c') \
     AND p.pronamespace OPERATOR(pg_catalog.<>) 'pg_catalog'::pg_catalog.regnamespace \
     AND p.prosrc OPERATOR(pg_catalog.~*) '(set|advisory|temp|listen|hold|load|discard|execute|prepare|currval|lastval)' LIMIT 20000";

/// Effects of one function that matter to its caller's session.
const LASTING: Effects = Effects::SETTING
    .union(Effects::ROLE)
    .union(Effects::TEMP)
    .union(Effects::ADVISORY)
    .union(Effects::HOLD)
    .union(Effects::LISTEN)
    .union(Effects::LOAD)
    .union(Effects::SEQUENCE);

/// Functions of a database whose code may change the caller's session.
#[derive(Debug, Default)]
pub struct SessionFunctions {
    by_name: HashMap<Vec<u8>, Effects>,
}

impl SessionFunctions {
    /// Judges the rows of [`FUNCTIONS`].
    pub fn from_rows(rows: &[Vec<Option<String>>]) -> SessionFunctions {
        let mut by_name = HashMap::<Vec<u8>, Effects>::new();
        for row in rows {
            let [Some(name), Some(source)] = row.as_slice() else { continue };
            let mentioned = mentions_session_effects(source.as_bytes());
            // What runs text made at run time may do anything.
            let hidden = if mentioned.contains(Effects::OPAQUE) { Effects::SETTING } else { Effects::EMPTY };
            let lasting = mentioned.without(mentioned.without(LASTING)).union(hidden);
            if !lasting.is_empty() {
                *by_name.entry(name.as_bytes().to_vec()).or_default() |= lasting;
            }
        }
        SessionFunctions { by_name }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// What the functions that `text` calls by name may do to the session. The worst of all with that name.
    pub fn effects_of(&self, text: &[u8], dialect: impl Into<Dialect>) -> Effects {
        if self.is_empty() {
            return Effects::EMPTY;
        }
        let effects =
            called_functions(text, dialect).filter_map(|call| self.by_name.get(&call.name).copied());
        effects.fold(Effects::EMPTY, Effects::union)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_of_a_function_have_its_effects() {
        let row = |name: &str, source: &str| vec![Some(name.to_owned()), Some(source.to_owned())];
        let functions = SessionFunctions::from_rows(&[
            row("lock_it", "select pg_advisory_lock(7)"),
            row("tenant", "begin perform set_config('app.tenant', $1, false); end"),
            row("total", "select sum(i) from t"),
        ]);
        assert!(functions.effects_of(b"select lock_it()", true).contains(Effects::ADVISORY));
        assert!(functions.effects_of(b"select x from TENANT('a')", true).contains(Effects::SETTING));
        assert!(functions.effects_of(b"select total(), 'lock_it()'", true).is_empty());
    }
}
