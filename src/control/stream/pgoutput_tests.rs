//! Messages as PostgreSQL 15 wrote them, cut and changed.

use super::*;

fn column(flags: u8, name: &str, type_oid: u32) -> Vec<u8> {
    [&[flags][..], name.as_bytes(), &[0], &type_oid.to_be_bytes(), &u32::MAX.to_be_bytes()].concat()
}

fn tuple(values: &[Value<'_>]) -> Vec<u8> {
    let mut out = (values.len() as u16).to_be_bytes().to_vec();
    for value in values {
        match value {
            Value::Null => out.push(b'n'),
            Value::Unchanged | Value::Unknown => out.push(b'u'),
            Value::Text(text) => {
                out.push(b't');
                out.extend((text.len() as u32).to_be_bytes());
                out.extend(*text);
            }
        }
    }
    out
}

const ROW: [Value<'static>; 3] = [Value::Text(b"7"), Value::Null, Value::Unchanged];

/// One of each kind.
fn messages() -> Vec<Vec<u8>> {
    let oid = 16_400_u32.to_be_bytes();
    let row = tuple(&ROW);
    vec![
        [&b"B"[..], &9_u64.to_be_bytes(), &[0; 8], &751_u32.to_be_bytes()].concat(),
        [&b"C\0"[..], &9_u64.to_be_bytes(), &12_u64.to_be_bytes(), &[0; 8]].concat(),
        [&b"R"[..], &oid, b"public\0t\0d", &[0, 2], &column(1, "id", 23), &column(0, "n", 25)].concat(),
        [&b"Y"[..], &oid, b"public\0mood\0"].concat(),
        [&b"O"[..], &9_u64.to_be_bytes(), b"elsewhere\0"].concat(),
        [&b"I"[..], &oid, b"N", &row].concat(),
        [&b"U"[..], &oid, b"N", &row].concat(),
        [&b"U"[..], &oid, b"K", &row, b"N", &row].concat(),
        [&b"U"[..], &oid, b"O", &row, b"N", &row].concat(),
        [&b"D"[..], &oid, b"K", &row].concat(),
        [&b"D"[..], &oid, b"O", &row].concat(),
        [&b"T"[..], &2_u32.to_be_bytes(), &[1], &oid, &7_u32.to_be_bytes()].concat(),
        [&b"M\x01"[..], &9_u64.to_be_bytes(), b"pgweir\0", &3_u32.to_be_bytes(), b"abc"].concat(),
    ]
}

#[test]
fn every_kind_is_read() {
    let messages = messages();
    let read: Vec<Message<'_>> =
        messages.iter().map(|bytes| Message::read(bytes).expect("a message")).collect();
    assert_eq!(read[0], Message::Begin { commit: Lsn(9), xid: 751 });
    assert_eq!(read[1], Message::Commit { commit: Lsn(9), end: Lsn(12) });
    let Message::Relation(relation) = read[2] else { panic!("{:?}", read[2]) };
    assert_eq!((relation.oid, relation.schema, relation.name), (16_400, &b"public"[..], &b"t"[..]));
    let columns: Vec<Column<'_>> = relation.columns().collect();
    assert_eq!(
        columns,
        [Column { key: true, name: b"id", type_oid: 23 }, Column { key: false, name: b"n", type_oid: 25 }]
    );
    let Message::Insert { relation: 16_400, new } = read[5] else { panic!("{:?}", read[5]) };
    assert_eq!(new.values().collect::<Vec<_>>(), ROW);
    assert_eq!(new.len(), 3);
    assert_eq!(read[6], Message::Update { relation: 16_400, old: Before::Nothing, new });
    assert_eq!(read[7], Message::Update { relation: 16_400, old: Before::Key(new), new });
    assert_eq!(read[8], Message::Update { relation: 16_400, old: Before::Whole(new), new });
    assert_eq!(read[9], Message::Delete { relation: 16_400, old: Before::Key(new) });
    assert_eq!(read[10], Message::Delete { relation: 16_400, old: Before::Whole(new) });
    let Message::Truncate(relations) = read[11] else { panic!("{:?}", read[11]) };
    assert_eq!(relations.iter().collect::<Vec<_>>(), [16_400, 7]);
    assert_eq!(read[12], Message::Said { transactional: true, prefix: b"pgweir", content: b"abc" });
}

#[test]
fn what_is_cut_or_longer_is_refused() {
    for message in messages() {
        for cut in 0..message.len() {
            assert!(Message::read(&message[..cut]).is_err(), "{cut} bytes of {message:?}");
        }
        let longer = [&message[..], &[0]].concat();
        assert_eq!(Message::read(&longer), Err(Malformed::Long(message[0])));
    }
}

#[test]
fn impossible_parts_are_refused() {
    let oid = 1_u32.to_be_bytes();
    let check =
        |parts: &[&[u8]], expected| assert_eq!(Message::read(&parts.concat()), Err(expected), "{parts:?}");
    check(&[b"I", &oid, b"X", &tuple(&ROW)], Malformed::Part(b'I', b'X'));
    check(&[b"U", &oid, b"X", &tuple(&ROW)], Malformed::Part(b'U', b'X'));
    check(&[b"U", &oid, b"K", &tuple(&ROW), b"K", &tuple(&ROW)], Malformed::Part(b'U', b'K'));
    check(&[b"D", &oid, b"N", &tuple(&ROW)], Malformed::Part(b'D', b'N'));
    check(&[b"I", &oid, b"N", &[0, 1, b'b', 0, 0, 0, 0]], Malformed::Part(b'I', b'b'));
    check(&[b"I", &oid, b"N", &1665_u16.to_be_bytes()], Malformed::Columns(b'I', 1665));
    check(&[b"I", &oid, b"N", &[0, 1, b't', 255, 255, 255, 255]], Malformed::Short(b'I'));
    check(&[b"T", &[255; 4], &[0]], Malformed::Short(b'T'));
    check(&[b"S", &oid, b"\x01"], Malformed::Unknown(b'S'));
    check(&[b""], Malformed::Short(0));
}
