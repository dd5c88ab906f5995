//! The first packet of a connection: a startup message, a request for encryption, or a cancel.
//!
//! Source: manual 55.2.1, 55.7 (StartupMessage, CancelRequest, SSLRequest, GSSENCRequest).

use super::{emit, fault::Fault, frame};

const SSL_REQUEST: u32 = 80_877_103;
const GSSENC_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;

/// The longest first packet PostgreSQL accepts (`MAX_STARTUP_PACKET_LENGTH`).
pub const MAX_PACKET: usize = 10_000;

/// Protocol 3.0.
pub const VERSION_3_0: u32 = 3 << 16;
/// Protocol 3.2, with cancel keys of up to 256 bytes.
pub const VERSION_3_2: u32 = 3 << 16 | 2;

/// Names and values, in the order given.
pub type Params = Vec<(Vec<u8>, Vec<u8>)>;

/// What a client asks for with its first packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// SSLRequest.
    Tls,
    /// GSSENCRequest.
    GssEnc,
    /// CancelRequest: the key that was given in BackendKeyData.
    Cancel {
        /// Process id.
        pid: i32,
        /// 4 to 256 bytes.
        secret: Vec<u8>,
    },
    /// StartupMessage.
    Start(Startup),
}

/// A startup message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Startup {
    /// The minor version of protocol 3 that was asked for.
    pub minor: u16,
    /// Parameters in the order given, `_pq_.` options excluded.
    pub params: Params,
    /// Names of `_pq_.` options, none of which is supported.
    pub unknown_options: Vec<Vec<u8>>,
}

/// Reads the length at the front of a first packet.
///
/// # Errors
/// 08P01 for a length that PostgreSQL refuses.
pub fn packet_length(head: [u8; 4]) -> Result<usize, Fault> {
    let length = u32::from_be_bytes(head) as usize;
    if !(8..=MAX_PACKET).contains(&length) {
        return Err(Fault::protocol("invalid length of startup packet"));
    }
    Ok(length)
}

/// Reads a first packet, its length excluded.
///
/// # Errors
/// FATAL faults as PostgreSQL gives them: 08P01 for a malformed packet, 0A000 for a protocol that is not 3.
pub fn parse(body: &[u8]) -> Result<Request, Fault> {
    let malformed = || Fault::protocol("invalid length of startup packet");
    let (code, rest) = body.split_first_chunk::<4>().ok_or_else(malformed)?;
    match u32::from_be_bytes(*code) {
        SSL_REQUEST if rest.is_empty() => Ok(Request::Tls),
        GSSENC_REQUEST if rest.is_empty() => Ok(Request::GssEnc),
        // A malformed one hits nothing, and is not answered, like any other.
        CANCEL_REQUEST => Ok(parse_cancel(rest).unwrap_or(Request::Cancel { pid: 0, secret: vec![] })),
        version if version >> 16 == 3 => parse_start(version as u16, rest).map(Request::Start),
        version => Err(Fault::fatal(
            "0A000",
            format!(
                "unsupported frontend protocol {}.{}: server supports 3.0 to 3.2",
                version >> 16,
                version & 0xffff
            ),
        )),
    }
}

fn parse_cancel(rest: &[u8]) -> Option<Request> {
    let (pid, secret) = rest.split_first_chunk::<4>()?;
    (4..=256)
        .contains(&secret.len())
        .then(|| Request::Cancel { pid: i32::from_be_bytes(*pid), secret: secret.to_vec() })
}

fn parse_start(minor: u16, mut rest: &[u8]) -> Result<Startup, Fault> {
    let layout = || {
        let text = "invalid startup packet layout: expected terminator as last byte";
        Fault::protocol(text).routine("ProcessStartupPacket")
    };
    let mut startup = Startup { minor, ..Startup::default() };
    loop {
        let (name, tail) = frame::cstr(rest).ok_or_else(layout)?;
        if name.is_empty() {
            return if tail.is_empty() { Ok(startup) } else { Err(layout()) };
        }
        let (value, tail) = frame::cstr(tail).ok_or_else(layout)?;
        rest = tail;
        if name.starts_with(b"_pq_.") {
            startup.unknown_options.push(name.to_vec());
        } else {
            startup.params.push((name.to_vec(), value.to_vec()));
        }
    }
}

impl Startup {
    /// The last value given for `name`, as PostgreSQL takes it.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.params.iter().rev().find(|(key, _)| key == name.as_bytes()).map(|(_, value)| value.as_slice())
    }

    /// Whether the client asked for something newer, or for options, that it must be told we lack.
    pub fn needs_negotiation(&self) -> bool {
        self.minor > 2 || self.minor == 1 || !self.unknown_options.is_empty()
    }

    /// The minor version that both sides will speak: 3.2 where it was asked for, else 3.0.
    pub fn spoken_minor(&self) -> u16 {
        if self.minor >= 2 { 2 } else { 0 }
    }

    /// Appends NegotiateProtocolVersion.
    pub fn emit_negotiation(&self, out: &mut Vec<u8>) {
        emit::frame(out, frame::back::NEGOTIATE_PROTOCOL_VERSION, |out| {
            let newest = VERSION_3_0 | u32::from(self.spoken_minor());
            out.extend_from_slice(&newest.to_be_bytes());
            out.extend_from_slice(&(self.unknown_options.len() as u32).to_be_bytes());
            self.unknown_options.iter().for_each(|name| emit::cstr(out, name));
        });
    }
}

/// The SSLRequest packet.
pub fn ssl_request() -> [u8; 8] {
    let mut packet = [0, 0, 0, 8, 0, 0, 0, 0];
    packet[4..].copy_from_slice(&SSL_REQUEST.to_be_bytes());
    packet
}

/// A CancelRequest packet.
pub fn cancel_request(pid: i32, secret: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(12 + secret.len());
    packet.extend_from_slice(&((12 + secret.len()) as u32).to_be_bytes());
    packet.extend_from_slice(&CANCEL_REQUEST.to_be_bytes());
    packet.extend_from_slice(&pid.to_be_bytes());
    packet.extend_from_slice(secret);
    packet
}

/// A StartupMessage.
pub fn start_message<'a>(version: u32, params: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Vec<u8> {
    let mut packet = vec![0; 4];
    packet.extend_from_slice(&version.to_be_bytes());
    for (name, value) in params {
        emit::cstr(&mut packet, name);
        emit::cstr(&mut packet, value);
    }
    packet.push(0);
    let length = packet.len() as u32;
    packet[..4].copy_from_slice(&length.to_be_bytes());
    packet
}

/// Splits the `options` parameter into settings: `-c name=value`, `-cname=value`, `--name=value`;
/// a backslash takes the next character as it is (manual 20.1.3, `pg_split_opts`).
///
/// # Errors
/// FATAL 42601 for anything else, as servers refuse it.
pub fn split_options(options: &[u8]) -> Result<Params, Fault> {
    let words = split_words(options);
    let mut words = words.into_iter();
    let mut settings = vec![];
    while let Some(word) = words.next() {
        let refuse = |word: &[u8]| {
            let word = String::from_utf8_lossy(word);
            Fault::fatal("42601", format!("invalid command-line argument for server process: {word}"))
                .hint("Try \"postgres --help\" for more information.")
                .routine("process_postgres_switches")
        };
        let assignment = match word.as_slice() {
            b"-c" => words.next().ok_or_else(|| refuse(&word))?,
            [b'-', b'c', rest @ ..] => rest.to_vec(),
            [b'-', b'-', rest @ ..] => rest.to_vec(),
            _ => return Err(refuse(&word)),
        };
        let dashes = if word.starts_with(b"--") { "--" } else { "-c " };
        let equals = memchr::memchr(b'=', &assignment).ok_or_else(|| {
            Fault::fatal(
                "42601",
                format!("{dashes}{} requires a value", String::from_utf8_lossy(&assignment)),
            )
            .routine("process_postgres_switches")
        })?;
        let name = assignment[..equals].iter().map(|byte| if *byte == b'-' { b'_' } else { *byte }).collect();
        settings.push((name, assignment[equals + 1..].to_vec()));
    }
    Ok(settings)
}

fn split_words(options: &[u8]) -> Vec<Vec<u8>> {
    let mut words = vec![];
    let mut word: Option<Vec<u8>> = None;
    let mut bytes = options.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte.is_ascii_whitespace() || byte == 0x0b {
            words.extend(word.take());
            continue;
        }
        let byte = if byte == b'\\' { bytes.next() } else { Some(byte) };
        word.get_or_insert_default().extend(byte);
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(body: &[u8]) -> Result<Request, Fault> {
        let mut packet = VERSION_3_0.to_be_bytes().to_vec();
        packet.extend_from_slice(body);
        parse(&packet)
    }

    #[test]
    fn parameters_are_read_and_the_last_one_wins() {
        let Ok(Request::Start(startup)) = start(b"user\0a\0user\0b\0_pq_.x\0y\0\0") else { panic!() };
        assert_eq!(startup.get("user"), Some(&b"b"[..]));
        assert_eq!(startup.unknown_options, [b"_pq_.x".to_vec()]);
        assert!(startup.needs_negotiation());
    }

    #[test]
    fn malformed_layouts_are_protocol_violations() {
        for body in [&b""[..], b"user", b"user\0", b"user\0a", b"user\0a\0", b"user\0a\0\0x"] {
            assert_eq!(start(body).unwrap_err().sqlstate, "08P01", "{body:?}");
        }
        assert_eq!(parse(&(2u32 << 16).to_be_bytes()).unwrap_err().sqlstate, "0A000");
        for length in [0u32, 7, 10_001, u32::MAX] {
            assert!(packet_length(length.to_be_bytes()).is_err());
        }
    }

    #[test]
    fn cancel_keys_of_4_to_256_bytes() {
        for (length, good) in [(0, false), (3, false), (4, true), (256, true), (257, false)] {
            let packet = cancel_request(7, &vec![9; length]);
            let parsed = parse(&packet[4..]);
            let hits = matches!(parsed, Ok(Request::Cancel { pid: 7, .. }));
            assert_eq!(hits, good, "{length}");
        }
    }

    #[test]
    fn options_are_split_as_the_server_does() {
        let got =
            split_options(br"-c a=b\ c -c search_path=x,y --statement-timeout=5s -cfoo.bar=1+1=2 -c q=\\x");
        let expected: Vec<(Vec<u8>, Vec<u8>)> = [
            ("a", "b c"),
            ("search_path", "x,y"),
            ("statement_timeout", "5s"),
            ("foo.bar", "1+1=2"),
            ("q", r"\x"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .into();
        assert_eq!(got.unwrap(), expected);
        for bad in [&b"-c"[..], b"-c x", b"x=1", b"--x", b"-x"] {
            assert!(split_options(bad).is_err(), "{bad:?}");
        }
    }
}
