//! node-postgres: the suite is `node_suite.js`.

use std::process::Command;

use super::{directly_and_through_pgweir, environment, run};

#[test]
fn suite() {
    let modules = environment::node_modules();
    directly_and_through_pgweir(|target| {
        let mut command = Command::new("node");
        command.arg(environment::suite("node_suite.js")).env("NODE_PATH", &modules);
        target.environment(&mut command);
        let said = run(&mut command);
        assert!(said.ends_with("all passed\n"), "{said}");
    });
}
