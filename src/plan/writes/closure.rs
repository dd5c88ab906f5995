//! The tables that change with those that a statement changes.

use std::collections::{BTreeMap, BTreeSet};

use super::TriggerWrites;
use crate::catalog::{Detail, Events, Grounds, How, Id, RelationKind, Relations};
use crate::sql::facts::{ChangeKind, Class, Facts, Name};

/// More tables than this are everything.
const MOST_TABLES: usize = 1000;

/// What is followed, and by whose word.
pub(super) struct Closure<'a> {
    pub relations: &'a Relations,
    pub grounds: &'a Grounds,
    pub path: Option<&'a [&'a str]>,
    pub triggers: &'a [TriggerWrites],
}

/// What is done to the rows of a table.
#[derive(Clone)]
struct Done {
    events: Events,
    /// The columns that an UPDATE assigns; `None`: it may be any.
    assigned: Option<Vec<Box<str>>>,
    /// Tables with foreign keys to it are emptied too.
    truncates_all: bool,
    /// What its triggers write is known, and its rules, and the functions that are called with its rows.
    triggers_known: bool,
}

impl Done {
    fn any() -> Done {
        let events = Events::INSERT.and(Events::UPDATE).and(Events::DELETE);
        Done { events, assigned: None, truncates_all: false, triggers_known: false }
    }

    /// What a statement does to the tables that it names.
    fn by(facts: &Facts, truncates_all: bool) -> Done {
        let any = Done::any();
        let with = |events: Events| Done { events, ..Done::any() };
        match (facts.class, facts.changes, &facts.change) {
            (Class::Truncate, 0, _) => Done { truncates_all, ..with(Events::TRUNCATE) },
            (Class::Copy, 0, _) => with(Events::INSERT),
            (_, 1, Some(change)) => match &change.kind {
                ChangeKind::Insert(_) | ChangeKind::InsertOther { updates: false } => with(Events::INSERT),
                ChangeKind::InsertOther { updates: true } => with(Events::INSERT.and(Events::UPDATE)),
                ChangeKind::Update(_) => {
                    Done { assigned: Some(change.columns.clone()), ..with(Events::UPDATE) }
                }
                ChangeKind::Delete(_) => with(Events::DELETE),
            },
            _ => any,
        }
    }
}

impl Closure<'_> {
    /// All tables that may change, by number, in order; `None` if that cannot be told.
    pub fn of(&self, facts: &Facts, written: &[&Name], truncates_all: bool) -> Option<Vec<u32>> {
        let done = Done::by(facts, truncates_all);
        let mut open: Vec<(Id, Done)> = vec![];
        for name in written {
            let ids = self.relations.named(name, self.path);
            if ids.is_empty() {
                return None;
            }
            open.extend(ids.into_iter().map(|id| (id, done.clone())));
        }
        let mut seen: BTreeMap<Id, usize> = BTreeMap::new();
        let mut tables = BTreeSet::new();
        while let Some((id, done)) = open.pop() {
            // At most once as named, and once as one that follows.
            let times = seen.entry(id).or_default();
            *times += 1;
            if *times > 2 {
                continue;
            }
            if tables.len() > MOST_TABLES || open.len() > MOST_TABLES * 10 {
                return None;
            }
            self.relation(id, done, &mut tables, &mut open)?;
        }
        Some(tables.into_iter().collect())
    }

    /// Notes a relation and what changes with it.
    fn relation(
        &self,
        id: Id,
        mut done: Done,
        tables: &mut BTreeSet<u32>,
        open: &mut Vec<(Id, Done)>,
    ) -> Option<()> {
        let (schema, _) = self.relations.names(id);
        if schema == "pg_catalog" || schema == "information_schema" {
            return None;
        }
        let kind = self.relations.kind(id);
        match kind {
            RelationKind::Sequence | RelationKind::Materialized => return Some(()),
            RelationKind::Foreign => return None,
            RelationKind::Table | RelationKind::Partitioned | RelationKind::View => {}
        }
        let oid = self.relations.oid(id);
        let detail = self.grounds.detail(oid)?;
        if kind == RelationKind::Partitioned && done.events.meet(Events::UPDATE) {
            // Rows may move: they are deleted here and inserted there.
            done = Done { triggers_known: done.triggers_known, ..Done::any() };
        }
        let hidden = detail.rules || detail.calls_writers || detail.triggers.meet(done.events);
        if hidden && !done.triggers_known {
            self.by_triggers(id, open)?;
            done.triggers_known = true;
        }
        if kind != RelationKind::View {
            tables.insert(oid);
        }
        if done.truncates_all {
            for other in &detail.referring {
                open.push((self.relations.by_oid(*other)?, done.clone()));
            }
        }
        self.follow(id, detail, &done, open);
        Some(())
    }

    /// What rules say that the triggers of a table write, and whatever else is done with its rows; `None` if none does.
    fn by_triggers(&self, id: Id, open: &mut Vec<(Id, Done)>) -> Option<()> {
        let (schema, name) = self.relations.names(id);
        let is_it = |one: &&TriggerWrites| {
            &*one.table.name == name && one.table.schema.as_deref().is_none_or(|own| own == schema)
        };
        let mut said = self.triggers.iter().filter(is_it).peekable();
        said.peek()?;
        for written in said.flat_map(|one| &one.writes) {
            let ids = self.relations.named(written, None);
            if ids.is_empty() {
                return None;
            }
            open.extend(ids.into_iter().map(|id| (id, Done::any())));
        }
        Some(())
    }

    fn follow(&self, id: Id, detail: &Detail, done: &Done, open: &mut Vec<(Id, Done)>) {
        let kind = self.relations.kind(id);
        let updates = done.events.meet(Events::UPDATE) && self.passes_on(detail, done);
        for (how, to) in self.relations.ways(id) {
            match how {
                How::Child => open.push((to, done.clone())),
                How::View if kind == RelationKind::View => {
                    open.push((to, Done { assigned: None, triggers_known: false, ..done.clone() }));
                }
                How::Deleted if done.events.meet(Events::DELETE) => open.push((to, Done::any())),
                How::Updated if updates => open.push((to, Done::any())),
                How::View | How::Rule | How::Deleted | How::Updated => {}
            }
        }
    }

    /// Whether a column is assigned whose change foreign keys pass on.
    fn passes_on(&self, detail: &Detail, done: &Done) -> bool {
        let Some(assigned) = &done.assigned else { return true };
        let number = |name: &str| detail.column(name).map(|column| column.number);
        assigned.iter().any(|name| number(name).is_none_or(|number| detail.updates_follow.contains(&number)))
    }
}
