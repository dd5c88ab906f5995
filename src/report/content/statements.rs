//! Slow statements: all of them in a table, the time over the window, and each by itself.

use super::super::document::{Block, Document, Piece, Table, Text, texts};
use super::super::numbers::{bytes, count, maybe_time, moment, rough, seconds, share, time};
use super::super::picture::{Drawn, Picture, Stacked};
use super::super::{Origin, Report, Statement, a_day};
use super::parts;
use crate::advice::plan::{Node, Plan};
use crate::stats::tally::{SERVED, Sums, TOTAL, Who};

/// So many shapes have a layer of their own.
const LAYERS: usize = 7;
/// So many of those who send a statement are named.
const SENDERS: usize = 3;
/// So many nodes of a plan are shown.
const NODES: usize = 24;

impl Report {
    /// Time by shape over the window.
    pub(super) fn picture(&self, document: &mut Document) {
        if let Some(picture) = self.time_by_shape() {
            document.put(Block::Picture(picture));
        }
    }

    /// The time that clients waited, by shape, over the window. `None`: it is not known when.
    pub fn time_by_shape(&self) -> Option<Picture> {
        let series = &self.series;
        if series.parts < 2 {
            return None;
        }
        let micros =
            |slots: &[crate::slow::Slot]| slots.iter().map(|slot| slot.micros / 1e6).collect::<Vec<_>>();
        let mut layers: Vec<(String, Vec<f64>)> = vec![];
        for one in self.statements.iter().filter(|one| !one.series.is_empty()).take(LAYERS) {
            layers.push((format!("{} {}", one.id, parts::start(&one.text, 40)), micros(&one.series)));
        }
        let mut rest = vec![0.0; series.parts];
        let listed: Vec<u128> = self.statements.iter().take(LAYERS).map(|one| one.fingerprint).collect();
        for (_, slots) in series.shapes.iter().filter(|(name, _)| !listed.contains(name)) {
            rest.iter_mut().zip(slots).for_each(|(sum, slot)| *sum += slot.micros / 1e6);
        }
        layers.push(("all others".to_owned(), rest));
        let first = self.statements.first().map(|one| one.id.clone()).unwrap_or_default();
        self.over_time("Time by statement", layers, &first)
    }

    /// Seconds over the window, in layers; most is that of `first`. `None`: it is not known when.
    pub(super) fn over_time(
        &self,
        title: &str,
        layers: Vec<(String, Vec<f64>)>,
        first: &str,
    ) -> Option<Picture> {
        let series = &self.series;
        if series.parts < 2 {
            return None;
        }
        let sum = |at: usize| layers.iter().filter_map(|layer| layer.1.get(at)).sum::<f64>();
        let sums: Vec<f64> = (0..series.parts).map(sum).collect();
        let (peak, top) = sums
            .iter()
            .copied()
            .enumerate()
            .fold((0, 0.0), |best, one| if one.1 > best.1 { one } else { best });
        let width = seconds(series.width as f64);
        let at = moment(series.from + peak as i64 * series.width);
        let ends = (moment(series.from), moment(series.from + series.parts as i64 * series.width));
        let alternative = format!(
            "Time that clients waited, in parts of {width}: most of it at {at}, {}; over all, most is that of {first}.{}",
            seconds(top),
            self.marks_in_words()
        );
        let top = format!("{} in {width}", seconds(top));
        let drawn = Drawn::Stacked(Stacked { layers, ends, top, marks: self.drawn_marks() });
        Some(Picture { title: title.into(), alternative, drawn })
    }

    /// Those that took longest.
    pub(super) fn slow_statements(&self, document: &mut Document) {
        document.put(Block::heading(2, "Slow statements"));
        document.put(Block::Table(self.statement_table()));
        if self.shapes > self.statements.len() {
            let more = self.shapes - self.statements.len();
            document.put(Block::say(match self.scope.origin {
                Origin::Live => format!("{more} more shapes took less."),
                _ => format!("{more} more shapes took less; see --limit"),
            }));
        }
    }

    /// All statements.
    fn statement_table(&self) -> Table {
        let columns = "|# a day|# share|# calls|# errors|# p50|# p95|# p99|# max|over time|do|_ statement";
        let row = |one: &Statement| {
            let sums = &one.sums;
            let at = |share: f64| maybe_time(sums.quantile(TOTAL, share));
            let longest = if sums.longest > 0 { time(sums.longest) } else { "-".to_owned() };
            texts![
                Text::link(one.id.clone(), self.to_statement(one)),
                seconds(a_day(sums.micros[TOTAL], self.seconds())),
                share(sums.micros[TOTAL], self.all.micros[TOTAL]),
                count(sums.calls),
                count(sums.failures()),
                at(0.5),
                at(0.95),
                at(0.99),
                longest,
                spark(one),
                one.fixes.first().map_or(Text::default(), |id| Text::link(id.clone(), self.to_fix(id))),
                Piece::Code(parts::start(&one.text, 400)),
            ]
        };
        Table::new(columns).with(self.statements.iter().map(row))
    }

    /// A statement by itself.
    pub fn statement(&self, one: &Statement) -> Vec<Block> {
        let (sums, fingerprint) = (&one.sums, format!("{:032x}", one.fingerprint));
        let title = format!("{}  {}", one.id, parts::start(&one.text, 60));
        let mut blocks = vec![Block::Heading(3, title.into(), parts::anchor(&one.id))];
        blocks.push(Block::Code("statement".into(), one.text.clone()));
        let verdict = match (&one.verdict, self.is_advised) {
            (Some(why), _) => Text::strong(why.clone()),
            (None, true) => "It was not looked at: it is not among the slow ones.".into(),
            (None, false) => {
                self.dearest_clock(sums).map_or(Text::default(), |words| format!("{words}.").into())
            }
        };
        if !verdict.is_empty() {
            blocks.push(Block::Say(verdict));
        }
        if !one.fixes.is_empty() {
            let mut helps = Text::from("Helped by ");
            for (at, id) in one.fixes.iter().enumerate() {
                let comma = if at > 0 { ", " } else { "" };
                helps = helps.and(comma).and(Text::link(id.clone(), self.to_fix(id)));
            }
            blocks.push(Block::Say(helps.and(".")));
        }
        blocks.push(Block::Picture(self.clocks(sums)));
        blocks.extend(parts::histogram(sums).map(Block::Picture));
        blocks.extend(one.skew.iter().flat_map(super::skew::blocks));
        let mut notes = vec![Text::from(self.answered(sums))];
        if !one.by.is_empty() {
            notes.push(format!("sent by {}", by(&one.by)).into());
        }
        notes.push(Text::from("fingerprint ").and(Piece::Code(fingerprint)));
        blocks.push(Block::Notes(notes));
        if let Some(plan) = &one.plan {
            blocks.push(Block::Code(plan_label(plan), plan_text(plan)));
        }
        blocks
    }

    fn answered(&self, sums: &Sums) -> String {
        let shares = SERVED.iter().zip(sums.served).filter(|(_, n)| *n > 0);
        let shares: Vec<_> = shares.map(|(name, n)| format!("{name} {}", count(n))).collect();
        let each = |n: u64| n as f64 / sums.calls.max(1) as f64;
        let size = match self.scope.origin {
            Origin::Log => "rows and bytes are not known".to_owned(),
            Origin::PgStatStatements => format!("{} rows a call", rough(each(sums.rows))),
            _ => format!("{} rows, {} a call", rough(each(sums.rows)), bytes(each(sums.bytes) as u64)),
        };
        let served = if shares.is_empty() { "the server".to_owned() } else { shares.join(", ") };
        format!("answered by {served}; {size}")
    }
}

/// When its time was spent, in little room.
fn spark(one: &Statement) -> Text {
    let values: Vec<f64> = one.series.iter().map(|slot| slot.micros).collect();
    let most = values.iter().copied().fold(0.0, f64::max);
    if most <= 0.0 {
        return "".into();
    }
    let words =
        format!("{}: at most {} in one of {} parts of the time", one.id, time(most as u64), values.len());
    Piece::Spark(values, words).into()
}

fn by(by: &[(Who, u64)]) -> String {
    let one = |(who, _): &(Who, u64)| {
        let application = if who.application.is_empty() { "-" } else { &who.application };
        format!("{}/{}/{application}", who.database, who.user)
    };
    let mut named: Vec<_> = by.iter().take(SENDERS).map(one).collect();
    let more = by.len().saturating_sub(SENDERS);
    named.extend((more > 0).then(|| format!("and {more} more")));
    named.join(", ")
}

fn plan_label(plan: &Plan) -> String {
    match plan.milliseconds {
        Some(milliseconds) => format!("plan, as it was run: {}", time((milliseconds * 1000.0) as u64)),
        None => {
            format!("plan, as the planner has it (cost {:.0}); > marks the node that costs most", plan.cost())
        }
    }
}

/// A plan as a tree, with a mark at the node that costs most by itself.
fn plan_text(plan: &Plan) -> String {
    let own = |node: &Node| match node.actual {
        Some(actual) => {
            let below = node.below.iter().filter_map(|one| one.actual);
            actual.milliseconds * actual.loops - below.map(|one| one.milliseconds * one.loops).sum::<f64>()
        }
        None => node.cost.1 - node.below.iter().map(|one| one.cost.1).sum::<f64>(),
    };
    let nodes = plan.nodes();
    let dearest = nodes.iter().map(|node| own(node)).fold(f64::MIN, f64::max);
    let mut lines = vec![];
    let mut stack = vec![(&plan.top, 0)];
    while let Some((node, depth)) = stack.pop() {
        if lines.len() >= NODES {
            lines.push(format!("  ... {} nodes in all", nodes.len()));
            break;
        }
        let mark = if own(node) >= dearest { ">" } else { " " };
        lines.push(format!("{mark} {}{}", "  ".repeat(depth.min(12)), node_text(node)));
        stack.extend(node.below.iter().rev().map(|below| (below, depth + 1)));
    }
    lines.join("\n")
}

fn node_text(node: &Node) -> String {
    let mut text = node.kind.clone();
    if let Some((schema, name)) = &node.table {
        let schema = schema.as_ref().map_or(String::new(), |schema| format!("{schema}."));
        text += &format!(" on {schema}{name}");
    }
    if let Some(index) = &node.index {
        text += &format!(" by {index}");
    }
    text += &match node.actual {
        Some(actual) => {
            format!(", {} rows x {}, {:.2} ms", rough(actual.rows), rough(actual.loops), actual.milliseconds)
        }
        None => format!(", {} rows expected, cost {:.0}", rough(node.rows), node.cost.1),
    };
    if let Some(thrown) = node.actual.map(|actual| actual.thrown).filter(|thrown| *thrown > 0.0) {
        text += &format!(", {} rows thrown away", rough(thrown));
    }
    for (name, condition) in &node.conditions {
        text += &format!(", {name}: {}", parts::start(&shaped(condition), 200));
    }
    text
}

/// A condition without the values in it: they may be personal.
fn shaped(condition: &str) -> String {
    String::from_utf8_lossy(&crate::sql::shape(condition.as_bytes(), true).text).into_owned()
}
