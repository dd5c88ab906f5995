"""What applications do with psycopg 3. Connection by the PG* variables; prints `all passed` at the end."""

import os
import threading
import time

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

CLIENTS = int(os.environ["PGWEIR_TEST_CLIENTS"])
CASES = []


def case(function):
    CASES.append(function)
    return function


def connect(**kwargs):
    return psycopg.connect("", connect_timeout=20, **kwargs)


def in_threads(work):
    errors = []

    def guarded(n):
        try:
            work(n)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(n,)) for n in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@case
def parameters():
    with connect() as conn:
        row = conn.execute("select %s::int, %s, %s, %b::int", (1, "x'y", None, 7)).fetchone()
        assert row == (1, "x'y", None, 7), row
        row = conn.cursor(row_factory=dict_row, binary=True).execute("select 1 as a, array[1, 2] as b").fetchone()
        assert row == {"a": 1, "b": [1, 2]}, row
        assert conn.execute(sql.SQL("select {}").format(sql.Literal("q'"))).fetchone() == ("q'",)


@case
def prepared_statements_of_many_clients():
    def work(n):
        with connect(autocommit=True, prepare_threshold=0) as conn:
            for i in range(50):
                assert conn.execute("select %s::int + %s::int", (n, i)).fetchone() == (n + i,)
                assert conn.execute(f"select {n}, %s::text", (str(i),)).fetchone() == (n, str(i))

    in_threads(work)


@case
def more_statements_than_the_cache():
    with connect(autocommit=True, prepare_threshold=0) as conn:
        conn.prepared_max = 5
        for i in range(40):
            assert conn.execute(f"select {i}, %s::int", (i,)).fetchone() == (i, i)


@case
def transactions():
    with connect(autocommit=True) as conn:
        conn.execute("create table tx (i int)")
        with conn.transaction():
            conn.execute("insert into tx values (1)")
            try:
                with conn.transaction():
                    conn.execute("insert into tx values (2)")
                    raise RuntimeError
            except RuntimeError:
                pass
            with conn.transaction():
                conn.execute("insert into tx values (3)")
        assert conn.execute("select array_agg(i order by i) from tx").fetchone() == ([1, 3],)
    with connect() as conn:
        conn.execute("insert into tx values (4)")
        conn.rollback()
        conn.execute("insert into tx values (5)")
        conn.commit()
        assert conn.execute("select count(*) from tx").fetchone() == (3,)
        conn.rollback()
        conn.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        conn.read_only = True
        try:
            conn.execute("insert into tx values (6)")
            raise AssertionError("read only")
        except psycopg.errors.ReadOnlySqlTransaction:
            conn.rollback()


@case
def transactions_of_many_clients():
    with connect(autocommit=True) as conn:
        conn.execute("create table counter (n int); insert into counter values (0)")

    def work(_):
        with connect() as conn:
            for _ in range(10):
                (n,) = conn.execute("select n from counter for update").fetchone()
                conn.execute("update counter set n = %s", (n + 1,))
                conn.commit()

    in_threads(work)
    with connect() as conn:
        assert conn.execute("select n from counter").fetchone() == (CLIENTS * 10,)


@case
def errors():
    with connect(autocommit=True) as conn:
        conn.execute("create table e (i int primary key)")
        conn.execute("insert into e values (1)")
        for statement, error in [
            ("insert into e values (1)", psycopg.errors.UniqueViolation),
            ("select 1/0", psycopg.errors.DivisionByZero),
            ("selec", psycopg.errors.SyntaxError),
            ("select * from no_such_table", psycopg.errors.UndefinedTable),
        ]:
            try:
                conn.execute(statement)
                raise AssertionError(statement)
            except error as e:
                assert e.diag.severity == "ERROR" and e.diag.message_primary
        assert conn.execute("select 1").fetchone() == (1,)
    with connect() as conn:
        try:
            conn.execute("select 1/0")
        except psycopg.errors.DivisionByZero:
            pass
        try:
            conn.execute("select 1")
            raise AssertionError("the transaction has failed")
        except psycopg.errors.InFailedSqlTransaction:
            pass
        conn.rollback()
        assert conn.execute("select 1").fetchone() == (1,)


@case
def pipelines():
    with connect(autocommit=True, prepare_threshold=0) as conn:
        with conn.pipeline():
            cursors = [conn.execute("select %s::int", (i,)) for i in range(200)]
            assert [c.fetchone()[0] for c in cursors] == list(range(200))
        try:
            with conn.pipeline():
                conn.execute("select 1")
                conn.execute("select 1/0")
                conn.execute("select 2")
        except psycopg.errors.DivisionByZero:
            pass
        assert conn.execute("select 3").fetchone() == (3,)


@case
def copy():
    with connect(autocommit=True) as conn:
        conn.execute("create table c (i int, s text)")
        with conn.cursor().copy("copy c from stdin") as copy:
            for i in range(1000):
                copy.write_row((i, f"row {i}\t"))
        with conn.cursor().copy("copy c from stdin (format binary)") as copy:
            copy.set_types(["int4", "text"])
            copy.write_row((1000, "binary"))
        with conn.cursor().copy("copy (select i, s from c order by i) to stdout") as copy:
            copy.set_types(["int4", "text"])
            rows = list(copy.rows())
        assert len(rows) == 1001 and rows[7] == (7, "row 7\t") and rows[1000] == (1000, "binary")
        try:
            with conn.cursor().copy("copy c from stdin") as copy:
                copy.write("not a number\tx\n")
            raise AssertionError("a bad row")
        except psycopg.errors.InvalidTextRepresentation:
            pass
        try:
            with conn.cursor().copy("copy c from stdin") as copy:
                copy.write_row((1, "x"))
                raise KeyError("given up")
        except KeyError:
            pass
        assert conn.execute("select count(*) from c").fetchone() == (1001,)


@case
def notifications():
    with connect(autocommit=True) as listener, connect(autocommit=True) as sender:
        listener.execute("listen psycopg")
        for i in range(5):
            sender.execute("select pg_notify('psycopg', %s)", (str(i),))
        heard = [n.payload for n in listener.notifies(timeout=10, stop_after=5)]
        assert heard == ["0", "1", "2", "3", "4"], heard
        assert listener.execute("select 1").fetchone() == (1,)


@case
def transactions_that_have_only_begun():
    # More than there are servers, by statements prepared, and in one batch (binary results).
    clients = [connect(autocommit=True) for _ in range(CLIENTS)]
    with connect(autocommit=True) as other:
        other.execute("create table begun (i int)")
        for n, client in enumerate(clients):
            client.execute("BEGIN", prepare=n % 2 == 0, binary=n % 2 == 1)
            assert client.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
        for n, client in enumerate(clients):
            assert other.execute("select count(*) from begun").fetchone() == (n,)
            client.execute("insert into begun values (%s)", (n,))
            client.execute("COMMIT", prepare=True)
            client.close()


@case
def cancel():
    with connect(autocommit=True) as conn:
        started = time.time()
        timer = threading.Timer(0.3, conn.cancel)
        timer.start()
        try:
            conn.execute("select pg_sleep(60)")
            raise AssertionError("it was to be cancelled")
        except psycopg.errors.QueryCanceled:
            pass
        timer.join()
        assert time.time() - started < 10
        assert conn.execute("select 1").fetchone() == (1,)


@case
def server_side_cursors():
    with connect() as conn:
        with conn.cursor(name="c") as cursor:
            cursor.itersize = 10
            cursor.execute("select generate_series(1, %s::int)", (105,))
            assert sum(row[0] for row in cursor) == 105 * 106 // 2
    with connect(autocommit=True) as conn:
        with conn.cursor(name="held", withhold=True) as cursor:
            cursor.execute("select generate_series(1, 30)")
            assert cursor.fetchmany(10)[-1] == (10,)
            conn.execute("select 'between'")
            assert cursor.fetchone() == (11,)


@case
def settings_stay_with_their_session():
    def work(n):
        with connect(autocommit=True) as conn:
            conn.execute(sql.SQL("set timezone = {}").format(sql.Literal(f"Etc/GMT+{n % 12}")))
            conn.execute("select set_config('my.own', %s, false)", (str(n),))
            for _ in range(20):
                row = conn.execute("select current_setting('timezone'), current_setting('my.own')").fetchone()
                assert row == (f"Etc/GMT+{n % 12}", str(n)), (n, row)
                assert conn.info.timezone.key == f"Etc/GMT+{n % 12}"

    in_threads(work)


@case
def temporary_tables():
    with connect(autocommit=True) as a, connect(autocommit=True) as b:
        a.execute("create temp table mine (i int)")
        b.execute("create temp table mine (s text)")
        a.execute("insert into mine values (1)")
        b.execute("insert into mine values ('b')")
        assert a.execute("select * from mine").fetchall() == [(1,)]
        assert b.execute("select * from mine").fetchall() == [("b",)]


for function in CASES:
    function()
    print("passed:", function.__name__)
print("all passed")
