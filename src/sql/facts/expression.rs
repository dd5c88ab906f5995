//! Expressions: the functions they call, the queries in them, and, in a condition, their columns.

use sqlparser::ast::{
    AccessExpr, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments,
    Ident, ObjectName, Subscript, WindowFrameBound, WindowSpec, WindowType,
};

use super::scope::{function_of, is_name};
use super::walk::{Strange, Walk, Walked};
use super::{Comparison, Name, Operand, Predicate};

impl Walk<'_> {
    pub fn expressions(&mut self, all: &[Expr]) -> Walked {
        all.iter().try_for_each(|one| self.expression(one))
    }

    fn pair(&mut self, one: &Expr, other: &Expr) -> Walked {
        self.expression(one)?;
        self.expression(other)
    }

    /// Any expression, for what is in it.
    pub fn expression(&mut self, expression: &Expr) -> Walked {
        match expression {
            Expr::Identifier(name) => self.column(&[name]),
            Expr::CompoundIdentifier(parts) => self.column(&parts.iter().collect::<Vec<_>>()),
            Expr::CompoundFieldAccess { root, access_chain } => self.access(root, access_chain),
            Expr::Value(_) | Expr::TypedString(_) => Ok(()),
            Expr::Function(function) => self.call(function),
            Expr::Subquery(query) | Expr::Exists { subquery: query, .. } => self.query(query, false),
            Expr::InSubquery { expr, subquery, .. } => {
                self.expression(expr)?;
                self.query(subquery, false)
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                operand.iter().try_for_each(|operand| self.expression(operand))?;
                conditions.iter().try_for_each(|when| self.pair(&when.condition, &when.result))?;
                else_result.iter().try_for_each(|result| self.expression(result))
            }
            Expr::Tuple(all) => self.expressions(all),
            Expr::Array(array) => self.expressions(&array.elem),
            Expr::GroupingSets(sets) | Expr::Cube(sets) | Expr::Rollup(sets) => {
                sets.iter().try_for_each(|set| self.expressions(set))
            }
            Expr::Interval(interval) => self.expression(&interval.value),
            _ => self.operator(expression),
        }
    }

    fn operator(&mut self, expression: &Expr) -> Walked {
        match expression {
            Expr::BinaryOp { left, op, right } => {
                if *op == sqlparser::ast::BinaryOperator::Overlaps {
                    self.special("overlaps");
                }
                self.pair(left, right)
            }
            Expr::AnyOp { left, right, .. } | Expr::AllOp { left, right, .. } => self.pair(left, right),
            Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => {
                self.pair(left, right)
            }
            Expr::InList { expr, list, .. } => {
                self.expression(expr)?;
                self.expressions(list)
            }
            Expr::Between { expr, low, high, .. } => {
                self.expression(expr)?;
                self.pair(low, high)
            }
            Expr::Like { expr, pattern, escape_char, any: false, .. }
            | Expr::ILike { expr, pattern, escape_char, any: false, .. } => {
                self.pair(expr, pattern)?;
                escape_char.iter().for_each(|_| self.special("like_escape"));
                escape_char.iter().try_for_each(|escape| self.expression(escape))
            }
            Expr::SimilarTo { expr, pattern, escape_char, .. } => {
                self.special("similar_to_escape");
                self.pair(expr, pattern)?;
                escape_char.iter().try_for_each(|escape| self.expression(escape))
            }
            Expr::Nested(inner) | Expr::UnaryOp { expr: inner, .. } => self.expression(inner),
            Expr::IsFalse(inner) | Expr::IsNotFalse(inner) | Expr::IsTrue(inner) => self.expression(inner),
            Expr::IsNotTrue(inner) | Expr::IsNull(inner) | Expr::IsNotNull(inner) => self.expression(inner),
            Expr::IsUnknown(inner) | Expr::IsNotUnknown(inner) => self.expression(inner),
            Expr::IsJson { expr, .. } | Expr::Collate { expr, .. } => self.expression(expr),
            Expr::Cast { expr, data_type, format: None, .. } => {
                self.note_cast(expr, data_type);
                self.expression(expr)
            }
            _ => self.form(expression),
        }
    }

    /// Calls of functions in words of their own. PostgreSQL's grammar calls those of `pg_catalog`.
    fn form(&mut self, expression: &Expr) -> Walked {
        match expression {
            Expr::IsNormalized { expr, .. } => self.called("is_normalized", &[expr]),
            Expr::AtTimeZone { timestamp, time_zone } => self.called("timezone", &[timestamp, time_zone]),
            Expr::Extract { expr, .. } => self.called("extract", &[expr]),
            Expr::Position { expr, r#in } => self.called("position", &[expr, r#in]),
            Expr::Substring { expr, substring_from, substring_for, special, shorthand } => {
                // With commas, it is the call of any function of this name.
                let schema = (!special && !shorthand).then(|| "pg_catalog".into());
                let name = if *shorthand { "substr" } else { "substring" };
                self.note_function(Name { schema, name: name.into() });
                self.expression(expr)?;
                substring_from.iter().chain(substring_for).try_for_each(|part| self.expression(part))
            }
            Expr::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                self.called("overlay", &[expr, overlay_what, overlay_from])?;
                overlay_for.iter().try_for_each(|part| self.expression(part))
            }
            Expr::Trim { trim_where, trim_what, expr, trim_characters } => {
                use sqlparser::ast::TrimWhereField::{Both, Leading, Trailing};
                let name = match trim_where {
                    None | Some(Both) => "btrim",
                    Some(Leading) => "ltrim",
                    Some(Trailing) => "rtrim",
                };
                self.called(name, &[expr])?;
                trim_what.iter().try_for_each(|what| self.expression(what))?;
                trim_characters.iter().try_for_each(|all| self.expressions(all))
            }
            Expr::Ceil { expr, field } | Expr::Floor { expr, field } => {
                use sqlparser::ast::{CeilFloorKind, DateTimeField};
                if *field != CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) {
                    return Err(Strange);
                }
                let name = if matches!(expression, Expr::Ceil { .. }) { "ceil" } else { "floor" };
                self.note_function(Name { schema: None, name: name.into() });
                self.expression(expr)
            }
            _ => Err(Strange),
        }
    }

    fn called(&mut self, name: &str, arguments: &[&Expr]) -> Walked {
        self.special(name);
        arguments.iter().try_for_each(|argument| self.expression(argument))
    }

    pub fn special(&mut self, name: &str) {
        self.note_function(Name { schema: Some("pg_catalog".into()), name: name.into() });
    }

    /// Fields and elements of a value: `a.b[1].c`, `(a).b`.
    fn access(&mut self, root: &Expr, chain: &[AccessExpr]) -> Walked {
        let mut parts = vec![];
        let mut rest = chain;
        if let Expr::Identifier(first) = root {
            parts.push(first);
            while let [AccessExpr::Dot(Expr::Identifier(next)), more @ ..] = rest {
                parts.push(next);
                rest = more;
            }
            self.column(&parts)?;
        } else {
            self.expression(root)?;
        }
        rest.iter().try_for_each(|access| match access {
            AccessExpr::Dot(Expr::Identifier(_) | Expr::Wildcard(_)) => Ok(()),
            AccessExpr::Dot(_) => Err(Strange),
            AccessExpr::Subscript(Subscript::Index { index }) => self.expression(index),
            AccessExpr::Subscript(Subscript::Slice { lower_bound, upper_bound, stride: None }) => {
                lower_bound.iter().chain(upper_bound).try_for_each(|bound| self.expression(bound))
            }
            AccessExpr::Subscript(_) => Err(Strange),
        })
    }

    /// A column; in a condition, one that is compared in no plain way.
    fn column(&mut self, parts: &[&Ident]) -> Walked {
        let [first, ..] = parts else { return Err(Strange) };
        if !is_name(first) {
            return if parts.len() == 1 && is_value(&first.value) { Ok(()) } else { Err(Strange) };
        }
        let Some(column) = self.scopes.column(parts) else { return Err(Strange) };
        if let Some(required) = self.condition {
            let (comparison, operand) = (Comparison::Other, Operand::Other);
            let (table, column) = (column.table, column.name);
            self.note_predicate(Predicate { table, column, comparison, operand, required });
        }
        Ok(())
    }

    /// A call of a function, aggregates and window functions too.
    pub fn call(&mut self, function: &Function) -> Walked {
        if function.uses_odbc_syntax || !matches!(function.parameters, FunctionArguments::None) {
            return Err(Strange);
        }
        if function.name.0.len() > 3 {
            return Err(Strange);
        }
        self.note_call(&function.name);
        match &function.args {
            FunctionArguments::None => {}
            FunctionArguments::Subquery(query) => self.query(query, false)?,
            FunctionArguments::List(list) => {
                self.note_call_as_cast(&function.name, &list.args);
                self.arguments(&list.args)?;
                list.clauses.iter().try_for_each(|clause| match clause {
                    FunctionArgumentClause::OrderBy(keys) => self.order_by(keys),
                    _ => Err(Strange),
                })?;
            }
        }
        self.order_by(&function.within_group)?;
        function.filter.iter().try_for_each(|filter| self.expression(filter))?;
        self.windows |= function.over.is_some();
        match &function.over {
            Some(WindowType::WindowSpec(window)) => self.window(window),
            Some(WindowType::NamedWindow(_)) | None => Ok(()),
        }
    }

    /// A function by its name, unless it is none.
    pub fn note_call(&mut self, name: &ObjectName) {
        if let Some(name) = function_of(name).filter(|name| !self.grouping || !is_grouping(name)) {
            self.note_function(name);
        }
    }

    pub fn arguments(&mut self, arguments: &[FunctionArg]) -> Walked {
        arguments.iter().try_for_each(|argument| {
            let arg = match argument {
                FunctionArg::Named { arg, .. } | FunctionArg::Unnamed(arg) => arg,
                FunctionArg::ExprNamed { name: Expr::Identifier(_), arg, .. } => arg,
                FunctionArg::ExprNamed { .. } => return Err(Strange),
            };
            match arg {
                FunctionArgExpr::Expr(expression) => self.expression(expression),
                FunctionArgExpr::Wildcard | FunctionArgExpr::QualifiedWildcard(_) => Ok(()),
                FunctionArgExpr::WildcardWithOptions(_) => Err(Strange),
            }
        })
    }

    pub fn window(&mut self, window: &WindowSpec) -> Walked {
        self.expressions(&window.partition_by)?;
        self.order_by(&window.order_by)?;
        let Some(frame) = &window.window_frame else { return Ok(()) };
        let bounds = [Some(&frame.start_bound), frame.end_bound.as_ref()];
        bounds.into_iter().flatten().try_for_each(|bound| match bound {
            WindowFrameBound::Preceding(Some(by)) | WindowFrameBound::Following(Some(by)) => {
                self.expression(by)
            }
            _ => Ok(()),
        })
    }
}

/// What is no function in GROUP BY.
fn is_grouping(name: &Name) -> bool {
    name.schema.is_none() && matches!(&*name.name, "rollup" | "cube")
}

/// Reserved words that stand for values.
fn is_value(word: &str) -> bool {
    matches!(
        word,
        "default"
            | "user"
            | "session_user"
            | "localtime"
            | "localtimestamp"
            | "current_user"
            | "current_role"
            | "current_catalog"
            | "current_date"
            | "current_time"
            | "current_timestamp"
    )
}
