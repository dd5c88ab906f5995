//! Points in rows along one scale.

use std::fmt::Write as _;

use super::{Dots, Picture, escaped};

/// Rows of points. Places are shares of the room that there is, so points stay round.
pub(super) fn html(picture: &Picture, dots: &Dots) -> String {
    let mut out = format!("<ul class=\"dots\" aria-label=\"{}\">", escaped(&picture.alternative));
    for row in &dots.rows {
        let _ = write!(
            out,
            "<li><span>{}</span><svg aria-hidden=\"true\"><line class=\"rail\" x1=\"0\" y1=\"50%\" x2=\"100%\" y2=\"50%\"/>",
            escaped(&row.name)
        );
        for at in &row.at {
            // A point at an end is within, too.
            let at = 1.5 + at.clamp(0.0, 1.0) * 97.0;
            let _ = write!(out, "<circle class=\"c0\" cx=\"{at:.1}%\" cy=\"50%\" r=\"4.5\"/>");
        }
        let _ = write!(out, "</svg><span>{}</span></li>", escaped(&row.aside));
    }
    let (low, high) = &dots.ends;
    let _ = write!(
        out,
        "<li class=\"scale\" aria-hidden=\"true\"><span></span><span class=\"axis\"><span>{}</span><span>{}</span></span><span></span></li></ul>",
        escaped(low),
        escaped(high)
    );
    out
}
