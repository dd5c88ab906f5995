//! Streams of every message of either side, cut at every position and byte by byte: the same messages come out.

use super::{Frame, HEADER, back, cstr, front};
use crate::wire::{emit, startup};

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![];
    emit::frame(&mut out, tag, |out| out.extend_from_slice(body));
    out
}

/// Every message that a client sends behind its first packet.
fn client_stream() -> Vec<u8> {
    let messages: [(u8, &[u8]); 15] = [
        (front::PASSWORD, b"secret\0"),
        (front::QUERY, b"select 'Q\0\0\0\x04'\0"),
        (front::QUERY, b"\0"),
        (front::PARSE, b"s\0select $1\0\0\x01\0\0\0\x17"),
        (front::BIND, b"p\0s\0\0\0\0\x01\0\0\0\x0241\0\0"),
        (front::DESCRIBE, b"Ss\0"),
        (front::EXECUTE, b"p\0\0\0\0\x01"),
        (front::CLOSE, b"Pp\0"),
        (front::FLUSH, b""),
        (front::SYNC, b""),
        (front::FUNCTION_CALL, b"\0\0\0\xb1\0\0\0\0\0\0"),
        (front::COPY_DATA, b"1\tone\n"),
        (front::COPY_DONE, b""),
        (front::COPY_FAIL, b"no\0"),
        (front::TERMINATE, b""),
    ];
    messages.iter().flat_map(|(tag, body)| message(*tag, body)).collect()
}

/// Every message that a server sends.
fn server_stream() -> Vec<u8> {
    let messages: [(u8, &[u8]); 24] = [
        (back::AUTHENTICATION, b"\0\0\0\0"),
        (back::BACKEND_KEY_DATA, b"\0\0\0\x01abcd"),
        (back::BIND_COMPLETE, b""),
        (back::CLOSE_COMPLETE, b""),
        (back::COMMAND_COMPLETE, b"SELECT 1\0"),
        (back::COPY_BOTH_RESPONSE, b"\0\0\0"),
        (back::COPY_DATA, b"Z\0\0\0\x05I"),
        (back::COPY_DONE, b""),
        (back::COPY_IN_RESPONSE, b"\0\0\x01\0\0"),
        (back::COPY_OUT_RESPONSE, b"\0\0\x01\0\0"),
        (back::DATA_ROW, b"\0\x01\0\0\0\x011"),
        (back::EMPTY_QUERY_RESPONSE, b""),
        (back::ERROR_RESPONSE, b"SERROR\0C42601\0Mx\0\0"),
        (back::FUNCTION_CALL_RESPONSE, b"\xff\xff\xff\xff"),
        (back::NEGOTIATE_PROTOCOL_VERSION, b"\0\x03\0\x02\0\0\0\0"),
        (back::NO_DATA, b""),
        (back::NOTICE_RESPONSE, b"SNOTICE\0C00000\0Mx\0\0"),
        (back::NOTIFICATION_RESPONSE, b"\0\0\0\x01channel\0payload\0"),
        (back::PARAMETER_DESCRIPTION, b"\0\x01\0\0\0\x17"),
        (back::PARAMETER_STATUS, b"TimeZone\0UTC\0"),
        (back::PARSE_COMPLETE, b""),
        (back::PORTAL_SUSPENDED, b""),
        (back::ROW_DESCRIPTION, b"\0\0"),
        (back::READY_FOR_QUERY, b"I"),
    ];
    messages.iter().flat_map(|(tag, body)| message(*tag, body)).collect()
}

/// What a reader that keeps what is not whole finds: types and bodies.
fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<(u8, Vec<u8>)> {
    let (mut kept, mut found) = (vec![], vec![]);
    for piece in pieces {
        kept.extend_from_slice(piece);
        while let Some(frame) = Frame::peek(&kept).expect("every length is possible") {
            let Some(whole) = kept.get(..frame.total) else { break };
            found.push((frame.tag, whole[HEADER..].to_vec()));
            kept.drain(..frame.total);
        }
    }
    assert!(kept.is_empty(), "the stream ends with a whole message");
    found
}

#[test]
fn messages_do_not_depend_on_how_they_arrive() {
    for (stream, count) in [(client_stream(), 15), (server_stream(), 24)] {
        let whole = read([&stream[..]].into_iter());
        assert_eq!(whole.len(), count);
        for cut in 0..=stream.len() {
            let (left, right) = stream.split_at(cut);
            assert_eq!(read([left, right].into_iter()), whole, "cut at {cut}");
        }
        assert_eq!(read(stream.chunks(1)), whole, "byte by byte");
    }
}

#[test]
fn a_head_that_is_not_whole_says_nothing_and_one_that_is_says_all() {
    let stream = server_stream();
    let mut at = 0;
    while at < stream.len() {
        for there in 0..HEADER {
            assert_eq!(Frame::peek(&stream[at..at + there]), Ok(None));
        }
        let frame = Frame::peek(&stream[at..at + HEADER]).expect("possible").expect("whole");
        assert_eq!(Frame::peek(&stream[at..]), Ok(Some(frame)), "what follows the head changes nothing");
        at += frame.total;
    }
}

#[test]
fn first_packets_are_refused_at_every_cut_but_the_last() {
    let params = [("user", "app"), ("database", "shop"), ("options", "-c geqo=off")];
    let params = params.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let packet = startup::start_message(startup::VERSION_3_2, params);
    let body = &packet[4..];
    assert!(startup::parse(body).is_ok());
    for cut in 0..body.len() {
        assert!(startup::parse(&body[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn strings_end_at_the_first_nul_or_nowhere() {
    let text = b"name\0value\0";
    for cut in 0..=text.len() {
        let found = cstr(&text[..cut]).map(|(name, _)| name);
        assert_eq!(found, (cut > 4).then_some(&b"name"[..]), "cut at {cut}");
    }
}
