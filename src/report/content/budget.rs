//! What megabytes buy, as a slider and as a table of its steps.

use super::super::Report;
use super::super::budget::Step;
use super::super::document::{Block, Document, Slider, Stop, Table, Text, texts};
use super::super::fixes::Group;
use super::super::numbers::{bytes, percent, seconds};

/// A slider has so many stops at most.
const STOPS: usize = 7;
/// Where it stands first: so much of what all would save.
const ENOUGH: f64 = 0.8;

impl Report {
    /// Of several new indexes, how much those up to each save, and take.
    pub(super) fn what_megabytes_buy(&self, document: &mut Document) {
        let steps = self.budget();
        let Some(all) = steps.last().filter(|_| steps.len() > 1) else { return };
        let total = all.saves;
        document.put(Block::heading(3, "Megabytes for indexes, minutes saved"));
        document.put(Block::Slider(slider(&steps, total)));
        let row = |step: &Step| {
            texts![
                bytes(step.bytes),
                Text::from("with ")
                    .and(Text::link(step.id.clone(), self.to_fix(&step.id)))
                    .and(format!("  {}", step.title)),
                bytes(step.adds),
                seconds(step.saves),
                percent(step.saves / total),
                if step.writes.abs() < 0.0005 {
                    "-".to_owned()
                } else {
                    format!("+{}", seconds(step.writes))
                },
            ]
        };
        let columns = "# up to|+ indexes|# adds|# saves a day|# of all|# writes a day";
        document.put(Block::Table(Table::new(columns).with(steps.iter().map(row))));
        let freed: i64 = self.group(Group::Repair).iter().map(|one| one.fix.price.bytes.min(0)).sum();
        if freed < 0 {
            document.put(Block::say(format!(
                "Indexes to drop free {} besides; see Indexes to drop or repair.",
                bytes(freed.unsigned_abs())
            )));
        }
    }
}

fn slider(steps: &[Step], total: f64) -> Slider {
    let last = steps.len() - 1;
    let count = steps.len().min(STOPS);
    // The first and the last, and others as evenly as it goes.
    let places: Vec<usize> = (0..count).map(|at| at * last / (count - 1).max(1)).collect();
    let stop = |place: &usize| {
        let step = &steps[*place];
        let many = if *place == 0 { "1 index".to_owned() } else { format!("{} indexes", place + 1) };
        let (room, saved) = (bytes(step.bytes), seconds(step.saves));
        let names: Vec<_> = steps[..=*place].iter().map(|one| one.id.as_str()).collect();
        Stop {
            name: room.clone(),
            share: step.saves / total,
            says: format!(
                "{room}: {many} save {saved} a day, {} of what all of them save: {}.",
                percent(step.saves / total),
                names.join(", ")
            ),
        }
    };
    let stops: Vec<Stop> = places.iter().map(stop).collect();
    let chosen = stops.iter().position(|stop| stop.share >= ENOUGH).unwrap_or(count - 1);
    Slider { name: "budget".into(), asks: "How large may new indexes be, together?".into(), stops, chosen }
}
