//! What a statement says of itself, and what the catalog adds.

use super::{Line, reason};
use crate::catalog::{Barrier, Relations};
use crate::plan::profile::depends_on_literals;
use crate::rules::{Subject, class_name};
use crate::sql::facts::{Access, Facts, Name, Operand, Predicate, Table};
use crate::sql::{Dialect, Effects, Literal, NotRead, Shape, Value, facts, not_a_read, shape, summarize};

/// So many conditions are told of a statement.
const PREDICATES: usize = 50;
/// So many names of tables, or functions, and so many values of a condition.
const NAMES: usize = 100;
/// What is longer is cut there, in characters.
const LONGEST: usize = 8000;
/// The same for a value.
const VALUE: usize = 100;

/// A text, as rules and replicas see it: one statement, without what may stand behind it, or several as a whole.
#[derive(Debug)]
pub struct Statement<'a> {
    text: &'a [u8],
    dialect: Dialect,
    shape: Shape,
    facts: Facts,
    /// So many of its tables it names; the others are reached through them.
    named: usize,
    effects: Effects,
    several: Option<usize>,
}

/// What is known of the names in a text.
#[derive(Debug)]
pub enum Names {
    /// The one that makes it more than a read, if there is one.
    Known(Option<Barrier>),
    /// No database was asked.
    NotAsked,
    /// They have not been read yet, or are changing.
    NotYet,
}

/// Whether a statement only reads.
#[derive(Debug)]
pub enum Reads {
    /// It does.
    Yes,
    /// Not by its words.
    NotByWords(NotRead),
    /// It asks for a setting, so that its literals matter.
    AsksSetting,
    /// Not by a name in it.
    NotByName(Barrier),
    /// By its words; its names are not known.
    Unknown(Names),
}

impl Reads {
    /// Why it counts as no read.
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Reads::Yes => None,
            Reads::NotByWords(_) | Reads::AsksSetting => Some(reason::NOT_A_READ),
            Reads::NotByName(_) => Some(reason::REACHES_MORE),
            Reads::Unknown(_) => Some(reason::NAMES_UNKNOWN),
        }
    }

    /// Whether rules take it for one: what is not known counts as its words have it.
    pub fn for_rules(&self) -> bool {
        !matches!(self, Reads::NotByWords(_) | Reads::NotByName(_))
    }

    /// In words.
    pub fn shown(&self) -> String {
        match self {
            Reads::Yes => "yes".to_owned(),
            Reads::NotByWords(why) => format!("no: {why}"),
            Reads::AsksSetting => "no: asks for a setting of its session".to_owned(),
            Reads::NotByName(barrier) => format!("no: {barrier}"),
            Reads::Unknown(Names::NotAsked) => {
                "by its words; without a database, what it calls and reaches is not known".to_owned()
            }
            Reads::Unknown(_) => {
                "by its words; what it calls and reaches is not known yet, or is changing".to_owned()
            }
        }
    }
}

impl<'a> Statement<'a> {
    /// Reads a text; `None` if there is no statement in it.
    pub fn of(text: &'a [u8], dialect: Dialect) -> Option<Statement<'a>> {
        let summary = summarize(text, dialect);
        let (text, several) = match summary.statements.as_slice() {
            [] => return None,
            [one] => (&text[one.range.clone()], None),
            more => (text.trim_ascii(), Some(more.len())),
        };
        let shape = shape(text, dialect);
        let facts = facts(text, dialect, &shape);
        let named = facts.tables.len();
        Some(Statement { text, dialect, shape, facts, named, effects: summary.effects, several })
    }

    /// The same, with the tables that it reaches through those that it names.
    pub fn with_relations(mut self, relations: Option<&Relations>) -> Statement<'a> {
        let behind = relations.map(|relations| relations.behind(&self.facts.tables)).unwrap_or_default();
        self.facts.tables.extend(behind);
        self
    }

    /// Its text.
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// What its words say that it may do to its session.
    pub fn effects(&self) -> Effects {
        self.effects
    }

    /// Whether it only reads. `names` is what is known of the names in it.
    pub fn reads(&self, names: Names) -> Reads {
        match (not_a_read(self.text, self.dialect), names) {
            (Some(why), _) => Reads::NotByWords(why),
            (None, Names::Known(Some(barrier))) => Reads::NotByName(barrier),
            (None, _) if depends_on_literals(self.text) => Reads::AsksSetting,
            (None, Names::Known(None)) => Reads::Yes,
            (None, unknown) => Reads::Unknown(unknown),
        }
    }

    /// It as rules are told of it.
    pub fn subject(&self, reads: &Reads) -> Subject<'_> {
        Subject {
            facts: &self.facts,
            fingerprint: self.shape.fingerprint,
            shape: &self.shape.text,
            is_read: reads.for_rules(),
        }
    }

    /// What there is to say. `hidden` is what the names in it may do to the session, `values` are those of its parameters, as far as they are to
    /// be shown.
    pub fn lines(&self, reads: &Reads, hidden: Effects, values: &[String]) -> Vec<Line> {
        let mut lines = vec![];
        if let Some(several) = self.several {
            let told = format!("{several}, looked at together: as a whole, they are no read");
            lines.push(Line::new("statements", told));
        }
        lines
            .push(Line::new("shape", cut(&String::from_utf8_lossy(&self.shape.kept(self.dialect)), LONGEST)));
        lines.push(Line::new("fingerprint", self.shape.fingerprint.to_string()));
        lines.push(Line::new("read", reads.shown()).because(reads.reason()));
        lines.push(Line::new("session", session(self.effects, hidden)));
        lines.push(pins_line(self.effects | hidden));
        lines.push(Line::new("class", class_name(self.facts.class)));
        self.add_facts(values, &mut lines);
        lines
    }

    /// What its tree says, where there is something to say: tables and those behind them, functions, clauses and conditions.
    fn add_facts(&self, values: &[String], lines: &mut Vec<Line>) {
        let facts = &self.facts;
        if !facts.understood {
            return lines.push(Line::new("tree", "not understood by the parser"));
        }
        let shown = |table: &Table| {
            let access = if table.access == Access::Write { "written" } else { "read" };
            format!("{} ({access})", table.name)
        };
        let (tables, behind) = facts.tables.split_at(self.named);
        let clauses = [
            (facts.filtered, "where"),
            (facts.limited, "limit"),
            (facts.ordered, "order by"),
            (facts.cross_joined, "cross join"),
            (facts.locks, "row locks"),
        ];
        let clauses = clauses.iter().filter(|clause| clause.0).map(|clause| clause.1.to_owned());
        let lists = [
            ("tables", list(tables.iter().map(shown))),
            ("behind", list(behind.iter().map(shown))),
            ("functions", list(facts.functions.iter().map(Name::to_string))),
            ("clauses", list(clauses)),
        ];
        lines.extend(lists.into_iter().filter_map(|(item, list)| Some(Line::new(item, list?))));
        for predicate in facts.predicates.iter().take(PREDICATES) {
            lines.push(Line::new("predicate", cut(&self.predicate(predicate, values), LONGEST)));
        }
        if let Some(more) = facts.predicates.len().checked_sub(PREDICATES).filter(|more| *more > 0) {
            lines.push(Line::new("predicate", format!("and {more} more")));
        }
    }

    /// `t.i equal 7, for every row`.
    fn predicate(&self, predicate: &Predicate, values: &[String]) -> String {
        let column = |table: &Option<Name>, column: &str| match table {
            Some(table) => format!("{table}.{column}"),
            None => column.to_owned(),
        };
        let operand = match &predicate.operand {
            Operand::Literal(place) | Operand::Cast(place) => {
                let literals = self.shape.literals.iter().filter(|literal| literal.place == *place);
                let texts = list(literals.map(|literal| self.literal(literal, values)));
                format!(" {}", texts.unwrap_or_default())
            }
            Operand::Parameter(number) => format!(" ${number}"),
            Operand::Column(table, name) => format!(" {}", column(table, name)),
            Operand::Other => String::new(),
        };
        let comparison = format!("{:?}", predicate.comparison).to_ascii_lowercase();
        let rows = if predicate.required { ", for every row" } else { "" };
        format!("{} {comparison}{operand}{rows}", column(&predicate.table, &predicate.column))
    }

    fn literal(&self, literal: &Literal, values: &[String]) -> String {
        let text = String::from_utf8_lossy(&self.text[literal.range.clone()]);
        let value = match literal.value {
            Value::Parameter(number) => usize::from(number).checked_sub(1).and_then(|at| values.get(at)),
            _ => None,
        };
        match value {
            Some(value) => format!("{text} ({})", cut(value, VALUE)),
            None => text.into_owned(),
        }
    }
}

/// How many parameters a statement of that shape has: the greatest of their numbers.
pub fn parameters(shape: &Shape) -> usize {
    let number = |literal: &Literal| match literal.value {
        Value::Parameter(number) => usize::from(number),
        _ => 0,
    };
    shape.literals.iter().map(number).max().unwrap_or(0)
}

/// Separated by commas; `None` if there is nothing.
fn list(mut entries: impl Iterator<Item = String>) -> Option<String> {
    let mut told = entries.next()?;
    for entry in entries.by_ref().take(NAMES - 1) {
        told.push_str(", ");
        told.push_str(&entry);
    }
    let more = entries.count();
    if more > 0 {
        told.push_str(&format!(", and {more} more"));
    }
    Some(told)
}

fn cut(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

fn session(said: Effects, hidden: Effects) -> String {
    let names = |effects: Effects| effects.names().collect::<Vec<_>>().join(", ").to_ascii_lowercase();
    match (said.is_empty(), hidden.is_empty()) {
        (true, true) => "unchanged".to_owned(),
        (false, true) => names(said),
        (true, false) => format!("{} (by what it reaches)", names(hidden)),
        (false, false) => format!("{}; by what it reaches: {}", names(said), names(hidden)),
    }
}

/// Why a statement with these effects may pin its session, by the names that pins are counted under.
pub fn pins(effects: Effects) -> impl Iterator<Item = &'static str> {
    const PINS: [(Effects, &str); 8] = [
        (Effects::TEMP, "temporary object"),
        (Effects::ADVISORY, "advisory lock"),
        (Effects::HOLD, "cursor with hold"),
        (Effects::SEQUENCE, "sequence"),
        (Effects::UNNAMED, "setting"),
        (Effects::LOAD, "load"),
        (Effects::RANDOM_SEED, "random seed"),
        (Effects::PROCESS, "server process"),
    ];
    PINS.into_iter().filter(move |(effect, _)| effects.intersects(*effect)).map(|(_, name)| name)
}

fn pins_line(effects: Effects) -> Line {
    let found: Vec<_> = pins(effects).collect();
    let value = match (found.as_slice(), effects.contains(Effects::OPAQUE)) {
        ([], false) => "no".to_owned(),
        ([], true) => "perhaps: its text does not show all that it does".to_owned(),
        (found, _) => format!("if it leaves one behind: {}", found.join(", ")),
    };
    Line::new("pins", value).because(found.first().copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql;

    fn lines(text: &str, values: &[&str]) -> Vec<String> {
        let statement = Statement::of(text.as_bytes(), true.into()).expect("a statement");
        let reads = statement.reads(Names::Known(None));
        let values: Vec<_> = values.iter().map(|value| (*value).to_owned()).collect();
        let lines = statement.lines(&reads, Effects::EMPTY, &values);
        lines.into_iter().map(|line| format!("{} {}", line.item, line.value)).collect()
    }

    #[track_caller]
    fn has(text: &str, values: &[&str], line: &str) {
        let lines = lines(text, values);
        assert!(lines.iter().any(|one| one == line), "no `{line}` in {lines:#?}");
    }

    #[test]
    fn values_of_parameters_are_shown_where_they_stand() {
        let text = "select * from t where i = $2 and s = $1 and n = 7;";
        has(text, &["x", "NULL"], "predicate t.i equal $2 (NULL), for every row");
        has(text, &["x"], "predicate t.i equal $2, for every row");
        has(text, &["x"], "predicate t.s equal $1 (x), for every row");
        has(text, &["x"], "predicate t.n equal 7, for every row");
        let statement = Statement::of(text.as_bytes(), true.into()).expect("a statement");
        assert_eq!((parameters(&statement.shape), statement.text().last()), (2, Some(&b'7')));
    }

    #[test]
    fn the_shape_is_written_as_in_reports() {
        let text = "SELECT * FROM t WHERE a = 5 AND b IN (1, 2) -- x";
        has(text, &[], "shape select * from t where a = $1 and b in ($2 /*, ... */)");
        // A shape that is copied from there is the same one.
        let fingerprint =
            "fingerprint ".to_owned() + &sql::shape(text.as_bytes(), true).fingerprint.to_string();
        has(text, &[], &fingerprint);
        has("select * from t where a = $1 and b in ($2 /*, ... */)", &[], &fingerprint);
    }

    #[test]
    fn what_is_long_is_cut() {
        let conditions: Vec<_> = (0..PREDICATES + 2).map(|n| format!("c{n} = {n}")).collect();
        let text = format!("select * from t where {}", conditions.join(" and "));
        has(&text, &[], "predicate and 2 more");
        let text = format!("select * from t where s = '{}'", "x".repeat(LONGEST));
        assert!(lines(&text, &[]).iter().all(|line| line.chars().count() < LONGEST + 20));
        let values: Vec<_> = (0..NAMES + 5).map(|n| n.to_string()).collect();
        let text = format!("select * from t where i in ({})", values.join(", "));
        assert!(lines(&text, &[]).iter().any(|line| line.ends_with("99, and 5 more, for every row")));
        assert_eq!(cut("größer", 3), "grö...");
    }

    #[test]
    fn why_it_is_no_read_and_what_it_pins() {
        let reason = |text: &str, names: Names| {
            Statement::of(text.as_bytes(), true.into()).expect("a statement").reads(names).reason()
        };
        let call = Barrier::Call(b"f"[..].into());
        assert_eq!(reason("select 1", Names::Known(None)), None);
        assert_eq!(reason("select f()", Names::Known(Some(call))), Some(reason::REACHES_MORE));
        assert_eq!(reason("select f()", Names::NotYet), Some(reason::NAMES_UNKNOWN));
        assert_eq!(reason("delete from t", Names::NotYet), Some(reason::NOT_A_READ));
        assert_eq!(
            reason("select current_setting('a.b')", Names::Known(None)),
            Some(reason::NOT_A_READ),
            "as profiles have it"
        );
        has("select 1; select 2", &[], "statements 2, looked at together: as a whole, they are no read");
        has("select 1; select 2", &[], "class several");
        has("select pg_advisory_lock(1)", &[], "pins if it leaves one behind: advisory lock");
        has("do ''", &[], "pins perhaps: its text does not show all that it does");
        assert!(Statement::of(b" ; -- nothing", true.into()).is_none());
    }
}
