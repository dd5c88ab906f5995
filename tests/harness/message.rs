//! A message as the client receives it: cut into frames, compared byte for byte, printed for people.

use std::fmt;

/// Bodies longer than this are compared by length and digest, and not kept.
const KEEP: usize = 64 * 1024;

/// One message from the server.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Its type byte.
    pub tag: u8,
    /// What follows the length.
    pub body: Vec<u8>,
}

impl Message {
    /// The command tag of a CommandComplete, else an empty text.
    pub fn command_tag(&self) -> String {
        if self.tag == b'C' { text(&self.body[..self.body.len() - 1]) } else { String::new() }
    }

    /// The fields of an ErrorResponse or NoticeResponse, in the order they came.
    pub fn fields(&self) -> Vec<(u8, String)> {
        let mut fields = Vec::new();
        let mut rest = &self.body[..];
        while let [code, tail @ ..] = rest {
            if *code == 0 {
                break;
            }
            let Some((value, after)) = cut_str(tail) else {
                fields.push((b'?', format!("unterminated field {:?}", text(tail))));
                break;
            };
            fields.push((*code, value));
            rest = after;
        }
        fields
    }

    /// One field of an ErrorResponse or NoticeResponse.
    pub fn field(&self, code: u8) -> Option<String> {
        self.fields().into_iter().find(|f| f.0 == code).map(|f| f.1)
    }

    /// The SQLSTATE of an ErrorResponse or NoticeResponse.
    pub fn sqlstate(&self) -> String {
        self.field(b'C').unwrap_or_default()
    }

    /// The values of a DataRow.
    pub fn values(&self) -> Vec<Option<Vec<u8>>> {
        let mut values = Vec::new();
        let mut rest = self.body.get(2..).unwrap_or_default();
        while let Some((len, tail)) = rest.split_first_chunk::<4>() {
            let len = i32::from_be_bytes(*len);
            let (value, after) = tail.split_at_checked(len.max(0) as usize).unwrap_or((tail, &[]));
            values.push((len >= 0).then(|| value.to_vec()));
            rest = after;
        }
        values
    }

    /// The first value of a DataRow as text.
    pub fn value(&self) -> String {
        match self.values().first() {
            Some(Some(value)) => text(value),
            _ => String::new(),
        }
    }

    /// Name and value of a ParameterStatus.
    pub fn parameter(&self) -> (String, String) {
        let (name, rest) = cut_str(&self.body).unwrap_or_default();
        let (value, _) = cut_str(rest).unwrap_or_default();
        (name, value)
    }

    /// What two runs must agree upon: everything, except what belongs to the connection itself (process ids, cancel
    /// key, SASL nonces) and the place in the server's source where an error was raised.
    pub fn comparable(&self) -> Vec<u8> {
        let body = match self.tag {
            b'K' => Vec::new(),
            b'A' => self.body.get(4..).unwrap_or_default().to_vec(),
            b'R' => self.body.get(..4).unwrap_or_default().to_vec(),
            b'E' | b'N' => self
                .fields()
                .into_iter()
                .filter(|(code, _)| !b"FL".contains(code))
                .flat_map(|(code, value)| [&[code], value.as_bytes(), &[0]].concat())
                .collect(),
            _ => self.body.clone(),
        };
        let mut out = vec![self.tag];
        if body.len() > KEEP {
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &body);
            out.extend_from_slice(format!("{} bytes, sha256 ", body.len()).as_bytes());
            out.extend_from_slice(digest.as_ref());
        } else {
            out.extend_from_slice(&body);
        }
        out
    }
}

impl Message {
    /// A RowDescription without the object ids of the tables its columns come from; other messages as they are.
    pub fn without_table_oids(&self) -> Self {
        let mut message = self.clone();
        if message.tag != b'T' {
            return message;
        }
        let mut at = 2;
        while let Some(end) = message.body[at..].iter().position(|b| *b == 0) {
            let fixed = at + end + 1;
            message.body[fixed..fixed + 4].fill(0);
            at = fixed + 18;
        }
        message
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name(self.tag))?;
        match self.tag {
            b'C' => write!(f, " {}", self.command_tag()),
            b'Z' => write!(f, " {}", text(&self.body)),
            b'D' => write!(f, " ({})", row(&self.values())),
            b'T' => write!(f, " ({})", columns(&self.body)),
            b'S' => {
                let (name, value) = self.parameter();
                write!(f, " {name}={value}")
            }
            b'E' | b'N' => error(self, f),
            b'R' => write!(f, " {}", number(&self.body)),
            b't' => write!(f, " ({})", parameter_types(&self.body)),
            b'A' => {
                let (channel, rest) = cut_str(self.body.get(4..).unwrap_or_default()).unwrap_or_default();
                write!(f, " {channel} {:?}", cut_str(rest).unwrap_or_default().0)
            }
            b'K' => Ok(()),
            _ if self.body.is_empty() => Ok(()),
            _ => write!(f, " {}", short(&self.body)),
        }
    }
}

/// Bytes as text, for printing.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The text up to a NUL, and what follows it.
pub fn cut_str(bytes: &[u8]) -> Option<(String, &[u8])> {
    let end = bytes.iter().position(|b| *b == 0)?;
    Some((text(&bytes[..end]), &bytes[end + 1..]))
}

fn name(tag: u8) -> &'static str {
    match tag {
        b'R' => "Authentication",
        b'K' => "BackendKeyData",
        b'S' => "ParameterStatus",
        b'v' => "NegotiateProtocolVersion",
        b'Z' => "ReadyForQuery",
        b'T' => "RowDescription",
        b'D' => "DataRow",
        b'C' => "CommandComplete",
        b'I' => "EmptyQueryResponse",
        b'E' => "ErrorResponse",
        b'N' => "NoticeResponse",
        b'A' => "NotificationResponse",
        b'1' => "ParseComplete",
        b'2' => "BindComplete",
        b'3' => "CloseComplete",
        b'n' => "NoData",
        b't' => "ParameterDescription",
        b's' => "PortalSuspended",
        b'G' => "CopyInResponse",
        b'H' => "CopyOutResponse",
        b'W' => "CopyBothResponse",
        b'd' => "CopyData",
        b'c' => "CopyDone",
        b'V' => "FunctionCallResponse",
        _ => "UnknownMessage",
    }
}

fn error(message: &Message, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let field = |code| message.field(code).unwrap_or_default();
    write!(f, " {} {} {}", field(b'S'), field(b'C'), field(b'M'))?;
    for (code, value) in message.fields() {
        if !b"SVCMFLR".contains(&code) {
            write!(f, " [{}: {value}]", code as char)?;
        }
    }
    Ok(())
}

fn row(values: &[Option<Vec<u8>>]) -> String {
    let show = |value: &Option<Vec<u8>>| value.as_deref().map_or("NULL".into(), short);
    join(values.iter().map(show))
}

fn columns(body: &[u8]) -> String {
    let mut names = Vec::new();
    let mut rest = body.get(2..).unwrap_or_default();
    while let Some((name, after)) = cut_str(rest) {
        let Some((fixed, tail)) = after.split_first_chunk::<18>() else {
            break;
        };
        let format = if fixed[17] == 1 { " binary" } else { "" };
        names.push(format!("{name} {}{format}", number(&fixed[6..])));
        rest = tail;
    }
    join(names.into_iter())
}

fn parameter_types(body: &[u8]) -> String {
    let words = body.get(2..).unwrap_or_default().chunks(4);
    join(words.map(|oid| number(oid).to_string()))
}

fn number(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |word| u32::from_be_bytes(*word))
}

fn join(items: impl Iterator<Item = String>) -> String {
    const SHOWN: usize = 12;
    let items: Vec<String> = items.collect();
    let shown = items[..items.len().min(SHOWN)].join(", ");
    match items.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown}, and {more} more"),
    }
}

fn short(bytes: &[u8]) -> String {
    const SHOWN: usize = 60;
    let head = &bytes[..bytes.len().min(SHOWN)];
    let printable = match std::str::from_utf8(head) {
        Ok(text) if !text.contains('\0') => text.chars().flat_map(visible).collect(),
        _ => format!("0x{}", head.iter().map(|b| format!("{b:02x}")).collect::<String>()),
    };
    match bytes.len() - head.len() {
        0 => printable,
        more => format!("{printable}... {more} bytes more"),
    }
}

/// Control characters escaped, everything else as it is.
fn visible(c: char) -> impl Iterator<Item = char> {
    let plain = (!c.is_control()).then_some(c);
    let escaped = c.is_control().then(|| c.escape_debug());
    plain.into_iter().chain(escaped.into_iter().flatten())
}
