//! The pgweirs that counted, beside each other.

use super::super::document::{Block, Document, Piece, Table, Text, texts};
use super::super::numbers::{count, maybe_time, moment, share, time};
use super::super::picture::Picture;
use super::super::{ByInstance, Report};
use crate::slow::Slot;
use crate::stats::tally::TOTAL;

/// So many are listed: those that took most time.
const LISTED: usize = 50;
/// So many have a layer of their own.
const LAYERS: usize = 7;
/// Whoever has counted nothing for so many seconds when others have is told.
const SILENT: i64 = 180;

impl Report {
    /// The pgweirs of a fleet, as a page.
    pub fn fleet_page(&self) -> Document {
        let mut document = Document::new("Fleet - pgweir");
        document.put(Block::Heading(1, "Fleet".into(), "top".into()));
        let Some((from, to)) = self.between.filter(|_| !self.by_instance.is_empty()) else {
            document.put(Block::say(
                "Nothing was counted in the last hour that is in a store: start pgweirs with --store, or with url under [history] for one store in common.",
            ));
            return document;
        };
        document.put(Block::say(format!(
            "{}   {} -> {}   what all pgweirs have counted that write to this store",
            self.scope.name,
            moment(from),
            moment(to)
        )));
        document.put(Block::Table(self.instance_table()));
        document.blocks.extend(self.time_by_instance().map(Block::Picture));
        self.what_happened(&mut document);
        document
    }

    /// The same in a report, where there are several.
    pub(super) fn by_pgweir(&self, document: &mut Document) {
        if self.by_instance.len() > 1 {
            document.put(Block::heading(2, "By pgweir"));
            document.put(Block::Table(self.instance_table()));
        }
    }

    /// Those that took most time first.
    fn instances_in_order(&self) -> Vec<(&String, &ByInstance)> {
        let mut all: Vec<_> = self.by_instance.iter().collect();
        all.sort_by_key(|(name, one)| (std::cmp::Reverse(one.sums.micros[TOTAL]), *name));
        all
    }

    fn instance_table(&self) -> Table {
        let newest = self.by_instance.values().map(|one| one.last).max().unwrap_or(0);
        let row = |(name, one): (&String, &ByInstance)| {
            let sums = &one.sums;
            let at = |share: f64| maybe_time(sums.quantile(TOTAL, share));
            let last = match newest - one.last >= SILENT {
                true => Text::from(Piece::Bad(format!("silent since {}", moment(one.last)))),
                false => moment(one.last).into(),
            };
            texts![
                Piece::Strong(name.clone()),
                count(sums.calls),
                share(sums.micros[TOTAL], self.all.micros[TOTAL]),
                count(sums.failures()),
                at(0.5),
                at(0.95),
                maybe_time(sums.quantile(0, 0.95)),
                share(sums.served[2], sums.calls),
                spark(name, one),
                last,
            ]
        };
        let columns = "pgweir|# calls|# of the time|# errors|# p50|# p95|# p95 of pool wait|# cache hits|over time|last counted";
        Table::new(columns).with(self.instances_in_order().into_iter().take(LISTED).map(row))
    }

    /// The time that clients waited, by pgweir. `None`: it is not known when.
    fn time_by_instance(&self) -> Option<Picture> {
        let all = self.instances_in_order();
        let first = all.first()?.0.clone();
        let layer = |one: &ByInstance| one.series.iter().map(|slot| slot.micros / 1e6).collect::<Vec<_>>();
        let mut layers: Vec<(String, Vec<f64>)> =
            all.iter().take(LAYERS).map(|(name, one)| ((*name).clone(), layer(one))).collect();
        let mut rest = vec![0.0; self.series.parts];
        for (_, one) in all.iter().skip(LAYERS) {
            rest.iter_mut().zip(&one.series).for_each(|(sum, slot)| *sum += slot.micros / 1e6);
        }
        layers.push(("all others".to_owned(), rest));
        self.over_time("Time by pgweir", layers, &first)
    }
}

/// When its time was spent, in little room.
fn spark(name: &str, one: &ByInstance) -> Text {
    let values: Vec<f64> = one.series.iter().map(|slot: &Slot| slot.micros).collect();
    let most = values.iter().copied().fold(0.0, f64::max);
    if most <= 0.0 {
        return "".into();
    }
    let words = format!("{name}: at most {} in one of {} parts of the time", time(most as u64), values.len());
    Piece::Spark(values, words).into()
}
