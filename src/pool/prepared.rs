//! Prepared statements: one identity for equal statements of any session, and what a server has of them.

use std::num::NonZeroUsize;

use lru::LruCache;

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
    known: LruCache<u64, u64, foldhash::fast::RandomState>,
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

    /// When `id` was prepared, if it is there; it is then the most recently used.
    #[inline]
    pub fn touch(&mut self, id: u64) -> Option<u64> {
        self.known.get(&id).copied()
    }

    /// Adds `id`, prepared at the tick `when`.
    pub fn insert(&mut self, id: u64, when: u64) {
        self.known.put(id, when);
    }

    /// One that must be closed to stay within the limit, if there is one too many; it is forgotten.
    pub fn surplus(&mut self) -> Option<u64> {
        if self.known.len() > self.limit { self.known.pop_lru().map(|(id, _)| id) } else { None }
    }

    /// Forgets `id`.
    pub fn remove(&mut self, id: u64) {
        self.known.pop(&id);
    }

    /// Takes out `id`, or all.
    pub fn split_off(&mut self, id: Option<u64>) -> OnServer {
        let mut taken = OnServer::new(self.limit);
        match id {
            Some(id) => drop(self.known.pop(&id).map(|when| taken.known.put(id, when))),
            None => std::mem::swap(&mut taken.known, &mut self.known),
        }
        taken
    }

    /// Those that were taken out are still there, but where they were prepared anew since.
    pub fn put_back(&mut self, taken: &OnServer) {
        for (id, when) in taken.known.iter().rev() {
            if !self.known.contains(id) {
                self.known.put(*id, *when);
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
        assert_eq!(on_server.surplus(), None);
        assert_eq!(on_server.touch(1), Some(10));
        on_server.insert(3, 30);
        assert_eq!((on_server.surplus(), on_server.surplus()), (Some(2), None));
        assert_eq!(on_server.touch(2), None);
        assert_eq!(on_server.len(), 2);
    }
}
