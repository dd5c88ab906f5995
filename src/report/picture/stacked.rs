//! Layers on top of each other over time.

use std::fmt::Write as _;

use super::{Picture, Stacked, colour, escaped, opened};

/// Of the whole, in units of its own: it is stretched to the room that there is, so nothing is written in it.
const SIZE: (f64, f64) = (960.0, 180.0);

/// The picture, and what is written around it.
pub(super) fn html(picture: &Picture, stacked: &Stacked) -> String {
    let parts = stacked.layers.iter().map(|layer| layer.1.len()).max().unwrap_or(0);
    let sum = |at: usize| stacked.layers.iter().filter_map(|layer| layer.1.get(at)).sum::<f64>();
    let top = (0..parts).map(sum).fold(0.0, f64::max);
    let mut out = format!("<p class=\"axis\"><span>{}</span></p>", escaped(&stacked.top));
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
    let (from, to) = &stacked.ends;
    let _ =
        write!(out, "</svg><p class=\"axis\"><span>{}</span><span>{}</span></p>", escaped(from), escaped(to));
    let legend = stacked.layers.iter().enumerate();
    let legend = legend.map(|(layer, (name, _))| colour(&layer_class(layer, stacked.layers.len()), name));
    let _ = write!(out, "<ul class=\"legend\">{}</ul>", legend.collect::<String>());
    out
}

/// The colour of a layer; the last of several is that of all others.
fn layer_class(layer: usize, layers: usize) -> String {
    if layer + 1 == layers && layers > 1 { "c-rest".to_owned() } else { format!("c{}", layer % 8) }
}
