//! What the report says, section by section, in the order in which it is read.

mod budget;
mod changes;
mod first;
mod fleet;
mod marks;
mod method;
pub mod parts;
mod served;
mod skew;
mod statements;

use super::Report;
use super::document::{Block, Document};

/// What is said where there is no advice.
const NOT_ASKED: &str = "Nothing is proposed yet, for no database was asked: a running pgweir does that within a minute after its start, and then \
    every `advise` of [history], when no session waits. What takes the time is known; see the overview.";

impl Report {
    /// The first page of a running pgweir: what to do first, what takes the time, and how that is known.
    pub fn overview(&self) -> Document {
        let mut document = Document::new("pgweir");
        self.headline(&mut document);
        if self.all.calls > 0 {
            self.do_first(&mut document);
            self.picture(&mut document);
            self.what_happened(&mut document);
            self.slow_statements(&mut document);
            self.errors(&mut document);
        }
        self.method(&mut document);
        document
    }

    /// All fixes, and what was rejected, as a page.
    pub fn fixes_page(&self) -> Document {
        let mut document = Document::new("Fixes");
        document.put(Block::Heading(1, "Fixes".into(), "top".into()));
        if !self.is_advised {
            document.put(Block::say(NOT_ASKED));
        } else if self.fixes.is_empty() {
            document.put(Block::say("Nothing is proposed."));
        } else {
            document.put(Block::Table(self.fix_table(&self.fixes.iter().collect::<Vec<_>>())));
        }
        self.what_megabytes_buy(&mut document);
        self.fixes.iter().for_each(|one| document.put(Block::Part(self.fix(one))));
        self.rejected(&mut document);
        document
    }

    /// A statement as a page.
    pub fn statement_page(&self, one: &super::Statement) -> Document {
        let mut document = Document::new(format!("{} - pgweir", one.id));
        let mut blocks = self.statement(one).into_iter();
        if let Some(Block::Heading(_, text, name)) = blocks.next() {
            document.put(Block::Heading(1, text, name));
        }
        document.blocks.extend(blocks);
        document
    }

    /// All of it.
    pub fn document(&self) -> Document {
        let mut document = Document::new(self.title());
        self.headline(&mut document);
        if self.all.calls > 0 {
            self.do_first(&mut document);
            self.picture(&mut document);
            self.what_happened(&mut document);
            self.slow_statements(&mut document);
            self.not_an_index(&mut document);
            self.cache_and_routing(&mut document);
            self.what_changed(&mut document);
            self.to_repair(&mut document);
            self.rejected(&mut document);
            self.errors(&mut document);
            self.by_pgweir(&mut document);
        }
        self.method(&mut document);
        if self.all.calls > 0 && !self.statements.is_empty() {
            document.put(Block::heading(2, "Per statement"));
            self.statements.iter().for_each(|one| document.put(Block::Part(self.statement(one))));
        }
        document
    }
}
