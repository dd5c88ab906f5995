//! Numbers. What trails a number is another token here, as before PostgreSQL 15; since then an error.

use super::{Kind, Lexer};
use crate::sql::bytes::is_digit;

impl Lexer<'_> {
    pub(super) fn number(&mut self) -> Kind {
        if self.peek(0) == b'0' && self.radix_integer() {
            return Kind::Integer;
        }
        self.digits(is_digit);
        match (self.peek(0), self.peek(1)) {
            (b'.', next) if next != b'.' => self.fraction(),
            _ if self.exponent() => Kind::Float,
            _ => Kind::Integer,
        }
    }

    /// The point, what follows it, and the exponent.
    pub(super) fn fraction(&mut self) -> Kind {
        self.pos += 1;
        if is_digit(self.peek(0)) {
            self.digits(is_digit);
        }
        self.exponent();
        Kind::Float
    }

    /// `e5`, `E+5`, `e-5`; anything less is not part of the number.
    fn exponent(&mut self) -> bool {
        let sign = usize::from(matches!(self.peek(1), b'+' | b'-'));
        let found = self.peek(0) | 0x20 == b'e' && is_digit(self.peek(1 + sign));
        if found {
            self.pos += 1 + sign;
            self.digits(is_digit);
        }
        found
    }

    /// `0x1F`, `0o17`, `0b01`, since PostgreSQL 16; at least one digit must follow.
    fn radix_integer(&mut self) -> bool {
        let digit: fn(u8) -> bool = match self.peek(1) | 0x20 {
            b'x' => |byte| byte.is_ascii_hexdigit(),
            b'o' => |byte| matches!(byte, b'0'..=b'7'),
            b'b' => |byte| matches!(byte, b'0' | b'1'),
            _ => return false,
        };
        let underscore = usize::from(self.peek(2) == b'_');
        let found = digit(self.peek(2 + underscore));
        if found {
            self.pos += 2 + underscore;
            self.digits(digit);
        }
        found
    }

    /// Digits with single underscores between them.
    fn digits(&mut self, digit: fn(u8) -> bool) {
        while digit(self.peek(0)) || (self.peek(0) == b'_' && digit(self.peek(1))) {
            self.pos += 1;
        }
    }
}
