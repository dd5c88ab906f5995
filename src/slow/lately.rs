//! Texts seen lately, as templates: the next one that differs in its values only finds its tally at the cost of comparing it.

use std::rc::Rc;

use crate::sql::Template;
use crate::stats::tally::Tally;

/// Places, and how many templates there are at each.
const PLACES: usize = 1024;
const EACH: usize = 4;
/// One of so many texts that were not found gets a template: most of those that come once have none.
const ONE_OF: u8 = 4;
/// Longer texts have none, in bytes.
const LONGEST: usize = 4096;

/// The templates.
#[derive(Debug, Default)]
pub(super) struct Lately {
    places: Vec<Vec<(Template, Rc<Tally>)>>,
    turn: u8,
}

/// Where texts are that begin like this one.
#[inline]
fn place(identity: u64, text: &[u8]) -> usize {
    let word = |at: usize| {
        text.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u64::from_le_bytes(*word))
    };
    let all = word(0) ^ word(8).rotate_left(21) ^ word(16).rotate_left(42) ^ identity;
    (all.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % PLACES
}

impl Lately {
    /// Where a text like this one was counted.
    #[inline]
    pub(super) fn find(&mut self, identity: u64, text: &[u8]) -> Option<Rc<Tally>> {
        let templates = self.places.get_mut(place(identity, text))?;
        let fits = |(template, tally): &(Template, Rc<Tally>)| {
            tally.number == identity && !tally.gone.get() && template.fits(text)
        };
        let at = templates.iter().position(fits)?;
        if at > 0 {
            templates.swap(at - 1, at);
            return Some(templates[at - 1].1.clone());
        }
        Some(templates[0].1.clone())
    }

    /// A text is counted here that was not found; its mask.
    pub(super) fn note(&mut self, text: &[u8], masked: &[u8], tally: &Rc<Tally>) {
        self.turn = self.turn.wrapping_add(1);
        if !self.turn.is_multiple_of(ONE_OF) || text.len() > LONGEST {
            return;
        }
        let Some(template) = Template::of(masked) else { return };
        if self.places.is_empty() {
            self.places.resize_with(PLACES, Vec::new);
        }
        if let Some(templates) = self.places.get_mut(place(tally.number, text)) {
            templates.truncate(EACH - 1);
            templates.push((template, tally.clone()));
        }
    }

    /// Forgets those that are counted nowhere any more.
    pub(super) fn tidy(&mut self) {
        self.places.iter_mut().for_each(|templates| templates.retain(|(_, tally)| !tally.gone.get()));
    }
}
