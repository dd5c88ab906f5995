//! Whether the passwords of the settings are those of the server: a user with a wrong one can log in to pgweir, and gets no server.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::check::{Trial, show_host};
use super::hint::what_to_do;
use crate::config::Loaded;
use crate::config::settings::Host;
use crate::wire::Fault;

/// How many logins are tried beside those by which nodes are.
const MOST: usize = 50;
/// How long that takes, at most.
const PATIENCE: Duration = Duration::from_secs(10);
/// The SQLSTATE of a password that is wrong, and of a role that is not there.
const WRONG: &str = "28P01";

/// How users fared at the nodes that let in somebody.
pub(super) struct Passwords<'a> {
    let_in: BTreeSet<&'a str>,
    /// Whom a node refused, as what of which database.
    refused: BTreeMap<&'a str, (&'a str, &'a Host, Fault)>,
    untried: BTreeSet<&'a str>,
    left: usize,
    until: Instant,
}

impl<'a> Passwords<'a> {
    pub(super) fn new() -> Passwords<'a> {
        Passwords {
            let_in: BTreeSet::new(),
            refused: BTreeMap::new(),
            untried: BTreeSet::new(),
            left: MOST,
            until: Instant::now() + PATIENCE,
        }
    }

    /// What became of a login at a node where somebody is let in.
    pub(super) fn note(&mut self, (name, host): (&'a str, &'a Host), user: &'a str, refused: Option<&Fault>) {
        match refused {
            None => drop(self.let_in.insert(user)),
            Some(fault) if fault.sqlstate == WRONG => {
                self.refused.entry(user).or_insert_with(|| (name, host, fault.clone()));
            }
            // Not everybody may use every database.
            Some(_) => {}
        }
    }

    /// Tries those of these users at a node whom none has let in so far; says who is not.
    pub(super) async fn try_others(
        &mut self,
        trial: &impl Trial,
        (name, host): (&'a str, &'a Host),
        users: impl Iterator<Item = &'a str>,
        out: &mut impl Write,
    ) -> io::Result<()> {
        for user in users {
            if self.let_in.contains(user) {
                continue;
            }
            let time = self.until.saturating_duration_since(Instant::now());
            if self.left == 0 || time.is_zero() {
                self.untried.insert(user);
                continue;
            }
            self.left -= 1;
            let Ok(answer) = tokio::time::timeout(time, trial.node(name, host, user)).await else {
                self.untried.insert(user);
                continue;
            };
            let refused = answer.err();
            self.note((name, host), user, refused.as_ref());
            refused.into_iter().try_for_each(|fault| writeln!(out, "    not as {user}: {fault}"))?;
        }
        Ok(())
    }

    /// Says whose passwords are wrong wherever they were tried, and where to correct them. True: nobody's. Where a database logs in as a user of its own,
    /// others may be users of pgweir alone.
    pub(super) fn tell(&self, loaded: &Loaded, out: &mut impl Write) -> io::Result<bool> {
        let maps = loaded.settings.databases.values().any(|database| database.server_user.is_some());
        let word = if maps { "warning" } else { "error" };
        let auth = &loaded.settings.auth;
        let asker = auth.auth_user.as_deref().filter(|_| auth.pass_through || auth.auth_query.is_some());
        let mut well = true;
        for (user, (name, host, fault)) in &self.refused {
            // Whoever looks others up is told of there.
            if self.let_in.contains(user) || asker == Some(*user) {
                continue;
            }
            well = maps;
            writeln!(out, "  user {user}: {word}: no node lets this user in; {}: {fault}", show_host(host))?;
            writeln!(out, "    {}", what_to_do(loaded, name, host, user, fault))?;
        }
        let untried: Vec<_> = self.untried.difference(&self.let_in).copied().collect();
        if !untried.is_empty() {
            writeln!(
                out,
                "  remark: {} logins or {PATIENCE:?} were enough; not tried: {}",
                MOST,
                untried.join(", ")
            )?;
        }
        Ok(well)
    }
}
