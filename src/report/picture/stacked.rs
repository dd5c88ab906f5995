//! Layers on top of each other over time.

use std::fmt::Write as _;

use super::{Mark, Picture, Stacked, colour, escaped, opened};

/// Of the whole, in units of its own: it is stretched to the room that there is, so nothing is written in it.
const SIZE: (f64, f64) = (960.0, 180.0);

/// The picture, and what is written around it.
pub(super) fn html(picture: &Picture, stacked: &Stacked) -> String {
    let parts = stacked.layers.iter().map(|layer| layer.1.len()).max().unwrap_or(0);
    let sum = |at: usize| stacked.layers.iter().filter_map(|layer| layer.1.get(at)).sum::<f64>();
    let top = (0..parts).map(sum).fold(0.0, f64::max);
    let mut out = format!("<p class=\"axis\"><span>{}</span></p>", escaped(&stacked.top));
    out += &letters(&stacked.marks);
    out += &opened("plot", SIZE, &picture.alternative);
    let width = SIZE.0 / parts.max(1) as f64;
    for at in (0..parts).filter(|_| top > 0.0) {
        let mut y = SIZE.1;
        for (layer, (_, values)) in stacked.layers.iter().enumerate() {
            let height = values.get(at).copied().unwrap_or(0.0) / top * SIZE.1;
            if height < 0.05 {
                continue;
            }
            y -= height;
            let (class, x) = (layer_class(layer, stacked.layers.len()), at as f64 * width);
            let wide = width * 0.92;
            let _ = write!(
                out,
                "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"{height:.1}\"/>"
            );
        }
    }
    stacked.marks.iter().for_each(|mark| out += &line(mark));
    let (from, to) = &stacked.ends;
    let _ =
        write!(out, "</svg><p class=\"axis\"><span>{}</span><span>{}</span></p>", escaped(from), escaped(to));
    let legend = stacked.layers.iter().enumerate();
    let legend = legend.map(|(layer, (name, _))| colour(&layer_class(layer, stacked.layers.len()), name));
    let marked = [(false, "deploy"), (true, "index")]
        .into_iter()
        .filter(|(is_index, _)| stacked.marks.iter().any(|mark| mark.is_index == *is_index));
    let marked = marked.map(|(_, kind)| {
        format!("<li><svg viewBox=\"0 0 10 10\" aria-hidden=\"true\"><line class=\"mark {kind}\" x1=\"5\" y1=\"0\" x2=\"5\" y2=\"10\"/></svg>{kind}</li>")
    });
    let legend = legend.chain(marked);
    let _ = write!(out, "<ul class=\"legend\">{}</ul>", legend.collect::<String>());
    out
}

/// The letters of marks above the picture. It is not stretched: what is written in it keeps its form.
fn letters(marks: &[Mark]) -> String {
    if marks.is_empty() {
        return String::new();
    }
    let mut out = "<svg class=\"letters\" aria-hidden=\"true\">".to_owned();
    let mut last = "";
    for mark in marks.iter().filter(|mark| std::mem::replace(&mut last, &mark.letter) != mark.letter) {
        // At the ends it stands within.
        let anchor = match mark.at {
            at if at < 0.02 => "start",
            at if at > 0.98 => "end",
            _ => "middle",
        };
        let (at, letter) = (mark.at * 100.0, escaped(&mark.letter));
        let _ = write!(out, "<text x=\"{at:.2}%\" y=\"12\" text-anchor=\"{anchor}\">{letter}</text>");
    }
    out + "</svg>"
}

/// The line of a mark, and the time in which it may have happened.
fn line(mark: &Mark) -> String {
    let (at, since) = (mark.at * SIZE.0, mark.since * SIZE.0);
    let kind = if mark.is_index { "index" } else { "deploy" };
    let mut out = String::new();
    if at - since > 1.0 {
        let (wide, tall) = (at - since, SIZE.1);
        let _ = write!(
            out,
            "<rect class=\"between\" x=\"{since:.1}\" y=\"0\" width=\"{wide:.1}\" height=\"{tall}\"/>"
        );
    }
    // All of it is seen at the ends, too.
    let at = at.clamp(1.0, SIZE.0 - 1.0);
    let _ =
        write!(out, "<line class=\"mark {kind}\" x1=\"{at:.1}\" y1=\"0\" x2=\"{at:.1}\" y2=\"{}\"/>", SIZE.1);
    out
}

/// The colour of a layer; the last of several is that of all others.
fn layer_class(layer: usize, layers: usize) -> String {
    if layer + 1 == layers && layers > 1 { "c-rest".to_owned() } else { format!("c{}", layer % 8) }
}
