//! The way of relations, from being wanted to being usable and back.

use super::super::table::{Column, Identity};
use super::*;

fn table(oid: u32, descendants: &[u32], partitioned: bool) -> Table {
    let id = Column {
        number: 1,
        name: "id".into(),
        type_oid: 23,
        not_null: true,
        deterministic: true,
        streamed: true,
    };
    Table {
        oid,
        schema: "public".into(),
        name: format!("t{oid}"),
        columns: vec![id],
        identity: if partitioned { Identity::None } else { Identity::Key(vec![1]) },
        primary: vec![1],
        ancestors: vec![],
        descendants: descendants.to_vec(),
        partitioned,
    }
}

fn found(table: Table, published: bool) -> Found {
    Found { oid: table.oid, published, table: Ok(table) }
}

fn refused(oid: u32, refusal: Refusal, published: bool) -> Found {
    Found { oid, published, table: Err(refusal) }
}

/// Reads all that are wanted.
fn read(wanted: &mut Wanted, found: Vec<Found>, now: Instant) -> (Vec<Todo>, Vec<News>) {
    let asked = wanted.all();
    wanted.read(&asked, found, now)
}

/// Brings a table that was added to the end of its way.
fn settle(wanted: &mut Wanted, oid: u32, now: Instant) -> Vec<News> {
    wanted.published(oid, 100);
    assert_eq!(wanted.to_settle(99), [0; 0], "a transaction of before still runs");
    assert_eq!(wanted.to_settle(100), [oid]);
    assert_eq!(wanted.fresh(now), [], "the publication was not touched");
    wanted.settled(&[oid], now);
    wanted.fresh(now)
}

#[test]
fn a_table_is_usable_from_the_first_fresh_point_behind_its_settling() {
    let (mut wanted, now) = (Wanted::default(), Instant::now());
    assert_eq!(wanted.want(7), Ok(true));
    assert_eq!(wanted.want(7), Ok(false));
    assert_eq!(
        read(&mut wanted, vec![found(table(7, &[], false), false)], now),
        (vec![Todo::Add(7)], vec![])
    );
    assert!(wanted.table(7).is_none(), "it is not published");
    wanted.published(7, 100);
    assert!(wanted.table(7).is_some());
    let at = now + Duration::from_secs(1);
    wanted.settled(&[7], at);
    assert_eq!(wanted.fresh(now), [], "the point is before the settling");
    assert_eq!(wanted.fresh(at), [News::Usable(Arc::new(table(7, &[], false)))]);
    assert_eq!(wanted.fresh(at + Duration::from_secs(1)), [], "it is told once");
    assert_eq!(read(&mut wanted, vec![found(table(7, &[], false), true)], now), (vec![], vec![]));
    assert_eq!(wanted.counts(), (1, 1));
}

#[test]
fn a_table_that_has_changed_begins_anew() {
    let (mut wanted, now) = (Wanted::default(), Instant::now());
    wanted.want(7).expect("there is room");
    read(&mut wanted, vec![found(table(7, &[], false), false)], now);
    settle(&mut wanted, 7, now);
    let other = Table { name: "renamed".into(), ..table(7, &[], false) };
    let (todo, news) = read(&mut wanted, vec![found(other, true)], now);
    assert_eq!(todo, [Todo::Add(7)]);
    assert_eq!(news, [News::Changed(7), News::Unusable(7, Refusal::Changed)]);
    assert_eq!(settle(&mut wanted, 7, now).len(), 1);
    assert_eq!(wanted.changed(7), Some(vec![News::Unusable(7, Refusal::Changed)]), "by the stream");
    assert_eq!(wanted.changed(7), None, "it is known");
}

#[test]
fn who_takes_a_table_out_of_the_publication_is_found_out() {
    let (mut wanted, now) = (Wanted::default(), Instant::now());
    wanted.want(7).expect("there is room");
    read(&mut wanted, vec![found(table(7, &[], false), false)], now);
    settle(&mut wanted, 7, now);
    let (todo, news) = read(&mut wanted, vec![found(table(7, &[], false), false)], now);
    assert_eq!((todo, news), (vec![Todo::Add(7)], vec![News::Unusable(7, Refusal::Changed)]));
}

#[test]
fn a_table_that_loses_its_key_leaves_the_publication() {
    let (mut wanted, now) = (Wanted::default(), Instant::now());
    wanted.want(7).expect("there is room");
    read(&mut wanted, vec![found(table(7, &[], false), false)], now);
    settle(&mut wanted, 7, now);
    let (todo, news) = read(&mut wanted, vec![refused(7, Refusal::NoIdentity, true)], now);
    assert_eq!((todo, news), (vec![Todo::Remove(7)], vec![News::Unusable(7, Refusal::NoIdentity)]));
    let again = read(&mut wanted, vec![refused(7, Refusal::NoIdentity, false)], now);
    assert_eq!(again, (vec![], vec![]), "it is told once");
    let (todo, news) = read(&mut wanted, vec![found(table(7, &[], false), false)], now);
    assert_eq!((todo, news), (vec![Todo::Add(7)], vec![]), "it has a key again");
}

#[test]
fn a_server_that_refuses_is_asked_again_after_a_while() {
    let (mut wanted, now) = (Wanted::default(), Instant::now());
    wanted.want(7).expect("there is room");
    read(&mut wanted, vec![found(table(7, &[], false), false)], now);
    let refusal = Refusal::Server(crate::wire::Fault::error("42501", "must be owner of table t7"));
    let news = wanted.not_published(7, refusal.clone(), now);
    assert_eq!(news, [News::Unusable(7, refusal)]);
    let mut todo = |after| read(&mut wanted, vec![found(table(7, &[], false), false)], now + after).0;
    assert_eq!(todo(AGAIN / 2), []);
    assert_eq!(todo(AGAIN), [Todo::Add(7)]);
}

#[test]
fn a_partitioned_table_is_usable_when_its_leaves_are() {
    let (mut wanted, now) = (Wanted::default(), Instant::now());
    wanted.want(7).expect("there is room");
    let root = || found(table(7, &[8, 9], true), false);
    assert_eq!(read(&mut wanted, vec![root()], now), (vec![], vec![]));
    assert_eq!(wanted.all(), [7, 8, 9]);
    let leaves = |published| [8, 9].map(|oid| found(table(oid, &[], false), published));
    let (todo, news) = read(&mut wanted, [root()].into_iter().chain(leaves(false)).collect(), now);
    assert_eq!((todo, news), (vec![Todo::Add(8), Todo::Add(9)], vec![]));
    wanted.published(9, 200);
    assert_eq!(settle(&mut wanted, 8, now), [], "one leaf is not enough");
    wanted.settled(&[9], now);
    assert_eq!(wanted.fresh(now), [News::Usable(Arc::new(table(7, &[8, 9], true)))]);
    // A leaf that cannot be followed keeps the whole of it from being.
    let all = vec![root(), refused(8, Refusal::NoIdentity, true), found(table(9, &[], false), true)];
    let (todo, news) = read(&mut wanted, all, now);
    assert_eq!((todo, news), (vec![Todo::Remove(8)], vec![News::Unusable(7, Refusal::Descendant(8))]));
}

#[test]
fn what_is_wanted_no_more_leaves_the_publication_with_its_leaves() {
    let (mut wanted, now) = (Wanted::default(), Instant::now());
    wanted.want(7).expect("there is room");
    read(&mut wanted, vec![found(table(7, &[8], true), false)], now);
    read(&mut wanted, vec![found(table(7, &[8], true), false), found(table(8, &[], false), false)], now);
    settle(&mut wanted, 8, now);
    wanted.unwant(7);
    let all = vec![found(table(7, &[8], true), false), found(table(8, &[], false), true)];
    assert_eq!(read(&mut wanted, all, now), (vec![Todo::Remove(8)], vec![]));
    assert_eq!(wanted.all(), [0; 0]);
}

#[test]
fn all_begin_anew_after_a_loss_and_what_is_gone_is_told() {
    let (mut wanted, now) = (Wanted::default(), Instant::now());
    wanted.want(7).expect("there is room");
    read(&mut wanted, vec![found(table(7, &[], false), false)], now);
    settle(&mut wanted, 7, now);
    wanted.lost();
    assert_eq!((wanted.counts(), wanted.table(7)), ((0, 1), None));
    let (todo, news) = read(&mut wanted, vec![found(table(7, &[], false), true)], now);
    assert_eq!((todo, news), (vec![Todo::Add(7)], vec![]));
    assert_eq!(settle(&mut wanted, 7, now).len(), 1);
    assert_eq!(read(&mut wanted, vec![], now), (vec![], vec![News::Unusable(7, Refusal::Gone)]));
}

#[test]
fn there_is_a_limit() {
    let (mut wanted, now) = (Wanted::default(), Instant::now());
    for oid in 0..MOST as u32 {
        assert_eq!(wanted.want(oid), Ok(true));
    }
    assert_eq!(wanted.want(MOST as u32), Err(Refusal::TooMany));
    let (_, news) = wanted.read(&[3], vec![found(table(3, &[1 << 20], true), false)], now);
    assert_eq!(news, [News::Unusable(3, Refusal::TooMany)]);
    assert_eq!(wanted.all().len(), MOST);
}
