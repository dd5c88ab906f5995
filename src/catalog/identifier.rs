//! Names as the catalogs have them.

use crate::sql::{Kind, Token, unquoted};

/// The longest name there is (`NAMEDATALEN`); what is longer is cut.
const LONGEST: usize = 63;

/// An identifier in a text, folded, unquoted and cut as PostgreSQL does, as far as its bytes are ASCII.
#[derive(Clone, Copy)]
pub(super) struct Identifier {
    bytes: [u8; LONGEST],
    length: usize,
    is_ascii: bool,
    /// It was cut where it is not known whether a character ends.
    is_torn: bool,
}

impl Identifier {
    /// `None` for other tokens, and for `U&""`, whose name is not in it.
    pub(super) fn of(token: Token, sql: &[u8]) -> Option<Identifier> {
        let text = token.text(sql);
        match token.kind {
            Kind::Ident => {
                let mut name = Identifier::cut(text);
                name.bytes[..name.length].make_ascii_lowercase();
                Some(name)
            }
            Kind::QuotedIdent => {
                let inner = &text[1..text.len() - 1];
                let doubled = memchr::memchr(b'"', inner).is_some();
                let name = doubled.then(|| unquoted(text).unwrap_or_default());
                Some(Identifier::cut(name.as_deref().unwrap_or(inner)))
            }
            _ => None,
        }
    }

    fn cut(name: &[u8]) -> Identifier {
        let length = name.len().min(LONGEST);
        let mut bytes = [0; LONGEST];
        bytes[..length].copy_from_slice(&name[..length]);
        let is_ascii = name.is_ascii();
        Identifier { bytes, length, is_ascii, is_torn: !is_ascii && length < name.len() }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Whether PostgreSQL may have cut the name somewhere else.
    pub(super) fn is_torn(&self) -> bool {
        self.is_torn
    }

    /// Whether the name can be compared with one in the catalog: what is not ASCII is written in the client's encoding.
    pub(super) fn is_ascii(&self) -> bool {
        self.is_ascii
    }
}
