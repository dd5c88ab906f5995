//! What texts of one mask have in common, kept to find the next one of them at the cost of comparing it.

use std::ops::Range;

use super::{
    COMMENT, LINE_COMMENT, NUMBER, PARAMETER, STRING, byte, comment, digits, dollar, is_digit, is_ident,
};

/// The parts of a text that stay, and what kind of literal or comment stands between them.
///
/// A text that fits has the same [`super::mask`] as the text that it was made of: what stands in a gap is read by what the mask is made with, and where a part
/// that stays begins and ends, nothing is read otherwise for what stands in the gaps.
#[derive(Debug)]
pub struct Template {
    /// All parts, one behind the other.
    parts: Box<[u8]>,
    /// Where each part ends, and what stands behind it.
    gaps: Box<[(u32, u8)]>,
}

impl Template {
    /// Of a mask. `None`: it has comments up to the end of a line.
    pub fn of(masked: &[u8]) -> Option<Template> {
        let is_mark = |byte: u8| (STRING..=COMMENT).contains(&byte);
        if masked.contains(&LINE_COMMENT) {
            return None;
        }
        let parts: Box<[u8]> = masked.iter().copied().filter(|byte| !is_mark(*byte)).collect();
        let mut end = 0;
        let mut gaps = vec![];
        for byte in masked {
            match is_mark(*byte) {
                true => gaps.push((end, *byte)),
                false => end += 1,
            }
        }
        Some(Template { parts, gaps: gaps.into() })
    }

    /// Whether a text is like that. `found` is told the number of each gap, and what stands in it, as far as the text is like that.
    #[inline]
    pub fn fits(&self, sql: &[u8], mut found: impl FnMut(usize, Range<usize>)) -> bool {
        let (mut from, mut at) = (0, 0);
        for (number, &(end, kind)) in self.gaps.iter().enumerate() {
            let part = &self.parts[from..end as usize];
            if !sql.get(at..).is_some_and(|rest| rest.starts_with(part)) {
                return false;
            }
            (from, at) = (end as usize, at + part.len());
            let Some(end) = gap(sql, at, kind) else { return false };
            found(number, at..end);
            at = end;
        }
        sql.get(at..).is_some_and(|rest| *rest == self.parts[from..])
    }
}

/// Where what stands in a gap of this kind ends. What stands before it is as in the mask, so that it is not asked again whether a literal may begin here.
#[inline]
fn gap(sql: &[u8], at: usize, kind: u8) -> Option<usize> {
    match (kind, byte(sql, at)) {
        (NUMBER, first) if is_digit(first) => {
            let mut end = digits(sql, at);
            if byte(sql, end) == b'.' && is_digit(byte(sql, end + 1)) {
                end = digits(sql, end + 1);
            }
            let next = byte(sql, end);
            (!is_ident(next) && next != b'.').then_some(end)
        }
        (STRING, b'\'') => memchr::memchr(b'\'', &sql[at + 1..]).map(|length| at + length + 2),
        (PARAMETER, b'$') => dollar(sql, at).filter(|(_, mark)| *mark == Some(PARAMETER)).map(|(end, _)| end),
        (COMMENT, b'/') => comment(sql, at).filter(|(_, mark)| *mark == Some(COMMENT)).map(|(end, _)| end),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::mask;

    fn masked(sql: &str) -> Option<Vec<u8>> {
        let mut out = vec![];
        mask(sql.as_bytes(), &mut out).then_some(out)
    }

    #[test]
    fn other_values_fit_and_other_texts_do_not() {
        let template = |sql: &str| Template::of(&masked(sql).expect("a mask")).expect("a template");
        let one = template("select * from t1 where a = 1 and b = 'x' /*r='1'*/");
        assert!(one.fits(b"select * from t1 where a = 99.5 and b = '' /*r='2',t='3'*/", |_, _| {}));
        for other in [
            "select * from t2 where a = 1 and b = 'x' /**/",
            "select * from t1 where a = 1 and b = 'it''s' /**/",
            "select * from t1 where a = x and b = 'x' /**/",
            "select * from t1 where a = 1e5 and b = 'x' /**/",
            "select * from t1 where a = 1 and b = 'x' /**/;",
            "select * from t1 where a = 1 and b = 'x' ",
            "select * from t1 where a = 1 and b = 'x",
            "",
        ] {
            assert!(!one.fits(other.as_bytes(), |_, _| {}), "{other}");
        }
        assert!(
            template("select a").fits(b"select a", |_, _| {})
                && !template("select a").fits(b"select a ", |_, _| {})
        );
        let one = template("select $1, $22 from t");
        assert!(one.fits(b"select $3, $9999 from t", |_, _| {}));
        for other in [
            "select $1, 2 from t",
            "select $1, $a$ from t",
            "select $1, $70000 from t",
            "select $1, $ from t",
        ] {
            assert!(!one.fits(other.as_bytes(), |_, _| {}), "{other}");
        }
        assert!(Template::of(&masked("select 1 -- one").expect("a mask")).is_none());
    }

    /// Texts put together at random: what fits has the same mask.
    #[test]
    fn what_fits_has_the_same_mask() {
        const PARTS: &[&str] = &[
            "select", " ", " ", "'a'", "'b''c'", "''", "1", "23", "4.5", "6e7", ".8", "9.", "-", "/",
            "/*c*/", "/**/", "*/", "\"q\"", "uescape", "E", "=", "a", "t1", ".", ";", "'", "$", "&", "\n",
            "_", "$1", "$22",
        ];
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = |n: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % n as u64) as usize
        };
        let mut text =
            |length: usize| -> String { (0..1 + next(length)).map(|_| PARTS[next(PARTS.len())]).collect() };
        let texts: Vec<String> = (0..1500).map(|_| text(4)).collect();
        let masks: Vec<_> = texts.iter().map(|text| masked(text)).collect();
        let mut fit = 0;
        for mask in masks.iter().flatten() {
            let Some(template) = Template::of(mask) else { continue };
            for (other, of_other) in texts.iter().zip(&masks) {
                if template.fits(other.as_bytes(), |_, _| {}) {
                    assert_eq!(of_other.as_ref(), Some(mask), "{other}");
                    fit += 1;
                }
            }
        }
        assert!(fit > 5000, "{fit}");
    }
}
