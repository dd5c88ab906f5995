//! Statements as sessions know them: one object for equal texts, with what the text may do to the session.

use std::cell::{OnceCell, RefCell};
use std::num::NonZeroUsize;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicU64, Ordering};

use lru::LruCache;

use super::prepare::Mention;
use super::rewritten::Worded;
use crate::plan::{Profile, Profiles};
use crate::pool::exchange::{Commits, Renamed};
use crate::pool::prepared::{Description, Form, Prepared};
use crate::pool::reading::Reading;
use crate::sql::{Detail, Dialect, DiscardTarget, Effects, Literal, Summary, shape};
use crate::stats::tally::Tally;
use crate::wire::{Fault, frame};

/// A statement and what is known of it.
#[derive(Debug)]
pub struct Statement {
    /// Its identity on servers.
    pub prepared: Rc<Prepared>,
    /// What it may do to the session.
    pub effects: Effects,
    /// What may be committed with it.
    pub commits: Commits,
    /// What it does to the session's prepared statements when it succeeds.
    pub action: Option<Action>,
    /// What it means that its text has other names in it.
    pub renamed: Renamed,
    /// The Parse message behind its name as the client sent it, and the name in it, if that is a session's own.
    pub original: Option<(Box<[u8]>, Mention)>,
    /// The statement that it runs by `EXECUTE`.
    pub uses: Option<Rc<Statement>>,
    /// How its text was read, if that makes a difference.
    pub reading: Option<Rc<Reading>>,
    /// Whether PostgreSQL plans it, and then holds to the rows that it was described with.
    pub planned: bool,
    /// Settings under which its strings were read, if it has any.
    pub meaning: Option<Rc<[u8]>>,
    /// The search path under which its names were read, if others may have it too.
    pub path: Option<Rc<[u8]>>,
    /// The token that it sets (`pgweir.token`).
    pub token: Option<Box<[u8]>>,
    /// What is wrong with the level that it sets (`pgweir.consistency`).
    pub wrong_level: Option<Box<Fault>>,
    /// It is an `EXPLAIN ROUTE`, which no server ever gets.
    pub explains: bool,
    /// Its shape, where that was looked up.
    pub shape: RefCell<Option<(Weak<Profiles>, Rc<Profile>)>>,
    /// The literals of its text on servers, where they were looked up.
    pub literals: OnceCell<Box<[Literal]>>,
    /// Where it was counted last.
    pub tally: RefCell<Option<Rc<Tally>>>,
}

impl Statement {
    /// One that does nothing to the session.
    pub fn of(prepared: Rc<Prepared>, commits: Commits) -> Statement {
        Statement {
            prepared,
            commits,
            effects: Effects::EMPTY,
            action: None,
            renamed: Renamed::default(),
            original: None,
            uses: None,
            reading: None,
            planned: false,
            meaning: None,
            path: None,
            token: None,
            wrong_level: None,
            explains: false,
            shape: RefCell::default(),
            literals: OnceCell::new(),
            tally: RefCell::default(),
        }
    }

    /// The text by which servers have it; `None`: it was prepared by SQL.
    pub fn text_on_server(&self) -> Option<&[u8]> {
        match &self.prepared.form {
            Form::Parse(tail) => Some(frame::cstr(tail)?.0),
            Form::Sql(_) => None,
        }
    }

    /// Whether its text is on servers as it is here, and does nothing to its session.
    pub fn is_plain(&self) -> bool {
        self.effects.is_empty() && self.text_on_server().is_some() && !self.shows()
    }

    /// Whether the client has sent a SHOW where servers have a SELECT.
    pub fn shows(&self) -> bool {
        !self.renamed.shows.is_empty()
    }

    /// Whether its text is on servers as its client sent it, and means the same however strings are read.
    pub fn is_as_sent(&self) -> bool {
        self.original.is_none() && self.reading.is_none() && self.text_on_server().is_some()
    }

    /// The shape of its text on servers, looked up once for each database: texts that are read in different ways are different statements.
    pub fn profile(&self, profiles: &Rc<Profiles>, dialect: Dialect) -> Rc<Profile> {
        let mut known = self.shape.borrow_mut();
        if let Some((of, profile)) = &*known
            && of.as_ptr() == Rc::as_ptr(profiles)
        {
            return profile.clone();
        }
        let profile = profiles.of(self.text_on_server().unwrap_or_default(), dialect);
        *known = Some((Rc::downgrade(profiles), profile.clone()));
        profile
    }

    /// What stands for values in its text on servers, looked up once.
    pub fn literals(&self, dialect: Dialect) -> &[Literal] {
        let find = || shape(self.text_on_server().unwrap_or_default(), dialect).literals.into();
        self.literals.get_or_init(find)
    }

    /// A SHOW, for which servers have this SELECT; `types` are those of its parameters, as in Parse.
    pub fn showing(select: &str, types: &[u8]) -> Statement {
        let tail = [select.as_bytes(), b"\0", types].concat();
        Statement { renamed: Renamed::showing(vec![0]), ..Statement::parsed(&tail, Commits::Nothing) }
    }

    /// A new one: `tail` is a Parse message behind its name.
    pub fn parsed(tail: &[u8], commits: Commits) -> Statement {
        Statement::of(Rc::new(Prepared::new(fresh_id(), Form::Parse(tail.into()), 0)), commits)
    }
}

/// A session's statement: under its name for it, or unnamed.
#[derive(Debug, Clone)]
pub struct Named {
    /// The statement.
    pub statement: Rc<Statement>,
    /// When the session prepared it. A server's older copy may have been planned before a change of definitions
    /// that the session has seen, so it is replaced before the session uses it.
    pub when: u64,
    /// What the session was told that it is.
    pub told: Option<Rc<Description>>,
    /// The words for which it stands, if they are not the client's.
    pub worded: Option<Rc<Worded>>,
}

impl Named {
    /// One that the session prepares at this tick.
    pub fn new(statement: Rc<Statement>, when: u64) -> Named {
        Named { statement, when, told: None, worded: None }
    }
}

/// So much of a statement's name PostgreSQL looks at, in bytes (`NAMEDATALEN`, without the final NUL).
pub const NAME_LENGTH: usize = 63;

/// The part of a statement's name that PostgreSQL looks at.
pub fn significant(name: &[u8]) -> &[u8] {
    &name[..name.len().min(NAME_LENGTH)]
}

/// What a statement does to the names of prepared statements.
#[derive(Debug, Clone)]
pub enum Action {
    /// DEALLOCATE ALL.
    DeallocateAll,
    /// DISCARD ALL.
    DiscardAll,
    /// DEALLOCATE of one, by the session's name for it and by its number.
    Deallocate(Box<[u8]>, u64),
    /// PREPARE, by the session's name for the statement.
    Prepare(Box<[u8]>, Rc<Statement>),
    /// None: it is a PREPARE of a name that the session has, and stands for one that the server has.
    Taken,
    /// None: it will fail, with this error in the client's words.
    Refused(Box<[u8]>),
}

impl Action {
    /// What a single statement does by its text alone, whosesoever it is.
    pub fn of(summary: &Summary) -> Option<Action> {
        match summary.statements.as_slice() {
            [one] => match &one.detail {
                Detail::Deallocate { name: None, .. } => Some(Action::DeallocateAll),
                Detail::Discard(DiscardTarget::All) => Some(Action::DiscardAll),
                _ => None,
            },
            _ => None,
        }
    }
}

/// A fresh identity, unique in this process.
pub fn fresh_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The statements that a worker has seen lately, by text and parameter types, and by what else decides what they mean.
#[derive(Debug)]
pub struct Statements {
    known: LruCache<Box<[u8]>, Rc<Statement>, foldhash::fast::RandomState>,
}

impl Statements {
    /// Remembers at most `limit`.
    pub fn new(limit: NonZeroUsize) -> Statements {
        Statements { known: LruCache::with_hasher(limit, foldhash::fast::RandomState::default()) }
    }

    /// The statement remembered under `key`, if it was seen lately.
    #[inline]
    pub fn get(&mut self, key: &[u8]) -> Option<Rc<Statement>> {
        self.known.get(key).cloned()
    }

    /// Remembers a statement under `key`.
    pub fn insert(&mut self, key: &[u8], statement: Rc<Statement>) -> Rc<Statement> {
        self.known.put(key.into(), statement.clone());
        statement
    }
}
