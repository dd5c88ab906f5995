//! Bars: of a histogram side by side, of clocks one under another.

use std::fmt::Write as _;

use super::{Bar, Clock, Picture, SERVED_BY, colour, escaped, opened};
use crate::report::numbers::count;

/// Of a histogram, in units of its own: it is stretched to the room that there is, so nothing is written in it.
const SIZE: (f64, f64) = (960.0, 140.0);

/// How often each length of time was seen.
pub(super) fn histogram(picture: &Picture, bars: &[Bar]) -> String {
    let all = |bar: &Bar| bar.counts.iter().sum::<u64>();
    let most = bars.iter().map(all).max().unwrap_or(0);
    let mut out = format!("<p class=\"axis\"><span>{} statements</span></p>", count(most));
    out += &opened("plot", SIZE, &picture.alternative);
    let step = SIZE.0 / bars.len().max(1) as f64;
    for (at, bar) in bars.iter().enumerate() {
        let (x, mut y) = (at as f64 * step, SIZE.1);
        for (class, count) in bar.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            // What there is, is seen.
            let tall = (*count as f64 / most.max(1) as f64 * SIZE.1).max(1.5);
            y -= tall;
            let wide = step * 0.9;
            let _ = write!(
                out,
                "<rect class=\"s{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"{tall:.1}\"/>"
            );
        }
    }
    let ends = [bars.first(), bars.get(bars.len() / 2), bars.last()];
    let ends = ends.into_iter().flatten().map(|bar| format!("<span>{}</span>", escaped(&bar.name)));
    let _ = write!(out, "</svg><p class=\"axis\">{}</p>", ends.collect::<String>());
    let seen = |class: &usize| bars.iter().any(|bar| bar.counts[*class] > 0);
    let legend =
        (0..SERVED_BY.len()).filter(seen).map(|class| colour(&format!("s{class}"), SERVED_BY[class]));
    let _ = write!(out, "<ul class=\"legend\">{}</ul>", legend.collect::<String>());
    out
}

/// Times one under another.
pub(super) fn clocks(picture: &Picture, clocks: &[Clock]) -> String {
    let mut out = format!("<ul class=\"clocks\" aria-label=\"{}\">", escaped(&picture.alternative));
    for (at, clock) in clocks.iter().enumerate() {
        let wide = clock.share.clamp(0.0, 1.0) * 400.0;
        let wide = if clock.share > 0.0 { wide.max(2.0) } else { 0.0 };
        let _ = write!(
            out,
            "<li><span>{}</span><svg viewBox=\"0 0 400 12\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
             <rect class=\"track\" width=\"400\" height=\"12\"/><rect class=\"c{at}\" width=\"{wide:.1}\" height=\"12\"/></svg><span>{}</span></li>",
            escaped(&clock.name),
            escaped(&clock.aside)
        );
    }
    out + "</ul>"
}
