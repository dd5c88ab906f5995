//! What became of indexes that were advised, once somebody has created them: seconds a day before and after, or that nothing uses them.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use crate::advice::{Advice, Schema, Workload, index_of_title};
use crate::report::ids;
use crate::report::numbers::seconds;
use crate::stats::tally::TOTAL;

/// So many of one database are followed; the newest.
const MOST: usize = 100;
/// What no plan has used for so long is of no use.
const UNUSED: Duration = Duration::from_secs(48 * 3600);
/// What was seen for a shorter time is not told in seconds a day.
const LEAST: Duration = Duration::from_secs(1);
const DAY: f64 = 86_400.0;

/// Indexes of one database that were advised, and are there now.
#[derive(Debug, Default)]
pub(super) struct Followed(Vec<One>);

#[derive(Debug)]
struct One {
    key: u128,
    title: String,
    helps: Vec<u128>,
    /// Seconds a day of the statements that it helps, before it was there.
    before: f64,
    /// And since then; `None`: there were none of them.
    after: Option<f64>,
    /// When it was seen first, and what those had taken until then, in microseconds, in how many calls.
    at: SystemTime,
    spent: (u64, u64),
    /// How often plans had used it then, and now.
    scans: (u64, u64),
}

impl Followed {
    /// Takes up what was advised `before`, is not `now`, and is there; looks at the others again.
    pub fn look(
        &mut self,
        before: Option<&Advice>,
        now: &Advice,
        schema: &Schema,
        workload: &Workload,
        at: SystemTime,
    ) {
        for fix in before.iter().flat_map(|advice| &advice.fixes).filter(|fix| fix.code == "index") {
            let key = ids::key(fix);
            let is_open = now.fixes.iter().any(|one| one.title == fix.title);
            let Some(index) = index_of_title(schema, &fix.title).filter(|_| !is_open) else { continue };
            if self.0.iter().any(|one| one.key == key) {
                continue;
            }
            let (micros, calls) = spent(workload, &fix.helps);
            let days = workload.window.as_secs_f64().max(1.0) / DAY;
            self.0.push(One {
                key,
                title: fix.title.clone(),
                helps: fix.helps.clone(),
                before: micros as f64 / 1e6 / days,
                after: None,
                at,
                spent: (micros, calls),
                scans: (index.scans, index.scans),
            });
        }
        let excess = self.0.len().saturating_sub(MOST);
        self.0.drain(..excess);
        // What somebody has dropped again is nobody's any more.
        self.0.retain_mut(|one| {
            let Some(index) = index_of_title(schema, &one.title) else { return false };
            one.scans.1 = index.scans;
            let (micros, calls) = spent(workload, &one.helps);
            let time = at.duration_since(one.at).unwrap_or_default();
            if time >= LEAST && calls > one.spent.1 {
                let micros = micros.saturating_sub(one.spent.0);
                one.after = Some(micros as f64 / 1e6 / time.as_secs_f64() * DAY);
            }
            true
        });
    }

    /// What became of each, with the name that fixes have.
    pub fn told(&self, now: SystemTime, numbers: &HashMap<u128, u64>) -> Vec<String> {
        let told = |one: &One| {
            let id = numbers.get(&one.key).map_or(String::new(), |number| format!("FIX-{number}, "));
            let begin = format!("{id}{}, is there", one.title);
            let time = now.duration_since(one.at).unwrap_or_default();
            if one.scans.0 == one.scans.1 && time >= UNUSED {
                return Some(format!("{begin} and was not used in the 48 h since: drop it again"));
            }
            let after = one.after?;
            Some(format!(
                "{begin}: its statements took {} a day before, and take {} since",
                seconds(one.before),
                seconds(after)
            ))
        };
        self.0.iter().filter_map(told).collect()
    }

    /// Whose numbers are still asked for.
    pub fn keys(&self) -> impl Iterator<Item = u128> {
        self.0.iter().map(|one| one.key)
    }
}

/// Microseconds and calls of these shapes.
fn spent(workload: &Workload, shapes: &[u128]) -> (u64, u64) {
    let mine = workload.shapes.iter().filter(|one| shapes.contains(&one.fingerprint));
    mine.fold((0, 0), |(micros, calls), one| (micros + one.sums.micros[TOTAL], calls + one.sums.calls))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::index::{Definition, Key};
    use crate::advice::schema::{Index, Table};
    use crate::advice::{Action, Fix, Observed, Price, Proof};

    const TITLE: &str = "index t(a)";

    fn advice(titles: &[&str]) -> Advice {
        let fix = |title: &&str| Fix {
            code: "index",
            title: (*title).to_owned(),
            evidence: vec![],
            action: Action::Sql { run: vec![(*title).to_owned()], undo: vec![], concurrently: true },
            helps: vec![7],
            saves: None,
            price: Price::default(),
            proof: Proof::Pattern,
        };
        Advice { fixes: titles.iter().map(fix).collect(), ..Advice::default() }
    }

    fn schema(scans: Option<u64>) -> Schema {
        let definition = Definition::btree(1, vec![Key::column("a")]);
        let index = |scans| Index {
            oid: 2,
            name: "i".to_owned(),
            definition,
            sql: String::new(),
            primary: false,
            needed: false,
            valid: true,
            parent: None,
            bytes: 8192,
            scans,
        };
        let table = Table {
            oid: 1,
            schema: "public".to_owned(),
            name: "t".to_owned(),
            indexes: scans.map(index).into_iter().collect(),
            ..Table::default()
        };
        Schema { tables: vec![table], search_path: vec!["public".to_owned()], ..Schema::default() }
    }

    fn workload(seconds: u64, micros: u64) -> Workload {
        let mut observed = Observed { fingerprint: 7, ..Observed::default() };
        (observed.sums.micros[TOTAL], observed.sums.calls) = (micros, micros / 10);
        Workload { window: Duration::from_secs(seconds), shapes: vec![observed] }
    }

    #[test]
    fn before_and_after_are_told_once_there_is_an_after() {
        let (mut followed, now) = (Followed::default(), SystemTime::UNIX_EPOCH);
        let none = advice(&[]);
        let open = advice(&[TITLE]);
        followed.look(None, &open, &schema(None), &workload(100, 50_000_000), now);
        followed.look(Some(&open), &none, &schema(None), &workload(100, 50_000_000), now);
        assert_eq!(followed.0.len(), 0, "it was not created: there is no need for it any more");
        followed.look(Some(&open), &none, &schema(Some(3)), &workload(100, 50_000_000), now);
        let numbers = HashMap::from([(ids::key(&open.fixes[0]), 4)]);
        assert!(followed.told(now, &numbers).is_empty());
        let later = now + Duration::from_secs(100);
        followed.look(Some(&none), &none, &schema(Some(9)), &workload(200, 51_000_000), later);
        let told = followed.told(later, &numbers);
        let words = format!("before, and take {} since", seconds(864.0));
        assert!(
            told[0].starts_with("FIX-4, index t(a), is there: ") && told[0].ends_with(&words),
            "{told:?}"
        );
        assert!(told[0].contains(&seconds(43_200.0)), "{told:?}");
        followed.look(Some(&none), &none, &schema(None), &workload(300, 51_000_000), later);
        assert_eq!(followed.keys().count(), 0, "it was dropped");
    }

    #[test]
    fn what_nothing_uses_is_told_after_two_days() {
        let (mut followed, now) = (Followed::default(), SystemTime::UNIX_EPOCH);
        followed.look(Some(&advice(&[TITLE])), &advice(&[]), &schema(Some(3)), &workload(100, 50), now);
        let told = |after| followed.told(now + after, &HashMap::new());
        assert!(told(UNUSED - Duration::from_secs(1)).is_empty());
        assert_eq!(told(UNUSED), ["index t(a), is there and was not used in the 48 h since: drop it again"]);
    }
}
