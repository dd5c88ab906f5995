//! When a rule holds: conditions on the shape, on the session and on the moment, all of which must hold.

use super::action::Share;
use super::calendar::Window;
use super::context::{Moment, Session, Subject};
use super::glob::{Dotted, Glob};
use super::network::Network;
use super::pattern::Pattern;
use crate::sql::facts::{Access, Class, Table};
use crate::sql::{Fingerprint, numbered};

/// The conditions of a rule; one that is not set, or a list that is empty, always holds.
#[derive(Debug, Default, PartialEq)]
pub struct When {
    /// The kind of statement.
    pub class: Option<Classes>,
    /// Tables that it names.
    pub tables: Vec<Dotted>,
    /// Tables of which it reads only.
    pub reads: Vec<Dotted>,
    /// Tables that it changes.
    pub writes: Vec<Dotted>,
    /// Functions that it calls.
    pub functions: Vec<Dotted>,
    /// Columns in its conditions.
    pub columns: Vec<Dotted>,
    /// Whether it has a WHERE.
    pub filtered: Option<bool>,
    /// Whether it has a LIMIT.
    pub limited: Option<bool>,
    /// Whether it joins without a condition.
    pub cross_joined: Option<bool>,
    /// Shapes.
    pub fingerprint: Vec<Fingerprint>,
    /// An expression over the shape.
    pub shape_regex: Option<Pattern>,
    /// Users.
    pub user: Vec<Glob>,
    /// Databases.
    pub database: Vec<Glob>,
    /// Application names.
    pub application: Vec<Glob>,
    /// Where clients are.
    pub client: Vec<Network>,
    /// A share of the sessions.
    pub percent: Option<Share>,
    /// Whether a transaction is open.
    pub in_transaction: Option<bool>,
    /// A time of day.
    pub time: Option<Window>,
    /// An expression over the text.
    pub text_regex: Option<Pattern>,
}

/// The name of a condition, as in the file.
pub type Key = &'static str;

/// The conditions in the order of a list; the first that fails is told.
macro_rules! first_failing {
    ($($key:literal: $holds:expr,)+) => {{
        $(if !$holds { return Some($key); })+
        None
    }};
}

/// Whether an expression matches a shape as it is shown, with `$1`, `$2`, ... for values, or with `?` for each of them.
fn matches_shape(pattern: &Pattern, shape: &[u8]) -> bool {
    pattern.matches(shape) || pattern.matches(&numbered(shape, true))
}

impl When {
    /// The first condition on the shape that does not hold.
    pub fn against_shape(&self, subject: &Subject<'_>) -> Option<Key> {
        let facts = subject.facts;
        let tree = |key: Key| (self.asks_the_tree() && !facts.understood).then_some(key);
        if !self.class.is_none_or(|classes| classes.have(subject)) {
            return Some("class");
        }
        if let Some(key) = tree(self.first_of_the_tree()) {
            return Some(key);
        }
        first_failing! {
            "tables": names(&self.tables, &facts.tables, None),
            "reads": names(&self.reads, &facts.tables, Some(Access::Read)),
            "writes": names(&self.writes, &facts.tables, Some(Access::Write)),
            "functions": self.functions.is_empty()
                || facts.functions.iter().any(|name| self.functions.iter().any(|one| one.matches_name(name))),
            "columns": self.columns.is_empty() || facts.predicates.iter().any(|at| {
                self.columns.iter().any(|one| one.matches_column(&at.column, at.table.as_ref()))
            }),
            "where": self.filtered.is_none_or(|asked| asked == facts.filtered),
            "limit": self.limited.is_none_or(|asked| asked == facts.limited),
            "cross_join": self.cross_joined.is_none_or(|asked| asked == facts.cross_joined),
            "fingerprint": self.fingerprint.is_empty() || self.fingerprint.contains(&subject.fingerprint),
            "shape_regex": self.shape_regex.as_ref().is_none_or(|pattern| matches_shape(pattern, subject.shape)),
        }
    }

    /// The first condition on the session that does not hold. `hash` is that of the session's number for this rule.
    pub fn against_session(&self, session: &Session<'_>, hash: impl FnOnce() -> u64) -> Option<Key> {
        let any = |globs: &[Glob], name: &[u8]| globs.is_empty() || globs.iter().any(|one| one.matches(name));
        first_failing! {
            "user": any(&self.user, session.user),
            "database": any(&self.database, session.database),
            "application": any(&self.application, session.application),
            "client": self.client.is_empty() || self.client.iter().any(|one| one.contains(session.client)),
            "percent": self.percent.is_none_or(|share| share.takes(hash())),
        }
    }

    /// The first condition on the moment that does not hold.
    pub fn against_moment(&self, moment: &Moment<'_>) -> Option<Key> {
        first_failing! {
            "in_transaction": self.in_transaction.is_none_or(|asked| asked == moment.in_transaction),
            "time": self.time.is_none_or(|window| window.contains(moment.now)),
            "text_regex": self.text_regex.as_ref().is_none_or(|pattern| pattern.matches(moment.text)),
        }
    }

    /// Whether the session matters.
    pub fn asks_the_session(&self) -> bool {
        let names = [&self.user, &self.database, &self.application];
        names.iter().any(|list| !list.is_empty()) || !self.client.is_empty() || self.percent.is_some()
    }

    /// Whether the moment matters.
    pub fn asks_the_moment(&self) -> bool {
        self.in_transaction.is_some() || self.asks_more_of_the_moment()
    }

    /// Whether it does by more than whether a transaction is open.
    pub fn asks_more_of_the_moment(&self) -> bool {
        self.time.is_some() || self.text_regex.is_some()
    }

    /// Whether it says something of the statement's tree, so that it does not hold where that is not understood.
    pub fn asks_the_tree(&self) -> bool {
        !self.first_of_the_tree().is_empty()
    }

    /// The first condition on the tree; empty where there is none.
    pub fn first_of_the_tree(&self) -> Key {
        let set = [
            ("tables", !self.tables.is_empty()),
            ("reads", !self.reads.is_empty()),
            ("writes", !self.writes.is_empty()),
            ("functions", !self.functions.is_empty()),
            ("columns", !self.columns.is_empty()),
            ("where", self.filtered.is_some()),
            ("limit", self.limited.is_some()),
            ("cross_join", self.cross_joined.is_some()),
        ];
        set.iter().find(|(_, set)| *set).map_or("", |(key, _)| key)
    }

    /// Whether it holds wherever `other` does. Only what is plain to see: false says nothing.
    pub fn covers(&self, other: &When) -> bool {
        fn lists<T>(wide: &[T], narrow: &[T], covers: impl Fn(&T, &T) -> bool) -> bool {
            let each = || narrow.iter().all(|narrow| wide.iter().any(|wide| covers(wide, narrow)));
            wide.is_empty() || !narrow.is_empty() && each()
        }
        fn same<T: PartialEq>(wide: &Option<T>, narrow: &Option<T>) -> bool {
            wide.is_none() || wide == narrow
        }
        let tables = [&other.tables, &other.reads, &other.writes];
        tables.iter().any(|narrow| lists(&self.tables, narrow, Dotted::covers))
            && self.class.is_none_or(|wide| other.class.is_some_and(|narrow| wide.covers(narrow)))
            && lists(&self.reads, &other.reads, Dotted::covers)
            && lists(&self.writes, &other.writes, Dotted::covers)
            && lists(&self.functions, &other.functions, Dotted::covers)
            && lists(&self.columns, &other.columns, Dotted::covers)
            && same(&self.filtered, &other.filtered)
            && same(&self.limited, &other.limited)
            && same(&self.cross_joined, &other.cross_joined)
            && lists(&self.fingerprint, &other.fingerprint, PartialEq::eq)
            && same(&self.shape_regex, &other.shape_regex)
            && lists(&self.user, &other.user, Glob::covers)
            && lists(&self.database, &other.database, Glob::covers)
            && lists(&self.application, &other.application, Glob::covers)
            && lists(&self.client, &other.client, |wide, narrow| wide.covers(*narrow))
            // Which sessions a share takes depends on the rule's name.
            && self.percent.is_none_or(|share| share == Share::ALL)
            && same(&self.in_transaction, &other.in_transaction)
            && same(&self.time, &other.time)
            && same(&self.text_regex, &other.text_regex)
    }
}

fn names(patterns: &[Dotted], tables: &[Table], access: Option<Access>) -> bool {
    let mut tables = tables.iter().filter(|table| access.is_none_or(|access| access == table.access));
    patterns.is_empty() || tables.any(|table| patterns.iter().any(|one| one.matches_name(&table.name)))
}

/// Kinds of statements, and the two verdicts on them, as a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Classes(u32);

const READ: u32 = 1 << 30;
const WRITE: u32 = 1 << 31;

/// The names of the classes.
pub const CLASS_NAMES: [(&str, Class); 15] = [
    ("select", Class::Select),
    ("insert", Class::Insert),
    ("update", Class::Update),
    ("delete", Class::Delete),
    ("merge", Class::Merge),
    ("truncate", Class::Truncate),
    ("copy", Class::Copy),
    ("define", Class::Define),
    ("call", Class::Call),
    ("transaction", Class::Transaction),
    ("session", Class::Session),
    ("explain", Class::Explain),
    ("utility", Class::Utility),
    ("several", Class::Several),
    ("unknown", Class::Unknown),
];

/// The name of a class.
pub fn class_name(class: Class) -> &'static str {
    CLASS_NAMES.iter().find(|(_, other)| *other == class).map_or("unknown", |(name, _)| name)
}

impl Classes {
    /// The words that it is made of.
    pub fn words() -> impl Iterator<Item = &'static str> {
        CLASS_NAMES.iter().map(|(name, _)| *name).chain(["read", "write"])
    }

    /// With the class or verdict of that name; `None`: there is none.
    pub fn with(self, word: &str) -> Option<Classes> {
        let bit = match word {
            "read" => READ,
            "write" => WRITE,
            _ => bit(CLASS_NAMES.iter().find(|(name, _)| *name == word)?.1),
        };
        Some(Classes(self.0 | bit))
    }

    fn have(self, subject: &Subject<'_>) -> bool {
        let verdict = if subject.is_read {
            READ
        } else if subject.is_write() {
            WRITE
        } else {
            0
        };
        self.0 & (bit(subject.facts.class) | verdict) != 0
    }

    /// Whether a statement of one of these classes may be among them; true where there is a verdict.
    pub fn may_be(self, classes: &[Class]) -> bool {
        self.0 & (READ | WRITE) != 0 || classes.iter().any(|class| self.0 & bit(*class) != 0)
    }

    /// Whether there are only statements that are judged to be reads.
    pub fn only_reads(self) -> bool {
        self.0 == READ
    }

    /// Whether there is none but what must write.
    pub fn only_writes(self) -> bool {
        use Class::{Define, Delete, Insert, Merge, Truncate, Update};
        let writes =
            [Insert, Update, Delete, Merge, Truncate, Define].iter().fold(WRITE, |all, one| all | bit(*one));
        self.0 & !writes == 0
    }

    fn covers(self, other: Classes) -> bool {
        other.0 & !self.0 == 0
    }
}

fn bit(class: Class) -> u32 {
    1 << class as u32
}
