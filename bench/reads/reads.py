# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""What does a read by key cost in Python: alone, and while another rank commits without a pause?

Floor, in the same run: a dict of as many objects. Rank 0 reads, rank 1 writes.

Check: every row has the key that was asked for and fields that every commit changes together; the
replicas are equal at the end.

    mpiexec -n 2 python -m mpi4py bench/reads/reads.py
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

SCHEMA = "class Row { int8 id; int8 a; int8 minus_a; unique hash<id> by_id; };"
BATCH = 1000
TAG = 1


class Reader:
    def __init__(self, con: exdb.Connection, rows: int, batches: int) -> None:
        self.con, self.rows, self.batches = con, rows, batches
        self.random = np.random.default_rng(3)
        self.map = {key: (key, 0) for key in range(rows)}

    def measure(self, read: Callable[[list[int]], None]) -> tuple[float, float]:
        """Median and p99 of nanoseconds a read."""
        times = []
        for _ in range(self.batches):
            keys = self.random.integers(0, self.rows, BATCH).tolist()
            start = time.perf_counter_ns()
            read(keys)
            times.append((time.perf_counter_ns() - start) / BATCH)
        return float(np.median(times)), float(np.percentile(times, 99))

    def dict_(self, keys: list[int]) -> None:
        for key in keys:
            assert self.map[key][0] == key

    def find(self, keys: list[int]) -> None:
        with self.con.startTransaction(exdb.MCO_READ_ONLY):
            for key in keys:
                row = self.con.find("Row", "by_id", key)
                assert row.id == key

    def find_many(self, keys: list[int]) -> None:
        with self.con.startTransaction(exdb.MCO_READ_ONLY):
            for key, row in zip(keys, self.con.find_many("Row", "by_id", keys)):
                assert row.id == key

    def pairs(self, keys: list[int]) -> None:
        """Not measured: no commit is seen by half."""
        with self.con.startTransaction(exdb.MCO_READ_ONLY):
            for key in keys:
                row = self.con.find("Row", "by_id", key)
                assert row.a + row.minus_a == 0


def write_until_told(con: exdb.Connection, comm: MPI.Intracomm, rows: int) -> None:
    random = np.random.default_rng(4)
    turn = 0
    while not comm.Iprobe(source=0, tag=TAG):
        turn += 1
        with con.startTransaction():
            row = con.find("Row", "by_id", int(random.integers(rows)))
            row.a = turn
            row.minus_a = -turn
    comm.recv(source=0, tag=TAG)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--batches", type=int, default=50, help=f"of {BATCH} reads")
    parser.add_argument("--json", type=Path, help="where the figures go")
    options = parser.parse_args()
    comm = MPI.COMM_WORLD
    found: dict[str, tuple[float, float]] = {}
    with exdb.open("reads", SCHEMA, comm=comm) as db, db.connect() as con:
        if comm.rank == 0:
            with con.startTransaction():
                for key in range(options.rows):
                    con.new("Row", id=key)
        comm.Barrier()
        con.startTransaction(exdb.MCO_READ_ONLY, fresh=True)
        con.rollback()
        if comm.rank == 0:
            reader = Reader(con, options.rows, options.batches)
            found["dict_ns"] = reader.measure(reader.dict_)
            found["find_ns"] = reader.measure(reader.find)
            found["find_many_ns"] = reader.measure(reader.find_many)
        comm.Barrier()
        if comm.rank == 0:
            loaded = db.published
            while comm.size > 1 and db.published == loaded:
                time.sleep(0)
            before, start = db.published, time.perf_counter()
            found["find_beside_ns"] = reader.measure(reader.find)
            found["find_many_beside_ns"] = reader.measure(reader.find_many)
            commits = (db.published - before) / (time.perf_counter() - start)
            reader.measure(reader.pairs)
            for rank in range(1, comm.size):
                comm.send(None, dest=rank, tag=TAG)
        elif comm.rank == 1:
            write_until_told(con, comm, options.rows)
        else:
            comm.recv(source=0, tag=TAG)
        comm.Barrier()
        con.startTransaction(exdb.MCO_READ_ONLY, fresh=True)
        con.rollback()
        comm.Barrier()
        if len(set(comm.allgather(db.digest()))) != 1:
            raise SystemExit("reads: the replicas differ")
    if comm.rank != 0:
        return
    for name, (median, p99) in found.items():
        print(f"{name:24} {median:10.0f}  p99 {p99:10.0f}")
    print(f"commits/s meanwhile {commits:.0f}")
    told: dict[str, object] = {
        "benchmark": "reads_python",
        "ranks": comm.size,
        "rows": options.rows,
    }
    told["processors"] = len(os.sched_getaffinity(0))
    told["commits_per_s"] = commits
    for name, (median, p99) in found.items():
        told[f"{name}_median"], told[f"{name}_p99"] = median, p99
    if options.json:
        options.json.write_text(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
