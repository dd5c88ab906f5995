//! Pictures, as inline SVG, and what they say in words. Colours are classes of the page's style, so that they follow light and dark.

mod bars;
mod dots;
mod stacked;

use std::fmt::Write as _;

/// A picture.
#[derive(Debug, Clone)]
pub struct Picture {
    /// What it is of.
    pub title: String,
    /// What it says, in words, for whoever does not see it.
    pub alternative: String,
    /// What is drawn.
    pub drawn: Drawn,
}

/// What is drawn.
#[derive(Debug, Clone)]
pub enum Drawn {
    /// Layers on top of each other over time.
    Stacked(Stacked),
    /// How often each length of time was seen, in the colours of who answered.
    Histogram(Vec<Bar>),
    /// Times one under another.
    Clocks(Vec<Clock>),
    /// Points in rows along one scale.
    Dots(Dots),
}

/// Layers on top of each other over time.
#[derive(Debug, Clone, Default)]
pub struct Stacked {
    /// Names of layers with their values, lowest first; all of one length.
    pub layers: Vec<(String, Vec<f64>)>,
    /// What the ends of the axis of time are called.
    pub ends: (String, String),
    /// What the largest sum is called.
    pub top: String,
    /// What happened, in the order of time.
    pub marks: Vec<Mark>,
}

/// Something that happened, on the axis of time.
#[derive(Debug, Clone)]
pub struct Mark {
    /// Its letter; neighbours may have one together.
    pub letter: String,
    /// Where it is, 0 to 1.
    pub at: f64,
    /// From where on it may have happened; the same place, where that is known exactly.
    pub since: f64,
    /// It is of an index, and not what somebody said.
    pub is_index: bool,
}

/// One bar of a histogram.
#[derive(Debug, Clone)]
pub struct Bar {
    /// What it is of, such as `1.0 ms`.
    pub name: String,
    /// How many, by who answered, as [`SERVED_BY`] has them.
    pub counts: [u64; SERVED_BY.len()],
}

/// Who answers, as histograms have it: where both primary and replicas answered, times are not told apart.
pub const SERVED_BY: [&str; 5] = ["primary", "replica", "primary or replica", "cache", "pgweir"];

/// One clock.
#[derive(Debug, Clone)]
pub struct Clock {
    /// Its name.
    pub name: String,
    /// Its part of the time of all, 0 to 1.
    pub share: f64,
    /// What stands beside it.
    pub aside: String,
}

/// Points in rows along one scale.
#[derive(Debug, Clone)]
pub struct Dots {
    /// The rows.
    pub rows: Vec<DotRow>,
    /// What the ends of the scale are called.
    pub ends: (String, String),
}

/// A row of points.
#[derive(Debug, Clone)]
pub struct DotRow {
    /// Its name.
    pub name: String,
    /// Where its points are, 0 to 1.
    pub at: Vec<f64>,
    /// What stands beside it.
    pub aside: String,
}

impl Picture {
    /// As HTML: SVG that says what it shows, and what is written around it.
    pub fn html(&self) -> String {
        match &self.drawn {
            Drawn::Stacked(stacked) => stacked::html(self, stacked),
            Drawn::Histogram(bars) => bars::histogram(self, bars),
            Drawn::Clocks(clocks) => bars::clocks(self, clocks),
            Drawn::Dots(dots) => dots::html(self, dots),
        }
    }
}

/// Numbers over time as a small line, and what they say.
pub fn spark(values: &[f64], alternative: &str) -> String {
    let (width, height) = (120.0, 24.0);
    let mut svg = opened("spark", (width, height), alternative);
    let most = values.iter().copied().fold(0.0, f64::max);
    if most > 0.0 {
        let step = width / (values.len().max(2) - 1) as f64;
        let y = |value: f64| height - 2.0 - value / most * (height - 4.0);
        let points: Vec<_> = values
            .iter()
            .enumerate()
            .map(|(at, value)| format!("{:.1},{:.1}", at as f64 * step, y(*value)))
            .collect();
        let points = points.join(" ");
        let _ = write!(svg, "<polyline class=\"line\" points=\"{points}\"/>");
    }
    svg + "</svg>"
}

/// The same in characters, at most so many.
pub fn spark_text(values: &[f64], most: usize) -> String {
    const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let group = values.len().div_ceil(most.max(1)).max(1);
    let sums: Vec<f64> =
        values.chunks(group).map(|some| some.iter().sum::<f64>() / some.len() as f64).collect();
    let top = sums.iter().copied().fold(0.0, f64::max);
    let step = |value: &f64| match *value {
        value if value <= 0.0 || top <= 0.0 => ' ',
        value => STEPS[((value / top * 8.0).ceil() as usize).clamp(1, 8) - 1],
    };
    sums.iter().map(step).collect()
}

/// The beginning of an SVG that says what it shows.
fn opened(class: &str, (width, height): (f64, f64), alternative: &str) -> String {
    let words = escaped(alternative);
    format!(
        "<svg class=\"{class}\" viewBox=\"0 0 {width:.0} {height:.0}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{words}\"><title>{words}</title>"
    )
}

/// A line of a legend.
fn colour(class: &str, name: &str) -> String {
    let square = format!(
        "<svg viewBox=\"0 0 10 10\" aria-hidden=\"true\"><rect class=\"{class}\" width=\"10\" height=\"10\"/></svg>"
    );
    format!("<li>{square}{}</li>", escaped(name))
}

/// A text as HTML and SVG take it, between tags and in quotes.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in super::numbers::plain(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparks_are_short_and_zero_is_nothing() {
        assert_eq!(spark_text(&[0.0, 1.0, 4.0, 8.0], 10), " ▁▄█");
        assert_eq!(spark_text(&[2.0; 48], 24), "█".repeat(24));
        assert_eq!(spark_text(&[], 24), "");
        assert_eq!(spark_text(&[0.0; 3], 24), "   ");
        let svg = spark(&[1.0, 2.0], "a <b> \"c\"");
        assert!(svg.contains("aria-label=\"a &lt;b&gt; &quot;c&quot;\"") && svg.contains("polyline"));
        assert!(!spark(&[0.0, 0.0], "").contains("NaN") && !spark(&[], "").contains("NaN"));
    }
}
