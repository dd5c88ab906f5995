//! The first screen: what it is of, four numbers, and what to do first.

use super::super::document::{Block, Document, Number, Piece, Table, Text, texts};
use super::super::fixes::{Group, Listed};
use super::super::numbers::{count, maybe_time, moment, seconds, share, time};
use super::super::{Origin, Report, a_day};
use super::parts;
use crate::stats::tally::TOTAL;

/// So many pgweirs are named.
const NAMED: usize = 6;
/// So many fixes stand in the first table.
const FIRST: usize = 3;

impl Report {
    /// What it is of.
    pub fn title(&self) -> String {
        let of = match self.scope.origin {
            Origin::Store | Origin::Log => std::path::Path::new(&self.scope.name)
                .file_name()
                .map_or_else(|| self.scope.name.clone(), |name| name.to_string_lossy().into_owned()),
            Origin::Live => "since the start".to_owned(),
            Origin::PgStatStatements => "pg_stat_statements".to_owned(),
        };
        format!("Slow queries: {of}")
    }

    /// Where and when, how much, and the four numbers.
    pub(super) fn headline(&self, document: &mut Document) {
        document.put(Block::Heading(1, self.title().into(), "top".into()));
        let name = &self.scope.name;
        let Some((from, to)) = self.between.filter(|_| self.all.calls > 0) else {
            let since = moment(self.scope.window.0);
            return document.put(Block::say(format!("{name}: no statements since {since}.")));
        };
        let mut line = format!("{name}   {} -> {}", moment(from), moment(to));
        match self.instances.len() {
            0 => {}
            1..=NAMED => line += &format!("   counted by {}", self.instances.join(", ")),
            many => line += &format!("   counted by {many} pgweirs"),
        }
        document.put(Block::say(line));
        let waited = match self.is_of_pgweir() {
            true => format!(", {} that clients waited", time(self.all.micros[TOTAL])),
            false => String::new(),
        };
        document.put(Block::say(format!(
            "{} statements, {} shapes, {} of database time{waited}",
            count(self.all.calls),
            count(self.shapes as u64),
            time(self.database_time()),
        )));
        document.put(Block::Numbers(self.four_numbers()));
    }

    fn four_numbers(&self) -> Vec<Number> {
        let all = &self.all;
        let before = self.before.as_ref().map(|before| &before.all);
        let number = |name: &str, value: String, aside: String| Number { name: name.into(), value, aside };
        let was = before.and_then(|all| all.p95).map_or(String::new(), |p95| format!("before {}", time(p95)));
        let failed = format!("{} of statements", share(all.failures(), all.calls));
        let errors = match self.scope.origin {
            Origin::PgStatStatements => number("errors", "-".into(), "not counted".into()),
            _ => number("errors", count(all.failures()), failed),
        };
        let p95 = number("p95 of all statements", maybe_time(all.quantile(TOTAL, 0.95)), was);
        if self.is_of_pgweir() {
            let wait = number("p95 of pool wait", maybe_time(all.quantile(0, 0.95)), String::new());
            let cached = format!("{} statements", count(all.served[2]));
            return vec![p95, wait, number("cache hits", share(all.served[2], all.calls), cached), errors];
        }
        let mean = all.micros[TOTAL].checked_div(all.calls - all.failures().min(all.calls));
        vec![
            p95,
            number("mean", maybe_time(mean), String::new()),
            number("longest", time(all.longest), String::new()),
            errors,
        ]
    }

    /// What to do first, and each with what is to be copied.
    pub(super) fn do_first(&self, document: &mut Document) {
        document.put(Block::heading(2, "Do these first"));
        let first: Vec<&Listed> = self.first().collect();
        if first.is_empty() {
            self.nothing_proposed(document);
            return;
        }
        document.put(Block::Table(self.fix_table(&first)));
        first.iter().for_each(|one| document.put(Block::Part(self.fix(one))));
        let more: Vec<&Listed> =
            self.group(Group::Index).into_iter().filter(|one| !self.is_first(one)).collect();
        if !more.is_empty() {
            document.put(Block::heading(2, "More indexes"));
            document.put(Block::Table(self.fix_table(&more)));
            more.iter().for_each(|one| document.put(Block::Part(self.fix(one))));
        }
        self.what_megabytes_buy(document);
    }

    /// What stands first.
    fn first(&self) -> impl Iterator<Item = &Listed> {
        self.fixes.iter().filter(|one| one.group != Group::Repair).take(FIRST)
    }

    /// Whether a fix stands there.
    pub(super) fn is_first(&self, fix: &Listed) -> bool {
        self.first().any(|one| one.key == fix.key)
    }

    /// What takes the time all the same.
    fn nothing_proposed(&self, document: &mut Document) {
        let reason = match (self.is_advised, self.scope.origin) {
            (true, _) => {
                "Nothing is proposed: what was looked at, and why it was not enough, stands under Looked at and rejected."
            }
            (false, Origin::Store | Origin::Log) => {
                "No database was asked what to do: put its URL at the end of `pgweir report`. What takes the time:"
            }
            (false, _) => {
                "Nothing is proposed, for no database was asked. What takes the time is known all the same:"
            }
        };
        document.put(Block::say(reason));
        let all = self.all.micros[TOTAL].max(1);
        let line = |one: &super::super::Statement| {
            let micros = one.sums.micros[TOTAL];
            Text::link(one.id.clone(), self.to_statement(one))
                .and(format!(
                    " takes {} of all time ({} a day, {} calls{}): ",
                    share(micros, all),
                    seconds(a_day(micros, self.seconds())),
                    count(one.sums.calls),
                    self.dearest_clock(&one.sums).map_or(String::new(), |words| format!("; {words}"))
                ))
                .and(Piece::Code(parts::start(&one.text, 160)))
        };
        document.put(Block::Notes(self.statements.iter().take(3).map(line).collect()));
    }

    /// A fix: why, how sure, what to copy, how to undo it.
    pub fn fix(&self, one: &Listed) -> Vec<Block> {
        let fix = &one.fix;
        let title = Text::from(format!("{}  {}", one.id, fix.title));
        let mut blocks = vec![Block::Heading(3, title, parts::anchor(&one.id))];
        let saves = match fix.saves {
            Some(_) => Text::from("Saves ").and(Piece::Good(format!("{} a day", one.saves()))),
            None => "What it saves is not known".into(),
        };
        let known = saves.and(format!("; price: {}; proof: {}.", one.price(), one.proof()));
        blocks.push(Block::Say(known));
        let helped = self.statements.iter().filter(|one| fix.helps.contains(&one.fingerprint));
        let mut helps = Text::from("Helps ");
        for (at, statement) in helped.enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            helps = helps.and(comma).and(Text::link(statement.id.clone(), self.to_statement(statement)));
        }
        if helps.0.len() > 1 {
            blocks.push(Block::Say(helps.and(".")));
        }
        if !fix.evidence.is_empty() {
            blocks.push(Block::Notes(fix.evidence.iter().map(|line| line.clone().into()).collect()));
        }
        blocks.extend(one.blocks().into_iter().map(|(label, text)| Block::Code(label, text)));
        blocks
    }

    /// Fixes in a table.
    pub fn fix_table(&self, fixes: &[&Listed]) -> Table {
        let row = |one: &&Listed| {
            texts![
                Text::link(one.id.clone(), self.to_fix(&one.id)),
                Text::from(one.fix.title.clone()),
                Piece::Good(one.saves()),
                one.price(),
                one.proof(),
            ]
        };
        Table::new("|+ what|# saves a day|price|proof").with(fixes.iter().map(row))
    }
}
