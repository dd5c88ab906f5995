//! Times by values, as a picture and in words.

use super::super::document::Block;
use super::super::numbers::{count, rough, time};
use super::super::picture::{DotRow, Dots, Drawn, Picture};
use super::super::skew::{Group, Skew};

/// So many values are shown: those that took longest.
const LISTED: usize = 12;
/// So many are named in the words of the picture.
const NAMED: usize = 6;
/// What a point is.
const METHOD: &str = "Each point is one call that was kept: of the slowest, of the values that came most often, of some that came once, of the newest. \
    #... stands for a value that may not be seen (history.clear_values), the same for the same one.";

/// Times by values.
pub(super) fn blocks(skew: &Skew) -> Vec<Block> {
    vec![Block::Picture(picture(skew)), Block::say(METHOD)]
}

fn picture(skew: &Skew) -> Picture {
    let by = match &skew.by {
        Some(by) if by.column.is_empty() => format!("${}", by.number),
        Some(by) => format!("${} ({})", by.number, by.column),
        None => "all values that differ".to_owned(),
    };
    let (least, most) = skew.ends();
    let (low, high) = scale((least, most));
    let place = |micros: u64| {
        let log = |micros: u64| (micros.max(1) as f64).ln();
        (log(micros) - log(low)) / (log(high) - log(low)).max(f64::MIN_POSITIVE)
    };
    let row = |group: &Group| DotRow {
        name: group.name.clone(),
        at: group.micros.iter().map(|micros| place(*micros)).collect(),
        aside: aside(group),
    };
    let rows = skew.groups.iter().take(LISTED).map(row).collect();
    let mut words: Vec<_> =
        skew.groups.iter().take(NAMED).map(|group| format!("{} {}", group.name, aside(group))).collect();
    let more = skew.groups.len().saturating_sub(NAMED);
    words.extend((more > 0).then(|| format!("and {more} more")));
    let alternative = format!(
        "Times of {} calls that were kept, by {by}. {}. The slowest took {} times as long as the fastest.",
        skew.calls(),
        words.join("; "),
        rough(most as f64 / least.max(1) as f64)
    );
    let drawn = Drawn::Dots(Dots { rows, ends: (time(low), time(high)) });
    Picture { title: format!("How long it took, by {by}"), alternative, drawn }
}

/// How long calls of a value took, and how often it came.
fn aside(group: &Group) -> String {
    let times = match (group.micros.last(), group.micros.first()) {
        (Some(least), Some(most)) if least < most => {
            format!("{} to {}, {} calls", time(*least), time(*most), group.micros.len())
        }
        (_, most) => most.map_or(String::new(), |most| time(*most)),
    };
    match group.calls {
        0 => times,
        seen => format!("{times}; seen about {} times", count(seen)),
    }
}

/// The powers of ten around these times, in microseconds.
fn scale((least, most): (u64, u64)) -> (u64, u64) {
    let low = 10_u64.pow(least.max(1).ilog10());
    let mut high = 10_u64.saturating_pow(most.max(1).ilog10());
    if high < most || high == low {
        high = high.saturating_mul(10);
    }
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_has_all_times_within() {
        for (ends, expected) in [
            ((1, 1), (1, 10)),
            ((1234, 98_000), (1000, 100_000)),
            ((1000, 100_000), (1000, 100_000)),
            ((0, 5), (1, 10)),
            ((7, u64::MAX), (1, u64::MAX)),
        ] {
            assert_eq!(scale(ends), expected, "{ends:?}");
        }
    }
}
