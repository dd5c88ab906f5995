//! Statements before and after.

use super::super::scan::tests::{sample, shop};
use super::super::scan::{Found, scan};
use super::*;

fn found(text: &str) -> Found {
    scan(&sample(text, &[]), &shop()).unwrap_or_else(|| panic!("not understood: {text}"))
}

#[test]
fn conditions_on_expressions_become_conditions_on_columns() {
    let table = [
        ("created_at::date = $1", "(created_at >= $1::DATE AND created_at < $1::DATE + 1)"),
        ("date(created_at) > '2024-05-01'", "created_at >= '2024-05-01'::DATE + 1"),
        ("date(o.created_at) <= current_date", "o.created_at < current_date::DATE + 1"),
        ("kind + 1 = $1", "kind = $1 - 1"),
        ("10 < kind - 5", "kind > 10 + 5"),
        (
            "date_trunc('month', created_at) = $1",
            "(created_at >= $1 AND created_at < $1::TIMESTAMP + '1 month'::INTERVAL)",
        ),
        (
            "extract(year from created_at) = 2024",
            "(created_at >= make_date(2024, 1, 1) AND created_at < make_date(2025, 1, 1))",
        ),
        ("account_id::text = $1", "account_id = $1::BIGINT"),
        ("$1 = any(tags)", "tags @> ARRAY[$1]::TEXT[]"),
        ("created_at + interval '7 days' > now()", "created_at > now() - INTERVAL '7 days'"),
    ];
    for (before, after) in table {
        let text = format!("select id from orders o where kind = 3 and {before}");
        let mut tree = printable(&text).expect("it can be printed");
        let changes = sargable(&mut tree, &found(&text), &shop());
        assert_eq!(changes.len(), 1, "{before}");
        let expected = format!("SELECT id FROM orders o WHERE kind = 3 AND {after}");
        assert_eq!(print(&tree).as_deref(), Some(&*expected), "{before}");
    }
    for same in [
        "lower(note) = 'x'",
        "kind * 2 = 4",
        "coalesce(note, '') = ''",
        "created_at::date = placed::date",
        "kind = 3",
    ] {
        let text = format!("select id from orders where {same}");
        let mut tree = printable(&text).expect("it can be printed");
        assert_eq!(sargable(&mut tree, &found(&text), &shop()), [], "{same}");
    }
}

#[test]
fn other_forms_of_statements() {
    let text = "select o.id from orders o join accounts a on a.id = o.account_id where o.kind = 1 and (o.note = $1 or a.name = $2) order by id limit 5";
    let rewritten = union_all(&printable(text).expect("printable")).and_then(|tree| print(&tree));
    assert_eq!(
        rewritten.as_deref(),
        Some(
            "SELECT o.id FROM orders o JOIN accounts a ON a.id = o.account_id WHERE o.kind = 1 AND o.note = $1 UNION ALL \
             SELECT o.id FROM orders o JOIN accounts a ON a.id = o.account_id WHERE o.kind = 1 AND a.name = $2 AND \
             (o.note = $1) IS NOT TRUE ORDER BY id LIMIT 5"
        )
    );
    let after = |text: &str, change: &dyn Fn(&mut Statement) -> Option<()>| {
        let mut tree = printable(text)?;
        change(&mut tree)?;
        print(&tree)
    };
    assert_eq!(
        after(
            "select id from accounts where id not in (select account_id from orders where kind = 2)",
            &not_exists
        )
        .as_deref(),
        Some(
            "SELECT id FROM accounts WHERE NOT EXISTS (SELECT 1 FROM orders WHERE kind = 2 AND orders.account_id = accounts.id)"
        )
    );
    assert_eq!(
        after("select id from orders where id not in (select parent_id from orders)", &not_exists),
        None
    );
    assert_eq!(
        after("select name from accounts where id = $1", &all_at_once).as_deref(),
        Some("SELECT name, id FROM accounts WHERE id = ANY($1)")
    );
    assert_eq!(after("select name from accounts where id = $1 and plan_id = $2", &all_at_once), None);
    let text = "select id from accounts where plan_id = 2 order by id limit 20 offset 5000";
    let rewritten =
        keyset(&printable(text).expect("printable"), &found(text), &shop()).and_then(|tree| print(&tree));
    assert_eq!(
        rewritten.as_deref(),
        Some("SELECT id FROM accounts WHERE plan_id = 2 AND id > $1 ORDER BY id LIMIT 20")
    );
    let columns = [("account_id".to_owned(), "bigint".to_owned())];
    assert_eq!(
        after("select id from orders where account_id = $1", &|tree| casts_of_values(tree, &columns))
            .as_deref(),
        Some("SELECT id FROM orders WHERE account_id = $1::BIGINT")
    );
}

#[test]
fn no_value_is_shown() {
    let table = [
        (
            "select id from orders where note = 'secret' and kind + 1 = 77",
            "SELECT id FROM orders WHERE note = $1 AND kind + 1 = $2",
        ),
        (
            "select 'secret' from orders where code in ('secret', $1) limit 5",
            "SELECT $3 FROM orders WHERE code IN ($2, $1) LIMIT 5",
        ),
        (
            "update orders set note = 'secret', kind = 77 where id = 77",
            "UPDATE orders SET note = $1, kind = $2 WHERE id = $3",
        ),
        (
            "select 1 from orders where lower(note) = lower('secret') and date_trunc('day', placed) > now() - interval '7 days'",
            "SELECT 1 FROM orders WHERE lower(note) = lower($1) AND date_trunc('day', placed) > now() - INTERVAL '7 days'",
        ),
        (
            "select 1 from orders where data ->> 'k' = 'secret'",
            "SELECT 1 FROM orders WHERE data ->> 'k' = $1",
        ),
        (
            "select 1 from orders where created_at > date '2024-05-05'",
            "SELECT 1 FROM orders WHERE created_at > $1::DATE",
        ),
        (
            "select case when note = 'secret' then 1 end from orders",
            "SELECT CASE WHEN note = $1 THEN 1 END FROM orders",
        ),
    ];
    for (text, expected) in table {
        let tree = printable_hidden(text).expect("it can be printed");
        assert_eq!(print_hidden(&tree).as_deref(), Some(expected));
    }
    assert_eq!(printable_hidden("insert into plans values (1, 'secret')"), None);
}

#[test]
fn what_the_tree_does_not_have_is_not_printed() {
    for text in [
        "select id from only orders",
        "select id from orders for no key update",
        "select id from orders where note = 'it''s'",
        "select id from orders where note = e'\\n'",
        "select from where",
    ] {
        assert!(printable(text).is_none(), "{text}");
    }
}
