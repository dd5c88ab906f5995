//! What others may know of a session, and do to it.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use super::replication::Replication;
use crate::pool::server::Shared;

/// What others may know of a session, and do to it.
#[derive(Debug)]
pub struct Handle {
    /// Process id given to the client.
    pub pid: i32,
    /// Cancel secret given to the client.
    pub secret: Box<[u8]>,
    /// Database and user, as the client named them.
    pub database: String,
    /// The user, as the client named it.
    pub user: String,
    /// `application_name` at login.
    pub application: String,
    /// The client's address.
    pub peer: String,
    /// The same without the port, for rules; `None`: on the unix socket.
    pub client: Option<IpAddr>,
    /// When it logged in.
    pub born: std::time::Instant,
    /// Its connection is one of replication.
    pub replication: Option<Replication>,
    /// The server in its hands.
    pub server: RefCell<Option<Rc<Shared>>>,
    /// It stands in line for a server.
    pub waiting: Cell<bool>,
    /// It has begun a transaction of which no server knows.
    pub begun: Cell<bool>,
    /// It was asked to stop waiting, or to end.
    pub request: Cell<Option<Request>>,
    /// The client has said something since it was last asked.
    pub heard: Cell<bool>,
    /// The same, for who counts how long it has been quiet.
    pub stirred: Cell<bool>,
    /// Since when it has been, about.
    pub quiet_since: Cell<std::time::Instant>,
    /// Wakes it up after `request` was set.
    pub waker: RefCell<std::task::Waker>,
}

/// What others ask of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Cancel while waiting in line.
    Cancel,
    /// End as soon as it is not in a transaction.
    Drain,
    /// End now.
    Kill,
    /// End if the settings do not allow to be idle for so long.
    Quiet(Duration),
}
