# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Ranks that are killed or stopped, and the others that go on: nwparams={'resilient': True}."""

from __future__ import annotations

import shutil
import socket
import textwrap
from pathlib import Path
from typing import Any, Callable

import pytest

SURVIVOR = Path(__file__).resolve().parents[3] / "jobs" / "survivor"
WRAPPED = ["-disable-auto-cleanup"]
ONE_PROXY_A_RANK = [
    "-launcher",
    "fork",
    "-hosts",
    f"localhost,{socket.gethostname()},127.0.0.1",
    "-ppn",
    "1",
    "-disable-auto-cleanup",
]

# Every rank commits its own keys until `enough` says so; what was acknowledged is in `acked`.
HELPERS = """
def resilient(**nwparams):
    return exdb.ClusterParams(nodeId=rank, nwtype="MPI",
                              nwparams={"resilient": True, **nwparams}, **callbacks)
gone = []
callbacks = {"notifyCallback": lambda code, node: gone.append((int(code), node.node_id))}
acked, unknown, refused = [], [], []
def commit():
    key = len(acked) + len(unknown) + len(refused)
    try:
        put(con, 1_000_000 * rank + key, key)
        acked.append(key)
    except exdb.OutcomeUnknownError:
        unknown.append(key)
    except exdb.Error as error:
        refused.append(error.code)
def commit_until(enough):
    until = time.monotonic() + 40
    while not enough() and time.monotonic() < until:
        commit()
    return enough()
def keys_here():
    with con.startTransaction(exdb.MCO_READ_ONLY):
        return {item.key for item in con.cursor("Item", "by_key")}
def die_when(count):
    commit_until(lambda: len(acked) >= count)
    os.kill(os.getpid(), signal.SIGKILL)
def lost():
    # Of what this rank was told is committed.
    here = keys_here()
    return [key for key in acked if 1_000_000 * rank + key not in here]
def say_pid():
    with open(f"pid.{rank}.new", "w") as file: file.write(str(os.getpid()))
    os.rename(f"pid.{rank}.new", f"pid.{rank}")
def pid_of(other):
    while not os.path.exists(f"pid.{other}"): time.sleep(0.01)
    return int(open(f"pid.{other}").read())
def meet(name, ranks):
    # Without MPI and without the database: the ranks that live.
    open(f"{name}.{rank}", "w").close()
    until = time.monotonic() + 40
    while any(not os.path.exists(f"{name}.{other}") for other in ranks):
        if time.monotonic() > until: raise SystemExit(9)
        time.sleep(0.01)
"""


def processes_of(folder: Path) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str(folder) in (entry / "cmdline").read_text():
                found.append(entry.name)
        except OSError:
            continue
    return found


Start = Callable[..., Any]

# Seldom, and by MPICH's own doing (mpi/README.md): who was killed was just putting a message into
# shared memory, and its receiver hears nobody any more. The line says so.
SHUT = "left MPI's shared memory shut"


@pytest.fixture
def start(tmp_path: Path, run: Callable[..., Any], launcher: str) -> Start:
    def started(
        code: str, *, ranks: int = 3, options: list[str] = WRAPPED, again: int = 2, **more: Any
    ) -> Any:
        job = run(
            ranks,
            HELPERS + textwrap.dedent(code),
            launcher=[launcher, *options],
            wrapper=[str(SURVIVOR)] if options is WRAPPED else [],
            seconds=90,
            **more,
        )
        assert not processes_of(tmp_path / "job"), "something was left running"
        if SHUT not in job.err or not again:
            return job
        for made in tmp_path.iterdir():
            shutil.rmtree(made)
        return started(code, ranks=ranks, options=options, again=again - 1, **more)

    return started


KILLED_UNDER_LOAD = """
db = exdb.open("grid", SCHEMA, clusterParams=resilient(), timeout=20)
con = db.connect()
for path in [line.split()[-1] for line in open("/proc/self/maps") if "/dev/shm/mpich" in line]:
    segments = os.path.exists(path)
if rank == 2:
    die_when(20)
def others_know():
    return (1, 2) in gone
seen = commit_until(others_know)
before = len(acked)
went_on = commit_until(lambda: len(acked) >= before + 50)
meet("committed", [0, 1])
put(con, 5_000_000 + rank)
meet("put", [0, 1])  # a fresh read shows what was acknowledged before it
with con.startTransaction(exdb.MCO_READ_ONLY, fresh=True): pass
meet("fresh", [0, 1])
tell(seen=seen, went_on=went_on, refused=refused, lost=lost(), gone=gone, segments=segments,
     digest=db.digest(), keys=sorted(keys_here()))
con.stop()
db.close()
import atexit
atexit.register(lambda: open(f"ended.{rank}", "w").close())
"""


@pytest.mark.parametrize("options", [WRAPPED, ONE_PROXY_A_RANK], ids=["wrapped", "proxies"])
def test_one_of_three_is_killed_and_the_others_go_on(
    start: Start, options: list[str], tmp_path: Path
) -> None:
    job = start(KILLED_UNDER_LOAD, options=options)
    told = job.told[:2]
    assert None not in told, job.err + job.out
    assert job.told[2] is None
    for one in told:
        assert one["seen"], job.err
        assert one["went_on"], job.err
        assert one["lost"] == []
        assert one["refused"] == []
        assert [1, 2] in one["gone"]
        assert not one["segments"], "MPICH's segment would stay in /dev/shm"
    assert told[0]["digest"] == told[1]["digest"]
    assert told[0]["keys"] == told[1]["keys"]
    # What the dead was told is committed: it knew of at least 20 before it died.
    assert {2_000_000 + key for key in range(20)} <= set(told[0]["keys"])
    assert {path.name for path in (tmp_path / "job").glob("ended.*")} == {"ended.0", "ended.1"}
    if options is WRAPPED:
        assert job.code == 0, job.err
        assert "rank 2 was ended by signal 9" in job.err


def test_two_of_three_are_killed_and_the_last_one_reads(start: Start) -> None:
    job = start(
        """
        db = exdb.open("grid", SCHEMA, clusterParams=resilient(), timeout=3)
        con = db.connect()
        if rank != 0:
            die_when(5)
        commit_until(lambda: (1, 1) in gone and (1, 2) in gone)
        commit_until(lambda: 905 in refused)
        again = failure(lambda: put(con, 77))
        tell(refused=sorted(set(refused)), again=again, lost=lost())
        db.close()
        """
    )
    assert job.code == 0, job.err
    told = job.told[0]
    assert told is not None, job.err + job.out
    assert told["refused"] == [905]
    assert told["again"][1] == 905
    assert told["lost"] == []


def test_two_of_three_are_killed_and_the_last_one_goes_on_by_its_quorum_callback(
    start: Start,
) -> None:
    job = start(
        """
        asked = []
        callbacks["quorumCallback"] = lambda neighbours: asked.append(neighbours) or rank == 0
        db = exdb.open("grid", SCHEMA, clusterParams=resilient(), timeout=20)
        con = db.connect()
        if rank != 0:
            die_when(5)
        commit_until(lambda: (1, 1) in gone and (1, 2) in gone)
        before = len(acked)
        went_on = commit_until(lambda: len(acked) >= before + 20)
        tell(went_on=went_on, asked=asked, refused=refused, lost=lost())
        db.close()
        """
    )
    assert job.code == 0, job.err
    told = job.told[0]
    assert told is not None, job.err + job.out
    assert told["went_on"], job.err
    assert told["asked"][-1] == []
    assert told["refused"] == []
    assert told["lost"] == []


def test_a_stopped_rank_is_left_out_and_joins_again(start: Start) -> None:
    job = start(
        """
        db = exdb.open("grid", SCHEMA, timeout=20,
                       clusterParams=resilient(keepAliveTime=100, keepAliveProbes=5))
        con = db.connect()
        commit()
        meet("open", [0, 1, 2])
        if rank == 2:
            say_pid()
            joined = commit_until(lambda: os.path.exists("woken") and
                                  os.path.exists("went_on.1") and acked and acked[-1] > 1)
            after = len(acked)
            commit_until(lambda: len(acked) >= after + 3)
        else:
            if rank == 0:
                pid = pid_of(2)
                os.kill(pid, signal.SIGSTOP)
            out = commit_until(lambda: (1, 2) in gone)
            before = len(acked)
            joined = out and commit_until(lambda: len(acked) >= before + 20)
            meet("went_on", [0, 1])
            if rank == 0:
                open("woken", "w").close()
                os.kill(pid, signal.SIGCONT)
            commit_until(lambda: gone.count((0, 2)) >= 1 and (0, 2) in gone[gone.index((1, 2)):])
        meet("joined", [0, 1, 2])
        with con.startTransaction(exdb.MCO_READ_ONLY, fresh=True): pass
        meet("fresh", [0, 1, 2])
        tell(joined=joined, lost=lost(), digest=db.digest(), refused=sorted(set(refused)))
        con.stop()
        db.close()
        """
    )
    assert job.code == 0, job.err
    assert None not in job.told, job.err + job.out
    assert all(one["joined"] for one in job.told), job.err
    assert [one["lost"] for one in job.told] == [[], [], []]
    assert len({one["digest"] for one in job.told}) == 1
    assert "this process ends without MPI_Finalize" not in job.err


def test_who_hears_nobody_after_a_death_says_what_it_may_be(start: Start) -> None:
    job = start(
        """
        db = exdb.open("grid", SCHEMA, timeout=20,
                       clusterParams=resilient(keepAliveTime=100, keepAliveProbes=5))
        con = db.connect()
        commit()
        meet("open", [0, 1, 2])
        say_pid()
        if rank == 0:
            to_stop, to_kill = pid_of(1), pid_of(2)
            os.kill(to_stop, signal.SIGSTOP)
            os.kill(to_kill, signal.SIGKILL)
            alone = commit_until(lambda: 905 in refused and (1, 1) in gone and (1, 2) in gone)
            time.sleep(1)
            os.kill(to_stop, signal.SIGCONT)
        else:
            alone = rank == 1 or time.sleep(60)
        refused.clear()
        again = commit_until(lambda: len(acked) > 5)
        meet("again", [0, 1])
        tell(alone=alone, again=again)
        con.stop()
        db.close()
        """,
        again=0,
    )
    told = job.told[:2]
    assert None not in told, job.err + job.out
    assert all(one["alone"] and one["again"] for one in told), job.err
    assert job.err.count(SHUT) == 1, job.err
    line = "exdb[node 0]: nothing has come from node 1 since node 2 died, though its process lives"
    assert line in job.err


def test_exit_codes_are_the_programs_own(start: Start) -> None:
    """Where a rank is dead, MPI_Finalize would hang: Python ends as it would have, all the same."""
    job = start(
        """
        import atexit
        db = exdb.open("grid", SCHEMA, clusterParams=resilient(), timeout=20)
        con = db.connect()
        commit()
        meet("open", [0, 1, 2])
        if rank == 2:
            die_when(5)
        atexit.register(lambda: open(f"atexit.{rank}", "w").close())
        commit_until(lambda: (1, 2) in gone)
        tell(gone=gone)
        if rank == 1:
            raise SystemExit(7)
        db.close()
        meet("atexit", [1])
        """
    )
    assert None not in job.told[:2], job.err + job.out
    assert job.code == 7, job.err
    assert "this process ends without MPI_Finalize: node 2 is dead" in job.err


def test_all_live_and_end_as_ever(start: Start) -> None:
    job = start(
        """
        for turn in range(3):
            with exdb.open("grid", SCHEMA, clusterParams=resilient()) as db, db.connect() as con:
                put(con, rank)
                con.stop()
                rows = db.statistics()["rows"]
        tell(rows=rows, gone=gone)
        """
    )
    assert job.code == 0, job.err
    assert [one["rows"] for one in job.told] == [3, 3, 3]
    assert job.err == ""


def test_different_schemas_are_refused_on_every_rank(start: Start) -> None:
    job = start(
        """
        schema = SCHEMA if rank != 1 else SCHEMA.replace("string text", "string words")
        tell(failure=failure(lambda: exdb.open("grid", schema, clusterParams=resilient())))
        """
    )
    assert job.code == 0, job.err
    assert all(one["failure"][1] == 907 for one in job.told)
    assert all("dictionaries" in one["failure"][2] for one in job.told)


@pytest.mark.parametrize("bad", ["keepAliveProbes=0", "keepAliveTime='long'", "keepAlive=1"])
def test_wrong_parameters_are_refused_on_every_rank(start: Start, bad: str) -> None:
    job = start(
        f"""
        wrong = resilient({bad}) if rank == 1 else resilient()
        tell(failure=failure(lambda: exdb.open("grid", SCHEMA, clusterParams=wrong)))
        """
    )
    assert job.code == 0, job.err
    assert all(one["failure"][1] == 902 for one in job.told)


def test_without_it_the_job_ends_at_once(tmp_path: Path, run: Callable[..., Any]) -> None:
    # As ./jobs/run does it.
    job = run(
        3,
        """
        db = exdb.open("grid", SCHEMA, comm=comm)
        with db.connect() as con:
            put(con, rank)
            comm.Barrier()
            tell(pid=os.getpid())
            if rank == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            for key in range(10, 10_000_000):
                put(con, 10_000_000 * rank + key)
        """,
        wrapper=[str(SURVIVOR), "--end-job"],
    )
    assert job.code == 9
    assert "signal 9" in job.out + job.err
    line = "exdb: rank 2 was ended by signal 9 (KILL), and the job ends with it"
    assert (job.out + job.err).count("was ended by signal") == 1
    assert line in job.out + job.err
    assert not processes_of(tmp_path / "job")


ON_DISK = """
def opened(**more):
    return exdb.open("grid", SCHEMA, clusterParams=resilient(), timeout=20, is_disk=True,
                     path=PATH, **more)
"""


def test_on_disk_a_job_that_lost_a_rank_is_started_again_with_all(
    start: Start, tmp_path: Path
) -> None:
    on_disk = ON_DISK.replace("PATH", repr(str(tmp_path / "grid")))
    first = start(
        on_disk
        + """
db = opened()
con = db.connect()
if rank == 2:
    die_when(10)
seen = commit_until(lambda: (1, 2) in gone)
before = len(acked)
went_on = commit_until(lambda: len(acked) >= before + 10)
if rank == 0:
    db.snapshot("two")
db.checkpoint()
tell(went_on=seen and went_on, acked=[1_000_000 * rank + key for key in acked])
meet("told", [0, 1])
con.stop()
db.close()
"""
    )
    told = first.told[:2]
    assert None not in told, first.err + first.out
    assert all(one["went_on"] for one in told), first.err
    second = start(
        on_disk
        + """
db = opened()
con = db.connect()
put(con, 5_000_000 + rank)
meet("put", [0, 1, 2])
with con.startTransaction(exdb.MCO_READ_ONLY, fresh=True): pass
tell(keys=sorted(keys_here()), recovered=db.recovered, names=db.snapshots())
meet("told", [0, 1, 2])
con.stop()
db.close()
"""
    )
    assert None not in second.told, second.err + second.out
    acked = {key for one in told for key in one["acked"]}
    for one in second.told:
        assert acked | {5_000_000 + rank for rank in range(3)} <= set(one["keys"])
        assert "rounds of the log" in one["recovered"]
        assert list(one["names"]) == ["two"]  # also where it was not when that was given
        assert one["names"] == second.told[0]["names"]
    fewer = start(on_disk + "\ntell(error=failure(opened))\n", ranks=2)
    for one in fewer.told:
        assert one["error"][0] == "IncompatibleError", fewer.err
        assert "another cluster" in one["error"][2]
