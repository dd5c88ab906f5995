//! What a session writes is in doubt for the result cache from before it is sent until nobody can miss it any more.
//!
//! Every statement of every session of a database that has a cache is looked at when its message is taken: one that is known to read only puts nothing in doubt. In a transaction
//! that is open for certain, what others may change is in doubt from before something is sent that may end it; else from before they are sent. It stays so until their transaction has ended, and from then until the stream has told all that was visible
//! at that moment ([`DatabaseCache::acknowledged`](crate::runtime::caches::DatabaseCache)); the client is told only after that has begun.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::Instant;

use smallvec::smallvec;

use super::asked::parameters;
use super::cached::{ANY_SCHEMA, Cached};
use super::kept::Passing;
use super::ruled::{Stage, Verdict};
use super::serve::Session;
use super::statement::Statement;
use super::upstream::body;
use crate::cache::cures::{Cure, is_off};
use crate::cache::{Doubt, Later, Lists, Shapes, Tag, TagList};
use crate::plan::Bounds;
use crate::plan::cacheable::{Given, Parameters};
use crate::plan::writes::{Narrow, Writes};
use crate::pool::exchange::Expect;
use crate::runtime::caches::DatabaseCache;
use crate::sql::{Literal, shape};
use crate::wire::bind::Bind;
use crate::wire::frame::{self, Frame, HEADER, TxStatus, front};

/// A transaction with more doubts than this has everything in doubt instead.
const MOST: usize = 256;

impl Session {
    /// What the message at the front may change is in doubt from now on.
    #[inline]
    pub(super) fn put_in_doubt(&mut self, frame: Frame, bytes: &[u8]) {
        if self.cached.is_none() || !matches!(frame.tag, front::QUERY | front::BIND | front::FUNCTION_CALL) {
            return;
        }
        let verdict = self.verdict.get_or_insert_default();
        if std::mem::replace(&mut verdict.stage, Stage::InDoubt) == Stage::InDoubt {
            return;
        }
        if !self.verdict.as_ref().is_some_and(|verdict| verdict.is_read(&self.profiles.judge)) {
            self.doubt_what_is_written(frame, bytes);
        }
    }

    fn doubt_what_is_written(&mut self, frame: Frame, bytes: &[u8]) {
        let Some(cached) = &self.cached else { return };
        let cache = cached.cache.clone();
        // A text that is too long to be held, that is not known, or for which a rule has another, may do anything.
        let written = self.what_is_written(&cache, frame, bytes).unwrap_or_else(|| Written::anything(&cache));
        let (open, has_server) = (self.is_surely_open(), self.server.is_some());
        let Some(cached) = &mut self.cached else { return };
        cached.defines |= written.defines;
        match written.bounds {
            // A Query is run when it is sent; what is bound, perhaps never.
            Bounds::RollsBack if open && frame.tag == front::QUERY => {
                (cached.may_have_ended, cached.later) = (true, vec![]);
            }
            // Without a server there is no transaction that a Query may end, nor may it when it has run.
            Bounds::RollsBack | Bounds::MayEnd if frame.tag == front::QUERY && !has_server => {}
            Bounds::RollsBack | Bounds::MayEnd => cached.ends_now(),
            Bounds::Stays => {}
        }
        if written.tags.is_empty() {
            return;
        }
        let later = Later::new(written.tags, written.by);
        if open && written.bounds == Bounds::Stays {
            cached.add_later(later);
        } else {
            cached.add(later);
        }
    }

    /// Whether what is sent next runs in a transaction that only a later message can end: the server has said that one is open, or BEGIN goes
    /// ahead, and nothing has been sent since that may end it.
    fn is_surely_open(&self) -> bool {
        let open = match (&self.server, &self.held_begin) {
            (Some(server), _) => match server.tx {
                TxStatus::Open => true,
                TxStatus::Idle => server.expects.iter().any(Expect::begins),
                _ => false,
            },
            (None, begin) => begin.is_some(),
        };
        open && self.cached.as_ref().is_some_and(|cached| !cached.may_have_ended)
    }

    /// What is to be in doubt; `None`: the statement is not known.
    fn what_is_written(&self, cache: &DatabaseCache, frame: Frame, bytes: &[u8]) -> Option<Written> {
        let there = bytes.get(..frame.total)?;
        let asks = self.verdict.as_ref().and_then(|verdict| verdict.asks.as_ref());
        if asks.is_some_and(|asks| asks.reworded.is_some()) {
            // It is not the client's text that runs.
            return None;
        }
        let (text, types, bind, statement) = match frame.tag {
            front::QUERY => (there[HEADER..].strip_suffix(b"\0")?, &b""[..], None, None),
            front::BIND => {
                let (_, rest) = frame::cstr(body(there))?;
                let (name, values) = frame::cstr(rest)?;
                let Some(named) = self.known(name) else {
                    // There is no such statement: the server says so.
                    return Some(Written::nothing(Bounds::Stays));
                };
                if named.worded.is_some() {
                    return None;
                }
                let (text, types) = frame::cstr(named.as_parsed()?)?;
                (text, types, Some(values), Some(&named.statement))
            }
            _ => return None,
        };
        let profile = match self.verdict.as_ref().filter(|_| bind.is_none()) {
            Some(Verdict { profile: Some(known), literals: Some(_), .. }) => known.clone(),
            _ => match statement.filter(|statement| statement.is_as_sent()) {
                Some(statement) => statement.profile(&self.profiles, self.dialect),
                None => self.profiles.of(text, self.dialect),
            },
        };
        let rules = &self.worker.rules;
        let said = (rules.stamp(), || rules.triggers(&self.handle.database));
        let writes = self.profiles.writes(&profile, (text, self.dialect), ANY_SCHEMA, said);
        let written = Written::nothing(profile.bounds(text, self.dialect));
        let everything = || -> TagList { smallvec![Tag::everything(cache.number)] };
        Some(match &*writes {
            Writes::Nothing => written,
            Writes::Rows(narrow) => {
                let literals = self.literals_of(text, statement);
                match self.rows_written(cache, narrow, (text, &literals), (types, bind)) {
                    Some((tags, shapes)) => Written { tags, by: smallvec![shapes], ..written },
                    None => Written { tags: smallvec![Tag::table(cache.relation(narrow.table))], ..written },
                }
            }
            Writes::Tables(tables) => {
                let tags = tables.iter().map(|oid| Tag::table(cache.relation(*oid))).collect();
                Written { tags, ..written }
            }
            Writes::Everything => Written { tags: everything(), ..written },
            Writes::Definitions => Written { tags: everything(), defines: true, ..written },
        })
    }

    /// What stands for values in the text at the front, which is that of this statement if it was prepared before.
    pub(super) fn literals_of<'a>(
        &'a self,
        text: &[u8],
        statement: Option<&'a Rc<Statement>>,
    ) -> Cow<'a, [Literal]> {
        if let Some(statement) = statement.filter(|statement| statement.is_as_sent()) {
            return Cow::Borrowed(statement.literals(self.dialect));
        }
        let sent = self.verdict.as_ref().filter(|_| statement.is_none());
        match sent.and_then(|verdict| verdict.literals.as_deref()) {
            Some(literals) => Cow::Borrowed(literals),
            None => Cow::Owned(shape(text, self.dialect).literals),
        }
    }

    /// The rows with one key, and whatever was found by other columns of theirs.
    fn rows_written(
        &self,
        cache: &DatabaseCache,
        narrow: &Narrow,
        (text, literals): (&[u8], &[Literal]),
        (types, bind): (&[u8], Option<&[u8]>),
    ) -> Option<(TagList, Shapes)> {
        let parameters = match bind {
            Some(bind) => parameters(&Bind::read(bind)?, types)?,
            None => Parameters::new(),
        };
        let given = Given {
            text,
            dialect: self.dialect,
            literals,
            parameters: &parameters,
            same_encoding: *self.reading.encoding == *b"utf8",
        };
        let rows = narrow.touched(&given)?;
        let is_key = |columns: &[i16]| columns.iter().eq(narrow.key.iter().map(|column| &column.number));
        let relation = cache.relation(narrow.table);
        let shapes = cache.feed.registry().shapes(relation)?;
        let mut tags: TagList = smallvec![shapes.any_row()];
        for other in shapes.all() {
            if !is_key(other.columns()) {
                tags.extend([other.tag, other.by_rows]);
                continue;
            }
            tags.extend(rows.iter().map(|row| Tag::values(other.tag, row.iter().map(|value| &**value))));
        }
        Some((tags, shapes))
    }

    /// A cycle was answered: a transaction that has ended with it leaves its doubts to the cache. To be called before the client is told.
    #[inline]
    pub(super) fn leave_doubts(&mut self, ended: bool) {
        if self.cached.is_some() {
            self.note_answer(ended);
        }
    }

    fn note_answer(&mut self, ended: bool) {
        let goes_on = !ended || self.cycle_under_way() || self.batch_open;
        let Some(cached) = &mut self.cached else { return };
        let now = Instant::now();
        // A session that has written compares nothing: its cycle is one read.
        let known = match &cached.fill {
            Some(Passing::Compared(likeness)) if !goes_on => likeness.seen(),
            _ => None,
        };
        cached.saw(known.unwrap_or(now));
        if goes_on {
            return;
        }
        // What would still be there was of a transaction that has ended otherwise than was thought.
        cached.ends_now();
        cached.may_have_ended = false;
        let Cached { cache, doubts, defines, .. } = &mut **cached;
        if std::mem::take(defines) {
            cache.redefined();
        }
        doubts.drain(..).for_each(|doubt| cache.acknowledged(when_answered(cache, doubt), now));
    }
}

impl Cached {
    /// Something is sent that may end the transaction: what it has written is in doubt from now on.
    fn ends_now(&mut self) {
        self.may_have_ended = true;
        for later in std::mem::take(&mut self.later) {
            self.add(later);
        }
    }

    /// This is in doubt from now on.
    fn add(&mut self, later: Later) {
        let tags = self.cache.store.tags();
        if self.doubts.len() < MOST {
            self.doubts.push(before_sent(&self.cache, later.begin(tags)));
            return;
        }
        let all = tags.doubt(&[Tag::everything(self.cache.number)]);
        // All that was in doubt before stays so by the new one.
        self.doubts.drain(..).for_each(Doubt::release);
        self.doubts.push(all);
    }

    /// This is in doubt when something is sent that may end the transaction.
    fn add_later(&mut self, later: Later) {
        if self.later.len() >= MOST {
            self.later = vec![Later::new(smallvec![Tag::everything(self.cache.number)], Lists::new())];
        }
        self.later.push(later);
    }
}

/// What a statement writes, and what it may do with its transaction.
struct Written {
    tags: TagList,
    by: Lists,
    defines: bool,
    bounds: Bounds,
}

impl Written {
    fn nothing(bounds: Bounds) -> Written {
        Written { tags: TagList::new(), by: Lists::new(), defines: false, bounds }
    }

    fn anything(cache: &DatabaseCache) -> Written {
        let tags = smallvec![Tag::everything(cache.number)];
        Written { tags, by: Lists::new(), defines: true, bounds: Bounds::MayEnd }
    }
}

/// The doubt of a write that is sent next.
fn before_sent(cache: &DatabaseCache, doubt: Doubt) -> Doubt {
    if is_off(Cure::DoubtBeforeSent) {
        doubt.release();
        return cache.store.tags().doubt(&[]);
    }
    doubt
}

/// The doubt of a write that was answered.
fn when_answered(cache: &DatabaseCache, doubt: Doubt) -> Doubt {
    let everything = || cache.store.tags().doubt(&[Tag::everything(cache.number)]);
    if is_off(Cure::DoubtBeforeSent) { everything() } else { doubt }
}
