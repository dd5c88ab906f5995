//! What decides how a server reads the bytes of a text: `standard_conforming_strings`, and `client_encoding`.
//!
//! PostgreSQL converts a text to the encoding of its database, then scans it. In the encodings that exist only on the client side
//! the last bytes of a character may look like a letter or a backslash, and are neither: to a scanner all bytes of a character
//! of several bytes are those of a letter. All other encodings have no byte below 0x80 in such a character, so that nothing
//! needs to be known of them. Lengths of characters as in PostgreSQL's `src/common/wchar.c`.

/// How a server reads texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dialect {
    std_strings: bool,
    chars: Chars,
}

/// How long the characters are that begin with a byte of 0x80 or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Chars {
    /// It does not matter: none has a byte below 0x80.
    Plain,
    /// Two bytes, or one from 0xA1 to 0xDF.
    ShiftJis,
    /// The same, with [`DECEIVING`] in it.
    ShiftJis2004,
    /// BIG5, GBK, UHC: two bytes.
    Two,
    /// Two bytes, or four when the second is a digit.
    Gb18030,
    /// Two bytes, or three behind 0x8F.
    Johab,
}

/// A backslash and a tilde in SHIFT_JIS_2004, if the database is in UTF8; in EUC_JIS_2004 they are none.
const DECEIVING: [[u8; 2]; 2] = [[0x81, 0x5f], [0x81, 0xb0]];

impl Dialect {
    /// The dialect of a server with this `standard_conforming_strings` and this `client_encoding`: its own name, no alias of it, in
    /// lower case, letters and digits only.
    pub fn new(std_strings: bool, client_encoding: &[u8]) -> Dialect {
        let chars = match client_encoding {
            b"sjis" => Chars::ShiftJis,
            b"shiftjis2004" => Chars::ShiftJis2004,
            b"big5" | b"gbk" | b"uhc" => Chars::Two,
            b"gb18030" => Chars::Gb18030,
            b"johab" => Chars::Johab,
            _ => Chars::Plain,
        };
        Dialect { std_strings, chars }
    }

    /// Whether plain strings end as in the SQL standard, without backslash escapes.
    pub fn std_strings(self) -> bool {
        self.std_strings
    }

    /// Whether bytes below 0x80 may be parts of longer characters, so that they must not be taken for themselves.
    #[inline]
    pub fn is_wide(self) -> bool {
        self.chars != Chars::Plain
    }

    /// An unquoted identifier as PostgreSQL folds it: letters of ASCII in lower case.
    pub fn folded(self, text: &[u8]) -> Vec<u8> {
        let mut name = text.to_ascii_lowercase();
        if self.is_wide() {
            self.unfold_chars(&mut name, text);
        }
        name
    }

    /// Gives the bytes of longer characters back, which are no letters with a case.
    #[cold]
    fn unfold_chars(self, name: &mut [u8], text: &[u8]) {
        let mut at = 0;
        while at < text.len() {
            let end = at + self.char_len(&text[at..]);
            if text[at] >= 0x80 {
                name[at..end].copy_from_slice(&text[at..end]);
            }
            at = end;
        }
    }

    pub(super) fn with_std_strings(self, std_strings: bool) -> Dialect {
        Dialect { std_strings, ..self }
    }

    /// The length of the character that `text` begins with, as far as it is there; 1 for each byte where that does not matter.
    pub(super) fn char_len(self, text: &[u8]) -> usize {
        let [first, ..] = *text else { return 0 };
        let length = match self.chars {
            _ if first < 0x80 => 1,
            Chars::Plain => 1,
            Chars::ShiftJis | Chars::ShiftJis2004 if (0xa1..=0xdf).contains(&first) => 1,
            Chars::ShiftJis | Chars::ShiftJis2004 | Chars::Two => 2,
            Chars::Gb18030 if text.get(1).is_some_and(u8::is_ascii_digit) => 4,
            Chars::Gb18030 => 2,
            Chars::Johab if first == 0x8f => 3,
            Chars::Johab => 2,
        };
        length.min(text.len())
    }

    /// Whether `text` begins with a character that is ASCII to some servers and not to others.
    pub(super) fn is_deceiving(self, text: &[u8]) -> bool {
        self.chars == Chars::ShiftJis2004 && DECEIVING.iter().any(|pair| text.starts_with(pair))
    }
}

impl From<bool> for Dialect {
    /// An ordinary encoding; `standard_conforming_strings`.
    fn from(std_strings: bool) -> Dialect {
        Dialect { std_strings, chars: Chars::Plain }
    }
}
