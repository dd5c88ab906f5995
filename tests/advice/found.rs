//! Planted problems are found, and what is proposed for them is really built and used; what needs nothing is left alone.

use pgweir::advice::Proof;

use super::*;

#[test]
fn what_is_proposed_is_built_and_used() {
    let Some(scene) = Scene::new(SHOP) else { return };
    let latest = "select * from orders where account_id = $1 order by created_at desc limit 20";
    let email = "select id from accounts where lower(email) = $1";
    let work = workload(vec![
        statement(latest, 600, &[&["1"], &["15"], &["4400"]]),
        statement(email, 90, &[&["user17@example.com"], &["nobody"]]),
    ]);
    let advised = scene.advise(&work);
    assert_eq!(
        indexes(&advised),
        ["index orders(account_id, created_at DESC)", "index accounts((lower(email)))"]
    );
    assert!(advised.hypothetical);
    let (first, second) = (&advised.advice.fixes[0], &advised.advice.fixes[1]);
    assert!(
        first.saves > second.saves && second.saves.is_some_and(|saves| saves > 10.0),
        "{:?}",
        advised.advice
    );
    assert_eq!(first.proof, Proof::Planner { better: 3, samples: 3 });
    assert_eq!(verdict(&advised, &work.shapes[0]).fixes, [0]);
    for one in [first, second] {
        scene.apply(one);
        let name = one.title.trim_start_matches("index ").split('(').next().expect("a table");
        let bytes: f64 = scene
            .value(&format!(
                "select pg_relation_size(max(indexrelid)) from pg_index where indrelid = '{name}'::regclass"
            ))
            .parse()
            .expect("a number");
        let ratio = one.price.bytes as f64 / bytes;
        assert!((0.75..1.34).contains(&ratio), "{}: {} for {bytes}", one.title, one.price.bytes);
    }
    let plan = scene.plan("select * from orders where account_id = 4400 order by created_at desc limit 20");
    assert!(
        plan.contains("Index Scan using orders_account_id_created_at_idx") && !plan.contains("Sort"),
        "{plan}"
    );
    let plan = scene.plan("select id from accounts where lower(email) = 'user17@example.com'");
    assert!(plan.contains("accounts_lower_idx"), "{plan}");
    let again = scene.advise(&work);
    assert_eq!(indexes(&again), Vec::<&str>::new(), "{:#?}", again.advice);
    let why = &verdict(&again, &work.shapes[0]).why;
    assert!(why.contains("no index will help") && why.contains("orders_account_id_created_at_idx"), "{why}");
    advised.advice.fixes.iter().for_each(|fix| scene.undo(fix));
    assert_eq!(scene.value("select count(*) from pg_index where indrelid = 'orders'::regclass"), "1");
}

#[test]
fn where_no_index_helps_nothing_is_proposed_and_the_reason_is_told() {
    let Some(scene) = Scene::new(SHOP) else { return };
    let work = workload(vec![
        statement("select * from tiny where a = $1", 100, &[&["7"]]),
        statement("select * from orders where state = $1", 100, &[&["done"]]),
        statement("select * from orders where id = $1", 100, &[&["77"]]),
        statement("select sum(amount) from orders", 100, &[&[]]),
        statement("insert into tiny values ($1, $2)", 100, &[&["1", "b"]]),
        statement("update orders set amount = $1 where id = $2", 100, &[&["1", "2"]]),
    ]);
    let advised = scene.advise(&work);
    assert_eq!(indexes(&advised), Vec::<&str>::new(), "{:#?}", advised.advice);
    for (place, part) in
        ["rows", "rows of orders", "orders_pkey", "rows of orders", "reads no table", "orders_pkey"]
            .into_iter()
            .enumerate()
    {
        let why = &verdict(&advised, &work.shapes[place]).why;
        assert!(
            why.starts_with("no index will help") && why.contains(part),
            "{}: {why}",
            work.shapes[place].text
        );
    }
}

#[test]
fn statements_without_values_get_samples_of_the_statistics() {
    let Some(scene) = Scene::new(SHOP) else { return };
    let work = workload(vec![
        statement("select * from orders where account_id = $1 and created_at > $2 limit $3", 300, &[]),
        statement("select * from orders where account_id = any ($1) and amount = $2", 10, &[]),
    ]);
    let advised = scene.advise(&work);
    let found = indexes(&advised);
    assert!(found.iter().any(|title| title.starts_with("index orders(account_id")), "{:#?}", advised.advice);
    let first = &advised.advice.fixes[0];
    assert!(
        first.evidence.iter().any(|line| line.contains("No values of these statements were kept")),
        "{first:?}"
    );
    assert!(advised.advice.verdicts.iter().all(|one| one.plan.is_some()), "{:#?}", advised.advice);
}

#[test]
fn the_order_of_the_workload_does_not_matter() {
    let Some(scene) = Scene::new(SHOP) else { return };
    let mut work = workload(vec![
        statement(
            "select * from orders where account_id = $1 order by created_at desc limit 20",
            50,
            &[&["1"], &["15"]],
        ),
        statement(
            "select * from orders where account_id = $1 and state = $2",
            50,
            &[&["1", "new"], &["15", "open"]],
        ),
        statement(
            "select amount from orders where account_id = $1 and amount > $2",
            50,
            &[&["1", "900"], &["15", "5"]],
        ),
        statement("select id from accounts where email = $1", 50, &[&["User5@example.com"]]),
        statement(
            "select * from orders o join accounts a on a.id = o.account_id where a.email = $1",
            50,
            &[&["User5@example.com"]],
        ),
        statement("update orders set state = $1 where account_id = $2", 50, &[&["done", "15"]]),
    ]);
    let told = |advised: Advised| {
        let fixes = advised.advice.fixes.into_iter().map(|fix| format!("{fix:?}")).collect::<Vec<_>>();
        let rejected = advised.advice.rejected.into_iter().map(|one| format!("{one:?}")).collect::<Vec<_>>();
        (fixes, rejected)
    };
    let first = told(scene.advise(&work));
    assert!(!first.0.is_empty());
    for turn in 1..4 {
        work.shapes.rotate_left(turn);
        work.shapes.swap(0, 3);
        work.shapes.iter_mut().for_each(|shape| shape.samples.reverse());
        assert_eq!(told(scene.advise(&work)), first);
    }
}

#[test]
fn partitions_and_odd_names_get_sql_that_runs() {
    let Some(scene) = Scene::new(
        "create schema \"Odd S\";
         create table \"Odd S\".\"Sel\"\"ect\" (\"Key Col\" int, \"select\" text, \"ü\" int);
         insert into \"Odd S\".\"Sel\"\"ect\" select i % 5000, 's', i from generate_series(1, 30000) i;
         create table events (account_id int, at timestamptz not null, kind text) partition by range (at);
         create table events_1 partition of events for values from ('2024-01-01') to ('2024-02-01');
         create table \"Events 2\" partition of events for values from ('2024-02-01') to ('2024-03-01') partition by list (kind);
         create table events_2a partition of \"Events 2\" for values in ('a');
         create table events_2b partition of \"Events 2\" default;
         insert into events select i % 7000, timestamptz '2024-01-01' + (i % 59) * interval '1 day', chr(97 + i % 3) from generate_series(1, 60000) i;
         analyze",
    ) else {
        return;
    };
    let work = workload(vec![
        statement("select * from \"Odd S\".\"Sel\"\"ect\" where \"Key Col\" = $1", 100, &[&["7"]]),
        statement("select * from events where account_id = $1", 100, &[&["7"], &["55"]]),
    ]);
    let advised = scene.advise(&work);
    assert_eq!(
        advised.advice.fixes.iter().filter(|fix| fix.code == "index").count(),
        2,
        "{:#?}",
        advised.advice
    );
    let proposed: Vec<&Fix> = advised.advice.fixes.iter().filter(|fix| fix.code == "index").collect();
    proposed.iter().for_each(|fix| scene.apply(fix));
    assert_eq!(scene.value("select bool_and(indisvalid)::text || count(*) from pg_index where indrelid >= 16384 and indrelid::regclass::text ~* 'event'"), "true5");
    let plan = scene.plan("select * from events where account_id = 7");
    assert!(!plan.contains("Seq Scan"), "{plan}");
    assert!(scene.plan("select * from \"Odd S\".\"Sel\"\"ect\" where \"Key Col\" = 7").contains("Index"));
    proposed.iter().for_each(|fix| scene.undo(fix));
    assert_eq!(scene.value("select count(*) from pg_index where indrelid >= 16384 and indrelid::regclass::text ~* 'event|odd'"), "0");
}

#[test]
fn an_invalid_index_is_built_anew_and_a_duplicate_dropped() {
    let Some(scene) = Scene::new(SHOP) else { return };
    scene.database.setup(
        "create index broken on orders (account_id); create index twin_1 on orders (amount, state); create index twin_2 on orders (amount, state); create index short on orders (amount)",
    );
    scene.value("update pg_index set indisvalid = false where indexrelid = 'broken'::regclass returning 1");
    let work = workload(vec![statement("select * from orders where account_id = $1", 100, &[&["15"]])]);
    let advised = scene.advise(&work);
    assert_eq!(indexes(&advised), Vec::<&str>::new(), "{:#?}", advised.advice);
    scene.apply(fix(&advised, "build broken anew: it is invalid"));
    assert_eq!(scene.value("select indisvalid from pg_index where indexrelid = 'broken'::regclass"), "t");
    scene.apply(fix(&advised, "drop index twin_2: a duplicate"));
    scene.apply(fix(&advised, "drop index short: a prefix of another"));
    let again = scene.advise(&work);
    let left: Vec<_> = again.advice.fixes.iter().filter(|fix| fix.code.ends_with("_index")).collect();
    assert!(left.is_empty(), "{left:#?}");
    scene.undo(fix(&advised, "drop index short: a prefix of another"));
    assert_eq!(scene.value("select to_regclass('short') is not null"), "t");
}
