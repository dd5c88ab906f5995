//! The attribute syntax of SCRAM messages (RFC 5802 section 5.1): `x=value` joined by commas.

/// A message breaks the syntax; the text says how, in PostgreSQL's words where it has some.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// Reads attributes from the front of a message.
pub(super) struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    /// Starts at the first byte of `message`, which is checked for length and NUL.
    pub(super) fn of(message: &'a [u8], max_length: usize) -> Result<Self, Malformed> {
        if message.is_empty() {
            return Err(Malformed("The message is empty."));
        }
        if message.len() > max_length {
            return Err(Malformed("The message is too long."));
        }
        if message.contains(&0) {
            return Err(Malformed("Message length does not match input length."));
        }
        Ok(Self { rest: message })
    }

    /// What was not read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything was read.
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next byte, unread.
    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Skips one byte, which must be `expected`.
    pub(super) fn skip(&mut self, expected: u8, otherwise: &'static str) -> Result<(), Malformed> {
        match self.rest.split_first() {
            Some((&byte, rest)) if byte == expected => {
                self.rest = rest;
                Ok(())
            }
            _ => Err(Malformed(otherwise)),
        }
    }

    /// The value of the next attribute, whose name must be `name`.
    pub(super) fn expect(&mut self, name: u8) -> Result<&'a [u8], Malformed> {
        if self.peek() != Some(name) {
            return Err(Malformed("An expected attribute is missing."));
        }
        Ok(self.next()?.1)
    }

    /// The next attribute, whatever its name.
    pub(super) fn next(&mut self) -> Result<(u8, &'a [u8]), Malformed> {
        let (name, after) = match self.rest {
            [name, after @ ..] if name.is_ascii_alphabetic() => (*name, after),
            [] => return Err(Malformed("Attribute expected, but found end of string.")),
            _ => {
                return Err(Malformed("Attribute expected, but found invalid character."));
            }
        };
        let Some((b'=', value)) = after.split_first() else {
            return Err(Malformed("Expected character \"=\" after an attribute name."));
        };
        let end = value.iter().position(|&byte| byte == b',');
        let (value, rest) = match end {
            Some(end) => (&value[..end], &value[end + 1..]),
            None => (value, &[][..]),
        };
        self.rest = rest;
        Ok((name, value))
    }

    /// Reads the rest as extensions, whose values are ignored.
    pub(super) fn skip_extensions(mut self) -> Result<(), Malformed> {
        while !self.is_empty() {
            self.next()?;
        }
        Ok(())
    }
}

/// Whether `nonce` is what RFC 5802 calls printable: 0x21-0x7E without the comma.
pub(super) fn is_printable(nonce: &[u8]) -> bool {
    nonce.iter().all(|&byte| byte.is_ascii_graphic() && byte != b',')
}
