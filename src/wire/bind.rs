//! What a Bind message has behind the names of its portal and of its statement: values, and formats.

/// It, read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bind<'a> {
    formats: &'a [[u8; 2]],
    count: u16,
    values: &'a [u8],
    results: &'a [[u8; 2]],
}

impl<'a> Bind<'a> {
    /// Reads all of `bytes`; `None` if they are no such thing.
    pub fn read(bytes: &'a [u8]) -> Option<Bind<'a>> {
        let (formats, rest) = numbers(bytes)?;
        let (count, values) = rest.split_first_chunk::<2>()?;
        let count = u16::from_be_bytes(*count);
        let mut rest = values;
        for _ in 0..count {
            rest = value(rest)?.1;
        }
        let (results, behind) = numbers(rest)?;
        let values = &values[..values.len() - rest.len()];
        behind.is_empty().then_some(Bind { formats, count, values, results })
    }

    /// How many parameters there are.
    pub fn count(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether there are as many formats as the server takes: none, one for all parameters, or one for each.
    pub fn fits(&self) -> bool {
        matches!(self.formats.len(), 0 | 1) || self.formats.len() == self.count()
    }

    /// The parameters in order: whether one is in binary format, and its value; `None`: NULL.
    pub fn parameters(&self) -> impl Iterator<Item = (bool, Option<&'a [u8]>)> {
        let (formats, mut rest) = (self.formats, self.values);
        (0..self.count()).map_while(move |at| {
            let format = formats.get(if formats.len() == 1 { 0 } else { at });
            let (value, behind) = value(rest)?;
            rest = behind;
            Some((format.is_some_and(|format| *format != [0; 2]), value))
        })
    }

    /// In which formats the columns of the result are wanted: none is said for text, or one for all, or one for each.
    pub fn results(&self) -> impl Iterator<Item = u16> + use<'a> {
        self.results.iter().map(|format| u16::from_be_bytes(*format))
    }
}

/// A value behind its length, and what is behind it.
fn value(bytes: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    match usize::try_from(i32::from_be_bytes(*length)) {
        Ok(length) => rest.split_at_checked(length).map(|(value, rest)| (Some(value), rest)),
        Err(_) => Some((None, rest)),
    }
}

/// A list of numbers of two bytes, behind how many they are.
fn numbers(bytes: &[u8]) -> Option<(&[[u8; 2]], &[u8])> {
    let (count, rest) = bytes.split_first_chunk::<2>()?;
    let (list, rest) = rest.split_at_checked(2 * usize::from(u16::from_be_bytes(*count)))?;
    Some((list.as_chunks::<2>().0, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_to_its_end_or_not_at_all() {
        let bytes =
            [&[0, 2, 0, 0, 0, 1, 0, 3][..], &[0, 0, 0, 2], b"ab", &[0, 0, 0, 0], &[255; 4], &[0, 1, 0, 1]];
        let bytes = bytes.concat();
        let bind = Bind::read(&bytes).expect("well formed");
        let parameters: Vec<_> = bind.parameters().collect();
        assert_eq!(parameters, [(false, Some(&b"ab"[..])), (true, Some(&b""[..])), (false, None)]);
        assert_eq!((bind.count(), bind.results().collect::<Vec<_>>()), (3, vec![1]));
        assert!(!bind.fits(), "two formats for three parameters");
        for cut in 0..bytes.len() {
            assert_eq!(Bind::read(&bytes[..cut]), None, "{cut}");
        }
        assert_eq!(Bind::read(&[&bytes[..], b"x"].concat()), None);
    }

    #[test]
    fn one_format_is_that_of_all() {
        let bytes = [&[0, 1, 0, 1, 0, 2][..], &[0, 0, 0, 1, 7], &[0, 0, 0, 1, 8], &[0, 0]].concat();
        let bind = Bind::read(&bytes).expect("well formed");
        assert!(bind.fits() && bind.parameters().all(|(binary, _)| binary));
        assert_eq!(bind.results().count(), 0);
        let none = Bind::read(&[0, 0, 0, 0, 0, 2, 0, 0, 0, 1]).expect("well formed");
        assert!(none.fits() && none.parameters().next().is_none());
        assert_eq!(none.results().collect::<Vec<_>>(), [0, 1]);
    }
}
