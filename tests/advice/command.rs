//! `pgweir advise` as one types it.

use std::fs;
use std::process::Command;

use super::*;
use crate::harness::command::{Folder, Output, run};
use crate::harness::proxy::program;

const FILE: &str = r#"{"seconds": 3600, "statements": [
    {"text": "select * from orders where account_id = $1 order by created_at desc limit 20", "calls": 9000, "milliseconds": 90000.0,
     "samples": [{"values": ["15"]}, {"values": ["1"], "origin": "slowest"}]},
    {"text": "select * from tiny where a = $1", "calls": 10, "milliseconds": 5000.0, "samples": [{"values": ["3"]}]}]}"#;

fn advise_with(arguments: &[&str]) -> Output {
    run(Command::new(program()).arg("advise").args(arguments), Duration::from_secs(60))
}

#[test]
fn advice_is_printed_and_written_in_each_style() {
    let Some(scene) = Scene::new(SHOP) else { return };
    let folder = Folder::new();
    let (file, url) = (folder.0.join("w.json"), scene.url(APP));
    fs::write(&file, FILE).expect("a file can be written");
    let file = file.display().to_string();
    for style in ["sql", "rails", "django", "flyway", "prisma"] {
        let to = folder.0.join(style).display().to_string();
        let said = advise_with(&[
            "--workload",
            &file,
            "--write",
            &to,
            "--style",
            style,
            "--explains-per-second",
            "500",
            &url,
        ]);
        let said = said.success();
        assert!(said.contains("FIX-1  index orders(account_id, created_at DESC)"), "{said}");
        assert!(said.contains("CREATE INDEX CONCURRENTLY orders_account_id_created_at_idx"), "{said}");
        assert!(
            said.contains("PLANNER 2 of 2 samples") && said.contains("no index will help: tiny"),
            "{said}"
        );
        assert!(!said.contains(APP.1), "a password is shown");
        assert!(fs::read_dir(&to).expect("a folder").count() > 0);
    }
    let up = fs::read_to_string(folder.0.join("sql/01_index_orders_account_id_created_at_desc.up.sql"))
        .expect("a file");
    up.lines().filter(|line| !line.starts_with("--")).for_each(|line| scene.database.setup(line));
    assert_eq!(scene.value("select count(*) from pg_index where indrelid = 'orders'::regclass"), "2");
    let to = folder.0.join("sql").display().to_string();
    scene.database.setup("drop index orders_account_id_created_at_idx");
    let again = advise_with(&["--workload", &file, "--write", &to, &url]);
    assert!(!again.ok && again.stderr.contains("is there already"), "{again:?}");
    let json = folder.0.join("json").display().to_string();
    let said = advise_with(&["--workload", &file, "--format", "json", "--write", &json, &url]);
    assert!(said.ok && said.stderr.contains("wrote ") && !said.stdout.contains(APP.1), "{said:?}");
    let value: serde_json::Value = serde_json::from_str(&said.stdout).expect("nothing but JSON");
    let fix = &value["fixes"][0];
    assert_eq!((&fix["code"], &fix["proof"]["grade"]), (&"index".into(), &"planner".into()));
    assert!(fix["action"]["run"][0].as_str().is_some_and(|run| run.starts_with("CREATE INDEX")), "{fix}");
    let helped = value["statements"].as_array().expect("statements").iter();
    let helped = helped.filter(|one| one["fixes"][0] == fix["id"]).map(|one| one["text"].as_str());
    assert_eq!(
        helped.collect::<Vec<_>>(),
        [Some("select * from orders where account_id = $1 order by created_at desc limit 20")]
    );
    let budget = advise_with(&["--workload", &file, "--budget", "64kB", &url]).success();
    assert!(!budget.contains("CREATE INDEX") && budget.contains("more than the budget"), "{budget}");
}

#[test]
fn what_is_wrong_is_told_with_what_to_do() {
    let folder = Folder::new();
    let file = folder.0.join("w.json");
    let url = Cluster::shared().url(APP, "postgres", "");
    let check = |content: &str, url: &str, part: &str| {
        fs::write(&file, content).expect("a file can be written");
        let said = advise_with(&["--workload", &file.display().to_string(), url]);
        assert!(!said.ok && said.stderr.contains(part), "{part}: {said:?}");
        assert!(!said.stderr.contains(APP.1), "a password is shown: {said:?}");
    };
    check("{\"seconds\": 1, \"statements\": [{}]}", &url, "missing field `text` at line 1 column");
    check("{\"seconds\": 1, \"words\": []}", &url, "unknown field `words`");
    check(FILE, &Cluster::shared().url((APP.0, "wrong"), "postgres", ""), "28P01");
    check(FILE, "postgres://127.0.0.1:1", "names no");
    let nothing = advise_with(&["--store", "/nonexistent/history.db", &url]);
    assert!(!nothing.ok && nothing.stderr.contains("/nonexistent/history.db"), "{nothing:?}");
    let neither = advise_with(&[&url]);
    assert!(!neither.ok && neither.stderr.contains("--store"), "{neither:?}");
}
