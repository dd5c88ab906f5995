//! Reads that the result cache answers, and answers that it keeps.
//!
//! A cycle that is one read, outside of transactions, by a session that has nothing but its settings, and for which a rule says `cache`, is looked up
//! before it takes a server. What is found is given to the client as the server would. Else the cycle goes its way, and its answer is
//! kept as it passes by. Writes of all sessions put what they may change in doubt before they are sent: see `writing`.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep_until};

use super::asked::Asked;
use super::kept::Fill;
use super::serve::Session;
use super::upstream::Flow;
use crate::cache::{Doubt, Entry, Following, Gate, KeyBuffer, Lookup, Miss, Needs, Parts};
use crate::catalog::RelationKind;
use crate::config::settings::PoolMode;
use crate::level::Caching;
use crate::plan::Names;
use crate::plan::Profile;
use crate::plan::cacheable::{Given, Touched};
use crate::pool::prepared::Description;
use crate::pool::state::State;
use crate::rules::Cache;
use crate::runtime::caches::DatabaseCache;
use crate::sql::facts::{Access, Name, Table};
use crate::sql::shape;
use crate::wire::emit;
use crate::wire::frame::{Frame, TxStatus, back, cstr};

/// A session whose every read goes to the database moves its floor with each, and the stream never comes to it. So after so many it waits once, for
/// as long as [`MOVING`]; twice as many each time that is in vain.
const STUCK: u32 = 8;
/// More than the stream takes in good health.
const MOVING: Duration = Duration::from_millis(10);
/// From that many on it is not more.
const MOST_STUCK: u32 = 4096;
/// Settings that make no difference to an answer.
const IRRELEVANT: [&[u8]; 1] = [b"application_name"];
/// Settings under which nothing is kept: a read may be one of a serializable transaction.
const AGAINST: [&[u8]; 2] = [b"default_transaction_isolation", b"default_transaction_deferrable"];

/// Names are taken for those of any schema: whichever is meant is among them. A session with temporary objects keeps its server, and asks no cache.
pub(super) const ANY_SCHEMA: Names<'static> = Names { search_path: None, temporary: false };

/// What a session has of its database's cache.
pub(super) struct Cached {
    pub(super) cache: Arc<DatabaseCache>,
    /// The latest of what it must not see undone.
    floor: Option<Instant>,
    /// Its settings as keys have them, by the state that has them, and the definitions by which statements are judged.
    settings: (Rc<State>, u64, Box<[u8]>),
    /// The answer that is coming is kept.
    pub(super) fill: Option<Fill>,
    waits: Option<Waits>,
    /// What its transaction may have changed.
    pub(super) doubts: Vec<Doubt>,
    /// Definitions are among that.
    pub(super) defines: bool,
    stuck: u32,
    patient: u32,
}

/// What a read waits for before it takes a server.
enum Waits {
    /// Another session's answer to the same.
    For(Following, Pin<Box<Sleep>>),
    /// The stream.
    Moving(Pin<Box<Sleep>>),
}

impl Cached {
    pub(super) fn new(cache: Arc<DatabaseCache>, state: &Rc<State>) -> Cached {
        Cached {
            cache,
            // Nothing is known of what its client has seen before.
            floor: Some(Instant::now()),
            settings: (state.clone(), u64::MAX, Box::default()),
            fill: None,
            waits: None,
            doubts: vec![],
            defines: false,
            stuck: 0,
            patient: STUCK,
        }
    }
}

impl Drop for Cached {
    fn drop(&mut self) {
        // Its server may commit yet what it has sent.
        let now = Instant::now();
        self.doubts.drain(..).for_each(|doubt| self.cache.unknown(doubt, now));
        if self.defines {
            self.cache.redefined();
        }
    }
}

impl Session {
    /// Rules keep answers: the session has its database's cache from now on.
    #[inline]
    pub(super) fn begin_caching(&mut self) {
        if self.cached.is_none() && self.worker.rules.caches() {
            let cache = self.worker.shared.caches.of(&self.pool.target());
            self.cached = Some(Box::new(Cached::new(cache, &self.state)));
        }
    }

    /// The cycle at the front of the input is answered by the cache, or waits for somebody's answer: `None`: it goes its way.
    pub(super) fn look_in_cache(&mut self, frame: Frame, bytes: &[u8]) -> Option<Flow> {
        let verdict = self.verdict.as_mut()?;
        if verdict.looked || verdict.cache.is_none() {
            return None;
        }
        verdict.looked = true;
        let rule = verdict.cache.clone()?;
        if !self.may_be_cached() {
            return None;
        }
        let asked = Asked::read(frame, bytes)?;
        let flow = self.look_up(&asked, &rule);
        if let (Some(Flow::Later), Some(verdict)) = (&flow, &mut self.verdict) {
            verdict.looked = false;
        }
        flow
    }

    /// Whether the server would take a snapshot of its own for what comes next, and the answer depends on nothing but the database and the key.
    fn may_be_cached(&self) -> bool {
        let plain = self.verdict.as_ref().is_some_and(|verdict| {
            verdict.asks.is_none() && verdict.alone && verdict.is_read(&self.profiles.judge)
        });
        plain
            && self.server.is_none()
            && self.ticket.is_none()
            && self.held_begin.is_none()
            && self.mode == PoolMode::Transaction
            && !self.is_asked_again()
            && self.has_settings_only()
            && !AGAINST.iter().any(|name| self.state.settings().contains_key(*name))
            && !self.looks_in_catalog_late()
    }

    /// The session's search path names PostgreSQL's own schema, so that names of others may come before those.
    fn looks_in_catalog_late(&self) -> bool {
        let path = self.state.settings().get(&b"search_path"[..]);
        path.is_some_and(|path| path.windows(10).any(|part| part.eq_ignore_ascii_case(b"pg_catalog")))
    }

    fn look_up(&mut self, asked: &Asked<'_>, rule: &Cache) -> Option<Flow> {
        let profile = self.verdict.as_ref()?.profile.clone()?;
        let mut cached = self.cached.take()?;
        let found = self.find(&mut cached, asked, rule, &profile);
        self.cached = Some(cached);
        match found {
            Found::Answer(entry) => Some(self.answer_by(asked, &entry)),
            Found::Wait => {
                self.handle.waiting.set(true);
                Some(Flow::Later)
            }
            Found::Fill(fill) => {
                if let Some(verdict) = &mut self.verdict {
                    verdict.filling = Some(fill);
                }
                None
            }
            Found::Nothing => None,
        }
    }

    /// The text and the types of parameters of what is asked.
    pub(super) fn text_of<'a>(&'a self, asked: &Asked<'a>) -> Option<(&'a [u8], &'a [u8])> {
        let tail = match (asked.parsed, asked.query) {
            (_, Some(text)) => return Some((text, b"")),
            (Some(tail), None) => tail,
            (None, None) => self.known(asked.name)?.as_parsed()?,
        };
        cstr(tail)
    }

    fn find(&self, cached: &mut Cached, asked: &Asked<'_>, rule: &Cache, profile: &Profile) -> Found {
        let Some((text, types)) = self.text_of(asked) else { return Found::Nothing };
        let cache = cached.cache.clone();
        cache.used();
        self.settings_for_key(cached);
        let now = Instant::now();
        let as_of = cache.feed.as_of();
        let gate = Gate {
            level: rule.level,
            now,
            fresh_as_of: as_of,
            floor: cached.floor,
            bound: rule.bound(),
            ttl: rule.ttl_cap(),
            swr: rule.swr(),
            on_stream_loss: rule.on_stream_loss(),
        };
        let parts = Parts {
            database: cache.number,
            form: asked.form(),
            user: self.handle.user.as_bytes(),
            settings: &cached.settings.2,
            sql: text,
            types,
            bind: asked.bind,
        };
        let mut tools = self.worker.cache_tools.borrow_mut();
        let Tools { key, needs } = &mut *tools;
        let Some(key) = key.key(&parts) else { return Found::Nothing };
        let watched = rule.level != Caching::Ttl;
        if watched {
            cache.needed(now);
        }
        let found = cache.store.lookup(&key, &gate, || {
            let mut touched = self.touched(profile, text, types, asked)?;
            self.add_declared(rule, &mut touched)?;
            collect(needs, &cache, &touched, watched.then_some(as_of), now)
        });
        match found {
            Lookup::Hit(entry) => {
                cached.stuck = 0;
                cached.saw(entry.seen());
                Found::Answer(entry)
            }
            // What it has waited for was not kept.
            Lookup::Follow(_) if self.verdict.as_ref().is_some_and(|verdict| verdict.waited) => {
                Found::Nothing
            }
            Lookup::Follow(following) => {
                let until = Box::pin(sleep_until(following.until().into()));
                cached.waits = Some(Waits::For(following, until));
                Found::Wait
            }
            Lookup::Fill(filling) => {
                let rows_left = rule.max_rows.unwrap_or(u64::MAX);
                Found::Fill(Fill { filling, sent: now, rows_left })
            }
            Lookup::Miss(Miss::Floor) if cached.waits_for_stream(now) => Found::Wait,
            Lookup::Miss(_) => Found::Nothing,
        }
    }

    /// On which rows the answer depends.
    fn touched(
        &self,
        profile: &Profile,
        text: &[u8],
        types: &[u8],
        asked: &Asked<'_>,
    ) -> Option<Vec<Touched>> {
        let dependencies = self.profiles.dependencies(profile, (text, self.dialect), ANY_SCHEMA);
        let shape = shape(text, self.dialect);
        let parameters = asked.parameters(types)?;
        let given = Given {
            text,
            dialect: self.dialect,
            literals: &shape.literals,
            parameters: &parameters,
            same_encoding: *self.reading.encoding == *b"utf8",
        };
        let found = match &*dependencies {
            Ok(dependencies) => dependencies.touched(&given),
            Err(refusal) => Err(*refusal),
        };
        found.inspect_err(|refusal| self.pool.stats().refused(*refusal as usize)).ok()
    }

    /// The tables that a rule says it depends on, with what stands behind them. `None`: one is not known.
    fn add_declared(&self, rule: &Cache, touched: &mut Vec<Touched>) -> Option<()> {
        if rule.depends_on.is_empty() {
            return Some(());
        }
        let contents = self.profiles.judge.contents();
        let relations = contents.relations.as_ref()?;
        for name in &rule.depends_on {
            let name = Name { schema: name.schema.clone(), name: name.name.clone() };
            let declared = Table { name, access: Access::Read };
            if relations.named(&declared.name, None).is_empty() {
                return None;
            }
            let behind = relations.behind(std::slice::from_ref(&declared));
            for table in behind.iter().chain([&declared]) {
                let any = |oid| Touched { table: oid, columns: vec![], values: vec![] };
                let ids = relations.named(&table.name, None);
                // A view has no rows of its own.
                let tables = ids.into_iter().filter(|id| relations.kind(*id) != RelationKind::View);
                touched.extend(tables.map(|id| any(relations.oid(id))));
            }
        }
        Some(())
    }

    fn settings_for_key(&self, cached: &mut Cached) {
        let stamp = self.profiles.judge.stamp();
        if Rc::ptr_eq(&cached.settings.0, &self.state) && cached.settings.1 == stamp {
            return;
        }
        let mut bytes = stamp.to_le_bytes().to_vec();
        bytes.extend_from_slice(&self.defaults.encoding);
        bytes.push(u8::from(self.defaults.std_strings));
        for (name, value) in self.state.settings() {
            if !IRRELEVANT.contains(&&**name) {
                bytes.extend_from_slice(name);
                bytes.push(0);
                bytes.extend_from_slice(value);
                bytes.push(0);
            }
        }
        cached.settings = (self.state.clone(), stamp, bytes.into());
    }

    /// The client is given what the server would answer.
    fn answer_by(&mut self, asked: &Asked<'_>, entry: &Entry) -> Flow {
        let answer = entry.answer();
        self.capture_by_cache(asked, answer);
        match asked.query {
            Some(_) => {
                self.unnamed = None;
                self.out.extend_from_slice(answer);
            }
            None => self.answer_batch_by(asked, answer),
        }
        emit::ready(&mut self.out, TxStatus::Idle);
        self.pool.stats().cached.add(1);
        self.count_here(TxStatus::Idle);
        Flow::Taken(asked.length)
    }

    fn answer_batch_by(&mut self, asked: &Asked<'_>, answer: &[u8]) {
        if let Some(tail) = asked.parsed {
            self.parsed_here(b"", tail);
            emit::empty(&mut self.out, back::PARSE_COMPLETE);
        }
        let (of_statement, rest) = answer.split_at(asked.length_of_description(answer));
        self.out.extend_from_slice(of_statement);
        emit::empty(&mut self.out, back::BIND_COMPLETE);
        self.out.extend_from_slice(rest);
        self.forget_portal(b"");
        let stats = self.pool.stats();
        stats.client_parses.add(u64::from(asked.parsed.is_some()));
        stats.binds.add(1);
        if let Some((parameters, rows)) = asked.described(answer) {
            self.was_told(asked.name, parameters, rows);
        }
    }

    /// The client has been told what a statement of its is, if it was not before.
    fn was_told(&mut self, name: &[u8], parameters: Box<[u8]>, rows: &[u8]) {
        let known = match name {
            b"" => self.unnamed.as_mut(),
            name => self.names.get_mut(super::statement::significant(name)),
        };
        if let Some(named) = known.filter(|named| named.told.is_none()) {
            let description = Description::of(parameters, rows);
            named.told = Some(named.statement.prepared.shared(description));
        }
    }

    /// Looks whether what a read waits for has come; it is looked up again then, and has its turn in line no more.
    pub(super) fn poll_cache(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(cached) = &mut self.cached else { return false };
        let come = match &mut cached.waits {
            None => return false,
            Some(Waits::Moving(until)) => until.as_mut().poll(cx).is_ready() || cached.is_fresh(),
            Some(Waits::For(following, until)) => {
                let late = until.as_mut().poll(cx).is_ready();
                let now = if late { following.until() } else { Instant::now() };
                match following.poll(cx, now) {
                    Poll::Pending => false,
                    Poll::Ready(answer) => {
                        if let Some(verdict) = &mut self.verdict {
                            // Where there is no answer, it asks the database itself.
                            (verdict.waited, verdict.looked) = (true, answer.is_err());
                        }
                        true
                    }
                }
            }
        };
        if come {
            cached.waits = None;
            self.handle.waiting.set(false);
        }
        come
    }

    /// A read waits before it takes a server.
    #[inline]
    pub(super) fn waits_for_cache(&self) -> bool {
        self.cached.as_ref().is_some_and(|cached| cached.waits.is_some())
    }

    /// It waits no more, because its client has cancelled it. False: it did not.
    pub(super) fn waits_for_cache_no_more(&mut self) -> bool {
        self.cached.as_mut().is_some_and(|cached| cached.waits.take().is_some())
    }
}

/// What a worker needs for look-ups, to be used again.
#[derive(Debug, Default)]
pub struct Tools {
    key: KeyBuffer,
    needs: Needs,
}

enum Found {
    Answer(Arc<Entry>),
    Fill(Fill),
    Wait,
    Nothing,
}

impl Cached {
    /// What the session sees from now on must not be older.
    pub(super) fn saw(&mut self, at: Instant) {
        self.floor = self.floor.max(Some(at));
    }

    fn is_fresh(&self) -> bool {
        self.cache.feed.as_of() >= self.floor
    }

    /// The stream is not known to have come to what the session saw last: is it to wait for that?
    fn waits_for_stream(&mut self, now: Instant) -> bool {
        self.stuck = self.stuck.saturating_add(1);
        if self.stuck < self.patient {
            return false;
        }
        if self.stuck > self.patient {
            // It has waited in vain.
            (self.stuck, self.patient) = (0, (self.patient * 2).min(MOST_STUCK));
            return false;
        }
        self.waits = Some(Waits::Moving(Box::pin(sleep_until((now + MOVING).into()))));
        true
    }
}

/// Names the tags of what is touched; `None` where the stream does not tell its changes yet, for which it is asked here. `stream`: that is needed, and it has
/// come so far.
fn collect<'n>(
    needs: &'n mut Needs,
    cache: &DatabaseCache,
    touched: &[Touched],
    stream: Option<Option<Instant>>,
    now: Instant,
) -> Option<&'n Needs> {
    needs.begin(cache.number);
    let mut ready = true;
    for one in touched {
        let relation = cache.relation(one.table);
        let Some(as_of) = stream else {
            needs.any_row(relation);
            continue;
        };
        if !cache.feed.registry().is_watched(relation, as_of) {
            cache.want(relation);
            ready = false;
        } else if !one.columns.is_empty() && cache.usable(relation, &one.columns, as_of, now) {
            for values in &one.values {
                needs.rows(relation, &one.columns, values.iter().map(|value| &**value));
            }
        } else {
            needs.any_row(relation);
        }
    }
    ready.then_some(needs)
}
