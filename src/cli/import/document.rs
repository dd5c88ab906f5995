//! TOML of other poolers as a tree whose every key has its line.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::files::Text;
use super::report::{Place, Report};

/// A value and the line of its key, or where it begins.
#[derive(Debug, Clone)]
pub struct Node {
    /// The line.
    pub place: Place,
    /// The value.
    pub tree: Tree,
}

/// A value.
#[derive(Debug, Clone)]
pub enum Tree {
    /// Text, a number, true or false, as text.
    Scalar(String),
    /// A list.
    List(Vec<Node>),
    /// A table, in the order of the file.
    Table(Vec<(String, Node)>),
}

impl Node {
    /// The keys of a table; none of anything else.
    pub fn entries(&self) -> &[(String, Node)] {
        match &self.tree {
            Tree::Table(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; a table stands for a list of one.
    pub fn items(&self) -> &[Node] {
        match &self.tree {
            Tree::List(items) => items,
            Tree::Table(_) => std::slice::from_ref(self),
            Tree::Scalar(_) => &[],
        }
    }

    /// A key of a table.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    /// A value that is neither list nor table.
    pub fn scalar(&self) -> Option<&str> {
        match &self.tree {
            Tree::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// A key that has such a value.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Node::scalar)
    }

    /// Whether a key is true.
    pub fn is_true(&self, key: &str) -> bool {
        self.text(key) == Some("true")
    }

    /// A key that has a number.
    pub fn number(&self, key: &str) -> Option<i64> {
        self.text(key)?.parse().ok()
    }
}

/// The tree of a file; `None`: it is not TOML, as the report says.
pub fn parse(file: &Text, report: &mut Report) -> Option<Node> {
    let (document, errors) = DeTable::parse_recoverable(&file.text);
    let lines: Vec<usize> = file.text.match_indices('\n').map(|(at, _)| at).collect();
    let line = |at: usize| lines.partition_point(|newline| *newline < at) + 1;
    for error in &errors {
        // Only the message: the whole error shows the line, which may hold a password.
        let at = error.span().map_or(file.text.len(), |span| span.start);
        report.error(&file.place(line(at)), format!("not TOML: {}", error.message()));
    }
    if !errors.is_empty() {
        return None;
    }
    let place = |at: usize| file.place(line(at));
    Some(Node { place: file.place(0), tree: table(document.get_ref(), &place) })
}

fn table(table: &DeTable<'_>, place: &impl Fn(usize) -> Place) -> Tree {
    let mut entries: Vec<(usize, String, Node)> = table
        .iter()
        .map(|(key, value)| {
            let at = key.span().start;
            (at, key.get_ref().to_string(), Node { place: place(at), tree: tree(value, place) })
        })
        .collect();
    entries.sort_by_key(|(at, ..)| *at);
    Tree::Table(entries.into_iter().map(|(_, key, node)| (key, node)).collect())
}

fn tree(value: &Spanned<DeValue<'_>>, place: &impl Fn(usize) -> Place) -> Tree {
    match value.get_ref() {
        DeValue::String(text) => Tree::Scalar(text.to_string()),
        DeValue::Boolean(value) => Tree::Scalar(value.to_string()),
        DeValue::Integer(number) => {
            let read = i64::from_str_radix(number.as_str(), number.radix());
            Tree::Scalar(read.map_or_else(|_| number.as_str().to_owned(), |number| number.to_string()))
        }
        DeValue::Float(number) => Tree::Scalar(number.as_str().to_owned()),
        DeValue::Datetime(date) => Tree::Scalar(date.to_string()),
        DeValue::Array(items) => Tree::List(
            items
                .iter()
                .map(|item| Node { place: place(item.span().start), tree: tree(item, place) })
                .collect(),
        ),
        DeValue::Table(entries) => table(entries, place),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn keys_have_their_lines() {
        let text = "a = 1_000\n[b]\nc = [[\"h\", 0x10, true],\n [1.5]]\n[[d]]\ne = 'x'\n";
        let mut report = Report::default();
        let tree = parse(&Text::new(Path::new("f"), text.into()), &mut report).expect("it is TOML");
        assert_eq!((tree.text("a"), tree.number("a")), (Some("1000"), Some(1000)));
        let list = tree.get("b").and_then(|b| b.get("c")).expect("there").items();
        let scalars: Vec<_> =
            list.iter().map(|item| item.items().iter().map(Node::scalar).collect::<Vec<_>>()).collect();
        assert_eq!(scalars, [vec![Some("h"), Some("16"), Some("true")], vec![Some("1.5")]]);
        assert_eq!(list[1].place.line, 4);
        let e = tree.get("d").and_then(|d| d.items()[0].get("e")).expect("there");
        assert_eq!((e.scalar(), e.place.to_string()), (Some("x"), "f:6".to_owned()));
    }

    #[test]
    fn what_is_not_toml_is_told_without_its_text() {
        let mut report = Report::default();
        let text = "a = 1\npassword = \"sekret\nb = 2\n";
        assert!(parse(&Text::new(Path::new("f"), text.into()), &mut report).is_none());
        let lines: Vec<String> = report.lines().iter().map(ToString::to_string).collect();
        assert!(
            report.failed() && lines[0].starts_with("f:2: not TOML: ") && !lines.concat().contains("sekret"),
            "{lines:?}"
        );
        let deep = format!("a = {}", "[".repeat(200_000));
        assert!(parse(&Text::new(Path::new("f"), deep), &mut Report::default()).is_none());
    }
}
