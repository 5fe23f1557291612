# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""kill -9 of jobs under load, again and again on one database, each time with another number of
ranks: nothing acknowledged is lost, nothing refused comes back, nothing is half there, and all
ranks have the same.

EXDB_KILLS=300 does more of it; EXDB_KILLS_SEED another; EXDB_KILLS_SHM=1 with is_shm."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import kills
import pytest

KILLS = int(os.environ.get("EXDB_KILLS", "5"))
SEED = int(os.environ.get("EXDB_KILLS_SEED", "11"))
SHM = os.environ.get("EXDB_KILLS_SHM", "0") == "1"

# Each rank first tells what it has found.
RANK = """
import json, os, sys, threading
from mpi4py import MPI
sys.path.insert(0, sys.argv[6])
import exdb, kills
out, folder, life, shm, ends = (sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "1",
                                sys.argv[5] == "1")
comm = MPI.COMM_WORLD
db = exdb.open("grid", kills.SCHEMA, comm=comm, is_disk=True, path=folder, is_shm=shm,
               db_segment_size=1 << 20, checkpoint_bytes=100_000)
pairs, counts = kills.found_in(exdb, db)
found = {"digest": db.digest(), "pairs": pairs, "counts": counts, "recovered": db.recovered,
         "pid": os.getpid()}
comm.Barrier()
with open(f"{out}/found-{comm.rank}.new", "w") as file:
    json.dump(found, file)
os.rename(f"{out}/found-{comm.rank}.new", f"{out}/found-{comm.rank}")
if ends:
    db.close()
    sys.exit()
if comm.rank == 0 and str(kills.SHARED) not in counts:
    with db.connect() as con:
        kills.make_shared(con)
comm.Barrier()
say = kills.sayer(f"{out}/said-{comm.rank}")
threads = [threading.Thread(target=kills.work, args=(exdb, db, say, comm.rank * 2 + i, life))
           for i in (0, 1)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


class Lives:
    def __init__(self, folder: Path, launcher: str) -> None:
        self.folder, self.launcher = folder, launcher
        self.chance = random.Random(SEED)
        self.outcomes = kills.Outcomes()

    def live(self, life: int, ranks: int, ends: bool) -> None:
        out = self.folder / f"life-{life}"
        out.mkdir()
        (out / "rank.py").write_text(RANK, encoding="utf-8")
        job = subprocess.Popen(
            [
                self.launcher,
                *("-n", str(ranks), sys.executable, str(out / "rank.py"), str(out)),
                *(str(self.folder / "grid"), str(life), str(int(SHM)), str(int(ends))),
                str(Path(kills.__file__).parent),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            pids = self.wait_until_open(out, ranks, job)
            self.check(out, ranks)
            if ends:
                assert job.wait(60) == 0, job.stderr and job.stderr.read()
                return
            self.wait_for_lines(out, self.chance.randrange(1, 200), job)
            self.kill(pids)
            job.wait(30)
        finally:
            if job.poll() is None:
                os.killpg(job.pid, signal.SIGKILL)
        self.listen(out, ranks)

    def kill(self, pids: list[int]) -> None:
        """One after the other, at once or with a pause in which the others may go on."""
        self.chance.shuffle(pids)
        pause = self.chance.choice((0.0, 0.0, 0.002, 0.03))
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            time.sleep(pause)

    def wait_until_open(self, out: Path, ranks: int, job: subprocess.Popen[str]) -> list[int]:
        until = time.monotonic() + 60
        while not all((out / f"found-{rank}").exists() for rank in range(ranks)):
            assert time.monotonic() < until
            if job.poll() not in (None, 0):
                assert job.stderr is not None
                raise AssertionError(job.stderr.read())
            time.sleep(0.005)
        return [json.loads((out / f"found-{rank}").read_text())["pid"] for rank in range(ranks)]

    def wait_for_lines(self, out: Path, lines: int, job: subprocess.Popen[str]) -> None:
        until = time.monotonic() + 60
        while sum(file.read_bytes().count(b"\n") for file in out.glob("said-*")) < lines:
            assert time.monotonic() < until
            assert job.poll() is None, job.stderr and job.stderr.read()
            time.sleep(0.002)

    def listen(self, out: Path, ranks: int) -> None:
        files = [out / f"said-{rank}" for rank in range(ranks)]
        self.outcomes.hear(
            line for said in files if said.exists() for line in said.read_text().splitlines()
        )

    def check(self, out: Path, ranks: int) -> None:
        told = [json.loads((out / f"found-{rank}").read_text()) for rank in range(ranks)]
        assert len({one["digest"] for one in told}) == 1, told
        first = told[0]
        assert all(one["pairs"] == first["pairs"] for one in told)
        self.outcomes.check(first["pairs"], first["counts"], settled=True, told=first["recovered"])


@pytest.mark.timeout(120 + 10 * KILLS)
def test_kill_9_of_a_job_loses_no_commit_and_brings_back_none(
    tmp_path: Path, launcher: str
) -> None:
    lives = Lives(tmp_path, launcher)
    for life in range(KILLS):
        lives.live(life, lives.chance.choice((1, 2, 3)), ends=False)
    lives.live(KILLS, 2, ends=True)
    assert len(lives.outcomes.acknowledged) > KILLS
    assert lives.outcomes.refused, "some are to be refused"
