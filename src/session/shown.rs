//! Which rows of a table an answer shows, by their keys: what it depends on, instead of all rows that may have been among them.

use std::rc::Rc;
use std::time::Instant;

use super::asked::Asked;
use crate::cache::{Needs, Relation, Tag};
use crate::plan::cacheable::{KeyRow, RowKey, Touched, shown_value};
use crate::plan::{Places, Profile};
use crate::runtime::caches::DatabaseCache;
use crate::wire::frame::{Frame, HEADER, back, cstr};

/// An answer of more rows depends on all rows of its values: for each hit, the tag of each row is looked at.
const MOST: usize = 64;

/// How rows of an answer are told.
pub(super) struct Shown {
    key: RowKey,
    /// S of the key.
    shape: Tag,
    profile: Rc<Profile>,
    /// Of the definitions by which the key was found.
    stamp: u64,
    /// As in Bind.
    formats: Vec<u16>,
    same_encoding: bool,
}

impl Shown {
    /// Of the answer to what is asked, which is of this shape.
    pub(super) fn new(
        key: RowKey,
        relation: Relation,
        (profile, stamp): (&Rc<Profile>, u64),
        asked: &Asked<'_>,
        same_encoding: bool,
    ) -> Option<Box<Shown>> {
        let formats = asked.formats()?;
        let columns: Vec<i16> = key.columns.iter().map(|(number, _)| *number).collect();
        let shape = Tag::shape(relation, &columns);
        Some(Box::new(Shown { key, shape, profile: profile.clone(), stamp, formats, same_encoding }))
    }

    /// The tags of all rows of a whole answer; `None`: it does not show the keys, or there are too many. An answer without rows shows all it has.
    pub(super) fn rows(&self, answer: &[u8]) -> Option<Vec<Tag>> {
        let mut places = self.profile.places(self.stamp);
        let (mut rest, mut rows) = (answer, vec![]);
        while let Some(frame) = Frame::peek(rest).ok()? {
            let body = rest.get(HEADER..frame.total)?;
            match frame.tag {
                back::ROW_DESCRIPTION => {
                    self.profile.saw_places(self.stamp, self.places(body)?);
                    places = self.profile.places(self.stamp);
                }
                back::DATA_ROW if rows.len() == MOST => return None,
                back::DATA_ROW => rows.push(self.row(body, places.as_deref()?)?),
                _ => {}
            }
            rest = &rest[frame.total..];
        }
        Some(rows)
    }

    /// Where a RowDescription has the columns of the key.
    fn places(&self, body: &[u8]) -> Option<Places> {
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
        let place =
            |(number, _): &(i16, _)| columns.iter().position(|column| *column == (self.key.table, *number));
        Some(Places { of, at: self.key.columns.iter().map(place).collect() })
    }

    fn row(&self, body: &[u8], places: &Places) -> Option<Tag> {
        let (count, mut rest) = body.split_first_chunk::<2>()?;
        let of = usize::from(u16::from_be_bytes(*count));
        if of != places.of {
            return None;
        }
        let mut all = Vec::with_capacity(of.min(rest.len()));
        for _ in 0..of {
            let (length, behind) = rest.split_first_chunk::<4>()?;
            let value = usize::try_from(i32::from_be_bytes(*length)).ok();
            let (value, behind) = match value {
                Some(length) => behind.split_at_checked(length).map(|(value, rest)| (Some(value), rest))?,
                None => (None, behind),
            };
            all.push(value);
            rest = behind;
        }
        let value = |(at, (_, kind)): (&usize, &(i16, _))| {
            shown_value(all.get(*at).copied()??, self.is_binary(*at), *kind, self.same_encoding)
        };
        let values: KeyRow =
            places.at.as_ref()?.iter().zip(&self.key.columns).map(value).collect::<Option<_>>()?;
        Some(Tag::values(self.shape, values.iter().map(|value| &**value)))
    }

    fn is_binary(&self, column: usize) -> bool {
        let at = if self.formats.len() == 1 { 0 } else { column };
        self.formats.get(at).is_some_and(|format| *format != 0)
    }
}

/// Says that the answer may be told by the rows that it shows: it looks for values in the only table, and the key is one that the stream tells by.
pub(super) fn by_rows(
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
    use crate::catalog::{Definitions, Judge, KeyType};
    use crate::plan::Profiles;
    use crate::wire::emit;

    const TABLE: Relation = Relation { database: 0, oid: 16_400 };

    fn shown(profile: &Rc<Profile>, formats: &[u16]) -> Shown {
        let key = RowKey { table: TABLE.oid, columns: vec![(1, KeyType::Int4), (3, KeyType::Text)] };
        let shape = Tag::shape(TABLE, &[1, 3]);
        Shown {
            key,
            shape,
            profile: profile.clone(),
            stamp: 7,
            formats: formats.into(),
            same_encoding: false,
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
        let told = shown(&profile(), &[]).rows(&whole);
        assert_eq!(told, Some(vec![tag(b"7", b"a"), tag(b"-8", b"b")]));
        for cut in 1..whole.len() {
            assert_ne!(shown(&profile(), &[]).rows(&whole[..cut]).map(|rows| rows.len()), Some(3), "{cut}");
        }
        // In binary, the numbers alone.
        let binary: &[Option<&[u8]>] = &[Some(b"a"), None, Some(&[0, 0, 1, 0]), None];
        let told = shown(&profile(), &[0, 0, 1, 0]).rows(&answer(&COLUMNS, &[binary]));
        assert_eq!(told, Some(vec![tag(b"256", b"a")]));
        let told = shown(&profile(), &[1]).rows(&answer(&COLUMNS, &[binary]));
        assert_eq!(told, Some(vec![tag(b"256", b"a")]));
    }

    #[test]
    fn what_is_not_shown_is_not_told() {
        let rows = |columns: &[(u32, i16)], values: &[Option<&[u8]>]| {
            shown(&profile(), &[]).rows(&answer(columns, &[values]))
        };
        let whole: &[Option<&[u8]>] = &[Some(b"a"), None, Some(b"7"), Some(b"9")];
        assert!(rows(&COLUMNS, whole).is_some());
        assert_eq!(rows(&[(16_400, 3), (0, 0), (0, 0), (16_401, 1)], whole), None, "an expression");
        assert_eq!(rows(&COLUMNS, &[Some(b"a"), None, None, Some(b"9")]), None, "a NULL");
        assert_eq!(rows(&COLUMNS, &[Some(b"a"), None, Some(b"x"), Some(b"9")]), None, "no number");
        assert_eq!(rows(&COLUMNS, &[Some("\u{e9}".as_bytes()), None, Some(b"7"), None]), None, "an encoding");
        assert_eq!(rows(&COLUMNS, &whole[..3]), None, "other columns than were described");
        let many = vec![whole; MOST];
        assert_eq!(shown(&profile(), &[]).rows(&answer(&COLUMNS, &many)).map(|rows| rows.len()), Some(MOST));
        let more = vec![whole; MOST + 1];
        assert_eq!(shown(&profile(), &[]).rows(&answer(&COLUMNS, &more)), None);
        assert_eq!(
            shown(&profile(), &[]).rows(&answer(&[(0, 0)], &[])),
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
        assert_eq!(shown(&profile, &[]).rows(&bare), None);
        assert!(shown(&profile, &[]).rows(&answer(&COLUMNS, &[whole])).is_some());
        assert_eq!(shown(&profile, &[]).rows(&bare), Some(vec![tag(b"7", b"a")]));
        let other = Shown { stamp: 8, ..shown(&profile, &[]) };
        assert_eq!(other.rows(&bare), None, "definitions are others");
    }
}
