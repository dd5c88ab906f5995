//! Rules of ProxySQL, of which the last that matches decides and which lead into each other, as a list of which the first decides.

use std::collections::BTreeMap;

use crate::cli::import::value::Value;

/// Chains lead into each other so deep.
const DEPTH: usize = 16;
/// As many rules come of it.
pub const MOST: usize = 10_000;

/// A rule of ProxySQL.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its `rule_id`.
    pub id: i64,
    /// The chain it belongs to.
    pub flag_in: i64,
    /// The chain it leads into.
    pub flag_out: Option<i64>,
    /// Whether it ends the search.
    pub apply: bool,
    /// Its conditions, by the key of `when`.
    pub when: Vec<(&'static str, String)>,
    /// What it does, by the key of `then`.
    pub then: Vec<(&'static str, Value)>,
}

/// A rule as it is written: what it came of, its conditions, what it does.
#[derive(Debug, Clone)]
pub struct Flat {
    /// The `rule_id` of the rules that it came of, the one that led into the chain first.
    pub of: Vec<i64>,
    /// As of a step.
    pub when: Vec<(&'static str, String)>,
    /// As of a step.
    pub then: Vec<(&'static str, Value)>,
}

/// What cannot be said.
#[derive(Debug, PartialEq, Eq)]
pub enum Lost {
    /// The conditions of these two cannot be demanded together.
    Together(i64, i64),
    /// Chains lead into each other in a circle, or too deep, from this rule on.
    Circle(i64),
    /// There would be too many.
    TooMany,
}

/// The rules in the order in which the first that holds decides; and what was lost.
pub fn flatten(steps: &[Step]) -> (Vec<Flat>, Vec<Lost>) {
    let mut chains: BTreeMap<i64, Vec<&Step>> = BTreeMap::new();
    for step in steps {
        chains.entry(step.flag_in).or_default().push(step);
    }
    chains.values_mut().for_each(|chain| chain.sort_by_key(|step| step.id));
    let mut flattening = Flattening { chains, path: vec![0], made: 0, lost: vec![] };
    let flats = flattening.chain(0);
    if flattening.made > MOST {
        flattening.lost.push(Lost::TooMany);
        return (vec![], flattening.lost);
    }
    (flats.into_iter().filter(|flat| !flat.then.is_empty()).collect(), flattening.lost)
}

struct Flattening<'a> {
    chains: BTreeMap<i64, Vec<&'a Step>>,
    /// The chains that lead to the one at hand.
    path: Vec<i64>,
    made: usize,
    lost: Vec<Lost>,
}

impl Flattening<'_> {
    fn chain(&mut self, flag: i64) -> Vec<Flat> {
        let steps = self.chains.get(&flag).cloned().unwrap_or_default();
        let (mut before, mut behind) = (vec![], vec![]);
        for step in steps {
            if self.made > MOST {
                return vec![];
            }
            let mut own = self.led(step);
            own.push(Flat { of: vec![step.id], when: step.when.clone(), then: step.then.clone() });
            self.made += own.len();
            // What ends the search decides before those that follow it; else these decide over it.
            match step.apply || step.flag_out.is_some_and(|out| out != flag) {
                true => before.append(&mut own),
                false => behind.push(own),
            }
        }
        before.extend(behind.into_iter().rev().flatten());
        before
    }

    /// The rules of the chain that a step leads into, with its conditions.
    fn led(&mut self, step: &Step) -> Vec<Flat> {
        let out = step.flag_out.filter(|out| !step.apply && *out != step.flag_in);
        let Some(out) = out else { return vec![] };
        if self.path.contains(&out) || self.path.len() > DEPTH {
            self.lost.push(Lost::Circle(step.id));
            return vec![];
        }
        self.path.push(out);
        let inner = self.chain(out);
        self.path.pop();
        inner.into_iter().filter_map(|flat| self.join(step, flat)).collect()
    }

    fn join(&mut self, step: &Step, flat: Flat) -> Option<Flat> {
        let Some(when) = together(&step.when, &flat.when) else {
            self.lost.push(Lost::Together(step.id, flat.of.last().copied().unwrap_or_default()));
            return None;
        };
        let mut then = flat.then;
        for (key, value) in &step.then {
            if then.iter().all(|(other, _)| other != key) {
                then.push((key, value.clone()));
            }
        }
        Some(Flat { of: [vec![step.id], flat.of].concat(), when, then })
    }
}

/// Both conditions. `None`: a key would have to be there twice.
fn together(
    a: &[(&'static str, String)],
    b: &[(&'static str, String)],
) -> Option<Vec<(&'static str, String)>> {
    let mut both = a.to_vec();
    for (key, value) in b {
        match a.iter().find(|(other, _)| other == key) {
            Some((_, same)) if same == value => {}
            Some(_) => return None,
            None => both.push((key, value.clone())),
        }
    }
    Some(both)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(
        id: i64,
        flags: (i64, Option<i64>),
        apply: bool,
        when: &[(&'static str, &str)],
        then: &[&'static str],
    ) -> Step {
        Step {
            id,
            flag_in: flags.0,
            flag_out: flags.1,
            apply,
            when: when.iter().map(|(key, value)| (*key, value.to_string())).collect(),
            then: then.iter().map(|key| (*key, Value::Number(id))).collect(),
        }
    }

    fn shown(flats: &[Flat]) -> Vec<String> {
        flats.iter().map(|flat| format!("{:?} {:?} {:?}", flat.of, flat.when, flat.then)).collect()
    }

    #[test]
    fn the_last_before_an_end_decides() {
        let steps = [
            step(1, (0, None), false, &[("user", "a")], &["route"]),
            step(2, (0, None), true, &[("user", "b")], &["route"]),
            step(3, (0, None), false, &[], &["route", "log"]),
            step(4, (0, None), false, &[("user", "c")], &["route"]),
        ];
        let (flats, lost) = flatten(&steps);
        let order: Vec<i64> = flats.iter().map(|flat| flat.of[0]).collect();
        assert_eq!((order, lost), (vec![2, 4, 3, 1], vec![]));
    }

    #[test]
    fn chains_get_the_conditions_of_what_leads_into_them() {
        let steps = [
            step(1, (0, Some(5)), false, &[("user", "a")], &["log"]),
            step(2, (5, None), true, &[("text_regex", "x")], &["route"]),
            step(3, (5, None), true, &[("user", "b")], &["route"]),
            step(4, (0, None), true, &[], &["route"]),
        ];
        let (flats, lost) = flatten(&steps);
        let expected = [
            r#"[1, 2] [("user", "a"), ("text_regex", "x")] [("route", 2), ("log", 1)]"#,
            r#"[1] [("user", "a")] [("log", 1)]"#,
            r#"[4] [] [("route", 4)]"#,
        ];
        assert_eq!((shown(&flats), lost), (expected.map(str::to_owned).to_vec(), vec![Lost::Together(1, 3)]));
    }

    #[test]
    fn circles_end_and_too_many_are_refused() {
        let circle =
            [step(1, (0, Some(1)), false, &[], &["log"]), step(2, (1, Some(0)), false, &[], &["log"])];
        assert_eq!(flatten(&circle).1, [Lost::Circle(2)]);
        let many: Vec<Step> = (0..12)
            .flat_map(|flag| {
                (0..12).map(move |n| step(flag * 12 + n, (flag, Some(flag + 1)), false, &[], &["log"]))
            })
            .collect();
        let (flats, lost) = flatten(&many);
        assert!(flats.is_empty() && lost.contains(&Lost::TooMany));
    }
}
