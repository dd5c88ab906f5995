//! What got worse, and what got better, since the time before.

use super::super::document::{Block, Document, Piece, Table, Text, texts};
use super::super::numbers::{maybe_time, percent, seconds, share, time};
use super::super::{Change, Report, Statement, a_day};
use super::parts;
use crate::stats::tally::TOTAL;

impl Report {
    /// What changed, if there is anything to compare with.
    pub(super) fn what_changed(&self, document: &mut Document) {
        let Some(before) = &self.before else { return };
        document.put(Block::heading(2, "What got worse"));
        let changed: Vec<_> =
            self.statements.iter().filter_map(|one| Some((one, self.change(one)?))).collect();
        let (worse, better): (Vec<_>, Vec<_>) =
            changed.into_iter().partition(|(_, change)| change.is_worse());
        let mut scans = vec![];
        for one in &self.statements {
            let tables = self.new_scans(one).unwrap_or_default();
            scans.extend(tables.into_iter().map(|table| {
                let name = Text::link(one.id.clone(), self.to_statement(one));
                name.and(Piece::Bad(format!(" reads all of {table}"))).and(" by its plan, and did not before")
            }));
        }
        if worse.is_empty() && scans.is_empty() {
            document.put(Block::say(format!("Nothing, beside {}.", before.what)));
        } else {
            document.put(Block::say(format!("Beside {}:", before.what)));
        }
        if !worse.is_empty() {
            document.put(Block::Table(self.changes(&worse)));
        }
        if !scans.is_empty() {
            document.put(Block::Notes(scans));
        }
        let gone = self.gone();
        if !better.is_empty() || !gone.is_empty() {
            document.put(Block::heading(3, "What got better"));
        }
        if !better.is_empty() {
            document.put(Block::Table(self.changes(&better)));
        }
        if !gone.is_empty() {
            let note = |(_, was): &(u128, &super::super::Figures)| {
                let day = seconds(was.a_day(before.seconds));
                Text::from(format!("not seen any more ({day} a day): "))
                    .and(Piece::Code(parts::start(&was.text, 160)))
            };
            document.put(Block::Notes(gone.iter().take(5).map(note).collect()));
        }
    }

    fn changes(&self, changed: &[(&Statement, Change)]) -> Table {
        let row = |(one, change): &(&Statement, Change)| {
            let sums = &one.sums;
            let p95 = maybe_time(sums.quantile(TOTAL, 0.95));
            let day = seconds(a_day(sums.micros[TOTAL], self.seconds()));
            let (what, was, is) = match *change {
                Change::New => ("new", "-".to_owned(), format!("{day} a day")),
                Change::Slower(p95_before) => ("slower, p95", time(p95_before), p95),
                Change::Faster(p95_before) => ("faster, p95", time(p95_before), p95),
                Change::Dearer(before) => {
                    ("more time", format!("{} a day", seconds(before)), format!("{day} a day"))
                }
                Change::Cheaper(before) => {
                    ("less time", format!("{} a day", seconds(before)), format!("{day} a day"))
                }
                Change::Failing(before) => {
                    ("fails more", percent(before), share(sums.failures(), sums.calls))
                }
            };
            let is = if change.is_worse() { Piece::Bad(is) } else { Piece::Good(is) };
            let statement = Piece::Code(parts::start(&one.text, 400));
            texts![Text::link(one.id.clone(), self.to_statement(one)), what, was, is, statement]
        };
        Table::new("|change|# before|# now|_ statement").with(changed.iter().map(row))
    }
}
