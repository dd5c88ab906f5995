//! A report as HTML: one file without a network and without scripts; and the same parts for the pages of a running pgweir.

mod slider;

use std::fmt::Write as _;

use super::Report;
use super::document::{Block, Column, Document, Kind, Number, Piece, Table, Text};
use super::picture::{escaped, spark};

/// The style of reports and pages: light and dark, for screens of any width, and for paper.
pub const STYLE: &str = include_str!("style.css");

/// What a page may do: nothing but show itself. In the file of a report its style stands inside.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

impl Report {
    /// The report as one file.
    pub fn html(&self) -> String {
        let head = format!(
            "<meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n<style>\n{STYLE}</style>"
        );
        page(&self.document(), &head, &contents(&self.document()))
    }
}

/// A document as a page. `head` and `navigation` are HTML.
pub fn page(document: &Document, head: &str, navigation: &str) -> String {
    let title = escaped(&document.title);
    let body = body(document);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n{head}\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#main\">To the report</a>\n{navigation}\n<main id=\"main\">\n{body}</main>\n</body>\n</html>\n"
    )
}

/// What is in a document.
pub fn body(document: &Document) -> String {
    let mut out = String::new();
    document.blocks.iter().for_each(|block| put(&mut out, block));
    out
}

/// Links to the sections of a document.
fn contents(document: &Document) -> String {
    let sections = document.blocks.iter().filter_map(|block| match block {
        Block::Heading(2, text, name) => {
            Some(format!("<a href=\"#{}\">{}</a>", escaped(name), escaped(&text.words())))
        }
        _ => None,
    });
    navigation(&sections.collect::<String>())
}

/// A bar of links.
pub fn navigation(links: &str) -> String {
    format!("<nav aria-label=\"Sections\">{links}</nav>")
}

fn put(out: &mut String, block: &Block) {
    let _ = match block {
        Block::Heading(level, text, name) => {
            let level = (*level).clamp(1, 4);
            writeln!(out, "<h{level} id=\"{}\">{}</h{level}>", escaped(name), inline(text))
        }
        Block::Say(text) => writeln!(out, "<p>{}</p>", inline(text)),
        Block::Numbers(numbers) => {
            writeln!(out, "<dl class=\"numbers\">{}</dl>", numbers.iter().map(number).collect::<String>())
        }
        Block::Table(one) => {
            table(out, &one.filled());
            Ok(())
        }
        Block::Notes(notes) => {
            let items: String = notes.iter().map(|note| format!("<li>{}</li>", inline(note))).collect();
            writeln!(out, "<ul>{items}</ul>")
        }
        Block::Code(label, text) => {
            let text = text.lines().map(escaped).collect::<Vec<_>>().join("\n");
            let label = escaped(label);
            writeln!(
                out,
                "<figure class=\"code\"><figcaption>{label}</figcaption><pre tabindex=\"0\" aria-label=\"{label}\">{text}</pre></figure>"
            )
        }
        Block::Picture(picture) => {
            writeln!(
                out,
                "<figure><figcaption>{}</figcaption>{}</figure>",
                escaped(&picture.title),
                picture.html()
            )
        }
        Block::Slider(one) => {
            out.push_str(&slider::html(one));
            Ok(())
        }
        Block::Part(blocks) => {
            out.push_str("<section class=\"part\">\n");
            blocks.iter().for_each(|block| put(out, block));
            writeln!(out, "</section>")
        }
    };
}

fn number(number: &Number) -> String {
    let aside = if number.aside.is_empty() {
        String::new()
    } else {
        format!("<small>{}</small>", escaped(&number.aside))
    };
    format!("<div><dt>{}</dt><dd>{}{aside}</dd></div>", escaped(&number.name), escaped(&number.value))
}

/// A table. On a narrow screen each row becomes a list of its cells, under the names that its columns have.
fn table(out: &mut String, table: &Table) {
    if table.rows.is_empty() {
        return;
    }
    let _ = write!(out, "<table>");
    if table.columns.iter().any(|column| !column.head.is_empty()) {
        let head = |column: &Column| {
            format!("<th scope=\"col\" class=\"{}\">{}</th>", class(column.kind), escaped(&column.head))
        };
        let _ = write!(out, "<thead><tr>{}</tr></thead>", table.columns.iter().map(head).collect::<String>());
    }
    out.push_str("<tbody>");
    for row in &table.rows {
        let cells = row.iter().zip(&table.columns).map(|(cell, column)| {
            let empty = if cell.is_empty() { " empty" } else { "" };
            format!(
                "<td class=\"{}{empty}\" data-head=\"{}\">{}</td>",
                class(column.kind),
                escaped(&column.head),
                inline(cell)
            )
        });
        let _ = write!(out, "<tr>{}</tr>", cells.collect::<String>());
    }
    out.push_str("</tbody></table>\n");
}

fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Word => "word",
        Kind::Number => "number",
        Kind::Long => "long",
        Kind::Below => "statement",
    }
}

fn inline(text: &Text) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Plain(text) => escaped(text),
        Piece::Strong(text) => format!("<strong>{}</strong>", escaped(text)),
        Piece::Good(text) => format!("<span class=\"good\">{}</span>", escaped(text)),
        Piece::Bad(text) => format!("<span class=\"bad\">{}</span>", escaped(text)),
        Piece::Code(text) if text.is_empty() => String::new(),
        Piece::Code(text) => format!("<code>{}</code>", escaped(text)),
        // An address is made here alone: it leads nowhere else.
        Piece::Link(text, to) if to.starts_with('/') && !to.starts_with("//") => {
            format!("<a href=\"{}\">{}</a>", escaped(to), escaped(text))
        }
        Piece::Link(text, to) => format!("<a href=\"#{}\">{}</a>", escaped(to), escaped(text)),
        Piece::Spark(values, words) => spark(values, words),
    };
    text.0.iter().map(piece).collect()
}
