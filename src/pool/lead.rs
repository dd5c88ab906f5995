//! Where the primary of a watched cluster is, as it is told to those who connect there.
//!
//! Without it, servers for writes are made at the first host that says it is no standby. A primary that lives on after another was
//! promoted says so too; only who watches all nodes knows better.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::queue::Pool;
use super::target::Target;
use crate::config::settings::Host;
use crate::wire::Fault;

/// How long who connects waits to be told which nodes belong together.
const MOMENT: Duration = Duration::from_secs(2);

/// Where the primary is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Primary {
    /// Nobody watches, or no primary was found so far: nodes are asked one by one.
    #[default]
    Unknown,
    /// Nodes have only begun to be watched: as [`Primary::Unknown`], but in a moment it will be known which of them belong together.
    Unheard,
    /// There, and nowhere else.
    At(Host),
    /// It does not answer. Servers that are there are used on, and no others are made.
    Lost,
    /// One or more say that they are, and none is taken for it: none is used.
    Disputed,
}

impl Primary {
    /// Whether what is written at `host` may be lost.
    pub fn is_not(&self, host: &Host) -> bool {
        match self {
            Primary::Unknown | Primary::Unheard | Primary::Lost => false,
            Primary::At(primary) => primary != host,
            Primary::Disputed => true,
        }
    }

    /// Of `hosts`, those at which a primary may be looked for.
    ///
    /// # Errors
    /// 08001 where no node is to be used now.
    pub(super) fn hosts<'a>(&self, hosts: &'a [Host]) -> Result<&'a [Host], Fault> {
        let text = match self {
            Primary::Unknown | Primary::Unheard => return Ok(hosts),
            Primary::At(primary) => match hosts.iter().position(|host| host == primary) {
                Some(at) => return Ok(&hosts[at..=at]),
                None => return Ok(hosts),
            },
            Primary::Lost => "no node is known to be the primary at this time",
            Primary::Disputed => "several nodes say that they are the primary, or one that must not be used",
        };
        Err(Fault::error("08001", text).hint("SHOW NODES on the console tells what is known of them"))
    }
}

/// Tells where the primary of a database is. Clones are one.
#[derive(Debug, Clone)]
pub struct Lead(Arc<watch::Sender<Primary>>);

impl Default for Lead {
    fn default() -> Lead {
        Lead(Arc::new(watch::Sender::new(Primary::Unknown)))
    }
}

impl Lead {
    /// The primary is there from now on.
    pub fn tell(&self, primary: Primary) {
        self.0.send_if_modified(|known| {
            let is_news = *known != primary;
            *known = primary;
            is_news
        });
    }

    /// Somebody knows where it is, or was.
    pub fn is_known(&self) -> bool {
        *self.0.borrow() != Primary::Unknown
    }

    /// For who wants to be told of news.
    pub fn follow(&self) -> watch::Receiver<Primary> {
        self.0.subscribe()
    }
}

/// Waits until it is known which nodes belong together, if that is a matter of a moment.
pub(super) async fn heard(news: &mut watch::Receiver<Primary>) {
    let heard = news.wait_for(|primary| *primary != Primary::Unheard);
    // Nobody watches any more, or no node lets us in: they are asked one by one.
    let _ = crate::timer::timeout(MOMENT, heard).await;
}

/// Returns when what is written at `host` may be lost.
pub(super) async fn until_astray(target: &Target, host: &Host) {
    let mut news = of(target);
    if news.wait_for(|primary| primary.is_not(host)).await.is_err() {
        // Nobody watches any more.
        std::future::pending().await
    }
}

/// News of the primary that `target` wants; none where it takes any node.
fn of(target: &Target) -> watch::Receiver<Primary> {
    if target.may_move() { target.lead.follow() } else { Lead::default().follow() }
}

/// What a pool knows of its primary.
#[derive(Debug)]
pub(super) struct Led {
    news: RefCell<watch::Receiver<Primary>>,
    primary: RefCell<Primary>,
    /// It has changed since that was last asked.
    moved: Cell<bool>,
}

impl Led {
    pub(super) fn new(target: &Target) -> Led {
        let led = Led { news: RefCell::new(of(target)), primary: RefCell::default(), moved: Cell::default() };
        led.news.borrow_mut().mark_changed();
        led
    }

    pub(super) fn retarget(&self, target: &Target) {
        let mut news = of(target);
        news.mark_changed();
        *self.news.borrow_mut() = news;
    }

    /// Somebody knows where it is, or was.
    pub(super) fn is_watched(&self) -> bool {
        !matches!(*self.primary.borrow(), Primary::Unknown | Primary::Unheard)
    }

    pub(super) fn is_astray(&self, host: &Host) -> bool {
        self.primary.borrow().is_not(host)
    }
}

impl Pool {
    /// Whether what is written at `host` may be lost: another node is the primary, or nobody knows which is. One load where
    /// nothing has changed.
    #[inline]
    pub fn is_astray(self: &Rc<Pool>, host: &Host) -> bool {
        self.follow_lead();
        self.led.is_astray(host)
    }

    /// Whether its primary is another one, or in another condition, than when this was last asked.
    pub fn has_moved(self: &Rc<Pool>) -> bool {
        self.follow_lead();
        self.led.moved.take()
    }

    /// Learns where the primary is now.
    #[inline]
    pub(super) fn follow_lead(self: &Rc<Pool>) {
        if self.led.news.borrow().has_changed().unwrap_or(false) {
            self.learn();
        }
    }

    /// Idle servers that are astray are closed at once, those at work when they are given back; new ones are made without delay.
    #[cold]
    fn learn(self: &Rc<Pool>) {
        let primary = self.led.news.borrow_mut().borrow_and_update().clone();
        if matches!(primary, Primary::At(_)) {
            self.forget_failures();
        }
        self.led.primary.replace(primary);
        self.led.moved.set(true);
        drop(self.take_idle(|server| self.led.is_astray(&server.shared.host)));
        self.make_what_is_needed();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(name: &str) -> Host {
        Host::Tcp(name.into(), 5432)
    }

    #[test]
    fn only_the_primary_is_asked_where_it_is_known() {
        let all = [host("a"), host("b")];
        let check = |primary: Primary, expected: Option<&[Host]>, astray: [bool; 2]| {
            assert_eq!(primary.hosts(&all).ok(), expected, "{primary:?}");
            assert_eq!([0, 1].map(|n| primary.is_not(&all[n])), astray, "{primary:?}");
        };
        check(Primary::Unknown, Some(&all), [false, false]);
        check(Primary::Unheard, Some(&all), [false, false]);
        check(Primary::At(host("b")), Some(&all[1..]), [true, false]);
        // The settings have just changed.
        check(Primary::At(host("c")), Some(&all), [true, true]);
        check(Primary::Lost, None, [false, false]);
        check(Primary::Disputed, None, [true, true]);
    }

    #[test]
    fn what_is_known_already_is_no_news() {
        let lead = Lead::default();
        let news = lead.follow();
        lead.tell(Primary::Unknown);
        assert!(!news.has_changed().expect("it is there"));
        lead.clone().tell(Primary::Lost);
        assert!(news.has_changed().expect("it is there"));
    }
}
