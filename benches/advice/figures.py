"""What comes of the measurements. Blocks decide; times are said beside them."""

import math

# An index case is full from here on, and half from there on, as a part of the person's speed-up on a logarithmic scale.
FULL, HALF = 0.9, 0.4
# Less than this is no gain, and more than this is a regression.
LITTLE = 0.1
# What may be said beside any statement, of the schema or of pgweir; it is judged where a case is about it.
OF_SCHEMA = {"index", "analyze", "vacuum", "foreign_key", "drop_index", "duplicate_index", "redundant_index", "replaced_index", "unused_index", "invalid_index", "cache", "replica"}
# So many blocks, and milliseconds, are noise.
FEW_BLOCKS, FEW_MS = 5, 0.5


def blocks(runs):
    """Of all samples; one that did not end is as bad as anything."""
    return sum(1e7 if run.late else run.blocks for run in runs)


def speed_up(before, after, of=lambda run: run.blocks + 1):
    """The sum of logarithms over samples: none is drowned by a dearer one."""
    return sum(math.log((1e7 if one.late else of(one)) / (1e7 if two.late else of(two))) for one, two in zip(before, after, strict=True))


def captured(nothing, person, runs, of=lambda run: run.blocks + 1):
    """The part of the person's speed-up that was had, 0 to 1."""
    best = speed_up(nothing, person, of)
    return max(0.0, min(1.0, speed_up(nothing, runs, of) / best)) if best > 0.05 else 1.0


def by_ms(run):
    """Milliseconds, where less than a twentieth counts as one."""
    return max(run.ms, 0.05)


def gain(before, after):
    """The part of the blocks that is no longer read."""
    first = blocks(before)
    return 1 - blocks(after) / first if first else 0.0


def regressions(before, after):
    """Samples that read more, and samples that took longer."""
    more = sum(two.late or two.blocks > one.blocks * (1 + LITTLE) + FEW_BLOCKS for one, two in zip(before, after, strict=True))
    longer = sum(two.ms > one.ms * (1 + LITTLE) + FEW_MS and not one.late for one, two in zip(before, after, strict=True))
    return more, longer


def grade(case, said, built, runs, nothing, person):
    """What one case says of a contestant."""
    result = {"case": case.name, "pattern": case.pattern, "kind": case.kind, "indexes": said.indexes, "findings": said.findings}
    result["gain"] = round(gain(nothing, runs), 4)
    result["false"] = grade_of_false(case, built, result["gain"])
    if case.kind == "index":
        part = captured(nothing, person, runs)
        result["captured"] = round(part, 3)
        result["captured_ms"] = round(captured(nothing, person, runs, by_ms), 3)
        result["grade"] = "full" if part >= FULL else "half" if part >= HALF else "none"
        of_statement = [code for code in said.findings if code not in OF_SCHEMA]
        result["missed"] = not said.indexes and not of_statement and blocks(nothing) > 2 * blocks(person)
    else:
        result["found"] = case.kind == "remedy" and any(code in case.codes for code in said.findings)
    result["wrong_findings"] = [code for code in said.findings if code not in OF_SCHEMA and code not in case.codes]
    result["regressed"], result["slower"] = regressions(nothing, runs)
    ratio = said.predicted.get(case.statement.name)
    if ratio is not None and said.indexes:
        result["predicted"], result["real"] = ratio, sum(run.ms for run in runs) / max(sum(run.ms for run in nothing), 0.01)
        result["wrong"] = ratio < 1 and result["real"] > 2
    return result


def grade_of_false(case, built, gain):
    """Indexes that should not have been suggested, and what the server refused."""
    if case.kind != "index":
        return [index.body for index in built["new"]] + built["errors"]
    useless = [index.body for index in built["new"] if index.name in built["idle"] or gain < LITTLE]
    return useless + built["duplicates"] + built["errors"]


def of_cases(results):
    """Over all cases of one contestant."""
    index = [result for result in results if result["kind"] == "index"]
    silent = [result for result in results if result["kind"] == "silence"]
    other = [result for result in results if result["kind"] == "remedy"]
    errors = sorted(abs(math.log2(max(result["predicted"], 1e-4) / result["real"])) for result in results if "predicted" in result)
    return {
        "full": sum(result["grade"] == "full" for result in index),
        "half": sum(result["grade"] == "half" for result in index),
        "none": sum(result["grade"] == "none" for result in index),
        "captured": mean(result["captured"] for result in index),
        "captured_ms": mean(result["captured_ms"] for result in index),
        "false_index": sum(bool(result["false"]) for result in index),
        "false_silence": sum(bool(result["false"]) for result in silent),
        "false_remedy": sum(bool(result["false"]) for result in other),
        "missed": sum(result["missed"] for result in index),
        "remedies": sum(result["found"] for result in other),
        "wrong_remedies": sum(bool(result["wrong_findings"]) for result in results),
        "regressed": sum(result["regressed"] for result in results),
        "slower": sum(result["slower"] for result in results),
        "error_median": errors[len(errors) // 2] if errors else None,
        "wrong": sum(result.get("wrong", False) for result in results),
    }


def of_whole(statements, nothing, person, runs):
    """Over a workload as a whole: parts of the blocks and of the time of a day."""
    index = [one for one in statements if one in person["of"]]
    return {
        "left_index": _day(index, runs) / _day(index, nothing["runs"]),
        "left_all": _day(statements, runs) / _day(statements, nothing["runs"]),
        "ms_left_all": _day(statements, runs, ms=True) / _day(statements, nothing["runs"], ms=True),
        "capture": _part(index, nothing["runs"], person["runs"], runs),
        "log_capture": mean(captured(nothing["runs"][one.name], person["runs"][one.name], runs[one.name]) for one in index),
        "regressed": sum(regressions(nothing["runs"][one.name], runs[one.name])[0] for one in statements),
        "slower": sum(regressions(nothing["runs"][one.name], runs[one.name])[1] for one in statements),
    }


def _part(index, nothing, person, runs):
    saved = _day(index, nothing) - _day(index, person)
    return (_day(index, nothing) - _day(index, runs)) / saved if saved > 0 else 1.0


def _day(statements, runs, ms=False):
    """Blocks, or milliseconds, of a day."""
    total = 0.0
    for one in statements:
        of = runs[one.name]
        total += one.calls * (sum(run.ms for run in of) if ms else blocks(of)) / len(of)
    return max(total, 1e-9)


def mean(values):
    """The arithmetic one; of none, none."""
    values = list(values)
    return sum(values) / len(values) if values else None
