//! Statements that are run once more beside their sessions: on a connection of their own, which is in no pool.
//!
//! A copy runs in a read-only transaction, under the settings of its session, its role included, and is stopped by the node when it takes too long. What it
//! answers is thrown away, or kept up to some length.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::pool::connect::Connected;
use crate::pool::state::{State, difference};
use crate::rules::Share;
use crate::wire::emit;
use crate::wire::frame::{Frame, HEADER, back};

/// Under this a copy runs.
const BEGIN: &[u8] = b"BEGIN READ ONLY; SET LOCAL statement_timeout = '30s'";
/// What is read at once.
const BUFFER: usize = 16 * 1024;

/// A statement to be run once more.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) messages: Vec<u8>,
    /// The settings under which its words mean what they mean.
    pub(super) state: Rc<State>,
}

/// Which of many are taken.
#[derive(Debug, Default)]
pub(super) struct Draws(Cell<u64>);

impl Draws {
    /// Whether the next one is one of this share: exactly so many of any ten thousand in a row, evenly spread.
    #[inline]
    pub(super) fn takes(&self, share: Share) -> bool {
        let drawn = self.0.get();
        self.0.set(drawn.wrapping_add(1));
        // 6181 has no divisor in common with 10,000, and is the golden part of it.
        share.takes((drawn % 10_000) * 6181)
    }
}

/// What is kept of an answer: its messages but for ReadyForQuery.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) bytes: Vec<u8>,
    most: usize,
    /// There was more than is kept.
    pub(super) more: bool,
}

impl Kept {
    /// Nothing of it.
    pub(super) fn nothing() -> Kept {
        Kept::default()
    }

    /// So many bytes at most.
    pub(super) fn most(most: usize) -> Kept {
        Kept { most, ..Kept::default() }
    }

    fn add(&mut self, bytes: &[u8]) {
        let room = self.most - self.bytes.len();
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.more |= bytes.len() > room;
    }
}

/// A connection to a node.
pub(super) struct Node {
    connected: Connected,
    state: Rc<State>,
    /// It may have other settings than those.
    murky: bool,
    buffer: Vec<u8>,
    known: Range<usize>,
}

impl Node {
    /// Just logged in, with the settings of `state`.
    pub(super) fn new(connected: Connected, state: Rc<State>) -> Node {
        Node { connected, state, murky: false, buffer: vec![0; BUFFER], known: 0..0 }
    }

    /// How long it took, and whether it went well. Behind an error of this function nothing more can be asked of the node.
    pub(super) async fn run(&mut self, copy: &Copy, kept: &mut Kept) -> io::Result<(Duration, bool)> {
        let (mut out, mut ahead) = (vec![], 1);
        if let Some(change) = difference(&self.state, &copy.state, self.murky) {
            for sql in [change.resets, change.sets].iter().filter(|sql| !sql.is_empty()) {
                emit::query(&mut out, sql);
                ahead += 1;
            }
        }
        emit::query(&mut out, BEGIN);
        out.extend_from_slice(&copy.messages);
        let sent = Instant::now();
        self.connected.socket.write_all(&out).await?;
        let mut settled = true;
        for _ in 0..ahead {
            settled &= self.until_ready(&mut Kept::nothing()).await?;
        }
        (self.state, self.murky) = (copy.state.clone(), !settled);
        let well = self.until_ready(kept).await? && settled;
        let time = sent.elapsed();
        let mut end = vec![];
        emit::query(&mut end, b"ROLLBACK");
        self.connected.socket.write_all(&end).await?;
        self.until_ready(&mut Kept::nothing()).await?;
        Ok((time, well))
    }

    /// Takes messages up to ReadyForQuery; gives whether none was an error.
    async fn until_ready(&mut self, kept: &mut Kept) -> io::Result<bool> {
        let mut well = true;
        loop {
            while self.known.len() < HEADER {
                self.read().await?;
            }
            let frame = Frame::peek(&self.buffer[self.known.clone()]);
            let frame = frame.ok().flatten().ok_or(ErrorKind::InvalidData)?;
            let is_kept = frame.tag != back::READY_FOR_QUERY;
            let mut rest = frame.total;
            loop {
                let there = rest.min(self.known.len());
                if is_kept {
                    kept.add(&self.buffer[self.known.start..self.known.start + there]);
                }
                self.known.start += there;
                rest -= there;
                if rest == 0 {
                    break;
                }
                self.read().await?;
            }
            match frame.tag {
                back::READY_FOR_QUERY => return Ok(well),
                back::ERROR_RESPONSE => well = false,
                _ => {}
            }
        }
    }

    /// Reads more behind what is known, which is less than the buffer.
    async fn read(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.known.clone(), 0);
        self.known = 0..self.known.len();
        let room = &mut self.buffer[self.known.end..];
        let read = poll_fn(|cx| self.connected.socket.poll_read(cx, room)).await?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.known.end += read;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_met_exactly_and_spread_evenly() {
        for share in [1, 250, 5000, 9999, 10_000] {
            let draws = Draws::default();
            let taken: Vec<bool> = (0..10_000).map(|_| draws.takes(Share(share))).collect();
            assert_eq!(taken.iter().filter(|taken| **taken).count(), usize::from(share));
            let first = taken.iter().take(1000).filter(|taken| **taken).count();
            let expected = usize::from(share) / 10;
            assert!(first.abs_diff(expected) <= 3, "{share}: {first} of the first 1000");
        }
    }

    #[test]
    fn no_more_is_kept_than_was_asked_for() {
        let mut kept = Kept::most(5);
        kept.add(b"abc");
        kept.add(b"de");
        assert!(kept.bytes == b"abcde" && !kept.more);
        kept.add(b"f");
        assert!(kept.bytes == b"abcde" && kept.more);
        let mut nothing = Kept::nothing();
        nothing.add(b"x");
        assert!(nothing.bytes.is_empty());
    }
}
