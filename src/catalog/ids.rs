//! Relations by number, for whoever follows them from one to the next.

use super::relations::{How, RelationKind, Relations};
use crate::sql::facts::Name;

/// A relation of a database, as long as its [`Relations`] are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(usize);

impl Relations {
    /// All relations that a name may mean; see [`Relations::behind`] and [`Relations::expand`] for what they stand for.
    ///
    /// `search_path` has the schemas in which the session looks for names; `None` where that is not known. Which of several is meant
    /// depends on privileges too, so all are told.
    pub fn named(&self, name: &Name, search_path: Option<&[&str]>) -> Vec<Id> {
        self.meant(name, search_path).into_iter().map(Id).collect()
    }

    /// Its `pg_class.oid`.
    pub fn oid(&self, id: Id) -> u32 {
        self.all[id.0].oid
    }

    /// What it is.
    pub fn kind(&self, id: Id) -> RelationKind {
        self.all[id.0].kind
    }

    /// Its schema and its name.
    pub fn names(&self, id: Id) -> (&str, &str) {
        (&self.all[id.0].schema, &self.all[id.0].name)
    }

    /// The relation with this `pg_class.oid`.
    pub fn by_oid(&self, oid: u32) -> Option<Id> {
        self.by_oid.get(&oid).copied().map(Id)
    }

    /// Where it leads to.
    pub fn ways(&self, id: Id) -> impl Iterator<Item = (How, Id)> {
        self.all[id.0].with_it.iter().map(|(how, to)| (*how, Id(*to)))
    }
}
