//! The starter pack: its files are sound, and their own tests pass.

use super::*;
use crate::rules::check::check;
use crate::rules::{folder, reference};

fn pack() -> Vec<Source> {
    folder::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("rules")).expect("the pack is readable")
}

/// What the parser says of the statements in the pack, by hand: class, tables that are read, filtered, cross-joined.
fn facts(text: &str) -> Facts {
    let (class, reads, filtered, cross_joined): (_, &[&str], _, _) = match text {
        "UPDATE accounts SET balance = 0" => (Class::Update, &[], false, false),
        "UPDATE accounts SET balance = 0 WHERE id = 7" => (Class::Update, &[], true, false),
        "UPDATE orders SET state = 'paid' WHERE id = 7" => (Class::Update, &[], true, false),
        "DELETE FROM orders" => (Class::Delete, &[], false, false),
        "DELETE FROM orders WHERE true" => (Class::Delete, &[], true, false),
        "INSERT INTO report_runs (name) VALUES ('daily')" => (Class::Insert, &[], false, false),
        "SELECT * FROM orders, customers" => (Class::Select, &["customers", "orders"], false, true),
        "SELECT * FROM orders o JOIN customers c ON c.id = o.customer_id" => {
            (Class::Select, &["customers", "orders"], false, false)
        }
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'orders'" => {
            (Class::Select, &["information_schema.columns"], true, false)
        }
        "UPDATE products SET stock = stock - 1 WHERE id = 7" => (Class::Update, &[], true, false),
        text if text.contains("order_lines l JOIN products p") => {
            (Class::Select, &["order_lines", "products"], true, false)
        }
        text if text.contains(" FROM products WHERE ") => (Class::Select, &["products"], true, false),
        text if text.contains(" FROM customers WHERE ") => (Class::Select, &["customers"], true, false),
        text if text.contains(" FROM events WHERE ") => (Class::Select, &["events"], true, false),
        "SELECT 1" => (Class::Select, &[], false, false),
        text if text.contains("pg_type t JOIN pg_namespace n") => {
            (Class::Select, &["pg_namespace", "pg_type"], true, false)
        }
        text if text.to_lowercase().contains(" from orders") => {
            (Class::Select, &["orders"], text.contains("WHERE"), false)
        }
        other => panic!("no facts of {other}"),
    };
    let tables = reads.iter().map(|name| table(name, Access::Read)).collect();
    Facts { tables, filtered, cross_joined, ..understood(class) }
}

#[test]
fn the_pack_is_sound_and_its_tests_pass() {
    let files = pack();
    let checked = check(&files, NOON, &mut facts);
    let problems: Vec<_> = checked.problems.iter().map(ToString::to_string).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    for file in &files {
        assert!(file.text.contains("\n[[test]]\n"), "{} has no test", file.path.display());
    }
    assert_eq!(checked.rules, 10);
    assert!(checked.tests >= 26, "{}", checked.tests);
}

#[test]
fn safety_tenants_and_the_cache_are_in_shadow() {
    let rules = Ruleset::compile(&pack()).expect("sound");
    let enforced: Vec<_> = rules
        .rules()
        .iter()
        .filter(|rule| rule.mode() == crate::rules::Mode::Enforce)
        .map(|rule| rule.name())
        .collect();
    assert_eq!(enforced, ["orm-catalog-chatter", "reports-to-replicas"]);
}

#[test]
fn every_file_of_the_pack_is_in_the_reference() {
    let names: Vec<_> =
        pack().iter().map(|file| file.path.file_name().expect("a file").display().to_string()).collect();
    assert_eq!(names, reference::STARTER_PACK.map(|(file, _)| file));
}

#[test]
fn the_examples_of_the_pages_are_sound() {
    for (page, tests) in [("docs/guide/rules.md", 2), ("docs/guide/cache.md", 0), ("rules/README.md", 1)] {
        let page_text = committed(page);
        let examples = page_text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
        let text: String = examples.collect::<Vec<_>>().join("\n");
        let checked = check(&[Source { path: page.into(), text }], NOON, &mut facts);
        let problems: Vec<_> = checked.problems.iter().map(ToString::to_string).collect();
        assert!(problems.is_empty(), "{}", problems.join("\n"));
        assert_eq!(checked.tests, tests, "{page}");
    }
}

/// A test of the pack that passed whatever the rules are would be none.
#[test]
fn without_its_rules_the_pack_fails() {
    for file in pack() {
        let rules: Vec<&str> = file.text.split("[[rule]]").skip(1).collect();
        for rule in rules {
            let rule = rule.split("[[test]]").next().expect("a rule");
            let renamed = rule.replacen("name = \"", "name = \"other-", 1).replacen(
                "when = {",
                "when = { user = \"nobody\", ",
                1,
            );
            let renamed =
                renamed.replacen("user = \"nobody\",  user = [", "database = \"nothing\", user = [", 1);
            let text = file.text.replace(rule, &renamed);
            let checked = check(&[Source { path: file.path.clone(), text }], NOON, &mut facts);
            assert!(!checked.is_well(), "{rule}\nis not tested");
        }
    }
}
