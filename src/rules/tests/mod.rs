//! Rules as a whole: from files to decisions.

mod check;
mod keys;
mod matcher;
mod pack;
mod test_blocks;

use std::net::IpAddr;
use std::path::Path;

use super::calendar::{Date, Seconds};
use super::{Candidates, Context, Moment, Ruleset, Session, Source, Subject};
use crate::sql::facts::{Access, Class, Facts, Name, Table};
use crate::sql::shape;

/// 2026-11-30, a Monday, at 12:00 UTC.
const NOON: Seconds = 20_787 * 86_400 + 12 * 3600;

fn source(text: &str) -> Source {
    Source { path: "f.toml".into(), text: text.into() }
}

/// Rules that must be sound.
fn ruleset(text: &str) -> Ruleset {
    Ruleset::compile(&[source(text)]).unwrap_or_else(|problems| panic!("{text}\n{problems:?}"))
}

/// What is wrong with a file.
fn problems(text: &str) -> Vec<String> {
    match Ruleset::compile(&[source(text)]) {
        Ok(_) => vec![],
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

/// A statement of a session.
#[derive(Debug, Clone)]
struct Stated {
    sql: String,
    facts: Facts,
    is_read: bool,
    user: &'static str,
    database: &'static str,
    application: &'static str,
    client: Option<IpAddr>,
    number: u64,
    in_transaction: bool,
    now: Seconds,
}

impl Default for Stated {
    fn default() -> Self {
        Stated {
            sql: "select 1".into(),
            facts: understood(Class::Select),
            is_read: true,
            user: "app",
            database: "shop",
            application: "web",
            client: None,
            number: 7,
            in_transaction: false,
            now: NOON,
        }
    }
}

impl Stated {
    fn context(&self) -> Context<'_> {
        let session = Session {
            user: self.user.as_bytes(),
            database: self.database.as_bytes(),
            application: self.application.as_bytes(),
            client: self.client,
            number: self.number,
        };
        let moment = Moment { in_transaction: self.in_transaction, now: self.now, text: self.sql.as_bytes() };
        Context { session, moment }
    }

    /// Hands its subject on.
    fn with_subject<T>(&self, then: impl FnOnce(&Subject<'_>) -> T) -> T {
        let shape = shape(self.sql.as_bytes(), true);
        then(&Subject {
            facts: &self.facts,
            fingerprint: shape.fingerprint,
            shape: &shape.text,
            is_read: self.is_read,
        })
    }

    fn candidates(&self, ruleset: &Ruleset) -> Candidates {
        self.with_subject(|subject| ruleset.candidates(subject))
    }
}

/// Facts of a statement whose tree is understood and has nothing in it.
fn understood(class: Class) -> Facts {
    Facts { understood: true, ..Facts::of_class(class) }
}

fn name(text: &str) -> Name {
    match text.split_once('.') {
        Some((schema, name)) => Name { schema: Some(schema.into()), name: name.into() },
        None => Name { schema: None, name: text.into() },
    }
}

fn table(text: &str, access: Access) -> Table {
    Table { name: name(text), access }
}

/// A file below the root of the repository.
fn committed(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn noon_is_on_a_monday() {
    assert_eq!(NOON, Date { year: 2026, month: 11, day: 30 }.start() + 12 * 3600);
}

#[test]
fn the_first_that_holds_decides_each_concern_by_itself() {
    let rules = ruleset(
        "[[rule]]\nname = \"a\"\nwhen.user = \"report_*\"\nthen = { route = \"replica\" }\n\
         [[rule]]\nname = \"b\"\nthen = { route = \"primary\", timeout = \"1s\" }\n",
    );
    let decided = |user: &'static str| {
        let stated = Stated { user, ..Stated::default() };
        let candidates = stated.candidates(&rules);
        let decision = candidates.decide(&stated.context());
        decision.decided().map(|(concern, rule)| (concern.name(), rule.name().to_owned())).collect::<Vec<_>>()
    };
    let pair = |concern: &'static str, rule: &str| (concern, rule.to_owned());
    assert_eq!(decided("report_1"), [pair("route", "a"), pair("timeout", "b")]);
    assert_eq!(decided("app"), [pair("route", "b"), pair("timeout", "b")]);
    let hits: Vec<_> = rules.rules().iter().map(|rule| rule.hits()).collect();
    assert_eq!(hits, [1, 2]);
}

#[test]
fn shadow_counts_and_does_nothing() {
    let rules = ruleset(
        "[[rule]]\nname = \"a\"\nmode = \"shadow\"\nthen = { route = \"replica\" }\n\
         [[rule]]\nname = \"b\"\nthen = { route = \"primary\" }\n\
         [[rule]]\nname = \"c\"\nmode = \"shadow\"\nthen = { route = \"any\", timeout = \"1s\" }\n",
    );
    let stated = Stated::default();
    let candidates = stated.candidates(&rules);
    let decision = candidates.settled(false).expect("nothing is to be asked");
    assert_eq!(decision.route().map(|route| route.rule.name()), Some("b"));
    let shadow: Vec<_> = decision.shadow().map(|(concern, rule)| (concern.name(), rule.name())).collect();
    assert_eq!(shadow, [("route", "a"), ("timeout", "c")]);
    assert!(decision.timeout().is_none());
    let counts: Vec<_> = rules.rules().iter().map(|rule| (rule.hits(), rule.shadow_hits())).collect();
    assert_eq!(counts, [(0, 1), (1, 0), (0, 1)]);
}

#[test]
fn what_does_not_ask_the_session_is_settled() {
    let text: String = (0..1000)
        .map(|n| format!("[[rule]]\nname = \"r{n}\"\nwhen.tables = \"t{n}\"\nthen.tag = \"t{n}\"\n"))
        .collect();
    let rules = ruleset(&format!("{text}[[rule]]\nname = \"last\"\nwhen.user = \"a\"\nthen.tag = \"x\"\n"));
    let of = |table_name: &str| {
        let facts = Facts { tables: vec![table(table_name, Access::Read)], ..understood(Class::Select) };
        Stated { facts, ..Stated::default() }
    };
    let known = of("t500").candidates(&rules);
    assert_eq!(known.len(), 1, "the last rule comes behind one that decides in any case");
    assert_eq!(
        known.settled(false).and_then(|all| all.tag().map(|tag| tag.rule.name().to_owned())).as_deref(),
        Some("r500")
    );
    let unknown = of("other").candidates(&rules);
    assert!(unknown.settled(false).is_none() && unknown.len() == 1);
    let stated = of("other");
    assert!(unknown.of_session(&stated.context().session).is_empty());
    let none = Stated::default().candidates(&ruleset(""));
    assert!(none.is_empty() && none.settled(false).is_some_and(|decision| decision.is_empty()));
}

#[test]
fn a_decision_is_taken_in_the_session_that_is_asked() {
    let rules = ruleset(
        "[[rule]]\nname = \"a\"\nwhen = { user = \"a\" }\nthen.tag = \"x\"\n\
         [[rule]]\nname = \"b\"\nwhen = { in_transaction = true }\nthen.tag = \"y\"\n",
    );
    let a = Stated { user: "a", ..Stated::default() };
    let of_session = a.candidates(&rules).of_session(&a.context().session);
    // In this session the first one holds in any case.
    assert!(of_session.len() == 1 && of_session.settled(false).is_some());
    let b = Stated { in_transaction: true, ..Stated::default() };
    let of_session = b.candidates(&rules).of_session(&b.context().session);
    let settled = |in_transaction| {
        of_session.settled(in_transaction).map(|all| all.tag().map(|tag| tag.action.to_string()))
    };
    assert_eq!([false, true].map(settled), [Some(None), Some(Some("y".to_owned()))]);
    assert_eq!(of_session.decide(&b.context()).tag().map(|tag| &**tag.action), Some("y"));
    assert!(of_session.decide(&Stated::default().context()).is_empty());
}

#[test]
fn what_asks_for_the_time_or_the_text_is_not_settled() {
    let check = |when: &str, settled: bool| {
        let rules = ruleset(&format!("[[rule]]\nname = \"a\"\n{when}\nthen.tag = \"x\"\n"));
        assert_eq!(Stated::default().candidates(&rules).is_settled(), settled, "{when}");
    };
    check("when.in_transaction = false", true);
    check("when = { in_transaction = false, time = { from = \"22:00\", to = \"06:00\" } }", false);
    check("when.text_regex = \"a\"", false);
    check("until = 2099-01-01", false);
    check("when.percent = 50", false);
}

#[test]
fn counters_go_on_after_a_reload() {
    let text = "[[rule]]\nname = \"a\"\nthen.tag = \"x\"\n";
    let old = ruleset(text);
    let stated = Stated::default();
    for _ in 0..3 {
        stated.candidates(&old).decide(&stated.context());
    }
    let new = ruleset(&format!("[[rule]]\nname = \"b\"\nthen.log = \"info\"\n{text}"));
    new.go_on_from(&old, std::time::Instant::now());
    let hits: Vec<_> = new.rules().iter().map(|rule| (rule.name(), rule.hits())).collect();
    assert_eq!(hits, [("b", 0), ("a", 3)]);
}

#[test]
fn gates_go_on_after_a_reload() {
    use crate::rules::gate::{Entered, Turn};
    let now = std::time::Instant::now();
    let of = |limit: u32, more: &str| {
        ruleset(&format!(
            "[[rule]]\nname = \"a\"\nthen.concurrency = {{ limit = {limit}, queue = 5 }}\n{more}\n"
        ))
    };
    let enter =
        |rules: &Ruleset| rules.rules()[0].concurrency_gate().expect("there is one").enter(b"k", now, false);
    let old = of(1, "");
    let Entered::Goes(permit) = enter(&old) else { panic!("there is a permit") };
    let Entered::Waits(mut place) = enter(&old) else { panic!("there is no other") };
    let new = of(2, "");
    new.go_on_from(&old, now);
    assert!(matches!(place.poll(std::task::Waker::noop(), now), Turn::Comes(Some(_))), "there are two now");
    let Entered::Goes(second) = enter(&new) else { panic!("the second is free") };
    let Entered::Waits(mut place) = enter(&new) else { panic!("both are taken, one by the rules before") };
    let shadow = of(2, "mode = \"shadow\"");
    shadow.go_on_from(&new, now);
    assert!(
        matches!(place.poll(std::task::Waker::noop(), now), Turn::Comes(Some(_))),
        "nobody waits in shadow"
    );
    drop((permit, second));
    assert_eq!(new.rules()[0].concurrency_gate().map(|gate| gate.tally().running), Some(0));
    let (old, none) = (of(1, ""), ruleset(""));
    let Entered::Goes(_permit) = enter(&old) else { panic!("there is a permit") };
    none.go_on_from(&old, now);
    assert!(matches!(enter(&old), Entered::Goes(_)), "the rule is gone");
}

#[test]
fn several_threads_count_together() {
    let rules = ruleset("[[rule]]\nname = \"a\"\nthen.tag = \"x\"\n");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let candidates = Stated::default().candidates(&rules);
                (0..1000).for_each(|_| drop(candidates.settled(false)));
            });
        }
    });
    assert_eq!(rules.rules()[0].hits(), 4000);
}

#[test]
fn files_make_one_list_in_their_order() {
    let file = |path: &str, rule: &str| Source {
        path: path.into(),
        text: format!("[[rule]]\nname = \"{rule}\"\nthen.tag = \"{rule}\"\n"),
    };
    let rules = Ruleset::compile(&[file("1", "z"), file("2", "a")]).expect("sound files");
    let names: Vec<_> = rules.rules().iter().map(|rule| (rule.name(), rule.place().to_string())).collect();
    assert_eq!(names, [("z", "1:2:1".to_owned()), ("a", "2:2:1".to_owned())]);
    let twice = Ruleset::compile(&[file("1", "a"), file("2", "a")]).expect_err("two of a name");
    assert_eq!(twice[0].to_string(), "2:2:1: a rule `a` is at 1:2:1 already; give it another name");
}

#[test]
fn the_reference_is_the_committed_one() {
    let page = super::reference::page();
    assert!(page == committed("rules/README.md"), "pgweir generate rules-page > rules/README.md");
}

#[test]
fn a_rule_that_only_caches_is_decided_by_one_look() {
    let settled = |then: &str, when: &str| {
        let text = format!("[[rule]]\nname = 'a'\nwhen = {{ {when} }}\nthen = {{ {then} }}\n");
        let rules = ruleset(&text);
        let (facts, shape) = (Facts::of_class(Class::Select), shape(b"select 1", true));
        let (fingerprint, shape) = (shape.fingerprint, shape.text);
        let candidates =
            rules.candidates(&Subject { facts: &facts, fingerprint, shape: &shape, is_read: true });
        let by_one_look = candidates.settled_cache(false).cloned();
        let decision = candidates.settled(false);
        let at_length = decision.as_ref().and_then(|all| all.cache().map(|cache| cache.action.clone()));
        let hits = decision.and_then(|all| all.cache().map(|cache| cache.rule.hits()));
        (by_one_look, at_length, hits)
    };
    let (by_one_look, at_length, hits) = settled("cache = { level = 'strict' }", "class = 'read'");
    assert!(by_one_look.is_some() && by_one_look == at_length);
    assert_eq!(hits, Some(2), "each look counts");
    let (by_one_look, at_length, _) = settled("cache = { level = 'strict' }, tag = 'x'", "class = 'read'");
    assert!(by_one_look.is_none() && at_length.is_some());
    let (by_one_look, at_length, _) = settled("cache = { level = 'strict' }", "user = 'app'");
    assert!(by_one_look.is_none() && at_length.is_none(), "the session is to be asked");
    assert!(settled("tag = 'x'", "class = 'read'").0.is_none());
}
