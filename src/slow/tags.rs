//! Tags that callers put into comments, as sqlcommenter writes them: `/*route='%2Forders',traceparent='00-...'*/`, at the end of a text or at its
//! front.

use percent_encoding::percent_decode;

/// A comment that is longer, in bytes, is not looked at; nor are more tags than so many.
const LONGEST: usize = 2048;
const MOST: usize = 24;
/// So much of what a caller says of itself is kept, in characters.
const CALLER: usize = 200;

/// Names and values, decoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags(Vec<(String, String)>);

impl Tags {
    /// The tags of a text; none where it has no comment that is tags and nothing else.
    pub fn of(text: &[u8]) -> Tags {
        let comment = at_end(text).or_else(|| at_front(text));
        comment.filter(|comment| comment.len() <= LONGEST).and_then(read).unwrap_or_default()
    }

    /// The value of a tag.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Where the caller says that it sends from, by the tags of these names, in their order: `route=/orders,action=show`.
    pub fn caller(&self, names: &[String]) -> Option<String> {
        let named = names.iter().filter_map(|name| Some(format!("{name}={}", self.get(name)?)));
        let all = named.collect::<Vec<_>>().join(",");
        let plain =
            all.chars().take(CALLER).map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
        (!plain.is_empty()).then_some(plain)
    }

    /// The trace that the statement is a part of, by `traceparent` (W3C Trace Context): 32 hexadecimal digits.
    pub fn trace(&self) -> Option<&str> {
        let mut parts = self.get("traceparent")?.split('-');
        let (version, trace) = (parts.next()?, parts.next()?);
        let is_hex =
            |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_hex(version, 2) && is_hex(trace, 32)).then_some(trace)
    }
}

/// The inside of the comment that a text ends with.
fn at_end(text: &[u8]) -> Option<&[u8]> {
    let end = text.iter().rposition(|byte| !byte.is_ascii_whitespace() && *byte != b';')?;
    let inside = text[..=end].strip_suffix(b"*/")?;
    let begins = memchr::memmem::rfind(inside, b"/*")?;
    Some(&inside[begins + 2..]).filter(|inside| memchr::memmem::find(inside, b"*/").is_none())
}

/// The inside of the comment that a text begins with.
fn at_front(text: &[u8]) -> Option<&[u8]> {
    let inside = text.trim_ascii_start().strip_prefix(b"/*")?;
    let end = memchr::memmem::find(&inside[..inside.len().min(LONGEST + 2)], b"*/")?;
    Some(&inside[..end]).filter(|inside| memchr::memmem::find(inside, b"/*").is_none())
}

/// `name='value',...`; a quote in a value has a backslash before it. `None`: it is something else.
fn read(comment: &[u8]) -> Option<Tags> {
    let mut rest = comment.trim_ascii();
    let mut tags = vec![];
    loop {
        let equals = memchr::memchr(b'=', rest)?;
        let name = rest[..equals].trim_ascii();
        let value = rest[equals + 1..].trim_ascii_start().strip_prefix(b"'")?;
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.%".contains(byte);
        if name.is_empty() || !name.iter().all(is_name) || tags.len() >= MOST {
            return None;
        }
        let end = (0..value.len()).find(|at| value[*at] == b'\'' && (*at == 0 || value[at - 1] != b'\\'))?;
        tags.push((decoded(name), decoded(&value[..end])));
        rest = value[end + 1..].trim_ascii();
        match rest.strip_prefix(b",") {
            Some(behind) => rest = behind.trim_ascii_start(),
            None if rest.is_empty() => return Some(Tags(tags)),
            None => return None,
        }
    }
}

fn decoded(text: &[u8]) -> String {
    let text = percent_decode(text).decode_utf8_lossy().into_owned();
    text.replace("\\'", "'")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "traceparent='00-5bd66ef5095369c7b0d1f8f4bd33716a-c532cb4098ac3dd2-01'";

    #[test]
    fn tags_are_read_at_the_end_and_at_the_front() {
        let names = ["controller", "route", "action"].map(str::to_owned);
        for text in [
            format!("select 1 /*action='show',{TRACE},route='%2Forders%2F%3Aid'*/"),
            format!("select 1 /* action='show', route='/orders/:id', {TRACE} */ ;\n"),
            format!("/*action='show',route='%2Forders%2F:id',{TRACE}*/ select 1"),
        ] {
            let tags = Tags::of(text.as_bytes());
            assert_eq!(tags.caller(&names).as_deref(), Some("route=/orders/:id,action=show"), "{text}");
            assert_eq!(tags.trace(), Some("5bd66ef5095369c7b0d1f8f4bd33716a"), "{text}");
        }
        let tags = Tags::of(b"select 1 /*name='DROP%20TABLE%20FOO',quote='it\\'s',empty=''*/");
        assert_eq!(
            (tags.get("name"), tags.get("quote"), tags.get("empty")),
            (Some("DROP TABLE FOO"), Some("it's"), Some(""))
        );
        assert_eq!(tags.caller(&names), None);
    }

    #[test]
    fn what_is_no_tag_is_none() {
        for text in [
            "select 1",
            "select '/*route=''x''*/'",
            "select 1 /* route */",
            "select 1 /*route=x*/",
            "select 1 /*route='x*/",
            "select 1 /*route='x' and more*/",
            "select 1 /* a /*route='x'*/ */",
            "/* a /*route='x'*/ */ select 1",
            "/*",
            "*/",
            "/*route='a'",
        ] {
            assert_eq!(Tags::of(text.as_bytes()), Tags::default(), "{text}");
        }
        let many =
            format!("select 1 /*{}*/", (0..100).map(|n| format!("k{n}='v'")).collect::<Vec<_>>().join(","));
        assert_eq!(Tags::of(many.as_bytes()), Tags::default());
        let long = format!("select 1 /*route='{}'*/", "x".repeat(1000));
        let caller = Tags::of(long.as_bytes()).caller(&["route".to_owned()]);
        assert_eq!(caller.map(|caller| caller.len()), Some(CALLER));
        assert_eq!(Tags::of(b"select 1 /*traceparent='00-zz-1-01'*/").trace(), None);
    }
}
