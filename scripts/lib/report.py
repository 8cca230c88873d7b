"""What compare-peers says: tables and missing samples, and the documents it writes.

Enters: samples, the rows and goals made of them (goals.py), and what they depend on. Leaves: text
on standard output and standard error, and the files that were asked for. Measures nothing.
"""

import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import goals
from table import markdown, table

SCHEMA = "podperf.compare-peers/v1"
HEAD = ["test", "way", "measure", "unit", "peer", "podperf", "peer's", "ratio", "95 %", "n"]
ALIGNMENT = "<<<<<>>>>>"


def show(paths, rows, shown, samples):
    """A table a path and the summary on standard output, and what is missing on standard error."""
    if any(0 < row["pairs"] < 5 for row in rows):
        print("\nFewer than 5 rounds: an interval is little more than the range of what was seen.")
    for path in paths:
        print(f"\n{path}: medians over rounds; ratio = podperf / peer, with its 95 % interval "
              "(bootstrap over n\nrounds); way: how podperf was used; ↑ more is better, ↓ less is, "
              "neither: both should agree")
        print("\n".join(table(HEAD, ALIGNMENT, path_cells(rows, path))))
    if shown:
        print("\nwhat was to be reached, against the peer with the best median")
        cells = [goals.summary_cells(item) for item in shown]
        print("\n".join(table(goals.SUMMARY_HEAD, goals.SUMMARY_ALIGNMENT, cells)))
    failures = {}
    for sample in samples:
        if "error" in sample:
            of = f"{sample['path']} {sample['test']} {sample['tool']}"
            failures.setdefault(of, []).append(sample["error"])
    for of, errors in failures.items():
        note(f"missing: {len(errors)} of {of}; the first: {errors[0]}")


def path_cells(rows, path):
    """The rows of a path as text."""
    return [row_cells(row) for row in rows if row["path"] == path]


def row_cells(row):
    """A row as text."""
    measure = goals.measure_of(row["test"], row["measure"])
    arrow = {"more": " ↑", "less": " ↓", None: ""}[measure.better]
    cells = [row["test"], goals.way(row["subject"]), measure.name + arrow, measure.unit,
             row["peer"]]
    cells += [measure.form.format(row[figure]) if figure in row else "-"
              for figure in ("ours", "theirs")]
    ratio, interval = "-", "-"
    if "ratio" in row:
        ratio, interval = f"{row['ratio']:.3f}", f"[{row['low']:.3f}, {row['high']:.3f}]"
    return [*cells, ratio, interval, str(row["pairs"])]


def write(settings, facts, paths, tests, plan, targets, samples, rows, shown):
    """The JSON and the Markdown document, where they were asked for."""
    if settings.json:
        document = {"schema": SCHEMA, "facts": facts,
                    "settings": {**vars(settings), "paths": list(paths),
                                 "tests": [test.name for test in tests]},
                    "samples": samples, "comparison": rows,
                    "goals": [summary(item) for item in shown]}
        Path(settings.json).write_text(json.dumps(document, indent=1) + "\n")
    if settings.markdown:
        lines = ["Command:", "", "```sh", " ".join(["scripts/compare-peers", *settings.typed]),
                 "```", ""]
        lines += [f"- {line}" for line in facts_lines(facts, settings)]
        lines += ["", "### What was to be reached", ""]
        cells = [goals.summary_cells(item) for item in shown]
        lines += markdown(goals.SUMMARY_HEAD, goals.SUMMARY_ALIGNMENT, cells)
        for path in paths:
            lines += ["", f"### Everything on {path}", ""]
            lines += markdown(HEAD, ALIGNMENT, path_cells(rows, path))
        lines += ["", "### Command lines", "", "```sh"]
        lines += command_lines(plan, targets) + ["```"]
        Path(settings.markdown).write_text("\n".join(lines) + "\n")


def summary(item):
    """A goal and what is shown of it, for JSON."""
    goal = item.goal
    return {"test": goal.test, "path": item.path, "subject": goal.subject, "measure": goal.key,
            "bound": item.bound(), "at_least": goal.at_least(), "best_peer": item.best,
            **(vars(item.ratio) if item.ratio else {}), "shown": item.word()}


def facts_lines(facts, settings):
    """What the figures depend on."""
    return [
        f"kernel {facts['kernel']}, {facts['cpus']} x {facts['cpu']}",
        "; ".join(facts["versions"].values()),
        f"congestion control {facts['congestion_control']} (sockperf cannot choose: the default "
        f"of this machine, {facts['default_congestion_control']}); {settings.rounds} rounds, "
        f"{settings.time} s a run, seed {settings.seed}",
    ]


def command_lines(plan, targets):
    """Each command line in use, its program by name; the same on several paths once."""
    lines = []
    for path, tests in plan.items():
        for test, able in tests:
            for tool in able:
                target = replace(targets[path], address="ADDRESS")
                called = {tool.path: tool.called()}
                commands = Counter(" ".join([called.get(program, program), *options])
                                   for program, *options in tool.clients(test, target))
                lines.append(f"{test.name}: " + " & ".join(
                    f"{times} x {command}" if times > 1 else command
                    for command, times in commands.items()))
    return list(dict.fromkeys(lines))


def note(text):
    """Talk, as opposed to results."""
    print(f"compare-peers: {text}", file=sys.stderr, flush=True)
