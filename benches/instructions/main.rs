//! How many instructions the pieces take that every statement goes through: `make instructions`.
//!
//! Each piece runs many times under valgrind's callgrind, which counts the same number in every run on any machine
//! with the same compiler, so a piece that became dearer is seen at once. Numbers to compare with are in `baseline.txt`;
//! `make instructions ARGS=--write` makes them anew. With another compiler or valgrind, or on another kind of
//! processor, the numbers are only reported.

mod baseline;
mod pieces;

use std::process::{Command, ExitCode};

use anyhow::{Context, ensure};

use crate::baseline::{Baseline, Machine};

/// How often a piece runs.
const ROUNDS: u64 = 1000;
/// Percent by which a piece may become dearer. The same sources, built in another folder, differ by up to 4.4: the
/// compiler inlines otherwise.
const TOLERANCE: f64 = 6.0;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args.as_slice() {
        ["run", name] => pieces::run(name).map(|()| true),
        [] => counted().and_then(compare),
        ["--write"] => counted().and_then(|found| found.write().map(|()| true)),
        _ => Err(anyhow::anyhow!("unknown arguments {args:?}; known: --write")),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("instructions: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What the rounds of a piece go through; valgrind counts in here and nowhere else.
#[inline(never)]
fn measured(piece: &mut dyn FnMut()) {
    for _ in 0..ROUNDS {
        piece();
    }
}

fn counted() -> anyhow::Result<Baseline> {
    let counts = pieces::NAMES.iter().map(|name| Ok((name.to_string(), count(name)?)));
    Ok(Baseline { machine: Machine::this()?, counts: counts.collect::<anyhow::Result<_>>()? })
}

/// Instructions of one round.
fn count(name: &str) -> anyhow::Result<f64> {
    let program = std::env::current_exe()?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg("--toggle-collect=*::measured")
        .arg(program)
        .args(["run", name])
        .output()
        .context("valgrind cannot be started; scripts/setup.sh instructions installs it")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name} failed under valgrind:\n{said}");
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    let total: u64 = collected.with_context(|| format!("no count in:\n{said}"))?.1.trim().parse()?;
    ensure!(total > 0, "nothing was counted of {name}: valgrind does not find the function `measured`");
    Ok(total as f64 / ROUNDS as f64)
}

/// Prints all pieces; false when one differs too much, and the machine is such that this means something.
fn compare(found: Baseline) -> anyhow::Result<bool> {
    let known = Baseline::read()?;
    let same = found.machine == known.machine;
    println!("{:<24} {:>12} {:>12} {:>8}", "instructions", "baseline", "now", "change");
    let mut good = true;
    for (name, now) in &found.counts {
        let Some(before) = known.of(name) else {
            println!("{name:<24} {:>12} {now:>12.1} {:>8}", "-", "new");
            good = false;
            continue;
        };
        let change = (now - before) / before * 100.0;
        let word = match change {
            _ if change > TOLERANCE => "  <-- dearer",
            _ if change < -TOLERANCE => "  cheaper: write the baseline anew",
            _ => "",
        };
        println!("{name:<24} {before:>12.1} {now:>12.1} {change:>+7.1}%{word}");
        good &= change <= TOLERANCE;
    }
    if !same {
        println!("NOT COMPARED: the baseline is of\n  {}\nand this is\n  {}", known.machine, found.machine);
    } else if !good {
        println!(
            "A piece is dearer by more than {TOLERANCE} %, or has no baseline. If that is meant: make instructions ARGS=--write"
        );
    }
    Ok(good || !same)
}
