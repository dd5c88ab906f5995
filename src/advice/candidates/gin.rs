//! Indexes of other kinds than b-trees: for parts of texts, documents, arrays and words; and BRIN.

use crate::advice::Schema;
use crate::advice::index::{Definition, Held, Key, quoted};
use crate::advice::scan::{Condition, Other, Pattern, Term, Test, base, is_text, pattern};
use crate::advice::schema::Table;

/// A trigram is so long; a shorter pattern has none.
const TRIGRAM: usize = 3;
/// A column whose order goes with that of the rows by so much.
const ORDERED: f64 = 0.95;
/// BRIN is for tables of so many pages: 100 MB.
const LARGE: u64 = 12_800;

/// A key that serves a condition, with its operator class.
pub(super) struct Served {
    pub key: Key,
    pub pattern: &'static str,
    pub why: String,
}

/// The key of a GIN index for a condition; `each` has the same condition, sample by sample. `Err` says why there is none.
pub(super) fn gin(
    condition: &Condition,
    each: &[&Condition],
    schema: &Schema,
) -> Option<Result<Served, String>> {
    let type_name = condition.what.type_name().map(base).unwrap_or_default();
    let text = condition.what.print(schema.version)?;
    if !condition.what.is_indexable() {
        return None;
    }
    let (class, pattern, why) = match condition.test {
        Test::Like | Test::LikeAnyCase | Test::Regex | Test::Similar if is_text(&type_name) => {
            if condition.test == Test::Like && !each.iter().any(|one| is_infix(one)) {
                return None;
            }
            return Some(trigrams(condition, each, &text, schema));
        }
        Test::Contains | Test::Path if type_name == "jsonb" => (
            Some("jsonb_path_ops"),
            "jsonb_contains",
            format!("documents that contain something are found by {text}"),
        ),
        Test::HasKey if type_name == "jsonb" => {
            (None, "jsonb_key", format!("documents that have a key are found by {text}"))
        }
        Test::Contains | Test::Overlaps if type_name.ends_with("[]") => {
            (None, "array", format!("arrays are found by their elements in {text}"))
        }
        Test::Search if type_name == "tsvector" => {
            (None, "full_text", format!("texts are found by their words in {text}"))
        }
        _ => return None,
    };
    let key = Key { class: class.map(str::to_owned), ..key_of(&condition.what, text) };
    Some(Ok(Served { key, pattern, why }))
}

/// A key that holds a term.
pub(super) fn key_of(what: &Term, text: String) -> Key {
    match what.as_column() {
        Some(column) => Key::column(column.name.clone()),
        None => Key::expression(text),
    }
}

fn is_infix(condition: &Condition) -> bool {
    let Other::Constants(all) = &condition.other else { return false };
    all.iter().any(|one| matches!(pattern(one), Pattern::Infix(_)))
}

fn trigrams(
    condition: &Condition,
    each: &[&Condition],
    text: &str,
    schema: &Schema,
) -> Result<Served, String> {
    let known: Vec<bool> = each.iter().filter_map(|one| has_trigrams(one)).collect();
    if known.is_empty() {
        return Err(format!("no value of the pattern on {text} was seen"));
    }
    // What is looked for now and then without one is read as before.
    if known.iter().filter(|has| **has).count() * 2 < known.len() {
        return Err(format!(
            "a pattern on {text} has fewer than {TRIGRAM} letters in a row, so that no trigram is known of it"
        ));
    }
    let Some(extension) = schema.extensions.iter().find(|one| one.name == "pg_trgm") else {
        return Err(format!(
            "a pattern on {text} needs the extension pg_trgm, which this server does not have"
        ));
    };
    let (class, needs) = match &extension.schema {
        Some(own) if !schema.search_path.contains(own) => (format!("{}.gin_trgm_ops", quoted(own)), ""),
        Some(_) => ("gin_trgm_ops".to_owned(), ""),
        None => ("gin_trgm_ops".to_owned(), "; it needs CREATE EXTENSION pg_trgm first"),
    };
    let key = Key { class: Some(class), ..key_of(&condition.what, text.to_owned()) };
    let why = format!("texts that have a part in them are found by the trigrams of {text}{needs}");
    Ok(Served { key, pattern: "trigram", why })
}

/// Whether all texts that a condition looks for have a trigram; `None` where they are not known.
pub(in crate::advice) fn has_trigrams(condition: &Condition) -> Option<bool> {
    let Other::Constants(all) = &condition.other else { return None };
    let parts = all.iter().filter_map(|constant| match (condition.test, pattern(constant)) {
        (_, Pattern::Unknown) => None,
        (Test::Regex, _) => constant.as_text().map(str::to_owned),
        (_, Pattern::Infix(part) | Pattern::Prefix(part) | Pattern::Exact(part)) => Some(part),
    });
    let lengths: Vec<usize> = parts.map(|part| longest_plain(&part).chars().count()).collect();
    (!lengths.is_empty()).then(|| lengths.iter().all(|length| *length >= TRIGRAM))
}

/// The longest run of letters and digits.
fn longest_plain(text: &str) -> String {
    let runs = text.split(|letter: char| !letter.is_alphanumeric());
    runs.max_by_key(|run| run.chars().count()).unwrap_or_default().to_owned()
}

/// The operator class by which a b-tree serves what begins with something; `None` where the column's own does.
pub(super) fn prefix_class(what: &Term, table: &Table, schema: &Schema) -> Option<&'static str> {
    let of_column = what.as_column().and_then(|column| table.column(&column.name));
    if of_column.map_or(schema.c_collation, |column| column.c_collation) {
        return None;
    }
    Some(match &*what.type_name().map(base).unwrap_or_default() {
        "character varying" => "varchar_pattern_ops",
        "character" => "bpchar_pattern_ops",
        _ => "text_pattern_ops",
    })
}

/// A BRIN index for a range over a large table whose rows stand in the order of the column.
pub(super) fn brin(condition: &Condition, table: &Table) -> Option<(Definition, String)> {
    let column = table.column(&condition.what.as_column()?.name)?;
    let correlation = column.statistics.as_ref()?.correlation?;
    if table.pages < LARGE
        || correlation.abs() < ORDERED
        || !matches!(condition.test, Test::Less | Test::Greater)
    {
        return None;
    }
    let key = Key { what: Held::Column(column.name.clone()), ..Key::column("") };
    let definition = Definition { method: "brin".to_owned(), ..Definition::btree(table.oid, vec![key]) };
    let why = format!(
        "the order of rows goes with {} by {correlation:.2}, so that a few kB tell which of {} pages a range has",
        column.name, table.pages
    );
    Some((definition, why))
}
