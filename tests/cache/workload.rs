//! Sessions that read and write: through pgweir at each level, and around it. What they are told goes to the model.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::aim::Aim;
use super::model::{ANY, At, Key, Level, Model, Session};
use super::questions::{CUSTOMERS, PAIRS, ROWS};
use super::random::Random;
use super::sql::{Answer, FORMS, Form, Prepared, Sql};
use super::writes::Definitions;
use crate::harness::frontend as msg;
use crate::harness::message::Message;
use crate::harness::raw::{Client, Endpoint, Login};

/// What may come of a statement whose server goes, or which waits for another that waits for it.
const MAY_FAIL: [&str; 4] = ["40P01", "40001", "55P03", "P0001"];
/// Errors after which nobody knows whether a write has happened, and which only a nemesis may cause.
const LOST: [&str; 6] = ["08000", "08003", "08006", "08007", "57P01", "57P02"];
/// What a nemesis may cause besides: no server, or one that is no primary yet, which does not write and has no serializable transactions; and
/// what was sent behind a statement that could not be prepared misses it.
const AWAY: [&str; 7] = ["57P03", "25006", "0A000", "26000", "53300", "08001", "08004"];
/// The values of a table `kv` in another schema, and in temporary tables: no operation writes them.
pub(super) const ELSEWHERE: i64 = -7;
pub(super) const TEMPORARY: i64 = -9;
/// A session ends and another begins after so many things; a connection of a test may not live for ever.
const LIFE: u32 = 600;

/// What all sessions of a run share.
pub struct Shared {
    clock: Instant,
    /// When it is over.
    pub over: AtomicBool,
    /// What is known.
    pub model: Mutex<Model>,
    /// pgweir.
    pub through: Endpoint,
    /// Another pgweir, where some read and write that know nothing of the first.
    pub second: Option<Endpoint>,
    /// The primary.
    pub around: Mutex<Endpoint>,
    /// How to log in to either.
    pub login: Login,
    /// Connections may be lost: there is a nemesis that does that.
    pub rough: bool,
    /// Readers are now and then told what they were told before: the checker must notice.
    pub spoilt: bool,
    /// What they do most.
    pub aim: Aim,
    /// How often something went wrong that has to do with shapes.
    pub strikes: AtomicU32,
    /// Who writes where only one may at a time.
    pub turn: Mutex<()>,
    /// What definitions there are; who changes one has it.
    pub definitions: Mutex<Definitions>,
    /// When pgweir was started again last.
    reborn: AtomicU64,
    next: AtomicU32,
    /// What happened.
    pub tally: Tally,
    surprises: Mutex<Vec<String>>,
}

/// What happened, beside what the model counts.
#[derive(Debug, Default)]
pub struct Tally {
    /// Writes that were acknowledged.
    pub written: AtomicU64,
    /// Writes that were rolled back, as was meant.
    pub undone: AtomicU64,
    /// Writes that failed.
    pub failed: AtomicU64,
    /// Writes of which nobody knows.
    pub doubtful: AtomicU64,
    /// Reads that were refused for want of a right, as they had to be.
    pub forbidden: AtomicU64,
    /// Definitions and rights that were changed.
    pub defined: AtomicU64,
    /// Connections that were lost.
    pub lost: AtomicU64,
}

impl Tally {
    pub(super) fn count(what: &AtomicU64) {
        what.fetch_add(1, Ordering::Relaxed);
    }
}

impl Shared {
    /// A run whose model knows what `shop.sql` made.
    pub fn new(through: Endpoint, around: Endpoint, login: Login, rough: bool, aim: Aim) -> Shared {
        let mut model = Model::default();
        for k in 0..ROWS {
            model.start(Key::Row(k), i64::from(k), i64::from(k / 8 * 2 + k % 2));
        }
        (0..PAIRS).for_each(|p| model.start(Key::Pair(p), 0, ANY));
        for c in 0..CUSTOMERS {
            [Key::Customer(c), Key::Newest(c), Key::Oldest(c)]
                .into_iter()
                .for_each(|k| model.start(k, 0, ANY));
        }
        let others = [Key::Bulk, Key::View, Key::Columns, Key::Right].into_iter().chain(aim.keys());
        others.for_each(|key| model.start(key, 0, ANY));
        Shared {
            clock: Instant::now(),
            over: AtomicBool::new(false),
            model: Mutex::new(model),
            through,
            second: None,
            around: Mutex::new(around),
            login,
            rough,
            spoilt: false,
            aim,
            strikes: AtomicU32::new(0),
            turn: Mutex::default(),
            definitions: Mutex::default(),
            reborn: AtomicU64::new(0),
            next: AtomicU32::new(500),
            tally: Tally::default(),
            surprises: Mutex::default(),
        }
    }

    /// Now.
    pub fn now(&self) -> At {
        self.clock.elapsed().as_nanos() as At
    }

    /// Whether the time is over.
    pub fn over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Whether definitions may change now, which nothing that is cached survives, and after which the catalog is read before anything is looked
    /// up again: a fifth of a second in four.
    pub fn defining(&self) -> bool {
        (1_000_000_000..1_200_000_000).contains(&(self.now() % 4_000_000_000))
    }

    /// Whether nothing is written through pgweir now, so that there is something to be told again: a quarter of each second.
    pub fn calm(&self) -> bool {
        self.now() % 1_000_000_000 >= 750_000_000
    }

    /// pgweir is another one. What its predecessor had under way at the server may still be committed: for the new one, around it.
    pub fn reborn(&self) {
        self.reborn.store(self.now(), Ordering::Release);
    }

    /// Whether a read that began then may meet such a commit.
    pub(super) fn meets_orphans(&self, from: At) -> bool {
        let reborn = self.reborn.load(Ordering::Acquire);
        reborn > 0 && from < reborn + 1_000_000_000
    }

    /// What is known.
    pub fn model(&self) -> std::sync::MutexGuard<'_, Model> {
        self.model.lock().expect("no session has panicked")
    }

    /// What nobody expected: it makes the run fail.
    pub fn surprise(&self, words: String) {
        let mut surprises = self.surprises.lock().expect("no session has panicked");
        if surprises.len() < 20 {
            surprises.push(words);
        }
    }

    /// What nobody expected, so far.
    pub fn surprises(&self) -> Vec<String> {
        self.surprises.lock().expect("no session has panicked").clone()
    }

    /// The login of a session at a level; the rules know it by its application.
    pub fn login(&self, level: Level) -> Login {
        self.login.clone().param("application_name", level.name())
    }
}

/// Why something did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The connection is gone.
    Lost,
    /// The server, or pgweir, has said no, with this SQLSTATE.
    Refused(String),
}

/// One client, and what its sessions have seen.
pub struct Talker<'a> {
    pub(super) shared: &'a Shared,
    pub(super) random: Random,
    pub(super) level: Level,
    client: Option<Client>,
    pub(super) session: Session,
    pub(super) prepared: Prepared,
    /// The transaction status that the server told last.
    status: u8,
    done: u32,
    /// It goes to the second pgweir, and for the first one is somebody who goes around it.
    second: bool,
    pub(super) told: HashMap<Vec<u8>, Vec<Message>>,
}

impl<'a> Talker<'a> {
    /// A client of a level; [`Level::Direct`] goes around pgweir.
    pub fn new(shared: &'a Shared, level: Level, seed: u64) -> Talker<'a> {
        Talker {
            shared,
            random: Random::new(seed),
            level,
            client: None,
            session: Session::default(),
            prepared: Prepared::default(),
            status: b'I',
            done: 0,
            second: false,
            told: HashMap::new(),
        }
    }

    /// The same at the second pgweir.
    pub fn at_second(self) -> Self {
        Talker { second: true, ..self }
    }

    /// Reads and writes until the time is over.
    pub fn run(mut self) {
        while !self.shared.over() {
            if self.client.is_none() && !self.connect() {
                std::thread::sleep(Duration::from_millis(20));
                continue;
            }
            match self.act() {
                Ok(()) => self.done += 1,
                Err(Fault::Refused(_)) => self.roll_back(),
                Err(Fault::Lost) => self.lost(),
            }
            if self.done > LIFE {
                self.leave();
            }
        }
    }

    /// What its reads are promised.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Whether it goes around pgweir.
    pub fn around(&self) -> bool {
        self.level == Level::Direct
    }

    /// Whether what it writes is, for those who read through the first pgweir, written around it.
    pub fn is_outside(&self) -> bool {
        self.around() || self.second
    }

    fn act(&mut self) -> Result<(), Fault> {
        let aim = self.shared.aim;
        match self.random.below(40) {
            0..2 if !self.around() && !self.shared.calm() && aim.writes_through() => self.write(),
            2..6 if !self.around() && aim == Aim::Same => self.write(),
            0..8 if self.around() => {
                let most = if aim == Aim::Everything { 20 } else { 200 };
                std::thread::sleep(Duration::from_millis(u64::from(self.random.below(most))));
                self.write()
            }
            8 => {
                let read = match self.random.below(6) {
                    0 | 1 => self.read_as_guest(),
                    2 | 3 => self.read_as_outsider(),
                    4 => self.read_along_another_path(),
                    _ if self.shared.defining() => self.read_a_temporary_table(),
                    _ => self.read_some(),
                };
                if read.is_err() {
                    // It may still be somebody else, or somewhere else.
                    self.leave();
                }
                read
            }
            n if n >= 40 - aim.transactions() => self.read_in_transaction(),
            _ => self.read_some(),
        }
    }

    fn connect(&mut self) -> bool {
        let endpoint = match self.around() {
            true => self.shared.around.lock().expect("no session has panicked").clone(),
            false if self.second => self.shared.second.clone().expect("there are two"),
            false => self.shared.through.clone(),
        };
        let Ok(mut client) = Client::dial(&endpoint) else { return self.cannot_connect("dial") };
        match client.login(&self.shared.login(self.level)) {
            Ok(messages) if messages.last().is_some_and(|message| message.tag == b'Z') => {
                self.client = Some(client);
                self.status = b'I';
                true
            }
            other => self.cannot_connect(&format!("{other:?}")),
        }
    }

    fn cannot_connect(&self, words: &str) -> bool {
        if !self.shared.rough && !self.shared.over() {
            self.shared.surprise(format!("cannot log in: {words}"));
        }
        false
    }

    /// The session is gone, and what comes next knows nothing of it.
    fn leave(&mut self) {
        self.client = None;
        self.session = Session::default();
        self.prepared = Prepared::default();
        self.done = 0;
    }

    fn lost(&mut self) {
        Tally::count(&self.shared.tally.lost);
        if !self.shared.rough {
            self.shared.surprise(format!("a connection at {} was lost", self.level.name()));
        }
        self.leave();
    }

    /// Ends a transaction in which something went wrong.
    fn roll_back(&mut self) {
        if self.status != b'I' && self.say("rollback").is_err() {
            self.lost();
        }
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.client.as_mut().ok_or(Fault::Lost)?.send(bytes);
        Ok(())
    }

    /// The next message.
    pub fn message(&mut self) -> Result<Message, Fault> {
        let message = self.client.as_mut().ok_or(Fault::Lost)?.read();
        message.ok().flatten().ok_or(Fault::Lost)
    }

    /// The messages up to ReadyForQuery.
    pub fn answer(&mut self) -> Result<Vec<Message>, Fault> {
        let messages = self.client.as_mut().ok_or(Fault::Lost)?.until(b'Z').map_err(|_| Fault::Lost)?;
        match messages.last() {
            Some(ready) if ready.tag == b'Z' => {
                self.status = ready.body.first().copied().unwrap_or_default();
                Ok(messages)
            }
            _ => Err(Fault::Lost),
        }
    }

    /// A statement of the session's own, which must succeed.
    pub fn say(&mut self, text: &str) -> Result<(), Fault> {
        self.send(&msg::query(text))?;
        let answer = Answer::new(&self.answer()?, Form::Simple);
        answer.error.map_or(Ok(()), |code| self.refused(&code, text))
    }

    /// Notes an error; only some may come.
    pub fn refused<T>(&mut self, code: &str, of: &str) -> Result<T, Fault> {
        self.prepared.forget();
        let away = self.shared.rough && (LOST.contains(&code) || AWAY.contains(&code) || code == "25P02");
        if !away && !MAY_FAIL.contains(&code) {
            self.shared.surprise(format!("{code} at {}: {of}", self.level.name()));
        }
        Err(Fault::Refused(code.to_owned()))
    }

    /// A statement that gives rows of integers, in any form.
    pub fn rows(&mut self, sql: &Sql) -> Result<Vec<Vec<i64>>, Fault> {
        let form = self.random.one_of(&FORMS);
        let bytes = self.encode(sql, form);
        self.send(&bytes)?;
        let answer = Answer::new(&self.answer()?, form);
        if let Some(code) = answer.error {
            return self.refused(&code, &sql.text);
        }
        Ok(answer.rows.into_iter().map(|row| row.into_iter().flatten().collect()).collect())
    }

    /// The messages of a statement, up to a Sync.
    pub(super) fn encode(&mut self, sql: &Sql, form: Form) -> Vec<u8> {
        let mut bytes = sql.encode(form, &mut self.prepared);
        if form != Form::Simple {
            bytes.extend(msg::sync());
        }
        bytes
    }

    /// Does something that writes: `operation` says what will be visible with [`Self::offer`] before it may be so, and gives when that
    /// was acknowledged.
    pub fn attempt(
        &mut self,
        operation: impl FnOnce(&mut Self, u32) -> Result<At, Fault>,
    ) -> Result<(), Fault> {
        let id = self.shared.next.fetch_add(2, Ordering::Relaxed);
        let from = self.shared.now();
        self.shared.model().begin(id, from);
        let result = operation(self, id);
        let tally = &self.shared.tally;
        let mut model = self.shared.model();
        match result {
            Ok(at) => {
                model.acknowledge(id, at, &mut self.session);
                Tally::count(&tally.written);
                Ok(())
            }
            Err(Fault::Refused(code)) if !LOST.contains(&&code[..]) => {
                model.fail(id);
                Tally::count(&tally.failed);
                Err(Fault::Refused(code))
            }
            Err(fault) => {
                model.doubt(id);
                Tally::count(&tally.doubtful);
                Err(fault)
            }
        }
    }

    /// Does something that is rolled back. Its number is told apart from all others.
    pub fn in_vain(
        &mut self,
        operation: impl FnOnce(&mut Self, u32) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let id = self.shared.next.fetch_add(2, Ordering::Relaxed) | 1;
        operation(self, id)?;
        Tally::count(&self.shared.tally.undone);
        Ok(())
    }

    /// What an operation under way writes.
    pub fn offer(&mut self, operation: u32, key: Key, value: i64, group: i64) {
        self.shared.model().offer(operation, key, value, group);
    }
}
