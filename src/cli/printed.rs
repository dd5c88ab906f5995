//! What commands print. Whoever reads it may leave (`pgweir report | head`): the program ends then, and says nothing, as other programs do.
//!
//! The standard library has SIGPIPE ignored, so that a write to a pipe that nobody reads is an error and not the end.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Stdout, Write};

/// How a shell tells of a program that has ended by SIGPIPE: 128, and the number of the signal.
const BY_SIGPIPE: i32 = 141;

/// Standard output. Writing to it when nobody reads it any more ends the program.
pub struct Printed(Stdout);

/// Standard output, for a command.
pub fn stdout() -> Printed {
    Printed(io::stdout())
}

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        unless_left(self.0.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        unless_left(self.0.flush())
    }
}

/// Writes a line to standard error. That it cannot be written there, nobody can be told.
pub fn to_standard_error(line: Arguments<'_>) {
    let _ = unless_left(writeln!(io::stderr(), "{line}"));
}

/// Writes a line to standard error: as `eprintln!`, which panics when nobody reads it.
macro_rules! complain {
    ($($line:tt)*) => { $crate::cli::printed::to_standard_error(format_args!($($line)*)) };
}
pub(crate) use complain;

fn unless_left<T>(done: io::Result<T>) -> io::Result<T> {
    match done {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(BY_SIGPIPE),
        done => done,
    }
}
