# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Sums up the results of a run in one closing line: `N passed, N failed[, N skipped]`.

CTest counts programs; people count tests. So the summary that GoogleTest or pytest printed inside
an entry of CTest is what counts, and an entry without one counts as one test. An entry that
failed although all its tests passed (a leak found at exit, a time-out) adds one failure.
"""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import NamedTuple

GOOGLE = re.compile(r"^\[  (PASSED|FAILED|SKIPPED) +\] (\d+) tests?", re.MULTILINE)
PYTEST = re.compile(
    r"^=+ (.*\b\d+ (?:passed|failed|skipped|error).*) in [\d.]+s.*=+$", re.MULTILINE
)
PYTEST_QUIET = re.compile(r"^((?:\d+ \w+, )*\d+ \w+) in [\d.]+s", re.MULTILINE)
WORD = re.compile(r"(\d+) (passed|failed|skipped|errors?|xfailed|xpassed)")


class Count(NamedTuple):
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def plus(self, other: Count) -> Count:
        return Count(*(mine + theirs for mine, theirs in zip(self, other)))


def inner(output: str) -> Count:
    """What the program itself has counted; nothing when it printed no summary we know."""
    count = {"passed": 0, "failed": 0, "skipped": 0}
    for word, number in GOOGLE.findall(output):
        count[word.lower()] += int(number)
    for line in PYTEST.findall(output) or PYTEST_QUIET.findall(output):
        for number, word in WORD.findall(line):
            kind = {"xfailed": "passed", "xpassed": "failed"}.get(word, word)
            count["failed" if kind.startswith("error") else kind] += int(number)
    return Count(**count)


def entry(status: str, output: str) -> Count:
    """The count of one entry of CTest with the given status of its JUnit file."""
    if status in ("notrun", "disabled"):
        return Count(skipped=1)
    found = inner(output)
    if status == "fail":
        return found if found.failed else found.plus(Count(failed=1))
    return found if sum(found) else Count(passed=1)


def of_ctest(root: ElementTree.Element) -> tuple[Count, list[str]]:
    total, failures = Count(), []
    for case in root.iter("testcase"):
        status = case.get("status", "run")
        # CTest writes "notrun" for a program that is not there too; that is a failure.
        skipped = case.find("skipped")
        if status == "notrun" and skipped is not None and "Unable" in skipped.get("message", ""):
            status = "fail"
        total = total.plus(entry(status, case.findtext("system-out", "")))
        if status == "fail":
            failures.append(case.get("name", "?"))
    return total, failures


def of_pytest(root: ElementTree.Element) -> tuple[Count, list[str]]:
    total, failures = Count(), []
    for case in root.iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            total = total.plus(Count(failed=1))
            failures.append(case.get("name", "?"))
        elif case.find("skipped") is not None:
            total = total.plus(Count(skipped=1))
        else:
            total = total.plus(Count(passed=1))
    return total, failures


def of_folder(folder: Path) -> tuple[Count, list[str]]:
    total, failures = Count(), []
    for path in sorted(folder.glob("*.xml")):
        root = ElementTree.parse(path).getroot()
        count, names = (of_pytest if path.stem == "pytest" else of_ctest)(root)
        total = total.plus(count)
        failures += [f"{path.stem}: {name}" for name in names]
    if (folder / "leftovers.txt").stat().st_size:
        total = total.plus(Count(failed=1))
        failures.append("something was left behind, see above")
    return total, failures


def main() -> int:
    total, failures = of_folder(Path(sys.argv[1]))
    for line in failures:
        print("FAILED", line)
    if sum(total) == 0:
        print("no test matches the selection", file=sys.stderr)
    print(f"{total.passed} passed, {total.failed} failed", end="")
    print(f", {total.skipped} skipped" if total.skipped else "")
    return 1 if total.failed or sum(total) == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
