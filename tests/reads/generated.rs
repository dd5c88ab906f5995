//! Statements made up at random by a small grammar, the same in every run.

/// What `<name>` may become. The first choice of each ends, so that it is taken where a text is deep enough.
const RULES: &[(&str, &[&str])] = &[
    (
        "statement",
        &[
            "<query>",
            "<query>",
            "<with> <query>",
            "<write>",
            "<with> <write>",
            "explain <write>",
            "explain <query>",
            "<other>",
        ],
    ),
    (
        "write",
        &[
            "insert into <target> values (<value>, <value>)",
            "insert into <target> as a <query> on conflict (i) do update set n = <value> where a.i = excluded.i",
            "insert into <target> (i, n) <query> returning <value>",
            "update <target> set n = <value>",
            "update <target> as a set n = <value>, i = (<query>) from <from> where <condition> returning *",
            "update only <target> set (n, i) = (<value>, 1) where <condition>",
            "delete from <target>",
            "delete from <target> using <from> where <condition>",
            "delete from only <target> a where <condition> returning a.*",
            "merge into <target> a using <table> b on <condition> when matched then update set n = <value> when not matched then insert (i) values (<value>)",
            "merge into <target> using (<query>) b on b.i = <value> when matched and <condition> then delete",
            "copy <target> from stdin",
            "copy <table> to stdout",
            "copy (<query>) to stdout",
            "truncate <target>, <target>",
            "create table <target> as <query>",
            "create view <target> as <query>",
            "create materialized view <target> as <query>",
            "drop table <target>",
            "drop view if exists <target> cascade",
        ],
    ),
    (
        "other",
        &[
            "begin",
            "commit",
            "set work_mem = 1",
            "show all",
            "listen c",
            "call f(<value>)",
            "do 'x'",
            "analyze t",
            "fetch 1 from c",
            "grant select on t to public",
        ],
    ),
    ("with", &["with <cte>", "with <cte>, <cte>", "with recursive <cte>, <cte>"]),
    (
        "cte",
        &[
            "c as (<query>)",
            "d as materialized (<query>)",
            "t as (<query>)",
            "c(i, n) as (select 1, 2 union all select i + 1, n from c where i < 9)",
            "e as (<write> returning i)",
            "update as (<query>)",
        ],
    ),
    (
        "query",
        &[
            "select <value>",
            "select <values> from <from>",
            "select <values> from <from> where <condition>",
            "select <values> from <from> where <condition> order by 1 limit <count>",
            "select distinct on (i) <values> from <from> fetch first 3 rows only",
            "select <values> from <from> where <condition> group by i having <condition>",
            "select <values> from <from> where <condition> for update",
            "select * from <table> a for no key update of a skip locked",
            "(<query>) union all (<query>)",
            "select <values> from <table> a intersect select <value> from <table> b order by 1",
            "values (1, <value>), (2, <value>)",
            "table <table>",
            "select <values> into <target> from <from>",
            "select i, sum(n) filter (where <condition>) over (partition by i order by n rows between 1 preceding and current row) from <table> a",
            "select i from <table> a limit all offset 2",
            "(select <value> from <from> limit 1)",
            "<with> select * from <from>",
        ],
    ),
    ("count", &["10", "all", "null", "$1", "1 + 1"]),
    ("values", &["*", "<value>", "a.*, <value> as x", "<value>, <value>", "count(*), <value>"]),
    ("target", &["t", "s.t", "public.u", "\"Quoted\"", "T", "c"]),
    (
        "table",
        &[
            "t",
            "u",
            "s.t",
            "public.u",
            "c",
            "d",
            "e",
            "\"c\"",
            "\"C\"",
            "T",
            "\"a\"\"b\"",
            "only t",
            "update",
        ],
    ),
    (
        "from",
        &[
            "<table> a",
            "<table> a, <table> b",
            "<table> a join <table> b on <condition>",
            "<table> a left join <table> b using (i)",
            "<table> a cross join <table> b",
            "<table> a natural join <table> b",
            "(<query>) a",
            "<table> a, lateral (<query>) b",
            "generate_series(1, <value>) a",
            "<table> a right join (<table> b join <table> x on true) on <condition>",
            "unnest(array[1, 2]) with ordinality as a(i, n)",
            "<table> a tablesample bernoulli (10)",
            "only <target> a",
            "(values (1, 2)) as a(i, n)",
        ],
    ),
    (
        "condition",
        &[
            "a.i = 1",
            "i = $1",
            "a.i = b.i",
            "<condition> and <condition>",
            "<condition> or <condition>",
            "not <condition>",
            "(<condition>)",
            "a.i in (1, 2, 3)",
            "a.i not in (<query>)",
            "exists (<query>)",
            "n like 'x%'",
            "a.n ilike 'x' escape '!'",
            "a.i between <value> and 3",
            "a.i is not null",
            "a.i is not distinct from <value>",
            "a.i = any (array[1, 2])",
            "a.i = any ($2)",
            "(a.i, a.n) = (1, 2)",
            "(a.i, a.n) in ((1, 2), (3, 4))",
            "a.n ~* 'x'",
            "a.j -> 'k' = '1'",
            "lower(a.n) = 'x'",
            "true",
            "a.i <> all (<array>)",
            "a.n similar to 'x'",
            "a.i > <value>",
            "<value> = a.i",
            "a.b is true",
        ],
    ),
    ("array", &["array[1]", "'{1}'", "array(<query>)"]),
    (
        "value",
        &[
            "1",
            "-2.5",
            "'x'",
            "$1",
            "i",
            "a.n",
            "f(<value>)",
            "s.g(<value>, b => 2)",
            "coalesce(<value>, 0)",
            "(<query>)",
            "case when <condition> then <value> else 1 end",
            "<value>::text",
            "cast(<value> as int)",
            "current_timestamp",
            "extract(year from a.d)",
            "a.d at time zone 'utc'",
            "substring(a.n from 1 for 2)",
            "trim(leading 'x' from a.n)",
            "count(distinct i)",
            "array_agg(i order by n)",
            "<value> || <value>",
            "date '2020-01-01'",
            "interval '1 day'",
            "a.x[1]",
            "(a.y).z",
            "row(1, 2)",
            "e'\\'x'",
            "$$it's$$",
            "\"F\"(1)",
            "position('x' in a.n)",
            "percentile_cont(0.5) within group (order by i)",
            "overlay(a.n placing 'x' from 1)",
            "array(<query>)",
            "u&'\\0061'",
            "now() - interval '1' hour",
            "nextval('ids')",
            "/* , from t */ 1",
            "-- where\n 1",
        ],
    ),
];

/// How deep a text may become.
const DEEPEST: usize = 6;

/// So many of them.
pub(super) fn statements(number: usize) -> Vec<String> {
    let mut random = Random(0x7067_7765_6972);
    let made = |_| {
        let mut text = String::new();
        expand("<statement>", 0, &mut random, &mut text);
        text
    };
    (0..number).map(made).collect()
}

fn expand(pattern: &str, depth: usize, random: &mut Random, text: &mut String) {
    let mut rest = pattern;
    while let Some((before, name, after)) = next_name(rest) {
        text.push_str(before);
        let (_, choices) = RULES.iter().find(|(rule, _)| *rule == name).expect("a rule");
        let choice = if depth > DEEPEST { 0 } else { random.below(choices.len()) };
        expand(choices[choice], depth + 1, random, text);
        rest = after;
    }
    text.push_str(rest);
}

/// The first `<name>` with what stands around it; `<` may also be an operator.
fn next_name(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(at) = text[from..].find('<').map(|at| from + at) {
        let end = text[at..].find('>').map_or(text.len(), |end| at + end);
        let name = text.get(at + 1..end).unwrap_or_default();
        if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase()) {
            return Some((&text[..at], name, &text[end + 1..]));
        }
        from = at + 1;
    }
    None
}

/// xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }
}
