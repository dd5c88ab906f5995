//! Programs run to their end, with a deadline and their output kept.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::cluster::new_dir;

/// What a program said, and how it ended.
#[derive(Debug)]
pub struct Output {
    /// Whether it ended with 0.
    pub ok: bool,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Output {
    /// Its standard output, if it succeeded; else a panic with everything it said.
    pub fn success(self) -> String {
        assert!(self.ok, "the program failed\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self.stdout
    }
}

/// Runs a program that must end within `deadline`; it is killed and the test fails otherwise.
pub fn run(command: &mut Command, deadline: Duration) -> Output {
    run_with_input(command, "", deadline)
}

/// The same, with this text as its standard input.
pub fn run_with_input(command: &mut Command, input: &str, deadline: Duration) -> Output {
    let dir = Folder(new_dir());
    let file = |name: &str| dir.0.join(name);
    fs::write(file("in"), input).expect("the input can be written");
    let mut child = command
        .stdin(Stdio::from(File::open(file("in")).expect("the input exists")))
        .stdout(Stdio::from(File::create(file("out")).expect("a file can be made")))
        .stderr(Stdio::from(File::create(file("err")).expect("a file can be made")))
        .spawn()
        .unwrap_or_else(|e| panic!("{command:?} does not start: {e}"));
    let status = wait(&mut child, deadline);
    let read = |name: &str| String::from_utf8_lossy(&fs::read(file(name)).unwrap_or_default()).into_owned();
    let (stdout, stderr) = (read("out"), read("err"));
    let Some(status) = status else {
        let _ = child.kill();
        let _ = child.wait();
        panic!("{command:?} did not end within {deadline:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}");
    };
    Output { ok: status.success(), stdout, stderr }
}

/// Waits for a child; `None` if it is still running at the deadline.
pub fn wait(child: &mut Child, deadline: Duration) -> Option<ExitStatus> {
    let end = Instant::now() + deadline;
    while Instant::now() < end {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

/// A folder that is removed when dropped.
pub struct Folder(pub PathBuf);

impl Folder {
    /// A new, empty one.
    pub fn new() -> Self {
        Self(new_dir())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
