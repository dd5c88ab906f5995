//! Messages that pgweir itself writes, appended to a buffer.

use super::frame::{TxStatus, back, front};

/// Appends a message of type `tag` whose body is written by `body`.
pub fn frame(out: &mut Vec<u8>, tag: u8, body: impl FnOnce(&mut Vec<u8>)) {
    out.push(tag);
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    body(out);
    let length = (out.len() - at) as u32;
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

/// Appends `text` and its terminating NUL.
pub fn cstr(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(text);
    out.push(0);
}

/// `ReadyForQuery`.
pub fn ready(out: &mut Vec<u8>, status: TxStatus) {
    out.extend_from_slice(&[back::READY_FOR_QUERY, 0, 0, 0, 5, status.byte()]);
}

/// `CommandComplete` with `tag`.
pub fn command_complete(out: &mut Vec<u8>, tag: &str) {
    frame(out, back::COMMAND_COMPLETE, |out| cstr(out, tag.as_bytes()));
}

/// A message without a body, such as `ParseComplete` or `Sync`.
pub fn empty(out: &mut Vec<u8>, tag: u8) {
    out.extend_from_slice(&[tag, 0, 0, 0, 4]);
}

/// `ParameterStatus`.
pub fn parameter_status(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    frame(out, back::PARAMETER_STATUS, |out| {
        cstr(out, name);
        cstr(out, value);
    });
}

/// `BackendKeyData`.
pub fn backend_key_data(out: &mut Vec<u8>, pid: i32, secret: &[u8]) {
    frame(out, back::BACKEND_KEY_DATA, |out| {
        out.extend_from_slice(&pid.to_be_bytes());
        out.extend_from_slice(secret);
    });
}

/// An `Authentication*` message: its code and what follows.
pub fn authentication(out: &mut Vec<u8>, code: u32, body: &[u8]) {
    frame(out, back::AUTHENTICATION, |out| {
        out.extend_from_slice(&code.to_be_bytes());
        out.extend_from_slice(body);
    });
}

/// `Query`.
pub fn query(out: &mut Vec<u8>, sql: &[u8]) {
    frame(out, front::QUERY, |out| cstr(out, sql));
}

/// `Parse`: `tail` is what follows the name, that is the text, its NUL and the parameter types.
pub fn parse(out: &mut Vec<u8>, name: &[u8], tail: &[u8]) {
    frame(out, front::PARSE, |out| {
        cstr(out, name);
        out.extend_from_slice(tail);
    });
}

/// `Close` or `Describe` (`tag`) of a statement (`S`) or portal (`P`).
pub fn target(out: &mut Vec<u8>, tag: u8, kind: u8, name: &[u8]) {
    frame(out, tag, |out| {
        out.push(kind);
        cstr(out, name);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_count_themselves_and_not_the_type() {
        let mut out = vec![];
        command_complete(&mut out, "SET");
        assert_eq!(out, b"C\0\0\0\x08SET\0");
        out.clear();
        parameter_status(&mut out, b"a", b"b");
        assert_eq!(out, b"S\0\0\0\x08a\0b\0");
        out.clear();
        ready(&mut out, TxStatus::Open);
        assert_eq!(out, b"Z\0\0\0\x05T");
    }
}
