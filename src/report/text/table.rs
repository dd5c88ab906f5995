//! A table in a terminal: numbers to the right, what is long in what is left, statements below their rows.

use super::super::document::{Kind, Piece, Table, Text};
use super::WIDTH;
use super::layout::{Line, Tone, wrapped};

/// The widest that a column of words becomes.
const WORDS: usize = 34;
/// The least that is left to a long column.
const LEAST: usize = 24;
/// So many lines of a statement stand below its row.
const BELOW: usize = 3;
/// How far they stand in.
const INDENT: &str = "    ";

/// The lines of a table.
pub(super) fn lines(table: &Table) -> Vec<Line> {
    if table.rows.is_empty() {
        return vec![];
    }
    let table = table.filled();
    let mut shown: Vec<usize> =
        (0..table.columns.len()).filter(|at| table.columns[*at].kind != Kind::Below).collect();
    let mut gap = 2;
    if needed(&table, &shown, gap) > WIDTH {
        gap = 1;
    }
    if needed(&table, &shown, gap) > WIDTH {
        shown.retain(|at| !table.rows.iter().any(|row| is_spark(&row[*at])));
    }
    let widths = widths(&table, &shown, gap);
    let heads = shown.iter().map(|at| vec![Line::of(Tone::Dim, &table.columns[*at].head)]).collect();
    let mut lines = vec![];
    if table.columns.iter().any(|column| !column.head.is_empty()) {
        lines.extend(row_lines(&table, &shown, &widths, gap, heads));
    }
    for row in &table.rows {
        let cells =
            shown.iter().zip(&widths).map(|(at, width)| wrapped(&row[*at], (*width).max(1))).collect();
        lines.extend(row_lines(&table, &shown, &widths, gap, cells));
        for (column, cell) in table.columns.iter().zip(row) {
            if column.kind == Kind::Below {
                lines.extend(below(cell));
            }
        }
    }
    lines
}

fn is_spark(cell: &Text) -> bool {
    cell.0.iter().any(|piece| matches!(piece, Piece::Spark(..)))
}

/// The columns that a cell would take.
fn natural(cell: &Text) -> usize {
    wrapped(cell, 10_000).first().map_or(0, Line::width)
}

/// What a column would take at its widest; a long one at its least.
fn widest(table: &Table, at: usize) -> usize {
    let head = table.columns[at].head.chars().count();
    let cells = table.rows.iter().map(|row| natural(&row[at])).max().unwrap_or(0).max(head);
    match table.columns[at].kind {
        Kind::Long => cells.min(LEAST),
        Kind::Word => cells.min(WORDS).max(head),
        Kind::Number | Kind::Below => cells,
    }
}

fn needed(table: &Table, shown: &[usize], gap: usize) -> usize {
    shown.iter().map(|at| widest(table, *at) + gap).sum::<usize>().saturating_sub(gap)
}

/// The columns of each; long ones share what is left.
fn widths(table: &Table, shown: &[usize], gap: usize) -> Vec<usize> {
    let mut widths: Vec<usize> = shown.iter().map(|at| widest(table, *at)).collect();
    let long: Vec<usize> =
        (0..shown.len()).filter(|at| table.columns[shown[*at]].kind == Kind::Long).collect();
    let mut left = WIDTH.saturating_sub(needed(table, shown, gap));
    for (done, place) in long.iter().enumerate() {
        let wanted = table.rows.iter().map(|row| natural(&row[shown[*place]])).max().unwrap_or(0);
        let more = (left / (long.len() - done)).min(wanted.saturating_sub(widths[*place]));
        widths[*place] += more;
        left -= more;
    }
    widths
}

/// A row: as many lines as its highest cell has.
fn row_lines(
    table: &Table,
    shown: &[usize],
    widths: &[usize],
    gap: usize,
    cells: Vec<Vec<Line>>,
) -> Vec<Line> {
    let height = cells.iter().map(Vec::len).max().unwrap_or(0).max(1);
    let mut lines = vec![];
    for at in 0..height {
        let mut line = Line::default();
        for (place, (cell, width)) in cells.iter().zip(widths).enumerate() {
            let part = cell.get(at).cloned().unwrap_or_default();
            let blank = " ".repeat(width.saturating_sub(part.width()));
            let between = " ".repeat(if place + 1 < cells.len() { gap } else { 0 });
            match table.columns[shown[place]].kind {
                Kind::Number => {
                    line.push(Tone::Plain, &blank);
                    line.append(part);
                    line.push(Tone::Plain, &between);
                }
                _ => {
                    line.append(part);
                    line.push(Tone::Plain, &(blank + &between));
                }
            }
        }
        lines.push(line);
    }
    lines
}

/// What stands below a row.
fn below(cell: &Text) -> Vec<Line> {
    let mut lines = wrapped(cell, WIDTH - INDENT.len() - 4);
    if lines.len() > BELOW {
        lines.truncate(BELOW);
        if let Some(last) = lines.last_mut() {
            last.push(Tone::Code, " ...");
        }
    }
    lines.into_iter().map(|line| line.behind(INDENT)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::document::texts;

    #[test]
    fn tables_fit_whatever_is_in_them() {
        let long = "a sentence of several words ".repeat(20);
        let table = Table::new("|+ what|# n|price|_ statement").with([
            texts![
                "Q1",
                long.clone(),
                "1",
                "13 MB, +0.9 s of writes a day and more words",
                Piece::Code("select ".repeat(99))
            ],
            texts!["Q2", "x".repeat(300), "12345", "-", ""],
        ]);
        let shown: Vec<String> = lines(&table).iter().map(|line| line.written(WIDTH, false)).collect();
        assert!(shown.iter().all(|line| line.chars().count() <= WIDTH && !line.ends_with("...") || line.ends_with(" ...")), "{shown:#?}");
        assert!(shown.len() > 10 && shown.iter().any(|line| line.contains("12345")));
    }
}
