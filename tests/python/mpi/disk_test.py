# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Databases of a job on disk: opened again with the same, fewer and more ranks."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path
from typing import Any, Callable

import pytest
from disk_programs import LOOK

Good = Callable[..., list[Any]]
Run = Callable[..., Any]

# What all programs here begin with: `opened()` is the database of this job.
BEGIN = """
def opened(**more):
    return exdb.open("grid", SCHEMA, comm=comm, **{"is_disk": True, "path": "../grid",
                                                   "is_shm": SHM, **more})
"""


def program(body: str, shm: bool = False) -> str:
    return f"SHM = {shm}\n{BEGIN}{LOOK}\n{textwrap.dedent(body)}"


WRITE = """
        with opened() as db:
            put_all(db, FIRST, 10)
            tell(**look(db))
"""
READ = """
        with opened() as db:
            tell(**look(db))
"""


def write(good: Good, ranks: int, first: int, shm: bool = False) -> list[Any]:
    return good(ranks, program(WRITE.replace("FIRST", str(first)), shm))


def read(good: Good, ranks: int, shm: bool = False) -> list[Any]:
    told = good(ranks, program(READ, shm))
    assert len({one["digest"] for one in told}) == 1
    assert all(one["keys"] == told[0]["keys"] for one in told)
    return told


@pytest.mark.parametrize("shm", [False, True])
def test_what_was_committed_is_there_for_any_number_of_ranks(
    good: Good, tmp_path: Path, shm: bool
) -> None:
    keys = list(range(20))
    before = write(good, 2, 0, shm)
    for ranks in (2, 1, 3, 2):
        told = read(good, ranks, shm)
        assert told[0]["keys"] == keys
        assert told[0]["digest"] == before[0]["digest"]
    assert "recovered to round" in told[0]["recovered"]
    assert all(one["recovered"].split(" in ")[0] == told[0]["recovered"].split(" in ")[0]
               for one in told)  # fmt: skip
    folders = {each.name for each in (tmp_path / "grid").iterdir() if each.is_dir()}
    assert folders == ({"node-0"} if shm else {"node-0", "node-1", "node-2"})


def test_a_rank_without_its_folder_is_given_what_the_others_have(
    good: Good, tmp_path: Path
) -> None:
    write(good, 3, 0)
    shutil.rmtree(tmp_path / "grid" / "node-0")
    told = read(good, 3)
    assert told[0]["keys"] == list(range(30))
    assert "node 0 by a copy of it" in told[1]["recovered"]


def test_a_folder_of_before_is_given_the_rounds_it_lacks(good: Good, tmp_path: Path) -> None:
    grid = tmp_path / "grid"
    write(good, 2, 0)
    shutil.copytree(grid / "node-1", tmp_path / "old")
    write(good, 2, 20)
    shutil.rmtree(grid / "node-1")
    shutil.move(tmp_path / "old", grid / "node-1")
    told = read(good, 2)
    assert told[0]["keys"] == list(range(40))
    assert "node 1 caught up by rounds" in told[0]["recovered"]
    assert read(good, 2)[1]["keys"] == list(range(40))


def test_the_folder_of_a_rank_that_is_not_there_any_more_counts(good: Good, tmp_path: Path) -> None:
    """Rank 2 alone has the newest commits: it was opened as one of more ranks than now."""
    grid = tmp_path / "grid"
    write(good, 3, 0)
    for node in (0, 1):
        shutil.copytree(grid / f"node-{node}", tmp_path / f"old-{node}")
    write(good, 3, 30)
    for node in (0, 1):
        shutil.rmtree(grid / f"node-{node}")
        shutil.move(tmp_path / f"old-{node}", grid / f"node-{node}")
    told = read(good, 2)
    assert told[0]["keys"] == list(range(60))
    assert "left alone, of nodes that keep none now: " in told[0]["recovered"]
    assert "node-2'" in told[0]["recovered"]
    # The copy of rank 2 is older than what comes now, and is taken for that.
    write(good, 2, 60)
    assert read(good, 3)[2]["keys"] == list(range(80))


def test_copies_that_went_different_ways_are_refused_on_every_rank(
    run: Run, good: Good, tmp_path: Path
) -> None:
    grid = tmp_path / "grid"
    write(good, 2, 0)
    shutil.copytree(grid, tmp_path / "other")
    write(good, 2, 20)
    shutil.move(grid, tmp_path / "one")
    shutil.move(tmp_path / "other", grid)
    write(good, 2, 40)
    shutil.rmtree(grid / "node-1")
    shutil.copytree(tmp_path / "one" / "node-1", grid / "node-1")
    told = run(2, program("\n        tell(error=failure(opened))"), seconds=60).told
    for one in told:
        name, code, text = one["error"]
        assert (name, code) == ("InconsistentReplicaError", 2005)
        assert "have gone different ways" in text
        assert "node-0'" in text
        assert "node-1'" in text
    # The remedy that it names.
    shutil.rmtree(grid / "node-1")
    assert read(good, 2)[1]["keys"] == [*range(20), *range(40, 60)]


def break_log(grid: Path) -> str:
    """Flips a byte of an acknowledged record, of which records behind it tell."""
    log = sorted((grid / "node-1").glob("log-*"))[0]
    bytes_ = bytearray(log.read_bytes())
    at = bytes_.index(b"tttt")
    bytes_[at] ^= 1
    log.write_bytes(bytes_)
    return log.name


def newer_format(grid: Path) -> str:
    base = grid / "node-1" / "database"
    bytes_ = bytearray(base.read_bytes())
    bytes_[8] = 99
    base.write_bytes(bytes_)
    return "format 99"


@pytest.mark.parametrize(
    ("breaks", "name"),
    [(break_log, "DiskDamagedError"), (newer_format, "DiskFormatError")],
)
def test_what_one_rank_finds_wrong_is_raised_on_all(
    run: Run, good: Good, tmp_path: Path, breaks: Callable[[Path], str], name: str
) -> None:
    write(good, 2, 0)
    what = breaks(tmp_path / "grid")
    told = run(2, program("\n        tell(error=failure(opened))")).told
    assert told[0]["error"] == told[1]["error"]
    assert told[0]["error"][0] == name
    assert "node 1: " in told[0]["error"][2]
    assert what in told[0]["error"][2]
    if name == "DiskDamagedError":
        assert "at offset " in told[0]["error"][2]


def test_another_schema_and_ranks_that_disagree_are_refused_on_all(run: Run, good: Good) -> None:
    write(good, 2, 0)
    told = run(
        2,
        program(
            """
        wrong = failure(lambda: opened(is_disk=rank == 0))
        resilient = failure(lambda: opened(clusterParams=exdb.ClusterParams(
            nwtype="MPI", nwparams={"resilient": True})))
        SCHEMA = SCHEMA.replace("string text; }", "string text; int4 more; }")
        tell(schema=failure(opened), wrong=wrong, resilient=resilient)
"""
        ),
    ).told
    for what in ("schema", "wrong"):
        assert told[0][what] == told[1][what]
    assert told[0]["schema"][0] == "SchemaChangedError"
    assert "'Note'" in told[0]["schema"][2] or "Note" in told[0]["schema"][2]
    assert told[0]["wrong"][0] == "IncompatibleError"
    assert "is_disk" in told[0]["wrong"][2]
    # Each node of those that come and go opens its own folder, and names that.
    assert all(one["resilient"][0] == "NotSupportedError" for one in told)


def test_rows_of_transient_classes_are_gone_and_numbers_are_not_given_twice(good: Good) -> None:
    body = """
        SCHEMA = '''
        transient class Here { int4 number; unique tree<number> by_number; };
        class Row { int4 of; autoid; };
        '''
        with opened() as db, db.connect() as con:
            with con.startTransaction(exdb.MCO_READ_ONLY):
                here = len(list(con.cursor("Here")))
            comm.Barrier()
            for number in range(5):
                with con.startTransaction() as transaction:
                    con.new("Here", number=10 * rank + number)
                    con.new("Row", of=rank)
            comm.Barrier()
            db.checkpoint()
            comm.Barrier()
            with con.startTransaction(exdb.MCO_READ_ONLY, fresh=True):
                tell(here=here, rows=len({row.autoid for row in con.cursor("Row")}),
                     statistics=db.statistics())
"""
    for life in (1, 2, 3):
        told = good(2, program(body))
        assert [one["here"] for one in told] == [0, 0]
        assert [one["rows"] for one in told] == [10 * life, 10 * life]
    assert all(one["statistics"]["checkpoints"] == 1 for one in told)


def test_a_rank_beside_its_leader_gives_no_number_a_second_time(good: Good) -> None:
    """It has given more than its leader, and than the clock says; most of them in no commit."""
    body = """
        import numpy
        SCHEMA = "class Row { int4 of; autoid; };"
        with opened() as db, db.connect() as con:
            comm.Barrier()
            for turn in range(12 if rank == 1 and FIRST else 0):
                con.startTransaction()
                con.insert_many("Row", {"of": numpy.zeros(1 << 17, "i4")})
                con.rollback()
            with con.startTransaction():
                given = con.new("Row", of=rank).autoid
            with con.startTransaction(), con.cursor("Row") as all:
                ours = [row for row in all if row.of == rank]
                for row in ours: row.remove()
            comm.Barrier()
            tell(given=given)
"""
    first, second = (
        [
            one["given"]
            for one in good(2, program(f"FIRST = {life == 1}\n" + textwrap.dedent(body), True))
        ]
        for life in (1, 2)
    )
    assert first[0] < second[0]
    assert first[1] < second[1]


def test_a_rank_whose_disk_fails_says_so_and_the_others_go_on(run: Run) -> None:
    """A limit on the size of files stands for a full disk."""
    told = run(
        3,
        program(
            """
        import resource
        db = opened(checkpoint_bytes=0)
        con = db.connect()
        put(con, rank)
        comm.Barrier()
        error = None
        if rank == 1:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
            for key in range(100, 300):
                error = failure(lambda: put(con, key, text="t" * 1000))
                if error:
                    break
            again = failure(lambda: put(con, 1000))
            tell(error=error, again=again)
            db.abandon()
        else:
            deadline = time.time() + 30
            while db.cluster_info().nodes[1].reached and time.time() < deadline:
                time.sleep(0.02)
            put(con, 5000 + rank)
            db.close()
            tell(reached=True)
"""
        ),
    ).told
    name, _, text = told[1]["error"]
    assert name in ("OutcomeUnknownError", "DiskError"), text
    assert "node-1/log-" in text
    assert "node-1/log-" in told[1]["again"][2]
    assert told[1]["again"][0] == "DiskError"
    assert told[0] == told[2] == {"reached": True}
