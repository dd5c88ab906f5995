//! Nothing is touched, rates and times are kept, and what cannot be had is told.

use pgweir::advice::Proof;

use super::*;
use crate::harness::cluster::APP2;

#[test]
fn nothing_is_run_and_what_is_no_single_statement_is_not_sent() {
    let Some(scene) = Scene::new(SHOP) else { return };
    scene.database.setup("create sequence s; select nextval('s')");
    let work = workload(vec![
        statement("delete from orders where account_id = $1", 100, &[&["15"]]),
        statement("update tiny set a = $1", 100, &[&["15"]]),
        statement("select nextval('s')", 100, &[&[]]),
        statement("select 1; drop table tiny", 100, &[&[]]),
        statement("explain analyze delete from tiny", 100, &[&[]]),
        statement("truncate tiny", 100, &[&[]]),
        statement("select * from tiny where b = $1", 100, &[&["'; drop table tiny; --"]]),
    ]);
    let (advised, log) = scene.advise_as(APP, &work, &limits());
    assert_eq!(scene.value("select count(*) from tiny where a <= 40"), "40");
    assert_eq!(scene.value("select count(*) from orders"), "60000");
    assert_eq!(scene.value("select last_value from s"), "1");
    for refused in [3, 4, 5] {
        let why = &verdict(&advised, &work.shapes[refused]).why;
        assert!(why.starts_with("not known: it is"), "{why}");
    }
    let sent = |words: &str| log.iter().any(|(_, sql)| sql.to_lowercase().contains(words));
    assert!(!sent("drop table") && !sent("analyze ") && !sent("truncate"), "{log:?}");
    // Each question stands between a BEGIN that may not write and a ROLLBACK.
    for pair in log.windows(3).filter(|pair| pair[1].1.starts_with("EXPLAIN")) {
        let before = pair[0].1.contains("READ ONLY") && pair[0].1.contains("statement_timeout");
        assert!(before || pair[0].1.starts_with("PREPARE"), "{pair:?}");
        assert!(pair[2].1.starts_with("ROLLBACK"), "{pair:?}");
    }
}

#[test]
fn no_more_plans_a_second_are_asked_for_than_allowed() {
    let Some(scene) = Scene::new(SHOP) else { return };
    let work = workload(vec![
        statement(
            "select * from orders where account_id = $1",
            100,
            &[&["15"], &["1"], &["2"], &["3"], &["4"]],
        ),
        statement("select * from orders where amount = $1", 90, &[&["15"], &["1"], &["2"], &["3"], &["4"]]),
    ]);
    let (advised, log) = scene.advise_as(APP, &work, &Limits { plans_per_second: 20.0, ..limits() });
    let times: Vec<Instant> =
        log.iter().filter(|(_, sql)| sql.starts_with("EXPLAIN")).map(|(at, _)| *at).collect();
    assert!(times.len() >= 20, "{}", times.len());
    assert_eq!(times.len() as u64, advised.plans);
    for window in times.windows(11) {
        let took = window[10] - window[0];
        // Ten gaps of 50 ms; a message may be on its way a little longer than the one before it.
        assert!(took >= Duration::from_millis(450), "{took:?}");
    }
}

#[test]
fn when_the_time_is_over_what_is_known_is_the_answer() {
    let Some(scene) = Scene::new(SHOP) else { return };
    let texts =
        (0..40).map(|n| format!("select * from orders where account_id = $1 and amount > {n} order by id"));
    let work = workload(
        texts.enumerate().map(|(n, text)| statement(&format!("{text}, {n}"), 10, &[&["15"]])).collect(),
    );
    let limits = Limits { plans_per_second: 20.0, time: Duration::from_secs(1), ..limits() };
    let begin = Instant::now();
    let (advised, _) = scene.advise_as(APP, &work, &limits);
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
    assert!(advised.plans <= 25, "{}", advised.plans);
    let notes = advised.advice.notes.join("\n");
    assert!(notes.contains("could not be planned in the time"), "{notes}");
}

#[test]
fn without_hypopg_the_grade_is_lower_and_that_is_told() {
    let scene = Scene::bare(SHOP);
    let work = workload(vec![
        statement("select * from orders where account_id = $1", 300, &[&["15"], &["4400"]]),
        statement("select * from orders where state = $1", 300, &[&["new"]]),
    ]);
    let advised = scene.advise(&work);
    assert!(!advised.hypothetical);
    assert!(
        advised.advice.notes.iter().any(|note| note.contains("hypopg is not there")),
        "{:?}",
        advised.advice.notes
    );
    assert!(advised.advice.fixes.iter().all(|fix| !matches!(fix.proof, Proof::Planner { .. })));
    assert!(indexes(&advised).iter().all(|title| !title.contains("state")), "{:#?}", advised.advice);
    let found = fix(&advised, indexes(&advised).first().expect("the plain case is seen"));
    assert_eq!(found.proof, Proof::Pattern);
    assert!(found.title.contains("account_id"), "{found:?}");
}

#[test]
fn without_rights_nothing_is_claimed() {
    let Some(scene) = Scene::new(SHOP) else { return };
    let work = workload(vec![statement("select * from orders where account_id = $1", 300, &[&["15"]])]);
    let (advised, _) = scene.advise_as(APP2, &work, &limits());
    assert_eq!(indexes(&advised), Vec::<&str>::new());
    let why = &verdict(&advised, &work.shapes[0]).why;
    assert!(why.contains("permission denied") && why.contains("42501"), "{why}");
    assert!(
        advised.advice.notes.iter().any(|note| note.contains("may not be seen")),
        "{:?}",
        advised.advice.notes
    );
}

#[test]
fn a_statement_that_takes_too_long_to_plan_is_given_up() {
    let Some(scene) = Scene::new(SHOP) else { return };
    scene.database.setup(
        "create function slow() returns bigint immutable language plpgsql as 'begin perform pg_sleep(30); return 1; end'",
    );
    let work = workload(vec![
        statement("select * from orders where account_id = slow()", 300, &[&[]]),
        statement("select * from orders where account_id = $1", 200, &[&["15"]]),
    ]);
    let begin = Instant::now();
    let limits = Limits { statement_timeout: Duration::from_millis(200), ..limits() };
    let (advised, _) = scene.advise_as(APP, &work, &limits);
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    let why = &verdict(&advised, &work.shapes[0]).why;
    assert!(why.contains("57014"), "{why}");
    assert_eq!(indexes(&advised).len(), 1, "{:#?}", advised.advice);
}

#[test]
fn a_locked_table_costs_a_note_and_no_wait() {
    let Some(scene) = Scene::new(SHOP) else { return };
    let mut holder = Cluster::shared().superuser(&scene.database.name);
    holder.run("begin; lock table tiny");
    let work = workload(vec![
        statement("select * from tiny where a = $1", 300, &[&["1"]]),
        statement("select * from orders where account_id = $1", 200, &[&["15"]]),
    ]);
    let begin = Instant::now();
    let advised = scene.advise(&work);
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    assert!(
        advised.advice.notes.iter().any(|note| note.contains("sizes as they are now")),
        "{:?}",
        advised.advice.notes
    );
    assert!(verdict(&advised, &work.shapes[0]).why.contains("55P03"), "{:#?}", advised.advice.verdicts);
    assert_eq!(indexes(&advised).len(), 1, "{:#?}", advised.advice);
    holder.run("rollback");
}

#[test]
fn a_standby_that_goes_away_midway_is_told_and_the_primary_asked() {
    let Some(scene) = Scene::new(SHOP) else { return };
    let texts = (0..12).map(|n| format!("select * from orders where account_id = $1 and amount <> {n}"));
    let work = workload(texts.map(|text| statement(&text, 100, &[&["15"], &["4400"]])).collect());
    let told = |advised: &Advised, words: &str| advised.advice.notes.iter().any(|note| note.contains(words));
    // The first questions are of catalogs; the last ones are plans as things are, and then with an index.
    for left in [1, 6, 40, 60] {
        let (advised, _) = scene.advise_by(APP, &work, &limits(), usize::MAX, Some(left));
        assert!(told(&advised, "the primary was asked for the others"), "{left}: {:?}", advised.advice.notes);
        assert!(indexes(&advised).iter().any(|title| title.contains("account_id")), "{left}: {advised:#?}");
        // One question found that nobody was there any more.
        let is_unhelped = |one: &&Verdict| one.why.starts_with("no");
        let unhelped = advised.advice.verdicts.iter().filter(is_unhelped).count();
        assert!(unhelped <= 1, "{left}: {:#?}", advised.advice.verdicts);
    }
    let (advised, _) = scene.advise_by(APP, &work, &limits(), usize::MAX, Some(usize::MAX));
    assert!(!told(&advised, "went away"), "{:?}", advised.advice.notes);
    // With nobody left, nothing is claimed in the planner's name.
    let (advised, _) = scene.advise_by(APP, &work, &limits(), 30, None);
    assert!(told(&advised, "what it was not asked by then"), "{:?}", advised.advice.notes);
    let claimed = |fix: &Fix| matches!(fix.proof, Proof::Planner { .. });
    assert!(!advised.advice.fixes.iter().any(claimed), "{:#?}", advised.advice.fixes);
}
