//! Reads that the result cache answers, and answers that it keeps.
//!
//! A cycle that is one read, outside of transactions, by a session that has nothing but its settings, and for which a rule says `cache`, is looked up
//! before it takes a server. What is found is given to the client as the server would. Else the cycle goes its way, and its answer is
//! kept as it passes by. Writes of all sessions put what they may change in doubt before they are sent: see `writing`.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::asked::Asked;
use super::awaited::{InVain, Stuck, Waits};
use super::depends::About;
use super::kept::{Fill, Likeness, Passing};
use super::ruled::Stage;
use super::serve::Session;
use super::upstream::Flow;
use crate::cache::cures::{Cure, is_off};
use crate::cache::{Doubt, Entry, Gate, KeyBuffer, Later, Lookup, Miss, Needs, Parts};
use crate::config::settings::PoolMode;
use crate::level::Caching;
use crate::plan::Names;
use crate::plan::Profile;
use crate::pool::prepared::Description;
use crate::pool::state::State;
use crate::rules::Cache;
use crate::runtime::caches::DatabaseCache;
use crate::timer::sleep_until;
use crate::wire::emit;
use crate::wire::frame::{Frame, back, cstr};

/// Settings that make no difference to an answer.
pub(super) const IRRELEVANT: [&[u8]; 1] = [b"application_name"];
/// Settings under which nothing is kept: a read may be one of a serializable transaction.
pub(super) const AGAINST: [&[u8]; 2] = [b"default_transaction_isolation", b"default_transaction_deferrable"];

/// Names are taken for those of any schema: whichever is meant is among them. A session with temporary objects keeps its server, and asks no cache.
pub(super) const ANY_SCHEMA: Names<'static> = Names { search_path: None, temporary: false };

/// What a session has of its database's cache.
pub(super) struct Cached {
    pub(super) cache: Arc<DatabaseCache>,
    /// Of after so many reloads.
    pub(super) reloads: u32,
    /// The latest of what it must not see undone.
    pub(super) floor: Option<Instant>,
    settings: OfSettings,
    /// The answer that is coming is kept, or compared with what is.
    pub(super) fill: Option<Passing>,
    pub(super) waits: Option<Waits>,
    /// What its transaction may have changed.
    pub(super) doubts: Vec<Doubt>,
    /// What is to be in doubt before its transaction ends.
    pub(super) later: Vec<Later>,
    /// Something was sent in it that may have ended it.
    pub(super) may_have_ended: bool,
    /// Definitions are among that.
    pub(super) defines: bool,
    pub(super) stuck: Stuck,
    pub(super) in_vain: InVain,
}

/// What a session's settings are to the cache, found once for a state and the definitions by which statements are judged.
struct OfSettings {
    state: Rc<State>,
    edition: u64,
    /// They and the definitions, as keys have them.
    key: Box<[u8]>,
    /// Under them, answers may be kept.
    allow: bool,
}

impl Cached {
    pub(super) fn new(cache: Arc<DatabaseCache>, reloads: u32, state: &Rc<State>) -> Cached {
        Cached {
            cache,
            reloads,
            // Nothing is known of what its client has seen before.
            floor: Some(Instant::now()),
            settings: OfSettings {
                state: state.clone(),
                edition: u64::MAX,
                key: Box::default(),
                allow: false,
            },
            fill: None,
            waits: None,
            doubts: vec![],
            later: vec![],
            may_have_ended: false,
            defines: false,
            stuck: Stuck::default(),
            in_vain: InVain::default(),
        }
    }
}

impl Drop for Cached {
    fn drop(&mut self) {
        // Its server may commit yet what it has sent. A transaction whose end was not sent is rolled back.
        let now = Instant::now();
        self.doubts.drain(..).for_each(|doubt| self.cache.unknown(doubt, now));
        if self.defines {
            self.cache.redefined();
        }
    }
}

impl Session {
    /// The cycle at the front of the input is answered by the cache, or waits for somebody's answer: `None`: it goes its way.
    pub(super) fn look_in_cache(&mut self, frame: Frame, bytes: &[u8]) -> Option<Flow> {
        let verdict = self.verdict.as_mut()?;
        if verdict.stage >= Stage::Looked {
            return None;
        }
        let rule = verdict.cache.clone()?;
        if rule.level == Caching::StrictAll {
            verdict.begun.get_or_insert_with(Instant::now);
        }
        self.know_settings();
        let flow = match self.may_be_cached().then(|| Asked::read(frame, bytes)).flatten() {
            Some(asked) if self.transaction_allows(&rule) => self.look_up(&asked, &rule),
            _ => None,
        };
        if let Some(verdict) = self.verdict.as_mut().filter(|_| !matches!(flow, Some(Flow::Later))) {
            verdict.stage = Stage::Looked;
        }
        flow
    }

    /// Whether the server would take a snapshot of its own for what comes next, and the answer depends on nothing but the database and the key.
    fn may_be_cached(&self) -> bool {
        let plain = self.verdict.as_ref().is_some_and(|verdict| {
            verdict.asks.is_none() && verdict.is_alone() && verdict.is_read(&self.profiles.judge)
        });
        plain
            && (self.server.is_none() || is_off(Cure::Batch))
            && self.ticket.is_none()
            && self.mode == PoolMode::Transaction
            // What a standby answers may be older than what the stream has told.
            && self.pool.is_of_primary()
            && !self.is_asked_again()
            && self.has_nothing_but_settings()
            && self.cached.as_ref().is_some_and(|cached| cached.settings.allow)
    }

    /// The session's search path names PostgreSQL's own schema, so that names of others may come before those.
    pub(super) fn looks_in_catalog_late(&self) -> bool {
        let path = self.state.settings().get(&b"search_path"[..]);
        path.is_some_and(|path| path.windows(10).any(|part| part.eq_ignore_ascii_case(b"pg_catalog")))
    }

    fn look_up(&mut self, asked: &Asked<'_>, rule: &Cache) -> Option<Flow> {
        let profile = self.verdict.as_ref()?.profile.clone()?;
        let mut cached = self.cached.take()?;
        let found = self.find(&mut cached, asked, rule, &profile);
        self.cached = Some(cached);
        match found {
            Found::Answer(entry) => {
                self.verify(asked, rule, &entry);
                Some(self.answer_by(asked, &entry))
            }
            Found::Wait => {
                self.handle.waiting.set(true);
                Some(Flow::Later)
            }
            Found::Watch(passing) => {
                if let Some(verdict) = &mut self.verdict {
                    verdict.filling = Some(passing);
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

    fn find(&self, cached: &mut Cached, asked: &Asked<'_>, rule: &Cache, profile: &Rc<Profile>) -> Found {
        let Some((text, types)) = self.text_of(asked) else { return Found::Nothing };
        let cache = cached.cache.clone();
        let gate = self.gate(cached, rule);
        let (now, as_of) = (gate.now, gate.fresh_as_of);
        let parts = Parts {
            database: cache.number,
            form: asked.form(),
            user: self.handle.user.as_bytes(),
            settings: &cached.settings.key,
            sql: text,
            types,
            bind: asked.bind,
        };
        let (mut shown, stamp) = (None, self.profiles.judge.stamp());
        let stage = self.verdict.as_ref().map_or(Stage::Looked, |verdict| verdict.stage);
        let mut tools = self.worker.cache_tools.borrow_mut();
        let Tools { key, needs } = &mut *tools;
        let watched = rule.level != Caching::Ttl;
        let key = if watched { key.key(&parts) } else { key.key_by_age(&parts) };
        let Some(key) = key else { return Found::Nothing };
        if watched {
            cache.needed(now);
        }
        let found = cache.store.lookup(&key, &gate, || {
            let about = About { cache: &cache, rule, profile, stamp, asked, text, types };
            let (needs, told) = self.depends(needs, &about, watched.then_some(as_of), now)?;
            shown = told;
            Some(needs)
        });
        match found {
            Lookup::Hit(entry) => {
                if watched {
                    cache.used();
                }
                cached.stuck.is_over();
                cached.in_vain = InVain::default();
                cached.saw(entry.seen());
                Found::Answer(entry)
            }
            // What it has waited for was not kept.
            Lookup::Follow(_) if stage >= Stage::AnswerCame => Found::Nothing,
            Lookup::Follow(following) => {
                let until = Box::pin(sleep_until(following.until()));
                cached.waits = Some(Waits::For(following, until));
                Found::Wait
            }
            Lookup::Fill(filling) => {
                let rows_left = rule.max_rows.unwrap_or(u64::MAX);
                let behind = self.status_here();
                Found::Watch(Passing::Kept(Box::new(Fill { filling, sent: now, rows_left, behind, shown })))
            }
            Lookup::Closed(why, entry) => self.closed(cached, &gate, why, entry),
            Lookup::Miss(_) => Found::Nothing,
        }
    }

    /// What is asked of an entry now. How far the stream has come is read before any tag is.
    fn gate(&self, cached: &Cached, rule: &Cache) -> Gate {
        let (cache, now) = (&cached.cache, Instant::now());
        let begun = self.verdict.as_ref().and_then(|verdict| verdict.begun);
        Gate {
            level: rule.level,
            now,
            fresh_as_of: cache.feed.as_of(),
            definitions_hold: self.profiles.judge.hold(now),
            floor: if rule.level == Caching::StrictAll { begun } else { cached.floor },
            bound: rule.bound(),
            ttl: rule.ttl_cap(),
            swr: rule.swr(),
            on_stream_loss: rule.on_stream_loss(),
        }
    }

    /// There is an answer, and it is not for this session yet.
    fn closed(&self, cached: &mut Cached, gate: &Gate, why: Miss, entry: Arc<Entry>) -> Found {
        cached.cache.used();
        let all = gate.level == Caching::StrictAll;
        let stage = self.verdict.as_ref().map_or(Stage::Looked, |verdict| verdict.stage);
        if why == Miss::Floor {
            if all && stage == Stage::StreamCame {
                cached.in_vain.once_more();
            }
            let waits = stage < Stage::StreamCame
                && match all {
                    true => cached.waits_for_all(gate.now, gate.floor),
                    false => cached.waits_for_stream(gate.now, entry.took()),
                };
            if waits {
                return Found::Wait;
            }
        }
        match gate.level {
            Caching::Session => Found::Watch(Passing::Compared(Likeness::to(entry))),
            _ => Found::Nothing,
        }
    }

    pub(super) fn has_encoding_of_stream(&self) -> bool {
        *self.reading.encoding == *b"utf8"
    }

    fn know_settings(&mut self) {
        let (edition, state) = (self.profiles.judge.edition(), &self.state);
        let is_it = |known: &OfSettings| known.edition == edition && Rc::ptr_eq(&known.state, state);
        if self.cached.as_ref().is_none_or(|cached| is_it(&cached.settings)) {
            return;
        }
        let allow = self.makes_temporary_objects().is_empty()
            && !AGAINST.iter().any(|name| state.settings().contains_key(*name))
            && !self.looks_in_catalog_late();
        let settings =
            OfSettings { state: state.clone(), edition, key: self.settings_for_key(edition), allow };
        if let Some(cached) = &mut self.cached {
            cached.settings = settings;
        }
    }

    fn settings_for_key(&self, edition: u64) -> Box<[u8]> {
        let mut bytes = edition.to_le_bytes().to_vec();
        bytes.extend_from_slice(&self.defaults.encoding);
        bytes.push(u8::from(self.defaults.std_strings));
        for (name, value) in self.state.settings() {
            if makes_a_difference(name) {
                bytes.extend_from_slice(name);
                bytes.push(0);
                bytes.extend_from_slice(value);
                bytes.push(0);
            }
        }
        bytes.into()
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
        let status = self.status_here();
        emit::ready(&mut self.out, status);
        self.pool.stats().cached.add(1);
        self.count_here(status);
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
        if asked.closes {
            emit::empty(&mut self.out, back::CLOSE_COMPLETE);
        }
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
}

/// What a worker needs for look-ups, to be used again.
#[derive(Debug, Default)]
pub struct Tools {
    key: KeyBuffer,
    needs: Needs,
}

enum Found {
    Answer(Arc<Entry>),
    Watch(Passing),
    Wait,
    Nothing,
}

impl Cached {
    /// What the session sees from now on must not be older.
    pub(super) fn saw(&mut self, at: Instant) {
        self.floor = self.floor.max(Some(at));
    }
}

/// Whether answers may depend on a setting.
fn makes_a_difference(name: &[u8]) -> bool {
    let left_out = name == b"role" && is_off(Cure::Role);
    !IRRELEVANT.contains(&name) && !left_out
}
