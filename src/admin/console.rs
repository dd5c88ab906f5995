//! A client of the console: the simple protocol, without a server behind it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use super::command::{self, Command};
use super::{Admin, cache, explain, orders, show};
use crate::session::login::ConsoleClient;
use crate::wire::frame::{Frame, HEADER, TxStatus, back, front};
use crate::wire::{Fault, Socket, emit};

/// The longest message that is read.
const MAX_MESSAGE: usize = 64 * 1024;
/// Consoles at once.
const MAX_CONSOLES: usize = 100;

/// Tells drivers what they want to know of a server. The version is one that every client knows.
const PARAMETERS: [(&str, &str); 8] = [
    ("server_version", concat!("14.0 (pgweir ", env!("CARGO_PKG_VERSION"), ")")),
    ("server_encoding", "UTF8"),
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO, MDY"),
    ("TimeZone", "UTC"),
    ("integer_datetimes", "on"),
    ("standard_conforming_strings", "on"),
    ("is_superuser", "off"),
];

/// Serves clients of the console until nobody can send any more.
pub async fn serve(admin: Arc<Admin>, mut clients: mpsc::UnboundedReceiver<ConsoleClient>) {
    let open = Arc::new(AtomicUsize::new(0));
    while let Some(client) = clients.recv().await {
        let (admin, open) = (admin.clone(), open.clone());
        let count = open.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            let ConsoleClient { socket, user, may_command } = client;
            let Ok(socket) = socket.attach() else {
                open.fetch_sub(1, Ordering::Relaxed);
                return;
            };
            let mut console = Console {
                admin,
                socket,
                user,
                may_command,
                out: vec![],
                status: TxStatus::Idle,
                skipping: false,
            };
            let _ = if count < MAX_CONSOLES { console.run().await } else { console.refuse().await };
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

struct Console {
    admin: Arc<Admin>,
    socket: Socket,
    user: String,
    may_command: bool,
    out: Vec<u8>,
    status: TxStatus,
    /// An extended message was refused: what follows up to Sync is dropped.
    skipping: bool,
}

impl Console {
    async fn refuse(&mut self) -> io::Result<()> {
        let fault = Fault::fatal("53300", format!("too many consoles are open ({MAX_CONSOLES})"));
        self.socket.write_all(&fault.frame()).await
    }

    async fn run(&mut self) -> io::Result<()> {
        self.greet();
        loop {
            self.socket.write_all(&std::mem::take(&mut self.out)).await?;
            let mut head = [0; HEADER];
            self.socket.read_exact(&mut head).await?;
            let frame = match Frame::peek(&head) {
                Ok(Some(frame)) if frame.total <= MAX_MESSAGE => frame,
                _ => return self.socket.write_all(&Fault::protocol("invalid message length").frame()).await,
            };
            let mut body = vec![0; frame.total - HEADER];
            self.socket.read_exact(&mut body).await?;
            match frame.tag {
                front::TERMINATE => return Ok(()),
                front::QUERY => self.query(&body).await,
                tag => {
                    if let Err(fault) = self.other(tag) {
                        return self.socket.write_all(&fault.frame()).await;
                    }
                }
            }
        }
    }

    fn greet(&mut self) {
        let out = &mut self.out;
        emit::authentication(out, 0, &[]);
        PARAMETERS
            .iter()
            .for_each(|(name, value)| emit::parameter_status(out, name.as_bytes(), value.as_bytes()));
        emit::parameter_status(out, b"session_authorization", self.user.as_bytes());
        // Process id 0 names no session: a cancel finds nothing.
        emit::backend_key_data(out, 0, &[0; 4]);
        emit::ready(out, self.status);
    }

    /// Everything that is not a simple query.
    fn other(&mut self, tag: u8) -> Result<(), Fault> {
        let refusal = || {
            Fault::error("0A000", "the console speaks the simple query protocol only")
                .hint("send the command without parameters and without preparing it")
        };
        match tag {
            front::SYNC => {
                self.skipping = false;
                emit::ready(&mut self.out, self.status);
            }
            front::FUNCTION_CALL => {
                refusal().emit(&mut self.out);
                emit::ready(&mut self.out, self.status);
            }
            front::PARSE | front::BIND | front::DESCRIBE | front::EXECUTE | front::CLOSE => {
                if !std::mem::replace(&mut self.skipping, true) {
                    refusal().emit(&mut self.out);
                }
            }
            front::FLUSH | front::COPY_DATA | front::COPY_DONE | front::COPY_FAIL => {}
            tag => return Err(Fault::protocol(format!("invalid frontend message type {tag}"))),
        }
        Ok(())
    }

    async fn query(&mut self, body: &[u8]) {
        if self.skipping {
            return;
        }
        let text = body.strip_suffix(&[0]).unwrap_or(body);
        let commands = match std::str::from_utf8(text) {
            Ok(text) => command::parse(text),
            Err(_) => Err(Fault::error("22021", "invalid byte sequence for encoding \"UTF8\"")),
        };
        match commands {
            Ok(commands) if commands.is_empty() => emit::empty(&mut self.out, back::EMPTY_QUERY_RESPONSE),
            Ok(commands) => self.run_all(commands).await,
            Err(fault) => fault.emit(&mut self.out),
        }
        emit::ready(&mut self.out, self.status);
    }

    async fn run_all(&mut self, commands: Vec<(Command, String)>) {
        for (command, typed) in commands {
            if let Err(fault) = self.run_one(command, &typed).await {
                return fault.emit(&mut self.out);
            }
        }
    }

    async fn run_one(&mut self, command: Command, typed: &str) -> Result<(), Fault> {
        match command {
            Command::Show(what) => show::show(&self.admin, &what, &mut self.out).await,
            Command::Explain(asked) => explain::answer(&self.admin, &asked, &mut self.out),
            Command::CacheEntries(most, from) => {
                cache::entries(&self.admin.shared, most, from).emit(&mut self.out);
                Ok(())
            }
            Command::Block(tag, open) => {
                self.status = if open { TxStatus::Open } else { TxStatus::Idle };
                emit::command_complete(&mut self.out, tag);
                Ok(())
            }
            command if self.may_command => {
                tracing::info!(user = self.user, command = typed, "console");
                let mut told = vec![];
                let tag = orders::obey(&self.admin, command, &mut told).await?;
                told.into_iter().for_each(|text| Fault::warning("01000", text).emit(&mut self.out));
                emit::command_complete(&mut self.out, tag);
                Ok(())
            }
            _ => Err(Fault::error("42501", "permission denied: this user may only use SHOW")
                .hint("name it in admin.admin_users")),
        }
    }
}
