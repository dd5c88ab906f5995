//! Types of PostgreSQL's own functions, operators and casts, as far as indexes on expressions and their printing need them
//! (`pg_proc`, `pg_operator` and `pg_cast` of PostgreSQL 15).
//!
//! What is not listed has no type here, and no index is proposed on it: that is the safe side.

pub(super) const TEXT: &str = "text";
pub(super) const INTEGER: &str = "integer";
pub(super) const BIGINT: &str = "bigint";
pub(super) const NUMERIC: &str = "numeric";
pub(super) const BOOLEAN: &str = "boolean";
pub(super) const TIMESTAMP: &str = "timestamp without time zone";
pub(super) const TIMESTAMPTZ: &str = "timestamp with time zone";
pub(super) const DOUBLE: &str = "double precision";
const DATE: &str = "date";
const INTERVAL: &str = "interval";

/// A function: its name, the types of its arguments, that of its result, and whether it is immutable.
type Function = (&'static str, &'static [&'static str], &'static str, bool);

const FUNCTIONS: &[Function] = &[
    ("lower", &[TEXT], TEXT, true),
    ("upper", &[TEXT], TEXT, true),
    ("initcap", &[TEXT], TEXT, true),
    ("reverse", &[TEXT], TEXT, true),
    ("btrim", &[TEXT], TEXT, true),
    ("btrim", &[TEXT, TEXT], TEXT, true),
    ("ltrim", &[TEXT], TEXT, true),
    ("ltrim", &[TEXT, TEXT], TEXT, true),
    ("rtrim", &[TEXT], TEXT, true),
    ("rtrim", &[TEXT, TEXT], TEXT, true),
    ("md5", &[TEXT], TEXT, true),
    ("length", &[TEXT], INTEGER, true),
    ("char_length", &[TEXT], INTEGER, true),
    ("left", &[TEXT, INTEGER], TEXT, true),
    ("right", &[TEXT, INTEGER], TEXT, true),
    ("substr", &[TEXT, INTEGER], TEXT, true),
    ("substr", &[TEXT, INTEGER, INTEGER], TEXT, true),
    ("substring", &[TEXT, INTEGER], TEXT, true),
    ("substring", &[TEXT, INTEGER, INTEGER], TEXT, true),
    ("replace", &[TEXT, TEXT, TEXT], TEXT, true),
    ("translate", &[TEXT, TEXT, TEXT], TEXT, true),
    ("split_part", &[TEXT, TEXT, INTEGER], TEXT, true),
    ("strpos", &[TEXT, TEXT], INTEGER, true),
    ("abs", &[INTEGER], INTEGER, true),
    ("abs", &[BIGINT], BIGINT, true),
    ("abs", &[NUMERIC], NUMERIC, true),
    ("abs", &[DOUBLE], DOUBLE, true),
    ("round", &[NUMERIC], NUMERIC, true),
    ("round", &[NUMERIC, INTEGER], NUMERIC, true),
    ("round", &[DOUBLE], DOUBLE, true),
    ("floor", &[NUMERIC], NUMERIC, true),
    ("floor", &[DOUBLE], DOUBLE, true),
    ("ceil", &[NUMERIC], NUMERIC, true),
    ("ceil", &[DOUBLE], DOUBLE, true),
    ("mod", &[INTEGER, INTEGER], INTEGER, true),
    ("mod", &[BIGINT, BIGINT], BIGINT, true),
    ("date_trunc", &[TEXT, TIMESTAMP], TIMESTAMP, true),
    ("date_trunc", &[TEXT, TIMESTAMPTZ], TIMESTAMPTZ, false),
    ("date_trunc", &[TEXT, TIMESTAMPTZ, TEXT], TIMESTAMPTZ, false),
    ("date_part", &[TEXT, TIMESTAMP], DOUBLE, true),
    ("date_part", &[TEXT, DATE], DOUBLE, true),
    ("date_part", &[TEXT, TIMESTAMPTZ], DOUBLE, false),
    ("extract", &[TEXT, TIMESTAMP], NUMERIC, true),
    ("extract", &[TEXT, DATE], NUMERIC, true),
    ("extract", &[TEXT, TIMESTAMPTZ], NUMERIC, false),
    ("date", &[TIMESTAMP], DATE, true),
    ("date", &[TIMESTAMPTZ], DATE, false),
    ("to_char", &[TIMESTAMP, TEXT], TEXT, false),
    ("to_char", &[TIMESTAMPTZ, TEXT], TEXT, false),
    ("timezone", &[TEXT, TIMESTAMPTZ], TIMESTAMP, true),
    ("timezone", &[TEXT, TIMESTAMP], TIMESTAMPTZ, true),
    ("to_tsvector", &["regconfig", TEXT], "tsvector", true),
    ("to_tsvector", &["regconfig", "jsonb"], "tsvector", true),
    ("to_tsvector", &[TEXT], "tsvector", false),
    ("to_tsquery", &["regconfig", TEXT], "tsquery", true),
    ("plainto_tsquery", &["regconfig", TEXT], "tsquery", true),
    ("phraseto_tsquery", &["regconfig", TEXT], "tsquery", true),
    ("websearch_to_tsquery", &["regconfig", TEXT], "tsquery", true),
    ("to_tsquery", &[TEXT], "tsquery", false),
    ("plainto_tsquery", &[TEXT], "tsquery", false),
    ("phraseto_tsquery", &[TEXT], "tsquery", false),
    ("websearch_to_tsquery", &[TEXT], "tsquery", false),
    ("jsonb_array_length", &["jsonb"], INTEGER, true),
    ("similarity", &[TEXT, TEXT], "real", true),
    ("word_similarity", &[TEXT, TEXT], "real", true),
];

/// A function for arguments of these types, `None` for those whose type is not known: what types it takes, gives, and whether it is immutable.
pub(super) fn function(
    name: &str,
    types: &[Option<&str>],
) -> Option<(&'static [&'static str], &'static str, bool)> {
    let fits = |wanted: &&str, given: &Option<&str>| given.is_none_or(|given| takes(wanted, given));
    let by = |exact: bool| {
        FUNCTIONS.iter().find(|(known, takes, ..)| {
            let right = takes.iter().zip(types).all(|(wanted, given)| match (exact, given) {
                (true, Some(given)) => base(given) == *wanted,
                _ => fits(wanted, given),
            });
            *known == name && takes.len() == types.len() && right
        })
    };
    by(true).or_else(|| by(false)).map(|(_, takes, gives, immutable)| (*takes, *gives, *immutable))
}

/// Whether a value of a type is taken for another one without being asked.
fn takes(wanted: &str, given: &str) -> bool {
    let given = base(given);
    match wanted {
        TEXT => is_text(&given),
        BIGINT => matches!(&*given, "smallint" | INTEGER | BIGINT),
        INTEGER => matches!(&*given, "smallint" | INTEGER),
        NUMERIC => matches!(&*given, "smallint" | INTEGER | BIGINT | NUMERIC),
        DOUBLE => matches!(&*given, "smallint" | INTEGER | BIGINT | NUMERIC | "real" | DOUBLE),
        TIMESTAMPTZ => matches!(&*given, DATE | TIMESTAMP | TIMESTAMPTZ),
        TIMESTAMP => matches!(&*given, TIMESTAMP),
        _ => given == wanted,
    }
}

/// Types that are texts, some with limits.
pub(in crate::advice) fn is_text(name: &str) -> bool {
    matches!(&*base(name), TEXT | "character varying" | "character" | "citext" | "name")
}

/// Types of numbers, by how much they take in; `None` for others.
pub(super) fn number_rank(name: &str) -> Option<u8> {
    Some(match &*base(name) {
        "smallint" => 1,
        INTEGER => 2,
        BIGINT => 3,
        NUMERIC => 4,
        "real" => 5,
        DOUBLE => 6,
        _ => return None,
    })
}

/// The result of an operator on two types, and whether it is immutable.
pub(super) fn operator(name: &str, left: &str, right: &str) -> Option<(String, bool)> {
    let (left, right) = (base(left), base(right));
    let json = matches!(&*left, "jsonb" | "json");
    Some(match name {
        "->" | "#>" if json => (left, true),
        "->>" | "#>>" if json => (TEXT.to_owned(), true),
        "||" if is_text(&left) && is_text(&right) => (TEXT.to_owned(), true),
        "+" | "-" | "*" | "/" | "%" => return arithmetic(name, &left, &right),
        _ => return None,
    })
}

fn arithmetic(name: &str, left: &str, right: &str) -> Option<(String, bool)> {
    if let (Some(one), Some(other)) = (number_rank(left), number_rank(right)) {
        return Some((if one >= other { left } else { right }.to_owned(), true));
    }
    let gives = match (name, left, right) {
        ("+" | "-", DATE, INTEGER) => (DATE, true),
        ("-", DATE, DATE) => (INTEGER, true),
        ("+" | "-", DATE | TIMESTAMP, INTERVAL) => (TIMESTAMP, true),
        ("+" | "-", TIMESTAMPTZ, INTERVAL) => (TIMESTAMPTZ, false),
        ("-", TIMESTAMP, TIMESTAMP) | ("-", TIMESTAMPTZ, TIMESTAMPTZ) => (INTERVAL, true),
        _ => return None,
    };
    Some((gives.0.to_owned(), gives.1))
}

/// Whether a cast gives the same for the same value at any time and with any settings.
pub(super) fn is_immutable_cast(from: &str, to: &str) -> bool {
    let (from, to) = (base(from), base(to));
    let plain = |name: &str| {
        number_rank(name).is_some() || is_text(name) || matches!(name, BOOLEAN | "uuid" | "jsonb")
    };
    from == to
        || (plain(&from) && plain(&to))
        || matches!((&*from, &*to), (TIMESTAMP, DATE | "time without time zone") | (DATE, TIMESTAMP))
        || (is_text(&from) && to == "regconfig")
}

/// A type's name without its length: `character varying(20)` is `character varying`.
pub(in crate::advice) fn base(name: &str) -> String {
    match (name.find('('), name.find(')')) {
        (Some(open), Some(close)) if open < close => format!("{}{}", &name[..open], &name[close + 1..]),
        _ => name.to_owned(),
    }
}

/// A type as `format_type` prints it, for one as it is written in a statement.
pub(super) fn canonical(written: &str) -> String {
    let lower = written.trim().to_ascii_lowercase();
    if let Some(element) = lower.strip_suffix("[]") {
        return format!("{}[]", canonical(element));
    }
    let (name, rest) = match lower.find('(') {
        Some(at) => lower.split_at(at),
        None => (lower.as_str(), ""),
    };
    let known = match name.trim() {
        "int" | "int4" | "integer" => INTEGER,
        "int8" | "bigint" => BIGINT,
        "int2" | "smallint" => "smallint",
        "bool" | "boolean" => BOOLEAN,
        "varchar" | "character varying" | "char varying" => "character varying",
        "char" | "bpchar" | "character" => "character",
        "decimal" | "dec" | "numeric" => NUMERIC,
        "float" | "float8" | "double" | "double precision" => DOUBLE,
        "float4" | "real" => "real",
        "timestamptz" | "timestamp with time zone" => TIMESTAMPTZ,
        "timestamp" | "timestamp without time zone" => TIMESTAMP,
        "time" | "time without time zone" => "time without time zone",
        "timetz" | "time with time zone" => "time with time zone",
        other => other,
    };
    format!("{known}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_types_are_those_that_format_type_prints() {
        let table = [
            ("INT8", "bigint"),
            ("varchar(20)", "character varying(20)"),
            ("timestamptz", TIMESTAMPTZ),
            ("TEXT[]", "text[]"),
            ("order_status", "order_status"),
        ];
        for (written, printed) in table {
            assert_eq!(canonical(written), printed);
        }
        assert_eq!(base("timestamp(3) without time zone"), TIMESTAMP);
    }

    #[test]
    fn functions_are_found_by_the_types_that_they_take() {
        assert_eq!(function("lower", &[Some("character varying(9)")]), Some((&[TEXT][..], TEXT, true)));
        assert_eq!(function("date_trunc", &[None, Some(TIMESTAMPTZ)]).map(|found| found.2), Some(false));
        assert_eq!(function("date_trunc", &[None, Some(TIMESTAMP)]).map(|found| found.2), Some(true));
        assert_eq!(function("date_trunc", &[None, Some("date")]).map(|found| found.1), Some(TIMESTAMPTZ));
        assert_eq!(function("lower", &[Some("int4range")]), None);
        assert_eq!(function("my_own", &[Some(TEXT)]), None);
        assert!(!is_immutable_cast(TIMESTAMPTZ, "date") && is_immutable_cast(TIMESTAMP, "date"));
        assert!(is_immutable_cast(TEXT, INTEGER) && !is_immutable_cast(TEXT, "date"));
    }
}
