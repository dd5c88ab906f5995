"""How good advice is: `make bench-advice`. What is measured, and what came of it: docs/design/advice-bench.md.

    --only PART,...          of `cases`, `whole`, `stability`, `tpch`, `joins` (all)
    --contestants NAME,...   of `nothing`, `person`, `dexter`, `at-once`, `greedy`, `pgweir`, `pgweir-file` (all)
    --cases PATTERN          only cases whose names or patterns have this in them
    --budget PART            of the person's bytes, for the figures within a budget (0.25)
    --times N                each sample is measured so often, and the best time taken (3)
    --check-cases            only print what each case reads with nothing and with the person's indexes

`PGWEIR_BENCH_PROGRAM` names another pgweir than that of `target/release`. Raw numbers go to `bench-results/advice-<time>.json`.
"""

import argparse
import hashlib
import json
import os
import pathlib
import re
import sys
import time

import contestants
import data
import measure
import parts
import report
import workload
from lab import Lab

ROOT = pathlib.Path(__file__).parents[2]
PARTS = ["cases", "whole", "stability", "tpch", "joins"]


def main():
    """Measures, prints and keeps."""
    options = read_options()
    measure.TIMES = options.times
    lab = Lab(template())
    try:
        if lab.is_new:
            data.fill(lab)
            lab.keep()
        with lab.connect("desk") as connection:
            cases = workload.cases(connection)
        cases = [case for case in cases if re.search(options.cases, f"{case.name} {case.pattern}")]
        if options.check_cases:
            sys.exit(0 if parts.check_cases(lab, cases) else 1)
        results = measured(lab, cases, options)
    finally:
        lab.close()
    report.show(results)
    print(f"\nraw numbers: {save(results)}")


def measured(lab, cases, options):
    """Part by part."""
    wanted = [contestants.KNOWN[name]() for name in options.contestants]
    absent = {one.name: one.missing() for one in wanted if one.missing()}
    wanted = [one for one in wanted if one.name not in absent]
    results = {"cases": len(cases), "contestants": [one.name for one in wanted], "absent": absent}
    if "cases" in options.only:
        results["each"] = parts.each_case(lab, cases, wanted)
    if "whole" in options.only:
        results["whole"] = parts.whole(lab, "desk", cases, wanted, options.budget, workload.HERE / "writes.sql")
    if "stability" in options.only:
        results["stability"] = parts.stability(lab, "desk", cases, wanted)
    for name in ("tpch", "joins"):
        if name in options.only:
            results[name] = parts.foreign(lab, name, workload.HERE / f"{name}.sql", wanted)
    return results


def template():
    """Where a filled data folder is kept: another one for other data."""
    made_of = [path.read_bytes() for path in sorted(workload.HERE.glob("*schema.sql")) + [workload.HERE / "data.py"]]
    digest = hashlib.sha256(b"".join(made_of)).hexdigest()[:12]
    folder = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    return pathlib.Path(folder) / "advice" / digest


def read_options():
    """From the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=one_of(PARTS), default=PARTS)
    parser.add_argument("--contestants", type=one_of(list(contestants.KNOWN)), default=list(contestants.KNOWN))
    parser.add_argument("--cases", default="")
    parser.add_argument("--budget", type=float, default=0.25)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--check-cases", action="store_true")
    return parser.parse_args()


def one_of(known):
    """A list of words, all known."""

    def parse(text):
        words = text.split(",")
        unknown = [word for word in words if word not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"{unknown[0]} is none of {', '.join(known)}")
        return words

    return parse


def save(results):
    """Everything, as JSON; gives the file."""
    folder = ROOT / "bench-results"
    folder.mkdir(exist_ok=True)
    path = folder / f"advice-{int(time.time())}.json"
    whole = {"time": int(time.time()), "cores": os.cpu_count()} | results
    path.write_text(json.dumps(whole, indent=1, default=str))
    return path


if __name__ == "__main__":
    main()
