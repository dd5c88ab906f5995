//! Whether a server's node is still what its entry asks for by `target_session_attrs`.
//!
//! A standby that is promoted goes on with its connections. From PostgreSQL 14 on a server reports that, but with its next answer, which
//! is one too late for those who asked for a standby. So a server of a standby that has said nothing for a while is asked before it
//! is lent. The reverse cannot happen: a primary that becomes a standby restarts.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::ask;
use super::connect::Connected;
use super::queue::Pool;
use super::reach::{Address, Shown};
use super::role::{self, Role};
use super::server::{Clock, Server};
use crate::config::settings::TargetSessionAttrs;

/// For so long what a server has said is relied on.
const RELIED_ON: Duration = Duration::from_millis(250);
/// How long an answer may take; a server that takes longer is of no use to those who wait.
const PATIENCE: Duration = Duration::from_secs(2);
/// The setting that is a session's own wish where the session has set it.
const READ_ONLY: &[u8] = b"default_transaction_read_only";

/// What a server says of its node, where that matters.
#[derive(Debug)]
pub struct Fit {
    /// When it logged in.
    at_first: Role,
    now: Role,
    /// It says by itself when it is promoted.
    reports: bool,
    /// When it last said, or confirmed, what it is; `None`: there is reason to doubt.
    said: Option<Instant>,
}

impl Fit {
    /// Of a server that has just logged in; `None` where its entry takes any node.
    pub(super) fn of(connected: &Connected, now: Instant) -> Option<Fit> {
        let role = connected.role?;
        let reports = connected.param("in_hot_standby").is_some();
        Some(Fit { at_first: role, now: role, reports, said: Some(now) })
    }

    /// Takes a reported setting over.
    pub(super) fn hear(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"in_hot_standby" => self.now.standby = value == b"on",
            READ_ONLY => self.now.read_only_by_default = value == b"on",
            _ => {}
        }
    }

    /// It has answered something, and would have said if it were another now.
    #[inline]
    pub(super) fn answered(&mut self, at: Instant) {
        if self.reports {
            self.said = Some(at);
        }
    }

    /// Whether its node suits less than when it logged in; where that was only for want of a better one, it stays.
    fn is_worse(&self, attrs: TargetSessionAttrs, wished: bool) -> bool {
        let read_only = if wished { self.at_first } else { self.now }.read_only_by_default;
        let now = Role { read_only_by_default: read_only, ..self.now };
        now.suits(attrs) > self.at_first.suits(attrs)
    }

    /// Whether it may have been promoted without having said so.
    fn is_in_doubt(&self, now: Instant) -> bool {
        let relied_on = |said: Instant| now.saturating_duration_since(said) <= RELIED_ON;
        self.now.standby && !self.said.is_some_and(relied_on)
    }
}

impl Server {
    /// Takes a reported setting over; gives whether it is one of those that say how texts are read.
    pub fn hear(&mut self, name: &[u8], value: &[u8]) -> bool {
        self.fit.iter_mut().for_each(|fit| fit.hear(name, value));
        self.told.hear(name, value)
    }

    pub(super) fn is_in_doubt(&self, now: Instant) -> bool {
        self.fit.as_ref().is_some_and(|fit| fit.is_in_doubt(now))
    }

    /// Asks what its node is. From 14 on nothing needs to be said for that. `None`: it does not tell, or has said what changes how it reads
    /// texts.
    async fn ask_role(&mut self) -> Option<()> {
        let reports = self.fit.as_ref()?.reports;
        let text = if reports { "" } else { role::ASK };
        // Any Query takes it away.
        self.unnamed = 0;
        let mut heard = vec![];
        let hear = |name: &[u8], value: &[u8]| heard.push((name.to_vec(), value.to_vec()));
        let rows = ask::rows_of(&mut self.socket, text, hear).await.ok()?;
        for (name, value) in heard {
            if self.hear(&name, &value) {
                return None;
            }
        }
        let fit = self.fit.as_mut()?;
        if !reports {
            fit.now = role::told(&rows);
        }
        fit.said = Some(Instant::now());
        Some(())
    }
}

impl Pool {
    /// Whether all of its servers are at a primary.
    #[inline]
    pub fn is_of_primary(&self) -> bool {
        self.target.borrow().is_of_primary()
    }

    /// Whether its node does not suit any more.
    #[inline]
    pub(super) fn is_misplaced(&self, server: &Server) -> bool {
        server.fit.as_ref().is_some_and(|fit| {
            fit.is_worse(self.target.borrow().attrs, server.state.settings().contains_key(READ_ONLY))
        })
    }

    /// The server, unless it is to be asked first: it is given back then, or closed.
    pub(super) fn beyond_doubt(self: &Rc<Pool>, server: Box<Server>) -> Option<Box<Server>> {
        if server.fit.is_some() && server.is_in_doubt(Instant::now()) {
            self.ask_first(server);
            return None;
        }
        Some(server)
    }

    /// Asks a server what its node is, and gives it back if that can be told.
    pub(super) fn ask_first(self: &Rc<Pool>, mut server: Box<Server>) {
        self.inner.borrow_mut().asked += 1;
        server.clock = Clock::default();
        let pool = self.clone();
        tokio::task::spawn_local(async move {
            let told = crate::timer::timeout(PATIENCE, server.ask_role()).await;
            pool.inner.borrow_mut().asked -= 1;
            if told == Ok(Some(())) && !pool.is_misplaced(&server) {
                return pool.give_back(server);
            }
            if told == Ok(Some(())) {
                pool.doubt_others(&server);
            }
            pool.offer_idle();
            drop(server);
        });
    }

    /// As many idle servers as sessions wait for are asked, or given to them: those of which one was expected to be asked, and those whose
    /// server did not suit.
    pub(super) fn offer_idle(self: &Rc<Pool>) {
        loop {
            let idle = {
                let mut inner = self.inner.borrow_mut();
                if inner.paused || inner.asked >= inner.line.len() { None } else { inner.idle.pop() }
            };
            let Some(server) = idle else { return };
            self.give_back(server);
        }
    }

    /// A server does not suit any more: nor may others at the same address, which are asked before they are lent.
    pub(super) fn doubt_others(&self, server: &Server) {
        let target = self.target();
        let (database, host) = (&target.database, Shown(&server.shared.host));
        tracing::info!(database, %host, attrs = ?target.attrs, "a node is no longer what target_session_attrs asks for");
        let is_there = |address: &Address| *address == server.shared.address;
        for other in self.inner.borrow_mut().idle.iter_mut().filter(|other| is_there(&other.shared.address)) {
            other.fit.iter_mut().for_each(|fit| fit.said = None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANDBY: Role = Role { standby: true, read_only_by_default: false };
    const PRIMARY: Role = Role { standby: false, read_only_by_default: false };

    fn fit(at_first: Role, reports: bool, said: Instant) -> Fit {
        Fit { at_first, now: at_first, reports, said: Some(said) }
    }

    #[test]
    fn a_server_is_misplaced_when_it_suits_less_than_at_first() {
        use TargetSessionAttrs::{Any, PreferStandby, Primary, ReadOnly, ReadWrite, Standby};
        let check = |at_first: Role, news: &[(&str, &str)], expected: &[TargetSessionAttrs]| {
            let mut fit = fit(at_first, true, Instant::now());
            news.iter().for_each(|(name, value)| fit.hear(name.as_bytes(), value.as_bytes()));
            let all = [Any, ReadWrite, ReadOnly, Primary, Standby, PreferStandby];
            let worse: Vec<_> = all.into_iter().filter(|attrs| fit.is_worse(*attrs, false)).collect();
            assert_eq!(worse, expected, "{at_first:?} {news:?}");
            let read_only = news.iter().any(|(name, _)| *name == "default_transaction_read_only");
            assert!(!(read_only && fit.is_worse(ReadWrite, true)), "a session's own wish");
        };
        check(STANDBY, &[], &[]);
        check(STANDBY, &[("in_hot_standby", "off")], &[ReadOnly, Standby, PreferStandby]);
        check(STANDBY, &[("TimeZone", "off")], &[]);
        check(PRIMARY, &[], &[]);
        check(PRIMARY, &[("default_transaction_read_only", "on")], &[ReadWrite]);
        check(
            PRIMARY,
            &[("default_transaction_read_only", "on"), ("default_transaction_read_only", "off")],
            &[],
        );
    }

    #[test]
    fn only_standbys_that_were_silent_are_in_doubt() {
        let now = Instant::now();
        let later = now + RELIED_ON + Duration::from_millis(1);
        let mut standby = fit(STANDBY, true, now);
        assert!(!standby.is_in_doubt(now + RELIED_ON) && standby.is_in_doubt(later));
        standby.answered(later);
        assert!(!standby.is_in_doubt(later));
        standby.hear(b"in_hot_standby", b"off");
        assert!(!standby.is_in_doubt(later + RELIED_ON * 2), "it cannot become one again");
        assert!(!fit(PRIMARY, true, now).is_in_doubt(later));
        let mut old = fit(STANDBY, false, now);
        old.answered(later);
        assert!(old.is_in_doubt(later), "before 14 an answer says nothing");
    }
}
