//! How a server reads the bytes of texts: the two settings that decide it. A server reports both at login, and when they change.

use super::connect::Params;
use super::state::Settings;

const STRINGS: &[u8] = b"standard_conforming_strings";
const ENCODING: &[u8] = b"client_encoding";

/// `standard_conforming_strings` and `client_encoding`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Plain strings have no escapes.
    pub std_strings: bool,
    /// The encoding's own name, letters and digits only, in lower case.
    pub encoding: Box<[u8]>,
}

impl Default for Reading {
    /// As almost every server reads.
    fn default() -> Reading {
        Reading { std_strings: true, encoding: b"utf8"[..].into() }
    }
}

impl Reading {
    /// What a server reported.
    pub fn of(params: &Params) -> Reading {
        let mut reading = Reading::default();
        for (name, value) in params {
            reading.hear(name, value);
        }
        reading
    }

    /// Takes the value of a setting over; gives whether it is one of the two.
    pub fn hear(&mut self, name: &[u8], value: &[u8]) -> bool {
        if name.eq_ignore_ascii_case(STRINGS) {
            self.std_strings = !is_off(value);
        } else if name.eq_ignore_ascii_case(ENCODING) {
            self.encoding = plain_name(value);
        } else {
            return false;
        }
        true
    }

    /// How a server reads whose default this is, with these settings in force.
    pub fn under(&self, settings: &Settings) -> Reading {
        let mut reading = self.clone();
        for name in [STRINGS, ENCODING] {
            if let Some(value) = settings.get(name) {
                reading.hear(name, value);
            }
        }
        reading
    }

    /// The default of a server that reads like this, with these settings in force; `before` is what it was.
    pub fn without(&self, settings: &Settings, before: &Reading) -> Reading {
        let std_strings = if settings.contains_key(STRINGS) { before } else { self }.std_strings;
        let encoding = if settings.contains_key(ENCODING) { before } else { self }.encoding.clone();
        Reading { std_strings, encoding }
    }

    /// The settings that make any server read like this, whatever its defaults; what they say already stays.
    pub fn pinned_in(&self, settings: &Settings) -> Settings {
        let strings = if self.std_strings { &b"on"[..] } else { b"off" };
        let mut settings = settings.clone();
        for (name, value) in [(STRINGS, strings), (ENCODING, &self.encoding)] {
            settings.entry(name.into()).or_insert_with(|| value.into());
        }
        settings
    }

    /// Whether it is the default of almost every server.
    #[inline]
    pub fn is_ordinary(&self) -> bool {
        self.std_strings && *self.encoding == *b"utf8"
    }
}

/// A false value as `parse_bool` of PostgreSQL takes it: any beginning of a word that says which word it is.
fn is_off(value: &[u8]) -> bool {
    let value = value.to_ascii_lowercase();
    let begins = |word: &[u8], least: usize| value.len() >= least && word.starts_with(&value);
    begins(b"false", 1) || begins(b"no", 1) || begins(b"off", 2) || value == b"0"
}

fn plain_name(encoding: &[u8]) -> Box<[u8]> {
    let letters = encoding.iter().filter(|byte| byte.is_ascii_alphanumeric());
    let name: Box<[u8]> = letters.map(u8::to_ascii_lowercase).collect();
    let known = ALIASES.iter().find(|(_, aliases)| aliases.iter().any(|alias| alias.as_bytes() == &*name));
    known.map_or(name, |(own, _)| own.as_bytes().into())
}

/// Encodings that have other names too, from PostgreSQL's `src/common/encnames.c`.
const ALIASES: &[(&str, &[&str])] = &[
    ("big5", &["win950", "windows950"]),
    ("gbk", &["win936", "windows936"]),
    ("koi8r", &["koi8"]),
    ("latin1", &["iso88591"]),
    ("latin2", &["iso88592"]),
    ("latin3", &["iso88593"]),
    ("latin4", &["iso88594"]),
    ("latin5", &["iso88599"]),
    ("latin6", &["iso885910"]),
    ("latin7", &["iso885913"]),
    ("latin8", &["iso885914"]),
    ("latin9", &["iso885915"]),
    ("latin10", &["iso885916"]),
    ("sjis", &["mskanji", "shiftjis", "win932", "windows932"]),
    ("uhc", &["win949", "windows949"]),
    ("utf8", &["unicode"]),
    ("win1250", &["windows1250"]),
    ("win1251", &["win", "windows1251"]),
    ("win1252", &["windows1252"]),
    ("win1253", &["windows1253"]),
    ("win1254", &["windows1254"]),
    ("win1255", &["windows1255"]),
    ("win1256", &["windows1256"]),
    ("win1257", &["windows1257"]),
    ("win1258", &["abc", "tcvn", "tcvn5712", "vscii", "windows1258"]),
    ("win866", &["alt", "windows866"]),
    ("win874", &["windows874"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_in_every_spelling() {
        let heard = |name: &str, value: &str| {
            let mut reading = Reading::default();
            assert!(reading.hear(name.as_bytes(), value.as_bytes()));
            reading
        };
        for off in ["off", "OF", "f", "False", "n", "no", "0"] {
            assert!(!heard("Standard_conforming_strings", off).std_strings, "{off}");
        }
        for on in ["on", "o", "true", "T", "yes", "1"] {
            assert!(heard("standard_conforming_strings", on).std_strings, "{on}");
        }
        assert_eq!(*heard("client_encoding", "Shift-JIS 2004").encoding, *b"shiftjis2004");
        assert!(heard("client_encoding", "UNICODE").is_ordinary());
        assert_eq!(*heard("client_encoding", "Windows-932").encoding, *b"sjis");
        assert_eq!(*heard("client_encoding", "ISO_8859-15").encoding, *b"latin9");
        assert!(!Reading::default().hear(b"timezone", b"UTC"));
    }

    #[test]
    fn settings_go_before_defaults() {
        let set = |name: &[u8], value: &[u8]| Settings::from([(name.into(), value.into())]);
        let (ordinary, sjis) =
            (Reading::default(), Reading { std_strings: false, encoding: b"sjis"[..].into() });
        let old = set(STRINGS, b"off");
        assert_eq!(ordinary.under(&set(b"jit", b"off")), ordinary);
        assert!(!ordinary.under(&old).std_strings);
        assert_eq!(sjis.without(&Settings::new(), &ordinary), sjis);
        assert!(sjis.without(&old, &ordinary).std_strings);
        assert_eq!(ordinary.under(&sjis.pinned_in(&Settings::new())), sjis);
        assert!(!ordinary.under(&ordinary.pinned_in(&old)).std_strings);
    }
}
