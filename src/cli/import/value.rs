//! Values as they are written to `pgweir.toml` and to rule files.

use std::fmt::{self, Write};

/// A value of TOML.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A password or a verifier. Only a file that others cannot read shows it.
    Secret(String),
    /// A number.
    Number(i64),
    /// Yes or no.
    Bool(bool),
    /// Several texts.
    List(Vec<String>),
    /// An inline table.
    Table(Vec<(&'static str, Value)>),
}

impl Value {
    /// Text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(_) => f.write_str("(secret)"),
            other => write!(f, "{other}"),
        }
    }
}

impl fmt::Display for Value {
    /// As TOML.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(&quoted(text)),
            Self::Secret(text) => f.write_str(&quoted(&secret(text))),
            Self::Number(number) => write!(f, "{number}"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(|item| quoted(item)).collect();
                write!(f, "[{}]", items.join(", "))
            }
            Self::Table(items) => {
                let items: Vec<String> =
                    items.iter().map(|(key, value)| format!("{key} = {value}")).collect();
                write!(f, "{{ {} }}", items.join(", "))
            }
        }
    }
}

/// A secret as the reader of settings takes it for itself, and not for the name of a variable or file.
fn secret(text: &str) -> String {
    let special = ["env:", "file:", "plain:"].iter().any(|prefix| text.starts_with(prefix));
    if special { format!("plain:{text}") } else { text.to_owned() }
}

/// A text as a basic string of TOML.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            control if control.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// A key of TOML, in quotes where it must be.
pub fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare { name.to_owned() } else { quoted(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_toml() {
        let check = |value: Value, expected: &str| {
            assert_eq!(value.to_string(), expected);
            let text = format!("a = {value}");
            assert!(toml::from_str::<toml::Table>(&text).is_ok(), "{text}");
        };
        check(Value::text("a\"b\\c\n\u{7f}\u{1}"), r#""a\"b\\c\n\u007F\u0001""#);
        check(Value::Secret("env:A".into()), r#""plain:env:A""#);
        check(Value::Secret("secret".into()), r#""secret""#);
        check(Value::List(vec!["a".into(), "b'".into()]), r#"["a", "b'"]"#);
        check(Value::Table(vec![("a", Value::Number(1)), ("b", Value::Bool(true))]), "{ a = 1, b = true }");
        assert_eq!((key("a-b_1"), key("a.b"), key("")), ("a-b_1".into(), "\"a.b\"".into(), "\"\"".into()));
        assert_eq!(format!("{:?}", Value::Secret("x".into())), "(secret)");
    }
}
