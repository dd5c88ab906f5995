//! First packets: what is read is written again as it was, and what is refused is refused with a name.

use pgweir::wire::Fault;
use pgweir::wire::frame::{self, Frame};
use pgweir::wire::startup::{self, MAX_PACKET, Request, Startup, VERSION_3_0};

/// The bytes of a first packet behind its length, and the same bytes as the `options` parameter.
pub fn run(data: &[u8]) {
    if let Some(head) = data.first_chunk::<4>() {
        let announced = u32::from_be_bytes(*head) as usize;
        assert_eq!(
            startup::packet_length(*head).ok(),
            Some(announced).filter(|n| (8..=MAX_PACKET).contains(n))
        );
    }
    match startup::parse(data) {
        Ok(Request::Start(start)) => check_start(&start, data),
        Ok(Request::Cancel { pid, secret }) if !secret.is_empty() => {
            assert_eq!(startup::cancel_request(pid, &secret)[4..], *data);
        }
        Ok(Request::Cancel { pid, .. }) => assert_eq!(pid, 0, "a malformed cancel hits nobody"),
        Ok(Request::Tls) => assert_eq!(startup::ssl_request()[4..], *data),
        Ok(Request::GssEnc) => assert_eq!(data.len(), 4),
        Err(fault) => check_fault(&fault, &["08P01", "0A000"]),
    }
    check_options(data);
}

fn check_fault(fault: &Fault, states: &[&str]) {
    assert!(states.contains(&fault.sqlstate.as_str()), "{fault}");
    assert_eq!(Fault::from_body(&fault.frame()[frame::HEADER..]).sqlstate, fault.sqlstate);
}

fn check_start(start: &Startup, data: &[u8]) {
    let pairs = start.params.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
    let packet = startup::start_message(VERSION_3_0 | u32::from(start.minor), pairs);
    let length = packet.first_chunk::<4>().map(|head| u32::from_be_bytes(*head) as usize);
    assert_eq!(length, Some(packet.len()));
    if start.unknown_options.is_empty() {
        assert_eq!(packet[4..], *data, "a startup message is written as it was read");
    } else {
        assert!(start.needs_negotiation());
    }
    for (name, _) in &start.params {
        let last = start.params.iter().rfind(|(other, _)| other == name).map(|(_, value)| value.as_slice());
        if let Ok(name) = std::str::from_utf8(name) {
            assert_eq!(start.get(name), last);
        }
    }
    assert!([0, 2].contains(&start.spoken_minor()));
    let mut told = vec![];
    start.emit_negotiation(&mut told);
    let Ok(Some(head)) = Frame::peek(&told) else { panic!("no head") };
    assert_eq!(head.total, told.len());
}

/// Options that are understood mean the same when each of their bytes is escaped.
fn check_options(data: &[u8]) {
    let settings = match startup::split_options(data) {
        Ok(settings) => settings,
        Err(fault) => return check_fault(&fault, &["42601"]),
    };
    let mut written = vec![];
    for (name, value) in &settings {
        written.extend_from_slice(b" -c ");
        let bytes = name.iter().chain(b"=").chain(value);
        bytes.for_each(|byte| written.extend_from_slice(&[b'\\', *byte]));
    }
    assert_eq!(startup::split_options(&written), Ok(settings));
}
