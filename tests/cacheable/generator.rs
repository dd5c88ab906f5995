//! Databases, reads and changes made up at random.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The same numbers from the same seed.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }

    pub fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    pub fn shuffle<T>(&mut self, all: &mut [T]) {
        for at in (1..all.len()).rev() {
            all.swap(at, self.below(at + 1));
        }
    }
}

/// Types of columns, each with values that are few.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Int,
    Big,
    Small,
    Text,
    Varchar,
    Numeric,
    Date,
}

impl Type {
    fn name(self) -> &'static str {
        match self {
            Type::Int => "int",
            Type::Big => "bigint",
            Type::Small => "smallint",
            Type::Text => "text",
            Type::Varchar => "varchar(9)",
            Type::Numeric => "numeric",
            Type::Date => "date",
        }
    }

    /// What may be compared with what.
    fn family(self) -> usize {
        match self {
            Type::Int | Type::Big | Type::Small | Type::Numeric => 0,
            Type::Text | Type::Varchar => 1,
            Type::Date => 2,
        }
    }
}

/// What can be read: a table, view or the like.
#[derive(Debug, Clone)]
pub struct Relation {
    pub name: String,
    pub columns: Vec<(String, Type)>,
    /// Rows can be changed in it, by statements that name it.
    pub changeable: bool,
    pub key: Vec<String>,
}

/// A database: what makes it, and what can be read in it.
#[derive(Debug, Default)]
pub struct Database {
    pub script: String,
    pub relations: Vec<Relation>,
}

const COLUMNS: &[(&str, Type)] = &[
    ("a", Type::Int),
    ("b", Type::Big),
    ("s", Type::Small),
    ("n", Type::Text),
    ("v", Type::Varchar),
    ("x", Type::Numeric),
    ("d", Type::Date),
];

/// A value of a type as it is put into rows.
fn value(random: &mut Random, of: Type) -> String {
    if random.percent(12) {
        return "null".to_owned();
    }
    match of {
        Type::Int | Type::Big | Type::Small => random.below(5).to_string(),
        Type::Numeric => ["0", "1", "1.0", "2.5", "3"][random.below(5)].to_owned(),
        Type::Text | Type::Varchar => ["'a'", "'b'", "'A'", "''", "'1'"][random.below(5)].to_owned(),
        Type::Date => format!("'2024-01-0{}'", 1 + random.below(4)),
    }
}

/// A constant in a condition, in one of many spellings; never null.
fn constant(random: &mut Random, of: Type) -> String {
    match of {
        Type::Int | Type::Big | Type::Small => {
            let n = random.below(5);
            match random.below(9) {
                0 => format!("'{n}'"),
                1 => format!("0{n}"),
                2 => format!("{n}::bigint"),
                3 => format!("'{n}'::int"),
                4 => format!("+{n}"),
                5 => format!("{n}.0"),
                _ => n.to_string(),
            }
        }
        Type::Numeric => ["1", "1.0", "2.5", "3"][random.below(4)].to_owned(),
        Type::Text | Type::Varchar => match random.below(8) {
            0 => "e'\\x61'".to_owned(),
            1 => "$$b$$".to_owned(),
            2 => "'a'::text".to_owned(),
            3 => "'b'::varchar".to_owned(),
            _ => ["'a'", "'b'", "'A'", "''", "'1'"][random.below(5)].to_owned(),
        },
        Type::Date => match random.below(4) {
            0 => format!("date '2024-01-0{}'", 1 + random.below(4)),
            1 => format!("'2024/01/0{}'", 1 + random.below(4)),
            _ => format!("'2024-01-0{}'", 1 + random.below(4)),
        },
    }
}

/// A value that is there, as a constant.
fn written(text: &str, of: Type) -> String {
    match of {
        Type::Int | Type::Big | Type::Small | Type::Numeric => text.to_owned(),
        Type::Text | Type::Varchar | Type::Date => format!("'{text}'"),
    }
}

/// A database at random.
pub fn database(random: &mut Random) -> Database {
    let mut made = Database::default();
    for number in 0..4 {
        made.table(&format!("t{number}"), random);
    }
    made.partitions(random);
    made.inheritance(random);
    made.keys(random);
    made.triggers(random);
    for number in 0..3 {
        made.view(&format!("v{number}"), random);
    }
    for relation in made.relations.clone() {
        for _ in 0..4 + random.below(6) {
            let text = insert(random, &relation);
            if relation.changeable && !relation.name.starts_with('v') {
                let _ = writeln!(made.script, "{};", text.replace(" returning *", ""));
            }
        }
    }
    made
}

impl Database {
    fn columns(random: &mut Random) -> Vec<(String, Type)> {
        let mut columns: Vec<(String, Type)> =
            COLUMNS.iter().map(|(name, of)| ((*name).to_owned(), *of)).collect();
        random.shuffle(&mut columns);
        columns.truncate(2 + random.below(4));
        columns.push(("id".to_owned(), Type::Int));
        random.shuffle(&mut columns);
        columns
    }

    /// Definitions of columns; one may have gone before them, so that numbers have gaps.
    fn create(&mut self, name: &str, columns: &[(String, Type)], tail: &str, random: &mut Random) {
        let mut list: Vec<String> =
            columns.iter().map(|(name, of)| format!("{name} {}", of.name())).collect();
        let gap = random.percent(40);
        if gap {
            list.insert(random.below(list.len()), "gone int".to_owned());
        }
        let _ = writeln!(self.script, "create table {name} ({}) {tail};", list.join(", "));
        if gap {
            let _ = writeln!(self.script, "alter table {name} drop column gone;");
        }
    }

    fn table(&mut self, name: &str, random: &mut Random) {
        let columns = Database::columns(random);
        self.create(name, &columns, "", random);
        let key: Vec<String> = match random.below(4) {
            0 => vec![],
            1 => vec!["id".to_owned(), columns.iter().find(|one| one.0 != "id").expect("another").0.clone()],
            _ => vec!["id".to_owned()],
        };
        if !key.is_empty() {
            let _ = writeln!(self.script, "alter table {name} add primary key ({});", key.join(", "));
        }
        self.relations.push(Relation { name: name.to_owned(), columns, changeable: true, key });
    }

    /// A partitioned table whose partitions have their columns in other orders.
    fn partitions(&mut self, random: &mut Random) {
        let columns = Database::columns(random);
        let by = if random.percent(50) { "list (id)" } else { "hash (id)" };
        self.create("p", &columns, &format!("partition by {by}"), random);
        let bounds = match by {
            "list (id)" => ["for values in (0, 1)", "for values in (2, 3)", "default"],
            _ => [
                "for values with (modulus 3, remainder 0)",
                "for values with (modulus 3, remainder 1)",
                "for values with (modulus 3, remainder 2)",
            ],
        };
        for (number, bound) in bounds.iter().enumerate() {
            let mut own = columns.clone();
            random.shuffle(&mut own);
            let name = format!("p{number}");
            self.create(&name, &own, "", random);
            let _ = writeln!(self.script, "alter table p attach partition {name} {bound};");
            self.relations.push(Relation { name, columns: own, changeable: true, key: vec![] });
        }
        self.relations.push(Relation { name: "p".to_owned(), columns, changeable: true, key: vec![] });
    }

    fn inheritance(&mut self, random: &mut Random) {
        let columns = Database::columns(random);
        self.create("h", &columns, "", random);
        let mut own = columns.clone();
        own.push(("extra".to_owned(), Type::Int));
        random.shuffle(&mut own);
        self.create("hc", &own, "", random);
        let _ = writeln!(self.script, "alter table hc inherit h;");
        self.relations.push(Relation { name: "h".to_owned(), columns, changeable: true, key: vec![] });
        self.relations.push(Relation { name: "hc".to_owned(), columns: own, changeable: true, key: vec![] });
    }

    fn keys(&mut self, random: &mut Random) {
        for to in 0..4 {
            if self.relations[to].key != ["id"] {
                continue;
            }
            for from in 0..4 {
                let has_a = self.relations[from].columns.iter().any(|one| one.0 == "a");
                if !has_a || !random.percent(60) {
                    continue;
                }
                let deleted = random.pick(&["cascade", "set null", "no action", "set default"]);
                let updated = random.pick(&["cascade", "set null", "no action", "no action"]);
                let _ = writeln!(
                    self.script,
                    "alter table t{from} add foreign key (a) references t{to} on delete {deleted} on update {updated};",
                );
                break;
            }
        }
    }

    fn triggers(&mut self, random: &mut Random) {
        if !random.percent(50) {
            return;
        }
        let (of, event) =
            (random.below(4), *random.pick(&["insert", "update", "delete", "insert or update"]));
        let _ = writeln!(
            self.script,
            "create function act() returns trigger language plpgsql as
            'begin update h set id = (coalesce(id, 0) + 1) % 5; return null; end';
            create trigger acts after {event} on t{of} for each {} execute function act();",
            random.pick(&["row", "statement"])
        );
    }

    fn view(&mut self, name: &str, random: &mut Random) {
        let relation = random.pick(&self.relations).clone();
        let other = random.pick(&self.relations).clone();
        let mut columns = relation.columns.clone();
        random.shuffle(&mut columns);
        let list: Vec<String> = columns.iter().map(|one| format!("l.{}", one.0)).collect();
        let (column, of) = random.pick(&relation.columns).clone();
        let condition = format!("l.{column} = {}", constant(random, of));
        let (text, changeable) = match random.below(4) {
            0 => (format!("select {} from {} l where {condition}", list.join(", "), relation.name), true),
            1 => (
                format!(
                    "select {} from {} l left join {} r on r.id = l.id and {condition}",
                    list.join(", "),
                    relation.name,
                    other.name
                ),
                false,
            ),
            2 => (
                format!(
                    "select {0} from {1} l where {condition} union all select {0} from {1} l where l.id = {2}",
                    list.join(", "),
                    relation.name,
                    random.below(4)
                ),
                false,
            ),
            _ => (format!("select {} from {} l", list.join(", "), relation.name), true),
        };
        let _ = writeln!(self.script, "create view {name} as {text};");
        let changeable = changeable && relation.changeable;
        self.relations.push(Relation { name: name.to_owned(), columns, changeable, key: vec![] });
    }
}

/// Rows that are there, by the name of their table: the texts of its columns, in the order of [`Relation::columns`].
pub type Stored = BTreeMap<String, Vec<Vec<Option<String>>>>;

/// A name in FROM and the columns behind it.
#[derive(Clone)]
struct Variable {
    alias: String,
    columns: Vec<(String, Type)>,
}

/// Reads of a database at random.
pub struct Reads<'a> {
    pub random: &'a mut Random,
    pub relations: &'a [Relation],
    /// Some of the values that are there.
    stored: &'a Stored,
    aliases: usize,
    /// Common table expressions that can be seen.
    expressions: Vec<Relation>,
}

impl<'a> Reads<'a> {
    pub fn new(random: &'a mut Random, relations: &'a [Relation], stored: &'a Stored) -> Reads<'a> {
        Reads { random, relations, stored, aliases: 0, expressions: vec![] }
    }

    /// One read.
    pub fn read(&mut self) -> String {
        (self.aliases, self.expressions) = (0, vec![]);
        match self.random.below(12) {
            0 => {
                let (inner, columns) = self.query(1, &[]);
                // Sometimes by the name of a table.
                let name = if self.random.percent(30) {
                    self.random.pick(self.relations).name.clone()
                } else {
                    "c".to_owned()
                };
                let relation = Relation { name: name.clone(), columns, changeable: false, key: vec![] };
                self.expressions.push(relation);
                format!("with {name} as ({inner}) {}", self.query(1, &[]).0)
            }
            1 => {
                let relation = self.random.pick(self.relations).clone();
                let condition = self.atom(
                    &[Variable { alias: "q".to_owned(), columns: relation.columns.clone() }],
                    &[],
                    0,
                );
                format!(
                    "with recursive r (i) as (select {} union select q.id from r join {} q on q.id = r.i + 1 and {condition}) select i from r",
                    self.random.below(3),
                    relation.name
                )
            }
            2 | 3 => {
                let (left, columns) = self.query(1, &[]);
                let (right, others) = self.query(1, &[]);
                let fits = columns.len() == others.len()
                    && columns.iter().zip(&others).all(|(one, other)| one.1.family() == other.1.family());
                let operation = self.random.pick(&["union all", "union", "except", "intersect"]);
                if fits { format!("({left}) {operation} ({right})") } else { left }
            }
            _ => self.query(2, &[]).0,
        }
    }

    /// One that shows the keys of rows that it finds by another column; sometimes rows that it does not show matter too.
    pub fn rows(&mut self) -> String {
        let relations = self.relations;
        let keyed: Vec<&Relation> =
            relations.iter().filter(|one| one.changeable && !one.key.is_empty()).collect();
        let relation = (*self.random.pick(&keyed)).clone();
        let variable = Variable { alias: "q".to_owned(), columns: relation.columns.clone() };
        let (column, of) = self.random.pick(&relation.columns).clone();
        let mut condition = format!("{column} = {}", constant(self.random, of));
        if self.random.percent(30) {
            condition = format!("{condition} and {}", self.atom(&[variable], &[], 0));
        }
        let key = relation.key.join(", ");
        let own = match self.random.below(10) {
            0..4 => "*".to_owned(),
            4..8 => format!("{}, {key}", self.random.pick(&relation.columns).0),
            8 => format!("{key}, count(*) over ()"),
            _ => format!("distinct on ({column}) *"),
        };
        let tail = match self.random.below(10) {
            _ if own.starts_with("distinct") => format!(" order by {column}, {key}"),
            _ if own.contains("over") => format!(" order by {key} limit 1"),
            0..2 => format!(" order by {column}, {key} limit {}", 1 + self.random.below(3)),
            2..4 => format!(" order by {key} offset 1"),
            _ => "".to_owned(),
        };
        format!("select {own} from {} q where {condition}{tail}", relation.name)
    }

    /// A row found by its primary key, mostly one that is there, joined with what its other columns find in one table or two; sometimes it is not one row, or the answer does not show
    /// by which values.
    pub fn linked(&mut self) -> String {
        let relations = self.relations;
        let tables: Vec<&Relation> = relations.iter().filter(|one| one.name.starts_with('t')).collect();
        let keyed: Vec<&Relation> = tables.iter().copied().filter(|one| !one.key.is_empty()).collect();
        let keyed = if keyed.is_empty() || self.random.percent(5) { &tables } else { &keyed };
        let one = *self.random.pick(keyed);
        let mut others: Vec<&Relation> =
            tables.into_iter().filter(|other| other.name != one.name || self.random.percent(10)).collect();
        self.random.shuffle(&mut others);
        others.truncate(if self.random.percent(25) { 2 } else { 1 });
        let q = Variable { alias: "q".to_owned(), columns: one.columns.clone() };
        let mut filter = self.one_row(one);
        let (mut from, mut list) = (format!("{} q", one.name), vec![]);
        let mut all = vec![q.clone()];
        for (other, alias) in others.into_iter().zip(["r", "s"]) {
            let variable = Variable { alias: alias.to_owned(), columns: other.columns.clone() };
            let (own, others) = self.tie(one, &variable);
            all.push(variable);
            let mut on = vec![format!("{others} = {own}")];
            list.extend([own, others]);
            if self.random.percent(15) {
                on.push(self.atom(&all, &[], 0));
            }
            match self.random.below(10) {
                0 => on.extend(filter.pop()),
                1 => filter.append(&mut on),
                _ => {}
            }
            let on = if on.is_empty() { "true".to_owned() } else { on.join(" and ") };
            let join = *self.random.pick(&[
                "join",
                "join",
                "left join",
                "left join",
                "left join",
                "right join",
                "full join",
            ]);
            from = match self.random.percent(20) {
                true if from.contains("join") => format!("{} {alias} {join} ({from}) on {on}", other.name),
                true => format!("{} {alias} {join} {from} on {on}", other.name),
                false => format!("{from} {join} {} {alias} on {on}", other.name),
            };
        }
        if self.random.percent(15) {
            filter.push(self.atom(&all, &[], 0));
        }
        let filter = if filter.is_empty() { "true".to_owned() } else { filter.join(" and ") };
        self.shown(&from, &filter, &all, &list)
    }

    /// Conditions that name the primary key of a row, for the most part of one that is there.
    fn one_row(&mut self, of: &Relation) -> Vec<String> {
        let rows = self.stored.get(&of.name).map(Vec::as_slice).unwrap_or_default();
        let row = (!rows.is_empty()).then(|| self.random.pick(rows));
        let key = if of.key.is_empty() { vec![of.columns[0].0.clone()] } else { of.key.clone() };
        let condition = |name: &String| {
            let at = of.columns.iter().position(|column| column.0 == *name).expect("its column");
            let kind = of.columns[at].1;
            let other = constant(self.random, kind);
            let one = match row.and_then(|row| row[at].as_ref()) {
                Some(text) if self.random.percent(90) => written(text, kind),
                _ => other.clone(),
            };
            match self.random.below(20) {
                0 => format!("q.{name} in ({one}, {other})"),
                1 => format!("q.{name} >= {one}"),
                _ => format!("q.{name} = {one}"),
            }
        };
        key.iter().map(condition).collect()
    }

    /// Columns of `q` and of another variable to be equal: mostly outside of the primary key of `q`.
    fn tie(&mut self, one: &Relation, other: &Variable) -> (String, String) {
        let fitting = |column: &&(String, Type)| {
            let family = column.1.family();
            other.columns.iter().any(|other| other.1.family() == family)
        };
        let (key, free): (Vec<_>, Vec<_>) =
            one.columns.iter().filter(fitting).partition(|column| one.key.contains(&column.0));
        let among = if free.is_empty() || self.random.percent(10) { key } else { free };
        // Both have an id.
        let id = ("id".to_owned(), Type::Int);
        let (own, of) = if among.is_empty() { &id } else { *self.random.pick(&among) };
        let others: Vec<_> = other.columns.iter().filter(|column| column.1.family() == of.family()).collect();
        let (name, _) = *self.random.pick(&others);
        (format!("q.{own}"), format!("{}.{name}", other.alias))
    }

    /// What a join shows: mostly the columns by which it is tied, which are these.
    fn shown(&mut self, from: &str, filter: &str, all: &[Variable], ties: &[String]) -> String {
        let width = all.iter().map(|one| one.columns.len()).sum();
        let (list, width) = match self.random.below(12) {
            0..4 => ("*".to_owned(), width),
            4 => ("q.*".to_owned(), all[0].columns.len()),
            5 => ("r.*".to_owned(), all[1].columns.len()),
            6..9 => (format!("{}, {}", ties.join(", "), self.column(all).0), ties.len() + 1),
            9 => (format!("{}, {}", self.random.pick(ties), self.column(all).0), 2),
            10 => {
                let tie = self.random.pick(ties);
                return format!(
                    "select {tie}, count(*), max(r.id) from {from} where {filter} group by {tie}"
                );
            }
            _ => (format!("{}, {}", self.column(all).0, self.column(all).0), 2),
        };
        let order: Vec<String> = (1..=width).map(|number| number.to_string()).collect();
        let tail = match self.random.below(10) {
            0 => format!(" order by {} limit 1", order.join(", ")),
            1 => format!(" order by {} offset 1", order.join(", ")),
            _ => String::new(),
        };
        format!("select {list} from {from} where {filter}{tail}")
    }

    /// Three tables, tied by columns, one of which is equal to a constant: joined in any way, with each condition wherever it can stand.
    pub fn chained(&mut self) -> String {
        let relations = self.relations;
        let tables: Vec<&Relation> = relations.iter().filter(|one| one.name.starts_with('t')).collect();
        let tables = ["q", "r", "s"].map(|alias| {
            let relation = match self.random.percent(75) {
                true => *self.random.pick(&tables),
                false => self.random.pick(relations),
            };
            (relation, Variable { alias: alias.to_owned(), columns: relation.columns.clone() })
        });
        let [q, r, s] = tables.clone().map(|(_, variable)| variable);
        // The two that are joined first.
        let nested = self.random.percent(50);
        let is_inner = |at: usize| if nested { at > 0 } else { at < 2 };
        let pairs = [[(0, 1), (1, 2)], [(0, 1), (0, 2)], [(0, 2), (1, 2)]][self.random.below(3)];
        let (mut inner, mut outer, mut filter) = (vec![], vec![], vec![]);
        let variables = [q, r, s];
        let mut conditions = vec![];
        for (one, other) in pairs {
            let text = self.equality(std::slice::from_ref(&variables[one]), &variables[other]);
            conditions.push((text, is_inner(one) && is_inner(other)));
        }
        for _ in 0..1 + self.random.below(2) {
            let at = self.random.below(3);
            let columns = &variables[at].columns;
            let (name, of) = self.random.pick(columns).clone();
            let text = format!("{}.{name} = {}", variables[at].alias, constant(self.random, of));
            conditions.push((text, is_inner(at)));
        }
        for (text, fits_inner) in conditions {
            match self.random.below(5) {
                0 | 1 if fits_inner => inner.push(text),
                0..4 => outer.push(text),
                _ => filter.push(text),
            }
        }
        let joins = ["join", "left join", "left join", "right join", "full join"];
        let [one, other] = [0, 1].map(|_| *self.random.pick(&joins));
        let all = |list: Vec<String>| if list.is_empty() { "true".to_owned() } else { list.join(" and ") };
        let (inner, outer, filter) = (all(inner), all(outer), all(filter));
        let [q, r, s] = tables.map(|(relation, variable)| format!("{} {}", relation.name, variable.alias));
        let from = match nested {
            true => format!("{q} {other} ({r} {one} {s} on {inner}) on {outer}"),
            false => format!("{q} {one} {r} on {inner} {other} {s} on {outer}"),
        };
        let list = *self.random.pick(&["*", "q.*", "s.*", "count(*), min(q.id), max(s.id)"]);
        format!("select {list} from {from} where {filter}")
    }

    fn alias(&mut self) -> String {
        self.aliases += 1;
        format!("x{}", self.aliases)
    }

    /// A query and the columns that it gives.
    fn query(&mut self, depth: usize, outer: &[Variable]) -> (String, Vec<(String, Type)>) {
        let (from, variables) = self.from(depth);
        let filter = match self.random.percent(85) {
            true => format!(" where {}", self.condition(&variables, outer, depth)),
            false => String::new(),
        };
        if self.random.percent(20) {
            return self.aggregate(&from, &filter, &variables);
        }
        let mut columns = vec![];
        let mut list = vec![];
        for number in 0..1 + self.random.below(3) {
            let (text, of) = self.output(&variables, outer, depth);
            list.push(format!("{text} as o{number}"));
            columns.push((format!("o{number}"), of));
        }
        let distinct = if self.random.percent(15) { "distinct " } else { "" };
        let limit = match self.random.percent(15) {
            true => {
                let all: Vec<String> = (1..=columns.len()).map(|number| number.to_string()).collect();
                format!(" order by {} limit {}", all.join(", "), 1 + self.random.below(3))
            }
            false => String::new(),
        };
        (format!("select {distinct}{} from {from}{filter}{limit}", list.join(", ")), columns)
    }

    fn aggregate(
        &mut self,
        from: &str,
        filter: &str,
        variables: &[Variable],
    ) -> (String, Vec<(String, Type)>) {
        let (column, of) = self.column(variables);
        let columns = vec![("o0".to_owned(), Type::Big), ("o1".to_owned(), of)];
        let having = match self.random.below(4) {
            0 => " having count(*) = 1".to_owned(),
            1 => format!(" having {column} = {}", constant(self.random, of)),
            _ => String::new(),
        };
        let text = match self.random.below(4) {
            0 => format!("select count(*) as o0, max({column}) as o1 from {from}{filter}"),
            1 => format!("select count(distinct {column}) as o0, min({column}) as o1 from {from}{filter}"),
            _ => {
                format!("select count(*) as o0, {column} as o1 from {from}{filter} group by {column}{having}")
            }
        };
        (text, columns)
    }

    fn output(&mut self, variables: &[Variable], outer: &[Variable], depth: usize) -> (String, Type) {
        match self.random.below(10) {
            0 if depth > 0 => {
                let all: Vec<Variable> = variables.iter().chain(outer).cloned().collect();
                let (from, inner) = self.from(0);
                let condition = self.condition(&inner, &all, 0);
                (format!("(select count(*) from {from} where {condition})"), Type::Big)
            }
            1 => {
                let (column, _) = self.column(variables);
                (format!("count(*) over (partition by {column})"), Type::Big)
            }
            _ => self.column(variables),
        }
    }

    /// A column, mostly with its table.
    fn column(&mut self, variables: &[Variable]) -> (String, Type) {
        let variable = self.random.pick(variables);
        let (name, of) = self.random.pick(&variable.columns).clone();
        match self.random.percent(30) {
            true => (name, of),
            false => (format!("{}.{name}", variable.alias), of),
        }
    }

    fn from(&mut self, depth: usize) -> (String, Vec<Variable>) {
        let (mut text, first) = self.item(depth);
        let mut variables = vec![first];
        let joins = [0, 0, 1, 1, 2][self.random.below(if depth == 0 { 3 } else { 5 })];
        for _ in 0..joins {
            let (item, variable) = self.item(depth);
            let join = *self.random.pick(&[
                "join",
                "left join",
                "right join",
                "full join",
                "left join",
                ",",
                "cross join",
            ]);
            variables.push(variable);
            let new = variables.len() - 1;
            match join {
                "," | "cross join" => {
                    let _ = write!(text, " {join} {item}");
                }
                // A full join needs a condition that can be merged.
                "full join" => {
                    let one = self.random.below(new);
                    let _ = write!(
                        text,
                        " full join {item} on {}.id = {}.id",
                        variables[one].alias, variables[new].alias
                    );
                }
                _ if self.random.percent(15) => {
                    let _ = write!(text, " {join} {item} using (id)");
                }
                _ => {
                    let condition = self.condition(&variables, &[], 0);
                    let equal = self.equality(&variables[..new], &variables[new]);
                    let condition = match self.random.below(3) {
                        0 => equal,
                        1 => format!("{equal} and {condition}"),
                        _ => condition,
                    };
                    let _ = write!(text, " {join} {item} on {condition}");
                }
            }
        }
        (text, variables)
    }

    /// A comparison of columns of the same kind, or of ids.
    fn equality(&mut self, left: &[Variable], right: &Variable) -> String {
        let one = self.random.pick(left);
        let (name, of) = self.random.pick(&one.columns);
        let other = right.columns.iter().find(|column| column.1.family() == of.family());
        match other {
            Some((other, _)) => format!("{}.{name} = {}.{other}", one.alias, right.alias),
            None => "true".to_owned(),
        }
    }

    fn item(&mut self, depth: usize) -> (String, Variable) {
        if depth > 1 && self.random.percent(15) {
            let (query, columns) = self.query(depth - 1, &[]);
            let alias = self.alias();
            return (format!("({query}) {alias}"), Variable { alias, columns });
        }
        let relation = match !self.expressions.is_empty() && self.random.percent(50) {
            true => self.random.pick(&self.expressions).clone(),
            false => self.random.pick(self.relations).clone(),
        };
        // A common table expression hides a table of its name.
        let hidden = self.expressions.iter().find(|one| one.name == relation.name).cloned();
        let relation = hidden.clone().unwrap_or(relation);
        let alias = self.alias();
        if self.random.percent(8) {
            // The columns have each other's names.
            let mut names: Vec<String> = relation.columns.iter().map(|one| one.0.clone()).collect();
            names.rotate_left(1);
            let types = relation.columns.iter().map(|one| one.1);
            let columns = names.iter().cloned().zip(types).collect();
            return (
                format!("{} as {alias} ({})", relation.name, names.join(", ")),
                Variable { alias, columns },
            );
        }
        let only = if self.random.percent(5) && !relation.name.starts_with(['v', 'c']) && hidden.is_none() {
            "only "
        } else {
            ""
        };
        (format!("{only}{} {alias}", relation.name), Variable { alias, columns: relation.columns })
    }

    fn condition(&mut self, variables: &[Variable], outer: &[Variable], depth: usize) -> String {
        let atoms: Vec<String> =
            (0..1 + self.random.below(3)).map(|_| self.atom(variables, outer, depth)).collect();
        match self.random.below(14) {
            0 => atoms.join(" or "),
            1 => format!("not ({})", atoms.join(" and ")),
            2 => format!("({}) is not false", atoms.join(" and ")),
            3 => format!("({}) or ({})", atoms.join(" and "), self.atom(variables, outer, depth)),
            _ => atoms.join(" and "),
        }
    }

    fn atom(&mut self, variables: &[Variable], outer: &[Variable], depth: usize) -> String {
        let (column, of) = self.column(variables);
        let one = constant(self.random, of);
        let other = constant(self.random, of);
        match self.random.below(34) {
            0 => format!("{one} = {column}"),
            1 => format!("{column} in ({one}, {other})"),
            2 => format!("{column} in ({one})"),
            3 if of.family() == 0 => {
                format!("{column} = any (array[{}, {}])", self.random.below(5), self.random.below(5))
            }
            4 if of.family() == 0 => {
                format!("{column} = any ('{{{},{}}}')", self.random.below(5), self.random.below(5))
            }
            5 => format!("{column} is null"),
            6 => format!("{column} is not distinct from {one}"),
            7 => format!("({column}) = ({one})"),
            8 => {
                let (second, of) = self.column(variables);
                format!("({column}, {second}) = ({one}, {})", constant(self.random, of))
            }
            9 => format!("{column}::text = '1'"),
            10 if of.family() == 0 => format!("{column} + 0 = {one}"),
            11 => format!("coalesce({column}, {one}) = {one}"),
            12 => format!("{column} >= {one}"),
            13 => format!("{column} <> {one}"),
            14 if !outer.is_empty() => {
                let (out, out_of) = self.column(outer);
                if out_of.family() == of.family() {
                    format!("{column} = {out}")
                } else {
                    format!("{column} = {one}")
                }
            }
            15 | 16 if depth > 0 => {
                let all: Vec<Variable> = variables.iter().chain(outer).cloned().collect();
                let (from, inner) = self.from(0);
                let condition = self.condition(&inner, &all, 0);
                let not = if self.random.percent(40) { "not " } else { "" };
                format!("{not}exists (select 1 from {from} where {condition})")
            }
            17 if depth > 0 => {
                let (from, inner) = self.from(0);
                let inner_column =
                    inner.iter().flat_map(|one| one.columns.iter().map(move |column| (one, column)));
                let fitting: Vec<String> = inner_column
                    .filter(|(_, column)| column.1.family() == of.family())
                    .map(|(one, column)| format!("{}.{}", one.alias, column.0))
                    .collect();
                let condition = self.condition(&inner, variables, 0);
                let not = if self.random.percent(30) { "not " } else { "" };
                match fitting.first() {
                    Some(fitting) => {
                        format!("{column} {not}in (select {fitting} from {from} where {condition})")
                    }
                    None => format!("{column} = {one}"),
                }
            }
            _ => format!("{column} = {one}"),
        }
    }
}

/// Rows for a relation.
fn insert(random: &mut Random, relation: &Relation) -> String {
    let mut columns = relation.columns.clone();
    if random.percent(50) {
        random.shuffle(&mut columns);
        columns.truncate(1 + random.below(columns.len()));
    }
    for name in std::iter::once("id".to_owned()).chain(relation.key.iter().cloned()) {
        if let Some(column) = relation.columns.iter().find(|column| column.0 == name)
            && !columns.contains(column)
        {
            columns.push(column.clone());
        }
    }
    let row = |random: &mut Random| {
        let values: Vec<String> = columns
            .iter()
            .map(|(name, of)| match name.as_str() {
                "id" => random.below(6).to_string(),
                _ => value(random, *of),
            })
            .collect();
        format!("({})", values.join(", "))
    };
    let rows: Vec<String> = (0..1 + random.below(2)).map(|_| row(random)).collect();
    let list: Vec<&str> = columns.iter().map(|column| column.0.as_str()).collect();
    let conflict = if relation.key.is_empty() { "" } else { " on conflict do nothing" };
    let conflict = if random.percent(70) { conflict } else { "" };
    format!("insert into {} ({}) values {}{conflict}", relation.name, list.join(", "), rows.join(", "))
}

/// A change at random.
pub fn change(random: &mut Random, relations: &[Relation]) -> String {
    let changeable: Vec<&Relation> = relations.iter().filter(|one| one.changeable).collect();
    // The tables with keys come first.
    let among = if random.percent(70) { 4 } else { changeable.len() };
    let relation = changeable[random.below(among)].clone();
    let name = &relation.name;
    let condition = |random: &mut Random| {
        let by_key = random.percent(60);
        let mut columns = match by_key && !relation.key.is_empty() {
            true => {
                relation.columns.iter().filter(|column| relation.key.contains(&column.0)).cloned().collect()
            }
            false => vec![random.pick(&relation.columns).clone()],
        };
        if random.percent(20) {
            columns.push(random.pick(&relation.columns).clone());
        }
        let atom = |random: &mut Random, (column, of): &(String, Type)| match random.below(12) {
            0 => format!("{column} in ({}, {})", constant(random, *of), constant(random, *of)),
            1 => format!("{column} >= {}", constant(random, *of)),
            _ => format!("{column} = {}", constant(random, *of)),
        };
        let atoms: Vec<String> = columns.iter().map(|column| atom(random, column)).collect();
        atoms.join(if random.percent(10) { " or " } else { " and " })
    };
    let set = |random: &mut Random| {
        let mut columns = relation.columns.clone();
        random.shuffle(&mut columns);
        columns.truncate(1 + random.below(2));
        let list: Vec<String> =
            columns.iter().map(|(column, of)| format!("{column} = {}", value(random, *of))).collect();
        list.join(", ")
    };
    match random.below(20) {
        0..=7 => insert(random, &relation),
        18 if relation.key == ["id"] => format!(
            "insert into {name} (id) values ({}) on conflict (id) do update set {}",
            random.below(6),
            set(random)
        ),
        8..=12 => format!("update {name} set {} where {}", set(random), condition(random)),
        13 => format!(
            "update {name} l set {} from t0 r where l.id = r.id and r.id = {}",
            set(random),
            random.below(5)
        ),
        14 => format!(
            "with gone as (delete from {name} where {} returning 1) select count(*) from gone",
            condition(random)
        ),
        15 => format!(
            "merge into {name} l using (values ({})) q (i) on l.id = q.i when matched then update set {} when not matched then insert (id) values (q.i)",
            random.below(6),
            set(random)
        ),
        16 if random.percent(3) => {
            format!("truncate {name}{}", if random.percent(50) { " cascade" } else { "" })
        }
        17 => format!("update only {name} set {} where {}", set(random), condition(random)),
        19 => format!("delete from {name} where {}", condition(random)),
        _ => insert(random, &relation),
    }
}
