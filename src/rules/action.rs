//! What a rule does with a statement: one action for each concern.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::caching::Cache;
use super::context::Session;
use super::rewrite::Rewrite;

/// Defines the concerns, what a rule says of each, and what was decided on each.
macro_rules! concerns {
    ($($(#[$doc:meta])* $Concern:ident $name:ident: $T:ty;)+) => {
        /// What can be decided on, each by itself.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Concern { $($(#[$doc])* $Concern),+ }

        impl Concern {
            /// All of them, in order.
            pub const ALL: &'static [Concern] = &[$(Concern::$Concern),+];

            /// Its key in `then`.
            pub fn name(self) -> &'static str {
                match self { $(Concern::$Concern => stringify!($name)),+ }
            }
        }

        /// What a rule does: an action for each of its concerns.
        #[derive(Debug, Default, PartialEq)]
        pub struct Then { $($(#[$doc])* pub $name: Option<$T>),+ }

        impl Then {
            /// The concerns that it has an action for.
            pub fn concerns(&self) -> Concerns {
                let mut all = Concerns::default();
                $(if self.$name.is_some() { all.add(Concern::$Concern); })+
                all
            }

            /// The action for a concern, as one would say it.
            pub fn shown(&self, concern: Concern) -> Option<String> {
                match concern { $(Concern::$Concern => self.$name.as_ref().map(|action| action.shown())),+ }
            }

            /// Whether both have the same action for a concern.
            pub fn agrees(&self, other: &Then, concern: Concern) -> bool {
                match concern { $(Concern::$Concern => self.$name == other.$name),+ }
            }
        }

        impl<'a> super::Decision<'a> {
            $($(#[$doc])* pub fn $name(&self) -> Option<super::Decided<'a, $T>> {
                let rule = self.rule(Concern::$Concern)?;
                let action = rule.then().$name.as_ref()?;
                Some(super::Decided { rule, action })
            })+
        }
    };
}

concerns! {
    /// Where it goes.
    Route route: Route;
    /// How fresh an answer of a replica must be.
    Consistency consistency: Consistency;
    /// How long it may run.
    Timeout timeout: Duration;
    /// How many rows it may answer.
    MaxRows max_rows: u64;
    /// Whether its answer is kept and handed out again, and what that promises.
    Cache cache: Arc<Cache>;
    /// What is sent instead of it.
    Rewrite rewrite: Rewrite;
    /// That it is refused.
    Block block: Block;
    /// How often it may run, and how long it waits for that.
    Throttle throttle: Throttle;
    /// How many may run at once.
    Concurrency concurrency: Concurrency;
    /// Where a copy of it goes.
    Mirror mirror: Mirror;
    /// What `pg_hint_plan` is told.
    Hint hint: Hint;
    /// That it is logged.
    Log log: Level;
    /// A word for it in the log.
    Tag tag: Box<str>;
    /// From how long on it gets a line in the slow-query log.
    Slow slow: Duration;
}

/// How many concerns there are.
pub(super) const CONCERNS: usize = Concern::ALL.len();

impl Concern {
    /// The one with that key.
    pub fn named(name: &str) -> Option<Concern> {
        Concern::ALL.iter().copied().find(|concern| concern.name() == name)
    }
}

/// A set of concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Concerns(u16);

impl Concerns {
    /// These.
    pub const fn of(concerns: &[Concern]) -> Concerns {
        let (mut bits, mut at) = (0, 0);
        while at < concerns.len() {
            bits |= 1 << concerns[at] as u16;
            at += 1;
        }
        Concerns(bits)
    }

    /// Whether one is in both.
    #[inline]
    pub const fn meets(self, other: Concerns) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether this one is in it.
    pub fn has(self, concern: Concern) -> bool {
        self.0 & 1 << concern as u16 != 0
    }

    /// Puts one in.
    pub fn add(&mut self, concern: Concern) {
        self.0 |= 1 << concern as u16;
    }

    /// Those that are not in `other`.
    pub fn without(self, other: Concerns) -> Concerns {
        Concerns(self.0 & !other.0)
    }

    /// Those of both.
    pub fn with(self, other: Concerns) -> Concerns {
        Concerns(self.0 | other.0)
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those in it, in order.
    pub fn iter(self) -> impl Iterator<Item = Concern> {
        Concern::ALL.iter().copied().filter(move |concern| self.has(*concern))
    }
}

/// Where a statement goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// To the primary.
    Primary,
    /// To a replica that may serve it; else as without the rule.
    Replica,
    /// To any node that may serve it.
    Any,
    /// To the node of that name.
    Node(Box<str>),
}

/// How fresh an answer of a replica must be.
pub use crate::level::Level as Consistency;

/// Refuses a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The SQLSTATE that the client gets, five letters or digits.
    pub sqlstate: Box<str>,
    /// The message that it gets.
    pub message: Box<str>,
    /// What it is told to do.
    pub hint: Option<Box<str>>,
}

impl Default for Block {
    fn default() -> Self {
        Block { sqlstate: "42501".into(), message: "".into(), hint: None }
    }
}

/// The bytes of a name that count (`NAMEDATALEN`); clients may send longer ones.
const SIGNIFICANT: usize = 63;

/// By what statements of one rule are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Per {
    /// By nothing: all together.
    #[default]
    Rule,
    /// By user.
    User,
    /// By database.
    Database,
    /// By application name.
    Application,
    /// By the client's address.
    Client,
}

impl Per {
    /// What it is for a session: the key of its bucket or its line. Of a name it is as much as PostgreSQL looks at.
    pub fn key<'a>(self, session: &Session<'a>) -> Cow<'a, [u8]> {
        let significant = |name: &'a [u8]| Cow::Borrowed(&name[..name.len().min(SIGNIFICANT)]);
        match self {
            Per::Rule => Cow::Borrowed(b""),
            Per::User => significant(session.user),
            Per::Database => significant(session.database),
            Per::Application => significant(session.application),
            Per::Client => Cow::Owned(match session.client.map(|client| client.to_canonical()) {
                None => vec![],
                Some(IpAddr::V4(address)) => address.octets().to_vec(),
                Some(IpAddr::V6(address)) => address.octets().to_vec(),
            }),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Per::Rule => "rule",
            Per::User => "user",
            Per::Database => "database",
            Per::Application => "application",
            Per::Client => "client",
        }
    }
}

/// So many in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many, one at least.
    pub count: u32,
    /// In what time.
    pub per: Duration,
}

impl Default for Rate {
    fn default() -> Self {
        Rate { count: 1, per: Duration::from_secs(1) }
    }
}

/// Lets statements through so often; the others wait for their turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Throttle {
    /// How often they may come.
    pub rate: Rate,
    /// How many may come at once.
    pub burst: u32,
    /// By what they are told apart.
    pub per: Per,
    /// How long one may wait for its turn.
    pub wait: Duration,
    /// Whether one waits in a transaction too, with the server that it has.
    pub wait_in_transaction: bool,
}

impl Default for Throttle {
    fn default() -> Self {
        let (rate, wait) = (Rate::default(), Duration::from_secs(10));
        Throttle { rate, burst: 1, per: Per::Rule, wait, wait_in_transaction: false }
    }
}

impl Throttle {
    /// Its buckets, for so many keys.
    pub fn buckets(&self, most: usize) -> super::throttle::Buckets {
        super::throttle::Buckets::new(self.rate.per / self.rate.count.max(1), self.burst, most)
    }
}

/// Lets so many statements run at once; the others wait in a line that is fair among keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Concurrency {
    /// How many may run.
    pub limit: u32,
    /// Among what permits go round.
    pub per: Per,
    /// How many may wait.
    pub queue: u32,
    /// How long one may wait.
    pub wait: Duration,
    /// Whether one waits in a transaction too, with the server that it has.
    pub wait_in_transaction: bool,
}

impl Default for Concurrency {
    fn default() -> Self {
        let wait = Duration::from_secs(10);
        Concurrency { limit: 1, per: Per::Rule, queue: 100, wait, wait_in_transaction: false }
    }
}

impl Concurrency {
    /// Its permits and the line before them.
    pub fn line<T: Copy + Eq>(&self) -> super::concurrency::Line<T> {
        super::concurrency::Line::new(self.limit as usize, self.queue as usize)
    }
}

/// A share of something, in hundredths of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(pub u16);

impl Share {
    /// All of it.
    pub const ALL: Share = Share(10_000);

    /// Whether one of many with this hash belongs to it.
    pub fn takes(self, hash: u64) -> bool {
        hash % u64::from(Share::ALL.0) < u64::from(self.0)
    }
}

impl Default for Share {
    fn default() -> Self {
        Share::ALL
    }
}

impl fmt::Display for Share {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, parts) = (self.0 / 100, self.0 % 100);
        match parts {
            0 => write!(out, "{whole} %"),
            _ => write!(out, "{whole}.{parts:02} %"),
        }
    }
}

/// Sends a share of the statements to another node too; what it answers is thrown away.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mirror {
    /// The node.
    pub node: Box<str>,
    /// Which share.
    pub percent: Share,
}

/// Hints for the extension `pg_hint_plan`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint(pub(super) Box<str>);

impl Hint {
    /// The comment to put before a statement.
    pub fn comment(&self) -> String {
        format!("/*+ {} */", self.0)
    }
}

/// How important a line of the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Somebody must act.
    Error,
    /// Somebody should look.
    Warn,
    /// Good to know.
    Info,
    /// For those who look for something.
    Debug,
}

/// An action as one would say it.
trait Shown {
    fn shown(&self) -> String;
}

impl Shown for Route {
    fn shown(&self) -> String {
        match self {
            Route::Primary => "primary".to_owned(),
            Route::Replica => "replica".to_owned(),
            Route::Any => "any".to_owned(),
            Route::Node(name) => name.to_string(),
        }
    }
}

impl Shown for Consistency {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for Duration {
    fn shown(&self) -> String {
        format!("{self:?}")
    }
}

impl Shown for u64 {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for Rewrite {
    fn shown(&self) -> String {
        self.template().to_owned()
    }
}

impl Shown for Cache {
    fn shown(&self) -> String {
        self.shown()
    }
}

impl Shown for Block {
    fn shown(&self) -> String {
        let hint = self.hint.as_ref().map_or(String::new(), |hint| format!(" ({hint})"));
        format!("{}: {}{hint}", self.sqlstate, self.message)
    }
}

impl Shown for Throttle {
    fn shown(&self) -> String {
        let Rate { count, per } = self.rate;
        let (burst, wait, by) = (self.burst, self.wait, self.per.name());
        format!(
            "{count} in {per:?}, {burst} at once, by {by}; others wait for {wait:?}{}",
            in_transaction(self.wait_in_transaction)
        )
    }
}

impl Shown for Concurrency {
    fn shown(&self) -> String {
        let Concurrency { limit, per, queue, wait, wait_in_transaction } = self;
        let also = in_transaction(*wait_in_transaction);
        format!("{limit} at once, by {}; {queue} may wait for {wait:?}{also}", per.name())
    }
}

fn in_transaction(waits: bool) -> &'static str {
    if waits { ", in transactions too" } else { "" }
}

impl Shown for Mirror {
    fn shown(&self) -> String {
        format!("{} to {}", self.percent, self.node)
    }
}

impl Shown for Hint {
    fn shown(&self) -> String {
        self.comment()
    }
}

impl Shown for Level {
    fn shown(&self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

impl Shown for Box<str> {
    fn shown(&self) -> String {
        self.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::concurrency::Entered;

    #[test]
    fn keys_are_those_of_the_session() {
        let client = |address: &str| Some(address.parse().expect("an address"));
        let session = Session {
            user: b"u",
            database: b"d",
            application: b"a",
            client: client("::ffff:10.0.0.1"),
            number: 7,
        };
        let check = |per: Per, expected: &[u8]| assert_eq!(&*per.key(&session), expected, "{per:?}");
        check(Per::Rule, b"");
        check(Per::User, b"u");
        check(Per::Database, b"d");
        check(Per::Application, b"a");
        check(Per::Client, &[10, 0, 0, 1]);
        let long = Session { application: &[b'x'; 9000], ..session };
        assert_eq!(Per::Application.key(&long).len(), 63);
        assert_eq!(&*Per::Client.key(&Session { client: None, ..session }), b"");
        assert_eq!(Per::Client.key(&Session { client: client("::1"), ..session }).len(), 16);
    }

    #[test]
    fn actions_make_the_state_behind_them() {
        let rate = Rate { count: 4, per: Duration::from_secs(2) };
        let mut buckets = Throttle { rate, burst: 2, ..Throttle::default() }.buckets(10);
        let mut take = |ms| buckets.take(b"", Duration::from_millis(ms));
        assert_eq!((take(0), take(0)), (Ok(()), Ok(())));
        assert_eq!(take(0), Err(Duration::from_millis(500)));
        let mut line = Concurrency { limit: 1, queue: 1, ..Concurrency::default() }.line();
        let entered = [1, 2, 3].map(|who| line.enter(b"", who));
        assert_eq!(entered, [Entered::Runs, Entered::Waits, Entered::Full]);
    }

    #[test]
    fn shares_are_hundredths_of_a_percent() {
        let taken = |share: Share| (0..Share::ALL.0).filter(|hash| share.takes(u64::from(*hash))).count();
        assert_eq!([Share(1), Share(1250), Share::ALL].map(taken), [1, 1250, 10_000]);
        let shown = [Share(1), Share(1250), Share::ALL].map(|share| share.to_string());
        assert_eq!(shown, ["0.01 %", "12.50 %", "100 %"]);
    }
}
