//! The pgweir program.

use std::process::ExitCode;

fn main() -> ExitCode {
    pgweir::cli::main(
        |_, _| {
            eprintln!("this build has no proxy yet");
            ExitCode::FAILURE
        },
        async |_, _, _| Err("this build has no probe yet".to_owned()),
    )
}
