//! From the messages of the stream to what a sink is told.
//!
//! Nothing is kept of a row, so that a transaction may be as long as it likes: beyond so many changes of one table, the rest of
//! them are told as one.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::copy::FromServer;
use super::limbo::Xid;
use super::pgoutput::{Before, Message, Relation, Tuple};
use super::shared::Shared;
use super::status::{Cause, Loss};
use super::table::{Identity, Table};
use super::{Change, Commit, Kind, Old, Row};
use crate::plan::consistency::Lsn;

/// Whose messages in the WAL are for us: see `migrations/upstream/`.
pub(super) const PREFIX: &[u8] = b"pgweir";
/// More relations are not remembered; those beyond are told as a whole.
const MOST: usize = 16_384;
/// The table of a transaction that has touched more of them is not used again.
const FEW: usize = 64;

/// What has been streamed so far, as far as it is needed for what comes.
#[derive(Debug, Default)]
pub(super) struct Applier {
    relations: HashMap<u32, Streamed, RandomState>,
    open: Option<Open>,
    /// That of the last transaction, to be used again.
    told: Told,
}

/// Rows of each table that were told; `None`: the table was told as a whole, which covers all that may come.
type Told = HashMap<u32, Option<u32>, RandomState>;

/// A transaction whose changes are on their way.
#[derive(Debug)]
struct Open {
    commit: Commit,
    told: Told,
}

/// A relation as the stream has told it.
#[derive(Debug)]
struct Streamed {
    identity: u8,
    columns: Vec<(Box<[u8]>, u32, bool)>,
    /// As the catalog has it, when it is the same.
    known: Option<Known>,
}

#[derive(Debug)]
struct Known {
    table: Arc<Table>,
    /// Numbers of the columns that are sent.
    columns: Vec<i16>,
    /// Those of the replica identity.
    key: Vec<i16>,
}

impl Applier {
    /// Takes what has come.
    pub(super) fn hear(&mut self, shared: &Shared, heard: FromServer<'_>) -> Result<(), Loss> {
        match heard {
            FromServer::KeepAlive { passed, .. } => {
                shared.passed(passed);
                Ok(())
            }
            FromServer::Data(bytes) => match Message::read(bytes) {
                Ok(message) => self.message(shared, message),
                Err(error) => Err(unreadable(error.to_string())),
            },
        }
    }

    /// Takes the beginning of a message that is too long to be read.
    pub(super) fn hear_beginning(&mut self, shared: &Shared, bytes: &[u8]) -> Result<(), Loss> {
        let Some(FromServer::Data(message)) = FromServer::read(bytes) else {
            return Err(unreadable("a message that is too long".into()));
        };
        match message {
            [b'I' | b'U' | b'D', a, b, c, d, ..] => {
                let relation = u32::from_be_bytes([*a, *b, *c, *d]);
                let open = self.open.as_mut().ok_or_else(outside)?;
                open.bulk(shared, relation);
                Ok(())
            }
            // Nobody says so much to us.
            [b'M', ..] => {
                self.open.iter().for_each(|open| shared.sink().definitions_changed(&open.commit));
                Ok(())
            }
            _ => Err(unreadable("a message that is too long".into())),
        }
    }

    fn message(&mut self, shared: &Shared, message: Message<'_>) -> Result<(), Loss> {
        match message {
            Message::Begin { commit, xid } => self.begin(shared, commit, Xid(xid)),
            Message::Commit { end, .. } => {
                let Open { commit, mut told } = self.open.take().ok_or_else(outside)?;
                if told.len() <= FEW {
                    told.clear();
                    self.told = told;
                }
                shared.committed(&commit, end)
            }
            Message::Relation(relation) => {
                self.relation(&relation);
                Ok(())
            }
            Message::Type | Message::Origin => Ok(()),
            Message::Insert { relation, new } => {
                self.change(shared, relation, Kind::Insert, Before::Nothing, Some(new))
            }
            Message::Update { relation, old, new } => {
                self.change(shared, relation, Kind::Update, old, Some(new))
            }
            Message::Delete { relation, old } => self.change(shared, relation, Kind::Delete, old, None),
            Message::Truncate(relations) => {
                let open = self.open.as_mut().ok_or_else(outside)?;
                relations.iter().for_each(|relation| open.truncated(shared, relation));
                Ok(())
            }
            Message::Said { transactional: true, prefix: PREFIX, content } => {
                let open = self.open.as_ref().ok_or_else(outside)?;
                said(shared, &open.commit, content);
                Ok(())
            }
            Message::Said { .. } => Ok(()),
        }
    }

    fn begin(&mut self, shared: &Shared, lsn: Lsn, xid: Xid) -> Result<(), Loss> {
        if self.open.is_some() {
            return Err(unreadable("a transaction within another".into()));
        }
        let commit = Commit { xid, lsn, visible: shared.shows(xid) };
        shared.sink().begin(&commit);
        self.open = Some(Open { commit, told: std::mem::take(&mut self.told) });
        Ok(())
    }

    fn relation(&mut self, relation: &Relation<'_>) {
        if self.relations.len() >= MOST && !self.relations.contains_key(&relation.oid) {
            return;
        }
        let columns = relation.columns().map(|column| (column.name.into(), column.type_oid, column.key));
        let streamed = Streamed { identity: relation.identity, columns: columns.collect(), known: None };
        self.relations.insert(relation.oid, streamed);
    }

    fn change(
        &mut self,
        shared: &Shared,
        relation: u32,
        kind: Kind,
        before: Before<'_>,
        new: Option<Tuple<'_>>,
    ) -> Result<(), Loss> {
        let open = self.open.as_mut().ok_or_else(outside)?;
        match open.told.entry(relation).or_insert(Some(0)) {
            None => return Ok(()),
            Some(rows) if *rows >= shared.options().rows => {
                open.bulk(shared, relation);
                return Ok(());
            }
            Some(rows) => *rows += 1,
        }
        let streamed = self.relations.get_mut(&relation);
        let identity = streamed.as_ref().map_or(b'n', |streamed| streamed.identity);
        let Some(known) = streamed.and_then(|streamed| streamed.known(shared.table(relation))) else {
            open.bulk(shared, relation);
            shared.is_not_as_read(&open.commit, relation);
            return Ok(());
        };
        let sent = new.iter().chain(before.tuple()).all(|tuple| tuple.len() == known.columns.len());
        if !sent {
            return Err(unreadable("a row with other columns than its table".into()));
        }
        let new = new.map(|tuple| Row::new(tuple, &known.columns, None));
        let only = matches!(before, Before::Key(_)).then_some(&*known.key);
        let old = before.tuple().map(|tuple| Row::new(*tuple, &known.columns, only));
        let old = match (kind, before, &old) {
            (Kind::Insert, ..) => Old::Absent,
            (_, Before::Whole(_), Some(row)) => Old::Whole(row),
            (_, Before::Key(_), Some(row)) => Old::Key(row),
            (Kind::Update, Before::Nothing, _) if matches!(identity, b'd' | b'i') => Old::KeyUnchanged,
            _ => Old::Unknown,
        };
        let change = Change { table: &known.table, kind, new: new.as_ref(), old };
        shared.sink().changed(&open.commit, &change);
        Ok(())
    }
}

impl Open {
    /// The table is told as a whole, once.
    fn bulk(&mut self, shared: &Shared, relation: u32) {
        if self.told.insert(relation, None) != Some(None) {
            shared.sink().bulk(&self.commit, relation);
        }
    }

    fn truncated(&mut self, shared: &Shared, relation: u32) {
        if self.told.insert(relation, None) != Some(None) {
            shared.sink().truncated(&self.commit, relation);
        }
    }
}

impl Streamed {
    /// What the catalog has, if the stream says the same.
    fn known(&mut self, table: Option<Arc<Table>>) -> Option<&Known> {
        let table = table?;
        if self.known.as_ref().is_none_or(|known| !Arc::ptr_eq(&known.table, &table)) {
            self.known = self.is_like(&table).then(|| {
                let columns: Vec<i16> = table.streamed().map(|column| column.number).collect();
                let key = match &table.identity {
                    Identity::Key(key) => key.clone(),
                    Identity::Full => columns.clone(),
                    Identity::None => vec![],
                };
                Known { table, columns, key }
            });
        }
        self.known.as_ref()
    }

    fn is_like(&self, table: &Table) -> bool {
        let is_key = |number| match &table.identity {
            Identity::Key(key) => key.contains(&number),
            Identity::Full => true,
            Identity::None => false,
        };
        let same = |(streamed, column): (&(Box<[u8]>, u32, bool), &super::table::Column)| {
            *streamed.0 == *column.name.as_bytes()
                && streamed.1 == column.type_oid
                && streamed.2 == is_key(column.number)
        };
        (self.identity == b'f') == (table.identity == Identity::Full)
            && self.columns.len() == table.streamed().count()
            && self.columns.iter().zip(table.streamed()).all(same)
    }
}

impl<'a> Before<'a> {
    fn tuple(&self) -> Option<&Tuple<'a>> {
        match self {
            Before::Nothing => None,
            Before::Key(tuple) | Before::Whole(tuple) => Some(tuple),
        }
    }
}

/// A message of the optional objects: `relation` and numbers, or `definitions`; for what is not understood, all definitions.
fn said(shared: &Shared, commit: &Commit, content: &[u8]) {
    let relations = std::str::from_utf8(content).ok().and_then(|text| text.strip_prefix("relation "));
    let relations = relations.and_then(|list| list.split(' ').map(|oid| oid.parse().ok()).collect());
    let relations: Option<Vec<u32>> = relations;
    match relations {
        Some(relations) => {
            for relation in relations {
                shared.sink().relation_changed(Some(commit), relation);
                shared.read_again();
            }
        }
        None => {
            shared.sink().definitions_changed(commit);
            shared.read_again();
        }
    }
}

fn unreadable(text: String) -> Loss {
    Loss::new(Cause::Failed, "08P01", format!("the stream cannot be read: {text}"))
}

fn outside() -> Loss {
    unreadable("a change outside of a transaction".into())
}
