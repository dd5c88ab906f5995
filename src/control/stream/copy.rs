//! What goes over a replication connection inside of COPY (manual, 55.4 "Streaming Replication Protocol").

use crate::plan::consistency::Lsn;
use crate::wire::{emit, frame::front};

/// What a server sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FromServer<'a> {
    /// XLogData: what the output plugin has written.
    Data(&'a [u8]),
    /// A sign of life.
    KeepAlive {
        /// Everything before this has been decoded, and what was to be sent of it has been sent.
        passed: Lsn,
        /// An answer is wanted at once.
        reply: bool,
    },
}

impl<'a> FromServer<'a> {
    /// Reads the body of a CopyData message; `None`: it is none of the two.
    pub fn read(body: &'a [u8]) -> Option<FromServer<'a>> {
        let (tag, rest) = body.split_first()?;
        match tag {
            b'w' => Some(FromServer::Data(rest.get(24..)?)),
            b'k' => {
                let (passed, rest) = rest.split_first_chunk::<8>()?;
                let [_, _, _, _, _, _, _, _, reply] = rest else { return None };
                Some(FromServer::KeepAlive { passed: Lsn(u64::from_be_bytes(*passed)), reply: *reply != 0 })
            }
            _ => None,
        }
    }
}

/// Appends a standby status update: everything up to `passed` has been received, and is needed no more. With `reply`, a sign of life
/// is wanted at once.
pub fn status_update(out: &mut Vec<u8>, passed: Lsn, reply: bool) {
    emit::frame(out, front::COPY_DATA, |out| {
        out.push(b'r');
        for _ in ["written", "flushed", "applied"] {
            out.extend_from_slice(&passed.0.to_be_bytes());
        }
        // The time of this host, which the server only shows.
        out.extend_from_slice(&[0; 8]);
        out.push(u8::from(reply));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_sends_is_read() {
        let check = |body: &[u8], expected| assert_eq!(FromServer::read(body), expected, "{body:?}");
        let data = [&b"w"[..], &[0; 24], b"B..."].concat();
        check(&data, Some(FromServer::Data(b"B...")));
        check(&data[..25], Some(FromServer::Data(b"")));
        check(&data[..24], None);
        let alive = [&b"k"[..], &7_u64.to_be_bytes(), &[0; 8], &[1]].concat();
        check(&alive, Some(FromServer::KeepAlive { passed: Lsn(7), reply: true }));
        check(&alive[..17], None);
        check(&[&alive[..], &[0]].concat(), None);
        check(b"x", None);
        check(b"", None);
    }

    #[test]
    fn a_status_update_has_its_length() {
        let mut out = vec![];
        status_update(&mut out, Lsn(0x0102), true);
        assert_eq!(out.len(), 1 + 4 + 34);
        assert_eq!(out[..6], [b'd', 0, 0, 0, 38, b'r']);
        assert_eq!(out[6..14], [0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(out.last(), Some(&1));
    }
}
