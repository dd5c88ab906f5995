//! What the report says, section by section, in the order in which it is read.

mod changes;
mod first;
mod method;
pub mod parts;
mod served;
mod statements;

use super::Report;
use super::document::{Block, Document};

impl Report {
    /// All of it.
    pub fn document(&self) -> Document {
        let mut document = Document::new(self.title());
        self.headline(&mut document);
        if self.all.calls > 0 {
            self.do_first(&mut document);
            self.picture(&mut document);
            self.slow_statements(&mut document);
            self.not_an_index(&mut document);
            self.cache_and_routing(&mut document);
            self.what_changed(&mut document);
            self.to_repair(&mut document);
            self.rejected(&mut document);
            self.errors(&mut document);
        }
        self.method(&mut document);
        if self.all.calls > 0 && !self.statements.is_empty() {
            document.put(Block::heading(2, "Per statement"));
            self.statements.iter().for_each(|one| document.put(Block::Part(self.statement(one))));
        }
        document
    }
}
