//! Keys: everything that an answer depends on but the data, field by field, in a buffer that is used again.
//!
//! Two keys with the same hash are not taken for the same: their bytes are compared. So the hash needs no more than to be spread
//! well whatever clients send, for which it is XXH3 with a secret of this process.

use xxhash_rust::xxh3::xxh3_128_with_secret;

use super::tag::SECRET;

/// The longest key. What is longer is not looked for.
pub const LONGEST: usize = 64 << 10;

/// Beside the number of a [`Form`].
const BY_AGE: u8 = 1 << 7;

/// How a cycle asks, and so which messages its answer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Query: RowDescription, rows, CommandComplete.
    Simple,
    /// Bind and Execute, behind what was described. ParseComplete and BindComplete are not part of the answer.
    Extended(Described),
}

/// What a cycle describes before it executes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Described {
    /// Nothing.
    Nothing,
    /// The statement: ParameterDescription and RowDescription in text format.
    Statement,
    /// The portal: RowDescription with the formats of Bind.
    Portal,
    /// Both, the statement first.
    Both,
}

impl Form {
    fn number(self) -> u8 {
        match self {
            Form::Simple => 0,
            Form::Extended(Described::Nothing) => 1,
            Form::Extended(Described::Statement) => 2,
            Form::Extended(Described::Portal) => 3,
            Form::Extended(Described::Both) => 4,
        }
    }
}

/// The fields of a key.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// The number of the cluster's database in this process: another one after a failover.
    pub database: u32,
    /// Which messages are wanted.
    pub form: Form,
    /// The session's user, current role included if it is another.
    pub user: &'a [u8],
    /// The settings of the session that are not the server's defaults, in one fixed order; search_path too.
    pub settings: &'a [u8],
    /// The text, as it was sent.
    pub sql: &'a [u8],
    /// The types of parameters that Parse names, as in the message.
    pub types: &'a [u8],
    /// What Bind has behind its names, as in the message: formats, values, formats of the result.
    pub bind: &'a [u8],
}

/// A key, in its buffer.
#[derive(Debug, Clone, Copy)]
pub struct Key<'a> {
    pub(super) hash: u128,
    pub(super) bytes: &'a [u8],
}

impl Key<'_> {
    /// Its length.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it has no bytes: never.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// Where keys are built: one for each worker, at most [`LONGEST`] and what `Vec` adds.
#[derive(Debug, Default)]
pub struct KeyBuffer(Vec<u8>);

impl KeyBuffer {
    /// The key of these parts; `None`: it would be too long.
    #[inline]
    pub fn key(&mut self, parts: &Parts<'_>) -> Option<Key<'_>> {
        self.build(parts, 0)
    }

    /// The key under which their answer is kept for level `ttl`: it may be of tables of which no stream tells anything, so no other level may
    /// be given it.
    #[inline]
    pub fn key_by_age(&mut self, parts: &Parts<'_>) -> Option<Key<'_>> {
        self.build(parts, BY_AGE)
    }

    #[inline]
    fn build(&mut self, parts: &Parts<'_>, mark: u8) -> Option<Key<'_>> {
        let Parts { database, form, user, settings, sql, types, bind } = *parts;
        let fields = [user, settings, sql, types, bind];
        let mut head = [0; 5 + 4 * 5];
        head[..4].copy_from_slice(&database.to_le_bytes());
        head[4] = form.number() | mark;
        let mut length = head.len();
        // All lengths come first: so no two lists of fields have the same bytes.
        for (place, field) in head[5..].chunks_exact_mut(4).zip(fields) {
            length = length.checked_add(field.len())?;
            place.copy_from_slice(&(field.len() as u32).to_le_bytes());
        }
        if length > LONGEST {
            return None;
        }
        self.0.clear();
        self.0.reserve(length);
        self.0.extend_from_slice(&head);
        fields.iter().for_each(|field| self.0.extend_from_slice(field));
        Some(Key { hash: xxh3_128_with_secret(&self.0, &SECRET.long), bytes: &self.0 })
    }
}

/// Who asks and what, of a key's bytes; empty where they are none.
pub(super) fn user_and_text(bytes: &[u8]) -> (&[u8], &[u8]) {
    let length = |at: usize| {
        let place = bytes.get(5 + 4 * at..9 + 4 * at).and_then(|place| place.try_into().ok());
        place.map_or(0, |place| u32::from_le_bytes(place) as usize)
    };
    let [user, settings, sql] = [0, 1, 2].map(length);
    let field = |begin: usize, length: usize| bytes.get(25 + begin..25 + begin + length).unwrap_or_default();
    (field(0, user), field(user + settings, sql))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const PARTS: Parts<'static> = Parts {
        database: 1,
        form: Form::Simple,
        user: b"app",
        settings: b"",
        sql: b"select 1",
        types: b"",
        bind: b"",
    };

    fn bytes(parts: &Parts<'_>) -> Vec<u8> {
        let mut buffer = KeyBuffer::default();
        buffer.key(parts).expect("short").bytes.to_vec()
    }

    #[test]
    fn every_part_makes_another_key() {
        let extended = |described| Parts { form: Form::Extended(described), ..PARTS };
        let all = [
            PARTS,
            Parts { database: 2, ..PARTS },
            extended(Described::Nothing),
            extended(Described::Statement),
            extended(Described::Portal),
            extended(Described::Both),
            Parts { user: b"bpp", ..PARTS },
            Parts { user: b"ap", settings: b"p", ..PARTS },
            Parts { settings: b"x", ..PARTS },
            Parts { sql: b"select 2", ..PARTS },
            Parts { sql: b"select ", types: b"1", ..PARTS },
            Parts { types: b"x", ..PARTS },
            Parts { bind: b"x", ..PARTS },
            Parts { sql: b"select  1", ..PARTS },
        ];
        let keys: HashSet<Vec<u8>> = all.iter().map(bytes).collect();
        assert_eq!(keys.len(), all.len());
        let mut buffer = KeyBuffer::default();
        let hashes: HashSet<u128> = all.iter().map(|parts| buffer.key(parts).expect("short").hash).collect();
        assert_eq!(hashes.len(), all.len());
        assert_eq!(bytes(&PARTS), bytes(&PARTS));
        let by_age = KeyBuffer::default().key_by_age(&PARTS).expect("short").bytes.to_vec();
        assert!(!keys.contains(&by_age));
        assert_eq!(user_and_text(&by_age), (PARTS.user, PARTS.sql));
    }

    #[test]
    fn user_and_text_are_found_again() {
        let parts = Parts { settings: b"settings", types: b"types", ..PARTS };
        assert_eq!(user_and_text(&bytes(&parts)), (PARTS.user, PARTS.sql));
        assert_eq!(user_and_text(b"short"), (&b""[..], &b""[..]));
    }

    #[test]
    fn a_key_has_a_longest_length() {
        let mut buffer = KeyBuffer::default();
        let sql = vec![b' '; LONGEST];
        let room = LONGEST - 25 - PARTS.user.len();
        let key = buffer.key(&Parts { sql: &sql[..room], ..PARTS });
        assert_eq!(key.map(|key| key.len()), Some(LONGEST));
        assert!(buffer.key(&Parts { sql: &sql[..room + 1], ..PARTS }).is_none());
    }
}
