//! Lists whose length says nothing: equal neighbours are one.

use std::ops::Range;

/// What is known of an opening parenthesis or bracket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opens {
    /// It stands behind IN, or ARRAY.
    pub(super) folds: bool,
    /// It stands behind VALUES.
    pub(super) values: bool,
    /// It stands behind a comma.
    pub(super) behind_comma: bool,
}

/// An element: where it stands in the canonical text, and how many places it has.
#[derive(Debug, Clone)]
struct Element {
    range: Range<usize>,
    places: usize,
}

/// What is open at one depth.
#[derive(Debug, Default)]
struct Level {
    /// Equal neighbours in it are folded.
    folds: bool,
    /// It is a row behind VALUES.
    row: bool,
    /// Where the element under way begins, and the places before it.
    start: usize,
    places: usize,
    /// The element before that one.
    previous: Option<Element>,
    /// The last row behind VALUES at this depth.
    last_row: Option<Element>,
    /// Where the last opening parenthesis of a row stands, and the places before it.
    row_start: (usize, usize),
}

/// The lists that are open. The first level is the text itself.
#[derive(Debug)]
pub(super) struct Lists {
    levels: Vec<Level>,
}

impl Default for Lists {
    fn default() -> Lists {
        Lists { levels: vec![Level::default()] }
    }
}

impl Lists {
    /// Behind an opening parenthesis, which `out` ends with.
    pub(super) fn open(&mut self, out: &[u8], places: usize, opens: Opens) {
        let Opens { folds, values, behind_comma } = opens;
        let mut row = values;
        if let Some(level) = self.levels.last_mut() {
            // The row before this one ends where the comma stands.
            let follows = |last: &Element| behind_comma && last.range.end + b", (".len() == out.len();
            row |= level.last_row.as_ref().is_some_and(follows);
            if values || !row {
                level.last_row = None;
            }
            level.row_start = (out.len() - 1, places);
        }
        self.levels.push(Level { folds, row, start: out.len(), places, ..Level::default() });
    }

    /// Before a comma or the end of a list: folds the element that ends here if it is equal to the one before. Gives how many places
    /// are gone.
    pub(super) fn element(&mut self, out: &mut Vec<u8>, places: usize) -> usize {
        let Some(level) = self.levels.last_mut().filter(|level| level.folds) else { return 0 };
        // An element behind a comma has a blank before it.
        let start = level.start + usize::from(level.previous.is_some());
        let element = Element { range: start.min(out.len())..out.len(), places: places - level.places };
        match &level.previous {
            Some(previous) if out[previous.range.clone()] == out[element.range.clone()] => {
                out.truncate(previous.range.end);
                level.last_row = None;
                element.places
            }
            _ => {
                level.previous = Some(element);
                0
            }
        }
    }

    /// Behind a comma, which `out` ends with.
    pub(super) fn next(&mut self, out: &[u8], places: usize) {
        if let Some(level) = self.levels.last_mut() {
            (level.start, level.places) = (out.len(), places);
        }
    }

    /// Behind a closing parenthesis: folds a row that is equal to the one before. Gives how many places are gone.
    pub(super) fn close(&mut self, out: &mut Vec<u8>, places: usize) -> usize {
        if self.levels.len() < 2 {
            return 0;
        }
        let row = self.levels.pop().is_some_and(|level| level.row);
        let Some(level) = self.levels.last_mut().filter(|_| row) else { return 0 };
        let (start, before) = level.row_start;
        let this = Element { range: start..out.len(), places: places - before };
        match &level.last_row {
            Some(last) if out[last.range.clone()] == out[this.range.clone()] => {
                out.truncate(last.range.end);
                this.places
            }
            _ => {
                level.last_row = Some(this);
                0
            }
        }
    }
}
