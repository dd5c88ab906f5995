//! Every key of a rule file, defined once: name, kind, an example, what it means.
//!
//! The reader (`rules::reader`, `rules::file`), the check and the reference `rules/README.md` all come from these tables.

use super::action::{Block, Concurrency, Mirror, Then, Throttle};
use super::caching::Cache;
use super::calendar::Window;
use super::condition::When;
use super::file::{WrittenRewrite, WrittenRule, WrittenTest};
use super::kinds;
use super::reader::{Key, Meta, Section, Table};

/// All tables, in the order of the documentation.
pub fn sections() -> Vec<Section> {
    vec![
        RULE.section(),
        WHEN.section(),
        TIME.section(),
        THEN.section(),
        CACHE.section(),
        REWRITE.section(),
        BLOCK.section(),
        THROTTLE.section(),
        CONCURRENCY.section(),
        MIRROR.section(),
        TEST.section(),
    ]
}

macro_rules! required {
    (required) => {
        true
    };
    () => {
        false
    };
}

/// `name: KIND e.g. "example" [required], |target| place to set;` under its documentation.
macro_rules! table {
    ($(#[doc = $about:literal])+ $TABLE:ident: $T:ty = $name:literal;
     $($(#[doc = $doc:literal])+ $key:ident: $KIND:ident e.g. $example:literal $($required:ident)?,
       |$target:ident| $place:expr;)+) => {
        pub(super) static $TABLE: Table<$T> = Table {
            name: $name,
            about: &[$($about),+],
            keys: &[$(Key {
                meta: Meta {
                    name: stringify!($key),
                    kind: kinds::$KIND.name,
                    accepts: kinds::$KIND.accepts,
                    example: $example,
                    doc: &[$($doc),+],
                    required: required!($($required)?),
                },
                set: |$target, value, reader| {
                    $place = From::from(kinds::$KIND.value(value, reader)?);
                    Ok(())
                },
            }),+],
        };
    };
}

table! {
    /// One rule. Where several hold for a statement, the first one that has an action for a concern (a key of `then`) decides
    /// on it; others may decide on other concerns.
    RULE: WrittenRule = "[[rule]]";
    /// What it is called in messages, counters and tests. No other rule may have it.
    name: NAME e.g. "\"deletes-without-where\"" required, |rule| rule.name;
    /// When it holds: every condition must. Without it, for every statement.
    when: WHEN e.g. "{ class = \"delete\", where = false }", |rule| rule.when;
    /// What it does.
    then: THEN e.g. "{ log = \"warn\" }" required, |rule| rule.then;
    /// In `shadow` it only counts what it would have done; `enforce` is the default.
    mode: MODE e.g. "\"shadow\"", |rule| rule.mode;
    /// The last day on which it holds, in UTC. `pgweir check` warns of rules whose day has passed.
    until: DATE e.g. "2027-03-31", |rule| rule.until;
}

table! {
    /// Conditions. A list holds when any of its members does; all conditions together must hold. Those on the statement's tree
    /// (`tables`, `reads`, `writes`, `functions`, `columns`, `where`, `limit`, `cross_join`) do not hold for a statement that pgweir's parser does not
    /// understand; `class` does. Names are compared as PostgreSQL folds them: in lower case unless quoted in the statement.
    WHEN: When = "when";
    /// The kind of statement. `read` is what is judged to be a read, `write` everything else that is not the session's own affair
    /// (`transaction`, `session`). `several`: no statement, or several in one text; `unknown`: a command that is not known.
    class: CLASSES e.g. "[\"update\", \"delete\"]", |when| when.class;
    /// Tables, views and the like that the statement names, as it names them: `orders` is one of any schema, `sales.orders` only one
    /// that is written with its schema. Also those behind them, with their schema: what a view reads, partitions and
    /// tables that inherit, and for changes what rules and foreign keys of the server change with them.
    tables: TABLES e.g. "[\"orders\", \"sales.*\"]", |when| when.tables;
    /// The same, of tables that are only read.
    reads: TABLES e.g. "\"orders\"", |when| when.reads;
    /// The same, of tables that are changed.
    writes: TABLES e.g. "\"audit_*\"", |when| when.writes;
    /// Functions that are called, as they are named.
    functions: TABLES e.g. "\"pg_sleep*\"", |when| when.functions;
    /// Columns in conditions: in WHERE, ON, USING and HAVING. Where it is not clear whose column one is, only a pattern
    /// without a table holds.
    columns: COLUMNS e.g. "[\"tenant_id\", \"orders.customer_id\"]", |when| when.columns;
    /// Whether the statement itself, not a part of it, has a WHERE.
    where: BOOL e.g. "false", |when| when.filtered;
    /// Whether the statement itself has a LIMIT or FETCH FIRST.
    limit: BOOL e.g. "false", |when| when.limited;
    /// Whether two relations are joined somewhere without a condition between them.
    cross_join: BOOL e.g. "true", |when| when.cross_joined;
    /// The name of the statement's shape.
    fingerprint: FINGERPRINTS e.g. "\"a4df17e25e6a4635741458ad24b14b8a\"", |when| when.fingerprint;
    /// An expression that matches the shape: words in lower case, one blank between them, `$1`, `$2`, ... for values, as reports and
    /// `pgweir explain` show it; or with `?` for each value. Costs nothing for a shape that is known.
    shape_regex: REGEX e.g. "\"^select pg_sleep\"", |when| when.shape_regex;
    /// Who logged in.
    user: GLOBS e.g. "[\"report_*\", \"bi\"]", |when| when.user;
    /// The database that the client asked for.
    database: GLOBS e.g. "\"shop\"", |when| when.database;
    /// The session's `application_name`.
    application: GLOBS e.g. "\"sidekiq*\"", |when| when.application;
    /// Where the client is.
    client: NETWORKS e.g. "[\"10.0.0.0/8\", \"local\"]", |when| when.client;
    /// A share of the sessions, the same ones for as long as they last and the rule keeps its name.
    percent: PERCENT e.g. "12.5", |when| when.percent;
    /// Whether a transaction is open.
    in_transaction: BOOL e.g. "false", |when| when.in_transaction;
    /// A time of day.
    time: WINDOW e.g. "{ days = [\"sat\", \"sun\"] }", |when| when.time;
    /// An expression that matches the statement's text as it was sent, values and comments included: its first 64 kB. It is tried for
    /// every statement for which all else holds; prefer the other conditions.
    text_regex: REGEX e.g. "\"/\\\\* job: \"", |when| when.text_regex;
}

table! {
    /// A part of the day, by a clock that is so far ahead of UTC the whole year.
    TIME: Window = "time";
    /// The days on which it begins; without it, every day.
    days: DAYS e.g. "[\"mon\", \"tue\", \"wed\", \"thu\", \"fri\"]", |window| window.days;
    /// When it begins; without it, at 00:00.
    from: CLOCK e.g. "\"22:00\"", |window| window.from;
    /// When it is over; without it, at 24:00. A time that is not later than `from` is one of the next day.
    to: CLOCK e.g. "\"06:00\"", |window| window.to;
    /// The clock's offset from UTC; without it, none.
    zone: ZONE e.g. "\"+01:00\"", |window| window.zone;
}

table! {
    /// What is done, one key for each concern; one at least.
    THEN: Then = "then";
    /// Where a read goes; what is not known to be one goes to the primary in any case. A replica, or a node by its address (as in `hosts`), gets it only if it
    /// may serve it, and else it goes where it would without the rule; `"any"` is as without rules, and later rules do not decide.
    route: ROUTE e.g. "\"replica\"", |then| then.route;
    /// How fresh the answer of a replica must be.
    consistency: CONSISTENCY e.g. "\"bounded:500ms\"", |then| then.consistency;
    /// How long the statement may run before the server cancels it; less where the session or the server allows less. Not for what only
    /// begins or ends transactions or changes settings.
    timeout: DURATION e.g. "\"30s\"", |then| then.timeout;
    /// How many rows it may answer: so many go to the client, and with one more the statement fails (54000) and its server is stopped. For reads, COPY out of
    /// what is read, and in a transaction for anything; a write outside of one is not limited, since it could have happened all the same.
    max_rows: ROWS e.g. "10000", |then| then.max_rows;
    /// Keeps the answer of a read, if that can be done without ever handing out what the level does not allow, and hands it out again. Without such a rule
    /// nothing is kept.
    cache: CACHE e.g. "{ level = \"session\", ttl_cap = \"10m\", max_rows = 1000 }", |then| then.cache;
    /// What is sent in its place, also where it is prepared. The rule then holds for this one shape only.
    rewrite: REWRITE e.g. "{ from = \"select * from t where id = 1\", to = \"select id, name from t where id = $1\" }", |then| then.rewrite;
    /// Refuses it.
    block: BLOCK e.g. "{ message = \"DELETE without WHERE is not allowed\" }", |then| then.block;
    /// Lets such statements through so often; the others wait for their turn.
    throttle: THROTTLE e.g. "{ rate = \"100/s\", burst = 20, per = \"user\" }", |then| then.throttle;
    /// Lets so many of them run at once; the others wait in a line that is fair among users, applications or whatever `per` says.
    concurrency: CONCURRENCY e.g. "{ limit = 4, per = \"user\" }", |then| then.concurrency;
    /// Sends a copy to another node too, whose answer is thrown away, if it is a read for certain. Nothing waits for it.
    mirror: MIRROR e.g. "{ node = \"10.0.0.7:5432\", percent = 5 }", |then| then.mirror;
    /// Hints for the extension `pg_hint_plan`, put before the statement as a comment, ahead of hints that it has itself. Not for several statements in one text.
    hint: HINT e.g. "\"IndexScan(orders)\"", |then| then.hint;
    /// Logs it, at this level.
    log: LEVEL e.g. "\"warn\"", |then| then.log;
    /// A word that the event of `log` has; without `log`, an event of level debug.
    tag: TEXT e.g. "\"orm-chatter\"", |then| then.tag;
    /// How long it takes when it gets a line in the slow-query log (`[slow_log]` of the settings, which must have a file), in place of `threshold`. What was decided last
    /// holds for the shape, for its user, database and application.
    slow: DURATION e.g. "\"100ms\"", |then| then.slow;
}

table! {
    /// Answers that are kept.
    CACHE: Cache = "cache";
    /// What an answer promises. `session`: a session sees what it has written, and never less than it has seen. `strict`: nobody misses a write that was made
    /// through pgweir and acknowledged before. `strict_all`: nor one that was made around it; each answer waits for the replication stream, one or two milliseconds. With the first two and with `bounded`, nobody
    /// misses a change that everybody could see for longer than `bound`, whoever made it. `ttl`: nothing but that it is not older than `ttl_cap`. Without it, `session`.
    level: CACHING e.g. "\"session\"", |cache| cache.level;
    /// How old an answer may be, from when its query was sent: a day at most. Without it, 10 minutes; level `ttl` needs it.
    ttl_cap: DURATION e.g. "\"10m\"", |cache| cache.ttl_cap;
    /// Level `ttl`: for how much longer an answer is handed out while one reader fetches another. Without it, none.
    swr: DURATION e.g. "\"5s\"", |cache| cache.swr;
    /// How far the replication stream may be behind, by time, before the database answers. Without it, 2 s.
    bound: DURATION e.g. "\"500ms\"", |cache| cache.bound;
    /// Answers of more rows are not kept.
    max_rows: ROWS e.g. "1000", |cache| cache.max_rows;
    /// What happens when the replication stream is lost, or further behind than `bound`. `bypass`: the database answers. `ttl`: answers are handed out as by level
    /// `ttl`, which forgets what the level promises. Without it, `bypass`.
    on_stream_loss: STREAM_LOSS e.g. "\"bypass\"", |cache| cache.on_stream_loss;
    /// Tables that the statement reads where the catalog does not show it, as in a function whose body is text.
    depends_on: TABLE_NAMES e.g. "[\"prices\", \"sales.rates\"]", |cache| cache.depends_on;
    /// Which share of the answers out of the cache, in percent, is run again on the primary in the background and compared: what differs though nothing has changed
    /// is an alarm. Not with level `ttl`. Without it, as `cache_verify` of the settings has it; 0: none.
    verify: PERCENT_OR_ZERO e.g. "0.1", |cache| cache.verify;
    /// `read_only`: also in transactions that are begun with `BEGIN READ ONLY` and READ COMMITTED, until the first statement that the database answers. Without it, `never`.
    in_transaction: IN_TRANSACTION e.g. "\"read_only\"", |cache| cache.in_transaction;
    /// Tables whose triggers, rules, and functions in defaults and checks change other tables, and which these are, all that follows from them included; an
    /// empty list: none. Without it, a write to a table with such triggers may change everything, and all answers of the database wait until the stream has passed it. It is
    /// said of the table, whatever statement the rule is for: of the conditions only `database` counts. What it leaves out may be
    /// missing from answers at level `strict` until the stream has told it, some milliseconds; the other levels do not lean on it.
    trigger_writes: TRIGGER_WRITES e.g. "{ orders = [\"audit\", \"stock\"], \"sales.lines\" = [] }", |cache| cache.trigger_writes;
    /// Columns that keep the value with which their row was inserted, in all rows of the table and of its partitions. An UPDATE of such a table then ends
    /// no answers that look for rows by these columns and the primary key, other than those with the row's own values, though the stream does not have the old row. It is said of the
    /// table, as `trigger_writes` is. If one changes all the same, answers that had its row stay as they are until they are as old as `ttl_cap`, at any level.
    immutable_columns: IMMUTABLE e.g. "{ orders = [\"tenant_id\", \"customer_id\"] }", |cache| cache.immutable_columns;
}

table! {
    /// A rewriting. Values are put back as they were sent; a parameter fits every place, else text and number must be where `from` has them.
    /// A list (`in (1, 2, 3)`) is one place. What does not fit is sent as it is, and so is one of several statements in one text. Not for commands of the session or of transactions.
    REWRITE: WrittenRewrite = "rewrite";
    /// An example of the shape, with any values.
    from: RAW e.g. "\"select * from t where id = 1\"" required, |rewrite| rewrite.from;
    /// The new text; `$1` is the first value of `from`, and so on, or `?` for each in order.
    to: RAW e.g. "\"select id, name from t where id = $1\"" required, |rewrite| rewrite.to;
}

table! {
    /// A refusal: the error that the client gets.
    BLOCK: Block = "block";
    /// Its SQLSTATE; without it, 42501 (insufficient privilege).
    sqlstate: SQLSTATE e.g. "\"42501\"", |block| block.sqlstate;
    /// Its message.
    message: TEXT e.g. "\"DELETE without WHERE is not allowed\"" required, |block| block.message;
    /// Its hint: what to do instead.
    hint: TEXT e.g. "\"add a WHERE, or ask the team that owns the table\"", |block| block.hint;
}

table! {
    /// A bucket of tokens for each key; a statement takes one. Where there is none it waits, first come first served, or is refused
    /// with 53400 if its turn would come too late.
    THROTTLE: Throttle = "throttle";
    /// How fast tokens drip in.
    rate: RATE e.g. "\"100/s\"" required, |throttle| throttle.rate;
    /// How many a bucket holds: so many statements may come at once. Without it, 1.
    burst: COUNT e.g. "20", |throttle| throttle.burst;
    /// What has a bucket of its own; without it, the rule.
    per: PER e.g. "\"user\"", |throttle| throttle.per;
    /// How long one may wait; without it, 10 s. With `0s`, none waits.
    wait: WAIT e.g. "\"2s\"", |throttle| throttle.wait;
    /// Whether a statement of an open transaction waits too, with the server that it has; without it, it is refused at once.
    wait_in_transaction: BOOL e.g. "true", |throttle| throttle.wait_in_transaction;
}

table! {
    /// Permits, and a line before them.
    CONCURRENCY: Concurrency = "concurrency";
    /// How many statements of the rule may run at once.
    limit: COUNT e.g. "4" required, |concurrency| concurrency.limit;
    /// Among what permits go round; without it, the oldest gets the next one.
    per: PER e.g. "\"user\"", |concurrency| concurrency.per;
    /// How many may wait; without it, 100. Further ones are refused.
    queue: COUNT_OR_ZERO e.g. "100", |concurrency| concurrency.queue;
    /// How long one may wait before it is refused; without it, 10 s.
    wait: WAIT e.g. "\"2s\"", |concurrency| concurrency.wait;
    /// Whether a statement of an open transaction waits too, with the server that it has; without it, it is refused at once. It may
    /// hold what those wait for that have the permits.
    wait_in_transaction: BOOL e.g. "true", |concurrency| concurrency.wait_in_transaction;
}

table! {
    /// A copy to another node.
    MIRROR: Mirror = "mirror";
    /// The node: one of the database's, or any other that has a database of that name and lets the user in.
    node: NODE e.g. "\"10.0.0.7:5432\"" required, |mirror| mirror.node;
    /// The share of statements that are copied; without it, all.
    percent: PERCENT e.g. "5", |mirror| mirror.percent;
}

table! {
    /// A test, which `pgweir check` runs over all files together: a statement of a session, and what must come of it. At least
    /// one of `decided`, `shadow`, `then`, `class` and `shape` must be there.
    TEST: WrittenTest = "[[test]]";
    /// What it shows, for people.
    name: TEXT e.g. "\"a DELETE without WHERE is noticed\"", |test| test.name;
    /// The statement.
    statement: RAW e.g. "\"delete from orders\"" required, |test| test.statement;
    /// Who logged in.
    user: RAW e.g. "\"report_7\"", |test| test.user;
    /// The database.
    database: RAW e.g. "\"shop\"", |test| test.database;
    /// The session's `application_name`.
    application: RAW e.g. "\"psql\"", |test| test.application;
    /// Where the client is; without it, on the unix socket.
    client: CLIENT e.g. "\"10.1.2.3\"", |test| test.client;
    /// The number of the session, which decides on `percent`.
    session: SESSION e.g. "7", |test| test.session;
    /// Whether a transaction is open.
    in_transaction: BOOL e.g. "true", |test| test.in_transaction;
    /// The time; without it, now.
    at: MOMENT e.g. "2027-03-31T08:00:00Z", |test| test.at;
    /// Which rule decides on each concern; concerns that are not named, no rule may decide on.
    decided: DECIDED e.g. "{ route = \"reports\", timeout = \"reports\" }", |test| test.decided;
    /// The rules in shadow that would have decided something; no others may.
    shadow: RULES e.g. "[\"deletes-without-where\"]", |test| test.shadow;
    /// What must have been decided, as in a rule; concerns that are not named may be anything.
    then: THEN e.g. "{ route = \"replica\" }", |test| test.then;
    /// The statement's class.
    class: CLASS e.g. "\"delete\"", |test| test.class;
    /// The statement's shape, as `pgweir explain` shows it, or with `?` for each value.
    shape: RAW e.g. "\"delete from orders\"", |test| test.shape;
}
