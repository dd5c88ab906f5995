//! Tags: what a result can depend on, as 64 bits.
//!
//! They are hashes with a key that each process draws anew, so that nobody can choose values whose tags fall together.
//! Where two do, too much is invalidated, never too little.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A table, as the server knows it. Views are not relations here, but what they read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Relation {
    /// The number that this process gave to the database of its cluster.
    pub database: u32,
    /// `pg_class.oid`.
    pub oid: u32,
}

/// A set of columns (`pg_attribute.attnum`) by whose values results of a table are told apart; sorted, without repetition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape(Box<[i16]>);

impl Shape {
    /// The set of these columns, in any order.
    pub fn new(columns: &[i16]) -> Shape {
        let mut columns = columns.to_vec();
        columns.sort_unstable();
        columns.dedup();
        Shape(columns.into())
    }

    /// Its columns, in ascending order: that of the values of [`Tag::values`].
    pub fn columns(&self) -> &[i16] {
        &self.0
    }
}

/// What a result depends on, or what a change touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub(super) u64);

/// Some tags: of what a write touches, or a small commit, without a piece of memory of their own.
pub type TagList = smallvec::SmallVec<[Tag; 8]>;

/// In a tag on which many results depend. These have words of their own ([`super::Tags`]): were one of them to share its word with one of a
/// hundred thousand rows, each change of that row would put out everything.
pub(super) const WIDE: u64 = 1 << 63;

/// The kinds, so that none is taken for another of the same numbers.
const EVERYTHING: u64 = 1;
const DEFINITIONS: u64 = 2;
const TABLE: u64 = 3;
const ROWS: u64 = 4;
const TOLD_ROWS: u64 = 5;

impl Tag {
    /// G: everything of a database. Each result depends on it.
    pub fn everything(database: u32) -> Tag {
        Tag(of(EVERYTHING, Relation { database, oid: 0 }) | WIDE)
    }

    /// C: the definitions of a database. Each result depends on them.
    pub fn definitions(database: u32) -> Tag {
        Tag(of(DEFINITIONS, Relation { database, oid: 0 }) | WIDE)
    }

    /// T: a table as a whole. A result depends on each table that it reads.
    pub fn table(relation: Relation) -> Tag {
        Tag(of(TABLE, relation) | WIDE)
    }

    /// S: rows of a table with any values of these columns: what changes when it is not known with which.
    pub fn shape(relation: Relation, columns: &[i16]) -> Tag {
        Tag::of_columns(ROWS, relation, columns)
    }

    /// N: the same for results whose rows are known by their keys, which are tags of such a result too: what changes when it is not known which values of
    /// these columns a row has *now*. Which it had before does not matter there.
    pub fn shape_by_rows(relation: Relation, columns: &[i16]) -> Tag {
        Tag::of_columns(TOLD_ROWS, relation, columns)
    }

    fn of_columns(kind: u64, relation: Relation, columns: &[i16]) -> Tag {
        debug_assert!(columns.is_sorted(), "columns of a shape are sorted");
        let mut bytes = [0; 64];
        let mut hash = of(kind, relation);
        for columns in columns.chunks(bytes.len() / 2) {
            for (place, column) in bytes.chunks_exact_mut(2).zip(columns) {
                place.copy_from_slice(&column.to_le_bytes());
            }
            hash = xxh3_64_with_seed(&bytes[..columns.len() * 2], hash);
        }
        // Each change of the table gives A another version: it is not for the company of those that stay.
        Tag(if columns.is_empty() { hash & !WIDE } else { hash | WIDE })
    }

    /// A: any row of a table; the shape of no column. For a result of which no more is known.
    pub fn any_row(relation: Relation) -> Tag {
        Tag::shape(relation, &[])
    }

    /// E: the rows of a table that have these values in the columns of a shape. `shape` is the tag of the shape, and the values, in the
    /// order of its columns, are the canonical text of their types: equal exactly where the server finds them equal.
    pub fn values<'a>(shape: Tag, values: impl IntoIterator<Item = &'a [u8]>) -> Tag {
        let mut all = Values::of(shape);
        values.into_iter().for_each(|value| all.push(value));
        all.tag()
    }
}

/// [`Tag::values`], value by value.
#[derive(Debug, Clone, Copy)]
pub struct Values(u64);

impl Values {
    /// None yet, of a shape by its tag.
    pub fn of(shape: Tag) -> Values {
        Values(shape.0 ^ SECRET.seed)
    }

    /// The value of the next column.
    pub fn push(&mut self, value: &[u8]) {
        // The length of a value goes into its hash, so that no two lists of values are one text.
        self.0 = xxh3_64_with_seed(value, self.0.rotate_left(17));
    }

    /// Of all columns' values.
    pub fn tag(self) -> Tag {
        Tag(self.0 & !WIDE)
    }
}

fn of(kind: u64, relation: Relation) -> u64 {
    let numbers = [kind, u64::from(relation.database), u64::from(relation.oid)];
    let mut bytes = [0; 24];
    for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    xxh3_64_with_seed(&bytes, SECRET.seed)
}

/// What hashes of this process are keyed with.
pub(super) struct Secret {
    /// For tags.
    seed: u64,
    /// For keys: as long as XXH3 uses it to the full.
    pub long: [u8; 192],
}

/// Drawn by the standard library, which takes it from the system. In this crate's own tests tags are hashed with a fixed number: two of theirs
/// would share a word of a small table once in some dozens of runs.
pub(super) static SECRET: LazyLock<Secret> = LazyLock::new(|| {
    let mut long = [0; 192];
    for (at, place) in long.chunks_exact_mut(8).enumerate() {
        place.copy_from_slice(&RandomState::new().hash_one(at).to_le_bytes());
    }
    let seed = if cfg!(test) { 1 } else { RandomState::new().hash_one("tags") };
    Secret { seed, long }
});

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn all_kinds_are_apart() {
        let relation = |oid| Relation { database: 1, oid };
        let row = |columns: &[i16], values: &[&str]| {
            Tag::values(Tag::shape(relation(7), columns), values.iter().map(|value| value.as_bytes()))
        };
        let tags = [
            Tag::everything(1),
            Tag::everything(2),
            Tag::definitions(1),
            Tag::table(Relation { database: 1, oid: 0 }),
            Tag::table(relation(7)),
            Tag::table(Relation { database: 2, oid: 7 }),
            Tag::any_row(relation(7)),
            Tag::any_row(relation(8)),
            Tag::shape(relation(7), &[1]),
            Tag::shape(relation(7), &[1, 2]),
            Tag::shape(relation(7), &[2]),
            Tag::shape_by_rows(relation(7), &[2]),
            Tag::shape_by_rows(relation(7), &[]),
            row(&[1], &["a"]),
            row(&[2], &["a"]),
            row(&[1], &[""]),
            row(&[1, 2], &["a", "b"]),
            row(&[1, 2], &["b", "a"]),
            row(&[1, 2], &["ab", ""]),
            row(&[1, 2], &["", "ab"]),
        ];
        assert_eq!(HashSet::from(tags).len(), tags.len());
        assert_eq!(row(&[1, 2], &["a", "b"]), row(&[1, 2], &["a", "b"]));
    }

    #[test]
    fn shapes_are_sorted_sets() {
        assert_eq!(Shape::new(&[3, 1, 3, 2]).columns(), [1, 2, 3]);
        assert_eq!(Shape::new(&[2, 1]), Shape::new(&[1, 2]));
        let wide: Vec<i16> = (1..=1600).collect();
        let relation = Relation { database: 0, oid: 1 };
        assert_ne!(Tag::shape(relation, &wide), Tag::shape(relation, &wide[..1599]));
        assert_ne!(Tag::shape(relation, &wide), Tag::shape(relation, &wide[1..]));
    }
}
