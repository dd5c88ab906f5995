"""The parts of the benchmark: each case alone, all cases as one workload, and workloads that others made."""

import random
import sys

import contestants
import figures
import measure
import workload

HERE = workload.HERE
# What the person's indexes have to save in an index case, so that it is one.
HALF = 0.5


def say(text):
    """To whom waits."""
    print(text, file=sys.stderr, flush=True)


def copy(lab, database, template):
    """A database with the same tables, whose counters begin with it."""
    lab.create(database, template)
    if template == "desk":
        lab.script(database, HERE / "grown.sql")


def check_cases(lab, cases):
    """Prints what each case reads with nothing and with the person's indexes; whether all are as they say."""
    copy(lab, "checked", "desk")
    well = True
    with lab.connect("checked") as connection:
        for case in cases:
            before = measure.measured(connection, case.statement, 1)
            new, errors = measure.build(connection, case.indexes)
            after = measure.measured(connection, case.statement, 1)
            rewritten = _rewritten(connection, case)
            idle = _idle(connection, new)
            measure.drop(connection, new)
            gain = figures.gain(before, after)
            bad = errors or (case.kind == "index" and (gain < HALF or idle))
            well = well and not bad
            mark = "!!" if bad else "  "
            shown = " ".join(f"{one.blocks:.0f}>{two.blocks:.0f}" for one, two in zip(before, after, strict=True))
            print(f"{mark} {case.kind:8} {case.name:30} {sum(run.ms for run in before):8.1f} ms {sum(run.ms for run in after):8.1f} ms  {shown} {rewritten} {errors or ''}{idle or ''}")
    lab.drop("checked")
    return well


def _idle(connection, new):
    """Names of those that were not scanned since they were built, by a trigger neither."""
    connection.execute("SELECT pg_stat_force_next_flush()")
    after = measure.indexes(connection)
    return [index.name for index in new if after[index.oid].scans == 0]


def _rewritten(connection, case):
    if not case.rewritten:
        return ""
    statement = workload.Statement(case.name, case.rewritten, case.statement.samples, [], 1)
    return "rewritten " + " ".join(f"{run.blocks:.0f}" for run in measure.measured(connection, statement, 1))


def each_case(lab, cases, wanted):
    """Each case as a workload of its own: whether the advice is right. By contestant, and what was measured."""
    copy(lab, "single", "desk")
    results = {contestant.name: [] for contestant in wanted}
    with lab.connect("single") as connection:
        others = measure.unwritten(connection)
    for number, case in enumerate(cases, 1):
        say(f"case {number} of {len(cases)}: {case.name}")
        kept = {}
        with lab.connect("single") as connection:
            measure.forget_writes(connection, others)
            nothing = measure.measured(connection, case.statement)
            person = _built_and_measured(connection, case, case.indexes, kept)[1]
        for contestant in wanted:
            # Sessions of others end before the question, and none of ours is there while it is asked.
            said = contestants.ask(contestant, lab, "single", [case])
            with lab.connect("single") as connection:
                built, runs = _built_and_measured(connection, case, said.indexes, kept)
            result = figures.grade(case, said, built, runs, nothing, person)
            result |= {"seconds": said.seconds, "explains": said.explains, "note": said.note}
            result["blocks"] = [[run.blocks for run in of] for of in (nothing, person, runs)]
            result["ms"] = [[run.ms for run in of] for of in (nothing, person, runs)]
            results[contestant.name].append(result)
    lab.drop("single")
    return results


def _built_and_measured(connection, case, indexes, kept):
    """What came of creating these, and what the statement does with them; once for each set."""
    key = tuple(indexes)
    if key not in kept:
        there = measure.indexes(connection)
        new, errors = measure.build(connection, indexes)
        runs = measure.measured(connection, case.statement)
        idle = _idle(connection, new)
        twice = [index.body for index in new if measure.is_duplicate(index, [*there.values(), *new])]
        measure.drop(connection, new)
        allowed, _ = measure.build(connection, case.also)
        measure.drop(connection, allowed)
        also = [index.body for index in allowed]
        new = [index for index in new if index.body not in also]
        kept[key] = {"new": new, "errors": errors, "idle": idle, "duplicates": twice}, runs
    return kept[key]


def whole(lab, template, cases, wanted, budget_part, writes):
    """All statements as one workload: what is left of its blocks without a limit and within a budget, and what writes cost."""
    statements = [case.statement for case in cases]
    copy(lab, "whole", template)
    with lab.connect("whole") as connection:
        nothing = {"runs": {one.name: measure.measured(connection, one) for one in statements}}
        nothing["writes"] = measure.writes(connection, writes)
    plain = nothing["runs"], _told(connection=None, writes=nothing["writes"])
    person = contestants.Person().suggest(lab, "whole", cases)
    person_runs, person_built = _whole_set(lab, template, statements, person.indexes, None)
    best_first = _by_worth(cases, nothing["runs"], person_runs, person_built["sizes"])
    person = {"of": [case.statement for case in cases if case.kind == "index"], "runs": person_runs, "bytes": person_built["bytes"]}
    budget = int(person["bytes"] * budget_part)
    results = {"budget": budget, "person_bytes": person["bytes"], "contestants": {}}
    for contestant in wanted:
        say(f"{template} as a whole: {contestant.name}")
        copy(lab, "whole", template)
        said = contestants.ask(contestant, lab, "whole", cases)
        runs, built = _whole_set(lab, template, statements, said.indexes, writes) if said.indexes else plain
        result = {"indexes": said.indexes, "findings": said.findings, "note": said.note, "seconds": said.seconds}
        result |= {"cpu": said.cpu, "explains": said.explains} | built
        result |= figures.of_whole(statements, nothing, person, runs)
        copy(lab, "whole", template)
        # The worth of each of the person's is known only by measuring: the best for their bytes come first.
        within = best_first if contestant.name == "person" else contestants.ask(contestant, lab, "whole", cases, budget).indexes
        runs_within, built_within = _whole_set(lab, template, statements, within, None, budget) if within else plain
        result["within"] = figures.of_whole(statements, nothing, person, runs_within) | {"bytes": built_within["bytes"], "indexes": built_within["kept"]}
        result["runs"] = {name: [[run.blocks, run.ms] for run in of] for name, of in runs.items()}
        results["contestants"][contestant.name] = result
    lab.drop("whole")
    results["nothing"] = {name: [[run.blocks, run.ms] for run in of] for name, of in nothing["runs"].items()}
    results["writes"] = nothing["writes"]
    return results


def _whole_set(lab, template, statements, indexes, writes, budget=None):
    """Builds these, as far as they fit, measures, and then writes."""
    copy(lab, "whole", template)
    with lab.connect("whole") as connection:
        new, errors, kept = [], [], {}
        for sql in indexes:
            built, refused = measure.build(connection, [sql])
            errors += refused
            if budget is not None and sum(index.bytes for index in [*new, *built]) > budget:
                measure.drop(connection, built)
                continue
            new += built
            kept[sql] = sum(index.bytes for index in built)
        runs = {one.name: measure.measured(connection, one) for one in statements}
        told = _told(connection, new, errors, kept)
        told["writes"] = writes and measure.writes(connection, writes)
    return runs, told


def _told(connection, new=(), errors=(), kept=None, writes=None):
    """What became of a set of indexes, when all was measured."""
    idle, twice = [], []
    if new:
        connection.execute("SELECT pg_stat_force_next_flush()")
        after = measure.indexes(connection)
        idle = [index.body for index in new if after[index.oid].scans == 0]
        twice = [index.body for index in new if measure.is_duplicate(index, list(after.values()))]
    size = sum(index.bytes for index in new)
    return {"bytes": size, "built": len(new), "errors": list(errors), "idle": idle, "duplicates": twice, "kept": list(kept or []), "sizes": kept or {}, "writes": writes}


def _by_worth(cases, nothing, person, sizes):
    """The person's indexes, those first that saved most blocks a day for their bytes."""
    worth = dict.fromkeys(sizes, 0.0)
    for case in cases:
        one = case.statement
        saved = (figures.blocks(nothing[one.name]) - figures.blocks(person[one.name])) * one.calls / len(one.samples)
        for sql in case.indexes:
            # What begins as another one is not there by itself.
            there = [other for other in sizes if other == sql or contestants.begins(other, sql)]
            for other in there[:1]:
                worth[other] += saved / len(case.indexes)
    return sorted(worth, key=lambda sql: -worth[sql] / max(sizes[sql], 1))


def stability(lab, template, cases, wanted, orders=3):
    """Whether the same workload in another order gets the same advice. By contestant, how many different sets came."""
    results = {}
    for contestant in wanted:
        if contestant.name in ("nothing", "person"):
            continue
        said = set()
        for seed in range(orders):
            shuffled = list(cases)
            random.Random(seed).shuffle(shuffled)
            for case in shuffled:
                random.Random(seed).shuffle(case.statement.samples)
            copy(lab, "whole", template)
            said.add(tuple(sorted(contestants.ask(contestant, lab, "whole", shuffled).indexes)))
        results[contestant.name] = len(said)
        say(f"{contestant.name}: {len(said)} different answers to {orders} orders")
    lab.drop("whole")
    return results


def foreign(lab, template, path, wanted):
    """A workload that others made: the time of all of it with each set, each within the bytes of the smallest that dexter's way takes."""
    statements = workload.statements(path)
    cases = [workload.Case(one.name, template, "index", one, [], [], [], [], None) for one in statements]
    copy(lab, "whole", template)
    yardstick = contestants.ask(contestants.AtOnce(), lab, "whole", cases)
    runs, built = _whole_set(lab, template, statements, yardstick.indexes, None)
    results = {"budget": built["bytes"], "statements": len(statements), "contestants": {}}
    for contestant in wanted:
        say(f"{template}: {contestant.name}")
        if contestant.name == "person":
            continue
        copy(lab, "whole", template)
        budget = None if contestant.name == "at-once" else built["bytes"]
        said = contestants.ask(contestant, lab, "whole", cases, budget)
        runs, made = _whole_set(lab, template, statements, said.indexes, None, built["bytes"])
        results["contestants"][contestant.name] = {
            "ms": sum(run.ms for of in runs.values() for run in of),
            "late": sum(run.late for of in runs.values() for run in of),
            "blocks": sum(figures.blocks(of) for of in runs.values()),
            "bytes": made["bytes"],
            "built": made["built"],
            "indexes": made["kept"],
            "errors": made["errors"],
            "idle": made["idle"],
            "seconds": said.seconds,
            "cpu": said.cpu,
            "explains": said.explains,
            "note": said.note,
            "findings": said.findings,
            "runs": {name: [[run.blocks, run.ms] for run in of] for name, of in runs.items()},
        }
    lab.drop("whole")
    return results
