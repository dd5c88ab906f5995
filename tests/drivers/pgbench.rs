//! pgbench in its three protocols: twenty clients over a pool of four.

use super::{Target, directly_and_through_pgweir, run};

fn init(target: &Target) {
    run(target.program("pgbench").args(["-i", "-q", "-s", "1"]));
}

fn bench(target: &Target, arguments: &[&str]) {
    let mut pgbench = target.program("pgbench");
    let said = run(pgbench.args(["-n", "-c", "20", "-j", "20", "-t", "50"]).args(arguments));
    assert!(said.contains("number of transactions actually processed: 1000/1000"), "{said}");
    assert!(said.contains("number of failed transactions: 0 "), "{said}");
}

fn consistent(target: &Target, transactions: u32) {
    let sql = "select (select count(*) from pgbench_history) || ' ' || (select sum(abalance) from pgbench_accounts) - (select sum(delta) from pgbench_history) || ' ' || (select sum(bbalance) from pgbench_branches) - (select sum(delta) from pgbench_history)";
    let said = run(target.program("psql").args(["-XAtc", sql]));
    assert_eq!(said.trim(), format!("{transactions} 0 0"));
}

#[test]
fn simple() {
    directly_and_through_pgweir(|target| {
        init(target);
        bench(target, &["-M", "simple"]);
        bench(target, &["-M", "simple", "-S"]);
        consistent(target, 1000);
    });
}

#[test]
fn extended() {
    directly_and_through_pgweir(|target| {
        init(target);
        bench(target, &["-M", "extended"]);
        bench(target, &["-M", "extended", "-S"]);
        consistent(target, 1000);
    });
}

#[test]
fn prepared() {
    directly_and_through_pgweir(|target| {
        init(target);
        bench(target, &["-M", "prepared"]);
        bench(target, &["-M", "prepared", "-S"]);
        consistent(target, 1000);
    });
}

#[test]
fn a_connection_for_each_transaction() {
    directly_and_through_pgweir(|target| {
        init(target);
        bench(target, &["-M", "prepared", "-C", "-S"]);
    });
}

#[test]
fn pipelines() {
    directly_and_through_pgweir(|target| {
        init(target);
        let folder = crate::harness::command::Folder::new();
        let script = folder.0.join("pipeline.sql");
        let text = "\\set aid random(1, 100000)\n\\startpipeline\nbegin;\nupdate pgbench_accounts set abalance = abalance + 1 where aid = :aid;\nselect abalance from pgbench_accounts where aid = :aid;\nend;\n\\endpipeline\n";
        std::fs::write(&script, text).expect("a file can be written");
        for mode in ["extended", "prepared"] {
            bench(target, &["-M", mode, "-f", &script.display().to_string()]);
        }
    });
}
