//! Lines of a terminal: how wide they are, where they end, and their colours.

use super::super::document::{Piece, Text};
use super::super::numbers::plain;
use super::super::picture::spark_text;
use super::SPARK;

/// How words look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Tone {
    /// As all others.
    #[default]
    Plain,
    /// They matter.
    Bold,
    /// They are less.
    Dim,
    /// A name that leads somewhere.
    Name,
    /// What is good.
    Good,
    /// What is bad.
    Bad,
    /// SQL.
    Code,
}

impl Tone {
    /// The number that a terminal takes for it (ECMA-48, SGR); none where it is as all others.
    fn number(self) -> Option<u8> {
        match self {
            Tone::Plain | Tone::Code => None,
            Tone::Bold => Some(1),
            Tone::Dim => Some(2),
            Tone::Name => Some(36),
            Tone::Good => Some(32),
            Tone::Bad => Some(31),
        }
    }
}

/// A line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line(Vec<(Tone, String)>);

impl Line {
    /// One of these words.
    pub(super) fn of(tone: Tone, text: &str) -> Line {
        Line(vec![(tone, plain(text))])
    }

    /// Adds words.
    pub(super) fn push(&mut self, tone: Tone, text: &str) {
        match self.0.last_mut() {
            Some((known, words)) if *known == tone => words.push_str(text),
            _ => self.0.push((tone, text.to_owned())),
        }
    }

    /// Adds another line.
    pub(super) fn append(&mut self, other: Line) {
        other.0.into_iter().for_each(|(tone, text)| self.push(tone, &text));
    }

    /// The same with something in front.
    pub(super) fn behind(self, front: &str) -> Line {
        let mut line = Line(vec![(Tone::Plain, front.to_owned())]);
        line.append(self);
        line
    }

    /// Whether nothing is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|(_, text)| text.is_empty())
    }

    /// Its columns.
    pub(super) fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| width(text)).sum()
    }

    /// As it is written; what does not fit is left out.
    pub(super) fn written(&self, most: usize, coloured: bool) -> String {
        let fits = self.trimmed().width() <= most;
        let mut left = if fits { most } else { most - 3 };
        let mut out = String::new();
        for (tone, text) in &self.trimmed().0 {
            let mut shown = String::new();
            for c in text.chars() {
                let columns = columns(c);
                if columns > left {
                    left = 0;
                    break;
                }
                left -= columns;
                shown.push(c);
            }
            match tone.number().filter(|_| coloured && !shown.trim().is_empty()) {
                Some(number) => out += &format!("\u{1b}[{number}m{shown}\u{1b}[0m"),
                None => out += &shown,
            }
            if left == 0 {
                break;
            }
        }
        if !fits {
            out += "...";
        }
        out
    }

    /// Without blanks at its end.
    fn trimmed(&self) -> Line {
        let mut line = self.clone();
        while let Some((_, text)) = line.0.last_mut() {
            text.truncate(text.trim_end_matches(' ').len());
            if !text.is_empty() {
                break;
            }
            line.0.pop();
        }
        line
    }
}

/// Columns of a text.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// Columns of a character: two for those of East Asia and for pictures, none for marks upon others.
fn columns(c: char) -> usize {
    match c {
        '\u{300}'..='\u{36f}'
        | '\u{1ab0}'..='\u{1aff}'
        | '\u{20d0}'..='\u{20ff}'
        | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

/// A text in lines of so many columns. Words are kept whole where they fit.
pub(super) fn wrapped(text: &Text, most: usize) -> Vec<Line> {
    let mut lines = vec![Line::default()];
    let mut used = 0;
    for (tone, words) in text.0.iter().map(toned) {
        for (at, word) in words.split(' ').enumerate() {
            // A blank stands between words, also between pieces where one has it at its end.
            let blank = usize::from(at > 0);
            if used > 0 && used + blank + width(word) > most && (blank > 0 || width(word) <= most) {
                lines.push(Line::default());
                used = 0;
            }
            if blank > 0 && used > 0 {
                put(&mut lines, tone, " ");
                used += 1;
            }
            for c in word.chars() {
                if used + columns(c) > most {
                    lines.push(Line::default());
                    used = 0;
                }
                used += columns(c);
                put(&mut lines, tone, c.encode_utf8(&mut [0; 4]));
            }
        }
    }
    lines.retain(|line| !line.is_empty());
    lines
}

fn put(lines: &mut [Line], tone: Tone, text: &str) {
    if let Some(line) = lines.last_mut() {
        line.push(tone, text);
    }
}

/// How a piece looks, and its words.
fn toned(piece: &Piece) -> (Tone, String) {
    let tone = match piece {
        Piece::Plain(_) => Tone::Plain,
        Piece::Strong(_) => Tone::Bold,
        Piece::Good(_) => Tone::Good,
        Piece::Bad(_) => Tone::Bad,
        Piece::Code(_) => Tone::Code,
        Piece::Link(..) => Tone::Name,
        Piece::Spark(values, _) => return (Tone::Plain, spark_text(values, SPARK).trim_end().to_owned()),
    };
    (tone, plain(piece.words()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &Text, most: usize) -> Vec<String> {
        wrapped(text, most).iter().map(|line| line.written(most, false)).collect()
    }

    #[test]
    fn words_are_kept_whole_where_they_fit() {
        let text = Text::from("one two").and(Piece::Bad(" three".into())).and(", four");
        assert_eq!(shown(&text, 9), ["one two", "three,", "four"]);
        assert_eq!(
            shown(&"x".repeat(25).as_str().into(), 10),
            ["x".repeat(10), "x".repeat(10), "x".repeat(5)]
        );
        assert_eq!(shown(&"".into(), 10), [""; 0]);
    }

    #[test]
    fn wide_characters_take_two_columns_and_colours_none() {
        let line = Line::of(Tone::Bad, &"表".repeat(60));
        assert_eq!(line.written(100, false).chars().count(), 48 + 3);
        assert_eq!(Line::of(Tone::Bad, "x\u{1b}[2J").written(10, true), "\u{1b}[31mx [2J\u{1b}[0m");
        assert_eq!(Line::of(Tone::Good, "x").written(10, false), "x");
    }
}
