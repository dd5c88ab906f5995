//! A way to a server that loses the answer to a COMMIT, and what becomes of the batch.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{CALLS, Fleet, NOON, ten, writer, written};
use crate::harness::cluster::APP;

/// Passes bytes on, until it is told to lose the answer to the next COMMIT.
struct Relay {
    address: SocketAddr,
    loses: Arc<AtomicBool>,
}

impl Relay {
    fn to(port: u16) -> Relay {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let loses = Arc::new(AtomicBool::new(false));
        let wish = loses.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the server is there");
                let (back, to) = (client.try_clone(), server.try_clone());
                let cut = Arc::new(AtomicBool::new(false));
                let (wish, is_cut) = (wish.clone(), cut.clone());
                std::thread::spawn(move || forth(client, server, &wish, &cut));
                std::thread::spawn(move || answers(to.expect("a socket"), back.expect("a socket"), &is_cut));
            }
        });
        Relay { address, loses }
    }
}

fn forth(mut client: TcpStream, mut server: TcpStream, wish: &AtomicBool, cut: &AtomicBool) {
    let mut bytes = [0; 1 << 16];
    while let Ok(n @ 1..) = client.read(&mut bytes) {
        let commits = bytes[..n].windows(6).any(|part| part == b"COMMIT");
        let loses = commits && wish.swap(false, Ordering::SeqCst);
        cut.fetch_or(loses, Ordering::SeqCst);
        if server.write_all(&bytes[..n]).is_err() {
            break;
        }
        if loses {
            // The server commits meanwhile.
            std::thread::sleep(Duration::from_millis(200));
            break;
        }
    }
    for socket in [client, server] {
        let _ = socket.shutdown(Shutdown::Both);
    }
}

fn answers(mut server: TcpStream, mut client: TcpStream, cut: &AtomicBool) {
    let mut bytes = [0; 1 << 16];
    while let Ok(n @ 1..) = server.read(&mut bytes) {
        if cut.load(Ordering::SeqCst) || client.write_all(&bytes[..n]).is_err() {
            break;
        }
    }
}

#[test]
fn fleet_history_has_no_batch_twice_whose_commit_was_not_answered() {
    let Some(fleet) = Fleet::new() else { return };
    let relay = Relay::to(fleet.cluster.port);
    let url =
        format!("postgres://{}:{}@{}/{}?sslmode=disable", APP.0, APP.1, relay.address, fleet.history.name);
    let mut own = writer(&url, "own");
    for n in 1..=4 {
        relay.loses.store(n % 2 == 0, Ordering::SeqCst);
        assert!(own.send(ten(NOON + n)));
        written(&own, n as u64 * 10);
        assert!(!relay.loses.load(Ordering::SeqCst), "an answer was lost");
    }
    assert!(own.close(Duration::from_secs(10)));
    assert_eq!(fleet.ask(CALLS), "40");
    assert_eq!(fleet.ask("select max(batch) from pgweir_history.writer"), "4");
}
