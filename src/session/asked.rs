//! A cycle that asks for one result: a Query, or one statement bound and executed to its end, with what is described of it.

use super::upstream::{body, impossible};
use crate::cache::{Described, Form};
use crate::plan::cacheable::{Parameter, Parameters};
use crate::wire::bind::Bind;
use crate::wire::frame::{self, Frame, HEADER, back, front};

/// What is asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked<'a> {
    /// Of how many bytes the cycle is.
    pub(super) length: usize,
    /// The text of a Query.
    pub(super) query: Option<&'a [u8]>,
    /// What Parse has behind the name, which is empty, if the statement is prepared in the cycle.
    pub(super) parsed: Option<&'a [u8]>,
    /// The name of the statement that is bound.
    pub(super) name: &'a [u8],
    /// What Bind has behind its names.
    pub(super) bind: &'a [u8],
    of_statement: bool,
    of_portal: bool,
    /// The statement is described behind its Bind.
    behind: bool,
    /// The portal is closed behind it.
    pub(super) closes: bool,
}

impl<'a> Asked<'a> {
    /// Reads the cycle at the front of `bytes`; `None` if it is another, or not there as a whole. What PostgreSQL would refuse of it before it looks at the
    /// statement is not taken for one.
    pub(super) fn read(frame: Frame, bytes: &'a [u8]) -> Option<Asked<'a>> {
        let nothing = Asked {
            length: 0,
            query: None,
            parsed: None,
            name: b"",
            bind: b"",
            of_statement: false,
            of_portal: false,
            behind: false,
            closes: false,
        };
        if frame.tag == front::QUERY {
            let text = bytes.get(HEADER..frame.total)?.strip_suffix(b"\0")?;
            return Some(Asked { length: frame.total, query: Some(text), ..nothing });
        }
        Asked::batch(bytes, nothing)
    }

    fn batch(bytes: &'a [u8], mut asked: Asked<'a>) -> Option<Asked<'a>> {
        let (mut at, mut bound, mut run) = (0, false, false);
        loop {
            let rest = bytes.get(at..)?;
            let frame = Frame::peek(rest).ok()??;
            let whole = rest.get(..frame.total)?;
            if impossible(frame).is_some() {
                return None;
            }
            at += frame.total;
            let said = body(whole);
            match frame.tag {
                front::PARSE if asked.parsed.is_none() && !bound && !asked.of_statement => {
                    asked.parsed = Some(said.strip_prefix(b"\0")?);
                }
                front::BIND if !bound => {
                    let (name, values) = frame::cstr(said.strip_prefix(b"\0")?)?;
                    if (asked.parsed.is_some() || asked.of_statement) && name != asked.name {
                        return None;
                    }
                    (asked.name, asked.bind, bound) = (name, values, true);
                }
                front::DESCRIBE if !run => {
                    let (kind, name) = said.split_first()?;
                    let name = name.strip_suffix(b"\0").filter(|name| !name.contains(&0))?;
                    match kind {
                        b'S' if !bound
                            && !asked.of_statement
                            && (asked.parsed.is_none() || name.is_empty()) =>
                        {
                            (asked.name, asked.of_statement) = (name, true);
                        }
                        b'S' if bound && !asked.of_statement && !asked.of_portal && name == asked.name => {
                            (asked.of_statement, asked.behind) = (true, true);
                        }
                        b'P' if bound && name.is_empty() && !asked.of_portal && !asked.behind => {
                            asked.of_portal = true;
                        }
                        _ => return None,
                    }
                }
                // Into the unnamed portal, and without a limit.
                front::EXECUTE if bound && !run && said == [0; 5] => run = true,
                front::CLOSE if run && !asked.closes && said == b"P\0" => asked.closes = true,
                front::SYNC if run && said.is_empty() => {
                    asked.length = at;
                    return Some(asked);
                }
                _ => return None,
            }
        }
    }

    /// Which messages are wanted.
    pub(super) fn form(&self) -> Form {
        if self.query.is_some() {
            return Form::Simple;
        }
        Form::Extended(match (self.of_statement, self.of_portal) {
            (false, false) => Described::Nothing,
            (true, false) => Described::Statement,
            (false, true) => Described::Portal,
            (true, true) => Described::Both,
        })
    }

    /// The parameters, with the types that Parse declares; `None` if they are not what a Bind has.
    pub(super) fn parameters(&self, types: &[u8]) -> Option<Parameters<'a>> {
        if self.query.is_some() {
            Some(Parameters::new())
        } else {
            parameters(&Bind::read(self.bind)?, types)
        }
    }

    /// The formats of the result that are wanted: none for text, one for all columns, or one for each. `None`: as above.
    pub(super) fn formats(&self) -> Option<Vec<u16>> {
        if self.query.is_some() { Some(vec![]) } else { Some(Bind::read(self.bind)?.results().collect()) }
    }

    /// How much of an answer is the description of the statement, as far as it comes before BindComplete.
    pub(super) fn length_of_description(&self, answer: &[u8]) -> usize {
        if !self.of_statement || self.behind {
            return 0;
        }
        let mut at = 0;
        for _ in 0..2 {
            at += Frame::peek(&answer[at..]).ok().flatten().map_or(0, |frame| frame.total);
        }
        at.min(answer.len())
    }

    /// What an answer tells of its statement: types of its parameters, if they are told, and RowDescription.
    pub(super) fn described<'b>(&self, answer: &'b [u8]) -> Option<(Box<[u8]>, &'b [u8])> {
        if !self.of_statement && !self.of_portal || self.query.is_some() {
            return None;
        }
        let first = message(answer)?;
        if first[0] != back::PARAMETER_DESCRIPTION {
            return Some((Box::default(), first));
        }
        Some((first[HEADER..].into(), message(&answer[first.len()..])?))
    }
}

/// The parameters of a Bind, with the types that Parse declares; `None`: it has not as many formats as it must.
pub(super) fn parameters<'a>(bind: &Bind<'a>, types: &[u8]) -> Option<Parameters<'a>> {
    let declared = types.get(2..).unwrap_or_default().as_chunks::<4>().0;
    let oid = |at: usize| declared.get(at).map_or(0, |oid| u32::from_be_bytes(*oid));
    let all = bind.parameters().enumerate();
    bind.fits().then(|| all.map(|(at, (binary, value))| Parameter { oid: oid(at), binary, value }).collect())
}

fn message(bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(..Frame::peek(bytes).ok()??.total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::emit;

    const PARSE: (u8, &[u8]) = (b'P', b"\0select $1\0\0\x01\0\0\0\x17");
    const BIND: (u8, &[u8]) = (b'B', b"\0\0\0\x01\0\x01\0\x02\0\0\0\x01x\xff\xff\xff\xff\0\0");
    const NAMED: (u8, &[u8]) = (b'B', b"\0s\0\0\0\0\0\0\0");
    const PORTAL: (u8, &[u8]) = (b'D', b"P\0");
    const CLOSE: (u8, &[u8]) = (b'C', b"P\0");
    const EXECUTE: (u8, &[u8]) = (b'E', b"\0\0\0\0\0");
    const SYNC: (u8, &[u8]) = (b'S', b"");

    fn bytes(messages: &[(u8, &[u8])]) -> Vec<u8> {
        let mut out = vec![];
        for (tag, body) in messages {
            emit::frame(&mut out, *tag, |out| out.extend_from_slice(body));
        }
        out
    }

    /// The form of a batch, and the name of its statement. Cut anywhere, it is none; what stands behind it does not matter.
    fn form(messages: &[(u8, &[u8])]) -> Option<(Form, Vec<u8>)> {
        let whole = bytes(messages);
        let frame = Frame::peek(&whole).expect("a message").expect("a whole one");
        for cut in 0..whole.len() {
            assert_eq!(Asked::read(frame, &whole[..cut]), None, "{cut} of {}", whole.len());
        }
        let more = [&whole[..], b"Q\0\0"].concat();
        let asked = Asked::read(frame, &more)?;
        assert_eq!(asked.length, whole.len());
        Some((asked.form(), asked.name.to_vec()))
    }

    #[test]
    fn one_statement_to_its_end() {
        let extended = |described, name: &[u8]| Some((Form::Extended(described), name.to_vec()));
        let (unnamed, named) = ((b'D', &b"S\0"[..]), (b'D', &b"Ss\0"[..]));
        assert_eq!(form(&[PARSE, BIND, EXECUTE, SYNC]), extended(Described::Nothing, b""));
        assert_eq!(form(&[PARSE, BIND, PORTAL, EXECUTE, SYNC]), extended(Described::Portal, b""));
        assert_eq!(form(&[PARSE, unnamed, BIND, EXECUTE, SYNC]), extended(Described::Statement, b""));
        assert_eq!(form(&[named, NAMED, PORTAL, EXECUTE, SYNC]), extended(Described::Both, b"s"));
        assert_eq!(form(&[NAMED, EXECUTE, SYNC]), extended(Described::Nothing, b"s"));
        assert_eq!(form(&[PARSE, BIND, unnamed, EXECUTE, SYNC]), extended(Described::Statement, b""));
        assert_eq!(form(&[NAMED, EXECUTE, CLOSE, SYNC]), extended(Described::Nothing, b"s"));
        assert_eq!(form(&[(b'Q', b"select 1\0")]), Some((Form::Simple, vec![])));
    }

    #[test]
    fn others_are_not_read() {
        let limited = (b'E', &b"\0\0\0\0\x01"[..]);
        let into_portal = (b'B', &b"p\0\0\0\0\0\0\0\0"[..]);
        let parse_named = (b'P', &b"s\0select 1\0\0\0"[..]);
        for other in [
            &[PARSE, BIND, SYNC][..],
            &[PARSE, BIND, limited, SYNC],
            &[PARSE, into_portal, EXECUTE, SYNC],
            &[parse_named, NAMED, EXECUTE, SYNC],
            &[PARSE, NAMED, EXECUTE, SYNC],
            &[BIND, EXECUTE, BIND, EXECUTE, SYNC],
            &[BIND, EXECUTE, EXECUTE, SYNC],
            &[BIND, EXECUTE, PORTAL, SYNC],
            &[BIND, EXECUTE, (b'H', b""), SYNC],
            &[(b'D', b"St\0"), NAMED, EXECUTE, SYNC],
            &[BIND, EXECUTE, (b'S', b"x")],
            &[NAMED, (b'D', b"S\0"), EXECUTE, SYNC],
            &[PARSE, BIND, (b'D', b"S\0"), PORTAL, EXECUTE, SYNC],
            &[PARSE, BIND, PORTAL, (b'D', b"S\0"), EXECUTE, SYNC],
            &[BIND, CLOSE, EXECUTE, SYNC],
            &[BIND, EXECUTE, CLOSE, CLOSE, SYNC],
            &[BIND, EXECUTE, CLOSE, EXECUTE, SYNC],
            &[BIND, EXECUTE, (b'C', b"S\0"), SYNC],
            &[BIND, EXECUTE, (b'C', b"Pp\0"), SYNC],
        ] {
            assert_eq!(form(other), None, "{other:?}");
        }
    }

    #[test]
    fn parameters_have_their_types() {
        let whole = bytes(&[PARSE, BIND, EXECUTE, SYNC]);
        let frame = Frame::peek(&whole).expect("a message").expect("a whole one");
        let asked = Asked::read(frame, &whole).expect("it asks for one result");
        let parameters = asked.parameters(b"\0\x01\0\0\0\x17").expect("well formed");
        let [one, two] = parameters.as_slice() else { panic!("{parameters:?}") };
        assert_eq!(*one, Parameter { oid: 23, binary: true, value: Some(b"x") });
        assert_eq!(*two, Parameter { oid: 0, binary: true, value: None });
        assert_eq!(asked.formats(), Some(vec![]));
        let cut = Asked { bind: &asked.bind[..asked.bind.len() - 1], ..asked };
        assert_eq!(cut.parameters(b"\0\0"), None);
        assert_eq!(cut.formats(), None);
    }

    #[test]
    fn what_is_described_comes_before_what_is_bound() {
        let messages = |all: &[(u8, &[u8])]| bytes(all);
        let answer = messages(&[(b't', b"\0\0"), (b'T', b"\0\0"), (b'D', b"\0\0"), (b'C', b"SELECT 1\0")]);
        let whole = bytes(&[PARSE, (b'D', b"S\0"), BIND, EXECUTE, SYNC]);
        let frame = Frame::peek(&whole).expect("a message").expect("a whole one");
        let asked = Asked::read(frame, &whole).expect("it asks for one result");
        assert_eq!(asked.length_of_description(&answer), 14);
        assert_eq!(asked.described(&answer), Some((b"\0\0"[..].into(), &answer[7..14])));
        let whole = bytes(&[PARSE, BIND, (b'D', b"S\0"), EXECUTE, SYNC]);
        let behind = Asked::read(Frame::peek(&whole).expect("a message").expect("whole"), &whole);
        let behind = behind.expect("it asks for one result");
        assert_eq!(behind.length_of_description(&answer), 0);
        assert_eq!(behind.described(&answer), asked.described(&answer));
        let plain = Asked { of_statement: false, ..asked };
        assert_eq!(plain.length_of_description(&answer), 0);
        assert_eq!(plain.described(&answer), None);
    }
}
