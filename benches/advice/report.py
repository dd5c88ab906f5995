"""What was measured, as tables for the terminal."""

WIDTH = 12


def show(results):
    """Each part that was run."""
    for name, why in results["absent"].items():
        print(f"not measured: {name}: {why}")
    if "each" in results:
        show_cases(results["each"])
    if "whole" in results:
        show_whole(results["whole"])
    if "stability" in results:
        print("\nDIFFERENT ANSWERS to the same workload in three orders (1 is stable)")
        for name, many in results["stability"].items():
            print(f"  {name:{WIDTH}} {many}")
    for name, title in (("tpch", "TPC-H, SF 0.1"), ("joins", "JOINS OF FILMS")):
        if name in results:
            show_foreign(title, results[name])


def show_cases(each):
    """Each case as a workload of its own."""
    import figures

    rows = {name: figures.of_cases(of) for name, of in each.items()}
    some = next(iter(each.values()))
    kinds = [sum(result["kind"] == kind for result in some) for kind in ("index", "silence", "remedy")]
    print(f"\nEACH CASE ALONE: {kinds[0]} index problems, {kinds[1]} silences, {kinds[2]} other remedies")
    lines = [
        ("index problems in full", "full", "{}"),
        ("  half", "half", "{}"),
        ("  none", "none", "{}"),
        ("log speed-up had, blocks", "captured", "{:.2f}"),
        ("log speed-up had, time", "captured_ms", "{:.2f}"),
        ("missed (over 2x, nothing said)", "missed", "{}"),
        ("false, of index problems", "false_index", "{}"),
        ("false, where silence is right", "false_silence", "{}"),
        ("false, where a remedy is right", "false_remedy", "{}"),
        ("right remedies", "remedies", "{}"),
        ("cases with a wrong remedy", "wrong_remedies", "{}"),
        ("samples that read more", "regressed", "{}"),
        ("samples that took longer", "slower", "{}"),
        ("prediction off by (median, log2)", "error_median", "{:.1f}"),
        ("wins claimed that ran 2x slower", "wrong", "{}"),
    ]
    table(lines, rows)
    print("\nnot in full:")
    for name, of in each.items():
        if name in ("nothing", "person"):
            continue
        poor = [f"{result['case']} ({result['captured']:.2f})" for result in of if result.get("grade") in ("half", "none")]
        false = [result["case"] for result in of if result["false"]]
        wrapped(f"  {name}: ", poor)
        wrapped(f"  {name}, false: ", false)


def show_whole(whole):
    """All cases as one workload."""
    print(f"\nALL AS ONE WORKLOAD: the person's indexes have {whole['person_bytes'] / 2**20:.0f} MB; the budget is {whole['budget'] / 2**20:.0f} MB")
    rows = {}
    for name, of in whole["contestants"].items():
        writes = of["writes"] or {}
        plain = whole["writes"] or {}
        rows[name] = of | {
            "mb": of["bytes"] / 2**20,
            "within_left": of["within"]["left_index"],
            "within_all": of["within"]["left_all"],
            "within_mb": of["within"]["bytes"] / 2**20,
            "many_idle": len(of["idle"]),
            "many_twice": len(of["duplicates"]),
            "many_errors": len(of["errors"]),
            "wal": writes.get("wal", 0) / 2**20,
            "write_time": writes.get("seconds", 0) / plain["seconds"] if plain else None,
            "rate": of["explains"] / of["seconds"] if of["seconds"] else 0,
        }
    lines = [
        ("indexes built", "built", "{}"),
        ("  MB", "mb", "{:.0f}"),
        ("blocks left, index problems", "left_index", "{:.1%}"),
        ("blocks left, everything", "left_all", "{:.1%}"),
        ("time left, everything", "ms_left_all", "{:.1%}"),
        ("block capture, of the person's", "capture", "{:.3f}"),
        ("log speed-up had", "log_capture", "{:.2f}"),
        ("within the budget: blocks left", "within_left", "{:.1%}"),
        ("  everything", "within_all", "{:.1%}"),
        ("  MB", "within_mb", "{:.0f}"),
        ("unused indexes", "many_idle", "{}"),
        ("duplicates", "many_twice", "{}"),
        ("refused by the server", "many_errors", "{}"),
        ("samples that read more", "regressed", "{}"),
        ("samples that took longer", "slower", "{}"),
        ("WAL of the writes, MB", "wal", "{:.0f}"),
        ("time of the writes, x nothing", "write_time", "{:.2f}"),
        ("seconds for the advice", "seconds", "{:.1f}"),
        ("  of processor", "cpu", "{:.1f}"),
        ("  EXPLAINs", "explains", "{}"),
        ("  EXPLAINs a second", "rate", "{:.0f}"),
    ]
    table(lines, rows)
    notes({name: of["note"] for name, of in whole["contestants"].items()})


def show_foreign(title, foreign):
    """A workload that others made."""
    print(f"\n{title}: {foreign['statements']} statements; at most {foreign['budget'] / 2**20:.0f} MB of indexes, which is what at-once takes")
    rows = {name: of | {"mb": of["bytes"] / 2**20, "many_idle": len(of["idle"])} for name, of in foreign["contestants"].items()}
    lines = [
        ("time of all, ms", "ms", "{:.0f}"),
        ("statements that did not end", "late", "{}"),
        ("blocks", "blocks", "{:.0f}"),
        ("indexes built", "built", "{}"),
        ("  MB", "mb", "{:.0f}"),
        ("  unused", "many_idle", "{}"),
        ("seconds for the advice", "seconds", "{:.1f}"),
        ("  EXPLAINs", "explains", "{}"),
    ]
    table(lines, rows)
    notes({name: of["note"] for name, of in foreign["contestants"].items()})


def table(lines, rows):
    """A line for each figure, a column for each contestant."""
    print(" " * 34 + "".join(f"{name:>{WIDTH}}" for name in rows))
    for title, key, form in lines:
        cells = ["-" if row.get(key) is None else form.format(row[key]) for row in rows.values()]
        print(f"{title:34}" + "".join(f"{cell:>{WIDTH}}" for cell in cells))


def notes(said):
    """What went wrong."""
    for name, note in said.items():
        if note:
            print(f"  {name}: {note}")


def wrapped(head, words):
    """A list in lines of at most 150 columns."""
    line = head
    for word in words or ["-"]:
        if len(line) + len(word) > 150:
            print(line)
            line = "    "
        line += word + " "
    print(line)
