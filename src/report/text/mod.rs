//! A report for the terminal, in a hundred columns; in colours where that is asked for.

mod layout;
mod table;

use super::Report;
use super::document::{Block, Document, Number, Piece, Text};
use super::numbers::plain;
use super::picture::{DotRow, Drawn, Mark, Picture, spark_text};
use layout::{Line, Tone, wrapped};

/// Columns.
pub(super) const WIDTH: usize = 100;
/// So many lines of a text to copy are shown of statements, which may be long; what is to be run is shown whole.
const LINES: usize = 12;
/// Characters of a small picture.
pub(super) const SPARK: usize = 12;
/// Characters of a picture.
const WIDE: usize = 60;
/// Characters of a row of points, and of its name.
const RAIL: usize = 22;
const NAME: usize = 20;

impl Report {
    /// The report as text. No line is longer than a hundred columns.
    pub fn text(&self, coloured: bool) -> String {
        text(&self.document(), coloured)
    }
}

/// A document as text.
pub fn text(document: &Document, coloured: bool) -> String {
    let mut lines = vec![];
    document.blocks.iter().for_each(|block| put(&mut lines, block));
    lines.iter().map(|line| line.written(WIDTH, coloured) + "\n").collect()
}

fn put(lines: &mut Vec<Line>, block: &Block) {
    match block {
        Block::Heading(level, text, _) => {
            if !lines.is_empty() {
                lines.push(Line::default());
            }
            let words = text.words();
            let words = if *level == 2 { words.to_uppercase() } else { words };
            lines.extend(wrapped(&Piece::Strong(words).into(), WIDTH));
        }
        Block::Say(text) => lines.extend(wrapped(text, WIDTH)),
        Block::Numbers(numbers) => lines.push(numbers_line(numbers)),
        Block::Table(one) => lines.extend(table::lines(one)),
        Block::Notes(notes) => notes.iter().for_each(|note| {
            let wrapped = wrapped(note, WIDTH - 2);
            for (at, line) in wrapped.into_iter().enumerate() {
                lines.push(line.behind(if at == 0 { "- " } else { "  " }));
            }
        }),
        Block::Code(label, text) => code(lines, label, text),
        Block::Picture(picture) => lines.extend(drawn(picture)),
        Block::Slider(_) => {}
        Block::Part(blocks) => blocks.iter().for_each(|block| put(lines, block)),
    }
}

fn numbers_line(numbers: &[Number]) -> Line {
    let mut line = Line::default();
    for number in numbers {
        if !line.is_empty() {
            line.push(Tone::Plain, "   ");
        }
        line.push(Tone::Plain, &format!("{} ", number.name));
        line.push(Tone::Bold, &number.value);
        if number.aside.starts_with("before") {
            line.push(Tone::Plain, &format!(" ({})", number.aside));
        }
    }
    line
}

/// Something to copy. Statements are wrapped; what is to be run keeps its lines, and one that is too long is wrapped between words, which SQL does not mind.
fn code(lines: &mut Vec<Line>, label: &str, text: &str) {
    let is_statement = label == "statement";
    if !is_statement {
        lines.push(Line::of(Tone::Dim, &format!("  {label}:")));
    }
    let mut shown = vec![];
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let indent = indent.min(40);
        let words = wrapped(&Piece::Code(line.trim_start().to_owned()).into(), WIDTH - 4 - indent);
        let before = " ".repeat(4 + indent);
        shown.extend(words.into_iter().map(|line| line.behind(&before)));
    }
    if is_statement && shown.len() > LINES {
        shown.truncate(LINES - 1);
        shown.push(Line::of(Tone::Code, "    ..."));
    }
    lines.extend(shown);
}

/// The letters of marks above a picture of so many characters; one that has no room has none.
fn letters(marks: &[Mark], wide: usize) -> String {
    let mut line = String::new();
    let mut last = "";
    for mark in marks.iter().filter(|mark| std::mem::replace(&mut last, &mark.letter) != mark.letter) {
        let place = ((mark.at * wide as f64) as usize).min(wide.saturating_sub(mark.letter.len()));
        if let Some(blanks) = place.checked_sub(line.len()) {
            line += &format!("{}{}", " ".repeat(blanks), mark.letter);
        }
    }
    line
}

/// A row of points in characters.
fn dot_row(row: &DotRow) -> Line {
    let mut rail = ['·'; RAIL];
    for at in &row.at {
        let place = (at.clamp(0.0, 1.0) * (RAIL - 1) as f64).round() as usize;
        rail[place] = '●';
    }
    let mut name: String = plain(&row.name);
    if name.chars().count() > NAME {
        name = name.chars().take(NAME - 3).collect::<String>() + "...";
    }
    let rail: String = rail.iter().collect();
    Line::of(Tone::Plain, &format!("    {name:NAME$} {rail}  {}", row.aside))
}

/// A picture in characters where that says something, and in words.
fn drawn(picture: &Picture) -> Vec<Line> {
    let mut lines = vec![];
    match &picture.drawn {
        Drawn::Stacked(stacked) => {
            let parts = stacked.layers.iter().map(|layer| layer.1.len()).max().unwrap_or(0);
            let sum = |at: usize| stacked.layers.iter().filter_map(|layer| layer.1.get(at)).sum();
            let sums: Vec<f64> = (0..parts).map(sum).collect();
            lines.push(Line::default());
            let letters = letters(&stacked.marks, spark_text(&sums, WIDE).chars().count());
            lines.extend((!letters.is_empty()).then(|| Line::of(Tone::Dim, &letters)));
            lines.push(Line::of(Tone::Plain, &spark_text(&sums, WIDE)));
            lines.extend(wrapped(&picture.alternative.clone().into(), WIDTH));
        }
        Drawn::Clocks(clocks) => {
            for clock in clocks {
                let bar = "█".repeat((clock.share.clamp(0.0, 1.0) * 20.0).round() as usize);
                lines.push(Line::of(
                    Tone::Plain,
                    &format!("    {:<10}{bar:<20}  {}", clock.name, clock.aside),
                ));
            }
        }
        Drawn::Dots(dots) => {
            lines.push(Line::of(Tone::Dim, &format!("    {}:", picture.title)));
            lines.extend(dots.rows.iter().map(dot_row));
            let (low, high) = &dots.ends;
            let between = RAIL.saturating_sub(low.len() + high.len());
            lines.push(Line::of(Tone::Dim, &format!("    {:NAME$} {low}{}{high}", "", " ".repeat(between))));
            let words = wrapped(&Text::from(picture.alternative.clone()), WIDTH - 4);
            lines.extend(words.into_iter().map(|line| line.behind("    ")));
        }
        Drawn::Histogram(_) => {
            let words = wrapped(&Text::from(picture.alternative.clone()), WIDTH - 4);
            lines.extend(words.into_iter().map(|line| line.behind("    ")));
        }
    }
    lines
}
