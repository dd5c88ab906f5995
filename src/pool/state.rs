//! Session state: the settings that differ from the server's defaults.
//!
//! Equal states are one object (interned per worker), so comparing what a session wants with what a server has
//! is one pointer comparison. The difference is written as one `Query` that goes ahead of the client's message
//! in the same write.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::{Rc, Weak};

/// Setting name (lower case) to value, as `set_config` takes it.
pub type Settings = BTreeMap<Box<[u8]>, Box<[u8]>>;

/// Settings in force beyond a server's defaults. Made by [`States::intern`] only.
#[derive(Debug, PartialEq, Eq)]
pub struct State {
    settings: Settings,
}

impl State {
    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The settings with `name` changed, or removed.
    pub fn with(&self, name: &[u8], value: Option<&[u8]>) -> Settings {
        let mut settings = self.settings.clone();
        match value {
            Some(value) => settings.insert(name.into(), value.into()),
            None => settings.remove(name),
        };
        settings
    }

    /// The settings, with these set.
    pub fn with_all(&self, set: Settings) -> Settings {
        let mut settings = self.settings.clone();
        settings.extend(set);
        settings
    }
}

/// All states in use on a worker.
#[derive(Debug)]
pub struct States {
    base: Rc<State>,
    known: RefCell<HashMap<Settings, Weak<State>>>,
}

impl Default for States {
    fn default() -> States {
        States { base: Rc::new(State { settings: Settings::new() }), known: RefCell::default() }
    }
}

impl States {
    /// The state of a server that nobody changed.
    pub fn base(&self) -> Rc<State> {
        self.base.clone()
    }

    /// The one object for `settings`.
    pub fn intern(&self, settings: Settings) -> Rc<State> {
        if settings.is_empty() {
            return self.base();
        }
        let mut known = self.known.borrow_mut();
        if let Some(state) = known.get(&settings).and_then(Weak::upgrade) {
            return state;
        }
        if known.len() >= 64 && known.len().is_power_of_two() {
            known.retain(|_, state| state.strong_count() > 0);
        }
        let state = Rc::new(State { settings: settings.clone() });
        known.insert(settings, Rc::downgrade(&state));
        state
    }
}

/// What must be run on a server to bring it from one state to another.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    /// What gives settings back: statements for a `Query` message, or nothing.
    pub resets: Vec<u8>,
    /// What sets others: a statement for the same message, or one behind it.
    pub sets: Vec<u8>,
    /// Whether they must be two messages: the transaction of the one begins under what was set, and the other could wait in it.
    pub apart: bool,
    /// Whether it may fail although the values were accepted before, so that the client's statement must
    /// wait for its success.
    pub guarded: bool,
}

/// The difference between what a server has and what a session wants; `None` when they are equal. A server that is `murky` may
/// have more than it is known to have.
pub fn difference(has: &Rc<State>, wants: &Rc<State>, murky: bool) -> Option<Difference> {
    if Rc::ptr_eq(has, wants) && !murky {
        return None;
    }
    let mut writer = Writer::new(Encoding::Wanted(&wants.settings));
    let gone_or_other =
        |name: &[u8]| has.settings.get(name).filter(|value| wants.settings.get(name) != Some(*value));
    writer.apart = DEFAULTS_OF_TRANSACTIONS.iter().any(|name| gone_or_other(name).is_some());
    writer.guarded = murky || gone_or_other(b"statement_timeout").is_some_and(|value| is_short(value));
    // Identity is given back first and taken last: the settings between are applied with the rights of the login.
    let differs = |name: &[u8]| has.settings.get(name) != wants.settings.get(name);
    let denied = |name: &[u8]| (murky || differs(name)) && !is_identity(name) && !cannot_fail(name);
    let names = || has.settings.keys().chain(wants.settings.keys());
    let taken = || IDENTITY.iter().any(|name| wants.settings.contains_key(*name));
    let identity = IDENTITY.iter().any(|name| differs(name)) || taken() && names().any(|name| denied(name));
    if identity {
        writer.reset(b"role");
        writer.reset(b"session_authorization");
    }
    if murky {
        writer.resets.extend_from_slice(b"RESET ALL;");
        writer.change(&State { settings: Settings::new() }, wants);
    } else {
        writer.change(has, wants);
    }
    if identity {
        for name in IDENTITY {
            wants.settings.get(name).into_iter().for_each(|value| writer.set(name, value));
        }
    }
    Some(writer.finish())
}

/// Settings that decide how a transaction begins: under them, one that only reads may wait for others to end.
const DEFAULTS_OF_TRANSACTIONS: [&[u8]; 3] =
    [b"default_transaction_deferrable", b"default_transaction_isolation", b"default_transaction_read_only"];

/// Whether a timeout may strike while next to nothing is done.
fn is_short(timeout: &[u8]) -> bool {
    let digits = timeout.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, unit) = timeout.split_at(digits);
    let long = number.len() > 3 || matches!(unit.trim_ascii(), b"s" | b"min" | b"h" | b"d");
    !long && number.iter().any(|digit| *digit != b'0')
}

/// The statement that sets all of these, whose bytes are in `encoding`; `None` when there are none.
pub fn set_all<'a>(
    settings: impl Iterator<Item = (&'a Box<[u8]>, &'a Box<[u8]>)>,
    encoding: &[u8],
) -> Option<Vec<u8>> {
    let mut writer = Writer::new(Encoding::Known(encoding));
    settings.for_each(|(name, value)| writer.set(name, value));
    (!writer.sets.is_empty()).then_some(writer.sets)
}

const IDENTITY: [&[u8]; 2] = [b"session_authorization", b"role"];

fn is_identity(name: &[u8]) -> bool {
    IDENTITY.contains(&name)
}

/// The `client_encoding` of names and values.
enum Encoding<'a> {
    Known(&'a [u8]),
    /// That of these settings; else the server's default, which is in force behind the resets.
    Wanted(&'a Settings),
}

impl<'a> Encoding<'a> {
    fn name(&self) -> Option<&'a [u8]> {
        match self {
            Encoding::Known(name) => Some(name),
            Encoding::Wanted(settings) => settings.get(&b"client_encoding"[..]).map(AsRef::as_ref),
        }
    }
}

struct Writer<'a> {
    encoding: Encoding<'a>,
    resets: Vec<u8>,
    sets: Vec<u8>,
    count: usize,
    apart: bool,
    guarded: bool,
}

impl<'a> Writer<'a> {
    fn new(encoding: Encoding<'a>) -> Writer<'a> {
        Writer { encoding, resets: vec![], sets: vec![], count: 0, apart: false, guarded: false }
    }

    /// All that differs, but for who the session is.
    fn change(&mut self, has: &State, wants: &State) {
        let plain = |name: &[u8]| !is_identity(name);
        let gone = has.settings.keys().filter(|name| plain(name) && !wants.settings.contains_key(*name));
        gone.for_each(|name| self.reset(name));
        let changed = wants.settings.iter().filter(|(name, value)| has.settings.get(*name) != Some(*value));
        changed.filter(|(name, _)| plain(name)).for_each(|(name, value)| self.set(name, value));
    }

    fn reset(&mut self, name: &[u8]) {
        self.guarded |= !cannot_fail(name);
        self.resets.extend_from_slice(b"RESET ");
        quote_name(&mut self.resets, name);
        self.resets.push(b';');
    }

    fn set(&mut self, name: &[u8], value: &[u8]) {
        self.guarded |= !cannot_fail(name);
        // PostgreSQL takes 1664 columns.
        self.sets.extend_from_slice(match self.count {
            0 => b"SELECT ",
            count if count % 1000 == 0 => b";SELECT ",
            _ => b",",
        });
        self.count += 1;
        self.sets.extend_from_slice(b"pg_catalog.set_config(");
        self.text(name);
        self.sets.push(b',');
        self.text(value);
        self.sets.extend_from_slice(b",false)");
    }

    fn text(&mut self, text: &[u8]) {
        if text.is_ascii() {
            return quote_literal(&mut self.sets, text);
        }
        self.guarded = true;
        quote_text(&mut self.sets, text, self.encoding.name());
    }

    fn finish(self) -> Difference {
        Difference { resets: self.resets, sets: self.sets, apart: self.apart, guarded: self.guarded }
    }
}

/// Settings that any user may set and whose check looks at nothing but the value: a value accepted once is
/// accepted on every server of the pool.
fn cannot_fail(name: &[u8]) -> bool {
    const NAMES: [&[u8]; 28] = [
        b"application_name",
        b"bytea_output",
        b"client_encoding",
        b"client_min_messages",
        b"datestyle",
        b"default_transaction_deferrable",
        b"default_transaction_isolation",
        b"default_transaction_read_only",
        b"enable_hashjoin",
        b"enable_indexscan",
        b"enable_mergejoin",
        b"enable_nestloop",
        b"enable_seqscan",
        b"extra_float_digits",
        b"idle_in_transaction_session_timeout",
        b"intervalstyle",
        b"jit",
        b"lock_timeout",
        b"max_parallel_workers_per_gather",
        b"plan_cache_mode",
        b"random_page_cost",
        b"row_security",
        b"search_path",
        b"standard_conforming_strings",
        b"statement_timeout",
        b"synchronous_commit",
        b"timezone",
        b"work_mem",
    ];
    NAMES.binary_search(&name).is_ok()
}

/// Appends `name` as a setting's name: each part of a dotted name quoted.
pub fn quote_name(out: &mut Vec<u8>, name: &[u8]) {
    for (at, part) in name.split(|byte| *byte == b'.').enumerate() {
        if at > 0 {
            out.push(b'.');
        }
        quote_identifier(out, part);
    }
}

/// Appends `name` as a quoted identifier.
pub fn quote_identifier(out: &mut Vec<u8>, name: &[u8]) {
    out.push(b'"');
    for byte in name {
        out.extend_from_slice(if *byte == b'"' { b"\"\"" } else { std::slice::from_ref(byte) });
    }
    out.push(b'"');
}

/// Appends an expression for `text`, whose bytes are in `encoding` (`None`: in that of the server's client at the time). Beyond
/// ASCII they are written as numbers: the server may read the statement in another encoding, in which they would be other
/// characters, or not end where they seem to.
pub fn quote_text(out: &mut Vec<u8>, text: &[u8], encoding: Option<&[u8]>) {
    if text.is_ascii() {
        return quote_literal(out, text);
    }
    out.extend_from_slice(b"pg_catalog.convert_from(pg_catalog.decode(E'");
    for byte in text {
        out.extend_from_slice(format!("{byte:02x}").as_bytes());
    }
    out.extend_from_slice(b"',E'hex'),");
    match encoding {
        // PostgreSQL passes over what is no letter.
        Some(encoding) => {
            quote_literal(out, &encoding.iter().copied().filter(u8::is_ascii).collect::<Vec<u8>>());
        }
        None => out.extend_from_slice(b"pg_catalog.current_setting(E'client_encoding')"),
    }
    out.extend_from_slice(b"::pg_catalog.name)");
}

/// Appends `value`, which is in ASCII, as a string literal that means the same whatever `standard_conforming_strings` is.
pub fn quote_literal(out: &mut Vec<u8>, value: &[u8]) {
    out.extend_from_slice(b"E'");
    for byte in value {
        match byte {
            b'\'' => out.extend_from_slice(b"''"),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0 => {}
            other => out.push(*other),
        }
    }
    out.push(b'\'');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(states: &States, settings: &[(&str, &str)]) -> Rc<State> {
        let entry = |(name, value): &(&str, &str)| (name.as_bytes().into(), value.as_bytes().into());
        states.intern(settings.iter().map(entry).collect())
    }

    #[test]
    fn equal_states_are_one_object() {
        let states = States::default();
        let one = state(&states, &[("a", "1"), ("b", "2")]);
        let two = state(&states, &[("b", "2"), ("a", "1")]);
        assert!(Rc::ptr_eq(&one, &two));
        assert_eq!(difference(&one, &two, false), None);
        assert!(Rc::ptr_eq(&state(&states, &[]), &states.base()));
    }

    #[track_caller]
    fn check(has: &[(&str, &str)], wants: &[(&str, &str)], sql: &str, guarded: bool) {
        let states = States::default();
        let got = difference(&state(&states, has), &state(&states, wants), false).unwrap();
        assert_eq!(String::from_utf8_lossy(&[got.resets, got.sets].concat()), sql);
        assert_eq!(got.guarded, guarded);
    }

    #[test]
    fn differences_are_written_once_each() {
        check(&[], &[("timezone", "UTC")], "SELECT pg_catalog.set_config(E'timezone',E'UTC',false)", false);
        check(&[("timezone", "UTC")], &[], r#"RESET "timezone";"#, false);
        check(
            &[("jit", "on"), ("work_mem", "64kB")],
            &[("work_mem", "1MB"), ("app.x", r"a'\b")],
            r#"RESET "jit";SELECT pg_catalog.set_config(E'app.x',E'a''\\b',false),pg_catalog.set_config(E'work_mem',E'1MB',false)"#,
            true,
        );
    }

    #[test]
    fn what_is_not_known_is_reset_too() {
        let states = States::default();
        let one = state(&states, &[("app.x", "1"), ("role", "a")]);
        let got = difference(&one, &one, true).unwrap();
        assert_eq!(got.resets, br#"RESET "role";RESET "session_authorization";RESET ALL;"#);
        let sets =
            "SELECT pg_catalog.set_config(E'app.x',E'1',false),pg_catalog.set_config(E'role',E'a',false)";
        assert_eq!(String::from_utf8_lossy(&got.sets), sets);
        assert!(got.guarded);
    }

    #[test]
    fn what_was_set_may_hold_up_what_gives_it_back() {
        let states = States::default();
        let got = |has: (&str, &str)| difference(&state(&states, &[has]), &states.base(), false).unwrap();
        assert!(got(("default_transaction_deferrable", "on")).apart && !got(("work_mem", "1MB")).apart);
        assert!(got(("statement_timeout", "1ms")).guarded && got(("statement_timeout", "900")).guarded);
        for long in ["0", "1000", "2s", "1 min"] {
            assert!(!got(("statement_timeout", long)).guarded, "{long}");
        }
    }

    #[test]
    fn beyond_ascii_bytes_are_numbers_in_their_own_encoding() {
        check(
            &[("client_encoding", "LATIN1")],
            &[("app.x", "\u{e9}")],
            r#"RESET "client_encoding";SELECT pg_catalog.set_config(E'app.x',pg_catalog.convert_from(pg_catalog.decode(E'c3a9',E'hex'),pg_catalog.current_setting(E'client_encoding')::pg_catalog.name),false)"#,
            true,
        );
        let mut sql = vec![];
        quote_text(&mut sql, b"\x83\\'", Some(b"SJIS"));
        let expected =
            "pg_catalog.convert_from(pg_catalog.decode(E'835c27',E'hex'),E'SJIS'::pg_catalog.name)";
        assert_eq!(String::from_utf8_lossy(&sql), expected);
    }

    #[test]
    fn identity_is_given_back_first_and_taken_last() {
        check(
            &[("role", "a")],
            &[("role", "b"), ("jit", "off")],
            r#"RESET "role";RESET "session_authorization";SELECT pg_catalog.set_config(E'jit',E'off',false),pg_catalog.set_config(E'role',E'b',false)"#,
            true,
        );
    }

    #[test]
    fn what_a_role_may_not_set_is_set_without_it() {
        let role = ("role", "a");
        check(&[role], &[role, ("jit", "off")], "SELECT pg_catalog.set_config(E'jit',E'off',false)", false);
        let with = |before: &str| {
            format!(r#"RESET "role";RESET "session_authorization";{before}SELECT pg_catalog.set_config("#)
        };
        let set = with("") + "E'lc_messages',E'C',false),pg_catalog.set_config(E'role',E'a',false)";
        check(&[role], &[role, ("lc_messages", "C")], &set, true);
        let reset = with(r#"RESET "lc_messages";"#) + "E'role',E'a',false)";
        check(&[role, ("lc_messages", "C")], &[role], &reset, true);
    }

    #[test]
    fn the_list_is_sorted() {
        assert!(cannot_fail(b"application_name") && cannot_fail(b"work_mem") && cannot_fail(b"jit"));
        assert!(!cannot_fail(b"role"));
    }
}
