//! Conditions: split at AND and OR, each given to the relation that it is about.

use std::collections::BTreeSet;

use sqlparser::ast::{Array, BinaryOperator, Expr, UnaryOperator};

use super::read::{operation, operator_name, wanted_as};
use super::reader::Reader;
use super::term::{Constant, Term, Value};
use super::types::{self, BOOLEAN};
use super::values::{elements, seconds};
use super::{Condition, Note, Other, Test};

/// The relations whose rows a condition keeps away.
pub(super) enum Allowed {
    /// All.
    All,
    /// These; a condition on another one does not keep its rows away.
    Only(Vec<usize>),
}

impl Allowed {
    fn has(&self, relation: usize) -> bool {
        match self {
            Allowed::All => true,
            Allowed::Only(some) => some.contains(&relation),
        }
    }
}

/// A part of a condition.
enum Part {
    /// On one relation.
    One(usize, Condition),
    /// An OR.
    Or(Vec<Vec<Part>>),
}

impl Reader<'_> {
    /// A condition of the innermost level.
    pub fn conditions(&mut self, condition: &Expr, allowed: &Allowed) {
        for part in self.parts(condition) {
            self.give(part, allowed);
        }
    }

    /// A comparison of two that are known already.
    pub fn compared(&mut self, operator: &str, left: Term, right: Term, allowed: &Allowed) {
        for part in comparison(operator, left, right) {
            self.give(part, allowed);
        }
    }

    fn give(&mut self, part: Part, allowed: &Allowed) {
        match part {
            Part::One(relation, condition) if allowed.has(relation) => {
                if let Some(scan) = self.scan_mut(relation)
                    && !scan.conditions.contains(&condition)
                {
                    scan.conditions.push(condition);
                }
            }
            Part::One(..) => {}
            Part::Or(branches) => self.give_or(branches, allowed),
        }
    }

    fn give_or(&mut self, branches: Vec<Vec<Part>>, allowed: &Allowed) {
        let each: Vec<BTreeSet<usize>> = branches.iter().map(|branch| relations(branch)).collect();
        let mut all: Vec<usize> = each.iter().flatten().copied().collect();
        all.sort_unstable();
        all.dedup();
        match all.as_slice() {
            [only] if allowed.has(*only) && each.iter().all(|one| !one.is_empty()) => {
                let conditions = |branch: Vec<Part>| {
                    let ones = branch.into_iter().filter_map(|part| match part {
                        Part::One(_, condition) => Some(condition),
                        Part::Or(_) => None,
                    });
                    ones.collect::<Vec<_>>()
                };
                let branches: Vec<Vec<Condition>> = branches.into_iter().map(conditions).collect();
                if let Some(scan) =
                    self.scan_mut(*only).filter(|_| branches.iter().all(|one| !one.is_empty()))
                {
                    match as_list(&branches) {
                        Some(condition) => scan.conditions.push(condition),
                        None => scan.branches.push(branches),
                    }
                }
            }
            [_, _, ..] if each.iter().all(|one| one.len() == 1) => self.found.notes.push(Note::OrAcross(all)),
            _ => {}
        }
    }

    fn parts(&mut self, condition: &Expr) -> Vec<Part> {
        match condition {
            Expr::Nested(inner) => self.parts(inner),
            Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
                let mut all = self.parts(left);
                all.extend(self.parts(right));
                all
            }
            Expr::BinaryOp { op: BinaryOperator::Or, .. } => {
                let mut branches = vec![];
                flatten(condition, &mut branches);
                vec![Part::Or(branches.into_iter().map(|branch| self.parts(branch)).collect())]
            }
            _ => self.leaf(condition),
        }
    }

    fn leaf(&mut self, condition: &Expr) -> Vec<Part> {
        match condition {
            Expr::BinaryOp { left, op, right } => self.pair(left, &operator_name(op), right),
            Expr::Like { expr, pattern, negated, .. } => {
                self.like(expr, unless(*negated, Test::Like), pattern)
            }
            Expr::ILike { expr, pattern, negated, .. } => {
                self.like(expr, unless(*negated, Test::LikeAnyCase), pattern)
            }
            Expr::IsNull(inner) => self.single(inner, Test::Null),
            Expr::IsNotNull(inner) => self.single(inner, Test::NotNull),
            Expr::IsTrue(inner) => self.single(inner, Test::True),
            Expr::IsFalse(inner) => self.single(inner, Test::False),
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => self.not(expr),
            Expr::Between { expr, negated: false, low, high } => {
                let (what, low, high) = (self.read(expr), self.read(low), self.read(high));
                let mut all = comparison(">=", what.clone(), low);
                all.extend(comparison("<=", what, high));
                all
            }
            Expr::InList { expr, list, negated } => self.list(expr, list, *negated),
            Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } => self.any(left, right),
            Expr::InSubquery { expr, subquery, negated } => self.in_query(expr, subquery, *negated),
            Expr::Exists { subquery, .. } => {
                self.inner(subquery);
                vec![]
            }
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => self.single(condition, Test::True),
            _ => {
                self.read(condition);
                vec![]
            }
        }
    }

    fn pair(&mut self, left: &Expr, operator: &str, right: &Expr) -> Vec<Part> {
        if let (Expr::Tuple(lefts), Expr::Tuple(rights)) = (bare(left), bare(right)) {
            // Of rows that are compared for their order, the first members bound the range.
            let pairs = if operator == "=" { lefts.len() } else { 1 };
            let mut all = vec![];
            for (at, (one, other)) in lefts.iter().zip(rights).enumerate() {
                let (one, other) = (self.read(one), self.read(other));
                if at < pairs {
                    let operator = match operator {
                        ">" => ">=",
                        "<" => "<=",
                        other => other,
                    };
                    all.extend(comparison(operator, one, other));
                }
            }
            return all;
        }
        let (left, right) = (self.read(left), self.read(right));
        comparison(operator, left, right)
    }

    fn like(&mut self, expression: &Expr, test: Test, pattern: &Expr) -> Vec<Part> {
        let (what, pattern) = (self.read(expression), self.read(pattern));
        one_sided(what, test, &pattern).into_iter().collect()
    }

    fn single(&mut self, expression: &Expr, test: Test) -> Vec<Part> {
        let what = self.read(expression);
        let boolean = what.type_name() == Some(BOOLEAN);
        if matches!(test, Test::True | Test::False) && !boolean {
            return vec![];
        }
        condition_on(what, test, Other::None).into_iter().collect()
    }

    fn not(&mut self, inner: &Expr) -> Vec<Part> {
        match bare(inner) {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => self.single(inner, Test::False),
            Expr::InSubquery { expr, subquery, .. } => self.in_query(expr, subquery, true),
            Expr::IsNull(of) => self.single(of, Test::NotNull),
            Expr::IsNotNull(of) => self.single(of, Test::Null),
            other => {
                self.read(other);
                vec![]
            }
        }
    }

    fn list(&mut self, expression: &Expr, list: &[Expr], negated: bool) -> Vec<Part> {
        let what = self.read(expression);
        let values: Vec<Term> = list.iter().map(|one| self.read(one)).collect();
        let type_name = what.type_name().map(types::base).unwrap_or_default();
        let constants: Option<Vec<Constant>> = values
            .iter()
            .map(|one| match wanted_as(one.clone(), &type_name) {
                Term::Constant(constant) => Some(constant),
                _ => match one {
                    Term::Constant(constant) => Some(constant.clone()),
                    _ => None,
                },
            })
            .collect();
        let other = match constants {
            Some(all) => Other::Constants(all),
            None => Other::Unknown,
        };
        let test = match list {
            _ if negated => Test::Different,
            [_] => Test::Equal,
            _ => Test::In,
        };
        condition_on(what, test, other).into_iter().collect()
    }

    fn any(&mut self, left: &Expr, right: &Expr) -> Vec<Part> {
        let what = self.read(left);
        if let Expr::Subquery(query) = bare(right) {
            return self.in_outputs(what, query, false);
        }
        if let Expr::Array(Array { elem, .. }) = uncast(right) {
            return self.list(left, elem, false);
        }
        let array = self.read(right);
        if what.columns().is_empty() {
            return match array.columns().is_empty() {
                true => vec![],
                false => one_sided(array, Test::Member, &what).into_iter().collect(),
            };
        }
        let other = match &array {
            Term::Constant(constant) => match elements(constant) {
                Some(all) => Other::Constants(all),
                None => Other::Unknown,
            },
            _ if array.columns().is_empty() => Other::Unknown,
            _ => Other::Join(array),
        };
        condition_on(what, Test::In, other).into_iter().collect()
    }

    fn in_query(&mut self, expression: &Expr, query: &sqlparser::ast::Query, negated: bool) -> Vec<Part> {
        let what = self.read(expression);
        self.in_outputs(what, query, negated)
    }

    fn in_outputs(&mut self, what: Term, query: &sqlparser::ast::Query, negated: bool) -> Vec<Part> {
        let aggregated = self.aggregated;
        let outputs = self.query(query, false);
        self.aggregated = aggregated;
        let given = outputs.into_iter().next().map_or(Term::Other(vec![]), |(_, term)| term);
        if negated {
            let nullable = self.may_be_null(&what) || self.may_be_null(&given);
            self.found.notes.push(Note::NotIn { nullable });
            return vec![];
        }
        match given.relations().is_empty() {
            true => condition_on(what, Test::In, Other::Unknown).into_iter().collect(),
            false => comparison("=", what, given),
        }
    }

    fn may_be_null(&self, term: &Term) -> bool {
        let Some(column) = term.as_column() else { return true };
        let table = self.table(column.relation);
        !table.and_then(|table| table.column(&column.name)).is_some_and(|column| column.not_null)
    }
}

fn relations(branch: &[Part]) -> BTreeSet<usize> {
    let mut all = BTreeSet::new();
    for part in branch {
        match part {
            Part::One(relation, _) => {
                all.insert(*relation);
            }
            Part::Or(branches) => branches.iter().for_each(|branch| all.extend(relations(branch))),
        }
    }
    all
}

/// `a = 1 OR a = 2` is a list.
fn as_list(branches: &[Vec<Condition>]) -> Option<Condition> {
    let mut values = vec![];
    let what = &branches.first()?.first()?.what;
    for branch in branches {
        match branch.as_slice() {
            [Condition { what: known, test: Test::Equal | Test::In, other: Other::Constants(all) }]
                if known == what =>
            {
                values.extend(all.iter().cloned());
            }
            _ => return None,
        }
    }
    Some(Condition { what: what.clone(), test: Test::In, other: Other::Constants(values) })
}

fn flatten<'e>(condition: &'e Expr, branches: &mut Vec<&'e Expr>) {
    match condition {
        Expr::BinaryOp { left, op: BinaryOperator::Or, right } => {
            flatten(left, branches);
            flatten(right, branches);
        }
        Expr::Nested(inner) => match bare(inner) {
            Expr::BinaryOp { op: BinaryOperator::Or, .. } => flatten(inner, branches),
            _ => branches.push(condition),
        },
        _ => branches.push(condition),
    }
}

/// Both sides of a comparison: each that is of one relation and compared with what is not of it.
fn comparison(operator: &str, left: Term, right: Term) -> Vec<Part> {
    let typed = operation(operator, left.bare(), right.bare());
    let Term::Binary { left, right, .. } = typed else { return vec![] };
    // An index on a column of texts is one on it as a `text`, too.
    let (left, right) = (left.bare(), right.bare());
    let tests = match operator {
        "=" => (Test::Equal, Test::Equal),
        "<" | "<=" => (Test::Less, Test::Greater),
        ">" | ">=" => (Test::Greater, Test::Less),
        "<>" | "!=" => (Test::Different, Test::Different),
        "~" | "~*" => return one_sided(left, Test::Regex, &right).into_iter().collect(),
        "~~" => return one_sided(left, Test::Like, &right).into_iter().collect(),
        "~~*" => return one_sided(left, Test::LikeAnyCase, &right).into_iter().collect(),
        "%" => (Test::Similar, Test::Similar),
        "<%" | "%>" => (Test::Similar, Test::Similar),
        "@>" => return one_sided(left, Test::Contains, &right).into_iter().collect(),
        "<@" => return one_sided(right, Test::Contains, &left).into_iter().collect(),
        "?" | "?|" | "?&" => return one_sided(left, Test::HasKey, &right).into_iter().collect(),
        "&&" => (Test::Overlaps, Test::Overlaps),
        "@?" => return one_sided(left, Test::Path, &right).into_iter().collect(),
        "@@" => return matches(left, right),
        _ => return vec![],
    };
    let mut all: Vec<Part> = one_sided(left.clone(), tests.0, &right).into_iter().collect();
    all.extend(one_sided(right, tests.1, &left));
    all
}

/// `tsvector @@ tsquery` either way, and `jsonb @@ jsonpath`.
fn matches(left: Term, right: Term) -> Vec<Part> {
    let is_vector = |term: &Term| term.type_name() == Some("tsvector");
    let part = match (is_vector(&left), is_vector(&right)) {
        (true, _) => one_sided(left, Test::Search, &right),
        (_, true) => one_sided(right, Test::Search, &left),
        _ if left.type_name() == Some("jsonb") => one_sided(left, Test::Path, &right),
        // `text @@ tsquery` is of `to_tsvector(text)`, whose configuration is a setting.
        _ => None,
    };
    part.into_iter().collect()
}

fn one_sided(what: Term, test: Test, other: &Term) -> Option<Part> {
    let (mine, theirs) = (what.relations(), other.relations());
    if mine.len() != 1 || !mine.is_disjoint(&theirs) {
        return None;
    }
    let other = match other {
        Term::Constant(constant) => Other::Constants(vec![constant.clone()]),
        _ if !theirs.is_empty() => Other::Join(other.clone()),
        _ => clock(other).map_or(Other::Unknown, Other::Clock),
    };
    let (test, other) = as_flag(&what, test, other);
    condition_on(what, test, other)
}

/// `flag = true` is the flag itself.
fn as_flag(what: &Term, test: Test, other: Other) -> (Test, Other) {
    let value = match &other {
        Other::Constants(all) if test == Test::Equal && what.type_name() == Some(BOOLEAN) => {
            all.first().filter(|one| one.parameter.is_none()).and_then(Constant::as_text)
        }
        _ => None,
    };
    match value {
        Some("t" | "true") => (Test::True, Other::None),
        Some("f" | "false") => (Test::False, Other::None),
        _ => (test, other),
    }
}

fn condition_on(what: Term, test: Test, other: Other) -> Option<Part> {
    let what = what.bare();
    let mut relations = what.relations().into_iter();
    match (relations.next(), relations.next()) {
        (Some(relation), None) => Some(Part::One(relation, Condition { what, test, other })),
        _ => None,
    }
}

/// The time of the statement and an interval, in seconds.
fn clock(term: &Term) -> Option<f64> {
    match term {
        Term::Call { name, .. } if name == "now" => Some(0.0),
        Term::Cast { of, .. } => clock(of),
        Term::Call { name, arguments, .. } if matches!(name.as_str(), "date_trunc" | "timezone") => {
            clock(arguments.last()?)
        }
        Term::Binary { operator, left, right, .. } => {
            let Term::Constant(Constant { value: Value::Text(text) | Value::Number(text), .. }) = &**right
            else {
                return None;
            };
            let by = seconds(text).or_else(|| Some(text.parse::<f64>().ok()? * 86_400.0))?;
            match operator.as_str() {
                "-" => Some(clock(left)? - by),
                "+" => Some(clock(left)? + by),
                _ => None,
            }
        }
        _ => None,
    }
}

fn unless(negated: bool, test: Test) -> Test {
    if negated { Test::Different } else { test }
}

/// Without parentheses and casts.
fn uncast(expression: &Expr) -> &Expr {
    match expression {
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => uncast(inner),
        _ => expression,
    }
}

/// Without parentheses.
fn bare(expression: &Expr) -> &Expr {
    match expression {
        Expr::Nested(inner) => bare(inner),
        _ => expression,
    }
}
