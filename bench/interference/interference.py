# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""What does a grid cost a simulation that runs on the same ranks?

A stencil loop in NumPy (the heat equation on a torus, each rank a slab, halos by mpi4py), on all
ranks, with the grid

    absent      not opened: the floor
    idle        open, and nobody uses it
    reading     each rank reads --reads-per-s rows a second, by key
    committing  all ranks together commit --commits-per-s rows a second

one after the other, --turns times in that order, so that a machine that gets slower meanwhile does
not count. What is compared are blocks of BLOCK_STEPS steps, of all ranks and turns: their median,
and their lower quartile, which is what the machine gives when nobody else disturbs.

Beside the slowdown, which varies with the machine, the grid's own time: in its calls, and of the
threads that it has, in percent of the rank's time. What it takes from caches is not in it.

Goal: idle at most 1 %, committing at most 5 %. Not a goal: what a commit costs (commit_bench).

Check: the field is bit for bit what it was without the grid, and has kept its heat; every replica
has the same digest, and of each rank's row exactly as many commits as that rank made.

    mpiexec -n 2 python -m mpi4py bench/interference/interference.py
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from mpi4py import MPI

import exdb

SCHEMA = "class Item { int8 key; int8 value; unique hash<key> by_key; };"
MODES = ("absent", "idle", "reading", "committing")
ROWS = 1000
READS_AT_ONCE = 10
BLOCK_STEPS = 25


class Stencil:
    """A slab of the field, and one line of each neighbour's above and below it."""

    def __init__(self, comm: MPI.Intracomm, size: int) -> None:
        self.comm = comm
        self.up, self.down = (comm.rank - 1) % comm.size, (comm.rank + 1) % comm.size
        self.field = np.zeros((size + 2, size))
        self.next = np.zeros_like(self.field)

    def begin(self) -> None:
        size = self.field.shape[1]
        self.field[:] = 0
        self.field[1:-1] = np.random.default_rng(self.comm.rank).random((size, size))

    def step(self) -> None:
        old, new = self.field, self.next
        self.comm.Sendrecv(old[1], dest=self.up, recvbuf=old[-1], source=self.down)
        self.comm.Sendrecv(old[-2], dest=self.down, recvbuf=old[0], source=self.up)
        inner = new[1:-1]
        np.add(old[:-2], old[2:], out=inner)
        # Not np.roll, whose copies are fresh memory from the system, at a price that varies.
        for to, source in ((slice(1, None), slice(-1)), (slice(1), slice(-1, None))):
            inner[:, to] += old[1:-1, source]
            inner[:, source] += old[1:-1, to]
        inner *= 0.25
        self.field, self.next = new, old

    def heat(self) -> float:
        return self.comm.allreduce(float(self.field[1:-1].sum()))

    def run(self, steps: int, between: Callable[[], None]) -> list[float]:
        """Seconds of each block of steps, of this rank."""
        self.begin()
        self.comm.Barrier()
        blocks = []
        for _ in range(max(1, steps // BLOCK_STEPS)):
            start = time.perf_counter()
            for _ in range(BLOCK_STEPS):
                self.step()
                between()
            blocks.append(time.perf_counter() - start)
        return blocks


class Every:
    """Calls `work` when `seconds` have passed since it was last due."""

    def __init__(self, seconds: float, work: Callable[[], None]) -> None:
        self.seconds, self.work = seconds, work
        self.due = time.perf_counter() + seconds
        self.worked = 0.0

    def __call__(self) -> None:
        start = time.perf_counter()
        if start >= self.due:
            self.due += self.seconds
            self.work()
            self.worked += time.perf_counter() - start


class Grid:
    def __init__(self, comm: MPI.Intracomm) -> None:
        self.comm = comm
        self.db = exdb.open("interference", SCHEMA, comm=comm)
        self.con = self.db.connect()
        self.random = np.random.default_rng(comm.rank)
        self.commits = 0
        if comm.rank == 0:
            with self.con.startTransaction():
                for key in range(ROWS):
                    self.con.new("Item", key=key)
        comm.Barrier()
        self.con.startTransaction(exdb.MCO_READ_ONLY, fresh=True)
        self.con.rollback()

    def read(self) -> None:
        self.con.startTransaction(exdb.MCO_READ_ONLY)
        for key in self.random.integers(0, ROWS, READS_AT_ONCE).tolist():
            found = self.con.find("Item", "by_key", key)
            assert found is not None and found.key == key
        self.con.rollback()

    def commit(self) -> None:
        self.con.startTransaction()
        self.con.find("Item", "by_key", self.comm.rank).value += 1
        self.con.commit()
        self.commits += 1

    def close(self) -> int:
        """The commits of all ranks, after the check that all replicas have them."""
        comm = self.comm
        commits = comm.allgather(self.commits)
        with self.con.startTransaction(exdb.MCO_READ_ONLY, fresh=True):
            seen = [self.con.find("Item", "by_key", rank).value for rank in range(comm.size)]
        digests = set(comm.allgather(self.db.digest()))
        require(comm, seen == commits, f"rows say {seen} commits, {commits} were made")
        require(comm, len(digests) == 1, "the replicas differ")
        self.con.close()
        self.db.close()
        return sum(commits)


def require(comm: MPI.Intracomm, good: bool, what: str) -> None:
    if not comm.allreduce(good, MPI.LAND):
        raise SystemExit(f"interference: {what}")


def measure(options: argparse.Namespace, comm: MPI.Intracomm) -> dict[str, object]:
    stencil = Stencil(comm, options.size)
    stencil.run(options.steps // 10, lambda: None)
    seconds: dict[str, list[float]] = {mode: [] for mode in MODES}
    own = dict.fromkeys(MODES, 0.0)
    commits = 0
    for _ in range(options.turns):
        seconds["absent"].extend(stencil.run(options.steps, lambda: None))
        wanted = stencil.field.copy()
        grid = Grid(comm)
        betweens = {
            "idle": lambda: None,
            "reading": Every(READS_AT_ONCE / options.reads_per_s, grid.read),
            "committing": Every(comm.size / options.commits_per_s, grid.commit),
        }
        stencil.begin()
        heat = stencil.heat()
        for mode, between in betweens.items():
            if isinstance(between, Every):
                between.due = time.perf_counter() + between.seconds
            others = time.process_time() - time.thread_time()
            seconds[mode].extend(stencil.run(options.steps, between))
            own[mode] += time.process_time() - time.thread_time() - others
            own[mode] += getattr(between, "worked", 0)
            same = np.array_equal(stencil.field[1:-1], wanted[1:-1])
            require(comm, same, f"the field is another one with the grid {mode}")
            require(comm, abs(stencil.heat() / heat - 1) < 1e-9, "the field has lost heat")
        commits += grid.close()
    blocks = {mode: np.concatenate(comm.allgather(seconds[mode])) for mode in MODES}

    def slowdown(mode: str, percentile: int) -> float:
        ours, floor = (np.percentile(blocks[one], percentile) for one in (mode, "absent"))
        return 100 * (float(ours / floor) - 1)

    def accounted(mode: str) -> float:
        return 100 * comm.allreduce(own[mode]) / float(blocks[mode].sum())

    committing = float(blocks["committing"].sum()) / comm.size
    low, median, high = np.percentile(blocks["absent"], [25, 50, 75])
    return {
        "benchmark": "interference",
        "ranks": comm.size,
        "processors": len(os.sched_getaffinity(0)),
        "size": options.size,
        "step_us": 1e6 * float(median) / BLOCK_STEPS,
        "spread_percent": 100 * float((high - low) / median),
        "commits": commits,
        "commits_per_s": commits / committing,
        **{f"{mode}_percent": slowdown(mode, 50) for mode in MODES[1:]},
        **{f"{mode}_quartile_percent": slowdown(mode, 25) for mode in MODES[1:]},
        **{f"{mode}_accounted_percent": accounted(mode) for mode in MODES[1:]},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=512, help="lines and columns of a rank's slab")
    parser.add_argument("--steps", type=int, default=500, help="of the stencil, in each mode")
    parser.add_argument("--turns", type=int, default=15, help="how often all modes are run")
    parser.add_argument("--reads-per-s", type=float, default=1000, help="of each rank")
    parser.add_argument("--commits-per-s", type=float, default=100, help="of all ranks together")
    parser.add_argument("--json", type=Path, help="where the figures go")
    options = parser.parse_args()
    comm = MPI.COMM_WORLD
    found = measure(options, comm)
    if comm.rank == 0:
        print(
            f"{found['ranks']} ranks, {found['step_us']:.0f} us a step without the grid, half "
            f"of all within {found['spread_percent']:.1f} %; {found['commits_per_s']:.0f} commits/s"
        )
        print(f"{'slowdown, percent':20} {'median':>8} {'quartile':>8} {'own time':>8}")
        for mode in MODES[1:]:
            figures = (found[f"{mode}{of}_percent"] for of in ("", "_quartile", "_accounted"))
            print(f"{mode:20} " + " ".join(f"{one:8.2f}" for one in figures))
        if options.json:
            options.json.write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
