//! What a report says, before it is known for whom: headings, sentences, tables, texts to copy, pictures. The terminal, Markdown and HTML show
//! the same of it, and so do the pages of a running pgweir.

use super::picture::Picture;

/// A report, or a page.
#[derive(Debug, Clone, Default)]
pub struct Document {
    /// Its title.
    pub title: String,
    /// What is in it, in order.
    pub blocks: Vec<Block>,
}

/// One thing under another.
#[derive(Debug, Clone)]
pub enum Block {
    /// A heading of level 1 to 3, and the name by which it is linked to.
    Heading(u8, Text, String),
    /// A sentence or more.
    Say(Text),
    /// The few numbers that matter most.
    Numbers(Vec<Number>),
    /// A table.
    Table(Table),
    /// Sentences that stand by themselves.
    Notes(Vec<Text>),
    /// Something to copy, as it is, under a few words on what it is.
    Code(String, String),
    /// A picture.
    Picture(Picture),
    /// A choice of how much, with what comes of it. Who cannot choose passes over it: all of it stands in a table beside it.
    Slider(Slider),
    /// Blocks that belong together.
    Part(Vec<Block>),
}

/// A number that matters.
#[derive(Debug, Clone)]
pub struct Number {
    /// Of what.
    pub name: String,
    /// The number, with its unit.
    pub value: String,
    /// What it was before, or whatever makes it mean something.
    pub aside: String,
}

/// A choice of how much.
#[derive(Debug, Clone, Default)]
pub struct Slider {
    /// Its name, once in a document: lower-case letters.
    pub name: String,
    /// What it asks.
    pub asks: String,
    /// What can be chosen, the least first; at most seven.
    pub stops: Vec<Stop>,
    /// Where it stands first.
    pub chosen: usize,
}

/// What can be chosen.
#[derive(Debug, Clone)]
pub struct Stop {
    /// How much, with its unit.
    pub name: String,
    /// What comes of it, as a share of what comes of all.
    pub share: f64,
    /// The same in words.
    pub says: String,
}

/// A table. Every row has as many cells as there are columns.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows.
    pub rows: Vec<Vec<Text>>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// What stands above it.
    pub head: String,
    /// How its cells stand.
    pub kind: Kind,
}

/// How cells stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A word or a few.
    Word,
    /// To the right, as numbers do.
    Number,
    /// It has the room that others leave, and goes on in further lines.
    Long,
    /// A statement: where there is not much room it stands below the row.
    Below,
}

/// A text in pieces.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Text(pub Vec<Piece>);

/// A piece of a text. None of them is in any language: whoever shows it writes it so that it cannot be more than it is.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// Words.
    Plain(String),
    /// Words that matter.
    Strong(String),
    /// What is good.
    Good(String),
    /// What is bad.
    Bad(String),
    /// SQL, names, what is typed.
    Code(String),
    /// Words that lead to the heading of this name, or to the page with this address where it begins with a slash.
    Link(String, String),
    /// Numbers over time, in little room, and what they say.
    Spark(Vec<f64>, String),
}

impl Document {
    /// An empty one.
    pub fn new(title: impl Into<String>) -> Document {
        Document { title: title.into(), blocks: vec![] }
    }

    /// Adds a block.
    pub fn put(&mut self, block: Block) {
        self.blocks.push(block);
    }
}

impl Block {
    /// A heading that nobody links to by more than its words.
    pub fn heading(level: u8, text: &str) -> Block {
        let name = text.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        Block::Heading(level, text.into(), name)
    }

    /// A sentence.
    pub fn say(text: impl Into<Text>) -> Block {
        Block::Say(text.into())
    }
}

impl Table {
    /// A table without rows. Columns are separated by `|`; one that begins with `#` is of numbers, with `+` a long one, with `_` one of statements.
    pub fn new(columns: &str) -> Table {
        let column = |text: &str| {
            let text = text.trim();
            let kind = match text.chars().next() {
                Some('#') => Kind::Number,
                Some('+') => Kind::Long,
                Some('_') => Kind::Below,
                _ => Kind::Word,
            };
            Column { head: text.trim_start_matches(['#', '+', '_']).trim().to_owned(), kind }
        };
        Table { columns: columns.split('|').map(column).collect(), rows: vec![] }
    }

    /// The same with rows.
    pub fn with(mut self, rows: impl IntoIterator<Item = Vec<Text>>) -> Table {
        self.rows.extend(rows);
        debug_assert!(self.rows.iter().all(|row| row.len() == self.columns.len()));
        self
    }
}

impl Table {
    /// Without columns that are empty in all rows.
    pub fn filled(&self) -> Table {
        let has = |at: &usize| self.rows.iter().any(|row| !row[*at].is_empty());
        let kept: Vec<usize> = (0..self.columns.len()).filter(has).collect();
        let row = |row: &Vec<Text>| kept.iter().map(|at| row[*at].clone()).collect();
        Table {
            columns: kept.iter().map(|at| self.columns[*at].clone()).collect(),
            rows: self.rows.iter().map(row).collect(),
        }
    }
}

impl Text {
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|piece| piece.words().is_empty())
    }

    /// SQL, or a name.
    pub fn code(text: impl Into<String>) -> Text {
        Text(vec![Piece::Code(text.into())])
    }

    /// Words that matter.
    pub fn strong(text: impl Into<String>) -> Text {
        Text(vec![Piece::Strong(text.into())])
    }

    /// Words that lead somewhere.
    pub fn link(text: impl Into<String>, to: impl Into<String>) -> Text {
        Text(vec![Piece::Link(text.into(), to.into())])
    }

    /// With more behind it.
    pub fn and(mut self, more: impl Into<Text>) -> Text {
        self.0.extend(more.into().0);
        self
    }

    /// Its words alone.
    pub fn words(&self) -> String {
        self.0.iter().map(Piece::words).collect()
    }
}

impl Piece {
    /// Its words alone.
    pub fn words(&self) -> &str {
        match self {
            Piece::Plain(text)
            | Piece::Strong(text)
            | Piece::Good(text)
            | Piece::Bad(text)
            | Piece::Code(text)
            | Piece::Link(text, _)
            | Piece::Spark(_, text) => text,
        }
    }
}

impl From<String> for Text {
    fn from(text: String) -> Text {
        Text(vec![Piece::Plain(text)])
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        text.to_owned().into()
    }
}

impl From<Piece> for Text {
    fn from(piece: Piece) -> Text {
        Text(vec![piece])
    }
}

/// A row of things that are texts.
macro_rules! texts {
    ($($value:expr),* $(,)?) => { vec![$($crate::report::document::Text::from($value)),*] };
}
pub(crate) use texts;
