//! Forms of plans in the history of a fleet, and what has become slower by what its pgweirs have counted.

use pgweir::advice::form::Planned;
use pgweir::advice::turn::KnownPlan;

use super::*;

const TEXT: &str = "select s from t where s = $1";

fn shape() -> u128 {
    pgweir::sql::shape(TEXT.as_bytes(), true).fingerprint.0
}

/// Forty calls at a time, each of so many microseconds.
fn forty(at: i64, micros: u64) -> Batch {
    let mut batch = Batch { at, ..Batch::default() };
    let who = Arc::new(Who { database: "shop".into(), user: "app".into(), application: "web".into() });
    let mut sums = Sums::default();
    for _ in 0..40 {
        let times = Some([0, micros, 0, 0, micros]);
        sums.add(&Answer { served: Served::Primary, rows: 2, bytes: 10, error: None, times });
    }
    batch.counted.add(who, shape(), TEXT.into(), sums);
    batch
}

fn plan(hash: u64, rows: f64) -> Planned {
    Planned { fingerprint: shape(), hash, form: format!("p{hash}"), rows }
}

#[test]
fn fleet_history_knows_what_has_become_slower_and_its_plans() {
    let Some(fleet) = Fleet::new() else { return };
    let (later, window) = (NOON + 7200, (NOON + 3600, NOON + 10_800));
    let mut writers = ["own", "other"].map(|name| writer(&fleet.url(), name));
    for (writer, after) in writers.iter_mut().zip([60_000, 1000]) {
        assert!(writer.send(forty(NOON, 1000)) && writer.send(forty(later, after)));
        written(writer, 80);
    }
    let place = Place::named(Path::new(&fleet.url())).expect("a good URL");
    let note = |instance: Option<&str>, seen: &[Planned], now: i64| {
        place.note_plans(("shop", instance), seen, now).expect("it is written");
    };
    // The same twice is one.
    note(Some("own"), &[plan(1, 10.0), plan(1, 10.0)], NOON);
    note(Some("other"), &[plan(1, 30.0)], NOON + 100);
    note(Some("other"), &[plan(3, 30.0)], NOON + 100);
    note(None, &[plan(u64::MAX, 30.0)], later);
    let found = |database: &str, instance: Option<&str>| {
        let mut turns = place.turns(window, Some(database), instance).expect("it can be read");
        turns
            .remove(&shape())
            .map(|turn| (turn.at, turn.before.sums.calls, turn.after.sums.calls, turn.plans))
    };
    let known = |hash, rows, seen| KnownPlan { planned: plan(hash, rows), seen };
    let last = known(u64::MAX, 30.0, (later, later));
    let own = vec![known(1, 10.0, (NOON, NOON)), last.clone()];
    assert_eq!(found("shop", Some("own")), Some((later, 40, 40, own)));
    let all = vec![known(1, 30.0, (NOON, NOON + 100)), known(3, 30.0, (NOON + 100, NOON + 100)), last];
    assert_eq!(found("shop", None), Some((later, 80, 80, all)));
    assert_eq!(found("shop", Some("other")), None);
    assert_eq!(found("elsewhere", None), None);
    (0..40).for_each(|n| note(Some("own"), &[plan(n + 4, 1.0)], later + n as i64));
    let kept = "select count(*) || ' ' || min(form) from pgweir_history.plan where instance = 'own'";
    assert_eq!(fleet.ask(kept), "16 p28", "the oldest go");
    // They go with the counts of their shape.
    assert!(writers[0].send(ten(NOON + 45 * 86400)));
    eventually("they go", || fleet.ask("select count(*) from pgweir_history.plan") == "0");
}

#[test]
fn fleet_history_of_an_older_version_is_brought_up_by_who_writes() {
    let Some(fleet) = Fleet::new() else { return };
    let mut own = writer(&fleet.url(), "own");
    assert!(own.send(ten(NOON)) && own.close(Duration::from_secs(10)));
    fleet.ask(
        "drop table pgweir_history.plan, pgweir_history.mark, pgweir_history.seen_table;
        delete from pgweir_history.migration where number > 1",
    );
    let place = Place::named(Path::new(&fleet.url())).expect("a good URL");
    let older = "its tables are of version 1, which is older than this pgweir";
    let reason = place.between((0, i64::MAX), 0, None).expect_err("it is older").reason().to_owned();
    assert!(reason.starts_with(older), "{reason}");
    let told = place.note_plans_or_tell(("shop", None), &[plan(1, 1.0)], NOON).expect("it is told");
    assert!(told.starts_with("plans are not remembered for later") && told.contains(older), "{told}");
    assert_eq!(fleet.ask("select count(*) from pgweir_history.migration"), "1");
    let mut own = writer(&fleet.url(), "own");
    assert!(own.send(ten(NOON)) && own.close(Duration::from_secs(10)));
    assert_eq!(fleet.ask(MIGRATIONS), "1001_history 4004_plans 5005_marks");
    assert_eq!(fleet.ask(CALLS), "20");
    assert_eq!(place.note_plans_or_tell(("shop", None), &[plan(1, 1.0)], NOON), None);
}
