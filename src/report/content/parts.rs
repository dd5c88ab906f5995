//! Parts that several sections and pages have.

use super::super::numbers::{maybe_time, plain, share, time};
use super::super::picture::{Bar, Clock, Drawn, Picture};
use super::super::{Origin, Report, Statement};
use crate::stats::histogram;
use crate::stats::tally::{SERVED, Sums, TOTAL};

/// Clocks in words, in their order.
pub const CLOCK_NAMES: [&str; 5] = ["pool wait", "first row", "rows", "client", "total"];
/// More bars than these are put together two by two.
const BARS: usize = 60;

/// The name under which a statement or a fix is linked to.
pub fn anchor(id: &str) -> String {
    id.to_lowercase()
}

impl Report {
    /// The clock that has most of the time, in words. `None`: none ran, or only one is known.
    pub fn dearest_clock(&self, sums: &Sums) -> Option<String> {
        let clock = (0..TOTAL).max_by_key(|clock| sums.micros[*clock])?;
        if sums.micros[TOTAL] == 0 || !self.knows(clock) {
            return None;
        }
        let share = share(sums.micros[clock], sums.micros[TOTAL]);
        let words = [
            "waiting for a server of the pool",
            "until the first row",
            "while rows came",
            "while the client took the answer",
        ];
        Some(format!("{share} of the time {}", words[clock]))
    }

    /// The five clocks of a statement, as a picture; those that are known.
    pub fn clocks(&self, sums: &Sums) -> Picture {
        let all = sums.micros[TOTAL].max(1) as f64;
        let clock = |(clock, name): (usize, &&str)| {
            let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|share| maybe_time(sums.quantile(clock, share)));
            Clock {
                name: (*name).to_owned(),
                share: sums.micros[clock] as f64 / all,
                aside: format!("{} in all; p50 {p50}, p95 {p95}, p99 {p99}", time(sums.micros[clock])),
            }
        };
        let known = CLOCK_NAMES.iter().enumerate().filter(|(clock, _)| self.knows(*clock));
        let clocks: Vec<_> = known.map(clock).collect();
        let words = clocks.iter().map(|one| format!("{}: {}", one.name, one.aside));
        let count = if clocks.len() == 5 { "Five clocks" } else { "One clock" };
        let alternative = format!("{count}. {}.", words.collect::<Vec<_>>().join(". "));
        Picture { title: "Where the time went".into(), alternative, drawn: Drawn::Clocks(clocks) }
    }

    /// Where a statement is told: on this page, or of a running pgweir on its own.
    pub fn to_statement(&self, one: &Statement) -> String {
        match self.scope.origin {
            Origin::Live => format!("/statement/{:032x}", one.fingerprint),
            _ => anchor(&one.id),
        }
    }

    /// Where a fix is told.
    pub fn to_fix(&self, id: &str) -> String {
        match self.scope.origin {
            Origin::Live => format!("/fixes#{}", anchor(id)),
            _ => anchor(id),
        }
    }
}

/// The start of a statement.
pub fn start(text: &str, most: usize) -> String {
    let text = plain(text);
    match text.char_indices().nth(most) {
        None => text,
        Some((end, _)) => format!("{} ...", &text[..end]),
    }
}

/// How often each length of time was seen, coloured by who answered. What has no clock (the cache, pgweir itself) stands in front.
pub fn histogram(sums: &Sums) -> Option<Picture> {
    let [primary, replica, cache, pgweir] = sums.served;
    let times: Vec<(usize, u32)> = sums.times[TOTAL].counts().collect();
    // Times are not kept by who answered: where both did, they cannot be told apart.
    let class = match (primary, replica) {
        (_, 0) => 0,
        (0, _) => 1,
        _ => 2,
    };
    let mut bars = vec![];
    for (class, count) in [(3, cache), (4, pgweir)] {
        if count > 0 {
            bars.push(bar("no clock", class, count));
        }
    }
    if let (Some(first), Some(last)) = (times.first(), times.last()) {
        let group = (last.0 - first.0 + 1).div_ceil(BARS).max(1);
        for step in (first.0..=last.0).step_by(group) {
            let within = times.iter().filter(|(at, _)| (step..step + group).contains(at));
            let count = within.map(|(_, count)| u64::from(*count)).sum();
            bars.push(bar(&time(histogram::begins(step)), class, count));
        }
    }
    let quantile = |share: f64| maybe_time(sums.quantile(TOTAL, share));
    let served = SERVED.iter().zip(sums.served).filter(|(_, n)| *n > 0);
    let served: Vec<_> = served.map(|(name, n)| format!("{name} {n}")).collect();
    let alternative = format!(
        "How long calls took in all: half within {}, 95 % within {}, 99 % within {}, the longest {}. Answered by {}.",
        quantile(0.5),
        quantile(0.95),
        quantile(0.99),
        if sums.longest > 0 { time(sums.longest) } else { "-".to_owned() },
        served.join(", ")
    );
    (!bars.is_empty()).then(|| Picture {
        title: "How long it took, by who answered".into(),
        alternative,
        drawn: Drawn::Histogram(bars),
    })
}

fn bar(name: &str, class: usize, count: u64) -> Bar {
    let mut counts = [0; 5];
    counts[class] = count;
    Bar { name: name.to_owned(), counts }
}
