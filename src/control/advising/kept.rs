//! What was advised last on each database, and how others see it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::SystemTime;

use super::Told;
use super::followed::Followed;
use crate::advice::{Advice, Advised, Fix, Workload};
use crate::report::ids::{self, Names};
use crate::slow::log;

/// So many fixes are named in a line of the slow-query log.
const NAMED: usize = 3;

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Kept {
    databases: BTreeMap<String, One>,
    /// Numbers of fixes, by what they are.
    pub numbers: HashMap<u128, u64>,
    /// Of all databases, made when something changes.
    together: Option<Arc<Advice>>,
}

/// Of one database.
#[derive(Debug, Default)]
struct One {
    advice: Option<(Advice, SystemTime)>,
    followed: Followed,
    /// Why there was none the last time.
    failed: Option<String>,
}

impl Kept {
    /// What was found now takes the place of what was before.
    pub fn take(&mut self, database: &str, advised: Advised, numbers: Vec<(u128, u64)>, workload: &Workload) {
        let one = self.databases.entry(database.to_owned()).or_default();
        let now = SystemTime::now();
        let before = one.advice.take();
        let before = before.as_ref().map(|(advice, _)| advice);
        one.followed.look(before, &advised.advice, &advised.schema, workload, now);
        (one.advice, one.failed) = (Some((advised.advice, now)), None);
        self.numbers.extend(numbers);
        let mut keys: Vec<u128> = self.fixes().map(|(_, fix, _)| ids::key(fix)).collect();
        keys.extend(self.databases.values().flat_map(|one| one.followed.keys()));
        self.numbers.retain(|key, _| keys.contains(key));
        self.together = Some(Arc::new(self.merged()));
    }

    /// It could not be asked; what was found before stays. True: that is news.
    pub fn failed(&mut self, database: &str, reason: &str) -> bool {
        let one = self.databases.entry(database.to_owned()).or_default();
        one.failed.replace(reason.to_owned()).as_deref() != Some(reason)
    }

    pub fn failures(&self) -> Vec<String> {
        let told = |(database, one): (&String, &One)| {
            let reason = one.failed.as_ref()?;
            Some(format!("the database {database} could not be asked for advice: {reason}"))
        };
        self.databases.iter().filter_map(told).collect()
    }

    /// What became of indexes that were advised, and are there now.
    pub fn became(&self) -> Vec<String> {
        let now = SystemTime::now();
        self.databases.values().flat_map(|one| one.followed.told(now, &self.numbers)).collect()
    }

    pub fn together(&self) -> Option<Arc<Advice>> {
        self.together.clone()
    }

    fn advised(&self) -> impl Iterator<Item = (&String, &Advice, SystemTime)> {
        self.databases.iter().filter_map(|(database, one)| {
            let (advice, at) = one.advice.as_ref()?;
            Some((database, advice, *at))
        })
    }

    fn fixes(&self) -> impl Iterator<Item = (&String, &Fix, SystemTime)> {
        self.advised()
            .flat_map(|(database, advice, at)| advice.fixes.iter().map(move |fix| (database, fix, at)))
    }

    /// The advice of all databases as one; where there are several, each fix says whose it is.
    fn merged(&self) -> Advice {
        let several = self.advised().count() > 1;
        let mut all = Advice::default();
        for (database, advice, _) in self.advised() {
            let before = all.fixes.len();
            let fixes = advice.fixes.iter().cloned().map(|mut fix| {
                if several {
                    fix.evidence.insert(0, format!("In the database {database}."));
                }
                fix
            });
            all.fixes.extend(fixes);
            all.verdicts.extend(advice.verdicts.iter().cloned().map(|mut verdict| {
                verdict.fixes.iter_mut().for_each(|place| *place += before);
                verdict
            }));
            all.rejected.extend(advice.rejected.iter().cloned());
            let whose = |note: &String| if several { format!("{database}: {note}") } else { note.clone() };
            all.notes.extend(advice.notes.iter().map(whose));
        }
        all
    }

    pub fn told(&self) -> Vec<Told> {
        let mut names = Names::of_fixes(&self.numbers);
        let told = self.fixes().map(|(database, fix, at)| Told {
            database: database.clone(),
            id: names.name(ids::key(fix)),
            fix: fix.clone(),
            at,
        });
        let mut told: Vec<Told> = told.collect();
        let saves = |one: &Told| one.fix.saves.unwrap_or(-1.0);
        told.sort_by(|a, b| a.database.cmp(&b.database).then(saves(b).total_cmp(&saves(a))));
        told
    }

    /// For lines of the slow-query log: what would help each shape, without the values that a predicate of an index may have.
    pub fn lines(&self) -> HashMap<u128, log::Advice> {
        let mut words: HashMap<u128, Vec<String>> = HashMap::new();
        for told in self.told() {
            let line = format!("{} {}", told.id, without_values(&told.fix.title));
            told.fix.helps.iter().for_each(|name| words.entry(*name).or_default().push(line.clone()));
        }
        let line = |(name, fixes): (u128, Vec<String>)| {
            let more = fixes.len().saturating_sub(NAMED);
            let mut advice = fixes.into_iter().take(NAMED).collect::<Vec<_>>().join("; ");
            if more > 0 {
                advice += &format!("; and {more} more");
            }
            (name, log::Advice { plan: None, advice: Some(advice) })
        };
        words.into_iter().map(line).collect()
    }
}

fn without_values(title: &str) -> String {
    match title.split_once(" WHERE ") {
        Some((begin, predicate)) => {
            let shape = crate::sql::shape(predicate.as_bytes(), true);
            format!("{begin} WHERE {}", String::from_utf8_lossy(&shape.text))
        }
        None => title.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::{Action, Price, Proof, Verdict};

    fn fix(title: &str, helps: &[u128], saves: f64) -> Fix {
        Fix {
            code: "index",
            title: title.to_owned(),
            evidence: vec!["why".to_owned()],
            action: Action::Sql { run: vec![title.to_owned()], undo: vec![], concurrently: true },
            helps: helps.to_vec(),
            saves: Some(saves),
            price: Price::default(),
            proof: Proof::Pattern,
        }
    }

    fn advised(fixes: Vec<Fix>) -> Advised {
        let places = (0..fixes.len()).collect();
        let verdict = Verdict { fingerprint: 7, fixes: places, why: "a scan".to_owned(), plan: None };
        let advice = Advice { fixes, verdicts: vec![verdict], ..Advice::default() };
        Advised { advice, ..Advised::default() }
    }

    #[test]
    fn databases_are_told_apart_and_places_of_fixes_are_those_of_all() {
        let mut kept = Kept::default();
        assert!(kept.together().is_none());
        let one = fix("index t(a)", &[7], 1.0);
        kept.take("a", advised(vec![one.clone()]), vec![(ids::key(&one), 4)], &Workload::default());
        assert_eq!(kept.together().expect("advice").fixes[0].evidence, ["why"]);
        kept.take(
            "b",
            advised(vec![fix("index u(a)", &[7], 1.0), fix("index u(b)", &[8], 3.0)]),
            vec![],
            &Workload::default(),
        );
        let all = kept.together().expect("advice");
        assert_eq!(all.fixes[1].evidence, ["In the database b.", "why"]);
        assert_eq!(all.verdicts[1].fixes, [1, 2]);
        let told: Vec<_> = kept.told().into_iter().map(|one| (one.database, one.id, one.fix.title)).collect();
        assert_eq!((told[0].1.as_str(), told[1].2.as_str()), ("FIX-4", "index u(b)"), "{told:?}");
        kept.take("a", advised(vec![]), vec![], &Workload::default());
        assert!(kept.numbers.is_empty(), "what is not proposed any more is forgotten");
    }

    #[test]
    fn a_failure_is_news_once_and_what_was_found_stays() {
        let mut kept = Kept::default();
        kept.take("a", advised(vec![fix("index t(a)", &[7], 1.0)]), vec![], &Workload::default());
        assert!(kept.failed("a", "no") && !kept.failed("a", "no") && kept.failed("a", "other"));
        assert_eq!(kept.told().len(), 1);
        assert_eq!(kept.failures(), ["the database a could not be asked for advice: other"]);
        kept.take("a", advised(vec![]), vec![], &Workload::default());
        assert!(kept.failures().is_empty() && kept.failed("a", "other"));
    }

    #[test]
    fn lines_of_the_log_have_no_values() {
        let mut kept = Kept::default();
        let titles = ["index t(a) WHERE (b = 'secret'::text)", "index t(c)", "index t(d)", "index t(e)"];
        let fixes = titles.iter().map(|title| fix(title, &[7], 1.0)).collect();
        kept.take("a", advised(fixes), vec![], &Workload::default());
        let line = kept.lines()[&7].advice.clone().expect("advice");
        assert!(line.contains("index t(a) WHERE (b = ") && line.ends_with("; and 1 more"), "{line}");
        assert!(!line.contains("secret"), "{line}");
    }
}
