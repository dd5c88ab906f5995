//! Custom settings (`a.b`): the server does not list them, so they are asked for by name, and the names are in what clients send.
//!
//! A name that a SET or `set_config` says is certain. One that only stands somewhere, in the code of a DO or as an argument of a
//! function that sets, is a guess. Where a setting may be made whose name nobody has seen, the session keeps its server.

use super::serve::Session;
use crate::sql::{Effects, SettingNames, execute_argument};

/// Names that texts say may be more than those they only mention.
const MAX_KNOWN: usize = 1000;
const MAX_GUESSED: usize = 100;
/// Longer names are not looked for.
const MAX_NAME: usize = 256;

/// Effects of texts in which names of settings are looked for.
pub(super) const NAMING: Effects = Effects::SETTING
    .union(Effects::SET_LOCAL)
    .union(Effects::OPAQUE)
    .union(Effects::HIDDEN)
    .union(Effects::UNNAMED)
    .union(Effects::BOUND_NAME);

/// Those where the name may be in what a text gives to code, or mentions somewhere.
const GUESSED: Effects = Effects::OPAQUE.union(Effects::HIDDEN).union(Effects::BOUND_NAME);

/// Where names may be that a text takes from outside.
#[derive(Debug, Clone, Copy)]
pub(super) enum Given<'a> {
    /// Nowhere.
    Nothing,
    /// In the text of an EXECUTE.
    Text(&'a [u8]),
    /// In a Bind message, as far as it is there, behind the name of its statement.
    Values(&'a [u8]),
}

impl Session {
    /// Remembers the custom settings that a text may change, to ask for them; gives the effects as they are with the names
    /// known.
    pub(super) fn touch_names(
        &mut self,
        text: &[u8],
        names: &SettingNames,
        effects: Effects,
        given: Given<'_>,
    ) -> Effects {
        if !effects.intersects(NAMING.without(Effects::SET_LOCAL)) {
            // Nothing outlives the transaction.
            return effects;
        }
        let mut all = names.known.iter().all(|name| self.touch(name));
        if effects.contains(Effects::BOUND_NAME) {
            all &= names.bound.iter().all(|number| match given {
                // It is prepared, not run.
                Given::Nothing => true,
                Given::Text(text) => {
                    execute_argument(text, *number, self.dialect).is_some_and(|name| self.touch(&name))
                }
                Given::Values(bind) => parameter(bind, *number).is_some_and(|name| self.touch(name)),
            });
        }
        if effects.intersects(GUESSED) {
            self.touch_hidden_names();
            self.touch_guesses(text);
            if let Given::Text(given) | Given::Values(given) = given {
                self.touch_guesses(given);
            }
        }
        if all { effects } else { effects | Effects::UNNAMED }
    }

    /// Remembers names that something mentions, as words or inside strings.
    fn touch_guesses(&mut self, text: &[u8]) {
        let mut rest = text;
        while let Some(dot) = memchr::memchr(b'.', rest) {
            let start = rest[..dot].iter().rposition(|byte| !is_name(*byte)).map_or(0, |at| at + 1);
            let end =
                rest[dot..].iter().position(|byte| !is_in_name(*byte)).map_or(rest.len(), |at| dot + at);
            // `$$a.b$$` is a string.
            let name = trim_dollars(&rest[start..end]);
            rest = &rest[end..];
            let catalog = name.starts_with(b"pg_catalog.") || name.starts_with(b"information_schema.");
            let mut parts = name.split(|byte| *byte == b'.');
            let named = parts.all(|part| part.first().is_some_and(|first| !first.is_ascii_digit()));
            // A longer character may have been cut.
            let clear = !self.dialect.is_wide() || name.is_ascii();
            if named && clear && !catalog && self.touched.len() < MAX_GUESSED {
                self.touch(name);
            }
        }
    }

    /// Remembers a name of a setting; gives whether it will be asked for, or need not be.
    pub(super) fn touch(&mut self, name: &[u8]) -> bool {
        if !name.contains(&b'.') {
            return true;
        }
        if name.len() > MAX_NAME || self.touched.len() >= MAX_KNOWN {
            return false;
        }
        let name = name.to_ascii_lowercase();
        if !self.touched.iter().any(|known| **known == *name) {
            self.touched.push(name.into());
        }
        true
    }
}

fn trim_dollars(name: &[u8]) -> &[u8] {
    let start = name.iter().position(|byte| *byte != b'$').unwrap_or(name.len());
    let end = name.iter().rposition(|byte| *byte != b'$').map_or(start, |last| last + 1);
    &name[start..end]
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

fn is_in_name(byte: u8) -> bool {
    is_name(byte) || byte == b'.'
}

/// The value of a parameter in a Bind message, from behind the name of its statement; `None` if it is NULL or not there.
fn parameter(bind: &[u8], number: u16) -> Option<&[u8]> {
    let short = |bytes: &[u8]| bytes.first_chunk::<2>().map(|two| usize::from(u16::from_be_bytes(*two)));
    let formats = short(bind)?;
    let mut rest = bind.get(2 + 2 * formats + 2..)?;
    for _ in 1..number {
        rest = value(rest)?.1;
    }
    value(rest)?.0
}

fn value(bytes: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    match usize::try_from(i32::from_be_bytes(*length)) {
        Ok(length) => rest.split_at_checked(length).map(|(value, rest)| (Some(value), rest)),
        Err(_) => Some((None, rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_a_bind() {
        let bind = [&[0, 1, 0, 0, 0, 3][..], &[0, 0, 0, 1], b"x", &[255; 4], &[0, 0, 0, 3], b"a.b", &[0, 0]]
            .concat();
        assert_eq!(parameter(&bind, 1), Some(&b"x"[..]));
        assert_eq!(parameter(&bind, 2), None);
        assert_eq!(parameter(&bind, 3), Some(&b"a.b"[..]));
        assert_eq!(parameter(&bind, 9), None);
        for cut in 0..bind.len() - 2 {
            assert_eq!(parameter(&bind[..cut], 3), None);
        }
    }
}
