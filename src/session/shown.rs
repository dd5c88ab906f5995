//! Which rows of a table an answer shows, by their keys, or which value it is that ties two tables: what it depends on, instead of all rows that may have been among them.

use std::rc::Rc;
use std::time::Instant;

use smallvec::SmallVec;

use super::asked::Asked;
use crate::cache::{Filling, Needs, Tag};
use crate::catalog::KeyType;
use crate::plan::cacheable::{KeyRow, KeyValue, Link, RowKey, Touched, shown_value};
use crate::plan::{Places, Profile};
use crate::runtime::caches::DatabaseCache;
use crate::wire::frame::{Frame, HEADER, back, cstr};

/// An answer of more rows depends on all rows of its values: for each hit, the tag of each row is looked at.
const MOST: usize = 64;

/// What a text leaves to the answer.
#[derive(Debug)]
pub(super) enum ByAnswer {
    /// Its rows are known by this key.
    Rows(RowKey),
    /// It shows by which values tables are tied.
    Links(Vec<Link>),
}

/// How rows of an answer are told.
pub(super) struct Shown {
    by: By,
    profile: Rc<Profile>,
    /// Of the definitions by which it was found.
    stamp: u64,
    /// As in Bind.
    formats: Vec<u16>,
    same_encoding: bool,
}

enum By {
    /// The key, and S of it.
    Rows(RowKey, Tag),
    /// S of the column of each.
    Links(Vec<(Link, Tag)>),
}

/// Where the columns stand that are looked for.
type Found = SmallVec<[Option<usize>; 8]>;

/// The values of a row; NULL is `None`.
type Row<'a> = Vec<Option<&'a [u8]>>;

impl Shown {
    /// Of the answer to what is asked, which is of this shape.
    pub(super) fn new(
        by_answer: ByAnswer,
        cache: &DatabaseCache,
        (profile, stamp): (&Rc<Profile>, u64),
        asked: &Asked<'_>,
        same_encoding: bool,
    ) -> Option<Box<Shown>> {
        let formats = asked.formats()?;
        let shape = |table: u32, columns: &[i16]| Tag::shape(cache.relation(table), columns);
        let by = match by_answer {
            ByAnswer::Rows(key) => {
                let columns: Vec<i16> = key.columns.iter().map(|(number, _)| *number).collect();
                let shape = shape(key.table, &columns);
                By::Rows(key, shape)
            }
            ByAnswer::Links(links) => {
                let with_shape = |link: Link| {
                    let shape = shape(link.table, &[link.column]);
                    (link, shape)
                };
                By::Links(links.into_iter().map(with_shape).collect())
            }
        };
        Some(Box::new(Shown { by, profile: profile.clone(), stamp, formats, same_encoding }))
    }

    /// A whole answer is there: says which rows it shows.
    pub(super) fn tell(&self, filling: &mut Filling) {
        match &self.by {
            By::Rows(key, shape) => {
                let rows = self.rows(filling.answer(), key, *shape);
                rows.into_iter().for_each(|rows| filling.told_by_rows(0, rows));
            }
            By::Links(links) => {
                for (number, value) in self.values(filling.answer(), links).into_iter().enumerate() {
                    let tag = |value: KeyValue| Tag::values(links[number].1, [&*value]);
                    value.into_iter().for_each(|value| filling.told_by_rows(number, vec![tag(value)]));
                }
            }
        }
    }

    /// The tags of all rows of a whole answer; `None`: it does not show the keys, or there are too many. An answer without rows shows all it has.
    fn rows(&self, answer: &[u8], key: &RowKey, shape: Tag) -> Option<Vec<Tag>> {
        let wanted: Vec<(u32, i16)> = key.columns.iter().map(|(number, _)| (key.table, *number)).collect();
        let mut rows = vec![];
        self.each_row(answer, &wanted, |row, places| {
            if rows.len() == MOST {
                return None;
            }
            let value = |(at, (_, kind)): (&Option<usize>, &(i16, _))| self.value(row, *at, *kind);
            let values: KeyRow = places.iter().zip(&key.columns).map(value).collect::<Option<_>>()?;
            rows.push(Tag::values(shape, values.iter().map(|value| &**value)));
            Some(())
        })?;
        Some(rows)
    }

    /// The value of each link, as far as a row of a whole answer shows it. All rows that show one show the same.
    fn values(&self, answer: &[u8], links: &[(Link, Tag)]) -> Vec<Option<KeyValue>> {
        let sources = || links.iter().flat_map(|(link, _)| link.sources);
        let wanted: Vec<(u32, i16)> = sources().map(|(table, number, _)| (table, number)).collect();
        let mut values = vec![None; links.len()];
        let all = self.each_row(answer, &wanted, |row, places| {
            for (source, (at, (.., kind))) in places.iter().zip(sources()).enumerate() {
                let Some(shown) = self.value(row, *at, kind) else { continue };
                let known: &mut Option<KeyValue> = &mut values[source / 2];
                if known.as_ref().is_some_and(|known| *known != shown) {
                    return None;
                }
                *known = Some(shown);
            }
            Some(())
        });
        if all.is_some() { values } else { vec![None; links.len()] }
    }

    /// Each row of an answer, with where it has the columns that are wanted. `None`: it is not read to the end.
    fn each_row(
        &self,
        answer: &[u8],
        wanted: &[(u32, i16)],
        mut each: impl FnMut(&Row<'_>, &[Option<usize>]) -> Option<()>,
    ) -> Option<()> {
        let mut columns = self.profile.places(self.stamp);
        let find = |columns: &Places| -> Found {
            wanted.iter().map(|one| columns.iter().position(|column| column == one)).collect()
        };
        let mut places = columns.as_deref().map(find);
        let (mut rest, mut row) = (answer, Row::new());
        while let Some(frame) = Frame::peek(rest).ok()? {
            let body = rest.get(HEADER..frame.total)?;
            match frame.tag {
                back::ROW_DESCRIPTION => {
                    self.profile.saw_places(self.stamp, columns_of(body)?);
                    columns = self.profile.places(self.stamp);
                    places = columns.as_deref().map(find);
                }
                back::DATA_ROW => {
                    read_row(body, columns.as_ref()?.len(), &mut row)?;
                    each(&row, places.as_ref()?)?;
                }
                _ => {}
            }
            rest = &rest[frame.total..];
        }
        Some(())
    }

    /// The canonical bytes of what a row has in a place; `None`: it has none, or they are doubtful.
    fn value(&self, row: &Row<'_>, at: Option<usize>, kind: KeyType) -> Option<KeyValue> {
        let at = at?;
        shown_value(row.get(at).copied()??, self.is_binary(at), kind, self.same_encoding)
    }

    fn is_binary(&self, column: usize) -> bool {
        let at = if self.formats.len() == 1 { 0 } else { column };
        self.formats.get(at).is_some_and(|format| *format != 0)
    }
}

/// The columns of a RowDescription.
fn columns_of(body: &[u8]) -> Option<Places> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let of = usize::from(u16::from_be_bytes(*count));
    let mut columns = Vec::with_capacity(of.min(rest.len()));
    for _ in 0..of {
        // Behind the name: table (4), column (2), type (4), length (2), modifier (4), format (2).
        let (field, behind) = cstr(rest)?.1.split_first_chunk::<18>()?;
        let table = u32::from_be_bytes([field[0], field[1], field[2], field[3]]);
        columns.push((table, i16::from_be_bytes([field[4], field[5]])));
        rest = behind;
    }
    Some(columns)
}

/// Reads a row that must have so many values.
fn read_row<'a>(body: &'a [u8], of: usize, row: &mut Row<'a>) -> Option<()> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    if usize::from(u16::from_be_bytes(*count)) != of {
        return None;
    }
    row.clear();
    for _ in 0..of {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        let value = usize::try_from(i32::from_be_bytes(*length)).ok();
        let (value, behind) = match value {
            Some(length) => behind.split_at_checked(length).map(|(value, rest)| (Some(value), rest))?,
            None => (None, behind),
        };
        row.push(value);
        rest = behind;
    }
    Some(())
}

/// What of this the answer may say, as its needs are told.
pub(super) fn told(
    needs: &mut Needs,
    cache: &DatabaseCache,
    touched: &[Touched],
    by_answer: ByAnswer,
    (as_of, now): (Option<Instant>, Instant),
) -> Option<ByAnswer> {
    match by_answer {
        ByAnswer::Rows(key) => {
            by_rows(needs, cache, touched, &key, (as_of, now)).then_some(ByAnswer::Rows(key))
        }
        ByAnswer::Links(mut links) => {
            links.retain(|link| {
                let relation = cache.relation(link.table);
                let any = |one: &Touched| one.table == link.table && one.columns.is_empty();
                touched.iter().filter(|one| one.table == link.table).all(any)
                    && cache.usable(relation, &[link.column], as_of, now)
                    && needs.by_value(relation, link.column)
            });
            (!links.is_empty()).then_some(ByAnswer::Links(links))
        }
    }
}

/// Says that the answer may be told by the rows that it shows: it looks for values in the only table, and the key is one that the stream tells by.
fn by_rows(
    needs: &mut Needs,
    cache: &DatabaseCache,
    touched: &[Touched],
    key: &RowKey,
    (as_of, now): (Option<Instant>, Instant),
) -> bool {
    let [Touched { table, columns, .. }, ..] = touched else { return false };
    let numbers: Vec<i16> = key.columns.iter().map(|(number, _)| *number).collect();
    let relation = cache.relation(key.table);
    let fits = *table == key.table && !columns.is_empty() && cache.usable(relation, &numbers, as_of, now);
    fits && needs.by_rows(relation, columns, &numbers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Relation;
    use crate::catalog::{Definitions, Judge};
    use crate::plan::Profiles;
    use crate::wire::emit;

    const TABLE: Relation = Relation { database: 0, oid: 16_400 };

    fn shown(profile: &Rc<Profile>, formats: &[u16]) -> Shown {
        let key = RowKey { table: TABLE.oid, columns: vec![(1, KeyType::Int4), (3, KeyType::Text)] };
        let by = By::Rows(key, Tag::shape(TABLE, &[1, 3]));
        Shown { by, profile: profile.clone(), stamp: 7, formats: formats.into(), same_encoding: false }
    }

    impl Shown {
        fn of(&self, answer: &[u8]) -> Option<Vec<Tag>> {
            let By::Rows(key, shape) = &self.by else { panic!("by its rows") };
            self.rows(answer, key, *shape)
        }
    }

    fn profile() -> Rc<Profile> {
        Profiles::new(Judge::new(Definitions::new())).of(b"select * from t where c = 1", true.into())
    }

    /// Columns by their table and number.
    fn description(out: &mut Vec<u8>, columns: &[(u32, i16)]) {
        emit::frame(out, back::ROW_DESCRIPTION, |out| {
            out.extend((columns.len() as u16).to_be_bytes());
            for (table, number) in columns {
                out.extend(b"name\0");
                out.extend(table.to_be_bytes());
                out.extend(number.to_be_bytes());
                out.extend([0; 12]);
            }
        });
    }

    fn row(out: &mut Vec<u8>, values: &[Option<&[u8]>]) {
        emit::frame(out, back::DATA_ROW, |out| {
            out.extend((values.len() as u16).to_be_bytes());
            for value in values {
                let length = value.map_or(-1, |value| value.len() as i32);
                out.extend(length.to_be_bytes());
                out.extend(value.unwrap_or_default());
            }
        });
    }

    fn answer(columns: &[(u32, i16)], rows: &[&[Option<&[u8]>]]) -> Vec<u8> {
        let mut out = vec![];
        description(&mut out, columns);
        rows.iter().for_each(|values| row(&mut out, values));
        emit::frame(&mut out, back::COMMAND_COMPLETE, |out| out.extend(b"SELECT\0"));
        out
    }

    fn tag(id: &[u8], name: &[u8]) -> Tag {
        Tag::values(Tag::shape(TABLE, &[1, 3]), [id, name])
    }

    const COLUMNS: [(u32, i16); 4] = [(16_400, 3), (0, 0), (16_400, 1), (16_401, 1)];

    #[test]
    fn rows_are_told_by_their_keys() {
        let one: &[Option<&[u8]>] = &[Some(b"a"), None, Some(b"7"), Some(b"9")];
        let other: &[Option<&[u8]>] = &[Some(b"b"), Some(b""), Some(b"-8"), None];
        let whole = answer(&COLUMNS, &[one, other]);
        let told = shown(&profile(), &[]).of(&whole);
        assert_eq!(told, Some(vec![tag(b"7", b"a"), tag(b"-8", b"b")]));
        for cut in 1..whole.len() {
            assert_ne!(shown(&profile(), &[]).of(&whole[..cut]).map(|rows| rows.len()), Some(3), "{cut}");
        }
        // In binary, the numbers alone.
        let binary: &[Option<&[u8]>] = &[Some(b"a"), None, Some(&[0, 0, 1, 0]), None];
        let told = shown(&profile(), &[0, 0, 1, 0]).of(&answer(&COLUMNS, &[binary]));
        assert_eq!(told, Some(vec![tag(b"256", b"a")]));
        let told = shown(&profile(), &[1]).of(&answer(&COLUMNS, &[binary]));
        assert_eq!(told, Some(vec![tag(b"256", b"a")]));
    }

    #[test]
    fn what_is_not_shown_is_not_told() {
        let rows = |columns: &[(u32, i16)], values: &[Option<&[u8]>]| {
            shown(&profile(), &[]).of(&answer(columns, &[values]))
        };
        let whole: &[Option<&[u8]>] = &[Some(b"a"), None, Some(b"7"), Some(b"9")];
        assert!(rows(&COLUMNS, whole).is_some());
        assert_eq!(rows(&[(16_400, 3), (0, 0), (0, 0), (16_401, 1)], whole), None, "an expression");
        assert_eq!(rows(&COLUMNS, &[Some(b"a"), None, None, Some(b"9")]), None, "a NULL");
        assert_eq!(rows(&COLUMNS, &[Some(b"a"), None, Some(b"x"), Some(b"9")]), None, "no number");
        assert_eq!(rows(&COLUMNS, &[Some("\u{e9}".as_bytes()), None, Some(b"7"), None]), None, "an encoding");
        assert_eq!(rows(&COLUMNS, &whole[..3]), None, "other columns than were described");
        let many = vec![whole; MOST];
        assert_eq!(shown(&profile(), &[]).of(&answer(&COLUMNS, &many)).map(|rows| rows.len()), Some(MOST));
        let more = vec![whole; MOST + 1];
        assert_eq!(shown(&profile(), &[]).of(&answer(&COLUMNS, &more)), None);
        assert_eq!(
            shown(&profile(), &[]).of(&answer(&[(0, 0)], &[])),
            Some(vec![]),
            "no row, whatever is shown"
        );
    }

    #[test]
    fn a_description_is_remembered_for_answers_without() {
        let profile = profile();
        let whole: &[Option<&[u8]>] = &[Some(b"a"), None, Some(b"7"), Some(b"9")];
        let mut bare = vec![];
        row(&mut bare, whole);
        assert_eq!(shown(&profile, &[]).of(&bare), None);
        assert!(shown(&profile, &[]).of(&answer(&COLUMNS, &[whole])).is_some());
        assert_eq!(shown(&profile, &[]).of(&bare), Some(vec![tag(b"7", b"a")]));
        let other = Shown { stamp: 8, ..shown(&profile, &[]) };
        assert_eq!(other.of(&bare), None, "definitions are others");
    }

    #[test]
    fn a_value_that_ties_tables_is_shown_by_any_row() {
        let values = |columns: &[(u32, i16)], rows: &[&[Option<&[u8]>]]| {
            let link = Link::between((16_401, 1, KeyType::Int8), (TABLE.oid, 3, KeyType::Int4));
            let by = By::Links(vec![(link, Tag::shape(TABLE, &[1]))]);
            let shown = Shown { by, ..shown(&profile(), &[]) };
            let By::Links(links) = &shown.by else { panic!("by links") };
            shown.values(&answer(columns, rows), links).remove(0).map(|value| value.to_vec())
        };
        let both = [(TABLE.oid, 3), (16_401, 1)];
        assert_eq!(values(&both, &[&[Some(b"7"), Some(b"7")]]), Some(b"7".to_vec()));
        assert_eq!(values(&both[..1], &[&[None], &[Some(b"07")]]), Some(b"7".to_vec()));
        assert_eq!(values(&both[1..], &[&[Some(b"7")]]), Some(b"7".to_vec()));
        assert_eq!(values(&both, &[&[Some(b"7"), None]]), Some(b"7".to_vec()));
        assert_eq!(values(&both, &[]), None, "no row says which");
        assert_eq!(values(&both, &[&[None, None]]), None);
        assert_eq!(values(&[(TABLE.oid, 4)], &[&[Some(b"7")]]), None, "another column");
        assert_eq!(values(&both, &[&[Some(b"7"), Some(b"7")], &[Some(b"8"), None]]), None, "that cannot be");
    }
}
