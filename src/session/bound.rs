//! A Bind message that is answered here: values of parameters, as they may be shown to who has sent them, and formats of columns.

use crate::wire::bind::Bind;

/// So many values of parameters are kept, and so much of each, in bytes.
const VALUES: usize = 100;
const VALUE: usize = 400;

/// What a Bind brings.
#[derive(Default)]
pub(super) struct Bound {
    /// Values of the first parameters, as they may be shown.
    pub(super) values: Vec<String>,
    /// How many there are.
    pub(super) count: usize,
    /// Formats in which the client wants the columns: none, one, or one for each.
    pub(super) formats: Vec<u16>,
}

impl Bound {
    /// Reads a Bind message, from behind the name of its statement; `None` if it is malformed.
    pub(super) fn read(bytes: &[u8]) -> Option<Bound> {
        let bind = Bind::read(bytes)?;
        let values = bind.parameters().take(VALUES).map(|(binary, value)| shown(value, binary)).collect();
        Some(Bound { values, count: bind.count(), formats: bind.results().collect() })
    }
}

/// A value as it may be shown to the client who has sent it.
fn shown(value: Option<&[u8]>, binary: bool) -> String {
    match value {
        None => "NULL".to_owned(),
        Some(_) if binary => "binary".to_owned(),
        Some(text) => {
            let text = String::from_utf8_lossy(&text[..text.len().min(VALUE)]);
            text.chars().map(|c| if c == '\0' { char::REPLACEMENT_CHARACTER } else { c }).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_bind_are_read_as_far_as_they_may_be_shown() {
        let bind =
            [&[0, 2, 0, 0, 0, 1, 0, 2][..], &[0, 0, 0, 3], b"a\0b", &[0, 0, 0, 1, 7], &[0, 1, 0, 1]].concat();
        let bound = Bound::read(&bind).expect("well formed");
        assert_eq!((bound.values, bound.formats), (vec!["a\u{fffd}b".to_owned(), "binary".into()], vec![1]));
        for cut in 0..bind.len() {
            assert!(Bound::read(&bind[..cut]).is_none(), "{cut}");
        }
        assert!(Bound::read(&[&bind[..], b"x"].concat()).is_none());
        let many = [&[0, 0, 255, 255][..], &[255; 4 * 65_535], &[0, 0]].concat();
        let many = Bound::read(&many).expect("well formed");
        assert_eq!((many.count, many.values.len()), (65_535, VALUES));
        let null = Bound::read(&[0, 0, 0, 1, 255, 255, 255, 255, 0, 0]).expect("well formed");
        assert_eq!((null.values, null.formats.len()), (vec!["NULL".to_owned()], 0));
        assert_eq!(shown(Some(&vec![b'x'; 2 * VALUE]), false).len(), VALUE);
    }
}
