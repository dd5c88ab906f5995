//! Wires between pgweir and its servers, on which answers can be held back.
//!
//! What is late is what the server says to sessions; what it says to the stream comes at once, so that a change is told while an answer of before
//! it, or the acknowledgement of the write itself, is still on its way.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use super::random::Random;

/// What stands in what those of pgweir's connections send first that are of its stream.
const OF_STREAM: [&[u8]; 2] = [b"replication", b"pgweir_"];

/// A place to connect to instead of a server. Goes with this, once its connections have ended.
pub struct Wire {
    /// Where it is.
    pub addr: SocketAddr,
    late: Arc<AtomicU32>,
    over: Arc<AtomicBool>,
}

impl Wire {
    /// One to the server of this port.
    pub fn to(port: u16) -> Wire {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        let addr = listener.local_addr().expect("it is bound");
        let (late, over) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let wire = Wire { addr, late: late.clone(), over: over.clone() };
        thread::spawn(move || {
            for (seed, client) in (0..).zip(listener.incoming().flatten()) {
                if over.load(Ordering::Acquire) {
                    return;
                }
                // Where there is no server, the client's connection ends at once.
                if let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
                    connect(client, server, late.clone(), Random::new(seed));
                }
            }
        });
        wire
    }

    /// From now on, some answers are late by up to so many milliseconds; 0: none is.
    pub fn hold_back(&self, most: u32) {
        self.late.store(most, Ordering::Release);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        drop(TcpStream::connect(self.addr));
    }
}

fn connect(client: TcpStream, server: TcpStream, late: Arc<AtomicU32>, mut random: Random) {
    let sockets = [&client, &server].map(|socket| socket.set_nodelay(true).and_then(|()| socket.try_clone()));
    let [Ok(to_client), Ok(to_server)] = sockets else { return };
    let of_stream = Arc::new(AtomicBool::new(false));
    let noted = of_stream.clone();
    let mut first = 3;
    let asks = move |bytes: &[u8]| {
        if first > 0 {
            first -= 1;
            let has = |word: &&[u8]| memchr::memmem::find(bytes, word).is_some();
            noted.fetch_or(OF_STREAM.iter().any(has), Ordering::Release);
        }
    };
    let answers = move |_: &[u8]| {
        let most = late.load(Ordering::Acquire);
        if most > 0 && !of_stream.load(Ordering::Acquire) && random.once_in(3) {
            thread::sleep(Duration::from_millis(u64::from(random.below(most) + 1)));
        }
    };
    thread::spawn(move || pass_on(client, to_server, asks));
    thread::spawn(move || pass_on(server, to_client, answers));
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, mut before: impl FnMut(&[u8])) {
    let mut bytes = [0; 16 << 10];
    while let Ok(n @ 1..) = from.read(&mut bytes) {
        before(&bytes[..n]);
        if to.write_all(&bytes[..n]).is_err() {
            break;
        }
    }
    // The other direction ends too.
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
