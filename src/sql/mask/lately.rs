//! Texts seen lately, as templates: what was found out of one is found again, for the next one that differs in its values only, at the cost of comparing it.

use std::ops::Range;

use super::Template;

/// Places, and how many templates there are at each.
const PLACES: usize = 1024;
const EACH: usize = 4;
/// One of so many texts that were not found gets a template: most of those that come once have none.
const ONE_OF: u8 = 4;
/// Longer texts have none, in bytes.
const LONGEST: usize = 4096;

/// Templates, each with what was found out of its texts: four thousand at most.
#[derive(Debug)]
pub struct Lately<T> {
    places: Vec<Vec<(Template, T)>>,
    turn: u8,
}

impl<T> Default for Lately<T> {
    fn default() -> Lately<T> {
        Lately { places: vec![], turn: 0 }
    }
}

/// Where texts are that begin like this one.
#[inline]
fn place(whose: u64, text: &[u8]) -> usize {
    let word = |at: usize| {
        text.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u64::from_le_bytes(*word))
    };
    let all = word(0) ^ word(8).rotate_left(21) ^ word(16).rotate_left(42) ^ whose;
    (all.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % PLACES
}

impl<T> Lately<T> {
    /// What was found out of a text like this one, of the same `whose`, if it `is` still so. `gap` is told where literals and comments stand, in order; where nothing is
    /// found, some of it may have been told too. The text must be one that is read as for [`super::mask`].
    #[inline]
    pub fn find(
        &mut self,
        (whose, text): (u64, &[u8]),
        is: impl Fn(&T) -> bool,
        mut gap: impl FnMut(usize, Range<usize>),
    ) -> Option<&T> {
        let templates = self.places.get_mut(place(whose, text))?;
        let fits = |(template, found): &(Template, T)| is(found) && template.fits(text, &mut gap);
        let mut at = templates.iter().position(fits)?;
        if at > 0 {
            templates.swap(at - 1, at);
            at -= 1;
        }
        Some(&templates[at].1)
    }

    /// Whether a text that was not found is to be noted.
    #[inline]
    pub fn takes(&mut self, text: &[u8]) -> bool {
        self.turn = self.turn.wrapping_add(1);
        self.turn.is_multiple_of(ONE_OF) && text.len() <= LONGEST
    }

    /// This was found out of a text that was not found; its mask.
    pub fn note(&mut self, (whose, text): (u64, &[u8]), masked: &[u8], found: T) {
        let Some(template) = Template::of(masked) else { return };
        if self.places.is_empty() {
            self.places.resize_with(PLACES, Vec::new);
        }
        if let Some(templates) = self.places.get_mut(place(whose, text)) {
            templates.truncate(EACH - 1);
            templates.push((template, found));
        }
    }

    /// Forgets what is not so any more.
    pub fn retain(&mut self, is: impl Fn(&T) -> bool) {
        self.places.iter_mut().for_each(|templates| templates.retain(|(_, found)| is(found)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::mask;

    fn note(lately: &mut Lately<u32>, whose: u64, text: &str, found: u32) {
        let mut masked = vec![];
        assert!(mask(text.as_bytes(), &mut masked));
        lately.note((whose, text.as_bytes()), &masked, found);
    }

    #[test]
    fn what_was_found_of_one_text_is_found_for_others_like_it() {
        let mut lately = Lately::default();
        note(&mut lately, 1, "select * from t where a = 1 and b = 'x'", 7);
        note(&mut lately, 1, "select * from t where a = 1 and c = 'x'", 8);
        let mut gaps = vec![];
        let text = b"select * from t where a = 234 and b = ''";
        let found = lately.find((1, text), |_| true, |at, range| gaps.push((at, text[range].to_vec())));
        assert_eq!((found, gaps), (Some(&7), vec![(0, b"234".to_vec()), (1, b"''".to_vec())]));
        assert_eq!(lately.find((2, text), |_| true, |_, _| {}), None, "it is somebody else's");
        assert_eq!(lately.find((1, text), |found| *found == 8, |_, _| {}), None, "it is not so any more");
        lately.retain(|found| *found == 8);
        assert_eq!(lately.find((1, text), |_| true, |_, _| {}), None);
    }

    #[test]
    fn one_of_some_is_noted() {
        let mut lately: Lately<()> = Lately::default();
        let taken = (0..40).filter(|_| lately.takes(b"select 1")).count();
        assert_eq!(taken, 10);
        assert!((0..40).all(|_| !lately.takes(&[b' '; LONGEST + 1])));
    }
}
