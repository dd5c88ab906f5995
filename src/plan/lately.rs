//! Shapes of texts seen lately, found again with the literals of a text that differs from one of those in its values only: that costs a tenth of what reading it does.

use std::ops::Range;
use std::rc::{Rc, Weak};

use smallvec::SmallVec;

use super::Profile;
use crate::sql::{Dialect, Fingerprint, Lately, Literal, Template, Value, mask};

/// After so many finds it is told of one which shape was used.
const TOLD: u8 = 16;

/// Where a literal of a text stands that is like another: a gap of its template has its end, and it begins so many bytes before that gap, with its sign. `None`: a comment stands there.
type Gap = Option<(u32, Value, usize)>;

/// The shapes of texts seen lately.
#[derive(Debug, Default)]
pub(super) struct Texts {
    lately: Lately<Text>,
    masked: Vec<u8>,
    finds: u8,
}

/// The shape of a text like one of before.
#[derive(Debug)]
pub(super) struct Alike {
    pub profile: Rc<Profile>,
    /// The shape is to be marked as used.
    pub used: Option<Fingerprint>,
}

#[derive(Debug)]
struct Text {
    /// It is forgotten with its shape.
    profile: Weak<Profile>,
    fingerprint: Fingerprint,
    gaps: Box<[Gap]>,
}

type Ranges = SmallVec<[Range<usize>; 8]>;

/// Whether texts can be told by their masks.
fn is_plain(dialect: Dialect) -> bool {
    dialect.std_strings() && !dialect.is_wide()
}

impl Texts {
    /// The shape of a text.
    pub fn find(&mut self, text: &[u8], dialect: Dialect) -> Option<Alike> {
        if !is_plain(dialect) {
            return None;
        }
        let is = |known: &Text| known.profile.strong_count() > 0;
        let known = self.lately.find((0, text), is, |_, _| {})?;
        known.found(&mut self.finds)
    }

    /// The shape of a text and its literals, as [`crate::sql::shape`] finds them.
    pub fn find_with_literals(&mut self, text: &[u8], dialect: Dialect) -> Option<(Alike, Vec<Literal>)> {
        if !is_plain(dialect) {
            return None;
        }
        let mut ranges = Ranges::new();
        let is = |known: &Text| known.profile.strong_count() > 0;
        let known = self.lately.find((0, text), is, |at, range| {
            // What another template has found before it did not fit goes.
            ranges.truncate(at);
            ranges.push(range);
        })?;
        let literal = |(range, gap): (Range<usize>, &Gap)| {
            let (sign, value, place) = (*gap)?;
            let value = match value {
                Value::Parameter(_) => parameter(&text[range.clone()]),
                value => value,
            };
            Some(Literal { range: range.start - sign as usize..range.end, value, place })
        };
        let literals = ranges.into_iter().zip(&known.gaps).filter_map(literal).collect();
        Some((known.found(&mut self.finds)?, literals))
    }

    /// A text was not found: this is its shape, with its literals.
    pub fn note(
        &mut self,
        (text, dialect): (&[u8], Dialect),
        (fingerprint, profile): (Fingerprint, &Rc<Profile>),
        literals: &[Literal],
    ) {
        if !is_plain(dialect) || !self.lately.takes(text) {
            return;
        }
        if mask(text, &mut self.masked)
            && let Some(gaps) = gaps(text, &self.masked, literals)
        {
            let found = Text { profile: Rc::downgrade(profile), fingerprint, gaps };
            self.lately.note((0, text), &self.masked, found);
        }
        self.masked.shrink_to(64 * 1024);
    }
}

impl Text {
    fn found(&self, finds: &mut u8) -> Option<Alike> {
        *finds = finds.wrapping_add(1);
        let used = finds.is_multiple_of(TOLD).then_some(self.fingerprint);
        Some(Alike { profile: self.profile.upgrade()?, used })
    }
}

/// What stands in each gap of a text's mask; `None`: its literals are not what the gaps have, each by itself.
fn gaps(text: &[u8], masked: &[u8], literals: &[Literal]) -> Option<Box<[Gap]>> {
    let mut ranges = Ranges::new();
    Template::of(masked)?.fits(text, |_, range| ranges.push(range)).then_some(())?;
    let mut literals = literals.iter();
    let gap = |range: &Range<usize>| {
        if text[range.start] == b'/' {
            return Some(None);
        }
        let literal = literals.next()?;
        let sign = text.get(literal.range.start..range.start)?;
        let ends = literal.range.end == range.end;
        // A comment behind the sign is as long as it likes.
        let fits = ends && !sign.contains(&b'/');
        fits.then_some(Some((u32::try_from(sign.len()).ok()?, literal.value, literal.place)))
    };
    let gaps = ranges.iter().map(gap).collect::<Option<_>>()?;
    literals.next().is_none().then_some(gaps)
}

/// The parameter that stands in a gap, which has four digits at most.
fn parameter(text: &[u8]) -> Value {
    let digits = text.iter().filter(|byte| byte.is_ascii_digit());
    Value::Parameter(digits.fold(0, |number, digit| number * 10 + u16::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Definitions, Judge};
    use crate::plan::Profiles;
    use crate::sql::shape;

    #[test]
    fn a_text_like_one_of_before_is_found_with_its_own_literals() {
        let mut texts = Texts::default();
        let profile = Rc::new(Profile::default());
        let note = |texts: &mut Texts, text: &str| {
            let shape = shape(text.as_bytes(), true);
            let found = (shape.fingerprint, &profile);
            // One of four is noted.
            (0..4).for_each(|_| texts.note((text.as_bytes(), true.into()), found, &shape.literals));
        };
        let first = "select * from t where a = /* one */ - 1 and b in ('x', 'yy') and c between 1 and 2.5";
        let other =
            b"select * from t where a = /* another */ - 234 and b in ('', 'z') and c between 17 and 3";
        note(&mut texts, first);
        let (found, literals) = texts.find_with_literals(other, true.into()).expect("it is like the first");
        assert!(Rc::ptr_eq(&found.profile, &profile));
        assert_eq!(literals, shape(other, true).literals);
        assert!(Rc::ptr_eq(&texts.find(other, true.into()).expect("as before").profile, &profile));
        note(&mut texts, "select a from t where b = $1 and c = -5 and d in ($22, 'x')");
        let other = b"select a from t where b = $31 and c = -17 and d in ($4, 'yy')";
        let (_, literals) = texts.find_with_literals(other, true.into()).expect("it has other parameters");
        assert_eq!(literals, shape(other, true).literals);
        assert!(texts.find(other, false.into()).is_none(), "strings may be other ones");
        for text in ["select 'a''b', 2", "select 'a'\n'b'", "select 3, - /* one */ 2"] {
            note(&mut texts, text);
            assert!(texts.find(text.as_bytes(), true.into()).is_none(), "{text}");
        }
        drop((profile, found));
        assert!(texts.find(other, true.into()).is_none(), "its shape was forgotten");
    }

    /// Texts put together at random: what is found for them is what reading them finds.
    #[test]
    fn what_is_found_is_what_is_read() {
        const PARTS: &[&str] = &[
            "select", " ", " ", "'a'", "'b''c'", "''", "1", "23", "4.5", "6e7", ".8", "-", "+", "/*c*/",
            " in (", ",", ")", "(", "array[", "]", "values ", "\"q\"", "U&", "uescape", "e", "=", "a", "t1",
            ";", "\n", "null", "interval", "::", "/*+d*/", "$1", "$22", "$0",
        ];
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = |n: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % n as u64) as usize
        };
        let profiles = Profiles::new(Judge::new(Definitions::new()));
        let mut found = 0;
        for _ in 0..100_000 {
            let text: String = (0..1 + next(7)).map(|_| PARTS[next(PARTS.len())]).collect();
            found += usize::from(profiles.texts.borrow_mut().find(text.as_bytes(), true.into()).is_some());
            let read = shape(text.as_bytes(), true);
            let (profile, literals) = profiles.with_literals(text.as_bytes(), true.into());
            assert_eq!(literals, read.literals, "{text:?}");
            let known =
                profiles.shapes.borrow_mut().get(&read.fingerprint).cloned().expect("it was just found");
            assert!(Rc::ptr_eq(&known, &profile), "{text:?}");
        }
        assert!(found > 2_000, "{found}");
    }
}
