//! Prepared statements: one identity for equal statements of any session, and what a server has of them.

use std::cell::{OnceCell, RefCell};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroUsize;
use std::rc::Rc;

use lru::LruCache;

use crate::wire::frame::{self, HEADER};

/// How a statement is brought to a server.
#[derive(Debug, PartialEq, Eq)]
pub enum Form {
    /// By a Parse message; the bytes behind the name: text, NUL, parameter types.
    Parse(Box<[u8]>),
    /// By the SQL command `PREPARE`, with the server's name in it already.
    Sql(Box<[u8]>),
}

/// A statement that can be prepared on any server, under a name of ours.
#[derive(Debug)]
pub struct Prepared {
    /// Names it on servers; never used twice in a process.
    pub id: u64,
    /// How to prepare it.
    pub form: Form,
    /// How far, in characters, positions in its errors are behind those in the client's text.
    pub moved: isize,
    /// As which it was described first: mostly all have the same.
    first_description: OnceCell<Rc<Description>>,
}

impl Prepared {
    /// A statement of that number.
    pub fn new(id: u64, form: Form, moved: isize) -> Prepared {
        Prepared { id, form, moved, first_description: OnceCell::new() }
    }

    /// The one object for what it was described as.
    pub fn shared(&self, description: Description) -> Rc<Description> {
        let first = self.first_description.get();
        match first {
            Some(first) if **first == description => first.clone(),
            Some(_) => Rc::new(description),
            None => self.first_description.get_or_init(|| Rc::new(description)).clone(),
        }
    }
}

/// What a server says of a statement: its parameters and its rows.
#[derive(Debug, PartialEq, Eq)]
pub struct Description {
    /// Types of the parameters, as a Parse message gives them: how many, and the number of each. Empty: they were not told.
    pub parameters: Box<[u8]>,
    rows: u64,
}

impl Description {
    /// `parameters` is the body of a ParameterDescription, if there is one, `rows` the message RowDescription or NoData. Of columns
    /// count name, type and its modifier: what PostgreSQL compares when it plans a statement anew.
    pub fn of(parameters: Box<[u8]>, rows: &[u8]) -> Description {
        let mut hasher = DefaultHasher::new();
        let mut rest = rows.get(HEADER + 2..).unwrap_or_default();
        rows.get(..HEADER + 2).hash(&mut hasher);
        // Behind the name: table (4), column (2), type (4), length (2), modifier (4), format (2).
        while let Some((name, (column, behind))) =
            frame::cstr(rest).and_then(|(name, behind)| Some((name, behind.split_first_chunk::<18>()?)))
        {
            (name, &column[6..16]).hash(&mut hasher);
            rest = behind;
        }
        rest.hash(&mut hasher);
        Description { parameters, rows: hasher.finish() }
    }

    /// Whether it is all that a client was `told`.
    pub fn is_as(&self, told: &Description) -> bool {
        self.rows == told.rows && (told.parameters.is_empty() || self.parameters == told.parameters)
    }
}

/// What a server has of a statement.
#[derive(Debug, Clone)]
pub struct ServerCopy {
    /// The tick at which it was prepared.
    pub when: u64,
    /// It was prepared with parameters of types that one client was told, not with those that PostgreSQL would find.
    pub typed: bool,
    /// What the server has described it as since.
    pub description: Option<Rc<Description>>,
}

impl ServerCopy {
    /// Whether a session may have it that prepared the statement at the tick `when` and was not told what it is. An older one may have
    /// been planned before a change of definitions that the session has seen.
    pub fn is_anybodys(&self, when: u64) -> bool {
        self.is_as_told(when, None)
    }

    /// The same for one that was `told` what it is.
    pub fn is_as_told(&self, when: u64, told: Option<&Description>) -> bool {
        let is_it = |told: &Description| self.description.as_ref().is_some_and(|is| is.is_as(told));
        self.when >= when
            && match told {
                None => !self.typed,
                Some(told) => is_it(told) && !(self.typed && told.parameters.is_empty()),
            }
    }
}

/// A statement as one session knows it.
#[derive(Debug, Clone)]
pub struct Meant {
    /// Its number.
    pub id: u64,
    /// When the session prepared it.
    pub when: u64,
    /// What the session was told that it is.
    pub told: Option<Rc<Description>>,
}

/// The number of a statement that does nothing. A server has it where a name must be one that is there already.
pub const DUMMY: u64 = 0;

/// What names of prepared statements on servers begin with.
pub const NAME_PREFIX: &str = "_pgweir_";

/// The name on servers of the statement `id`.
pub fn server_name(id: u64) -> String {
    // Made for each Bind, and `format!` would find its room bit by bit.
    let mut name = String::with_capacity(NAME_PREFIX.len() + 20);
    name.push_str(NAME_PREFIX);
    name.push_str(&id.to_string());
    name
}

/// The same inside a text. The quotes part it from what is around it: `EXECUTE"a"` has no blank.
pub fn quoted_name(id: u64) -> String {
    format!("\"{NAME_PREFIX}{id}\"")
}

/// The statements that one server has, least recently used first out. Who has the server changes them, others of its pool may look.
#[derive(Debug)]
pub struct OnServer {
    known: RefCell<LruCache<u64, ServerCopy, foldhash::fast::RandomState>>,
    limit: usize,
}

impl Default for OnServer {
    fn default() -> OnServer {
        OnServer::new(1)
    }
}

impl OnServer {
    /// Keeps at most `limit`, at least one.
    pub fn new(limit: usize) -> OnServer {
        OnServer {
            known: LruCache::unbounded_with_hasher(foldhash::fast::RandomState::default()).into(),
            limit: limit.max(1),
        }
    }

    /// What is known of `id`, if it is there; it is then the most recently used.
    #[inline]
    pub fn touch(&self, id: u64) -> Option<ServerCopy> {
        self.known.borrow_mut().get(&id).cloned()
    }

    /// What is known of `id`, if it is there.
    pub fn copy(&self, id: u64) -> Option<ServerCopy> {
        self.known.borrow().peek(&id).cloned()
    }

    /// Whether the statement is there as a session means it, so that it need not be brought.
    #[inline]
    pub fn has(&self, meant: &Meant) -> bool {
        let known = self.known.borrow();
        known.peek(&meant.id).is_some_and(|copy| copy.is_as_told(meant.when, meant.told.as_deref()))
    }

    /// The server has described the copy of `id` that was prepared at that tick.
    pub fn describe(&self, id: u64, when: u64, description: &Rc<Description>) {
        if let Some(copy) = self.known.borrow_mut().peek_mut(&id).filter(|copy| copy.when == when) {
            copy.description = Some(description.clone());
        }
    }

    /// Adds `id`, prepared at the tick `when`.
    pub fn insert(&self, id: u64, when: u64) {
        self.insert_copy(id, ServerCopy { when, typed: false, description: None });
    }

    /// Adds what is known of `id`.
    pub fn insert_copy(&self, id: u64, copy: ServerCopy) {
        self.known.borrow_mut().put(id, copy);
    }

    /// One that must be closed to stay within the limit, if there is one too many; it is forgotten.
    pub fn surplus(&self) -> Option<(u64, ServerCopy)> {
        if self.has_surplus() { self.known.borrow_mut().pop_lru() } else { None }
    }

    /// Whether there is one too many.
    pub fn has_surplus(&self) -> bool {
        self.len() > self.limit
    }

    /// Forgets `id`; gives what was known of it.
    pub fn remove(&self, id: u64) -> Option<ServerCopy> {
        self.known.borrow_mut().pop(&id)
    }

    /// Takes out `id`, or all.
    pub fn split_off(&self, id: Option<u64>) -> OnServer {
        let taken = OnServer::new(self.limit);
        match id {
            Some(id) => self.remove(id).into_iter().for_each(|copy| taken.insert_copy(id, copy)),
            None => self.known.swap(&taken.known),
        }
        taken
    }

    /// Those that were taken out are still there, but where they were prepared anew since.
    pub fn put_back(&self, taken: &OnServer) {
        let mut known = self.known.borrow_mut();
        for (id, copy) in taken.known.borrow().iter().rev() {
            if !known.contains(id) {
                known.put(*id, copy.clone());
            }
        }
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.known.borrow_mut().clear();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.known.borrow().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.known.borrow().is_empty()
    }

    /// The limit.
    pub fn limit(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.limit).unwrap_or(NonZeroUsize::MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first() {
        let on_server = OnServer::new(2);
        on_server.insert(1, 10);
        on_server.insert(2, 20);
        assert!(on_server.surplus().is_none());
        assert_eq!(on_server.touch(1).map(|copy| copy.when), Some(10));
        on_server.insert(3, 30);
        assert_eq!(on_server.surplus().map(|(id, _)| id), Some(2));
        assert!(on_server.surplus().is_none());
        assert!(on_server.touch(2).is_none());
        assert_eq!(on_server.len(), 2);
    }

    #[test]
    fn a_statement_is_there_for_who_knows_it_as_it_is() {
        let description = |rows: &[u8]| Rc::new(Description::of([0, 1, 0, 0, 0, 23].into(), rows));
        let (as_it_is, as_it_was) = (description(b"T\0\0\0\x07\0\x01i"), description(b"T\0\0\0\x07\0\x02i"));
        let on_server = OnServer::new(8);
        on_server.insert(1, 10);
        let has = |when: u64, told: Option<&Rc<Description>>| {
            on_server.has(&Meant { id: 1, when, told: told.cloned() })
        };
        assert!(has(10, None) && has(9, None) && !has(11, None), "it is older than what the session knows");
        assert!(!has(10, Some(&as_it_is)), "the server has not said what it is");
        on_server.describe(1, 10, &as_it_is);
        assert!(has(10, None) && has(10, Some(&as_it_is)) && !has(10, Some(&as_it_was)));
        on_server.insert_copy(1, ServerCopy { when: 10, typed: true, description: Some(as_it_is.clone()) });
        assert!(!has(10, None) && has(10, Some(&as_it_is)), "made for who was told its parameters");
        on_server.remove(1);
        assert!(!has(10, None));
    }
}
