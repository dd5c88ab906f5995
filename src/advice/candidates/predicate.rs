//! What may be the predicate of a partial index: NULLs, flags, and constants that are rare and always the same.

use crate::advice::scan::{
    Condition, Constant, Other, Term, Test, is_text, of_condition, operation, wanted_as,
};
use crate::advice::schema::Table;

/// A constant that is always the same is worth a predicate when it leaves no more of the rows than this.
const RARE: f64 = 0.2;
/// A predicate has a list of so many values at most.
const LISTED: usize = 8;
/// Of a column with more values than these, another one will be asked for sooner or later.
const FEW: f64 = 100.0;
/// From this part of NULLs on, an index that is only asked for values leaves them out.
const MOSTLY_NULL: f64 = 0.8;

/// Conditions that can be a predicate, and the part of rows that they leave together.
#[derive(Debug, Clone, Default)]
pub(super) struct Partial {
    /// What they compare; no keys of the index.
    pub whats: Vec<Term>,
    /// As the deparser prints them.
    pub text: String,
    /// The part of the table's rows that they leave.
    pub share: f64,
}

/// The predicate of those that are the same in all samples: `each` has the conditions of one scan, sample by sample.
pub(super) fn partial(
    each: &[&[Condition]],
    seen_often: bool,
    table: &Table,
    version: u32,
) -> Option<Partial> {
    let first = each.first()?;
    let mut partial = Partial { share: 1.0, ..Partial::default() };
    let mut texts = vec![];
    for condition in *first {
        let share = of_condition(condition, table);
        let fixed = match condition.test {
            Test::Null | Test::True | Test::False => true,
            Test::NotNull => share <= RARE,
            Test::Equal | Test::In | Test::Different => {
                let same = is_literal(&condition.other) && each.iter().all(|one| one.contains(condition));
                seen_often && same && share <= RARE && is_one_of_few(&condition.what, table)
            }
            _ => false,
        };
        if fixed && let Some(text) = print(condition, version) {
            partial.whats.push(condition.what.of(0));
            partial.share *= share;
            texts.push(text);
        }
    }
    partial.text = match texts.as_slice() {
        [] => return None,
        [only] => only.clone(),
        several => format!("({})", several.join(" AND ")),
    };
    Some(partial)
}

/// `column IS NOT NULL` for a column that is compared and mostly NULL.
pub(super) fn not_null(what: &Term, table: &Table) -> Option<Partial> {
    let column = table.column(&what.as_column()?.name)?;
    let known = column.statistics.as_ref()?;
    (known.nulls >= MOSTLY_NULL).then(|| Partial {
        whats: vec![],
        text: format!("({} IS NOT NULL)", crate::advice::index::quoted(&column.name)),
        share: 1.0 - known.nulls,
    })
}

fn is_one_of_few(what: &Term, table: &Table) -> bool {
    let column = what.as_column().and_then(|column| table.column(&column.name));
    column.and_then(|column| column.statistics.as_ref()).is_some_and(|known| known.distinct <= FEW)
}

fn is_literal(other: &Other) -> bool {
    matches!(other, Other::Constants(all) if all.iter().all(|one| one.parameter.is_none() && one.as_text().is_some()))
}

/// A condition as the deparser prints it.
fn print(condition: &Condition, version: u32) -> Option<String> {
    let what = condition.what.print(version)?;
    if !matches!(condition.what, Term::Column(_)) && !condition.what.is_indexable() {
        return None;
    }
    Some(match condition.test {
        Test::Null => format!("({what} IS NULL)"),
        Test::NotNull => format!("({what} IS NOT NULL)"),
        Test::True => what,
        Test::False => format!("(NOT {what})"),
        Test::Equal => compared("=", condition, version)?,
        Test::Different => compared("<>", condition, version)?,
        Test::In => listed(condition, version)?,
        _ => return None,
    })
}

/// A comparison with one constant.
fn compared(operator: &str, condition: &Condition, version: u32) -> Option<String> {
    let Other::Constants(all) = &condition.other else { return None };
    let [constant] = all.as_slice() else { return None };
    // There is no operator on `varchar`: PostgreSQL compares it as a text.
    let left = match condition.what.type_name() {
        Some(name) if is_text(name) => wanted_as(condition.what.clone(), "text"),
        _ => condition.what.clone(),
    };
    operation(operator, left, Term::Constant(constant.clone())).print(version)
}

/// A list, of types whose lists need no casts.
fn listed(condition: &Condition, version: u32) -> Option<String> {
    let Other::Constants(all) = &condition.other else { return None };
    let type_name = condition.what.type_name()?;
    if !matches!(type_name, "text" | "integer") || all.len() > LISTED {
        return None;
    }
    let one = |constant: &Constant| match wanted_as(Term::Constant(constant.clone()), type_name) {
        constant @ Term::Constant(_) => constant.print(version),
        _ => None,
    };
    let all: Option<Vec<String>> = all.iter().map(one).collect();
    Some(format!("({} = ANY (ARRAY[{}]))", condition.what.print(version)?, all?.join(", ")))
}
