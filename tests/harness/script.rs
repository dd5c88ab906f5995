//! Conformance as data: a case is a list of steps, played directly and through pgweir; the transcripts must be equal.
//!
//! A case names what it covers, makes its objects in `setup`, lists its steps, and says what must be in the direct
//! transcript (so that it cannot pass because nothing happened). Each run has a database of its own with equal object
//! ids. What is left out of the comparison: process ids, cancel keys, SASL nonces, and the file and line of errors.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::cluster::{APP, Cluster, Database, SUPERUSER, pg_version, since};
use super::frontend as msg;
use super::message::{Message, cut_str, text};
use super::proxy::{Proxy, ProxyOptions};
use super::raw::{self, Client, Endpoint, Login};

/// The first session of a case.
pub const A: Session = Session('A');
/// The second.
pub const B: Session = Session('B');
/// The third.
pub const C: Session = Session('C');

/// A client of a case; it connects at its first step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Session(char);

/// Something a session does or waits for.
#[derive(Debug, Clone)]
pub enum Step {
    /// Log in as this user (default: `app`) with these further start-up parameters; the answer is compared.
    Login(Session, Option<(&'static str, &'static str)>, Vec<(&'static str, String)>),
    /// Log in as `app` on the connection that was dialled; the startup packet goes out byte by byte if so wanted.
    LoginHere(Session, bool),
    /// Connect without saying anything.
    Dial(Session),
    /// Send bytes in one write.
    Send(Session, Vec<u8>),
    /// Send bytes one by one.
    Drip(Session, Vec<u8>),
    /// One statement, as Query or as Parse, Bind, Describe, Execute and Sync, depending on the form; and its answer.
    Sql(Session, String),
    /// Read up to this many ReadyForQuery.
    Ready(Session, usize),
    /// Read up to a message of this type.
    Until(Session, u8),
    /// Read one byte, the answer to SSLRequest.
    Byte(Session),
    /// Nothing may arrive for this time.
    Quiet(Session, Duration),
    /// Read until the server closes, which it must.
    Closed(Session),
    /// Send FIN, keep on reading.
    HalfClose(Session),
    /// Close the socket without a word.
    Drop(Session),
    /// CancelRequest for a session, with its own key or another.
    Cancel(Session, Option<Vec<u8>>),
    /// Statements of the superuser, directly at the server. `{db}` is the database.
    Admin(String),
    /// The superuser's query that must become true, directly at the server.
    Await(String),
}

impl Session {
    /// See [`Step::Login`].
    pub fn login(self, params: &[(&'static str, &str)]) -> Step {
        Step::Login(self, None, params.iter().map(|(n, v)| (*n, (*v).to_string())).collect())
    }

    /// See [`Step::Login`].
    pub fn login_as(self, user: (&'static str, &'static str)) -> Step {
        Step::Login(self, Some(user), Vec::new())
    }

    /// See [`Step::LoginHere`].
    pub fn login_here(self) -> Step {
        Step::LoginHere(self, false)
    }

    /// See [`Step::LoginHere`].
    pub fn login_here_byte_by_byte(self) -> Step {
        Step::LoginHere(self, true)
    }

    /// See [`Step::Dial`].
    pub fn dial(self) -> Step {
        Step::Dial(self)
    }

    /// See [`Step::Send`]; the messages go out in one write.
    pub fn send<const N: usize>(self, messages: [Vec<u8>; N]) -> Step {
        Step::Send(self, messages.concat())
    }

    /// See [`Step::Drip`].
    pub fn drip(self, bytes: Vec<u8>) -> Step {
        Step::Drip(self, bytes)
    }

    /// See [`Step::Sql`].
    pub fn sql(self, sql: impl Into<String>) -> Step {
        Step::Sql(self, sql.into())
    }

    /// See [`Step::Sql`]; always as a simple query, whatever the form. Its end is not waited for.
    pub fn query(self, sql: &str) -> Step {
        Step::Send(self, msg::query(sql))
    }

    /// See [`Step::Ready`].
    pub fn ready(self) -> Step {
        Step::Ready(self, 1)
    }

    /// See [`Step::Ready`].
    pub fn ready_times(self, n: usize) -> Step {
        Step::Ready(self, n)
    }

    /// See [`Step::Until`].
    pub fn until(self, tag: u8) -> Step {
        Step::Until(self, tag)
    }

    /// See [`Step::Byte`].
    pub fn byte(self) -> Step {
        Step::Byte(self)
    }

    /// See [`Step::Quiet`]; a fifth of a second.
    pub fn quiet(self) -> Step {
        Step::Quiet(self, Duration::from_millis(200))
    }

    /// See [`Step::Closed`].
    pub fn closed(self) -> Step {
        Step::Closed(self)
    }

    /// See [`Step::HalfClose`].
    pub fn half_close(self) -> Step {
        Step::HalfClose(self)
    }

    /// See [`Step::Drop`].
    pub fn drop(self) -> Step {
        Step::Drop(self)
    }

    /// See [`Step::Cancel`].
    pub fn cancel(self) -> Step {
        Step::Cancel(self, None)
    }

    /// See [`Step::Cancel`].
    pub fn cancel_with_key(self, key: &[u8]) -> Step {
        Step::Cancel(self, Some(key.to_vec()))
    }
}

/// See [`Step::Admin`].
pub fn admin(sql: &str) -> Step {
    Step::Admin(sql.into())
}

/// See [`Step::Await`].
pub fn wait_until(sql: &str) -> Step {
    Step::Await(sql.into())
}

/// Waits until a session of the case runs a statement whose text contains this.
pub fn wait_until_running(part: &str) -> Step {
    let sql = "select count(*) > 0 from pg_stat_activity where datname = '{db}' and state = 'active' and pid <> pg_backend_pid()";
    Step::Await(format!("{sql} and query like '%{part}%'"))
}

/// How [`Step::Sql`] is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Simple,
    Extended,
}

/// One case, before it is run.
pub struct Case<'a> {
    covers: &'static str,
    name: &'static str,
    since: u32,
    cluster: Option<&'a Cluster>,
    setup: String,
    server_user: (&'static str, &'static str),
    pool: String,
    config: String,
    direct_over_unix: bool,
    forms: &'static [Form],
    steps: Vec<Step>,
    expected: Vec<String>,
    never: Vec<String>,
    may_say: Vec<String>,
    creates_objects: bool,
    types_only: fn(&Message) -> bool,
}

/// A case for these numbers of the contract, in simple form, over one server.
pub fn case(covers: &'static str, name: &'static str) -> Case<'static> {
    Case {
        covers,
        name,
        since: 0,
        cluster: None,
        setup: String::new(),
        server_user: APP,
        pool: "pool_size=1".into(),
        config: String::new(),
        direct_over_unix: false,
        forms: &[Form::Simple],
        steps: Vec::new(),
        expected: Vec::new(),
        never: Vec::new(),
        may_say: Vec::new(),
        creates_objects: false,
        types_only: |_| false,
    }
}

impl<'a> Case<'a> {
    /// The case is about what this major version brought: it is skipped, with a message, on older servers.
    pub fn since(mut self, version: u32) -> Self {
        self.since = version;
        self
    }

    /// Statements that make the objects of the case, run by `app`.
    pub fn setup(mut self, sql: &str) -> Self {
        self.setup = sql.into();
        self
    }

    /// Another cluster than the shared one.
    pub fn on<'b>(self, cluster: &'b Cluster) -> Case<'b>
    where
        'a: 'b,
    {
        Case { cluster: Some(cluster), ..self }
    }

    /// The proxy's connection string names the superuser: clients of other names are proven by pass-through.
    pub fn proxy_as_superuser(mut self) -> Self {
        self.server_user = SUPERUSER;
        self
    }

    /// The query part of the proxy's connection string.
    pub fn pool(mut self, query: &str) -> Self {
        self.pool = query.into();
        self
    }

    /// Lines of the proxy's settings file.
    pub fn config(mut self, lines: &str) -> Self {
        self.config = lines.into();
        self
    }

    /// The direct run is over the unix socket: where a server with GSSAPI would accept encryption over TCP.
    pub fn direct_over_unix(mut self) -> Self {
        self.direct_over_unix = true;
        self
    }

    /// [`Step::Sql`] is played in both forms.
    pub fn both_forms(mut self) -> Self {
        self.forms = &[Form::Simple, Form::Extended];
        self
    }

    /// What is done, in order.
    pub fn steps(mut self, steps: impl IntoIterator<Item = Step>) -> Self {
        self.steps.extend(steps);
        self
    }

    /// Parts of lines that the transcript must have in this order, with anything between.
    pub fn expect<const N: usize>(mut self, lines: [&str; N]) -> Self {
        self.expected.extend(lines.map(String::from));
        self
    }

    /// As [`Case::expect`], of servers from this major version on.
    pub fn expect_since<const N: usize>(self, version: u32, lines: [&str; N]) -> Self {
        if pg_version() >= version { self.expect(lines) } else { self }
    }

    /// A part of a line that the transcript must not have.
    pub fn never(mut self, part: &str) -> Self {
        self.never.push(part.into());
        self
    }

    /// A part of lines that only one side may have: where PostgreSQL closes without a word, the proxy may tell why.
    pub fn may_say(mut self, part: &str) -> Self {
        self.may_say.push(part.into());
        self
    }

    /// The steps make tables, whose object ids are not the same twice: they are left out of RowDescription.
    pub fn creates_objects(mut self) -> Self {
        self.creates_objects = true;
        self
    }

    /// Messages of which only the type is compared, because their content is not the same twice.
    pub fn types_only(mut self, which: fn(&Message) -> bool) -> Self {
        self.types_only = which;
        self
    }

    /// Plays the case directly, and through pgweir, in each of its forms; panics on any difference.
    pub fn run(self) {
        if !since(self.since) {
            return;
        }
        for form in self.forms {
            self.run_form(*form);
        }
    }

    fn run_form(&self, form: Form) {
        let cluster = self.cluster.unwrap_or_else(|| Cluster::shared());
        let mut database = cluster.database();
        database.setup(&self.setup);
        let copy = (!super::direct_only()).then(|| database.copy());
        let endpoint = if self.direct_over_unix { cluster.unix() } else { cluster.tcp() };
        let direct = self.play(form, cluster, &database, &endpoint);
        self.check(form, "directly", &direct);
        let Some(copy) = copy else { return };
        database.replace_by(copy);
        let url = cluster.url(self.server_user, &database.name, &self.pool);
        let proxy = Proxy::start_with(&ProxyOptions::url(&url).config(&self.config));
        let proxied = self.play(form, cluster, &database, &proxy.endpoint());
        self.compare(form, &direct, &proxied);
        self.check(form, "through pgweir", &proxied);
    }

    fn play(&self, form: Form, cluster: &Cluster, database: &Database, endpoint: &Endpoint) -> Vec<Line> {
        let mut play = Play {
            form,
            cluster,
            database: &database.name,
            endpoint,
            login: database.login(),
            creates_objects: self.creates_objects,
            sessions: BTreeMap::new(),
            lines: Vec::new(),
        };
        for (n, step) in self.steps.iter().enumerate() {
            if let Err(e) = play.step(step) {
                let so_far = print(&play.lines);
                panic!("{}: step {} at {endpoint:?}: {e}\n{so_far}", self.title(form), n + 1);
            }
        }
        play.lines
    }

    fn check(&self, form: Form, how: &str, lines: &[Line]) {
        let mut rest = lines.iter();
        for part in &self.expected {
            let found = rest.any(|line| line.text.contains(part));
            assert!(found, "{}, {how}: no {part:?} where it should be\n{}", self.title(form), print(lines));
        }
        for part in &self.never {
            let found = lines.iter().any(|line| line.text.contains(part));
            assert!(!found, "{}, {how}: there is {part:?}\n{}", self.title(form), print(lines));
        }
    }

    fn compare(&self, form: Form, direct: &[Line], proxied: &[Line]) {
        let same = |a: &Line, b: &Line| a.equals(b, self.types_only);
        let optional = |line: &&Line| !self.may_say.iter().any(|part| line.text.contains(part));
        let direct = in_order_of_names(direct.iter().filter(optional).collect());
        let proxied = in_order_of_names(proxied.iter().filter(optional).collect());
        if direct.len() == proxied.len() && direct.iter().zip(&proxied).all(|(a, b)| same(a, b)) {
            return;
        }
        let mut out = String::new();
        for n in 0..direct.len().max(proxied.len()) {
            let (a, b) = (direct.get(n), proxied.get(n));
            let mark = if a.zip(b).is_some_and(|(a, b)| same(a, b)) { ' ' } else { '!' };
            let shown = |line: Option<&&Line>| line.map_or("-", |l| &l.text).to_string();
            let _ = writeln!(out, "{mark} {:<78} | {}", shown(a), shown(b));
        }
        panic!("{}: not the same, directly | through pgweir\n{out}", self.title(form));
    }

    fn title(&self, form: Form) -> String {
        format!("{} {} ({form:?})", self.covers, self.name)
    }
}

/// A line of a transcript.
struct Line {
    text: String,
    message: Option<Message>,
    bytes: Vec<u8>,
}

impl Line {
    fn equals(&self, other: &Self, types_only: fn(&Message) -> bool) -> bool {
        match (&self.message, &other.message) {
            (Some(a), Some(b)) if a.tag == b.tag && types_only(a) => true,
            _ => self.bytes == other.bytes,
        }
    }
}

/// Settings reported together have no order of their own: it is that of their last changes in the server process.
fn in_order_of_names(mut lines: Vec<&Line>) -> Vec<&Line> {
    let reports = |line: &Line| line.message.as_ref().is_some_and(|message| message.tag == b'S');
    for together in lines.chunk_by_mut(|a, b| reports(a) && reports(b)) {
        together.sort_by(|a, b| a.text.cmp(&b.text));
    }
    lines
}

fn print(lines: &[Line]) -> String {
    lines.iter().fold(String::new(), |out, line| out + "    " + &line.text + "\n")
}

/// A case being played against one endpoint.
struct Play<'a> {
    form: Form,
    cluster: &'a Cluster,
    database: &'a str,
    endpoint: &'a Endpoint,
    login: Login,
    creates_objects: bool,
    sessions: BTreeMap<Session, Client>,
    lines: Vec<Line>,
}

impl Play<'_> {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Login(s, user, params) => self.log_in(*s, *user, params),
            Step::LoginHere(s, drip) => self.log_in_here(*s, *drip),
            Step::Dial(s) => self.dial(*s),
            Step::Send(s, bytes) => self.send(*s, bytes),
            Step::Drip(s, bytes) => self.drip(*s, bytes),
            Step::Sql(s, sql) => self.sql(*s, sql),
            Step::Ready(s, times) => (0..*times).try_for_each(|_| self.read_until(*s, b'Z')),
            Step::Until(s, tag) => self.read_until(*s, *tag),
            Step::Byte(s) => self.byte(*s),
            Step::Quiet(s, time) => self.quiet(*s, *time),
            Step::Closed(s) => self.closed(*s),
            Step::HalfClose(s) => {
                self.client(*s).half_close();
                Ok(())
            }
            Step::Drop(s) => {
                self.sessions.remove(s);
                self.say(format!("{} drops its connection", s.0));
                Ok(())
            }
            Step::Cancel(s, key) => self.cancel(*s, key.as_deref()),
            Step::Admin(sql) => {
                self.superuser().run(&self.fill_in(sql));
                Ok(())
            }
            Step::Await(sql) => self.wait_until(sql),
        }
    }

    fn log_in(
        &mut self,
        s: Session,
        user: Option<(&str, &str)>,
        params: &[(&'static str, String)],
    ) -> Result<(), String> {
        let mut login = self.login.clone();
        if let Some((user, password)) = user {
            (login.user, login.password) = (user.into(), password.into());
        }
        for (name, value) in params {
            login = login.param(name, value);
        }
        self.dial(s)?;
        self.client(s).send(&login.packet());
        self.authenticate(s, &login)
    }

    fn log_in_here(&mut self, s: Session, drip: bool) -> Result<(), String> {
        let login = self.login.clone();
        if drip {
            self.drip(s, &login.packet())?;
        } else {
            self.client(s).send(&login.packet());
        }
        self.authenticate(s, &login)
    }

    fn authenticate(&mut self, s: Session, login: &Login) -> Result<(), String> {
        let messages = self.client(s).authenticate(login)?;
        let ready = messages.last().is_some_and(|m| m.tag == b'Z');
        messages.into_iter().for_each(|m| self.hear(s, m));
        if !ready {
            self.say(format!("{} connection closed", s.0));
        }
        Ok(())
    }

    fn dial(&mut self, s: Session) -> Result<(), String> {
        let client = Client::dial(self.endpoint).map_err(|e| format!("cannot connect: {e}"))?;
        self.sessions.insert(s, client);
        Ok(())
    }

    fn client(&mut self, s: Session) -> &mut Client {
        let connect = || Client::connect(self.endpoint, &self.login);
        self.sessions.entry(s).or_insert_with(connect)
    }

    fn send(&mut self, s: Session, bytes: &[u8]) -> Result<(), String> {
        self.client(s);
        self.say(format!("{} > {}", s.0, summary(bytes)));
        self.client(s).send(bytes);
        Ok(())
    }

    fn drip(&mut self, s: Session, bytes: &[u8]) -> Result<(), String> {
        self.client(s);
        self.say(format!("{} > byte by byte: {}", s.0, summary(bytes)));
        for byte in bytes {
            self.client(s).send(&[*byte]);
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn sql(&mut self, s: Session, sql: &str) -> Result<(), String> {
        let bytes = match self.form {
            Form::Simple => msg::query(sql),
            Form::Extended => [msg::unnamed(sql, &[]), msg::sync()].concat(),
        };
        self.send(s, &bytes)?;
        self.read_until(s, b'Z')
    }

    fn read_until(&mut self, s: Session, tag: u8) -> Result<(), String> {
        loop {
            let Some(message) = self.client(s).read()? else {
                return Err(format!("{} is closed before {:?}", s.0, tag as char));
            };
            let found = message.tag == tag;
            self.hear(s, message);
            if found {
                return Ok(());
            }
        }
    }

    fn byte(&mut self, s: Session) -> Result<(), String> {
        let byte = self.client(s).read_byte()?;
        self.say(format!("{} byte {:?}", s.0, byte.map(char::from)));
        Ok(())
    }

    fn quiet(&mut self, s: Session, time: Duration) -> Result<(), String> {
        let messages = self.client(s).within(time)?;
        if messages.is_empty() {
            Ok(())
        } else {
            Err(format!("{} should hear nothing, not {messages:?}", s.0))
        }
    }

    fn closed(&mut self, s: Session) -> Result<(), String> {
        while let Some(message) = self.client(s).read()? {
            self.hear(s, message);
        }
        self.say(format!("{} connection closed", s.0));
        self.sessions.remove(&s);
        Ok(())
    }

    fn cancel(&mut self, s: Session, key: Option<&[u8]>) -> Result<(), String> {
        let client = self.client(s);
        let (pid, own) = (client.pid, client.key.clone());
        raw::cancel(self.endpoint, pid, key.unwrap_or(&own));
        self.say(format!("{} is to be cancelled", s.0));
        Ok(())
    }

    fn wait_until(&mut self, sql: &str) -> Result<(), String> {
        let sql = self.fill_in(sql);
        let mut superuser = self.superuser();
        let end = Instant::now() + Duration::from_secs(15);
        while superuser.value(&sql) != "t" {
            if Instant::now() > end {
                return Err(format!("it did not become true: {sql}"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn superuser(&self) -> Client {
        self.cluster.superuser(self.database)
    }

    fn fill_in(&self, sql: &str) -> String {
        sql.replace("{db}", self.database)
    }

    fn say(&mut self, text: String) {
        self.lines.push(Line { bytes: text.clone().into_bytes(), text, message: None });
    }

    fn hear(&mut self, s: Session, message: Message) {
        let stable = if self.creates_objects { message.without_table_oids() } else { message.clone() };
        let bytes = [&[s.0 as u8], &stable.comparable()[..]].concat();
        let line = Line { text: format!("{} {message}", s.0), message: Some(message), bytes };
        self.lines.push(line);
    }
}

/// The types of the messages in a buffer, with the text of queries.
fn summary(mut bytes: &[u8]) -> String {
    let mut out = String::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<5>() {
        if out.len() > 300 {
            return out + " ...";
        }
        let len = (u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize).saturating_sub(4);
        let (body, after) = rest.split_at_checked(len).unwrap_or((rest, &[]));
        let _ = write!(out, " {}", text(&head[..1]).escape_debug());
        if head[0] == b'Q' {
            let sql = cut_str(body).unwrap_or_default().0;
            let _ = write!(out, " {:?}", sql.chars().take(100).collect::<String>());
        }
        bytes = after;
    }
    out.trim_start().to_string()
}
