//! The codes of all that may be found, and the page that explains them.

use std::fmt::Write;

/// A code: its name, what it says, and what makes it be said.
#[derive(Debug, Clone, Copy)]
pub struct Code {
    /// The name, which stays.
    pub name: &'static str,
    /// What is found, in one line.
    pub says: &'static str,
    /// By what it is told, and when it is not said.
    pub when: &'static str,
    /// Only what pgweir itself counts tells it: of a log, or of the server's own sums, nothing can be said.
    pub is_of_pgweir: bool,
}

const fn code(name: &'static str, says: &'static str, when: &'static str) -> Code {
    Code { name, says, when, is_of_pgweir: false }
}

const fn counted(name: &'static str, says: &'static str, when: &'static str) -> Code {
    Code { is_of_pgweir: true, ..code(name, says, when) }
}

/// Any code by its name.
pub fn named(name: &str) -> Option<&'static Code> {
    all().find(|code| code.name == name)
}

/// All codes.
pub fn all() -> impl Iterator<Item = &'static Code> {
    OF_INDEXES.iter().chain(CODES)
}

/// What is said of indexes.
pub const OF_INDEXES: &[Code] = &[
    code(
        "index",
        "An index would help.",
        "By the planner's word where HypoPG is there, and by pattern; not for less than a tenth.",
    ),
    code(
        "duplicate_index",
        "Two indexes have the same keys.",
        "The later one; never one that a constraint needs.",
    ),
    code(
        "redundant_index",
        "An index is the beginning of another.",
        "Not where the other is four times as large, nor one that a constraint needs.",
    ),
    code("replaced_index", "A proposed index answers what this one answers.", "Beside the proposal."),
    code(
        "unused_index",
        "No statement has used an index, on any node that was asked.",
        "Where counters run long enough to say it; not unique ones.",
    ),
    code(
        "invalid_index",
        "An index is written and answers nothing.",
        "What a failed CREATE INDEX CONCURRENTLY has left.",
    ),
];

/// What is found besides indexes.
pub const CODES: &[Code] = &[
    code(
        "rewrite_sargable",
        "A condition is on an expression, and can be written as one on the column in it, which an index serves.",
        "Casts and `date_trunc` of times, arithmetic with a constant, `ANY (array column)`, a number compared as text, \
         `to_tsvector` without its configuration. Not of tables that are read in no time, nor \
         where another condition leaves few rows by an index.",
    ),
    code(
        "implicit_cast",
        "A value is of a wider type than the column, so that the column is cast for each row and its index is of no use.",
        "The types that the driver names for its parameters, literals, and casts in the filter of a plan.",
    ),
    code(
        "rewrite_union",
        "An OR over columns of several tables keeps each of them from being entered by an index; UNION ALL does not.",
        "Where the OR is a condition of the statement itself, on two tables or more that are not small.",
    ),
    code(
        "rewrite_not_exists",
        "`NOT IN (SELECT ...)` cannot be a join, since a NULL in it changes everything; NOT EXISTS can.",
        "Where a plan runs the inner query for each row, or, without a plan, where the inner table is large.",
    ),
    code(
        "deep_offset",
        "OFFSET reads and throws away all rows before the page; the next page can begin where the last one ended.",
        "A sample with an OFFSET of 1,000 or more.",
    ),
    code(
        "order_by_random",
        "`ORDER BY random()` reads and sorts the whole table for a few rows.",
        "Tables of more than 10,000 rows.",
    ),
    counted(
        "over_fetch",
        "Statements without LIMIT whose answers are large: most of their time goes into rows on their way.",
        "1 MB or 5,000 rows a call, and a third of the time in rows and client.",
    ),
    code(
        "count_everything",
        "`count(*)` of a whole table reads all of it.",
        "Tables of more than 100,000 rows, without a condition.",
    ),
    code(
        "analyze",
        "The planner's statistics are old, or there are none: estimates are of a table that is no more.",
        "Rows changed since the last ANALYZE, a fifth of the table and 1,000 at least.",
    ),
    code(
        "extended_statistics",
        "Columns that depend on each other are taken for independent, so that far fewer rows are expected than come.",
        "Two equalities on one table, ten times as many rows seen as expected, and statistics that are not old.",
    ),
    code(
        "work_mem",
        "Sorts and hashes of a statement do not fit into their memory, and go through temporary files.",
        "Measured by `pg_stat_statements`: 1 MB or more a call, of calls of 20 ms or more. Not where an index gives the order, nor where more than 256 MB would be needed.",
    ),
    code("vacuum", "Dead rows are read over and over.", "A fifth of a table and 10,000 rows at least."),
    code(
        "missing_partition_key",
        "A partitioned table is asked for without its key, so that all partitions are read.",
        "Two partitions or more, and no condition on the first column of the key; with a plan, only where it leaves none out.",
    ),
    code(
        "foreign_key",
        "A DELETE (or a change of the key) looks for rows that point to it, and there is no index to find them by; no plan shows the time.",
        "Tables that are not small, whose other end had rows deleted, or whose key is changed.",
    ),
    counted(
        "n_plus_one",
        "One statement is sent again and again in a transaction, with another value each time.",
        "Transactions with ten or more, which are at least half of all its calls.",
    ),
    counted(
        "chatty_transaction",
        "Transactions have so many short statements that most of their time is on the way between them.",
        "Ten transactions or more with twenty round trips each, on average, those of loops of one statement left out; half of the time or more between statements, 5 ms or \
         more in each, in pauses of 50 ms at most. At the first statement that asks for something, for each place in the application has its own.",
    ),
    counted(
        "idle_in_transaction",
        "Transactions stay open while nothing is asked: they hold locks, a server, and dead rows.",
        "Behind a statement, a second or more on average over three times or more, or one of a minute. Counted when the transaction goes on or ends; not while its `BEGIN` is held back, for then \
         it has no server.",
    ),
    code(
        "lock_wait",
        "A statement that finds its row by a key now and then takes very long: it waits for a lock.",
        "Changes by a unique key that take 100 times the median and 200 ms or more one time in twenty, or errors of class 40 or 55 in one of a hundred.",
    ),
    counted(
        "pool_starved",
        "Sessions stand in line for a server.",
        "One in twenty waits 20 ms or more, and a fifth of the time is waiting.",
    ),
    counted(
        "slow_client",
        "Clients take their answers slowly.",
        "A third of the time, and 100 ms a call on average.",
    ),
    code(
        "generic_plan",
        "A prepared statement's plan for all values is far dearer than those for the values that come; from its sixth execution on it may be taken.",
        "Five times the dearest of the plans with values.",
    ),
    counted(
        "plan_regression",
        "A statement has become slower from one moment on.",
        "A p95 of twice as much and 10 ms more over 30 calls on both sides, and in what came last; not where the week before was nearly as slow at some time. What else changed at the time is told with \
         it: the plan, as it was when advice looked at it before, rows, the table's size, waiting, the application. Needs the store.",
    ),
    code(
        "cache",
        "A read that comes often, of little, from tables that are seldom changed: a rule for the result cache.",
        "One call a second, 100 rows and 64 kB at most, 0.2 ms at least, and fifty calls for each write seen to its tables.",
    ),
    code(
        "replica",
        "Long reads run on the primary while replicas stand by: a rule for routing.",
        "Means of 50 ms or more, only reads, and other reads are seen to go to replicas.",
    ),
];

const HEAD: &str = "# Findings\n\n\
<!-- Generated by `pgweir generate findings-page`. -->\n\n\
What `pgweir advise` and `pgweir report` may find, by the code that each finding has (`--fail-on` takes them). None is said for what is only possible: each has numbers that \
were seen, and where nothing is gained, or another remedy is right, nothing is said.\n\n\
| code | what it says | when |\n|---|---|---|\n";

/// `docs/guide/findings.md`.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    for one in all() {
        let only = if one.is_of_pgweir { " Only of what pgweir counts itself." } else { "" };
        let _ = writeln!(page, "| `{}` | {} | {}{only} |", one.name, one.says, one.when);
    }
    page
}
