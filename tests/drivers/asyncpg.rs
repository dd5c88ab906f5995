//! asyncpg: the suite is `asyncpg_suite.py`.

use std::process::Command;

use super::{directly_and_through_pgweir, environment, run};

#[test]
fn suite() {
    let python = environment::python();
    directly_and_through_pgweir(|target| {
        let mut command = Command::new(&python);
        command.arg(environment::suite("asyncpg_suite.py"));
        target.environment(&mut command);
        let said = run(&mut command);
        assert!(said.ends_with("all passed\n"), "{said}");
    });
}
