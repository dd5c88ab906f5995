//! What a session writes is in doubt for the result cache from before it is sent until nobody can miss it any more.
//!
//! Every statement of every session of a database that has a cache is looked at when its message is taken: one that is known to read only puts nothing in doubt. What others
//! may change stays so until their transaction has ended, and from then until the stream has told all that was visible
//! at that moment ([`DatabaseCache::acknowledged`](crate::runtime::caches::DatabaseCache)); the client is told only after that has begun.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::Instant;

use super::cached::{ANY_SCHEMA, Cached};
use super::kept::Passing;
use super::ruled::Verdict;
use super::serve::Session;
use super::statement::Statement;
use super::upstream::body;
use crate::cache::{Doubt, Tag};
use crate::plan::cacheable::{Given, Parameter};
use crate::plan::writes::{Narrow, Writes};
use crate::runtime::caches::DatabaseCache;
use crate::sql::{Literal, shape};
use crate::wire::frame::{self, Frame, HEADER, front};

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
        if std::mem::replace(&mut verdict.doubted, true) {
            return;
        }
        if !self.verdict.as_ref().is_some_and(|verdict| verdict.is_read(&self.profiles.judge)) {
            self.doubt_what_is_written(frame, bytes);
        }
    }

    fn doubt_what_is_written(&mut self, frame: Frame, bytes: &[u8]) {
        let Some(cached) = &self.cached else { return };
        let cache = cached.cache.clone();
        let full = cached.doubts.len() >= MOST;
        let (doubt, defines) = match self.what_is_written(&cache, frame, bytes) {
            Some(found) if !full => found,
            Some((Some(_), defines)) => (Some(everything(&cache)), defines),
            Some((None, _)) => return,
            // A text that is too long to be held, that is not known, or for which a rule has another.
            None => (Some(everything(&cache)), true),
        };
        let Some(cached) = &mut self.cached else { return };
        cached.defines |= defines;
        if full && doubt.is_some() {
            // All that was in doubt before stays so by the new one.
            cached.doubts.drain(..).for_each(Doubt::release);
        }
        cached.doubts.extend(doubt);
    }

    /// What is to be in doubt, and whether it may change definitions; `None`: the statement is not known.
    fn what_is_written(
        &self,
        cache: &DatabaseCache,
        frame: Frame,
        bytes: &[u8],
    ) -> Option<(Option<Doubt>, bool)> {
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
                    return Some((None, false));
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
        let writes = self.profiles.writes(&profile, (text, self.dialect), ANY_SCHEMA, (0, &[]));
        let tags = match &*writes {
            Writes::Nothing => return Some((None, false)),
            Writes::Rows(narrow) => {
                let literals = self.literals_of(text, statement);
                match self.doubt_rows(cache, narrow, (text, &literals), (types, bind)) {
                    Some(doubt) => return Some((Some(doubt), false)),
                    None => vec![Tag::table(cache.relation(narrow.table))],
                }
            }
            Writes::Tables(tables) => tables.iter().map(|oid| Tag::table(cache.relation(*oid))).collect(),
            Writes::Everything => vec![Tag::everything(cache.number)],
            Writes::Definitions => return Some((Some(everything(cache)), true)),
        };
        Some((Some(cache.store.tags().doubt(&tags)), false))
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
    fn doubt_rows(
        &self,
        cache: &DatabaseCache,
        narrow: &Narrow,
        (text, literals): (&[u8], &[Literal]),
        (types, bind): (&[u8], Option<&[u8]>),
    ) -> Option<Doubt> {
        let parameters = match bind {
            Some(bind) => super::asked::parameters(bind, types)?,
            None => Vec::<Parameter<'_>>::new(),
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
        let mut tags = Vec::with_capacity(1 + shapes.all().len() + rows.len());
        tags.push(Tag::any_row(relation));
        for other in shapes.all() {
            let tag = Tag::shape(relation, other.columns());
            if !is_key(other.columns()) {
                tags.push(tag);
                continue;
            }
            tags.extend(rows.iter().map(|row| Tag::values(tag, row.iter().map(|value| &**value))));
        }
        Some(cache.store.tags().doubt(&tags).found_by(shapes))
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
        if goes_on || cached.doubts.is_empty() {
            return;
        }
        let Cached { cache, doubts, defines, .. } = &mut **cached;
        if std::mem::take(defines) {
            cache.redefined();
        }
        doubts.drain(..).for_each(|doubt| cache.acknowledged(doubt, now));
    }
}

fn everything(cache: &DatabaseCache) -> Doubt {
    cache.store.tags().doubt(&[Tag::everything(cache.number)])
}
