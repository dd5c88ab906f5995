"""What is reckoned is right. `make bench-advice` runs these first."""

import unittest

import contestants
import figures
import measure
import pgweir_side
import workload
from measure import Run


def runs(*blocks, ms=1.0):
    """Runs with these blocks."""
    return [Run(one, ms, []) for one in blocks]


def built(body, table="t", oid=1):
    """An index as the server prints it."""
    return measure.Built(oid, "i", f"CREATE INDEX i ON public.{table} {body}", table, False, True, 8192, 0)


class Figures(unittest.TestCase):
    """Each figure has its ends where they should be."""

    def test_all_of_the_speed_up_is_one_and_none_of_it_is_nothing(self):
        nothing, person = runs(9999, 99), runs(9, 9)
        self.assertEqual(figures.captured(nothing, person, person), 1.0)
        self.assertEqual(figures.captured(nothing, person, nothing), 0.0)
        self.assertEqual(figures.captured(nothing, person, runs(99999, 999)), 0.0)

    def test_no_sample_is_drowned_by_a_dearer_one(self):
        half = figures.captured(runs(9999, 99), runs(9, 9), runs(9, 99))
        self.assertAlmostEqual(half, 0.75)

    def test_what_did_not_end_is_as_bad_as_anything(self):
        late = [Run(float("nan"), 60000.0, [], late=True)]
        self.assertEqual(figures.captured(runs(9999), runs(9), late), 0.0)
        self.assertEqual(figures.regressions(runs(10), late), (1, 1))

    def test_a_little_more_is_no_regression(self):
        self.assertEqual(figures.regressions(runs(100), runs(110)), (0, 0))
        self.assertEqual(figures.regressions(runs(100), runs(130)), (1, 0))
        self.assertEqual(figures.regressions(runs(100, ms=10), runs(100, ms=12)), (0, 1))

    def test_an_index_where_none_is_right_is_false(self):
        case = workload.Case("c", "p", "silence", None, [], [], [], [], None)
        there = {"new": [built("USING btree (a)")], "errors": [], "idle": [], "duplicates": []}
        result = figures.grade_of_false(case, there, gain=0.9)
        self.assertEqual(len(result), 1)

    def test_an_index_is_false_that_nobody_uses_or_that_is_there(self):
        case = workload.Case("c", "p", "index", None, [], [], [], [], None)
        one = built("USING btree (a)")
        there = {"new": [one], "errors": [], "idle": [], "duplicates": []}
        self.assertEqual(figures.grade_of_false(case, there, gain=0.5), [])
        self.assertEqual(figures.grade_of_false(case, there, gain=0.05), [one.body])
        self.assertEqual(figures.grade_of_false(case, there | {"idle": ["i"]}, gain=0.5), [one.body])


class Indexes(unittest.TestCase):
    """Which index serves for another."""

    def test_a_prefix_is_a_duplicate(self):
        longer = built("USING btree (a, b)", oid=2)
        self.assertTrue(measure.is_duplicate(built("USING btree (a)"), [longer]))
        self.assertTrue(measure.is_duplicate(built("USING btree (a, b)"), [longer]))
        for other in ("USING btree (b)", "USING btree (a DESC)", "USING btree (a) WHERE (c = 1)", "USING gin (a)"):
            self.assertFalse(measure.is_duplicate(built(other), [longer]), other)
        self.assertFalse(measure.is_duplicate(built("USING btree (a)", table="u"), [longer]))

    def test_the_person_has_no_prefix_of_another(self):
        self.assertTrue(contestants.begins("CREATE INDEX ON t (a, b)", "CREATE INDEX ON t (a)"))
        self.assertFalse(contestants.begins("CREATE INDEX ON t (a, b) WHERE c", "CREATE INDEX ON t (a)"))
        self.assertFalse(contestants.begins("CREATE INDEX ON t (ab)", "CREATE INDEX ON t (a)"))

    def test_a_fix_is_one_text_without_what_is_no_index(self):
        run = ["CREATE EXTENSION pg_trgm", "CREATE INDEX CONCURRENTLY i\n  ON t (a)", "ANALYZE t"]
        made = pgweir_side._creates({"action": {"kind": "sql", "run": run}})
        self.assertEqual(made, ["CREATE EXTENSION pg_trgm; CREATE INDEX CONCURRENTLY i ON t (a)"])
        self.assertEqual(pgweir_side._creates({"action": {"kind": "sql", "run": ["DROP INDEX CONCURRENTLY i"]}}), [])
        self.assertEqual(pgweir_side._creates({"action": {"kind": "rule", "rule": "CREATE INDEX"}}), [])
        self.assertEqual(measure.plain("CREATE INDEX CONCURRENTLY i ON t (a)"), "CREATE INDEX i ON t (a)")

    def test_what_is_said_of_the_schema_is_no_answer_to_an_index_problem(self):
        case = workload.Case("c", "p", "index", workload.Statement("s", "SELECT 1", [[]], [], 1), [], [], [], [], None)
        there = {"new": [], "errors": [], "idle": [], "duplicates": []}
        of = lambda codes: figures.grade(case, contestants.Suggestion([], codes), there, runs(999), runs(999), runs(9))["missed"]
        self.assertEqual([of([]), of(["analyze", "vacuum"]), of(["rewrite_sargable"])], [True, True, False])


class Statements(unittest.TestCase):
    """What is sent."""

    def test_values_become_literals(self):
        statement = workload.Statement("s", "SELECT $1,\n $2, $11", [["it's", None] + ["x"] * 9], [], 1)
        self.assertEqual(list(contestants.literals(statement)), ["SELECT 'it''s', NULL, 'x'"])

    def test_frequent_statements_come_more_often_and_none_is_left_out(self):
        often = workload.Statement("often", "SELECT 1", [["1"], ["2"]], [], 1_000_000)
        seldom = workload.Statement("seldom", "SELECT 2", [["3"]], [], 1)
        case = workload.Case("c", "p", "silence", often, [seldom], [], [], [], None)
        turns = pgweir_side._in_turn([case])
        self.assertEqual(sum(statement is seldom for statement, _ in turns), 1)
        self.assertGreater(len(turns), pgweir_side.STATEMENTS * 0.9)
        self.assertLess(len(turns), pgweir_side.STATEMENTS * 1.1)


if __name__ == "__main__":
    unittest.main()
