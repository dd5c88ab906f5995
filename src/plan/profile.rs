//! What a worker knows of a database's statements, by shape: whether they only read, which rules may hold for them, and how long they take.

use std::cell::{Cell, RefCell};
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use lru::LruCache;
use memchr::memmem;

use super::lately::{Alike, Texts};
use super::remembered::ForCache;
use crate::catalog::{Judge, Relations};
use crate::rules::{Candidates, Ruleset, Subject};
use crate::sql::{
    Dialect, Fingerprint, Kind, Lexer, Literal, Shape, Token, facts, not_a_read, shape, summarize,
};

/// Shapes remembered per worker and database, about 150 bytes each, and where a rule caches, up to a few kilobytes.
const SHAPES: NonZeroUsize = NonZeroUsize::new(8192).unwrap();
/// So many times are taken before anything is said of how long a shape takes.
const SEEN: u32 = 16;
/// What usually takes longer is not short, in microseconds.
const SHORT: f32 = 2000.0;

/// The shapes of a database's statements, most recently used first.
#[derive(Debug)]
pub struct Profiles {
    /// Knows which names a read must not mention.
    pub judge: Rc<Judge>,
    pub(super) shapes: RefCell<LruCache<Fingerprint, Rc<Profile>, RandomState>>,
    pub(super) texts: RefCell<Texts>,
}

/// One shape.
#[derive(Debug, Default)]
pub struct Profile {
    /// The [`Judge::stamp`] at which it was judged, and whether it is a read.
    verdict: Cell<(u64, bool)>,
    /// It calls functions that somebody may define anew.
    calls: Cell<bool>,
    /// The same for rules, which take it for one while nobody knows.
    seems_read: Cell<bool>,
    /// How long it takes.
    pub pace: Pace,
    /// A replica has refused it: it is for the primary.
    pub refused: Cell<bool>,
    rules: RefCell<Option<Found>>,
    pub(super) for_cache: ForCache,
}

/// The rules that may hold for a shape.
#[derive(Debug)]
struct Found {
    /// Of which rules, and of what they were told of the shape: whether it is a read, and by which relations.
    of: (u64, bool, u64),
    candidates: Rc<Candidates>,
}

/// How long statements of a shape take on a server, in microseconds.
#[derive(Debug, Default)]
pub struct Pace {
    seen: Cell<u32>,
    best: Cell<f32>,
    usual: Cell<f32>,
}

impl Profiles {
    /// Nothing is known yet.
    pub fn new(judge: Rc<Judge>) -> Rc<Profiles> {
        let shapes = RefCell::new(LruCache::with_hasher(SHAPES, RandomState::default()));
        Rc::new(Profiles { judge, shapes, texts: RefCell::default() })
    }

    /// The shape of a text, if it is certain that the text only reads.
    pub fn read(&self, text: &[u8], dialect: Dialect) -> Option<Rc<Profile>> {
        let profile = self.of(text, dialect);
        profile.is_read(&self.judge, text, dialect).then_some(profile)
    }

    /// Whether a text that was not found to be a read is one by its words, while nobody knows what its names stand for.
    #[inline]
    pub fn may_be_read(&self, text: &[u8], dialect: Dialect) -> bool {
        !self.judge.knows() && self.of(text, dialect).seems_read.get()
    }

    /// The shape of a text.
    pub fn of(&self, text: &[u8], dialect: Dialect) -> Rc<Profile> {
        let known = self.texts.borrow_mut().find(text, dialect);
        known.map_or_else(|| self.read_shape(text, dialect).0, |found| self.used(found))
    }

    /// The shape of a text, and what was folded away for it ([`crate::sql::Shape::literals`]).
    pub fn with_literals(&self, text: &[u8], dialect: Dialect) -> (Rc<Profile>, Vec<Literal>) {
        let known = self.texts.borrow_mut().find_with_literals(text, dialect);
        match known {
            Some((found, literals)) => (self.used(found), literals),
            None => self.read_shape(text, dialect),
        }
    }

    /// A shape that is found by texts alone is not forgotten for others that come later.
    #[inline]
    fn used(&self, found: Alike) -> Rc<Profile> {
        if let Some(fingerprint) = found.used {
            self.shapes.borrow_mut().promote(&fingerprint);
        }
        found.profile
    }

    fn read_shape(&self, text: &[u8], dialect: Dialect) -> (Rc<Profile>, Vec<Literal>) {
        let Shape { fingerprint, literals, .. } = shape(text, dialect);
        let profile = self.shapes.borrow_mut().get_or_insert(fingerprint, Rc::default).clone();
        self.texts.borrow_mut().note((text, dialect), (fingerprint, &profile), &literals);
        (profile, literals)
    }

    /// The shape of a text, if it is remembered. It is not counted as used.
    pub fn known(&self, text: &[u8], dialect: Dialect) -> Option<Rc<Profile>> {
        self.shapes.borrow().peek(&shape(text, dialect).fingerprint).cloned()
    }

    /// The rules that may hold for the statements of `profile`, of which `text` is one. `stamp` is another number for other rules.
    ///
    /// A statement whose names are not known yet is told to rules as what its words say: a rule against writes must not hold up reads while
    /// definitions change.
    pub fn candidates(
        &self,
        profile: &Profile,
        (text, dialect): (&[u8], Dialect),
        (stamp, rules): (u64, impl FnOnce() -> Arc<Ruleset>),
    ) -> Rc<Candidates> {
        profile.is_read(&self.judge, text, dialect);
        let of = (stamp, profile.seems_read.get(), self.judge.version());
        let mut found = profile.rules.borrow_mut();
        if let Some(found) = found.as_ref().filter(|found| found.of == of) {
            return found.candidates.clone();
        }
        let contents = self.judge.contents();
        let candidates = candidates(&rules(), (text, dialect), of.1, contents.relations.as_ref());
        let candidates = Rc::new(candidates);
        *found = Some(Found { of, candidates: candidates.clone() });
        candidates
    }
}

/// Rules know statements as they are alone, without a semicolon behind them, and the tables behind those that they name.
fn candidates(
    rules: &Ruleset,
    (text, dialect): (&[u8], Dialect),
    is_read: bool,
    relations: Option<&Relations>,
) -> Candidates {
    let text = match summarize(text, dialect).statements.as_slice() {
        [one] => &text[one.range.clone()],
        _ => text,
    };
    let shape = shape(text, dialect);
    let mut facts = facts(text, dialect, &shape);
    facts.tables.extend(relations.map(|relations| relations.behind(&facts.tables)).unwrap_or_default());
    rules.candidates(&Subject { facts: &facts, fingerprint: shape.fingerprint, shape: &shape.text, is_read })
}

impl Profile {
    /// Whether it is certain that statements of this shape, of which `text` is one, only read.
    ///
    /// All texts of a shape get the verdict of the first: they differ in literals, and of those only the one in
    /// `current_setting('...')` matters.
    pub fn is_read(&self, judge: &Judge, text: &[u8], dialect: Dialect) -> bool {
        let (judged, verdict) = self.verdict.get();
        let now = judge.stamp();
        if judged == now {
            return verdict;
        }
        let by_words = not_a_read(text, dialect).is_none();
        let by_names = judge.passes(text, dialect);
        let verdict = by_words && !depends_on_literals(text) && by_names.unwrap_or(false);
        self.verdict.set((now, verdict));
        self.calls.set(calls_others(text, dialect));
        self.seems_read.set(by_words && by_names.unwrap_or(true));
        verdict
    }

    /// Whether it was found to be a read, and that still holds.
    pub fn is_known_read(&self, judge: &Judge) -> bool {
        self.verdict.get() == (judge.stamp(), true)
    }

    /// Whether it calls functions that somebody may define anew.
    pub fn calls_others(&self) -> bool {
        self.calls.get()
    }

    /// Whether it seemed to be a read when it was last judged, as rules see it.
    pub fn seems_read(&self) -> bool {
        self.seems_read.get()
    }

    /// Whether a statement of this shape may be sent behind another's: it is short, and may be run once more at a later moment, since
    /// it calls nothing that may have become a function that writes by then.
    pub fn may_follow(&self) -> bool {
        self.pace.is_short() && !self.calls.get()
    }
}

/// What stands before a parenthesis and is no call, or one of PostgreSQL's own under every search path that does not name
/// `pg_catalog` last.
const OWN: &[&str] = &[
    "all",
    "and",
    "any",
    "array",
    "as",
    "avg",
    "between",
    "by",
    "case",
    "cast",
    "coalesce",
    "count",
    "else",
    "except",
    "exists",
    "extract",
    "filter",
    "from",
    "greatest",
    "having",
    "in",
    "intersect",
    "is",
    "join",
    "lateral",
    "least",
    "length",
    "limit",
    "lower",
    "max",
    "min",
    "not",
    "nullif",
    "numeric",
    "offset",
    "on",
    "or",
    "over",
    "partition",
    "row",
    "row_number",
    "select",
    "some",
    "substring",
    "sum",
    "then",
    "trim",
    "union",
    "upper",
    "using",
    "values",
    "varchar",
    "when",
    "where",
    "with",
    "within",
];

fn calls_others(text: &[u8], dialect: Dialect) -> bool {
    let tokens: Vec<Token> = Lexer::new(text, dialect).filter(|token| token.kind != Kind::Comment).collect();
    let is = |at: usize, word: &str| tokens[at].text(text).eq_ignore_ascii_case(word.as_bytes());
    (1..tokens.len()).filter(|at| tokens[*at].kind == Kind::LeftParen).any(|at| {
        let before = tokens[at - 1];
        let qualified = at >= 3 && tokens[at - 2].kind == Kind::Dot;
        match before.kind {
            Kind::QuotedIdent | Kind::UnicodeIdent => true,
            Kind::Ident if qualified => !is(at - 3, "pg_catalog"),
            Kind::Ident => !OWN.iter().any(|own| is(at - 1, own)),
            _ => false,
        }
    })
}

/// Whether the verdict on a text does not hold for all of its shape.
pub(super) fn depends_on_literals(text: &[u8]) -> bool {
    memmem::find(&text.to_ascii_lowercase(), b"current_setting").is_some()
}

impl Pace {
    /// A statement took so long on a server that it had for itself. Gives how many times its best that is, once there is a best.
    pub fn note(&self, time: Duration) -> Option<f32> {
        let time = (time.as_micros() as f32).max(1.0);
        let seen = self.seen.get();
        self.seen.set(seen.saturating_add(1));
        if seen == 0 {
            self.best.set(time);
            self.usual.set(time);
            return None;
        }
        // The best of the past counts less and less: data grows.
        let best = (self.best.get() * (1.0 + 1.0 / 1024.0)).min(time);
        self.best.set(best);
        self.usual.set(self.usual.get() + (time - self.usual.get()) / 16.0);
        (seen >= SEEN).then(|| time / best)
    }

    /// Whether statements of this shape are known to take little time.
    pub fn is_short(&self) -> bool {
        self.seen.get() > SEEN && self.usual.get() < SHORT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Barriers, Definitions};

    fn profiles(barriers: Barriers) -> Rc<Profiles> {
        let judge = Judge::new(Definitions::new());
        judge.reading_wanted().expect("nothing is known").done(Some(barriers.into()), None);
        Profiles::new(judge)
    }

    fn is_read(profiles: &Profiles, text: &str) -> bool {
        profiles.read(text.as_bytes(), true.into()).is_some()
    }

    #[test]
    fn nothing_is_a_read_before_the_names_are_known() {
        let profiles = Profiles::new(Judge::new(Definitions::new()));
        assert!(!is_read(&profiles, "select 1") && !is_read(&profiles, "delete from t"));
        let may_be = |text: &str| profiles.may_be_read(text.as_bytes(), true.into());
        assert!(may_be("select 1") && !may_be("delete from t"));
        profiles.judge.reading_wanted().expect("wanted").done(Some(Barriers::default().into()), None);
        assert!(is_read(&profiles, "select 1") && !may_be("select 1"));
        let change = profiles.judge.change();
        assert!(!is_read(&profiles, "select 2"), "a change is under way");
        drop(change);
        assert!(!is_read(&profiles, "select 2"), "it was not read yet");
        profiles.judge.reading_wanted().expect("wanted").done(Some(Barriers::everywhere().into()), None);
        assert!(!is_read(&profiles, "select 2"));
    }

    #[test]
    fn a_shape_is_judged_by_its_words() {
        let profiles = profiles(Barriers::default());
        assert!(is_read(&profiles, "select * from t where i = 1"));
        assert!(is_read(&profiles, "select * from t where i = 2"));
        assert!(!is_read(&profiles, "select * from t where i = 2 for update"));
        assert!(!is_read(&profiles, "insert into t values (1)"));
        assert!(is_read(&profiles, "select now() at time zone 'utc'"));
        assert!(!is_read(&profiles, "select Current_Setting('app.tenant')"), "of one shape with work_mem");
    }

    #[test]
    fn what_calls_functions_of_others_may_be_another_statement_later() {
        let check = |text: &str, lasting: bool| {
            assert_eq!(!calls_others(text.as_bytes(), true.into()), lasting, "{text}");
        };
        check("select * from t where i in (1, 2) and (j = 3 or k = any ('{1}'))", true);
        check("select count(*), coalesce(max(x), 0) from (select 1) as x", true);
        check("select pg_catalog.pg_sleep(0)", true);
        check("select total(i) from t", false);
        check("select public.count(i) from t", false);
        check("select \"count\"(i) from t", false);
    }

    #[test]
    fn rules_are_found_once_for_a_shape_and_again_for_other_rules() {
        let rules = |text: &str| {
            let file = crate::rules::Source { path: "rules.toml".into(), text: text.into() };
            Arc::new(Ruleset::compile(&[file]).expect("sound rules"))
        };
        let profiles = profiles(Barriers::default());
        let found = |text: &str, stamp: u64, file: Option<&str>| {
            let profile = profiles.of(text.as_bytes(), true.into());
            let given = || rules(file.expect("they are known"));
            profiles.candidates(&profile, (text.as_bytes(), true.into()), (stamp, given)).len()
        };
        let fingerprint = shape(b"select * from t where i = 1", true).fingerprint;
        let of_shape = format!("[[rule]]\nname = 'a'\nwhen.fingerprint = '{fingerprint}'\nthen.log = 'info'");
        let of_reads = "[[rule]]\nname = 'b'\nwhen.class = 'read'\nthen.log = 'info'";
        assert_eq!(found("select * from t where i = 1 ; ", 1, Some(&of_shape)), 1);
        assert_eq!(found("select * from t where i = 2;", 1, None), 1, "it is known");
        assert_eq!(found("select * from t where j = 2;", 1, Some(&of_shape)), 0);
        assert_eq!(found("select * from t where i = 2;", 2, Some(of_reads)), 1);
        assert_eq!(found("delete from t", 2, Some(of_reads)), 0);
        let change = profiles.judge.change();
        assert_eq!(found("select * from t where i = 2;", 2, Some(of_reads)), 1, "it seems to be a read");
        assert!(!is_read(&profiles, "select * from t where i = 2"));
        drop(change);
    }

    #[test]
    fn rules_hold_for_tables_behind_those_that_are_named() {
        let row = |text: &str| text.split(' ').map(|column| Some(column.to_owned())).collect();
        let contents = |relations: &[&str], edges: &[&str]| {
            let [relations, edges] =
                [relations, edges].map(|rows| rows.iter().map(|text| row(text)).collect::<Vec<_>>());
            let relations = crate::catalog::Relations::new(&relations, &edges);
            Some(crate::catalog::Contents { relations, ..Default::default() })
        };
        let file = crate::rules::Source {
            path: "rules.toml".into(),
            text: "[[rule]]\nname = 'a'\nwhen.tables = 'orders'\nthen.log = 'info'".into(),
        };
        let rules = Arc::new(Ruleset::compile(&[file]).expect("sound rules"));
        let profiles = profiles(Barriers::default());
        let found = |text: &str| {
            let profile = profiles.of(text.as_bytes(), true.into());
            profiles.candidates(&profile, (text.as_bytes(), true.into()), (1, || rules.clone())).len()
        };
        assert_eq!(found("select * from summary"), 0, "nothing is known of it");
        let change = profiles.judge.change();
        assert_eq!(found("select * from summary"), 0);
        drop(change);
        let known = contents(&["1 public orders r", "2 public summary v"], &["2 1 view"]);
        profiles.judge.reading_wanted().expect("wanted").done(known, None);
        assert_eq!(found("select * from summary"), 1);
        assert_eq!(found("select * from shop.summary"), 0);
        let change = profiles.judge.change();
        assert_eq!(found("select * from summary"), 1, "as it was known last");
        drop(change);
        let known = contents(&["1 public orders r", "2 public summary v"], &[]);
        profiles.judge.reading_wanted().expect("wanted").done(known, None);
        assert_eq!(found("select * from summary"), 0);
    }

    #[test]
    fn what_takes_its_time_is_not_short() {
        let pace = Pace::default();
        for _ in 0..=SEEN {
            assert!(!pace.is_short());
            pace.note(Duration::from_micros(50));
        }
        assert!(pace.is_short());
        let stretch = pace.note(Duration::from_micros(500)).expect("there is a best");
        assert!((9.0..=10.0).contains(&stretch), "{stretch}");
        for _ in 0..20 {
            pace.note(Duration::from_millis(5));
        }
        assert!(!pace.is_short());
        let better = pace.note(Duration::from_micros(20)).expect("there is a best");
        assert!((0.99..1.01).contains(&better), "{better}");
    }

    #[test]
    fn a_shape_that_is_found_by_its_texts_is_not_forgotten_for_others() {
        let profiles = profiles(Barriers::default());
        let used = |n: usize| profiles.of(format!("select a from t where b = {n}").as_bytes(), true.into());
        let shape = Rc::downgrade(&used(0));
        for n in 0..2 * SHAPES.get() {
            if n % 100 == 0 {
                (0..20).for_each(|n| drop(used(n)));
            }
            profiles.of(format!("select c{n}").as_bytes(), true.into());
        }
        assert!(shape.strong_count() > 0);
    }
}
