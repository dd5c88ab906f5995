//! Code of functions.

use super::effects::names;
use crate::sql::mentions_session_effects;

fn check(source: &str, expected: &str) {
    assert_eq!(names(mentions_session_effects(source.as_bytes())), expected, "{source}");
}

#[test]
fn sql_and_plpgsql() {
    check("select a + 1 from t where b = $1", "");
    check("begin update t set a = 1; return new; end", "");
    check("begin perform set_config('a.b', 'x', false); end", "SETTING");
    check("begin perform set_config('a.b', 'x', true); end", "SET_LOCAL");
    check("begin set local a.b = 1; end", "SET_LOCAL");
    check("begin if x then set role bob; end if; end", "SETTING ROLE");
    check("begin /* c */ <<l>> reset role; end", "SETTING ROLE");
    check("set search_path = 'a'; select 1", "SETTING");
    check("declare c int; begin loop set a.b = 1; end loop; end", "SETTING");
    check("begin perform pg_advisory_lock(1); end", "ADVISORY");
    check("select pg_advisory_xact_lock(1)", "");
    check("begin create temp table t (a int); end", "TEMP DDL");
    check("begin create local temporary table if not exists t (a int); end", "TEMP DDL");
    check("begin listen x; unlisten y; end", "LISTEN UNLISTEN");
    check("begin execute format('listen %I', a); end", "EXECUTE OPAQUE");
    check("begin return query execute a; end", "EXECUTE OPAQUE");
    check("begin commit; end", "COMMIT");
    check("begin open c; close c; end", "CLOSE");
    check("begin call p(); end", "OPAQUE");
    check("begin load 'x'; end", "LOAD");
    check("declare a cursor with hold for select 1", "HOLD");
    check("begin 'unterminated", "OPAQUE");
    check(r"select '\'', pg_advisory_lock(1), '\''", "ADVISORY OPAQUE");
    check(r"select '\' || '\', pg_advisory_lock(1)", "ADVISORY");
    check(r"select '\', pg_advisory_lock(1), '\'", "ADVISORY");
}
