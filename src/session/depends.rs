//! What an answer that is to be kept depends on, as tags: by the text, and by what the answer will show.

use std::rc::Rc;
use std::time::Instant;

use super::asked::Asked;
use super::cached::ANY_SCHEMA;
use super::serve::Session;
use super::shown::{self, ByAnswer, Shown};
use crate::cache::Needs;
use crate::catalog::RelationKind;
use crate::plan::Profile;
use crate::plan::cacheable::{Columns, Dependencies, Given, KeyRows, Touched, TouchedRows};
use crate::rules::Cache;
use crate::runtime::caches::DatabaseCache;
use crate::sql::facts::{Access, Name, Table};

/// What is asked, and by which rule its answer is kept.
pub(super) struct About<'a> {
    pub(super) cache: &'a DatabaseCache,
    pub(super) rule: &'a Cache,
    pub(super) profile: &'a Rc<Profile>,
    /// Of the definitions by which it is judged.
    pub(super) stamp: u64,
    pub(super) asked: &'a Asked<'a>,
    pub(super) text: &'a [u8],
    pub(super) types: &'a [u8],
}

/// What a text leaves to the answer.
fn by_answer(dependencies: &Dependencies, given: &Given<'_>) -> ByAnswer {
    match &dependencies.row_key {
        Some(key) => ByAnswer::Rows(key.clone()),
        None => ByAnswer::Links(dependencies.linked(given).cloned().collect()),
    }
}

impl Session {
    /// The tags of the answer, and how it is told which rows it shows, where that is of use. `stream`: it needs that, and it has come so far. `None`: it must not be kept, or not yet.
    pub(super) fn depends<'n>(
        &self,
        needs: &'n mut Needs,
        about: &About<'_>,
        stream: Option<Option<Instant>>,
        now: Instant,
    ) -> Option<(&'n Needs, Option<Box<Shown>>)> {
        let About { cache, rule, profile, stamp, asked, text, types } = *about;
        let (mut touched, by_answer) = self.touched(profile, text, types, asked)?;
        self.add_declared(rule, &mut touched)?;
        let needs = collect(needs, cache, &touched, stream, now)?;
        let Some(as_of) = stream else { return Some((&*needs, None)) };
        let by_answer = match by_answer {
            // It may depend on any row of these tables by the rule too.
            ByAnswer::Links(_) if !rule.depends_on.is_empty() => None,
            told => shown::told(needs, cache, &touched, told, (as_of, now)),
        };
        let same_encoding = self.has_encoding_of_stream();
        let shown =
            by_answer.and_then(|told| Shown::new(told, cache, (profile, stamp), asked, same_encoding));
        Some((&*needs, shown))
    }

    /// On which rows the answer depends, and how it may be told which it shows.
    fn touched(
        &self,
        profile: &Profile,
        text: &[u8],
        types: &[u8],
        asked: &Asked<'_>,
    ) -> Option<(TouchedRows, ByAnswer)> {
        let dependencies = self.profiles.dependencies(profile, (text, self.dialect), ANY_SCHEMA);
        let named = match (asked.query, asked.parsed) {
            (None, None) => Some(self.known(asked.name)?.in_clients_words()),
            _ => None,
        };
        let literals = self.literals_of(text, named);
        let parameters = asked.parameters(types)?;
        let given = Given {
            text,
            dialect: self.dialect,
            literals: &literals,
            parameters: &parameters,
            same_encoding: self.has_encoding_of_stream(),
        };
        let found = match &*dependencies {
            Ok(one) => one.touched(&given).map(|touched| (touched, by_answer(one, &given))),
            Err(refusal) => Err(*refusal),
        };
        found.inspect_err(|refusal| self.pool.stats().refused(*refusal as usize)).ok()
    }

    /// The tables that a rule says it depends on, with what stands behind them. `None`: one is not known.
    fn add_declared(&self, rule: &Cache, touched: &mut TouchedRows) -> Option<()> {
        if rule.depends_on.is_empty() {
            return Some(());
        }
        let contents = self.profiles.judge.contents();
        let relations = contents.relations.as_ref()?;
        for name in &rule.depends_on {
            let name = Name { schema: name.schema.clone(), name: name.name.clone() };
            let declared = Table { name, access: Access::Read };
            if relations.named(&declared.name, None).is_empty() {
                return None;
            }
            let behind = relations.behind(std::slice::from_ref(&declared));
            for table in behind.iter().chain([&declared]) {
                let any = |oid| Touched { table: oid, columns: Columns::new(), values: KeyRows::new() };
                let ids = relations.named(&table.name, None);
                // A view has no rows of its own.
                let tables = ids.into_iter().filter(|id| relations.kind(*id) != RelationKind::View);
                touched.extend(tables.map(|id| any(relations.oid(id))));
            }
        }
        Some(())
    }
}

/// Names the tags of what is touched; `None` where the stream does not tell its changes yet, for which it is asked here. `stream`: that is needed, and it has
/// come so far.
fn collect<'n>(
    needs: &'n mut Needs,
    cache: &DatabaseCache,
    touched: &[Touched],
    stream: Option<Option<Instant>>,
    now: Instant,
) -> Option<&'n mut Needs> {
    needs.begin(cache.number);
    let mut ready = true;
    for one in touched {
        let relation = cache.relation(one.table);
        let Some(as_of) = stream else {
            needs.any_row(relation);
            continue;
        };
        match cache.told(relation, &one.columns, as_of, now) {
            Some(told) => {
                let values = one.values.iter().map(|values| values.iter().map(|value| &**value));
                needs.told(relation, &told, values);
            }
            None => {
                cache.want(relation);
                cache.used();
                ready = false;
            }
        }
    }
    ready.then_some(needs)
}
