//! A report for programs, and back: what an earlier one said, to compare with.

pub mod advice;
pub mod page;
mod read;

use serde_json::{Map, Value, json};

use super::fixes::Listed;
use super::skew::{Group, Skew};
use super::{ByInstance, Change, Origin, Report, Statement};
use crate::advice::{Action, Proof, Rejected};
use crate::stats::tally::{CLOCKS, SERVED, Sums};
use crate::store::marks::Mark;

pub use read::before;

/// The version of the form: it grows when something is taken away or means something else, not when something is added.
pub const VERSION: u64 = 1;
/// The form, as a JSON schema (draft 2020-12). What is in it is told there; the page of the guide is made from it.
pub const SCHEMA: &str = include_str!("schema.json");

impl Report {
    /// The report as JSON, as [`SCHEMA`] has it. Times are in microseconds, moments in seconds since 1970.
    pub fn json(&self) -> String {
        let value = json!({
            "version": VERSION,
            "source": self.scope.origin.code(),
            "file": self.scope.name,
            "since": self.scope.window.0,
            "until": self.scope.window.1,
            "from": self.between.map(|(from, _)| from),
            "to": self.between.map(|(_, to)| to),
            "seconds": self.seconds(),
            "file_begins": self.begins,
            "instances": self.instances,
            "by_instance": self.by_instance.iter().map(|one| self.instance_json(one)).collect::<Vec<_>>(),
            "shapes": self.shapes,
            "complete": self.is_complete(),
            "database_us": self.database_time(),
            "all": self.sums_json(&self.all),
            "advised": self.is_advised,
            "fixes": self.fixes.iter().map(fix).collect::<Vec<_>>(),
            "statements": self.statements.iter().map(|one| self.statement_json(one)).collect::<Vec<_>>(),
            "others": self.sums_json(&self.others),
            "rejected": self.rejected.iter().map(rejected).collect::<Vec<_>>(),
            "compared_with": self.before.as_ref().map(|before| before.what.clone()),
            "gone": self.gone().iter().map(|(name, _)| hex(name)).collect::<Vec<_>>(),
            "marks": self.marks.iter().map(mark).collect::<Vec<_>>(),
            "notes": self.notes,
            "missing": self.missing,
        });
        format!("{value:#}\n")
    }

    fn instance_json(&self, (name, one): (&String, &ByInstance)) -> Value {
        let mut value = self.sums_json(&one.sums);
        value.insert("instance".to_owned(), name.as_str().into());
        value.insert("last".to_owned(), one.last.into());
        value.into()
    }

    fn statement_json(&self, statement: &Statement) -> Value {
        let by = statement.by.iter().map(|(who, calls)| {
            json!({ "database": who.database, "user": who.user, "application": who.application, "calls": calls })
        });
        let mut value = self.sums_json(&statement.sums);
        let mut put = |name: &str, member: Value| drop(value.insert(name.to_owned(), member));
        put("id", statement.id.clone().into());
        put("fingerprint", hex(&statement.fingerprint).into());
        put("text", statement.text.clone().into());
        put("by", by.collect::<Vec<_>>().into());
        put("verdict", statement.verdict.clone().into());
        put("fixes", statement.fixes.clone().into());
        put("seq_scans", statement.scanned().into());
        put("skew", statement.skew.as_ref().map(skew).into());
        put("change", self.change(statement).map(Change::code).into());
        value.into()
    }
}

impl Origin {
    /// By a name that stays.
    pub fn code(self) -> &'static str {
        match self {
            Origin::Store => "store",
            Origin::Live => "live",
            Origin::Log => "log",
            Origin::PgStatStatements => "pg_stat_statements",
        }
    }
}

fn hex(fingerprint: &u128) -> String {
    format!("{fingerprint:032x}")
}

fn skew(skew: &Skew) -> Value {
    let group = |group: &Group| json!({ "value": group.name, "times_us": group.micros, "seen": group.calls });
    json!({
        "by": skew.by.as_ref().map(|by| by.number),
        "column": skew.by.as_ref().map(|by| by.column.as_str()).filter(|column| !column.is_empty()),
        "groups": skew.groups.iter().map(group).collect::<Vec<_>>(),
    })
}

fn mark(one: &Mark) -> Value {
    json!({
        "at": one.at,
        "since": one.since,
        "kind": one.kind.code(),
        "text": one.text,
        "database": one.database,
        "instance": one.instance,
    })
}

fn rejected(one: &Rejected) -> Value {
    json!({ "what": one.what, "shapes": one.shapes.iter().map(hex).collect::<Vec<_>>(), "why": one.why })
}

fn fix(listed: &Listed) -> Value {
    let fix = &listed.fix;
    let proof = match fix.proof {
        Proof::Measured => json!({ "grade": "measured" }),
        Proof::Planner { better, samples } => {
            json!({ "grade": "planner", "better": better, "samples": samples })
        }
        Proof::Simulated => json!({ "grade": "simulated" }),
        Proof::Pattern => json!({ "grade": "pattern" }),
    };
    let action = match &fix.action {
        Action::Sql { run, undo, concurrently } => {
            json!({ "kind": "sql", "run": run, "undo": undo, "concurrently": concurrently })
        }
        Action::Rule(text) => json!({ "kind": "rule", "rule": text }),
        Action::Code { change, rewritten } => {
            json!({ "kind": "code", "change": change, "rewritten": rewritten })
        }
        Action::Setting { run, undo } => json!({ "kind": "setting", "run": [run], "undo": [undo] }),
    };
    json!({
        "id": listed.id,
        "key": hex(&listed.key),
        "code": fix.code,
        "group": listed.group.code(),
        "title": fix.title,
        "evidence": fix.evidence,
        "action": action,
        "helps": fix.helps.iter().map(hex).collect::<Vec<_>>(),
        "saves_s_per_day": fix.saves,
        "price": { "bytes": fix.price.bytes, "writes_s_per_day": fix.price.writes },
        "proof": proof,
    })
}

impl Report {
    fn sums_json(&self, sums: &Sums) -> Map<String, Value> {
        let served: Map<_, _> =
            SERVED.iter().zip(sums.served).map(|(name, n)| ((*name).to_owned(), n.into())).collect();
        let errors: Map<_, _> = sums
            .errors
            .iter()
            .map(|(class, n)| (String::from_utf8_lossy(class).into_owned(), (*n).into()))
            .collect();
        let clocks: Map<_, _> = CLOCKS
            .iter()
            .enumerate()
            .map(|(clock, name)| {
                let at = |share| sums.quantile(clock, share).filter(|_| self.knows(clock));
                let value = json!({
                    "sum_us": if self.knows(clock) { sums.micros[clock] } else { 0 },
                    "p50_us": at(0.5),
                    "p95_us": at(0.95),
                    "p99_us": at(0.99),
                });
                ((*name).to_owned(), value)
            })
            .collect();
        let fields = [
            ("calls", sums.calls.into()),
            ("timed", sums.timed.into()),
            ("rows", sums.rows.into()),
            ("bytes", sums.bytes.into()),
            ("longest_us", sums.longest.into()),
            ("served", served.into()),
            ("clocks", clocks.into()),
            ("errors", errors.into()),
        ];
        fields.into_iter().map(|(name, value): (_, Value)| (name.to_owned(), value)).collect()
    }
}
