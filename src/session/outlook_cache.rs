//! Whether the result cache would be asked for a statement if the session sent it now, by what key, and on what the answer depends.
//!
//! The questions are those of [`super::cached`], in the words of `EXPLAIN ROUTE`.

use super::cached::{AGAINST, IRRELEVANT};
use super::outlook::Explained;
use super::serve::Session;
use crate::config::settings::PoolMode;
use crate::plan::cacheable::Refusal;
use crate::plan::explain::{Known, Line, Wish, reason};
use crate::rules::Decision;

impl Session {
    /// Nothing, where no rule keeps its answer.
    pub(super) fn cache_lines(&self, explained: &Explained<'_>, decision: &Decision<'_>) -> Vec<Line> {
        let Some(asked) = decision.cache() else { return vec![] };
        let contents = self.profiles.judge.contents();
        let known = match self.profiles.judge.knows() {
            true => Known::Contents(&contents),
            false => Known::NotYet,
        };
        let wish = Wish {
            rule: asked.rule.name(),
            cache: asked.action,
            known,
            settings: Some(self.settings_of_key()),
            simple: Some(explained.simple),
            kept_from: self.why_not_asked(explained, decision),
            not_a_read: explained.reads.reason().is_some(),
        };
        explained.statement.cached(self.dialect, &wish)
    }

    fn settings_of_key(&self) -> Vec<String> {
        let names = self.state.settings().keys().filter(|name| !IRRELEVANT.contains(&&***name));
        names.map(|name| String::from_utf8_lossy(name).into_owned()).collect()
    }

    /// As [`Session::look_in_cache`] asks, of a statement that is alone in its cycle.
    fn why_not_asked(&self, explained: &Explained<'_>, decision: &Decision<'_>) -> Option<&'static str> {
        let sets = |names: &[&[u8]]| names.iter().any(|name| self.state.settings().contains_key(*name));
        match () {
            () if decision.cache().is_some_and(|cache| !self.transaction_allows(cache.action)) => {
                Some(reason::IN_TRANSACTION)
            }
            () if self.mode != PoolMode::Transaction => Some(reason::SESSION_POOL),
            () if self.server.is_some() => Some(self.why_in_hand()),
            () if !self.has_settings_only() => Some(reason::SESSION_STATE),
            () if sets(&AGAINST) => Some(reason::SERIALIZABLE),
            () if self.looks_in_catalog_late() => Some(Refusal::SearchPath.name()),
            () if self.is_changed(explained, decision) => Some(reason::CHANGED),
            () => None,
        }
    }
}
