"""Break things on purpose and write down what came of it: ``python tools/robustness.py``.

Writes the table of docs/robustness.md. Each row can be repeated with the command it names.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "robustness.md"
BEGIN, END = "<!-- table -->", "<!-- end of table -->"


@dataclass
class Row:
    """What was done, how often, how often it went well, and how to do it again."""

    what: str
    tried: int
    survived: int
    note: str
    command: str

    def __str__(self) -> str:
        lost = self.tried - self.survived
        cells = (self.what, f"{self.tried:,}", f"{self.survived:,}", str(lost), self.note)
        return f"| {' | '.join(cells)} | `{self.command}` |"


def output(*command: str, **variables: str) -> tuple[int, str]:
    """Run a command in the checkout; return its exit code and what it printed."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


def tests(what: str, note: str, *arguments: str, **variables: str) -> Row:
    """Run some tests; each is one thing tried."""
    _, text = output("-m", "pytest", "-p", "no:cacheprovider", "-o", "addopts=",
                     "--import-mode=importlib", *arguments, **variables)  # fmt: skip
    counts = {kind: int(n) for n, kind in re.findall(r"(\d+) (passed|failed|error)", text)}
    passed = counts.get("passed", 0)
    settings = "".join(f"{name}={value} " for name, value in variables.items())
    shown = " ".join(f'"{a}"' if " " in a else a for a in arguments if a != "-s")
    return Row(what, sum(counts.values()), passed, note, f"{settings}pytest {shown}")


def killed(kills: int) -> Row:
    """Kill training at random moments."""
    code, text = output("tools/crash.py", "--kills", str(kills))
    found = dict(re.findall(r"^(.+): (\d+)$", text, re.MULTILINE))
    during = found.get("while writing a snapshot", "?")
    note = f"{during} while a snapshot was written; then equal to the bit"
    survived = kills if code == 0 else 0
    return Row("SIGKILL while training", kills, survived, note, f"make crash KILLS={kills}")


def fuzzed(seconds: int) -> list[Row]:
    """Feed changed files to every reader."""
    with tempfile.TemporaryDirectory() as out:
        _, text = output("tools/fuzz.py", "--seconds", str(seconds), "--out", out)
    rows = []
    for name, tried, lines, findings in re.findall(
        r"^(\w+) +(\d+) inputs, +(\d+) lines reached, (\d+) findings$", text, re.MULTILINE
    ):
        note = f"{lines} lines of ours reached"
        count = int(tried)
        command = f"make fuzz SECONDS={seconds}"
        rows.append(Row(f"changed files: {name}", count, count - int(findings), note, command))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--fuzz", type=int, default=280, help="seconds for all readers together")
    parser.add_argument("--soak", type=int, default=1800, help="seconds")
    options = parser.parse_args()
    resume = "tests/solvers/test_resume.py"
    rows = [
        tests(
            "100 iterations, a snapshot, 100 more: every solver, every source",
            "weights, history and losses equal those of 200 in one go, to the bit",
            resume, "-k", "every_rule or with_all or carried_over", RESUME_ITERATIONS="100",
        ),
        killed(options.kills),
        tests(
            "snapshots damaged, cut off, missing", "named; the one before is used",
            resume, "-k", "whole or broken or bodies",
        ),
        tests(
            "numbers that are not finite", "stopped, with a snapshot from before",
            resume, "-k", "finite or overflows or 87 or out_of_range",
        ),
        tests(
            "full disk, read-only folder, signals", "what was there is kept",
            "tests/cli/test_resume.py", "-k", "full_disk or written or signals or swept",
        ),
        tests(
            "sizes that lie, bombs, nesting, code in files", "refused before memory is taken",
            "tests/fuzz/test_hostile.py", "-k", "not changed_files",
        ),
        *fuzzed(options.fuzz),
        tests(
            f"training for {options.soak} s", "less than 8 MB more at the end, no more files",
            "tests/test_load.py", "-k", "stay_as_they_are", SOAK=str(options.soak),
        ),
        tests(
            "threads, forks, interrupts, two processes", "results as of one alone",
            "tests/test_load.py", "-k", "not stay_as_they_are",
        ),
    ]  # fmt: skip
    head = "| faults injected | tried | survived | lost | what came of it | repeat with |"
    table = "\n".join([head, "| --- | ---: | ---: | ---: | --- | --- |", *map(str, rows)])
    page = PAGE.read_text(encoding="utf-8")
    before, after = page.partition(BEGIN)[0], page.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")
    print(table)
    sys.exit(any(row.survived != row.tried or not row.tried for row in rows))


if __name__ == "__main__":
    main()
