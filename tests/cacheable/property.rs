//! The heart of it: whenever a change alters the result of a read, it has changed a row on which the read was said to depend; and it never
//! changes a row of which it was not said that it may.
//!
//! Databases, reads and changes are made up at random, and what has changed is seen by comparing all rows of all tables. Mutations of the
//! analysis are run too: each has to be found out. Of a read that shows the keys of its rows it is checked too that it is enough to know of what has
//! come by the values, and of what has gone by the keys.
//!
//! `PGWEIR_CACHEABLE_SEED` begins elsewhere, `PGWEIR_CACHEABLE_ROUNDS` is how many databases are made.

use std::collections::{BTreeMap, BTreeSet};

use pgweir::catalog::{KeyType, Row};
use pgweir::plan::cacheable::{KeyRow, Link, RowKey, Touched};
use pgweir::plan::writes::{Assigned, Writes};
use pgweir::sql::facts::{ColumnName, Comparison, Conjunct, Constant, Facts, Form, Operand};
use pgweir::sql::shape;

use super::generator::{Database, Random, Reads, Relation, Stored, change, database};
use super::{Changed, Judged, Known, ask};
use crate::harness::big;
use crate::harness::cluster::Cluster;
use crate::harness::message::Message;
use crate::harness::raw::Client;

const SEED: u64 = 0x6361_6368;
const ROUNDS: usize = 8;
/// The same with `PGWEIR_TEST_BIG=1`.
const BIG_ROUNDS: usize = 200;
/// Reads and changes for each database.
const READS: usize = 45;
/// Reads beside these that tie tables by a value, which most of them show.
const LINKED: usize = 50;
const CHANGES: usize = 60;

/// A row of a table: its number, and its columns by their numbers.
type StoredRow = (u32, Vec<Option<String>>);

/// What was seen.
#[derive(Debug, Default)]
struct Seen {
    pairs: usize,
    /// Pairs in which the result has changed.
    altered: usize,
    /// Pairs in which rows of the read's tables have changed, and it was said that they do not matter.
    spared: usize,
    /// Pairs of reads that are known by their rows; in which the result has changed; in which rows of the table have gone, and it was said that they do not matter.
    by_rows: [usize; 3],
    /// Pairs of reads that show by which values tables are tied, in which a row of their tables has changed; in which the result has, too; in which only rows have with other values;
    /// in which the result has, and had shown a value for which there was no partner.
    by_links: [usize; 4],
    reads: usize,
    /// Reads that depend on keys of some table.
    keyed: usize,
    refused: BTreeMap<String, usize>,
    changes: usize,
    /// Changes that changed a row.
    effective: usize,
    narrow: usize,
    everything: usize,
    wrong: Vec<String>,
}

/// A wrong analysis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mutation {
    None,
    /// The ON of an outer join counts for both sides.
    OuterAsInner,
    /// Partitions and tables that inherit are taken to have their columns under the parent's numbers.
    SameNumbers,
    /// That columns have other names is overlooked.
    RenamedIgnored,
    /// A comparison behind OR, NOT or in HAVING counts as if it were alone.
    OrAsAnd,
    /// Partitions and tables that inherit are overlooked.
    NoChildren,
    /// What views read is overlooked.
    NoViews,
    /// Rows that follow by foreign keys are overlooked.
    NoKeys,
    /// Triggers are overlooked.
    NoTriggers,
    /// Only the first of several values counts.
    FirstValue,
    /// Only one variable of each table counts.
    OneVariable,
    /// That a result depends on rows that it does not show is overlooked.
    HiddenRows,
    /// A column is taken for a primary key that is none.
    AnyKey,
    /// Which columns are equal counts for both sides of an outer join.
    EqualForAll,
    /// Rows that have the value by which tables are tied are overlooked.
    TieForgotten,
    /// Where no partner is shown, the value that one would have is overlooked.
    ProbeForgotten,
    /// The value by which tables are tied is taken from any column of the table.
    AnyValue,
}

const MUTATIONS: &[Mutation] = &[
    Mutation::OuterAsInner,
    Mutation::SameNumbers,
    Mutation::RenamedIgnored,
    Mutation::OrAsAnd,
    Mutation::NoChildren,
    Mutation::NoViews,
    Mutation::NoKeys,
    Mutation::NoTriggers,
    Mutation::FirstValue,
    Mutation::OneVariable,
    Mutation::HiddenRows,
    Mutation::AnyKey,
    Mutation::EqualForAll,
    Mutation::TieForgotten,
    Mutation::ProbeForgotten,
    Mutation::AnyValue,
];

impl Mutation {
    /// How many reads are made up for it, and beside these how many that tie tables: those of which it may say something else.
    fn reads(self) -> (usize, usize) {
        match self {
            one if one.is_of_ties() => (0, LINKED),
            Mutation::None | Mutation::AnyKey | Mutation::EqualForAll => (READS, LINKED),
            _ => (READS, 0),
        }
    }

    /// It is of what the values say that a result shows.
    fn is_of_ties(self) -> bool {
        matches!(self, Mutation::TieForgotten | Mutation::ProbeForgotten | Mutation::AnyValue)
    }
}

#[test]
fn what_alters_a_result_touches_what_it_depends_on() {
    let seed = setting("PGWEIR_CACHEABLE_SEED", SEED);
    let rounds = setting("PGWEIR_CACHEABLE_ROUNDS", if big() { BIG_ROUNDS } else { ROUNDS } as u64);
    let cluster = Cluster::shared();
    let mut seen = Seen::default();
    for round in 0..rounds {
        run(cluster, seed.wrapping_add(round), Mutation::None, &mut seen);
    }
    let wrong = std::mem::take(&mut seen.wrong);
    println!("seed {seed}, {rounds} rounds: {seen:#?}");
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong[..wrong.len().min(5)].join("\n"));
    // That nothing was missed says something only if there was something to miss.
    assert!(seen.pairs > 5_000 && seen.altered > 100 && seen.spared > 200, "{seen:?}");
    let [pairs, altered, spared] = seen.by_rows;
    assert!(pairs > 1_000 && altered > 20 && spared > 100, "{seen:?}");
    let [pairs, altered, spared, came] = seen.by_links;
    assert!(pairs > 1_000 && altered > 50 && spared > 300 && came > 5, "{seen:?}");
    assert!(seen.keyed * 2 > seen.reads && seen.narrow * 30 > seen.changes, "{seen:?}");
}

#[test]
fn every_mutation_is_found_out() {
    let cluster = Cluster::shared();
    let mut alive = vec![];
    for mutation in MUTATIONS {
        let mut seen = Seen::default();
        let found = (0..25).find(|round| {
            run(cluster, SEED + round, *mutation, &mut seen);
            !seen.wrong.is_empty()
        });
        println!("{mutation:?}: {found:?} after {} pairs", seen.pairs);
        if found.is_none() {
            alive.push(mutation);
        }
    }
    assert!(alive.is_empty(), "nothing was wrong with {alive:?}");
}

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// One database with its reads and changes; stops at the first mistake of a mutation.
fn run(cluster: &Cluster, seed: u64, mutation: Mutation, seen: &mut Seen) {
    let mut random = Random(seed.wrapping_mul(0x1234_5677));
    let place = cluster.database();
    let mut server = cluster.superuser(&place.name);
    let made = database(&mut random);
    for statement in made.script.split(";\n") {
        // Some rows break keys; everything else has to work.
        let answer = server.simple(statement);
        let failed = answer.iter().find(|message| message.tag == b'E');
        assert!(failed.is_none() || statement.starts_with("insert"), "{statement}: {failed:?}");
    }
    let known = Known::read_with(&mut server, |changed| mutate_catalog(mutation, changed));
    let right = (mutation != Mutation::None).then(|| Known::read(&mut server));
    server.run("set search_path = public; set jit = off");
    let snapshot = snapshot_question(&mut server);
    let asked = Asked { known: &known, right: right.as_ref(), mutation };
    let reads = reads(&mut random, &made, &asked, &mut server, seen);
    let texts: Vec<&str> = reads.iter().map(|read| read.text.as_str()).collect();
    let mut rows = snapshot_of(&mut server, &snapshot);
    let mut results = results_of(&mut server, &texts);
    for _ in 0..CHANGES {
        let text = change(&mut random, &made.relations);
        if server.simple(&text).iter().any(|message| message.tag == b'E') {
            continue;
        }
        seen.changes += 1;
        let after = snapshot_of(&mut server, &snapshot);
        let (gone, come) = difference(&rows, &after);
        let changed: Vec<StoredRow> = gone.iter().chain(&come).cloned().collect();
        check_writes(&known, &text, &changed, seed, seen);
        if changed.is_empty() {
            continue;
        }
        let now = results_of(&mut server, &texts);
        seen.effective += 1;
        for (number, one) in reads.iter().enumerate() {
            let Read { text: read, touched, .. } = one;
            let (Some(before), Some(now)) = (&results[number], &now[number]) else { continue };
            seen.pairs += 1;
            let hit = changed.iter().any(|row| is_touched(touched, row));
            let altered = before != now;
            seen.altered += usize::from(altered);
            let near = changed.iter().any(|row| touched.iter().any(|one| one.table == row.0));
            seen.spared += usize::from(near && !hit);
            if let Some(hit) = one.is_touched_by_rows(before, &gone, &come) {
                seen.by_rows[0] += 1;
                seen.by_rows[1] += usize::from(altered);
                seen.by_rows[2] += usize::from(!hit && gone.iter().any(|row| touched[0].table == row.0));
                if altered && !hit {
                    seen.wrong.push(format!("seed {seed}\n  {read}\n  known by its rows\n  altered by {text}\n  which took {gone:?} and brought {come:?}"));
                }
            }
            if near && let Some((linked, alone)) = one.by_links(before, mutation) {
                let hit = changed.iter().any(|row| is_touched(&linked, row));
                seen.by_links[0] += 1;
                seen.by_links[1] += usize::from(altered);
                seen.by_links[2] += usize::from(!hit);
                seen.by_links[3] += usize::from(altered && alone);
                if altered && !hit {
                    let said = super::shown(&known, &linked);
                    seen.wrong.push(format!("seed {seed}\n  {read}\n  by what it shows it depends on {said}\n  altered by {text}\n  which changed {changed:?}"));
                }
            }
            if altered && !hit {
                let said = super::shown(&known, touched);
                seen.wrong.push(format!("seed {seed}\n  {read}\n  said to depend on {said}\n  altered by {text}\n  which changed {changed:?}"));
            }
        }
        (rows, results) = (after, now);
        if mutation != Mutation::None && !seen.wrong.is_empty() {
            return;
        }
    }
}

/// A read that may be kept.
struct Read {
    text: String,
    /// On what it is said to depend.
    touched: Vec<Touched>,
    /// Where its result has the columns by which its rows are known, and their numbers.
    shown: Option<Vec<(usize, i16)>>,
    /// What it may show by which tables are tied.
    linked: Vec<Linked>,
}

struct Linked {
    link: Link,
    /// Where the result has each of its sources.
    places: [Vec<usize>; 2],
}

impl Read {
    /// On what it depends by the values that the result of before shows, and whether one of these is shown to have no partner; `None`: it shows none.
    fn by_links(&self, before: &[Vec<u8>], mutation: Mutation) -> Option<(Vec<Touched>, bool)> {
        let mut touched = self.touched.clone();
        let rows: Vec<_> =
            before.iter().map(|body| Message { tag: b'D', body: body.clone() }.values()).collect();
        let (mut told, mut alone) = (false, false);
        for Linked { link, places } in &self.linked {
            let first = |at: &usize| rows.iter().find_map(|row| row[*at].clone());
            let [other, own] = [0, 1].map(|source| places[source].iter().find_map(first));
            let without = other.is_some() && own.is_none() && !places[1].is_empty();
            let shown = match mutation {
                Mutation::ProbeForgotten if without => Some(None),
                Mutation::TieForgotten => other.or(own).map(|_| None),
                _ => other.or(own).map(Some),
            };
            let any = touched.iter_mut().find(|one| one.table == link.table && one.columns.is_empty());
            if let (Some(value), Some(any)) = (shown, any) {
                any.columns.push(link.column);
                any.values = value.into_iter().map(|value| std::iter::once(value.into()).collect()).collect();
                (told, alone) = (true, alone || without);
            }
        }
        told.then_some((touched, alone))
    }

    /// Whether a change matters by what has come, and by the rows that the result of before shows; `None`: it is not known by those.
    fn is_touched_by_rows(&self, before: &[Vec<u8>], gone: &[StoredRow], come: &[StoredRow]) -> Option<bool> {
        let shown = self.shown.as_ref()?;
        let values = |body: &Vec<u8>| Message { tag: b'D', body: body.clone() }.values();
        let keys: Vec<Vec<Option<Vec<u8>>>> = before
            .iter()
            .map(|body| shown.iter().map(|(at, _)| values(body).swap_remove(*at)).collect())
            .collect();
        let key_of = |row: &StoredRow| -> Vec<Option<Vec<u8>>> {
            let column =
                |number: i16| row.1.get(usize::try_from(number - 1).expect("a column")).cloned().flatten();
            shown.iter().map(|(_, number)| column(*number).map(String::into_bytes)).collect()
        };
        let has_gone = |row: &StoredRow| self.touched[0].table == row.0 && keys.contains(&key_of(row));
        Some(come.iter().any(|row| is_touched(&self.touched, row)) || gone.iter().any(has_gone))
    }
}

/// The described columns, by table and number.
fn columns_of(description: &Message) -> Vec<(u32, i16)> {
    let mut rest = &description.body[2..];
    let mut columns = vec![];
    while let Some(end) = rest.iter().position(|byte| *byte == 0) {
        let field = &rest[end + 1..];
        let table = u32::from_be_bytes(field[..4].try_into().expect("four bytes"));
        columns.push((table, i16::from_be_bytes([field[4], field[5]])));
        rest = &field[18..];
    }
    columns
}

/// Where the columns of a key are.
fn shown(columns: &[(u32, i16)], key: &RowKey) -> Option<Vec<(usize, i16)>> {
    let place = |(number, _): &(i16, _)| {
        columns.iter().position(|column| *column == (key.table, *number)).map(|at| (at, *number))
    };
    key.columns.iter().map(place).collect()
}

/// What reads are made up for.
struct Asked<'a> {
    known: &'a Known,
    /// As it is without the mutation.
    right: Option<&'a Known>,
    mutation: Mutation,
}

/// Reads that may be kept, with what they are said to depend on; of a mutation only those of which it says something else.
fn reads(
    random: &mut Random,
    made: &Database,
    asked: &Asked<'_>,
    server: &mut Client,
    seen: &mut Seen,
) -> Vec<Read> {
    let stored = stored(server, &made.relations);
    let mut reads = vec![];
    let (all, linked) = asked.mutation.reads();
    for _ in 0..all * 10 {
        if reads.len() == all {
            break;
        }
        let kind = random.below(12);
        let any = random.percent(20);
        let mut made_up = Reads::new(random, &made.relations, &stored);
        let text = match kind {
            0..5 => made_up.rows(),
            5..7 => made_up.chained(),
            _ => made_up.read(),
        };
        reads.extend(asked.read(text, any, server, seen).map(|(read, _)| read));
    }
    // Most of these show, to begin with, by which values their tables are tied.
    let enough = reads.len() + linked;
    for _ in 0..linked * 5 {
        if reads.len() == enough {
            break;
        }
        let any = random.percent(10);
        let text = Reads::new(random, &made.relations, &stored).linked();
        let read = asked.read(text, any, server, seen);
        let shows = |read: &Read, answer: &[Vec<u8>]| read.by_links(answer, Mutation::None).is_some();
        reads.extend(read.filter(|(read, answer)| any || shows(read, answer)).map(|(read, _)| read));
    }
    seen.reads += reads.len();
    seen.keyed += reads.iter().filter(|read| read.touched.iter().any(|one| !one.columns.is_empty())).count();
    reads
}

impl Asked<'_> {
    /// The read that this text is, if it is wanted, and its answer. `any`: also one that depends on any row of all its tables, of which there is less to be wrong.
    fn read(
        &self,
        text: String,
        any: bool,
        server: &mut Client,
        seen: &mut Seen,
    ) -> Option<(Read, Vec<Vec<u8>>)> {
        let mutation = self.mutation;
        let judged = self.known.judged(&text, &[], |facts| mutate(mutation, facts));
        let Judged { mut touched, key, links } = match judged {
            Ok(judged) => judged,
            Err(refusal) => {
                *seen.refused.entry(refusal.name().to_owned()).or_default() += 1;
                return None;
            }
        };
        mutate_touched(mutation, &mut touched);
        let is_other = |right: &Known| match right.judged(&text, &[], |_| {}) {
            Ok(_) if mutation.is_of_ties() => !links.is_empty(),
            Ok(right) => right.touched != touched || right.key != key || right.links != links,
            Err(_) => true,
        };
        let keyed = touched.iter().any(|one| !one.columns.is_empty());
        if !self.right.map_or(keyed || any, is_other) {
            return None;
        }
        let answer = server.simple(&text);
        if answer.iter().any(|message| message.tag == b'E') {
            return None;
        }
        let description = answer.iter().find(|message| message.tag == b'T').expect("columns");
        let columns = columns_of(description);
        let shown = key.and_then(|key| shown(&columns, &key));
        let of = |(table, number, _): (u32, i16, KeyType)| {
            let is_source = |at: &usize| match mutation {
                Mutation::AnyValue => columns[*at].0 == table,
                _ => columns[*at] == (table, number),
            };
            (0..columns.len()).filter(is_source).collect()
        };
        let linked = links.into_iter().map(|link| Linked { places: link.sources.map(of), link }).collect();
        Some((Read { text, touched, shown, linked }, split(&answer).remove(0)))
    }
}

/// The rows of the tables that statements are made up of by what is in them.
fn stored(server: &mut Client, relations: &[Relation]) -> Stored {
    let mut rows = |one: &Relation| {
        let columns: Vec<String> = one.columns.iter().map(|(name, _)| format!("{name}::text")).collect();
        ask(server, &format!("select {} from {} order by 1, 2", columns.join(", "), one.name))
    };
    let tables = relations.iter().filter(|one| one.name.starts_with('t'));
    tables.map(|one| (one.name.clone(), rows(one))).collect()
}

fn mutate(mutation: Mutation, facts: &mut Facts) {
    match mutation {
        Mutation::EqualForAll => {
            for level in &mut facts.levels {
                let all = 0..level.variables.len();
                level.equalities.iter_mut().for_each(|equality| equality.of = all.clone());
            }
        }
        Mutation::OuterAsInner => {
            for level in &mut facts.levels {
                let all = 0..level.variables.len();
                level.conjuncts.iter_mut().for_each(|conjunct| conjunct.of = all.clone());
                level.equalities.iter_mut().for_each(|equality| equality.of = all.clone());
            }
        }
        Mutation::RenamedIgnored => {
            let variables = facts.levels.iter_mut().flat_map(|level| &mut level.variables);
            variables.for_each(|variable| variable.renamed = false);
        }
        Mutation::OrAsAnd => or_as_and(facts),
        Mutation::HiddenRows => facts.row_by_row = facts.levels.len() == 1,
        _ => {}
    }
}

/// All comparisons of statements with one level count.
fn or_as_and(facts: &mut Facts) {
    let [level] = facts.levels.as_mut_slice() else { return };
    for predicate in facts.predicates.iter().filter(|one| one.comparison == Comparison::Equal) {
        let Operand::Literal(place) = predicate.operand else { continue };
        let column = ColumnName { schema: None, table: None, name: predicate.column.clone() };
        let constant = Constant { place, form: Form::One, cast: None };
        let all = 0..level.variables.len();
        level.conjuncts.push(Conjunct { of: all.clone(), sees: all, column, constant });
    }
}

fn mutate_touched(mutation: Mutation, touched: &mut Vec<Touched>) {
    match mutation {
        Mutation::FirstValue => touched.iter_mut().for_each(|one| one.values.truncate(1)),
        Mutation::OneVariable => touched.dedup_by_key(|one| one.table),
        _ => {}
    }
}

fn mutate_catalog(mutation: Mutation, rows: &mut Changed) {
    let without = |rows: &mut Changed, ways: &[&str]| {
        rows.edges.retain(|edge| !edge[2].as_deref().is_some_and(|way| ways.contains(&way)));
    };
    match mutation {
        Mutation::NoChildren => without(rows, &["child"]),
        Mutation::NoViews => without(rows, &["view"]),
        Mutation::NoKeys => without(rows, &["deleted", "updated"]),
        Mutation::SameNumbers => same_numbers(rows),
        Mutation::AnyKey => rows.details.iter_mut().for_each(any_key),
        Mutation::NoTriggers => rows.details.iter_mut().for_each(|detail| detail[7] = None),
        _ => {}
    }
}

/// The first column is the primary key.
fn any_key(detail: &mut Row) {
    let first = detail[4].as_deref().and_then(|columns| columns.split(' ').next()).map(str::to_owned);
    detail[5] = first;
}

fn same_numbers(rows: &mut Changed) {
    for edge in rows.edges.iter().filter(|edge| edge[2].as_deref() == Some("child")) {
        let parent =
            rows.details.iter().find(|detail| detail[0] == edge[0]).and_then(|detail| detail[4].clone());
        if let Some(child) = rows.details.iter_mut().find(|detail| detail[0] == edge[1]) {
            child[4] = parent;
        }
    }
}

/// Whether a changed row is one of those on which a result depends.
fn is_touched(touched: &[Touched], row: &StoredRow) -> bool {
    touched.iter().filter(|one| one.table == row.0).any(|one| {
        let column = |number: &i16| {
            row.1.get(usize::try_from(*number - 1).unwrap_or(usize::MAX)).and_then(Option::as_deref)
        };
        let same = |values: &KeyRow| {
            one.columns
                .iter()
                .zip(values)
                .all(|(number, value)| column(number).map(str::as_bytes) == Some(&**value))
        };
        one.columns.is_empty() || one.values.iter().any(same)
    })
}

/// No table was changed, and of a narrow change no row and column, of which it was not said.
fn check_writes(known: &Known, text: &str, changed: &[StoredRow], seed: u64, seen: &mut Seen) {
    let writes = known.writes(text, &[]);
    let tables: BTreeSet<u32> = changed.iter().map(|row| row.0).collect();
    let right = match &writes {
        Writes::Nothing => tables.is_empty(),
        Writes::Tables(said) => tables.iter().all(|table| said.contains(table)),
        Writes::Everything | Writes::Definitions => {
            seen.everything += 1;
            true
        }
        Writes::Rows(narrow) => {
            seen.narrow += 1;
            let shape = shape(text.as_bytes(), true);
            let given = super::given(text, &shape.literals, &[]);
            let values = narrow.touched(&given);
            let columns = narrow.key.iter().map(|key| key.number).collect();
            let rows = values.is_none_or(|values| {
                let touched = [Touched { table: narrow.table, columns, values }];
                changed.iter().all(|row| is_touched(&touched, row))
            });
            rows && tables.iter().all(|table| *table == narrow.table)
                && only_assigned(&narrow.assigned, changed)
        }
    };
    if !right {
        let said = super::writing::shown(known, &writes, text);
        seen.wrong.push(format!("seed {seed}\n  {text}\n  said to write {said}\n  changed {changed:?}"));
    }
}

/// In columns that are not assigned, old and new rows have the same values.
fn only_assigned(assigned: &Assigned, changed: &[StoredRow]) -> bool {
    let Assigned::Columns(columns) = assigned else { return true };
    let width = changed.iter().map(|row| row.1.len()).max().unwrap_or(0);
    let others =
        (0..width).filter(|at| !columns.iter().any(|column| usize::try_from(*column - 1) == Ok(*at)));
    others.into_iter().all(|at| {
        // Each value is there as often in what has gone as in what has come, so an even number of times.
        let mut counts: BTreeMap<Option<&String>, usize> = BTreeMap::new();
        changed.iter().for_each(|row| *counts.entry(row.1[at].as_ref()).or_default() += 1);
        counts.values().all(|count| count % 2 == 0)
    })
}

/// All rows of all tables, each with the table's number and all columns by theirs.
fn snapshot_question(server: &mut Client) -> String {
    let columns = "select c.oid, c.oid::regclass, a.attnum, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid
        where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace and a.attnum > 0 and not a.attisdropped order by 1, 3";
    let mut tables: BTreeMap<u32, (String, BTreeMap<usize, String>)> = BTreeMap::new();
    for row in ask(server, columns) {
        let [Some(oid), Some(table), Some(number), Some(name)] = row.as_slice() else { panic!("{row:?}") };
        let entry =
            tables.entry(oid.parse().expect("a number")).or_insert_with(|| (table.clone(), BTreeMap::new()));
        entry.1.insert(number.parse().expect("a number"), name.clone());
    }
    let width = tables.values().flat_map(|table| table.1.keys()).max().copied().unwrap_or(0);
    let one = |(oid, (table, columns)): (&u32, &(String, BTreeMap<usize, String>))| {
        let column = |number| columns.get(&number).map_or("null".to_owned(), |name| format!("{name}::text"));
        let list: Vec<String> = (1..=width).map(column).collect();
        format!("select {oid}, {} from only {table}", list.join(", "))
    };
    tables.iter().map(one).collect::<Vec<_>>().join(" union all ")
}

fn snapshot_of(server: &mut Client, question: &str) -> Vec<StoredRow> {
    let mut rows: Vec<StoredRow> = ask(server, question)
        .into_iter()
        .map(|mut row| (row.remove(0).and_then(|oid| oid.parse().ok()).expect("a number"), row))
        .collect();
    rows.sort();
    rows
}

/// Rows that are in the first of two snapshots and not in the second, and the other way round, as often as they are.
fn difference(before: &[StoredRow], after: &[StoredRow]) -> (Vec<StoredRow>, Vec<StoredRow>) {
    let mut counts: BTreeMap<&StoredRow, i64> = BTreeMap::new();
    before.iter().for_each(|row| *counts.entry(row).or_default() -= 1);
    after.iter().for_each(|row| *counts.entry(row).or_default() += 1);
    let many = |sign: i64| {
        let rows = counts.iter().flat_map(move |(row, count)| {
            vec![(*row).clone(); usize::try_from((count * sign).max(0)).expect("few")]
        });
        rows.collect::<Vec<_>>()
    };
    (many(-1), many(1))
}

/// What reads give, each as a whole with its rows in order; `None` for one that fails.
fn results_of(server: &mut Client, texts: &[&str]) -> Vec<Option<Vec<Vec<u8>>>> {
    let all = server.simple(&texts.join(";\n"));
    let results = split(&all);
    if results.len() == texts.len() && all.iter().all(|message| message.tag != b'E') {
        return results.into_iter().map(Some).collect();
    }
    let alone = |text: &&str| {
        let answer = server.simple(text);
        let failed = answer.iter().any(|message| message.tag == b'E');
        (!failed).then(|| split(&answer).into_iter().next().unwrap_or_default())
    };
    texts.iter().map(alone).collect()
}

fn split(messages: &[Message]) -> Vec<Vec<Vec<u8>>> {
    let mut results = vec![];
    let mut rows = vec![];
    for message in messages {
        match message.tag {
            b'D' => rows.push(message.body.clone()),
            b'C' => {
                rows.sort();
                results.push(std::mem::take(&mut rows));
            }
            _ => {}
        }
    }
    results
}
