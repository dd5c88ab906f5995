//! Messages: where they end does not depend on how the bytes arrive, and what is written is read again.

use pgweir::wire::frame::{self, Frame, HEADER, MAX_LENGTH, TxStatus};
use pgweir::wire::{BadFrame, Fault, emit};

/// The first byte says how the others are cut.
pub fn run(data: &[u8]) {
    let mut data = data;
    let step = usize::from(super::byte(&mut data) % 16) + 1;
    let whole = heads(data.chunks(data.len().max(1)));
    assert_eq!(heads(data.chunks(step)), whole, "pieces of {step} bytes give other messages");
    let middle = step * data.len() / 16;
    let (left, right) = data.split_at(middle.min(data.len()));
    assert_eq!(heads([left, right].into_iter()), whole, "a cut at {middle} gives other messages");
    let mut rest = data;
    while let Ok(Some(frame)) = Frame::peek(rest)
        && let Some((message, after)) = rest.split_at_checked(frame.total)
    {
        check_message(frame, message);
        rest = after;
    }
}

/// What is known of the messages in a stream that arrives in pieces, and of the one that never ends.
fn heads<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Frame>, Result<Option<Frame>, BadFrame>) {
    let (mut seen, mut kept) = (vec![], vec![]);
    for piece in pieces {
        kept.extend_from_slice(piece);
        while let Ok(Some(frame)) = Frame::peek(&kept)
            && frame.total <= kept.len()
        {
            seen.push(frame);
            kept.drain(..frame.total);
        }
    }
    (seen, Frame::peek(&kept))
}

fn check_message(frame: Frame, message: &[u8]) {
    assert!((HEADER..=MAX_LENGTH + 1).contains(&frame.total));
    let body = &message[HEADER..];
    let mut again = vec![];
    emit::frame(&mut again, frame.tag, |out| out.extend_from_slice(body));
    assert_eq!(again, message, "a message is written as it was read");
    check_error(body);
    check_strings(body);
    check_status(body);
}

/// The body as that of an ErrorResponse.
fn check_error(body: &[u8]) {
    for (code, value) in frame::fields(body) {
        assert!(code != 0 && !value.contains(&0) && value.len() + 2 <= body.len());
    }
    assert!(!frame::sqlstate(body).contains(&0));
    let fault = Fault::from_body(body);
    let bytes = fault.frame();
    let Ok(Some(head)) = Frame::peek(&bytes) else { panic!("an error without a head") };
    assert_eq!(head.total, bytes.len());
    assert_eq!(bytes.last(), Some(&0));
    assert_eq!(Fault::from_body(&bytes[HEADER..]), fault, "an error survives the wire");
}

fn check_strings(body: &[u8]) {
    match frame::cstr(body) {
        Some((text, rest)) => {
            assert!(!text.contains(&0));
            assert_eq!(text.len() + 1 + rest.len(), body.len());
        }
        None => assert!(!body.contains(&0)),
    }
}

fn check_status(body: &[u8]) {
    let status = TxStatus::from_byte(body.first().copied().unwrap_or(0));
    assert_eq!(TxStatus::from_byte(status.byte()), status);
}
