//! The numbers that were committed, and what they were counted with.

use std::fmt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};

/// Counts, and where they come from.
pub struct Baseline {
    /// What they were counted with.
    pub machine: Machine,
    /// Instructions of one round, by the piece's name.
    pub counts: Vec<(String, f64)>,
}

/// What the counts depend on besides our code.
#[derive(PartialEq, Eq)]
pub struct Machine {
    compiler: String,
    valgrind: String,
    processor: String,
}

impl Machine {
    /// The one that we run on.
    pub fn this() -> anyhow::Result<Machine> {
        Ok(Machine {
            compiler: first_line("rustc")?,
            valgrind: first_line("valgrind")?,
            processor: format!("{} with {}", std::env::consts::ARCH, vectors()),
        })
    }
}

/// Libraries choose among their implementations by it.
fn vectors() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        return "AVX2";
    }
    "its basic instructions"
}

fn first_line(program: &str) -> anyhow::Result<String> {
    let output = Command::new(program).arg("--version").output().with_context(|| format!("no {program}"))?;
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}; {}", self.compiler, self.valgrind, self.processor)
    }
}

impl Baseline {
    /// Reads what was committed.
    pub fn read() -> anyhow::Result<Baseline> {
        let path = path();
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let mut lines = text.lines();
        let head = lines.next().and_then(|line| line.strip_prefix("# ")).context("no head line")?;
        let parts: Vec<&str> = head.split("; ").collect();
        let [compiler, valgrind, processor] = parts[..] else { anyhow::bail!("not a head line: {head}") };
        let machine =
            Machine { compiler: compiler.into(), valgrind: valgrind.into(), processor: processor.into() };
        let counts = lines.map(|line| {
            let (name, count) = line.split_once(' ').with_context(|| format!("not a count: {line}"))?;
            Ok((name.to_owned(), count.trim().parse()?))
        });
        let counts: Vec<(String, f64)> = counts.collect::<anyhow::Result<_>>()?;
        ensure!(!counts.is_empty(), "{} is empty", path.display());
        Ok(Baseline { machine, counts })
    }

    /// Replaces what was committed.
    pub fn write(&self) -> anyhow::Result<()> {
        let mut text = format!("# {}\n", self.machine);
        for (name, count) in &self.counts {
            text += &format!("{name} {count:.1}\n");
        }
        std::fs::write(path(), &text)?;
        print!("{text}");
        Ok(())
    }

    /// The count of a piece.
    pub fn of(&self, name: &str) -> Option<f64> {
        self.counts.iter().find(|(known, _)| known == name).map(|(_, count)| *count)
    }
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/instructions/baseline.txt")
}
