//! The rules in force: read at the start and at each reload, replaced as a whole.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::rules::{Problem, Ruleset, check, folder};

/// Those of the process, if it was started with a folder of rule files.
#[derive(Debug)]
pub struct InForce(Mutex<Arc<Ruleset>>);

impl InForce {
    /// These are.
    pub fn new(rules: Arc<Ruleset>) -> InForce {
        InForce(Mutex::new(rules))
    }

    /// Which are.
    pub fn get(&self) -> Arc<Ruleset> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts others in their place, which go on where these are.
    pub fn replace(&self, rules: Arc<Ruleset>) {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rules.go_on_from(&current, Instant::now());
        *current = rules;
    }
}

/// A worker's copy of them.
#[derive(Debug, Default)]
pub struct Rules {
    stamp: Cell<u64>,
    rules: RefCell<Arc<Ruleset>>,
}

impl Rules {
    pub(super) fn take(&self, in_force: Option<&InForce>) {
        if let Some(in_force) = in_force {
            *self.rules.borrow_mut() = in_force.get();
            self.stamp.set(self.stamp.get() + 1);
        }
    }

    /// Another number whenever they have changed; 0 as long as the process lives where it was started without any.
    #[inline]
    pub fn stamp(&self) -> u64 {
        self.stamp.get()
    }

    /// The rules.
    pub fn get(&self) -> Arc<Ruleset> {
        self.rules.borrow().clone()
    }
}

/// Reads the rule files of a folder, and logs which of their actions do nothing yet.
///
/// # Errors
/// Everything that is wrong with them.
pub fn read(folder: &Path) -> Result<Arc<Ruleset>, Vec<Problem>> {
    let rules = Ruleset::compile(&folder::read(folder)?)?;
    for Problem { place, message, .. } in check::not_applied(&rules) {
        tracing::warn!("{place}: {message}");
    }
    Ok(Arc::new(rules))
}
