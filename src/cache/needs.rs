//! What one result depends on: its tags, found table by table.

use smallvec::SmallVec;

use super::registry::Told;
use super::tag::{Relation, Tag};

/// The place of C among the tags of a [`Needs`].
pub(super) const DEFINITIONS: usize = 1;
/// More tags than this, and a result is not kept.
pub const MOST: usize = 256;

/// The tags of one result: G and C of its database, T of each table, and for each table the rows that matter. To be used again.
#[derive(Debug, Default)]
pub struct Needs {
    tags: Vec<Tag>,
    relations: Vec<Relation>,
    by_rows: SmallVec<[ByRows; 1]>,
    /// The first two tags are of this database.
    of: Option<u32>,
}

/// What a result depends on if it turns out which rows of a table it shows, or goes by: on those, and on what is said here.
#[derive(Debug, Clone, Copy)]
pub(super) struct ByRows {
    /// The place of the tag on which it does not depend then: S of its shape, or A.
    pub place: usize,
    /// The tag that takes its place (N of the shape, or S of the column by which rows are told), that S, and A, which changes with every row of the table.
    pub tags: [Tag; 3],
}

impl Needs {
    /// Forgets all; the next result is one of this database.
    pub fn begin(&mut self, database: u32) {
        self.relations.clear();
        self.by_rows.clear();
        if self.of == Some(database) {
            return self.tags.truncate(DEFINITIONS + 1);
        }
        self.tags.clear();
        self.tags.extend([Tag::everything(database), Tag::definitions(database)]);
        self.of = Some(database);
    }

    /// It reads a table, and any row of it may matter.
    pub fn any_row(&mut self, relation: Relation) {
        self.table(relation, || Tag::table(relation));
        self.add(Tag::any_row(relation));
    }

    /// The same of a table with these tags, if its shape is not to be used; else as [`Needs::rows`], for each of these sets of values.
    pub fn told<'a, R>(&mut self, relation: Relation, told: &Told, rows: impl IntoIterator<Item = R>)
    where
        R: IntoIterator<Item = &'a [u8]>,
    {
        self.table(relation, || told.table);
        let Some(shape) = told.shape else { return self.add(told.any_row) };
        self.add(shape);
        rows.into_iter().for_each(|values| self.add(Tag::values(shape, values)));
    }

    /// It reads a table, of which only rows matter that have these values in these columns, in the order of the columns, which are sorted. For several sets of
    /// values (`IN`), once for each. Only for a shape that is [usable](super::Registry::usable).
    pub fn rows<'a>(
        &mut self,
        relation: Relation,
        columns: &[i16],
        values: impl IntoIterator<Item = &'a [u8]>,
    ) {
        self.table(relation, || Tag::table(relation));
        let shape = Tag::shape(relation, columns);
        self.add(shape);
        self.add(Tag::values(shape, values));
    }

    /// It reads no other table, and rows of these columns of it, as was said by [`Needs::rows`]. If the answer shows these columns of each of its rows, it is enough to
    /// know of what comes to have the values, and of those rows ([`super::Filling::told_by_rows`]). Both shapes must be [usable](super::Registry::usable), and the answer must not
    /// depend on a row that is not in it but by that row's coming to have the values.
    /// False: it was said otherwise.
    pub fn by_rows(&mut self, relation: Relation, columns: &[i16], key: &[i16]) -> bool {
        let shape = Tag::shape(relation, columns);
        let tags = [Tag::shape_by_rows(relation, columns), Tag::shape(relation, key), Tag::any_row(relation)];
        self.instead(shape, tags)
    }

    /// It reads a table of which any row may matter, as was said by [`Needs::any_row`] once and for nothing else of the statement. If the answer shows which values of this column matter, it is
    /// enough to know of the rows that have them. The shape of the column must be [usable](super::Registry::usable).
    /// False: it was said otherwise.
    pub fn by_value(&mut self, relation: Relation, column: i16) -> bool {
        let (shape, any_row) = (Tag::shape(relation, &[column]), Tag::any_row(relation));
        self.instead(any_row, [shape, shape, any_row])
    }

    fn instead(&mut self, of: Tag, tags: [Tag; 3]) -> bool {
        let place = self.tags.iter().position(|tag| *tag == of);
        self.by_rows.extend(place.map(|place| ByRows { place, tags }));
        place.is_some()
    }

    /// As [`Needs::by_rows`] and [`Needs::by_value`] have said, in that order.
    pub(super) fn told_by_rows(&self) -> &[ByRows] {
        &self.by_rows
    }

    fn table(&mut self, relation: Relation, tag: impl FnOnce() -> Tag) {
        if !self.relations.contains(&relation) {
            self.relations.push(relation);
            self.add(tag());
        }
    }

    fn add(&mut self, tag: Tag) {
        if !self.tags.contains(&tag) {
            self.tags.push(tag);
        }
    }

    /// All of them.
    pub fn tags(&self) -> &[Tag] {
        &self.tags
    }

    /// The tables.
    pub fn relations(&self) -> &[Relation] {
        &self.relations
    }

    /// Whether it was begun, and has not more tags than are looked at for a hit.
    pub(super) fn is_fit(&self) -> bool {
        (DEFINITIONS + 1..=MOST).contains(&self.tags.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tag_is_there_once() {
        let mut needs = Needs::default();
        assert!(!needs.is_fit());
        needs.begin(1);
        let [one, two] = [1, 2].map(|oid| Relation { database: 1, oid });
        needs.rows(one, &[1], [&b"7"[..]]);
        needs.rows(one, &[1], [&b"8"[..]]);
        needs.rows(one, &[1], [&b"7"[..]]);
        needs.any_row(two);
        let shape = Tag::shape(one, &[1]);
        let values = |value: &'static [u8]| Tag::values(shape, [value]);
        let expected = [
            Tag::everything(1),
            Tag::definitions(1),
            Tag::table(one),
            shape,
            values(b"7"),
            values(b"8"),
            Tag::table(two),
            Tag::any_row(two),
        ];
        assert_eq!(needs.tags(), expected);
        assert_eq!(needs.tags()[DEFINITIONS], Tag::definitions(1));
        assert_eq!(needs.relations(), [one, two]);
        assert!(needs.is_fit());
        (0..300).for_each(|value: u32| needs.rows(one, &[1], [&value.to_le_bytes()[..]]));
        assert!(!needs.is_fit());
        needs.begin(2);
        assert_eq!(needs.tags().len(), 2);
    }
}
