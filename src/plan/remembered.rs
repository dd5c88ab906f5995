//! What was found out for the cache about a shape, kept with it: on what its results depend, and what it may write.
//!
//! Both hold for one state of the definitions ([`crate::catalog::Judge::stamp`]) and for sessions that look for names in the same schemas. Of each
//! shape one answer is kept, which is bounded by the number of tables that it may have.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use xxhash_rust::xxh3::Xxh3;

use super::cacheable::{Around, Dependencies, Refusal, judge};
use super::writes::{self, TriggerWrites, Writes};
use super::{Profile, Profiles};
use crate::catalog::Contents;
use crate::sql::{Dialect, Verb, facts, shape, summarize};

/// What matters of a session.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    /// The schemas in which it looks for names; see [`Around::search_path`].
    pub search_path: Option<&'a [&'a str]>,
    /// It may have temporary objects.
    pub temporary: bool,
}

/// An answer, and for what it holds.
#[derive(Debug)]
pub(super) struct Remembered<T> {
    stamp: u64,
    /// Of the search path, and of the rules where they matter.
    by: u128,
    answer: Rc<T>,
}

/// What was found out about a shape.
#[derive(Debug, Default)]
pub(super) struct ForCache {
    dependencies: RefCell<Option<Remembered<Result<Dependencies, Refusal>>>>,
    writes: RefCell<Option<Remembered<Writes>>>,
    places: RefCell<Option<(u64, Rc<Places>)>>,
    bounds: Cell<Option<Bounds>>,
}

/// What a statement may do with the transaction in which it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bounds {
    /// It leaves it open.
    Stays,
    /// It rolls it back, and is nothing else.
    RollsBack,
    /// It may end it, or it is not known what it does.
    MayEnd,
}

/// The columns of an answer, each by its table (`pg_class.oid`) and number; 0 and 0 for what is no column.
pub type Places = Vec<(u32, i16)>;

impl Profile {
    /// What a text of this shape may do with an open transaction.
    pub fn bounds(&self, text: &[u8], dialect: Dialect) -> Bounds {
        let known = self.for_cache.bounds.get();
        let bounds = known.unwrap_or_else(|| bounds(text, dialect));
        self.for_cache.bounds.set(Some(bounds));
        bounds
    }

    /// The columns of answers to statements of this shape, if one with a description was seen since definitions are of that stamp.
    pub fn places(&self, stamp: u64) -> Option<Rc<Places>> {
        let known = self.for_cache.places.borrow();
        known.as_ref().filter(|known| known.0 == stamp).map(|known| known.1.clone())
    }

    /// One was seen.
    pub fn saw_places(&self, stamp: u64, places: Places) {
        *self.for_cache.places.borrow_mut() = Some((stamp, Rc::new(places)));
    }
}

impl Profiles {
    /// On what the results of a statement of `profile` depend, of which `text` is one, or why they must not be kept. It is found once for
    /// a shape, and again when definitions have changed or a session looks for names elsewhere.
    pub fn dependencies(
        &self,
        profile: &Profile,
        (text, dialect): (&[u8], Dialect),
        names: Names<'_>,
    ) -> Rc<Result<Dependencies, Refusal>> {
        if names.temporary {
            return Rc::new(Err(Refusal::TempShadow));
        }
        let (stamp, by) = (self.judge.stamp(), digest(names, 0));
        remembered(&profile.for_cache.dependencies, stamp, by, || {
            if !self.judge.knows() {
                return Err(Refusal::DefinitionsUnknown);
            }
            let contents = self.judge.contents();
            let facts = facts(text, dialect, &shape(text, dialect));
            let found = judge(text, dialect, &facts, &around(&contents, names))?;
            if profile.is_read(&self.judge, text, dialect) { Ok(found) } else { Err(Refusal::NotARead) }
        })
    }

    /// What a statement of `profile`, of which `text` is one, may write. `triggers` gives what rules say of triggers, and `stamp` is another number for
    /// other rules.
    pub fn writes(
        &self,
        profile: &Profile,
        (text, dialect): (&[u8], Dialect),
        names: Names<'_>,
        (stamp, triggers): (u64, impl FnOnce() -> Rc<[TriggerWrites]>),
    ) -> Rc<Writes> {
        let by = digest(names, stamp.wrapping_add(1));
        remembered(&profile.for_cache.writes, self.judge.stamp(), by, || {
            // What is not certain is not used, so that whatever a name stands for may do anything.
            let known = match self.judge.knows() {
                true => self.judge.contents(),
                false => Default::default(),
            };
            writes::of(text, dialect, &around(&known, names), &triggers())
        })
    }
}

fn around<'a>(contents: &'a Contents, names: Names<'a>) -> Around<'a> {
    Around { contents, search_path: names.search_path, temporary: names.temporary }
}

fn remembered<T>(
    place: &RefCell<Option<Remembered<T>>>,
    stamp: u64,
    by: u128,
    find: impl FnOnce() -> T,
) -> Rc<T> {
    let mut place = place.borrow_mut();
    if let Some(known) = place.as_ref().filter(|known| known.stamp == stamp && known.by == by) {
        return known.answer.clone();
    }
    let answer = Rc::new(find());
    *place = Some(Remembered { stamp, by, answer: answer.clone() });
    answer
}

/// By the verbs, which are the shape's. Procedures and blocks of code cannot end a transaction that was begun outside of them, but are not trusted with it.
fn bounds(text: &[u8], dialect: Dialect) -> Bounds {
    use Verb::{
        Alter, Begin, Close, Copy, Create, Deallocate, Declare, Delete, Drop, Explain, Fetch, Insert, Listen,
        Lock, Merge, Move, Notify, Prepare, Release, Reset, RollbackTo, Savepoint, Select, Set, Show, Table,
        Truncate, Unlisten, Update, Values, With,
    };
    let stays = |verb: Verb| {
        matches!(verb, Select | Values | Table | With | Insert | Update | Delete | Merge | Copy | Truncate)
            || matches!(verb, Savepoint | RollbackTo | Release | Set | Reset | Show | Lock | Explain)
            || matches!(verb, Begin | Notify | Listen | Unlisten | Prepare | Deallocate)
            || matches!(verb, Declare | Fetch | Move | Close | Create | Alter | Drop)
    };
    let statements = summarize(text, dialect).statements;
    match statements.as_slice() {
        [one] if one.verb == Verb::Rollback => Bounds::RollsBack,
        several if several.iter().all(|one| stays(one.verb)) => Bounds::Stays,
        _ => Bounds::MayEnd,
    }
}

/// Another number for sessions that look for names elsewhere, or for other rules.
fn digest(names: Names<'_>, rules: u64) -> u128 {
    let Some(path) = names.search_path else {
        // On the way of each write: it needs no hash.
        return u128::from(rules) << 2 | u128::from(names.temporary) << 1;
    };
    let mut hash = Xxh3::new();
    hash.update(&rules.to_le_bytes());
    hash.update(&[u8::from(names.temporary)]);
    for schema in path {
        hash.update(&schema.len().to_le_bytes());
        hash.update(schema.as_bytes());
    }
    hash.digest128() | 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Barriers, Definitions, Grounds, Judge, Relations, Row};

    const NAMES: Names<'static> = Names { search_path: Some(&["public"]), temporary: false };

    fn row(columns: &[&str]) -> Row {
        let value = |column: &&str| (!column.is_empty()).then(|| (*column).to_owned());
        columns.iter().map(value).collect()
    }

    fn contents(key: &str) -> Contents {
        let relations = Relations::new(&[row(&["16400", "public", "t", "r"])], &[]);
        let detail = row(&["16400", "p", "f", "d", "1 4 i\n2 t n", key, "", "", "f", "", "", "", "f"]);
        let grounds = Grounds::new(Barriers::default(), Barriers::default(), &[detail], &[]);
        Contents { relations, grounds, ..Contents::default() }
    }

    fn profiles() -> Rc<Profiles> {
        Profiles::new(Judge::new(Definitions::new()))
    }

    fn know(profiles: &Profiles, contents: Contents) {
        profiles.judge.reading_wanted().expect("it is wanted").done(Some(contents), None);
    }

    fn dependencies(profiles: &Profiles, text: &str, names: Names<'_>) -> Rc<Result<Dependencies, Refusal>> {
        let profile = profiles.of(text.as_bytes(), true.into());
        profiles.dependencies(&profile, (text.as_bytes(), true.into()), names)
    }

    #[test]
    fn what_ends_a_transaction() {
        let profiles = profiles();
        let check = |text: &str, expected: Bounds| {
            let profile = profiles.of(text.as_bytes(), true.into());
            for _ in 0..2 {
                assert_eq!(profile.bounds(text.as_bytes(), true.into()), expected, "{text}");
            }
        };
        for text in [
            "update t set a = 1",
            "insert into t values (1); delete from t",
            "savepoint a",
            "rollback to a",
            "rollback to savepoint a; release a",
            "copy t from stdin",
            "select 'commit'",
            "explain analyze update t set a = 1",
            "create table c (i int)",
            "lock table t",
            "begin",
            "start transaction; update t set a = 1",
            "notify a, 'commit'",
            "prepare s as update t set a = 1",
            "",
        ] {
            check(text, Bounds::Stays);
        }
        for text in ["rollback", "ABORT", "rollback work;", "rollback and chain"] {
            check(text, Bounds::RollsBack);
        }
        for text in [
            "commit",
            "END",
            "update t set a = 1; commit",
            "rollback; update t set a = 1",
            "prepare transaction 'x'",
            "commit prepared 'x'",
            "commit; begin",
            "call p()",
            "do 'begin commit; end'",
            "execute s",
            "vacuum",
            "discard all",
            "nonsense",
        ] {
            check(text, Bounds::MayEnd);
        }
    }

    #[test]
    fn found_once_for_a_shape_until_definitions_change() {
        let profiles = profiles();
        let text = "select * from t where i = 1";
        assert_eq!(*dependencies(&profiles, text, NAMES), Err(Refusal::DefinitionsUnknown));
        know(&profiles, contents("1"));
        let first = dependencies(&profiles, text, NAMES);
        assert!(first.is_ok(), "{first:?}");
        let again = dependencies(&profiles, "select * from t where i = 2", NAMES);
        assert!(Rc::ptr_eq(&first, &again), "the shape is known");
        let elsewhere = Names { search_path: Some(&["other"]), ..NAMES };
        assert_eq!(*dependencies(&profiles, text, elsewhere), Err(Refusal::UnknownRelation));
        let temporary = Names { temporary: true, ..NAMES };
        assert_eq!(*dependencies(&profiles, text, temporary), Err(Refusal::TempShadow));
        let change = profiles.judge.change();
        assert_eq!(*dependencies(&profiles, text, NAMES), Err(Refusal::DefinitionsUnknown));
        drop(change);
        assert_eq!(*dependencies(&profiles, text, NAMES), Err(Refusal::DefinitionsUnknown));
        know(&profiles, contents("1"));
        assert!(dependencies(&profiles, text, NAMES).is_ok());
        assert_eq!(*dependencies(&profiles, "delete from t", NAMES), Err(Refusal::NotUnderstood));
        let setting = "select current_setting('a.b')";
        assert_eq!(*dependencies(&profiles, setting, NAMES), Err(Refusal::NotARead), "as profiles have it");
    }

    #[test]
    fn writes_are_everything_while_nothing_is_known() {
        let profiles = profiles();
        let text = "delete from t where i = 1";
        let writes = |stamp: u64, triggers: &[TriggerWrites]| {
            let profile = profiles.of(text.as_bytes(), true.into());
            profiles.writes(&profile, (text.as_bytes(), true.into()), NAMES, (stamp, || triggers.into()))
        };
        assert_eq!(*writes(1, &[]), Writes::Everything);
        know(&profiles, contents("1"));
        let first = writes(1, &[]);
        assert!(matches!(*first, Writes::Rows(_)), "{first:?}");
        assert!(Rc::ptr_eq(&first, &writes(1, &[])));
        assert!(!Rc::ptr_eq(&first, &writes(2, &[])), "there are other rules");
        drop(profiles.judge.change());
        assert_eq!(*writes(2, &[]), Writes::Everything);
        know(&profiles, contents(""));
        assert_eq!(*writes(2, &[]), Writes::Tables(vec![16400]), "it has no key any more");
    }
}
