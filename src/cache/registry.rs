//! By which columns results of a table are told apart: what the stream makes tags of, and what a result may depend on.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Instant;

use foldhash::fast::RandomState;

use super::cures::{Cure, is_off};
use super::tag::{Relation, Shape, Tag};

/// Shapes of one table. A change makes tags for each, so there is a limit; what would need more depends on any row.
pub const MOST: usize = 16;

/// The shapes of a table at some time, with their tags. Who makes tags by it keeps it for as long as those are in doubt
/// ([`super::Doubt::found_by`]).
#[derive(Debug, Clone)]
pub struct Shapes(Arc<List>);

#[derive(Debug)]
struct List {
    table: Tag,
    any_row: Tag,
    all: Vec<Tagged>,
}

/// A shape of a table, with its tags, which each change of the table needs.
#[derive(Debug, Clone)]
pub struct Tagged {
    shape: Shape,
    /// [`Tag::shape`].
    pub tag: Tag,
    /// [`Tag::shape_by_rows`].
    pub by_rows: Tag,
}

impl Tagged {
    /// Of this table.
    pub fn new(relation: Relation, shape: Shape) -> Tagged {
        let (tag, by_rows) =
            (Tag::shape(relation, shape.columns()), Tag::shape_by_rows(relation, shape.columns()));
        Tagged { shape, tag, by_rows }
    }

    /// Its columns, in ascending order.
    pub fn columns(&self) -> &[i16] {
        self.shape.columns()
    }
}

impl Shapes {
    fn new(relation: Relation, all: Vec<Tagged>) -> Shapes {
        Shapes(Arc::new(List { table: Tag::table(relation), any_row: Tag::any_row(relation), all }))
    }

    /// All of them.
    pub fn all(&self) -> &[Tagged] {
        &self.0.all
    }

    /// [`Tag::any_row`] of the table.
    pub fn any_row(&self) -> Tag {
        self.0.any_row
    }
}

/// On what of a table a result may depend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// [`Tag::table`].
    pub table: Tag,
    /// [`Tag::shape`] of the columns that were asked for, if they may tell rows apart.
    pub shape: Option<Tag>,
    /// [`Tag::any_row`].
    pub any_row: Tag,
}

/// The shapes of all tables that are watched.
#[derive(Debug, Default)]
pub struct Registry(RwLock<HashMap<Relation, Table, RandomState>>);

#[derive(Debug)]
struct Table {
    /// Since when the stream tells of it; not at all now: `None`. What was asked for is kept, since lists of it may be in use.
    since: Option<Instant>,
    shapes: Shapes,
    /// Since when each is there.
    added: Vec<Instant>,
    /// The lists before each was added, for as long as somebody has them.
    older: Vec<Weak<List>>,
}

impl Registry {
    /// A table whose changes the stream tells: of every commit that becomes visible after `now`. That is not so at once when the table is added to the
    /// publication, but when all transactions that were running then have ended: what they changed before is never told.
    pub fn watch(&self, relation: Relation, now: Instant) {
        let mut tables = self.write();
        let shapes = || Shapes::new(relation, vec![]);
        let new = || Table { since: None, shapes: shapes(), added: vec![], older: vec![] };
        tables.entry(relation).or_insert_with(new).since.get_or_insert(now);
    }

    /// The stream tells nothing more of a table: no result may depend on its rows.
    pub fn forget(&self, relation: Relation) {
        if let Some(table) = self.write().get_mut(&relation) {
            table.since = None;
        }
    }

    /// The stream of a database is lost, and another will not know any table.
    pub fn forget_all(&self, database: u32) {
        let mut tables = self.write();
        tables.iter_mut().filter(|(relation, _)| relation.database == database).for_each(|(_, table)| {
            table.since = None;
        });
    }

    /// Asks for a shape of a table that is watched; it is usable later. False: the table is not watched, or has [`MOST`] others.
    pub fn register(&self, relation: Relation, shape: &Shape, now: Instant) -> bool {
        let mut tables = self.write();
        let Some(table) = tables.get_mut(&relation).filter(|table| table.since.is_some()) else {
            return false;
        };
        if table.shapes.all().iter().any(|one| one.shape == *shape) {
            return true;
        }
        if table.added.len() >= MOST {
            return false;
        }
        let all = table.shapes.all().iter().cloned().chain([Tagged::new(relation, shape.clone())]).collect();
        table.older.push(Arc::downgrade(&table.shapes.0));
        table.shapes = Shapes::new(relation, all);
        table.added.push(now);
        true
    }

    /// The shapes by which tags are made of a table's changes; `None`: it is not watched, and its tag is [`super::Tag::table`].
    pub fn shapes(&self, relation: Relation) -> Option<Shapes> {
        let tables = self.read();
        tables.get(&relation).filter(|table| table.since.is_some()).map(|table| table.shapes.clone())
    }

    /// Whether a result may depend on any row of a table: the stream tells its changes, and has come to where it began to.
    pub fn is_watched(&self, relation: Relation, fresh_as_of: Option<Instant>) -> bool {
        self.read().get(&relation).is_some_and(|table| table.is_told(fresh_as_of))
    }

    /// Whether a result may depend on rows with certain values of these columns.
    ///
    /// For that, each change that becomes visible from now on must touch the tags of this shape. Those that were told before it was there
    /// did not, and may not be visible yet: commits in limbo, and narrow writes that were sent. Both keep the list by which their tags were
    /// made; so a shape is usable when nobody has a list without it any more, and the stream has come to where it was added.
    pub fn usable(&self, relation: Relation, columns: &[i16], fresh_as_of: Option<Instant>) -> bool {
        self.told(relation, columns, fresh_as_of).is_some_and(|told| told.shape.is_some())
    }

    /// Both in one: the tags of what a result may depend on, of rows with certain values of these columns; `None`: the table is not watched.
    pub fn told(&self, relation: Relation, columns: &[i16], fresh_as_of: Option<Instant>) -> Option<Told> {
        let tables = self.read();
        let table = tables.get(&relation).filter(|table| table.is_told(fresh_as_of))?;
        let List { table: tag, any_row, .. } = *table.shapes.0;
        Some(Told { table: tag, shape: table.usable(columns, fresh_as_of), any_row })
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<Relation, Table, RandomState>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<Relation, Table, RandomState>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// The tag of a shape, if it is usable.
    fn usable(&self, columns: &[i16], fresh_as_of: Option<Instant>) -> Option<Tag> {
        let at = self.shapes.all().iter().position(|shape| shape.columns() == columns)?;
        let others = &self.older[..=at];
        let known = others.iter().all(|list| list.strong_count() == 0) || is_off(Cure::ShapeKnown);
        (known && fresh_as_of >= Some(self.added[at])).then(|| self.shapes.all()[at].tag)
    }

    fn is_told(&self, fresh_as_of: Option<Instant>) -> bool {
        self.since.is_some_and(|since| fresh_as_of >= Some(since))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TABLE: Relation = Relation { database: 0, oid: 1 };

    #[test]
    fn a_table_is_watched_from_its_fresh_point_on() {
        let (registry, start) = (Registry::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert!(!registry.is_watched(TABLE, Some(at(9))));
        assert!(!registry.register(TABLE, &Shape::new(&[1]), at(0)));
        registry.watch(TABLE, at(5));
        registry.watch(TABLE, at(9));
        assert!(!registry.is_watched(TABLE, Some(at(4))));
        assert!(registry.is_watched(TABLE, Some(at(5))));
        assert!(!registry.is_watched(TABLE, None));
        registry.forget(TABLE);
        assert!(!registry.is_watched(TABLE, Some(at(9))));
        assert!(registry.shapes(TABLE).is_none());
        registry.watch(TABLE, at(5));
        registry.forget_all(1);
        assert!(registry.is_watched(TABLE, Some(at(9))));
        registry.forget_all(0);
        assert!(!registry.is_watched(TABLE, Some(at(9))));
    }

    #[test]
    fn a_shape_is_usable_when_all_know_it() {
        let (registry, start) = (Registry::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let usable = |column, ms| registry.usable(TABLE, &[column], Some(at(ms)));
        registry.watch(TABLE, start);
        let limbo = registry.shapes(TABLE);
        assert!(registry.register(TABLE, &Shape::new(&[1]), at(1)));
        assert!(!usable(1, 9), "a list without it is in use");
        let writer = registry.shapes(TABLE);
        assert!(registry.register(TABLE, &Shape::new(&[2]), at(3)));
        drop(limbo);
        assert!(usable(1, 1) && !usable(1, 0), "the stream must have come to it");
        assert!(!usable(2, 9), "a list with the first and without the second is in use");
        drop(writer);
        assert!(usable(2, 3) && !usable(2, 2));
        assert!(!usable(3, 9));
        assert!(!registry.usable(TABLE, &[1], None));
        let shapes = registry.shapes(TABLE).expect("watched");
        let [one, two] = shapes.all() else { panic!("{shapes:?}") };
        assert_eq!((one.columns(), two.columns()), (&[1][..], &[2][..]));
        assert_eq!((one.tag, two.by_rows), (Tag::shape(TABLE, &[1]), Tag::shape_by_rows(TABLE, &[2])));
        assert_eq!(shapes.any_row(), Tag::any_row(TABLE));
    }

    #[test]
    fn lists_are_known_while_a_table_is_not_watched() {
        let (registry, now) = (Registry::default(), Instant::now());
        registry.watch(TABLE, now);
        let writer = registry.shapes(TABLE);
        registry.forget(TABLE);
        assert!(!registry.register(TABLE, &Shape::new(&[1]), now));
        registry.watch(TABLE, now);
        assert!(registry.register(TABLE, &Shape::new(&[1]), now));
        assert!(!registry.usable(TABLE, &[1], Some(now)));
        drop(writer);
        assert!(registry.usable(TABLE, &[1], Some(now)));
    }

    #[test]
    fn a_table_has_so_many_shapes() {
        let (registry, now) = (Registry::default(), Instant::now());
        registry.watch(TABLE, now);
        for column in 1..=MOST as i16 {
            assert!(registry.register(TABLE, &Shape::new(&[column]), now));
        }
        assert!(!registry.register(TABLE, &Shape::new(&[99]), now));
        assert!(registry.register(TABLE, &Shape::new(&[1]), now), "it is there");
        assert_eq!(registry.shapes(TABLE).expect("watched").all().len(), MOST);
    }
}
