//! A report as Markdown (GitHub's), for an issue or a merge request.

use std::fmt::Write as _;

use super::Report;
use super::document::{Block, Document, Kind, Piece, Table, Text};
use super::numbers::plain;
use super::picture::spark_text;

/// Characters of a small picture.
const SPARK: usize = 12;

impl Report {
    /// The report as Markdown.
    pub fn markdown(&self) -> String {
        markdown(&self.document())
    }
}

/// A document as Markdown.
pub fn markdown(document: &Document) -> String {
    let mut out = String::new();
    document.blocks.iter().for_each(|block| put(&mut out, block));
    out
}

fn put(out: &mut String, block: &Block) {
    let _ = match block {
        Block::Heading(level, text, name) => {
            let marks = "#".repeat(usize::from(*level));
            writeln!(out, "<a id=\"{name}\"></a>\n\n{marks} {}\n", inline(text))
        }
        Block::Say(text) => writeln!(out, "{}\n", inline(text)),
        Block::Numbers(numbers) => {
            for number in numbers {
                let aside = if number.aside.is_empty() {
                    String::new()
                } else {
                    format!(" ({})", escaped(&number.aside))
                };
                let _ = writeln!(out, "- {}: **{}**{aside}", escaped(&number.name), escaped(&number.value));
            }
            writeln!(out)
        }
        Block::Table(one) => {
            table(out, &one.filled());
            writeln!(out)
        }
        Block::Notes(notes) => {
            for note in notes {
                let _ = writeln!(out, "- {}", inline(note));
            }
            writeln!(out)
        }
        Block::Code(label, text) => {
            let text = text.lines().map(plain).collect::<Vec<_>>().join("\n");
            let fence = "`".repeat(longest_run(&text).max(2) + 1);
            let kind = if label.starts_with("a rule") {
                "toml"
            } else if label.starts_with("plan") {
                ""
            } else {
                "sql"
            };
            writeln!(out, "{}:\n\n{fence}{kind}\n{text}\n{fence}\n", escaped(label))
        }
        Block::Picture(picture) => {
            writeln!(out, "*{}.* {}\n", escaped(&picture.title), escaped(&picture.alternative))
        }
        Block::Slider(_) => Ok(()),
        Block::Part(blocks) => {
            blocks.iter().for_each(|block| put(out, block));
            Ok(())
        }
    };
}

fn table(out: &mut String, table: &Table) {
    if table.rows.is_empty() {
        return;
    }
    let heads: Vec<_> = table.columns.iter().map(|column| escaped(&column.head)).collect();
    let rules = table.columns.iter().map(|column| if column.kind == Kind::Number { "---:" } else { "---" });
    let _ = writeln!(out, "| {} |\n| {} |", heads.join(" | "), rules.collect::<Vec<_>>().join(" | "));
    for row in &table.rows {
        let cells: Vec<_> = row.iter().map(inline).collect();
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
}

fn inline(text: &Text) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Plain(text) => escaped(text),
        Piece::Strong(text) | Piece::Good(text) | Piece::Bad(text) if text.trim().is_empty() => escaped(text),
        Piece::Strong(text) | Piece::Good(text) | Piece::Bad(text) => {
            let inner = text.trim();
            let lead = &text[..text.len() - text.trim_start().len()];
            let tail = &text[text.trim_end().len()..];
            format!("{lead}**{}**{tail}", escaped(inner))
        }
        Piece::Code(text) => code(text),
        Piece::Link(text, to) if to.starts_with('/') => escaped(text),
        Piece::Link(text, to) => format!("[{}](#{to})", escaped(text)),
        Piece::Spark(values, _) => spark_text(values, SPARK).trim_end().replace(' ', "\u{2007}"),
    };
    text.0.iter().map(piece).collect()
}

/// A span of code; a bar in it would end a cell of a table.
fn code(text: &str) -> String {
    let text = plain(text);
    if text.trim().is_empty() {
        return String::new();
    }
    let fence = "`".repeat(longest_run(&text) + 1);
    let blank = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{blank}{}{blank}{fence}", text.replace('|', "\\|"))
}

/// The longest run of back quotes.
fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// Words that are nothing but words.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in plain(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' | '@' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_more_than_words() {
        assert_eq!(escaped("<b> [x](y) `a` @all #1 a|b"), "&lt;b&gt; \\[x\\](y) \\`a\\` \\@all \\#1 a\\|b");
        assert_eq!(code("a ``b`` | c\nd"), "```a ``b`` \\| c d```");
        assert_eq!(code("`x`"), "`` `x` ``");
        assert_eq!(inline(&Piece::Bad(" reads all ".into()).into()), " **reads all** ");
    }
}
