//! A slider without a script: a row of choices of which one holds, each with what it says; the style shows that of the one that holds.

use std::fmt::Write as _;

use crate::report::document::Slider;
use crate::report::picture::escaped;

/// The slider. Its stops are radio buttons of one name: arrow keys go from one to the next, a finger takes one or its label.
pub(super) fn html(slider: &Slider) -> String {
    let (name, stops) = (escaped(&slider.name), slider.stops.len());
    let mut out =
        format!("<fieldset class=\"slider stops-{stops}\"><legend>{}</legend>", escaped(&slider.asks));
    for (at, stop) in slider.stops.iter().enumerate() {
        let chosen = if at == slider.chosen { " checked" } else { "" };
        let _ = write!(
            out,
            "<input type=\"radio\" name=\"{name}\" id=\"{name}-{at}\"{chosen}><label for=\"{name}-{at}\">{}</label>",
            escaped(&stop.name)
        );
    }
    out.push_str("<div class=\"said\" aria-live=\"polite\">");
    for stop in &slider.stops {
        let wide = (stop.share.clamp(0.0, 1.0) * 400.0).max(2.0);
        let _ = write!(
            out,
            "<div><svg viewBox=\"0 0 400 14\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"track\" width=\"400\" height=\"14\"/>\
             <rect class=\"c2\" width=\"{wide:.1}\" height=\"14\"/></svg><p>{}</p></div>",
            escaped(&stop.says)
        );
    }
    out + "</div></fieldset>\n"
}
