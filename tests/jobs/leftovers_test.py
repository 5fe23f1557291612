# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""What finds left-over processes and segments: it must find ours, and nobody else's."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))
import leftovers


@pytest.fixture
def mark() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def sleeper(mark: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "50"], env={**os.environ, "EXDB_TESTS_RUN": mark})
    # Popen may return before the kernel shows the new program's environment.
    for _ in range(1000):
        if mark.encode() in Path(f"/proc/{process.pid}/environ").read_bytes():
            break
        time.sleep(0.01)
    yield process
    process.kill()
    process.wait(10)


def test_a_process_of_the_run_is_found(sleeper: subprocess.Popen[bytes], mark: str) -> None:
    assert leftovers.processes(mark) == {sleeper.pid: "sleep 50"}


def test_a_process_of_another_run_is_not(sleeper: subprocess.Popen[bytes]) -> None:
    assert leftovers.processes(uuid.uuid4().hex) == {}


@pytest.mark.skipif(not leftovers.SHM.is_dir(), reason="there is no /dev/shm")
def test_a_segment_counts_when_nobody_has_it_open(mark: str) -> None:
    before = leftovers.segments()
    path = leftovers.SHM / f"exdb-test-{mark}"
    try:
        with path.open("w"):
            assert not [line for line in leftovers.left(before, mark) if mark in line]
        assert [line for line in leftovers.left(before, mark) if mark in line]
        assert not [line for line in leftovers.left([str(path)], mark) if mark in line]
    finally:
        path.unlink()
