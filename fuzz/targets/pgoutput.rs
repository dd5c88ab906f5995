//! The logical replication stream: a message is all of its bytes or none, its parts lie within it, and snapshots show what they should.

use pgweir::control::stream::Value;
use pgweir::control::stream::copy::FromServer;
use pgweir::control::stream::limbo::{Snapshot, Xid};
use pgweir::control::stream::pgoutput::{Before, Message, Tuple};

/// As the body of a CopyData, as a message of the plugin, and as a snapshot.
pub fn run(data: &[u8]) {
    if let Some(FromServer::Data(message)) = FromServer::read(data) {
        assert_eq!(message.len() + 25, data.len());
        check_message(message);
    }
    check_message(data);
    if let Ok(text) = std::str::from_utf8(data) {
        check_snapshot(text);
    }
}

fn check_message(data: &[u8]) {
    let Ok(message) = Message::read(data) else { return };
    assert!(Message::read(&data[..data.len() - 1]).is_err(), "a message is whole without its last byte");
    assert!(Message::read(&[data, &[0]].concat()).is_err(), "a message is whole with a byte more");
    let within = |part: &[u8]| assert!(data.as_ptr_range().contains(&part.as_ptr()) || part.is_empty());
    match message {
        Message::Relation(relation) => {
            let names = relation.columns().map(|column| column.name).chain([relation.schema, relation.name]);
            names.for_each(|name| {
                within(name);
                assert!(!name.contains(&0));
            });
        }
        Message::Insert { new, .. } => check_row(new, data),
        Message::Update { old, new, .. } => {
            check_row(new, data);
            check_before(old, data);
        }
        Message::Delete { old, .. } => check_before(old, data),
        Message::Truncate(relations) => assert!(relations.iter().count() * 4 < data.len()),
        Message::Said { prefix, content, .. } => [prefix, content].into_iter().for_each(within),
        Message::Begin { .. } | Message::Commit { .. } | Message::Type | Message::Origin => {}
    }
}

fn check_before(before: Before<'_>, data: &[u8]) {
    match before {
        Before::Nothing => {}
        Before::Key(row) | Before::Whole(row) => check_row(row, data),
    }
}

/// All values of a row are there, and lie within the message one behind the other.
fn check_row(row: Tuple<'_>, data: &[u8]) {
    assert_eq!(row.values().count(), row.len());
    let lengths = row.values().map(|value| match value {
        Value::Text(text) => text.len() + 5,
        _ => 1,
    });
    assert!(lengths.sum::<usize>() < data.len());
}

fn check_snapshot(text: &str) {
    let Ok(snapshot) = text.parse::<Snapshot>() else { return };
    assert!(snapshot.xmin <= snapshot.xmax);
    assert!(!snapshot.shows(Xid(snapshot.xmax as u32)), "what has not begun is shown");
    if snapshot.xmin > 0 && snapshot.xmax - snapshot.xmin < 1 << 30 {
        assert!(snapshot.shows(Xid((snapshot.xmin - 1) as u32)), "what has ended is not shown");
    }
}
