# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""How much memory do all ranks of a host take for one database: a replica each, and one of all
(is_shm)?

Floor, in the same run: the same database in one rank. Memory is what the processes grew by, shared
pages counted once (Pss of /proc/self/smaps_rollup, as a sum).

Check: every rank finds all rows, with what was written.

    EXDB_PRETENDED_HOSTS=1 mpiexec -n 4 python -m mpi4py bench/memory/memory.py
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI

import exdb

SCHEMA = "class Item { uint4 key; vector<double> data; unique tree<key> by_key; };"
ROW_BYTES = 16 * 1024
BATCH = 32


def pss() -> int:
    for line in Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no Pss in /proc/self/smaps_rollup")


def load(con: exdb.Connection, comm: MPI.Intracomm, rows: int) -> None:
    for start in range(comm.rank * BATCH, rows, comm.size * BATCH):
        with con.startTransaction():
            for key in range(start, min(start + BATCH, rows)):
                con.new("Item", key=key, data=np.full(ROW_BYTES // 8, key, dtype=float))
    comm.Barrier()


def grown_by(comm: MPI.Intracomm, rows: int, **how: Any) -> int:
    """Bytes of all ranks of `comm` for the whole database."""
    gc.collect()
    comm.Barrier()
    before = pss()
    comm.Barrier()
    with exdb.open("memory", SCHEMA, comm=comm, db_segment_size=4 << 20, **how) as db:
        with db.connect() as con:
            load(con, comm, rows)
            with con.startTransaction(exdb.MCO_READ_ONLY, fresh=True):
                total = sum(float(item.data.sum()) for item in con.cursor("Item", "by_key"))
        assert total == rows * (rows - 1) // 2 * (ROW_BYTES // 8), total
        gc.collect()
        comm.Barrier()
        time.sleep(0.5)  # buffers of large messages are given back when idle
        grown = pss() - before
        comm.Barrier()
    return int(comm.allreduce(grown))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mib", type=int, default=64, help="of rows, in the database")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    comm = MPI.COMM_WORLD
    rows = options.mib * (1 << 20) // ROW_BYTES
    # What Python and MPI take for the first time is not counted.
    grown_by(comm, BATCH, is_shm=True)
    grown_by(MPI.COMM_SELF, BATCH)
    one = comm.bcast(grown_by(MPI.COMM_SELF, rows) if comm.rank == 0 else None)
    shared = grown_by(comm, rows, is_shm=True)
    each = grown_by(comm, rows)
    if comm.rank != 0:
        return
    mib = 1 << 20
    for text, grown in ("one rank", one), ("all, is_shm", shared), ("all, a replica each", each):
        print(f"{text:20} {grown / mib:9.1f} MiB {grown / one:6.2f} x one rank's")
    if options.json:
        figures = {"benchmark": "memory", "ranks": comm.size, "mib": options.mib}
        figures |= {"one_mib": one / mib, "shared_mib": shared / mib, "each_mib": each / mib}
        Path(options.json).write_text(json.dumps(figures), encoding="ascii")


if __name__ == "__main__":
    main()
