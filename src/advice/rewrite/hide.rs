//! Values out of statements: what is written again is for reports, which show none.
//!
//! In conditions, whatever stands beside a column becomes a parameter; so does what an UPDATE sets. Elsewhere strings do, but for units of time,
//! intervals and keys of documents, which are of the statement and not of its data.

use sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Statement, Value,
};

use super::sargable::is_unit;
use super::visit;
use crate::advice::scan::seconds;
use crate::sql::{Kind, Lexer, Token, tree};

/// Puts parameters in the place of values.
pub fn hide_values(statement: &mut Statement) {
    let mut next = Next::behind(&statement.to_string());
    if let Statement::Update(update) = statement {
        update.assignments.iter_mut().for_each(|one| next.hide(&mut one.value));
    }
    visit::conditions(statement, &mut |condition| next.condition(condition));
}

/// As text, without strings that may be values; `None` unless it is understood.
pub fn print_hidden(statement: &Statement) -> Option<String> {
    let text = without_strings(&statement.to_string());
    tree(text.as_bytes(), true).map(|_| text)
}

/// A part of a statement, without strings that may be values.
pub fn without_strings(text: &str) -> String {
    let mut next = Next::behind(text);
    let (mut hidden, mut at) = (String::new(), 0);
    let mut before: Option<Token> = None;
    for token in Lexer::new(text.as_bytes(), true) {
        let own = text.get(token.start..token.end).unwrap_or_default();
        let behind = before.map(|one| text.get(one.start..one.end).unwrap_or_default()).unwrap_or_default();
        if token.kind == Kind::String && !is_kept(own.trim_matches('\''), behind) {
            hidden.push_str(text.get(at..token.start).unwrap_or_default());
            hidden.push_str(&next.place());
            at = token.end;
        }
        before = Some(token);
    }
    hidden + text.get(at..).unwrap_or_default()
}

fn is_kept(string: &str, behind: &str) -> bool {
    let period = string.chars().any(char::is_alphabetic) && seconds(string).is_some();
    is_unit(&string.to_ascii_lowercase()) || period || matches!(behind, "->" | "->>" | "#>" | "#>>")
}

/// The number of the next parameter.
struct Next(usize);

impl Next {
    /// Behind all that a text has.
    fn behind(text: &str) -> Next {
        let numbers = Lexer::new(text.as_bytes(), true).filter(|token| token.kind == Kind::Param);
        let numbers = numbers.filter_map(|token| text.get(token.start + 1..token.end)?.parse::<u16>().ok());
        Next(numbers.max().map_or(0, usize::from))
    }

    fn place(&mut self) -> String {
        self.0 += 1;
        format!("${}", self.0)
    }

    fn condition(&mut self, one: &mut Expr) {
        match one {
            Expr::BinaryOp { left, op: BinaryOperator::And | BinaryOperator::Or, right } => {
                self.condition(left);
                self.condition(right);
            }
            Expr::Nested(inner) | Expr::UnaryOp { expr: inner, .. } => self.condition(inner),
            Expr::BinaryOp { left, right, .. }
            | Expr::IsDistinctFrom(left, right)
            | Expr::IsNotDistinctFrom(left, right)
            | Expr::AnyOp { left, right, .. }
            | Expr::AllOp { left, right, .. } => [left, right].into_iter().for_each(|side| self.beside(side)),
            Expr::Like { pattern, .. } | Expr::ILike { pattern, .. } | Expr::SimilarTo { pattern, .. } => {
                self.beside(pattern);
            }
            Expr::Between { low, high, .. } => [low, high].into_iter().for_each(|side| self.beside(side)),
            Expr::InList { list, .. } => list.iter_mut().for_each(|one| self.beside(one)),
            _ => {}
        }
    }

    /// What has no column in it is a value.
    fn beside(&mut self, side: &mut Expr) {
        if !has_column(side) {
            self.hide(side);
        }
    }

    fn hide(&mut self, one: &mut Expr) {
        match one {
            Expr::Value(value) => {
                if matches!(value.value, Value::Number(..) | Value::SingleQuotedString(_)) {
                    value.value = Value::Placeholder(self.place());
                }
            }
            Expr::Nested(inner) | Expr::UnaryOp { expr: inner, .. } | Expr::Cast { expr: inner, .. } => {
                self.hide(inner);
            }
            Expr::BinaryOp { left, right, .. } => {
                self.hide(left);
                self.hide(right);
            }
            Expr::Array(array) => array.elem.iter_mut().for_each(|one| self.hide(one)),
            Expr::Tuple(all) => all.iter_mut().for_each(|one| self.hide(one)),
            Expr::TypedString(typed) => {
                let value = Expr::Value(Value::Placeholder(self.place()).into());
                *one = super::sargable::as_type(value, typed.data_type.clone());
            }
            Expr::Function(function) => {
                if let FunctionArguments::List(list) = &mut function.args {
                    for argument in &mut list.args {
                        if let FunctionArg::Unnamed(FunctionArgExpr::Expr(one)) = argument {
                            self.hide(one);
                        }
                    }
                }
            }
            _ => {}
        }
    }
}

fn has_column(one: &Expr) -> bool {
    match one {
        Expr::Value(_) | Expr::TypedString(_) | Expr::Interval(_) => false,
        Expr::Nested(inner) | Expr::UnaryOp { expr: inner, .. } | Expr::Cast { expr: inner, .. } => {
            has_column(inner)
        }
        Expr::BinaryOp { left, right, .. } => has_column(left) || has_column(right),
        Expr::Array(array) => array.elem.iter().any(has_column),
        Expr::Tuple(all) => all.iter().any(has_column),
        Expr::Function(function) => match &function.args {
            FunctionArguments::List(list) => {
                list.args.iter().filter_map(crate::advice::scan::argument).any(has_column)
            }
            FunctionArguments::None => false,
            FunctionArguments::Subquery(_) => true,
        },
        _ => true,
    }
}
