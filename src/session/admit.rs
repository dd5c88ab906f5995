//! From a proven client to a session: its pool, its settings at start-up, and the greeting.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use super::handle::Handle;
use super::reading;
use super::replication::{self, Replication};
use super::serve::Session;
use super::statement::fresh_id;
use super::told::Asking;
use super::{token, wished};
use crate::catalog::Known;
use crate::config::settings::PoolMode;
use crate::plan::Profiles;
use crate::pool::budget::Share;
use crate::pool::connect::parameter;
use crate::pool::reading::Reading;
use crate::pool::state::{self, Settings, State};
use crate::pool::{Pool, Server, Target, Turn};
use crate::runtime::Worker;
use crate::sql::Effects;
use crate::stats::PoolStats;
use crate::wire::frame::{Frame, HEADER, TxStatus, back};
use crate::wire::socket::Detached;
use crate::wire::{Fault, Socket, emit};

/// Names and values as a server reports them.
type Params = Vec<(Vec<u8>, Vec<u8>)>;

/// What servers report once a state is applied: by database, user and settings.
pub(crate) type Greetings = HashMap<(String, String, Settings), Rc<Params>>;

/// Bytes that the end of a login takes, or more.
const GREETING: usize = 512;
/// How often a server may be out of time while a session's first settings are brought to it.
const MAX_TRIES: usize = 3;
/// Distinct start-up settings whose greetings are remembered.
const MAX_GREETINGS: usize = 1024;

/// A client that has proven who it is.
#[derive(Debug)]
pub struct Admission {
    /// Its socket, between threads.
    pub socket: Detached,
    /// What it sent ahead.
    pub input: Vec<u8>,
    /// Where its servers are.
    pub target: Arc<Target>,
    /// When they go back.
    pub mode: PoolMode,
    /// It replicates, and what.
    pub replication: Option<Replication>,
    /// Settings asked for at start-up, names in lower case.
    pub settings: Vec<(Vec<u8>, Vec<u8>)>,
    /// Minor version of the protocol.
    pub minor: u16,
    /// Bytes to send before the greeting.
    pub pending: Vec<u8>,
    /// The client's address.
    pub peer: String,
    /// Its place among `max_clients`.
    pub shares: (Share, Option<Share>),
}

/// Greets the client and serves it.
pub(crate) async fn admit(worker: Rc<Worker>, admission: Box<Admission>) {
    if let Some(kind) = admission.replication {
        return Box::pin(replication::admit(worker, *admission, kind)).await;
    }
    let Admission { mut socket, input, target, mode, mut settings, minor, pending, peer, shares, .. } =
        *admission;
    let pool = worker.pool(target.clone());
    let token =
        wished::at_startup(&settings).and_then(|()| token::at_startup(&worker, &target, &mut settings));
    let greeted = match token {
        Ok(token) => greet(&worker, &pool, &target, settings).await.map(|greeted| (greeted, token)),
        Err(fault) => Err(fault),
    };
    let functions = worker.functions(&target).await;
    let profiles = worker.profiles(&target);
    let ((initial, told, defaults), token) = match greeted {
        Ok(greeted) => greeted,
        Err(fault) => {
            let Ok(client) = socket.attach() else { return };
            return refuse(client, pending, pool.stats(), fault).await;
        }
    };
    let handle = worker.register(|pid| new_handle(pid, minor, &target, told.get(b"application_name"), peer));
    pool.stats().client_logins.add(1);
    let mut out = greeting(pending, &handle, told.all());
    let written = socket.write_now(&out);
    pool.stats().sent.add(written as u64);
    out.drain(..written);
    out.shrink_to_fit();
    let Ok(client) = socket.attach() else { return worker.unregister(&handle) };
    let mut session = session(
        worker.clone(),
        handle.clone(),
        client,
        pool,
        mode,
        (initial, defaults),
        (functions, profiles),
        out,
    );
    session.input = input;
    session.begin_routing();
    // It was found to be right.
    token.into_iter().for_each(|token| drop(session.take_token(&token)));
    tokio::task::spawn_local(async move {
        session.run().await;
        drop(session);
        worker.unregister(&handle);
        drop(shares);
    });
}

/// Tells a client that has proven who it is why it may not come in.
pub(super) async fn refuse(mut client: Socket, pending: Vec<u8>, stats: &PoolStats, fault: Fault) {
    stats.client_logins_refused.add(1);
    stats.error(&fault.sqlstate);
    let mut out = pending;
    emit::authentication(&mut out, 0, &[]);
    fault.into_fatal().emit(&mut out);
    let _ = client.write_all(&out).await;
}

/// What others may know of a new session.
pub(super) fn new_handle(pid: i32, minor: u16, target: &Target, application: &[u8], peer: String) -> Handle {
    let application = String::from_utf8_lossy(application).into_owned();
    Handle {
        pid,
        secret: secret(minor),
        database: target.database.clone(),
        user: target.user.clone(),
        application,
        client: peer.parse::<SocketAddr>().ok().map(|peer| peer.ip()),
        peer,
        born: std::time::Instant::now(),
        replication: None,
        server: Default::default(),
        waiting: Default::default(),
        begun: Default::default(),
        request: Default::default(),
        heard: true.into(),
        stirred: true.into(),
        quiet_since: std::time::Instant::now().into(),
        waker: RefCell::new(std::task::Waker::noop().clone()),
    }
}

/// The end of a login that went well.
pub(super) fn greeting<'a>(
    pending: Vec<u8>,
    handle: &Handle,
    params: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> Vec<u8> {
    let mut out = pending;
    out.reserve(GREETING);
    emit::authentication(&mut out, 0, &[]);
    params.for_each(|(name, value)| emit::parameter_status(&mut out, name, value));
    emit::backend_key_data(&mut out, handle.pid, &handle.secret);
    emit::ready(&mut out, TxStatus::Idle);
    out
}

#[allow(clippy::too_many_arguments, reason = "each is one field of the session")]
fn session(
    worker: Rc<Worker>,
    handle: Rc<Handle>,
    client: Socket,
    pool: Rc<Pool>,
    mode: PoolMode,
    (initial, defaults): (Rc<State>, Reading),
    (functions, profiles): (Rc<Known>, Rc<Profiles>),
    out: Vec<u8>,
) -> Session {
    let mut session = Session {
        worker,
        handle,
        client,
        pool,
        mode,
        server: None,
        ticket: None,
        following: 0,
        alone: false,
        cycle: None,
        input: vec![],
        input_rest: 0,
        drop_rest: false,
        skipping: false,
        out,
        state: initial.clone(),
        initial: initial.clone(),
        functions,
        defining: None,
        redefining: None,
        route: None,
        cached: None,
        capture: None,
        verdict: None,
        pace: None,
        narrowed: None,
        carried: Default::default(),
        profiles,
        reading_now: None,
        listening: false,
        listens: None,
        dialect: reading::dialect(&defaults),
        reading: Rc::new(defaults.clone()),
        defaults,
        meaning: [].into(),
        path: [].into(),
        means_unknown: false,
        names: HashMap::default(),
        unnamed: None,
        replaced: Default::default(),
        closed: vec![],
        dropped: vec![],
        portals: vec![],
        explains: None,
        one_by_one: false,
        held_begin: None,
        batch_open: false,
        unused: false,
        unsent: None,
        taken_back: 0,
        batch: Default::default(),
        settling: false,
        asking: Asking::default(),
        after: Effects::EMPTY,
        touched: vec![],
        asked: None,
        ask_failures: 0,
        pins: vec![],
        number: fresh_id(),
        last_server: 0,
        leaving: false,
        attends: false,
        eof: false,
        end: None,
    };
    session.set_state(initial);
    session
}

/// A cancel secret: 4 bytes for protocol 3.0, 32 from 3.2 on.
fn secret(minor: u16) -> Box<[u8]> {
    let mut secret = vec![0; if minor >= 2 { 32 } else { 4 }];
    // Without randomness the session still works; nobody can guess a cancel of a server from it.
    let _ = aws_lc_rs::rand::fill(&mut secret);
    secret.into()
}

/// The session's state at start-up, and what the client is told of the server.
async fn greet(
    worker: &Rc<Worker>,
    pool: &Rc<Pool>,
    target: &Target,
    asked: Vec<(Vec<u8>, Vec<u8>)>,
) -> Result<(Rc<State>, Told, Reading), Fault> {
    let mut told = Told { welcome: welcome(pool).await?, changed: vec![] };
    let defaults = Reading::of(&told.welcome);
    let mut settings = Settings::new();
    let mut plain = true;
    for (name, mut value) in asked {
        if name == b"client_encoding" {
            // PostgreSQL passes over what is no letter. The name is written into texts in any encoding.
            value.retain(u8::is_ascii);
        }
        let reported = |(key, known): &(Vec<u8>, Vec<u8>)| key.eq_ignore_ascii_case(&name) && *known == value;
        if told.welcome.iter().any(reported) {
            continue;
        }
        plain &= is_plain_application_name(&name, &value);
        settings.insert(name.into(), value.into());
    }
    if let Some(application) = settings.get(&b"application_name"[..]).filter(|_| plain) {
        told.set(b"application_name", application);
    }
    let state = worker.states.intern(settings);
    if !plain {
        let key = (target.database.clone(), target.user.clone(), state.settings().clone());
        let known = worker.greetings.borrow().get(&key).cloned();
        let changed = match known {
            Some(changed) => changed,
            None => {
                let changed = Rc::new(apply(pool, &state).await?);
                let mut greetings = worker.greetings.borrow_mut();
                if greetings.len() >= MAX_GREETINGS {
                    greetings.clear();
                }
                greetings.insert(key, changed.clone());
                changed
            }
        };
        changed.iter().for_each(|(name, value)| told.set(name, value));
    }
    Ok((state, told, defaults))
}

fn is_plain_application_name(name: &[u8], value: &[u8]) -> bool {
    name == b"application_name" && value.len() < 64 && value.iter().all(|byte| (b' '..=b'~').contains(byte))
}

/// What a client is told of the server: what the pool's servers report, but for what it has asked for.
struct Told {
    welcome: Rc<Params>,
    changed: Params,
}

impl Told {
    fn set(&mut self, name: &[u8], value: &[u8]) {
        self.changed.retain(|(known, _)| known != name);
        self.changed.push((name.to_vec(), value.to_vec()));
    }

    fn all(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let changed = |name: &[u8]| self.changed.iter().find(|(one, _)| one == name);
        let known = self.welcome.iter().map(move |pair| changed(&pair.0).unwrap_or(pair));
        let more = self.changed.iter().filter(|(name, _)| !self.welcome.iter().any(|(one, _)| one == name));
        known.chain(more).map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    fn get(&self, name: &[u8]) -> &[u8] {
        self.all().find(|(known, _)| *known == name).map_or(&[], |(_, value)| value)
    }
}

/// What the pool's servers report; the first client of a pool waits for the first server.
async fn welcome(pool: &Rc<Pool>) -> Result<Rc<Params>, Fault> {
    if let Some(welcome) = pool.welcome() {
        return Ok(welcome);
    }
    let server = wait(pool).await?;
    pool.give_back(server);
    pool.welcome().ok_or_else(|| Fault::fatal("08006", "no server has logged in"))
}

async fn wait(pool: &Rc<Pool>) -> Result<Box<Server>, Fault> {
    if let Some(server) = pool.try_lease(&pool.base_state(), None) {
        return Ok(server);
    }
    let ticket = pool.enqueue(None)?;
    match std::future::poll_fn(|cx| ticket.poll(cx)).await {
        Turn::Server(server) => Ok(server),
        Turn::Refused(fault) => Err(fault),
        Turn::Next(..) | Turn::Elsewhere => Err(Fault::error("XX000", "nothing was sent ahead")),
    }
}

/// Applies a state on a server of the pool; gives what the server reports to have changed.
async fn apply(pool: &Rc<Pool>, state: &Rc<State>) -> Result<Params, Fault> {
    for _ in 1..MAX_TRIES {
        match apply_once(pool, state).await {
            // By a timeout that another session has set.
            Err(fault) if fault.sqlstate == "57014" => {}
            applied => return applied,
        }
    }
    apply_once(pool, state).await
}

async fn apply_once(pool: &Rc<Pool>, state: &Rc<State>) -> Result<Params, Fault> {
    let mut server = wait(pool).await?;
    let Some(difference) = state::difference(&server.state, state, server.murky) else {
        pool.give_back(server);
        return Ok(vec![]);
    };
    let mut reported = vec![];
    let parts = match difference.apart {
        true => vec![difference.resets, difference.sets],
        false => vec![[difference.resets, difference.sets].concat()],
    };
    for sql in parts {
        let (params, failure) = run(&mut server, &sql).await?;
        reported.extend(params);
        if let Some(failure) = failure {
            if !difference.apart {
                // The statements failed as a whole: the server is as it was.
                pool.give_back(server);
            }
            return Err(failure);
        }
    }
    server.state = state.clone();
    server.murky = false;
    for (name, value) in &reported {
        server.hear(name, value);
    }
    pool.give_back(server);
    Ok(reported)
}

/// Runs a text; gives what the server reports to have changed, and its error.
async fn run(server: &mut Server, sql: &[u8]) -> Result<(Params, Option<Fault>), Fault> {
    let mut out = vec![];
    emit::query(&mut out, sql);
    let cut = |_| Fault::fatal("08006", "server closed the connection during login");
    server.socket.write_all(&out).await.map_err(cut)?;
    let (mut params, mut failure) = (vec![], None);
    loop {
        let mut head = [0; HEADER];
        server.socket.read_exact(&mut head).await.map_err(cut)?;
        let total = Frame::peek(&head)?.map_or(0, |frame| frame.total);
        if !(HEADER..1 << 20).contains(&total) {
            return Err(Fault::fatal("08P01", "server sent an unexpected message during login"));
        }
        let mut body = vec![0; total - HEADER];
        server.socket.read_exact(&mut body).await.map_err(cut)?;
        match head[0] {
            back::READY_FOR_QUERY => return Ok((params, failure)),
            back::ERROR_RESPONSE => failure = Some(Fault::from_body(&body)),
            back::PARAMETER_STATUS => params.extend(parameter(&body)),
            _ => {}
        }
    }
}
