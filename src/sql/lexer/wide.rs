//! What is read character by character in the encodings whose characters may end in the byte of something else.
//!
//! Quotes, blanks and `$ * - /` are not among those bytes, so that only words, tags and strings with escapes need it.

use super::{Kind, Lexer};
use crate::sql::bytes::{is_ident, is_tag};

impl Lexer<'_> {
    #[cold]
    pub(super) fn wide_ident(&mut self) -> Kind {
        match self.skip_chars(is_ident) {
            true => Kind::Ident,
            false => Kind::Other,
        }
    }

    /// With a character that is not certain it is a tag, or the server refuses the text.
    #[cold]
    pub(super) fn wide_tag(&mut self) {
        self.skip_chars(is_tag);
    }

    /// Goes behind the next quote that no backslash escapes; false when there is none, or it is not certain.
    #[cold]
    pub(super) fn past_wide_quote(&mut self) -> bool {
        while let Some(&byte) = self.sql.get(self.pos) {
            if self.dialect.is_deceiving(self.rest()) {
                return false;
            }
            self.skip_char();
            match byte {
                b'\'' => return true,
                b'\\' => self.skip_char(),
                _ => {}
            }
        }
        false
    }

    fn skip_char(&mut self) {
        self.pos += self.dialect.char_len(self.rest());
    }

    /// Goes past characters as long as `keep` takes their first bytes; false when one of them may be another.
    fn skip_chars(&mut self, keep: fn(u8) -> bool) -> bool {
        let mut certain = true;
        while self.sql.get(self.pos).is_some_and(|byte| keep(*byte)) {
            certain &= !self.dialect.is_deceiving(self.rest());
            self.skip_char();
        }
        certain
    }
}
