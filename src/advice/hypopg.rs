//! Indexes that are not there, for the planner's eyes: HypoPG.
//!
//! They live in one session, outside of transactions; they can be made in one that may not write, and on a standby. Of a partitioned table
//! HypoPG knows nothing, so that each of its partitions gets one.

use std::collections::{BTreeMap, HashMap};

use super::ask::{Asker, NoPlan, Refused, Server};
use super::existing::full;
use super::index::{Definition, quoted};
use super::plan::Plan;
use super::schema::{Schema, Table};

/// Partitions of one table that get an index; of more, none does, and the planner is not asked.
const MOST_PARTITIONS: usize = 500;

/// What was made in the session so far.
#[derive(Debug)]
pub struct Hypothetical {
    /// The schema of the extension.
    schema: String,
    /// By candidate.
    there: BTreeMap<usize, Vec<Made>>,
    /// Candidates that could not be made, and why.
    refused: HashMap<usize, String>,
}

#[derive(Debug)]
struct Made {
    oid: u32,
    name: String,
}

impl Hypothetical {
    /// Begins with none; `None` where the extension is not there.
    ///
    /// # Errors
    /// As the server refuses it, such as without the right to use it.
    pub async fn open<S: Server>(
        asker: &mut Asker<S>,
        schema: &Schema,
    ) -> Result<Option<Hypothetical>, Refused> {
        let Some(name) = schema.extension("hypopg") else { return Ok(None) };
        let hypothetical =
            Hypothetical { schema: quoted(name), there: BTreeMap::new(), refused: HashMap::new() };
        asker.tell(&format!("SELECT {}.hypopg_reset()", hypothetical.schema), &[]).await?;
        Ok(Some(hypothetical))
    }

    /// Why a candidate could not be made.
    pub fn refused(&self, candidate: usize) -> Option<&str> {
        self.refused.get(&candidate).map(String::as_str)
    }

    /// Candidates whose indexes a plan uses.
    pub fn used(&self, plan: &Plan) -> Vec<usize> {
        let nodes = plan.nodes();
        let named = |made: &Made| nodes.iter().any(|node| node.index.as_deref() == Some(&made.name));
        self.there
            .iter()
            .filter(|(_, made)| made.iter().any(named))
            .map(|(candidate, _)| *candidate)
            .collect()
    }

    /// Whether an index by this name is one of a candidate.
    pub fn is_of(&self, candidate: usize, name: &str) -> bool {
        self.there.get(&candidate).is_some_and(|made| made.iter().any(|one| one.name == name))
    }

    /// Makes the session have these and no others. Those that cannot be made are noted, and left out.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn set<S: Server>(
        &mut self,
        asker: &mut Asker<S>,
        wanted: &[(usize, &Definition)],
        schema: &Schema,
    ) -> Result<(), NoPlan> {
        let gone: Vec<usize> =
            self.there.keys().copied().filter(|made| !wanted.iter().any(|(one, _)| one == made)).collect();
        self.drop_some(asker, &gone).await?;
        let missing: Vec<(usize, &Definition)> = wanted
            .iter()
            .filter(|(one, _)| !self.there.contains_key(one) && !self.refused.contains_key(one))
            .copied()
            .collect();
        if self.make(asker, &missing, schema).await.is_ok() {
            return Ok(());
        }
        // One of them is to blame. What was made before it is there, and nobody was told its name.
        self.reset(asker).await?;
        for one in
            wanted.iter().filter(|(one, _)| !self.refused.contains_key(one)).copied().collect::<Vec<_>>()
        {
            if let Err(refused) = self.make(asker, &[one], schema).await {
                if refused.lost {
                    return Err(refused.into());
                }
                self.refused.insert(one.0, refused.to_string());
            }
        }
        Ok(())
    }

    /// Drops all, and what was known of candidates: others will have their places.
    ///
    /// # Errors
    /// As the server refuses it.
    pub async fn forget<S: Server>(&mut self, asker: &mut Asker<S>) -> Result<(), Refused> {
        self.refused.clear();
        self.reset(asker).await
    }

    /// The session is gone, and with it all that was in it.
    pub fn lost(&mut self) {
        self.there.clear();
    }

    async fn reset<S: Server>(&mut self, asker: &mut Asker<S>) -> Result<(), Refused> {
        self.there.clear();
        asker.tell(&format!("SELECT {}.hypopg_reset()", self.schema), &[]).await.map(drop)
    }

    async fn drop_some<S: Server>(&mut self, asker: &mut Asker<S>, gone: &[usize]) -> Result<(), Refused> {
        let made: Vec<Made> = gone.iter().filter_map(|one| self.there.remove(one)).flatten().collect();
        if made.is_empty() {
            return Ok(());
        }
        let oids: Vec<String> = made.iter().map(|one| one.oid.to_string()).collect();
        let sql = format!(
            "SELECT {}.hypopg_drop_index(o) FROM pg_catalog.unnest($1::pg_catalog.oid[]) o",
            self.schema
        );
        asker.tell(&sql, &[Some(format!("{{{}}}", oids.join(",")))]).await.map(drop)
    }

    async fn make<S: Server>(
        &mut self,
        asker: &mut Asker<S>,
        missing: &[(usize, &Definition)],
        schema: &Schema,
    ) -> Result<(), Refused> {
        let mut texts: Vec<(usize, String)> = vec![];
        for (candidate, definition) in missing {
            let tables =
                schema.table(definition.table).map(|table| leaves(schema, table)).unwrap_or_default();
            if tables.is_empty() || tables.len() > MOST_PARTITIONS {
                let why = format!("its table has {} partitions", tables.len());
                self.refused.insert(*candidate, why);
                continue;
            }
            let text = |table: &&Table| {
                format!("CREATE INDEX ON {} {}", full(&table.schema, &table.name), definition.body())
            };
            texts.extend(tables.iter().map(|table| (*candidate, text(table))));
        }
        if texts.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "SELECT h.indexrelid, h.indexname FROM pg_catalog.json_array_elements_text($1::pg_catalog.json) \
             WITH ORDINALITY AS t(sql, place), LATERAL {}.hypopg_create_index(t.sql) AS h ORDER BY t.place",
            self.schema
        );
        let list: Vec<&str> = texts.iter().map(|(_, text)| text.as_str()).collect();
        let list = serde_json::to_string(&list).unwrap_or_default();
        let rows = asker.tell(&sql, &[Some(list)]).await?;
        for ((candidate, _), row) in texts.iter().zip(rows) {
            let mut cells = row.into_iter().flatten();
            let (Some(oid), Some(name)) = (cells.next().and_then(|oid| oid.parse().ok()), cells.next())
            else {
                continue;
            };
            self.there.entry(*candidate).or_default().push(Made { oid, name });
        }
        Ok(())
    }
}

/// The tables that have rows: the table itself, or the partitions of the partitions.
pub fn leaves<'a>(schema: &'a Schema, table: &'a Table) -> Vec<&'a Table> {
    let (mut found, mut open) = (vec![], vec![table]);
    while let Some(one) = open.pop() {
        if one.kind == 'p' {
            open.extend(schema.below(one.oid));
        } else {
            found.push(one);
        }
    }
    found.sort_by_key(|table| table.oid);
    found
}
