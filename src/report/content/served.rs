//! What is no index, the cache and replicas, indexes to drop or repair, and what was rejected.

use super::super::document::{Block, Document, Piece, Table, Text, texts};
use super::super::fixes::{Group, Listed};
use super::super::numbers::{count, share};
use super::super::{Origin, Report, Statement};
use super::parts;
use crate::stats::tally::SERVED;

/// So many statements are listed that the cache answers.
const LISTED: usize = 10;

impl Report {
    /// Fixes of a group.
    pub fn group(&self, group: Group) -> Vec<&Listed> {
        self.fixes.iter().filter(|one| one.group == group).collect()
    }

    fn fixes_of(&self, group: Group, document: &mut Document) {
        let fixes = self.group(group);
        document.put(Block::Table(self.fix_table(&fixes)));
        // Those that stand first are told there.
        let others = fixes.into_iter().filter(|one| !self.is_first(one));
        others.for_each(|one| document.put(Block::Part(self.fix(one))));
    }

    /// What no index cures.
    pub(super) fn not_an_index(&self, document: &mut Document) {
        if !self.group(Group::NotAnIndex).is_empty() {
            document.put(Block::heading(2, "Not an index"));
            self.fixes_of(Group::NotAnIndex, document);
        }
    }

    /// Who answered, and what rules would do.
    pub(super) fn cache_and_routing(&self, document: &mut Document) {
        let rules = !self.group(Group::Pgweir).is_empty();
        let through_pgweir = matches!(self.scope.origin, Origin::Store | Origin::Live);
        if !rules && !through_pgweir {
            return;
        }
        document.put(Block::heading(2, "Cache and routing"));
        if through_pgweir {
            document.put(Block::Table(self.who_answered()));
            let cached = self.cached();
            if !cached.rows.is_empty() {
                document.put(Block::Table(cached));
            }
        }
        self.fixes_of(Group::Pgweir, document);
    }

    /// Statements by who answered.
    pub fn who_answered(&self) -> Table {
        let rows = SERVED.iter().zip(self.all.served).filter(|(_, n)| *n > 0);
        let row = |(name, n): (&&str, u64)| texts![*name, count(n), share(n, self.all.calls)];
        Table::new("answered by|# statements|# share").with(rows.map(row))
    }

    /// Statements that the cache answers, by how many.
    pub fn cached(&self) -> Table {
        let mut cached: Vec<&Statement> =
            self.statements.iter().filter(|one| one.sums.served[2] > 0).collect();
        cached.sort_by_key(|one| std::cmp::Reverse(one.sums.served[2]));
        let row = |one: &&Statement| {
            texts![
                Text::link(one.id.clone(), self.to_statement(one)),
                count(one.sums.served[2]),
                share(one.sums.served[2], one.sums.calls),
                Piece::Code(parts::start(&one.text, 160)),
            ]
        };
        Table::new("cached|# hits|# of its calls|_ statement").with(cached.iter().take(LISTED).map(row))
    }

    /// Indexes to drop or to repair.
    pub(super) fn to_repair(&self, document: &mut Document) {
        if !self.group(Group::Repair).is_empty() {
            document.put(Block::heading(2, "Indexes to drop or repair"));
            self.fixes_of(Group::Repair, document);
        }
    }

    /// What was looked at and not proposed, with the reason.
    pub(super) fn rejected(&self, document: &mut Document) {
        if self.rejected.is_empty() {
            return;
        }
        document.put(Block::heading(2, "Looked at and rejected"));
        let row = |one: &crate::advice::Rejected| {
            let named = self.statements.iter().filter(|known| one.shapes.contains(&known.fingerprint));
            let ids: Vec<_> = named.map(|known| known.id.clone()).collect();
            texts![Piece::Code(one.what.clone()), ids.join(", "), one.why.clone()]
        };
        document.put(Block::Table(Table::new("+ what|for|+ why not").with(self.rejected.iter().map(row))));
    }
}
