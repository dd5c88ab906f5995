//! The pgweir program.

use std::process::ExitCode;

fn main() -> ExitCode {
    pgweir::cli::main(pgweir::app::start, pgweir::app::Servers::of)
}
