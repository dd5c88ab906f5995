//! Prepared statements: one identity for equal statements of any session, and what a server has of them.

use std::cell::OnceCell;
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
        self.when >= when && !self.typed
    }
}

/// The number of a statement that does nothing. A server has it where a name must be one that is there already.
pub const DUMMY: u64 = 0;

/// What names of prepared statements on servers begin with.
pub const NAME_PREFIX: &str = "_pgweir_";

/// The name on servers of the statement `id`.
pub fn server_name(id: u64) -> String {
    format!("{NAME_PREFIX}{id}")
}

/// The same inside a text. The quotes part it from what is around it: `EXECUTE"a"` has no blank.
pub fn quoted_name(id: u64) -> String {
    format!("\"{NAME_PREFIX}{id}\"")
}

/// The statements that one server has, least recently used first out.
#[derive(Debug)]
pub struct OnServer {
    known: LruCache<u64, ServerCopy, foldhash::fast::RandomState>,
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
            known: LruCache::unbounded_with_hasher(foldhash::fast::RandomState::default()),
            limit: limit.max(1),
        }
    }

    /// What is known of `id`, if it is there; it is then the most recently used.
    #[inline]
    pub fn touch(&mut self, id: u64) -> Option<&ServerCopy> {
        self.known.get(&id)
    }

    /// What is known of `id`, if it is there.
    pub fn copy(&self, id: u64) -> Option<&ServerCopy> {
        self.known.peek(&id)
    }

    /// The server has described the copy of `id` that was prepared at that tick.
    pub fn describe(&mut self, id: u64, when: u64, description: &Rc<Description>) {
        if let Some(copy) = self.known.peek_mut(&id).filter(|copy| copy.when == when) {
            copy.description = Some(description.clone());
        }
    }

    /// Adds `id`, prepared at the tick `when`.
    pub fn insert(&mut self, id: u64, when: u64) {
        self.insert_copy(id, ServerCopy { when, typed: false, description: None });
    }

    /// Adds what is known of `id`.
    pub fn insert_copy(&mut self, id: u64, copy: ServerCopy) {
        self.known.put(id, copy);
    }

    /// One that must be closed to stay within the limit, if there is one too many; it is forgotten.
    pub fn surplus(&mut self) -> Option<(u64, ServerCopy)> {
        if self.known.len() > self.limit { self.known.pop_lru() } else { None }
    }

    /// Forgets `id`; gives what was known of it.
    pub fn remove(&mut self, id: u64) -> Option<ServerCopy> {
        self.known.pop(&id)
    }

    /// Takes out `id`, or all.
    pub fn split_off(&mut self, id: Option<u64>) -> OnServer {
        let mut taken = OnServer::new(self.limit);
        match id {
            Some(id) => drop(self.known.pop(&id).map(|copy| taken.known.put(id, copy))),
            None => std::mem::swap(&mut taken.known, &mut self.known),
        }
        taken
    }

    /// Those that were taken out are still there, but where they were prepared anew since.
    pub fn put_back(&mut self, taken: &OnServer) {
        for (id, copy) in taken.known.iter().rev() {
            if !self.known.contains(id) {
                self.known.put(*id, copy.clone());
            }
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.known.clear();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
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
        let mut on_server = OnServer::new(2);
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
}
