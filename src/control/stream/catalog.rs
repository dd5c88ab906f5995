//! Reading from the catalog what relations are.

use super::table::{Column, Identity, Refusal, Table};
use crate::pool::ask::{Row, literal};

/// See the file.
const RELATIONS: &str = include_str!("sql/relations.sql");

/// A relation as the catalog has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// It is in the publication.
    pub(super) published: bool,
    /// What it is, if its changes can be followed. Descendants are not looked at.
    pub(super) table: Result<Table, Refusal>,
    /// Its number.
    pub(super) oid: u32,
}

/// The question for these relations.
pub(super) fn question(oids: &[u32], publication: &str) -> String {
    let list: Vec<String> = oids.iter().map(u32::to_string).collect();
    let list = if list.is_empty() { "0".to_owned() } else { list.join(", ") };
    RELATIONS.replace("{oids}", &list).replace("{publication}", &literal(publication))
}

/// A row of the answer; `None` where it cannot be read.
pub(super) fn found(row: &Row) -> Option<Found> {
    let text = |at: usize| row.get(at).and_then(Option::as_deref);
    let oid = text(0)?.parse().ok()?;
    let (kind, persistence, identity) = (text(3)?, text(4)?, text(5)?);
    let (system, published) = (text(6)? == "t", text(7)? == "t");
    let mut table = Table {
        oid,
        schema: text(1)?.to_owned(),
        name: text(2)?.to_owned(),
        columns: columns(text(12).unwrap_or_default())?,
        identity: Identity::None,
        primary: numbers(text(9))?,
        ancestors: numbers(text(10))?,
        descendants: numbers(text(11))?,
        partitioned: kind == "p",
    };
    let key = numbers(text(8))?;
    let is_generated = |number: &i16| table.column(*number).is_none_or(|column| !column.streamed);
    let refusal = match (kind, identity) {
        ("r" | "p", _) if system => Some(Refusal::System),
        ("r" | "p", _) if persistence != "p" => Some(Refusal::Unlogged),
        ("p", _) => None,
        ("r", "f") if table.columns.iter().any(|column| !column.streamed) => Some(Refusal::GeneratedIdentity),
        ("r", "f") => None,
        ("r", _) if key.is_empty() => Some(Refusal::NoIdentity),
        ("r", _) if key.iter().any(is_generated) => Some(Refusal::GeneratedIdentity),
        ("r", _) => None,
        _ => Some(Refusal::NotATable),
    };
    table.identity = match (kind, identity) {
        ("p", _) => Identity::None,
        (_, "f") => Identity::Full,
        _ => Identity::Key(key),
    };
    Some(Found { published, table: refusal.map_or(Ok(table), Err), oid })
}

fn numbers<T: std::str::FromStr>(list: Option<&str>) -> Option<Vec<T>> {
    list.unwrap_or_default().split_ascii_whitespace().map(|number| number.parse().ok()).collect()
}

fn columns(list: &str) -> Option<Vec<Column>> {
    list.split_ascii_whitespace().map(column).collect()
}

fn column(text: &str) -> Option<Column> {
    let mut parts = text.split(':');
    let (number, type_oid, flags, name) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let [not_null, deterministic, generated] = flags.as_bytes() else { return None };
    Some(Column {
        number: number.parse().ok()?,
        name: from_hex(name)?,
        type_oid: type_oid.parse().ok()?,
        not_null: *not_null == b'1',
        deterministic: *deterministic == b'1',
        streamed: *generated == b'0',
    })
}

fn from_hex(text: &str) -> Option<String> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
    let pairs = text.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    });
    String::from_utf8(pairs.collect::<Option<_>>()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ordinary table of two columns with the primary key `id`; these of its fields are others.
    fn row(changes: &[(usize, Option<&str>)]) -> Row {
        let columns = "1:23:110:6964 2:25:010:6e20c3a9";
        let mut row = [
            Some("16400"),
            Some("public"),
            Some("t"),
            Some("r"),
            Some("p"),
            Some("d"),
            Some("f"),
            Some("f"),
            Some("1"),
            Some("1"),
            None,
            None,
            Some(columns),
        ];
        changes.iter().for_each(|(at, value)| row[*at] = *value);
        row.iter().map(|value| value.map(str::to_owned)).collect()
    }

    #[test]
    fn a_table_is_read() {
        let found = found(&row(&[(7, Some("t")), (10, Some("16390 16380"))])).expect("it can be read");
        assert!(found.published);
        let table = found.table.expect("it can be followed");
        let column = |number, name: &str, type_oid, not_null| {
            let name = name.to_owned();
            Column { number, name, type_oid, not_null, deterministic: true, streamed: true }
        };
        assert_eq!(table.columns, [column(1, "id", 23, true), column(2, "n é", 25, false)]);
        assert_eq!(table.identity, Identity::Key(vec![1]));
        assert_eq!(table.ancestors, [16390, 16380]);
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        let check = |changes: &[(usize, Option<&str>)], expected: &str| {
            let found = found(&row(changes)).expect("it can be read");
            let name = found.table.as_ref().err().map_or("", Refusal::name);
            assert_eq!(name, expected, "{changes:?}");
        };
        check(&[], "");
        check(&[(8, None)], "no_replica_identity");
        check(&[(5, Some("n")), (8, None)], "no_replica_identity");
        check(&[(5, Some("f")), (8, None)], "");
        check(&[(5, Some("f")), (12, Some("1:23:111:61"))], "generated_replica_identity");
        check(&[(12, Some("1:23:111:61"))], "generated_replica_identity");
        check(&[(3, Some("v"))], "not_a_table");
        check(&[(3, Some("m"))], "not_a_table");
        check(&[(3, Some("f"))], "not_a_table");
        check(&[(4, Some("u"))], "unlogged");
        check(&[(6, Some("t"))], "system_table");
        check(&[(3, Some("p")), (8, None)], "");
    }

    #[test]
    fn what_is_no_answer_is_not_read() {
        for changes in
            [(0, Some("x")), (1, None), (8, Some("a")), (12, Some("1:23:11:61")), (12, Some("1:23:110:6"))]
        {
            assert_eq!(found(&row(&[changes])), None, "{changes:?}");
        }
        assert_eq!(found(&vec![]), None);
    }
}
