//! A client of a few lines: logs in, sits idle, or reads a large result and forgets it.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::prelude::{BASE64_STANDARD, Engine};

use crate::peers::{DATABASE, PASSWORD, USER};

/// Nothing here takes longer, unless the other side hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// The client nonce: fresh ones serve security, which a bench has no use for.
const NONCE: &str = "cGd3ZWlyLWJlbmNo";
/// ReadyForQuery up to its status byte.
const READY: [u8; 5] = [b'Z', 0, 0, 0, 5];

thread_local! {
    /// The last salt, iteration count and the salted password made of them: deriving it costs more than all the rest.
    static SALTED: RefCell<Option<(String, [u8; 32])>> = const { RefCell::new(None) };
}

/// An authenticated client. It owns nothing but its socket.
pub struct Client(TcpStream);

impl Client {
    /// Connects and logs in, by SCRAM-SHA-256 or without a proof if none is asked for.
    pub fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut startup = 196_608_u32.to_be_bytes().to_vec();
        startup.extend_from_slice(format!("user\0{USER}\0database\0{DATABASE}\0\0").as_bytes());
        send(&stream, None, &startup)?;
        let mut input = BufReader::new(&stream);
        let mut first = String::new();
        loop {
            let (kind, body) = receive(&mut input)?;
            match (kind, body.first_chunk().map(|code| u32::from_be_bytes(*code))) {
                (b'R', Some(0 | 12)) | (b'S' | b'K' | b'N', _) => {}
                (b'R', Some(10)) => {
                    first = format!("n=,r={NONCE}");
                    let mut answer = b"SCRAM-SHA-256\0".to_vec();
                    answer.extend_from_slice(&(first.len() as u32 + 3).to_be_bytes());
                    answer.extend_from_slice(format!("n,,{first}").as_bytes());
                    send(&stream, Some(b'p'), &answer)?;
                }
                (b'R', Some(11)) => {
                    let server_first = std::str::from_utf8(&body[4..])?;
                    send(&stream, Some(b'p'), prove(&first, server_first)?.as_bytes())?;
                }
                (b'Z', _) => break,
                _ => bail!("login failed: {} {}", kind as char, String::from_utf8_lossy(&body)),
            }
        }
        drop(input);
        Ok(Self(stream))
    }

    /// Runs one statement, drops its result, and gives the number of bytes that came.
    pub fn drain(&mut self, sql: &str) -> anyhow::Result<u64> {
        send(&self.0, Some(b'Q'), format!("{sql}\0").as_bytes())?;
        let mut input = BufReader::with_capacity(256 * 1024, &self.0);
        let (mut total, mut tail) = (0, Vec::new());
        loop {
            let chunk = input.fill_buf()?;
            ensure!(!chunk.is_empty(), "closed after {total} bytes");
            let length = chunk.len();
            total += length as u64;
            // The result holds nothing like a ReadyForQuery, so the end of the stream tells.
            tail.extend_from_slice(&chunk[length.saturating_sub(6)..]);
            tail.drain(..tail.len().saturating_sub(6));
            input.consume(length);
            if tail.starts_with(&READY) {
                return Ok(total);
            }
        }
    }

    /// Runs one statement whose answer is short, and drops it.
    pub fn ask(&mut self, sql: &str) -> anyhow::Result<()> {
        send(&self.0, Some(b'Q'), format!("{sql}\0").as_bytes())?;
        let mut answer = [0; 4096];
        let mut filled = 0;
        while !answer[..filled].ends_with(&[READY.as_slice(), b"I"].concat()) {
            let read = self.0.read(&mut answer[filled..])?;
            ensure!(read > 0, "closed, or the answer is not short");
            filled += read;
        }
        Ok(())
    }

    /// Takes leave as a client should.
    pub fn close(self) {
        // The other side may be gone: all the same.
        let _ = send(&self.0, Some(b'X'), &[]);
    }
}

/// The client-final message. The server's own proof is not checked.
fn prove(first: &str, server_first: &str) -> anyhow::Result<String> {
    let field = |name: &str| {
        server_first.split(',').find_map(|field| field.strip_prefix(name)).context("SCRAM field")
    };
    let without_proof = format!("c=biws,r={}", field("r=")?);
    let salted = salted_password(field("s=")?, field("i=")?)?;
    let client_key = sign(&salted, b"Client Key");
    let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
    let signature = sign(stored_key.as_ref(), format!("{first},{server_first},{without_proof}").as_bytes());
    let proof: Vec<u8> =
        client_key.as_ref().iter().zip(signature.as_ref()).map(|(key, mask)| key ^ mask).collect();
    Ok(format!("{without_proof},p={}", BASE64_STANDARD.encode(proof)))
}

fn salted_password(salt: &str, iterations: &str) -> anyhow::Result<[u8; 32]> {
    let name = format!("{salt},{iterations}");
    let known =
        SALTED.with_borrow(|last| last.as_ref().filter(|(of, _)| *of == name).map(|(_, salted)| *salted));
    if let Some(salted) = known {
        return Ok(salted);
    }
    let mut salted = [0; 32];
    let count: NonZeroU32 = iterations.parse()?;
    let salt = BASE64_STANDARD.decode(salt)?;
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, count, &salt, PASSWORD.as_bytes(), &mut salted);
    SALTED.set(Some((name, salted)));
    Ok(salted)
}

fn sign(key: &[u8], message: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message)
}

/// Writes one message; the startup packet has no kind.
fn send(mut stream: &TcpStream, kind: Option<u8>, body: &[u8]) -> anyhow::Result<()> {
    let mut message: Vec<u8> = kind.into_iter().collect();
    message.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
    message.extend_from_slice(body);
    Ok(stream.write_all(&message)?)
}

/// Reads one message.
fn receive(input: &mut impl Read) -> anyhow::Result<(u8, Vec<u8>)> {
    let mut header = [0; 5];
    input.read_exact(&mut header)?;
    let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
    ensure!((4..1 << 20).contains(&length), "message of {length} bytes in a login");
    let mut body = vec![0; length - 4];
    input.read_exact(&mut body)?;
    Ok((header[0], body))
}
