# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Runs a piece of Python on the ranks of a job, each of which tells what it saw."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

import pytest

PRELUDE = '''
import json, os, signal, sys, threading, time
import faulthandler
from mpi4py import MPI
import exdb

faulthandler.dump_traceback_later(float(os.environ["EXDB_TEST_SECONDS"]), exit=False)
comm = MPI.COMM_WORLD
if os.environ.get("EXDB_TEST_SHM"):  # the same tests, with one replica a host
    exdb.init_runtime(is_shm=True, cluster=True)
rank, size = comm.rank, comm.size
SCHEMA = """
declare database grid;
class Item { unsigned<4> key; signed<8> value; string text; vector<double> data;
             unique tree<key> by_key; tree<value> by_value; };
class Note { string text; };
"""

def tell(**values):
    with open(os.path.join(os.environ["EXDB_TEST_OUT"], str(rank)), "w") as file:
        json.dump(values, file)

def failure(call):
    """What the call raised: class, number, text; or None."""
    try:
        call()
    except exdb.Error as error:
        return [type(error).__name__, error.code, str(error)]
    return None

def put(con, key, value=0, **fields):
    with con.startTransaction() as transaction:
        con.new("Item", key=key, value=value, **fields)
    return transaction.csn

def interrupt_when_waiting(then=lambda: None):
    """Ctrl-C once a thread of this process waits in a call of exdb, however late that is."""
    def interrupt():
        while exdb._core.released_threads() == 0:
            time.sleep(0.01)
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)
        then()
    threading.Thread(target=interrupt, daemon=True).start()

def params(**arguments):
    return exdb.ClusterParams(**{"nodeId": rank, "nwtype": "MPI", **arguments})

'''


@dataclass
class Job:
    """How a job ended: exit code, outputs, and what each rank told (None: nothing)."""

    code: int
    out: str
    err: str
    told: list[Any]


def mpiexec() -> str:
    beside = Path(sys.prefix) / "bin" / "mpiexec"
    found = os.environ.get("MPIEXEC") or (str(beside) if beside.exists() else None)
    found = found or shutil.which("mpiexec")
    if found is None:
        pytest.skip("there is no mpiexec")
    return found


def end(process: subprocess.Popen[str]) -> None:
    """mpiexec first, so that it ends its ranks; then what is left of the group."""
    process.terminate()
    try:
        process.communicate(timeout=10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)


def run_job(
    folder: Path,
    ranks: int,
    code: str,
    *,
    seconds: float = 60,
    interrupt_after: str | None = None,
    environment: dict[str, str] | None = None,
    launcher: list[str] | None = None,
    wrapper: list[str] | None = None,
) -> Job:
    """`code` on every rank. `interrupt_after`: a file the job makes; then mpiexec gets Ctrl-C.

    `launcher`: instead of mpiexec, with options; `wrapper`: goes before the command of a rank.
    """
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "program.py"
    script.write_text(PRELUDE + textwrap.dedent(code), encoding="utf-8")
    process = subprocess.Popen(
        [
            *(launcher or [mpiexec()]),
            "-n",
            str(ranks),
            *(wrapper or []),
            sys.executable,
            str(script),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=folder,
        env={
            **os.environ,
            "EXDB_TEST_OUT": str(folder),
            "EXDB_TEST_SECONDS": str(seconds - 5),
            **(environment or {}),
        },
    )
    try:
        if interrupt_after is not None:
            wait_for_file(folder / interrupt_after, process, seconds)
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        end(process)
        raise
    told: list[Any] = []
    for rank in range(ranks):
        file = folder / str(rank)
        told.append(json.loads(file.read_text(encoding="utf-8")) if file.exists() else None)
    return Job(process.returncode, out, err, told)


def wait_for_file(file: Path, process: subprocess.Popen[str], seconds: float) -> None:
    for _ in range(int(seconds * 20)):
        if file.exists() or process.poll() is not None:
            return
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue


@pytest.fixture
def prelude() -> str:
    """What every program of a job begins with."""
    return PRELUDE


@pytest.fixture
def launcher() -> str:
    """The mpiexec of this environment."""
    return mpiexec()


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Job]:
    def started(ranks: int, code: str, **options: Any) -> Job:
        return run_job(tmp_path / "job", ranks, code, **options)

    return started


@pytest.fixture
def good(run: Callable[..., Job]) -> Callable[..., list[Any]]:
    """As `run`, for a job that must end well; what its ranks told."""

    def started(ranks: int, code: str, **options: Any) -> list[Any]:
        job = run(ranks, code, **options)
        assert job.code == 0, job.err + job.out
        assert None not in job.told, job.err + job.out
        return job.told

    return started
