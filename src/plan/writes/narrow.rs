//! Changes of rows with certain primary keys, and of nothing else.

use super::closure::Closure;
use crate::catalog::{Column, ColumnKind, Detail, Events, How, RelationKind};
use crate::plan::cacheable::{Given, KeyColumn, KeyRow, KeyRows, Search};
use crate::sql::facts::{Change, ChangeKind, Constant, Facts};

/// A change of the rows of one table that have one of some primary keys. No trigger, rule or foreign key does anything beside it, and no
/// row has another key afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Narrow {
    /// `pg_class.oid`.
    pub table: u32,
    /// The columns of the primary key, all of them, in order of their numbers.
    pub key: Vec<KeyColumn>,
    /// Which columns may be others afterwards. In rows that begin or end to be, all are.
    pub assigned: Assigned,
}

/// Columns that a change assigns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assigned {
    /// All: INSERT and DELETE.
    All,
    /// These (`pg_attribute.attnum`), in order; none of the primary key. Generated columns are not among them.
    Columns(Vec<i16>),
}

impl Narrow {
    /// The primary keys that one text of the shape means, each with values in the order of the columns; `None` if one is doubtful, or there
    /// are too many: then any row of the table may change.
    pub fn touched(&self, given: &Given<'_>) -> Option<KeyRows> {
        let values = given.values_of(&self.key)?;
        // What is put into a `varchar(n)` may lose blanks at its end.
        let blank = |row: &KeyRow| row.iter().any(|value| value.ends_with(b" "));
        let cut = self.assigned == Assigned::All && values.iter().any(blank);
        (!cut).then_some(values)
    }
}

/// It, if the statement is such a change. `tables` is all that it changes.
pub(super) fn of(facts: &Facts, closure: &Closure<'_>, tables: &[u32]) -> Option<Narrow> {
    let change = facts.change.as_ref()?;
    let [table] = *tables else { return None };
    let ids = closure.relations.named(&change.table, closure.path);
    let [id] = *ids.as_slice() else { return None };
    let has_children = closure.relations.ways(id).any(|(how, _)| how == How::Child);
    if closure.relations.kind(id) != RelationKind::Table || has_children || closure.relations.oid(id) != table
    {
        return None;
    }
    let detail = closure.grounds.detail(table)?;
    if detail.key.is_empty() || closure.grounds.odd_equality {
        return None;
    }
    let (events, numbers) = match &change.kind {
        ChangeKind::Insert(_) => (Events::INSERT, None),
        ChangeKind::Update(_) => (Events::UPDATE, Some(assigned(change, detail)?)),
        ChangeKind::Delete(_) if !detail.deletes_follow => (Events::DELETE, None),
        ChangeKind::Delete(_) | ChangeKind::InsertOther { .. } => return None,
    };
    if detail.triggers.meet(events) || detail.rules || detail.calls_writers {
        return None;
    }
    let key = match &change.kind {
        ChangeKind::Insert(values) => inserted(&change.columns, values, detail)?,
        ChangeKind::Update(level) | ChangeKind::Delete(level) => {
            let search =
                Search { relations: closure.relations, grounds: closure.grounds, path: closure.path };
            let compared = search.keys(facts.levels.get(*level)?, 0, detail);
            let of = |number: &i16| compared.iter().find(|(key, _)| key.number == *number);
            detail.key.iter().map(|number| of(number).map(|(key, _)| key.clone())).collect::<Option<_>>()?
        }
        ChangeKind::InsertOther { .. } => return None,
    };
    Some(Narrow { table, key, assigned: numbers.map_or(Assigned::All, Assigned::Columns) })
}

/// The columns that are assigned, if none is of the primary key or passed on by foreign keys.
fn assigned(change: &Change, detail: &Detail) -> Option<Vec<i16>> {
    let number = |name: &str| detail.column(name).map(|column| column.number);
    let mut numbers: Vec<i16> = change.columns.iter().map(|name| number(name)).collect::<Option<_>>()?;
    numbers.sort_unstable();
    numbers.dedup();
    let stays = |number: &i16| !detail.key.contains(number) && !detail.updates_follow.contains(number);
    numbers.iter().all(stays).then_some(numbers)
}

/// The constants for the primary key among the values of new rows. Without a list, values stand for the columns in order.
fn inserted(listed: &[Box<str>], values: &[Option<Constant>], detail: &Detail) -> Option<Vec<KeyColumn>> {
    let columns: Vec<Column> = match listed {
        [] => detail.all_columns().map(|(column, _)| column).collect(),
        listed => listed.iter().map(|name| detail.column(name)).collect::<Option<_>>()?,
    };
    let key = |number: &i16| {
        let at = columns.iter().position(|column| column.number == *number)?;
        let ColumnKind::Key(kind) = columns[at].kind else { return None };
        let constant = values.get(at)?.as_ref().filter(|constant| constant.cast.is_none())?;
        Some(KeyColumn { number: *number, kind, constant: constant.clone() })
    };
    detail.key.iter().map(key).collect()
}
