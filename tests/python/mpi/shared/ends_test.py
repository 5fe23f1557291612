# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""One replica a host: ends in every order, ranks that are killed, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable

import pytest

Good = Callable[..., list[Any]]
Run = Callable[..., Any]

SURVIVOR = Path(__file__).resolve().parents[4] / "jobs" / "survivor"
TWO_HOSTS = {"EXDB_PRETENDED_HOSTS": "2"}


def mapped_by_the_job(folder: Path) -> list[str]:
    """Processes of the job that are there, by their command lines."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str(folder) in (entry / "cmdline").read_text():
                found.append(entry.name)
        except OSError:
            continue
    return found


def segments() -> set[str]:
    return {path.name for path in Path("/dev/shm").iterdir() if "exdb" in path.name}


@pytest.mark.parametrize("hosts", [1, 2])
def test_close_in_any_order_many_times(good: Good, hosts: int) -> None:
    told = good(
        4,
        """
        def count(what):
            return len(os.listdir(what))
        rows = []
        for turn in range(6):
            with exdb.open("grid", SCHEMA, comm=comm, is_shm=True) as db, db.connect() as con:
                put(con, rank)
                time.sleep(0.003 * ((rank + turn) % size))  # another one is first each time
                if turn % 3 == 0:
                    con.stop()
                elif turn % 3 == 1:
                    con.close()
            db.close()
            rows.append(failure(lambda: db.connect()) is not None)
            del db, con  # who holds a database holds its memory
            if turn == 2:
                before = count("/proc/self/fd")
        tell(rows=rows, before=before, after=count("/proc/self/fd"),
             maps=open("/proc/self/maps").read().count("memfd:exdb"))
        """,
        environment={"EXDB_PRETENDED_HOSTS": str(hosts)},
    )
    for one in told:
        assert one["rows"] == [True] * 6
        assert one["after"] == one["before"]
        assert one["maps"] == 0


@pytest.mark.parametrize("raising", [0, 1, 3])
def test_an_exception_on_a_leader_or_a_follower_ends_with_its_traceback(
    run: Run, tmp_path: Path, raising: int
) -> None:
    job = run(
        4,
        f"""
        with exdb.open("grid", SCHEMA, comm=comm, is_shm=True, timeout=15) as db:
            with db.connect() as con:
                put(con, rank)
                comm.Barrier()
                if rank == {raising}:
                    raise RuntimeError("on purpose")
                with con.startTransaction(exdb.MCO_READ_ONLY, fresh=False):
                    tell(rows=con.count("Item"))
        """,
        environment=TWO_HOSTS,
    )
    assert job.code == 1, job.err
    assert "RuntimeError: on purpose" in job.err
    assert not mapped_by_the_job(tmp_path / "job")
    for rank, one in enumerate(job.told):
        # All four are there at the leader's; a follower of another host may be a round behind.
        assert (one is None) == (rank == raising), job.err


@pytest.mark.parametrize("closing", ["no rank", "the followers", "the leaders"])
def test_programs_that_end_without_a_close_do_not_hang(
    good: Good, tmp_path: Path, closing: str
) -> None:
    closes = {"no rank": "False", "the followers": "rank % 2 == 1", "the leaders": "rank % 2 == 0"}
    told = good(
        4,
        f"""
        db = exdb.open("grid", SCHEMA, comm=comm, is_shm=True, timeout=20)
        con = db.connect()
        put(con, rank)
        with con.startTransaction(exdb.MCO_READ_ONLY):
            there = con.find("Item", "by_key", rank) is not None
        comm.Barrier()
        # Whoever closes after its leader has gone hears of it.
        left = failure(db.close) if {closes[closing]} else None
        tell(there=there, left=left and left[:2])
        """,
        environment=TWO_HOSTS,
    )
    assert [one["there"] for one in told] == [True] * 4
    assert all(one["left"] in (None, ["ClusterError", 900]) for one in told)
    assert not mapped_by_the_job(tmp_path / "job")


def test_a_follower_that_leaves_holds_up_nobody_and_the_others_go_on(good: Good) -> None:
    told = good(
        4,
        """
        db = exdb.open("grid", SCHEMA, comm=comm, is_shm=True, timeout=20)
        con = db.connect()
        put(con, rank)
        comm.Barrier()
        if rank == 1:
            db.abandon()
            tell(failed=failure(lambda: db.connect()))
        else:
            for i in range(20):
                put(con, 100 * (rank + 1) + i)
            with con.startTransaction(exdb.MCO_READ_ONLY):
                mine = [item.key for item in con.cursor("Item", "by_key")
                        if 100 * (rank + 1) <= item.key < 100 * (rank + 2)]
            db.close()
            tell(mine=len(mine))
        comm.Barrier()
        """,
        environment={"EXDB_PRETENDED_HOSTS": "1"},
    )
    assert told[1]["failed"]
    assert [told[rank]["mine"] for rank in (0, 2, 3)] == [20] * 3


# Pairs of rows that sum up to 0 in every state. Readers look at all of them, again and again, until
# `enough`; whatever a writer was doing when it was killed, no reader may see half of it.
PAIRS = """
PAIRS = 20
db = exdb.open("grid", SCHEMA, comm=comm, is_shm=True, timeout=4)
con = db.connect()
if rank == 0:
    with con.startTransaction():
        for i in range(PAIRS):
            con.new("Item", key=2 * i)
            con.new("Item", key=2 * i + 1)
comm.Barrier()
with con.startTransaction(exdb.MCO_READ_ONLY, fresh=True): pass
comm.Barrier()
open(f"pid.{rank}", "w").write(str(os.getpid()))

def write(turn):
    pair = (turn * size + rank) % PAIRS
    con.startTransaction()
    try:
        one, two = (con.find("Item", "by_key", 2 * pair + i) for i in range(2))
        one.value, one.text = turn, "a" * (turn % 300)
        two.value, two.text = -turn, "b" * (turn % 300)
        con.commit()
        return None
    except exdb.ConflictError:
        return None
    except exdb.Error as error:
        return [type(error).__name__, error.code]

def wrong():
    with con.startTransaction(exdb.MCO_READ_ONLY):
        rows = {item.key: (item.value, len(item.text)) for item in con.cursor("Item", "by_key")}
    halves = [(rows[2 * i], rows[2 * i + 1]) for i in range(PAIRS)]
    bad = [one for one, two in halves if one[0] != -two[0] or one[1] != two[1]]
    return len(rows) != 2 * PAIRS or bool(bad)

def gone(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True

def all_pids():
    while True:
        try:
            return [int(open(f"pid.{each}").read()) for each in range(size)]
        except (OSError, ValueError):
            time.sleep(0.01)
"""

KILLED = (
    PAIRS
    + """
victim = int(os.environ["EXDB_TEST_VICTIM"])
pids = all_pids()
corrupt = reads = 0
refused = []
if rank == victim:
    def die():
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGKILL)
    threading.Thread(target=die).start()
for turn in range(1, 1_000_000):
    dead = gone(pids[victim])
    if not refused:
        error = write(turn)
        if error: refused.append(error)
    corrupt += wrong()
    reads += 1
    if dead:
        break
# Once it is gone: 300 more looks, and a write that comes back, whatever it says.
for turn in range(300):
    corrupt += wrong()
    reads += 1
last = write(7)
state = db.state
corrupt += wrong()
# Nobody leaves before all that live have come here: by files, as MPI waits for the dead.
open(f"met.{rank}", "w").close()
until = time.monotonic() + 40
def met():
    return sum(name.startswith("met.") for name in os.listdir())
while time.monotonic() < until and met() < size - 1:
    corrupt += wrong()
    time.sleep(0.01)
closed = failure(db.close)  # comes back, whoever is dead
tell(corrupt=corrupt, reads=reads, last=last, refused=refused, reads_on=state.reads, closed=closed)
sys.stdout.flush()
os._exit(0)  # MPI_Finalize would wait for the dead
"""
)


@pytest.mark.parametrize("victim", [0, 1], ids=["a leader", "a follower"])
@pytest.mark.parametrize("hosts", [1, 2])
def test_a_rank_is_killed_and_the_reads_of_the_others_stay_whole(
    run: Run, launcher: str, tmp_path: Path, victim: int, hosts: int
) -> None:
    before = segments()
    job = run(
        4,
        KILLED,
        launcher=[launcher, "-disable-auto-cleanup"],
        wrapper=[str(SURVIVOR)],
        environment={"EXDB_PRETENDED_HOSTS": str(hosts), "EXDB_TEST_VICTIM": str(victim)},
        seconds=90,
    )
    assert not mapped_by_the_job(tmp_path / "job"), "something was left running"
    assert job.told[victim] is None
    for rank, one in enumerate(job.told):
        if rank == victim:
            continue
        assert one is not None, job.err + job.out
        assert one["corrupt"] == 0
        assert one["reads"] >= 300
        assert one["reads_on"]
        if victim == 1:  # it led nobody: all go on as before
            assert one["last"] is None, one
            assert one["refused"] == []
            assert one["closed"] is None, one
        else:
            assert one["last"] is not None, one
            assert one["closed"] is not None, one
            if hosts == 1 or rank == 1:  # it names who has gone, and what to do
                assert "the leader of this host, node 0, has ended" in one["closed"][2], one
                assert "start it again" in one["closed"][2], one
    assert segments() == before


def test_all_are_killed_at_once_and_nothing_is_left(
    launcher: str, prelude: str, tmp_path: Path
) -> None:
    before = segments()
    folder = tmp_path / "job"
    folder.mkdir()
    script = folder / "program.py"
    script.write_text(prelude + PAIRS + "turn = 0\nwhile True:\n    turn += 1\n    write(turn)\n")
    process = subprocess.Popen(
        [launcher, "-n", "4", sys.executable, str(script)],
        cwd=folder,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={
            **os.environ,
            **TWO_HOSTS,
            "EXDB_TEST_OUT": str(folder),
            "EXDB_TEST_SECONDS": "60",
        },
    )
    for _ in range(600):
        if len(list(folder.glob("pid.*"))) == 4:
            break
        time.sleep(0.1)
    assert len(list(folder.glob("pid.*"))) == 4
    time.sleep(0.3)  # in the midst of their commits
    pids = [int(path.read_text()) for path in folder.glob("pid.*")]
    maps = [Path(f"/proc/{pid}/maps").read_text() for pid in pids]
    assert all("memfd:exdb" in text for text in maps)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    process.wait(timeout=30)
    for _ in range(300):
        if not mapped_by_the_job(folder):
            break
        time.sleep(0.1)
    assert not mapped_by_the_job(folder)
    assert segments() == before


def test_databases_that_followers_close_in_opposite_order_end_with_an_error(good: Good) -> None:
    """Rank 3, which leads nobody, closes B first, all others A: nobody waits for ever."""
    told = good(
        4,
        """
        dbs = [exdb.open(name, SCHEMA, comm=comm, is_shm=True, timeout=2) for name in "AB"]
        comm.Barrier()
        said = [failure(db.close) for db in (reversed(dbs) if rank == 3 else dbs)]
        tell(said=said)
        for db in dbs:
            db.abandon()
        """,
        environment=TWO_HOSTS,
    )
    first = [one["said"][0] for one in told]
    for rank in (2, 3):
        assert first[rank][:2] == ["ClusterError", 900], told
        assert f"opposite order: node {rank} closes" in first[rank][2]
    assert first[0] is None, told


def test_a_follower_whose_leader_has_left_knows_how_its_transactions_ended(good: Good) -> None:
    told = good(
        4,
        """
        db = exdb.open("grid", SCHEMA, comm=comm, is_shm=True, timeout=20)
        con = db.connect()
        put(con, rank)
        conflict = None
        if rank == 1:
            with db.connect() as other:
                for each in (con, other):
                    each.startTransaction()
                    each.find("Item", "by_key", 1).value = 2
                    each.commit_later()
                con.wait()
                try:
                    other.wait()
                except exdb.ConflictError as error:
                    conflict = error.txid
            sequence = conflict.sequence
        comm.Barrier()
        outcomes = None
        if rank == 0:
            db.abandon()
        comm.Barrier()
        if rank == 1:
            while not db.state.text:
                time.sleep(0.01)
            outcomes = [db.outcome((1, sequence + more)).value for more in (-1, 0, 1)]
        comm.Barrier()
        db.abandon()
        tell(outcomes=outcomes, conflict=conflict)
        """,
        environment=TWO_HOSTS,
    )
    assert told[1]["outcomes"] == ["committed", "aborted", "unknown"], told
