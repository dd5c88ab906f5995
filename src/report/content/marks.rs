//! What happened: deployments and indexes, on the picture of time, and in words with what statements took before and since.

use super::super::Report;
use super::super::document::{Block, Document, Piece, Table, Text, texts};
use super::super::numbers::{maybe_time, moment};
use super::super::picture;
use crate::slow::Slot;
use crate::store::marks::{Kind, Mark};

/// Marks that are nearer to the first of theirs than this share of the picture have one letter: two would stand upon each other on a phone.
const NEAR: f64 = 0.04;
/// So many marks are listed: the last.
const LISTED: usize = 20;
/// So many are named in the words of the picture.
const NAMED: usize = 5;
/// Of fewer calls no mean is told.
const FEW: f64 = 20.0;

impl Report {
    /// The marks with their letters, in the order of time.
    pub(super) fn lettered(&self) -> Vec<(String, &Mark)> {
        let mut first = f64::MIN;
        let mut letter = 0;
        let mut lettered = vec![];
        for mark in &self.marks {
            let at = self.place(mark.at);
            if lettered.is_empty() || at - first > NEAR {
                letter = lettered.last().map_or(0, |_| letter + 1);
                first = at;
            }
            lettered.push((letter_of(letter), mark));
        }
        lettered
    }

    /// Where a moment is on the picture, 0 to 1.
    fn place(&self, at: i64) -> f64 {
        let series = &self.series;
        let width = (series.width * series.parts as i64).max(1);
        ((at - series.from) as f64 / width as f64).clamp(0.0, 1.0)
    }

    /// The marks as the picture has them.
    pub(super) fn drawn_marks(&self) -> Vec<picture::Mark> {
        let drawn = |(letter, mark): (String, &Mark)| picture::Mark {
            letter,
            at: self.place(mark.at),
            since: self.place(mark.since),
            is_index: mark.kind != Kind::Deploy,
        };
        self.lettered().into_iter().map(drawn).collect()
    }

    /// The marks in the words of the picture; nothing, where there is none.
    pub(super) fn marks_in_words(&self) -> String {
        if self.marks.is_empty() {
            return String::new();
        }
        let one = |(letter, mark): (String, &Mark)| {
            format!("{letter} at {}, {}", moment(mark.at), self.what(mark).words())
        };
        let mut named: Vec<_> = self.lettered().into_iter().take(NAMED).map(one).collect();
        let more = self.marks.len().saturating_sub(NAMED);
        named.extend((more > 0).then(|| format!("and {more} more")));
        format!(" Marked: {}.", named.join("; "))
    }

    /// What a mark is of.
    fn what(&self, mark: &Mark) -> Text {
        let (front, end) = match mark.kind {
            Kind::Deploy => ("deploy ", ""),
            Kind::IndexCame => ("index ", " came"),
            Kind::IndexWent => ("index ", " went"),
        };
        let mut what = match mark.kind {
            Kind::Deploy => Text::from(front).and(Piece::Strong(mark.text.clone())),
            _ => Text::from(front).and(Piece::Code(mark.text.clone())).and(end),
        };
        if !mark.database.is_empty() {
            what = what.and(format!(", in {}", mark.database));
        }
        if !mark.instance.is_empty() && mark.kind == Kind::Deploy && self.instances.len() > 1 {
            what = what.and(format!(", of {}", mark.instance));
        }
        what
    }

    /// The list of marks.
    pub(super) fn what_happened(&self, document: &mut Document) {
        if self.marks.is_empty() {
            return;
        }
        document.put(Block::heading(3, "What happened"));
        let lettered = self.lettered();
        let earlier = lettered.len().saturating_sub(LISTED);
        let row = |at: usize| {
            let (letter, mark) = &lettered[at];
            let when = match mark.since < mark.at {
                true => format!("between {} and {}", moment(mark.since), moment(mark.at)),
                false => moment(mark.at),
            };
            let before = at.checked_sub(1).map(|before| self.marks[before].at);
            let next = self.marks.get(at + 1).map(|next| next.since);
            let was = self.mean(before.unwrap_or(i64::MIN), mark.since);
            let is = self.mean(mark.at, next.unwrap_or(i64::MAX));
            texts![letter.clone(), when, self.what(mark), maybe_time(was), maybe_time(is)]
        };
        let columns = "|when|+ what|# a call before|# a call since";
        document.put(Block::Table(Table::new(columns).with((earlier..lettered.len()).map(row))));
        if earlier > 0 {
            document.put(Block::say(format!("{earlier} earlier ones are on the picture only.")));
        }
    }

    /// What a call took on average in the parts of the picture that are as a whole in a time, in microseconds. `None`: there were few, or none.
    fn mean(&self, from: i64, until: i64) -> Option<u64> {
        let series = &self.series;
        let is_within = |part: usize| {
            let start = series.from + part as i64 * series.width;
            start >= from && start.saturating_add(series.width) <= until
        };
        let within = |slots: &Vec<Slot>| {
            let within = slots.iter().enumerate().filter(|(part, _)| is_within(*part));
            within.fold((0.0, 0.0), |(calls, micros), (_, slot)| (calls + slot.calls, micros + slot.micros))
        };
        let sums = series.shapes.values().map(within);
        let (calls, micros) = sums.fold((0.0, 0.0), |all, one| (all.0 + one.0, all.1 + one.1));
        (calls >= FEW).then(|| (micros / calls) as u64)
    }
}

/// A, B, ... Z, AA, AB, ...
fn letter_of(number: usize) -> String {
    let letter = |n: usize| char::from(b'A' + (n % 26) as u8);
    match number / 26 {
        0 => letter(number).to_string(),
        more => format!("{}{}", letter_of(more - 1), letter(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_go_on_behind_z() {
        assert_eq!([0, 25, 26, 27, 52].map(letter_of), ["A", "Z", "AA", "AB", "BA"]);
    }
}
