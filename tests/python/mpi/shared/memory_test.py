# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""One replica a host: memory is there once, views lie in it, and it grows while everybody reads."""

from __future__ import annotations

from typing import Any, Callable

import pytest

Good = Callable[..., list[Any]]
MIB = 1 << 20

HELPERS = """
def segment_ranges():
    for line in open("/proc/self/maps"):
        if "memfd:exdb (" in line:
            yield tuple(int(each, 16) for each in line.split()[0].split("-"))

def in_segment(array):
    address = array.__array_interface__["data"][0]
    return any(low <= address < high for low, high in segment_ranges())

def segment_bytes():
    # What the system has given, touched or not.
    for fd in os.listdir("/proc/self/fd"):
        try:
            if "memfd:exdb (" in os.readlink(f"/proc/self/fd/{fd}"):
                return os.stat(f"/proc/self/fd/{fd}").st_blocks * 512
        except OSError:
            continue
    return None

def pss():
    for line in open("/proc/self/smaps_rollup"):
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
"""

ROWS, BYTES = 4096, 16 * 1024  # 64 MiB

# Opened once before, so that what Python and MPI take for the first time is not counted.
LOADED = f"""
import gc, numpy as np
ROWS, BYTES = {ROWS}, {BYTES}
def opened():
    return exdb.open("grid", SCHEMA, comm=comm, is_shm=size > 1, db_segment_size=4 << 20)
with opened() as db, db.connect() as con:
    put(con, rank, data=np.ones(BYTES // 8))
    comm.Barrier()
comm.Barrier()
gc.collect()
before = pss()
db = opened()
con = db.connect()
for start in range(rank * 64, ROWS, size * 64):
    with con.startTransaction():
        for key in range(start, start + 64):
            con.new("Item", key=key, data=np.full(BYTES // 8, key, dtype=float))
comm.Barrier()
with con.startTransaction(exdb.MCO_READ_ONLY, fresh=True):
    total = sum(float(item.data.sum()) for item in con.cursor("Item", "by_key"))
comm.Barrier()
gc.collect()
# Buffers of large messages are given back when they have been idle for a while.
grown = comm.allreduce(pss() - before)
for _ in range(20):
    time.sleep(0.1)
    grown = min(grown, comm.allreduce(pss() - before))
tell(grown=grown, right=total == sum(range(ROWS)) * (BYTES // 8), file=segment_bytes(),
     used=db.statistics()["memory_used_bytes"])
comm.Barrier()
con.close()
db.close()
"""


def test_four_ranks_of_a_host_take_as_much_memory_as_one(good: Good) -> None:
    """Of what is private, and what is shared counted once. The constant is what four processes
    take more than one, whatever is in the database: measured were 80 MiB and 89."""
    one = good(1, HELPERS + LOADED)[0]
    four = good(4, HELPERS + LOADED, environment={"EXDB_PRETENDED_HOSTS": "1"})
    assert one["right"]
    assert all(each["right"] for each in four)
    assert one["grown"] > ROWS * BYTES
    assert four[0]["grown"] <= 1.1 * one["grown"] + 24 * MIB
    assert {each["file"] for each in four} != {None}
    assert max(each["file"] or 0 for each in four) <= 1.2 * ROWS * BYTES + 16 * MIB


@pytest.mark.parametrize("hosts", [1, 2])
def test_views_lie_in_the_segment_and_keep_what_they_show(good: Good, hosts: int) -> None:
    told = good(
        4,
        HELPERS
        + """
import numpy as np
db = exdb.open("grid", SCHEMA, comm=comm, is_shm=True)
con = db.connect()
put(con, rank, data=np.arange(1000.0) + rank)
comm.Barrier()
with con.startTransaction(exdb.MCO_READ_ONLY, fresh=True):
    views = [item.data for item in con.cursor("Item", "by_key")]
inside = [in_segment(view) for view in views]
try:
    views[0][0] = 1
    written = True
except ValueError:
    written = False
comm.Barrier()
for turn in range(50):  # what the views show is replaced, and its memory would be used again
    with con.startTransaction():
        con.find("Item", "by_key", rank).data = np.full(1000, -1.0 - turn)
comm.Barrier()
kept = [bool((view == np.arange(1000.0) + owner).all()) for owner, view in enumerate(views)]
with con.startTransaction(exdb.MCO_READ_ONLY, fresh=True):
    now = [float(item.data[0]) for item in con.cursor("Item", "by_key")]
comm.Barrier()
con.close()
db.close()
del db, con
comm.Barrier()
after = [bool((view == np.arange(1000.0) + owner).all()) for owner, view in enumerate(views)]
del views
import gc; gc.collect()
tell(inside=inside, written=written, kept=kept, now=now, after=after,
     left=len(list(segment_ranges())))
""",
        environment={"EXDB_PRETENDED_HOSTS": str(hosts)},
    )
    for one in told:
        assert one["inside"] == [True] * 4
        assert not one["written"]
        assert one["kept"] == [True] * 4
        assert one["now"] == [-50.0] * 4
        assert one["after"] == [True] * 4
        assert one["left"] == 0


@pytest.mark.parametrize("writer", [0, 1], ids=["the leader writes", "a follower writes"])
def test_the_segment_grows_while_everybody_reads(good: Good, writer: int) -> None:
    told = good(
        4,
        HELPERS
        + f"""
import numpy as np
db = exdb.open("grid", SCHEMA, comm=comm, is_shm=True, db_segment_size=1 << 16)
con = db.connect()
if rank == 0: put(con, 0, data=np.zeros(16))
comm.Barrier()
small = segment_bytes()
comm.Barrier()
LAST = 600
wrong = looks = 0
if rank == {writer}:
    for key in range(1, LAST + 1):
        put(con, key, key, data=np.full(2000, float(key)))
else:
    while True:
        with con.startTransaction(exdb.MCO_READ_ONLY):
            keys = []
            for item in con.cursor("Item", "by_key"):
                keys.append(item.key)
                if item.key > LAST - 400 or item.key % 50 == 0:
                    wrong += not bool((item.data == float(item.value)).all())
        wrong += keys != list(range(len(keys)))  # they were committed one after the other
        looks += 1
        if len(keys) == LAST + 1:
            break
comm.Barrier()
tell(wrong=wrong, looks=looks, small=small, large=segment_bytes())
comm.Barrier()
con.close()
db.close()
""",
        environment={"EXDB_PRETENDED_HOSTS": "1"},
    )
    for rank, one in enumerate(told):
        assert one["wrong"] == 0
        assert one["looks"] > 0 or rank == writer
    grown = [one["large"] - one["small"] for one in told if one["small"] is not None]
    assert grown
    assert min(grown) > 9 * MIB
