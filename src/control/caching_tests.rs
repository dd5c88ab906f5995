//! Which tags a change of a row touches.

use super::super::stream::pgoutput::Message;
use super::super::stream::table::Column;
use super::super::stream::{Kind, Row};
use super::*;
use crate::cache::Shape;

/// Columns: the key, a tenant, a state.
const COLUMNS: [i16; 3] = [1, 2, 3];
const TABLE: Relation = Relation { database: 0, oid: 16_400 };

fn table(identity: Identity) -> Arc<Table> {
    let column = |(number, name): (i16, &str)| Column {
        number,
        name: name.to_owned(),
        type_oid: 25,
        not_null: number == 1,
        deterministic: true,
        streamed: true,
    };
    Arc::new(Table {
        oid: TABLE.oid,
        schema: "public".to_owned(),
        name: "lines".to_owned(),
        columns: [(1, "id"), (2, "tenant"), (3, "state")].map(column).into(),
        identity,
        primary: vec![1],
        ancestors: vec![9],
        descendants: vec![],
        partitioned: false,
    })
}

/// A row as the stream has it: `-` NULL, `~` unchanged.
fn insert(values: [&str; 3]) -> Vec<u8> {
    let mut bytes = [&b"I"[..], &TABLE.oid.to_be_bytes(), b"N", &3_u16.to_be_bytes()].concat();
    for value in values {
        match value {
            "-" => bytes.push(b'n'),
            "~" => bytes.push(b'u'),
            text => {
                bytes.push(b't');
                bytes.extend((text.len() as u32).to_be_bytes());
                bytes.extend(text.as_bytes());
            }
        }
    }
    bytes
}

/// What is known of the row before.
#[derive(Clone, Copy)]
enum Before {
    Nothing,
    Whole([&'static str; 3]),
    Key([&'static str; 3]),
    KeyUnchanged,
}

/// The tags of one shape for a change, shown: `S`, `N`, or values.
fn touched(columns: &[i16], before: Before, new: Option<[&str; 3]>, stays: &[i16]) -> Vec<String> {
    let identity = if matches!(before, Before::Whole(_)) { Identity::Full } else { Identity::Key(vec![1]) };
    let table = table(identity);
    let empty = insert(["-", "-", "-"]);
    let old_bytes = match before {
        Before::Whole(row) | Before::Key(row) => insert(row),
        _ => empty.clone(),
    };
    let new_bytes = new.map_or(empty, insert);
    let tuple = |bytes| match Message::read(bytes) {
        Ok(Message::Insert { new, .. }) => new,
        other => panic!("{other:?}"),
    };
    let only = matches!(before, Before::Key(_)).then_some(&[1][..]);
    let (old_row, new_row) =
        (Row::new(tuple(&old_bytes), &COLUMNS, only), Row::new(tuple(&new_bytes), &COLUMNS, None));
    let old = match before {
        Before::Nothing => Old::Absent,
        Before::Whole(_) => Old::Whole(&old_row),
        Before::Key(_) => Old::Key(&old_row),
        Before::KeyUnchanged => Old::KeyUnchanged,
    };
    let change = Change { table: &table, kind: Kind::Update, new: new.map(|_| &new_row), old };
    let mut tags = vec![];
    rows(&mut tags, &Tagged::new(TABLE, Shape::new(columns)), &change, stays);
    let shape = Tag::shape(TABLE, columns);
    let mut known = vec![("S".to_owned(), shape), ("N".to_owned(), Tag::shape_by_rows(TABLE, columns))];
    for one in ["1", "2", "a", "b", "x", "y"] {
        known.push((one.to_owned(), Tag::values(shape, [one.as_bytes()])));
        let pairs = ["1", "2", "a", "b", "x", "y"]
            .map(|other| (format!("{one},{other}"), Tag::values(shape, [one.as_bytes(), other.as_bytes()])));
        known.extend(pairs);
    }
    let name = |tag: &Tag| known.iter().find(|known| known.1 == *tag).expect("a known tag").0.clone();
    let mut shown: Vec<String> = tags.iter().map(name).collect();
    shown.sort();
    shown.dedup();
    shown
}

#[test]
fn a_change_touches_what_had_and_what_has_its_values() {
    use Before::{Key, KeyUnchanged, Nothing, Whole};
    let check =
        |columns: &[i16], before: Before, new: Option<[&str; 3]>, stays: &[i16], expected: &[&str]| {
            assert_eq!(touched(columns, before, new, stays), expected, "{columns:?} {new:?} {stays:?}");
        };
    let row = Some(["1", "a", "x"]);
    check(&[2], Nothing, row, &[], &["a"]);
    check(&[2], Nothing, Some(["1", "-", "x"]), &[], &[]);
    // An UPDATE of which only the key is known before.
    check(&[1], KeyUnchanged, row, &[], &["1"]);
    check(&[2], KeyUnchanged, row, &[], &["S", "a"]);
    check(&[1, 2], KeyUnchanged, row, &[], &["1,a", "S"]);
    check(&[2], KeyUnchanged, Some(["1", "~", "x"]), &[], &["N", "S"]);
    // The column never changes.
    check(&[2], KeyUnchanged, row, &[2], &["a"]);
    check(&[2, 3], KeyUnchanged, row, &[2], &["S", "a,x"]);
    check(&[1, 2], KeyUnchanged, row, &[2], &["1,a"]);
    check(&[2], KeyUnchanged, Some(["1", "~", "x"]), &[2], &["N", "S"]);
    // The key changes.
    check(&[1], Key(["2", "-", "-"]), row, &[], &["1", "2"]);
    check(&[2], Key(["2", "-", "-"]), row, &[], &["S", "a"]);
    check(&[2], Key(["2", "-", "-"]), row, &[2], &["a"]);
    check(&[1, 2], Key(["2", "-", "-"]), row, &[2], &["1,a", "2,a"]);
    // DELETE.
    check(&[1], Key(["2", "-", "-"]), None, &[2], &["2"]);
    check(&[2], Key(["2", "-", "-"]), None, &[2], &["S"]);
    // The whole old row: what a rule says of it is not needed, and not believed.
    check(&[2], Whole(["1", "b", "x"]), row, &[2], &["a", "b"]);
    check(&[2], Whole(["1", "b", "x"]), Some(["1", "~", "y"]), &[], &["b"]);
    check(&[3], Whole(["1", "b", "x"]), Some(["1", "~", "y"]), &[], &["x", "y"]);
    check(&[2], Whole(["1", "-", "x"]), row, &[], &["a"]);
    check(&[2], Whole(["1", "b", "x"]), None, &[], &["b"]);
}

#[test]
fn columns_that_never_change_have_numbers_in_each_table() {
    use crate::rules::{Ruleset, Source};
    let facts = |columns: &str| {
        let text =
            format!("[[rule]]\nname = \"r\"\nthen.cache = {{ immutable_columns = {{ {columns} }} }}\n");
        let rules = Ruleset::compile(&[Source { path: "a.toml".into(), text }]).expect("sound rules");
        Arc::new(TableFacts::of(&rules, "shop"))
    };
    let (mut unchanging, lines) = (Unchanging::default(), table(Identity::Key(vec![1])));
    let of = |unchanging: &mut Unchanging, columns: &str| unchanging.of(&lines, &facts(columns)).to_vec();
    assert_eq!(of(&mut unchanging, "lines = [\"state\", \"tenant\", \"nothing\"]"), [3, 2]);
    assert_eq!(of(&mut unchanging, "\"other.lines\" = \"tenant\""), [0i16; 0]);
    assert_eq!(of(&mut unchanging, "\"public.lines\" = \"tenant\""), [2]);
    // It is a partition of one that is followed.
    let said = facts("parent = \"tenant\"");
    assert_eq!(unchanging.of(&lines, &said).to_vec(), [0i16; 0]);
    unchanging.know(&Table { oid: 9, name: "parent".to_owned(), ..(*lines).clone() });
    assert_eq!(unchanging.of(&lines, &said).to_vec(), [2]);
    assert!(!unchanging.is_told(7));
    unchanging.told(7);
    assert!(unchanging.is_told(7));
}

#[test]
fn a_column_that_changes_all_the_same_is_noticed_where_the_old_row_is_known() {
    let told = |old: [&str; 3], new: [&str; 3], stays: &[i16]| {
        let (table, old, new) = (table(Identity::Full), insert(old), insert(new));
        let tuple = |bytes| match Message::read(bytes) {
            Ok(Message::Insert { new, .. }) => new,
            other => panic!("{other:?}"),
        };
        let (old, new) = (Row::new(tuple(&old), &COLUMNS, None), Row::new(tuple(&new), &COLUMNS, None));
        let change = Change { table: &table, kind: Kind::Update, new: Some(&new), old: Old::Whole(&old) };
        warn_if_changed(&change, stays)
    };
    assert!(told(["1", "a", "x"], ["1", "b", "x"], &[2]));
    assert!(told(["1", "a", "x"], ["1", "-", "x"], &[2]));
    assert!(!told(["1", "a", "x"], ["1", "b", "x"], &[3]));
    assert!(!told(["1", "a", "x"], ["1", "~", "x"], &[2]));
}
