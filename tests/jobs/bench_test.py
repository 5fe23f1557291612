# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""What ./bench/run makes of programs that succeed and that fail, and of figures and goals. The
programs are stand-ins that write fixed figures: the real ones are tests of their own (label bench).
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"
sys.path.insert(0, str(BENCH))

if not all(importlib.util.find_spec(name) for name in ("rich", "matplotlib")):
    pytest.skip("needs rich and matplotlib", allow_module_level=True)

from driver import goals  # noqa: E402
from driver.model import Row  # noqa: E402

LIFETIME = {
    "benchmark": "lifetime",
    "ranks": 2,
    "open_us_median": 3000,
    "open_us_p99": 9000,
    "duplicate_us_median": 1000,
    "duplicate_us_p99": 1,
    "close_us_median": 50,
    "close_us_p99": 60,
    "free_us_median": 100,
    "free_us_p99": 1,
}

EMBEDDED = {"benchmark": "embedded", "floor_ns": 10, "alone_ns": 20, "two_ns": 30}


def stand_in(build: Path, program: str, text: str) -> None:
    path = build / "bench" / program
    path.parent.mkdir(parents=True)
    path.write_text(f"#!{sys.executable}\nimport json, sys\n{text}\n")
    path.chmod(0o755)


def writes(figures: dict[str, Any]) -> str:
    return f"open(sys.argv[sys.argv.index('--json') + 1], 'w').write({json.dumps(figures)!r})"


@pytest.fixture
def launcher(tmp_path: Path) -> Path:
    """As mpiexec, for one process: drops -n and its number."""
    path = tmp_path / "mpiexec"
    path.write_text('#!/bin/sh\nshift 2\nexec "$@"\n')
    path.chmod(0o755)
    return path


def run(tmp_path: Path, launcher: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    out = tmp_path / "out" / "bench.json"
    command = [sys.executable, str(BENCH / "driver"), "--tiny", "--build", str(tmp_path)]
    return subprocess.run(
        [*command, "--mpiexec", str(launcher), "--out", str(out), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def found(tmp_path: Path) -> dict[str, Any]:
    return json.loads((tmp_path / "out" / "bench.json").read_text())


def test_figures_are_shown_beside_their_floor_and_written(tmp_path: Path, launcher: Path) -> None:
    stand_in(tmp_path, "lifetime/lifetime_bench", writes(LIFETIME))
    done = run(tmp_path, launcher, "lifetime")
    assert done.returncode == 0, done.stdout + done.stderr
    shown = next(line for line in done.stdout.splitlines() if line.startswith("open, 2 ranks"))
    assert shown.split()[3:8] == ["3.00", "ms", "9.00", "1.00", "3.00"]
    record = found(tmp_path)["results"]["lifetime"][0]
    assert record["open_us_median"] == 3000
    assert record["run"]["program"] == "lifetime/lifetime_bench"
    assert (tmp_path / "out" / "lifetime.png").read_bytes().startswith(b"\x89PNG")


def test_a_program_that_finds_its_result_wrong_fails_the_run_but_not_the_others(
    tmp_path: Path, launcher: Path
) -> None:
    stand_in(tmp_path, "commit/embedded_bench", writes(EMBEDDED))
    stand_in(tmp_path, "storage/apply_bench", "sys.exit('an index finds wrongly')")
    done = run(tmp_path, launcher, "apply", "embedded")
    assert done.returncode == 1
    assert "an index finds wrongly" in done.stdout
    assert set(found(tmp_path)["failures"]) == {"apply"}
    assert set(found(tmp_path)["results"]) == {"embedded"}


def test_figures_written_before_a_failure_do_not_count(tmp_path: Path, launcher: Path) -> None:
    stand_in(tmp_path, "lifetime/lifetime_bench", writes(LIFETIME) + "\nsys.exit(3)")
    assert run(tmp_path, launcher, "lifetime").returncode == 1
    assert found(tmp_path)["results"] == {}


def test_a_program_that_is_not_built_is_a_failure(tmp_path: Path, launcher: Path) -> None:
    done = run(tmp_path, launcher, "storage")
    assert done.returncode == 1
    assert "storage/storage_bench is not built" in done.stdout


def test_an_unknown_name_is_refused(tmp_path: Path, launcher: Path) -> None:
    done = run(tmp_path, launcher, "lifetimes")
    assert done.returncode == 2
    assert "'lifetimes'" in done.stderr


def test_the_list_names_every_benchmark_with_a_line() -> None:
    done = subprocess.run(
        [str(BENCH / "run"), "--list"], capture_output=True, text=True, timeout=60, check=True
    )
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert {"exchange", "commit", "ycsb", "tpcc", "interference"} <= {line[0] for line in lines}
    assert all(len(line) == 2 for line in lines)


def reached(benchmark: str, record: dict[str, Any]) -> dict[str, object]:
    record = {"run": {"environment": {}}, **record}
    return {
        verdict.goal.what: verdict.reached
        for verdict in goals.judge({benchmark: [record]})
        if verdict.goal.benchmark == benchmark
    }


@pytest.mark.parametrize(("median", "wanted"), [(29.9, True), (30.1, False)])
def test_a_goal_of_a_ratio_is_judged_by_the_floor_of_the_same_run(
    median: float, wanted: bool
) -> None:
    record = {"ranks": 2, "commit_median_us": median, "bare_median_us": 10}
    assert reached("commit", record) == {"one-row commit, MPI, 2 ranks": wanted}


@pytest.mark.parametrize(("lmdb", "wanted"), [(801, True), (799, False)])
def test_a_goal_to_be_faster_turns_the_ratio_round(lmdb: float, wanted: bool) -> None:
    figures = [
        {"who": who, "what": what, "median_ns": ns}
        for what in ("point read", "update", "update, fetched ahead")
        for who, ns in (("exdb", 100), ("private", 90), ("lmdb", lmdb))
    ]
    assert reached("storage", {"figures": figures})["apply, 64-byte rows, hash index"] is wanted


def test_figures_of_pretended_hosts_or_other_ranks_are_not_taken_for_the_goal_s() -> None:
    record = {"ranks": 2, "commit_median_us": 1, "bare_median_us": 1}
    hosts = {"run": {"environment": {"EXDB_PRETENDED_HOSTS": "2"}}}
    assert set(reached("commit", {**record, **hosts}).values()) == {None}
    assert set(reached("commit", {**record, "ranks": 4}).values()) == {None}


def test_a_goal_that_nothing_measures_yet_is_still_in_the_table() -> None:
    verdicts = goals.judge({})
    assert {verdict.reached for verdict in verdicts} == {None}
    assert any("is_shm" in verdict.goal.what for verdict in verdicts)


def test_a_row_without_a_floor_has_no_ratio() -> None:
    assert Row("x", 3, "us", floor=2).ratio == 1.5
    assert Row("x", 3, "us").ratio is None
