//! The folder with rule files: `*.toml`, in the order of their names. Read at the start, at a reload and by the command line only.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::file::LARGEST;
use super::place::{Place, Problem, Source};

/// The most files.
const MOST: usize = 1000;

/// Reads all rule files of a folder; not those of folders in it.
///
/// # Errors
/// What cannot be read.
pub fn read(folder: &Path) -> Result<Vec<Source>, Vec<Problem>> {
    let wrong = |path: &Path, message: String| vec![Problem::error(Place::whole(path), message)];
    let paths = files(folder).map_err(|error| {
        wrong(folder, format!("cannot be read: {error}; --rules names a folder with rule files"))
    })?;
    if paths.len() > MOST {
        return Err(wrong(folder, format!("has more than {MOST} rule files; put several into one")));
    }
    let mut sources = vec![];
    let mut problems = vec![];
    for path in paths {
        match text(&path) {
            Ok(text) => sources.push(Source { path, text }),
            Err(error) => problems.extend(wrong(&path, format!("cannot be read: {error}"))),
        }
    }
    if problems.is_empty() { Ok(sources) } else { Err(problems) }
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = vec![];
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn text(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > LARGEST as u64 {
        return Err(io::Error::other(format!("it has more than {LARGEST} bytes")));
    }
    fs::read_to_string(path)
}
