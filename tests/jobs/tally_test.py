# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""The closing line of ./tests/run: it counts tests, and never loses a failure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LIB = Path(__file__).resolve().parents[1] / "lib"
sys.path.insert(0, str(LIB))
from tally import Count, entry  # noqa: E402

GOOGLE = """
[==========] 5 tests from 1 test suite ran. (1 ms total)
[  PASSED  ] 3 tests.
[  SKIPPED ] 1 test, listed below:
[  SKIPPED ] HashIndex.grows
[  FAILED  ] 1 test, listed below:
[  FAILED  ] HashIndex.finds
"""
PYTEST = "================= 1 failed, 4 passed, 2 skipped, 1 error in 0.62s =================\n"


@pytest.mark.parametrize(
    ("status", "output", "count"),
    [
        ("run", "hello\n", Count(1, 0, 0)),
        ("fail", "hello\n", Count(0, 1, 0)),
        ("notrun", "", Count(0, 0, 1)),
        ("fail", GOOGLE, Count(3, 1, 1)),
        ("run", "[  PASSED  ] 1 test.\n", Count(1, 0, 0)),
        ("fail", "[  PASSED  ] 7 tests.\nLeakSanitizer\n", Count(7, 1, 0)),
        ("fail", PYTEST, Count(4, 2, 2)),
        ("run", "=========== 17 passed in 1.20s ==========\n", Count(17, 0, 0)),
        ("run", "..........\n17 passed, 1 skipped in 1.20s\n", Count(17, 0, 1)),
    ],
)
def test_an_entry_is_counted(status: str, output: str, count: Count) -> None:
    assert entry(status, output) == count


def tally(folder: Path, junit: str, leftovers: str = "") -> subprocess.CompletedProcess[str]:
    (folder / "release.xml").write_text(junit)
    (folder / "leftovers.txt").write_text(leftovers)
    return subprocess.run(
        [sys.executable, str(LIB / "tally.py"), str(folder)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def suite(*cases: str) -> str:
    return "<testsuite>" + "".join(cases) + "</testsuite>"


PASSES = '<testcase name="a" status="run"><system-out>x</system-out></testcase>'
FAILS = '<testcase name="b" status="fail"><failure/><system-out>x</system-out></testcase>'
MISSING = (
    '<testcase name="c" status="notrun"><skipped message="Unable to find executable"/></testcase>'
)


def test_the_line_stands_alone_at_the_end(tmp_path: Path) -> None:
    done = tally(tmp_path, suite(PASSES, PASSES))
    assert done.stdout.splitlines()[-1] == "2 passed, 0 failed"
    assert done.returncode == 0


def test_a_failure_gives_the_exit_code(tmp_path: Path) -> None:
    done = tally(tmp_path, suite(PASSES, FAILS))
    assert done.stdout.splitlines()[-1] == "1 passed, 1 failed"
    assert done.returncode == 1


def test_a_program_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    assert tally(tmp_path, suite(PASSES, MISSING)).returncode == 1


def test_something_left_behind_is_a_failure(tmp_path: Path) -> None:
    assert tally(tmp_path, suite(PASSES), "still running: 1 x\n").returncode == 1


def test_no_test_at_all_is_a_failure(tmp_path: Path) -> None:
    assert tally(tmp_path, suite()).returncode == 1
