# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Databases of a job on disk: the tools, names, and the signal before the end of its time."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path
from typing import Any, Callable

import pytest

from exdb.__main__ import main

Good = Callable[..., list[Any]]
Run = Callable[..., Any]

OPEN = 'exdb.open("grid", SCHEMA, comm=comm, is_disk=True, path="../grid", on_preempt=True)'
WRITE = f"""
    with {OPEN} as db, db.connect() as con:
        for i in range(10):
            put(con, i * size + rank)
        comm.Barrier()
        if rank == 0:
            db.snapshot("named")
        comm.Barrier()
        put(con, 1000 + rank)
        comm.Barrier()
        db.checkpoint()
        comm.Barrier()
        con.startTransaction(exdb.MCO_READ_ONLY, fresh=True)
        con.rollback()
        tell(digest=f"{{db.digest():016x}}", csn=db.snapshots()["named"])
"""
READ = f"""
    with {OPEN} as db:
        with db.at("named") as con, con.startTransaction(exdb.MCO_READ_ONLY):
            keys = sorted(row.key for row in con.cursor("Item"))
        comm.Barrier()
        tell(keys=keys, names=db.snapshots())
"""


def tool(*arguments: object) -> tuple[int, str]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        code = main([str(each) for each in arguments])
    return code, out.getvalue()


SHM = OPEN.replace("on_preempt=True", "on_preempt=True, is_shm=True")


def test_ranks_of_a_host_give_and_read_names(good: Good) -> None:
    """By the leader and by others, in the life that gave them, and after a restart."""
    how = {"environment": {"EXDB_PRETENDED_HOSTS": "2"}}
    told = good(
        4,
        f"""
    def at(db, name):
        with db.at(name) as con, con.startTransaction(exdb.MCO_READ_ONLY):
            return sorted(row.key for row in con.cursor("Item"))

    with {SHM} as db, db.connect() as con:
        names = db.snapshots()
        for turn in range(3):
            put(con, 100 * len(names) + 4 * turn + rank)
            comm.Barrier()
            if turn < 2 and not names and rank == (3, 0)[turn]:
                db.snapshot(f"turn {{turn}}")
            comm.Barrier()
        again = failure(lambda: db.snapshot("turn 1"))
        there = {{name: at(db, name) for name in db.snapshots()}}
        held = db.at("turn 0")
        comm.Barrier()
        db.checkpoint()
        comm.Barrier()
        if rank == 2:
            db.snapshot("short")
            db.drop_snapshot("short")
        comm.Barrier()
        with held, held.startTransaction(exdb.MCO_READ_ONLY):
            kept = len(list(held.cursor("Item")))
        # A commit that drops a name has returned where it was made; elsewhere it may come later.
        con.startTransaction(exdb.MCO_READ_ONLY, fresh=True)
        con.rollback()
        tell(again=again, there=there, kept=kept, none=failure(lambda: db.at("short")))
        """,
        **how,
    )
    for one in told:
        assert one["again"][0] == "DuplicateKeyError"
        assert one["there"] == {"turn 0": list(range(4)), "turn 1": list(range(8))}
        assert one["kept"] == 4
        assert one["none"][0] == "NotFoundError"
    after = good(
        4,
        f"""
    with {SHM} as db:
        names = {{}}
        for name in db.snapshots():
            with db.at(name) as con, con.startTransaction(exdb.MCO_READ_ONLY):
                names[name] = sorted(row.key for row in con.cursor("Item"))
        comm.Barrier()
        tell(there=names)
        """,
        **how,
    )
    assert all(one["there"] == told[0]["there"] for one in after)


def test_names_are_there_again_on_all_ranks(good: Good, tmp_path: Path) -> None:
    """Also on ranks that had no folder, or have lost it: it comes with the files."""
    before = good(2, WRITE)
    for ranks, lost in ((2, None), (3, "node-0")):
        if lost:
            shutil.rmtree(tmp_path / "grid" / lost)
        told = good(ranks, READ)
        assert all(one["names"] == {"named": before[0]["csn"]} for one in told)
        assert all(one["keys"] == list(range(20)) for one in told)


def test_the_tools_read_the_folders_of_a_job(good: Good, tmp_path: Path) -> None:
    told = good(2, WRITE)
    grid = tmp_path / "grid"
    code, out = tool("inspect", grid, "--json")
    report = json.loads(out)
    assert code == 0, out
    assert report["forks"] == []
    assert [node["state"]["digest"] for node in report["nodes"]] == [told[0]["digest"]] * 2
    assert [node["state"]["rows"]["Item"] for node in report["nodes"]] == [22, 22]
    code, out = tool("replay", grid, "--json")
    assert (code, json.loads(out)["digest"]) == (0, told[0]["digest"])
    assert tool("backup", grid, tmp_path / "copy")[0] == 0
    shutil.rmtree(grid)
    assert tool("restore", tmp_path / "copy", grid)[0] == 0
    assert good(2, READ)[1]["keys"] == list(range(20))


def test_the_log_tells_which_rank_wrote(good: Good, tmp_path: Path) -> None:
    good(2, WRITE.replace("        db.checkpoint()\n", ""))
    code, out = tool("log", tmp_path / "grid" / "node-0", "--class", "Item", "--json")
    assert code == 0
    logged = [json.loads(line) for line in out.splitlines()]
    writers = {each["writes"][0]["key"]: each["origin"] for each in logged if each["committed"]}
    assert writers["(7)"] == 1
    assert writers["(8)"] == 0
    assert len(writers) == 22


@pytest.mark.parametrize("shm", [False, True])
def test_a_signal_to_one_rank_leaves_checkpoints_of_all(
    run: Run, tmp_path: Path, shm: bool
) -> None:
    """With is_shm to one that follows: its leader, the other host, and those beside it are told."""
    job = run(
        4 if shm else 2,
        f"""
        db = {SHM if shm else OPEN}
        con = db.connect()
        comm.Barrier()
        key = rank
        while True:
            put(con, key)
            key += size
            if key > 20 and rank == size - 1:
                os.kill(os.getpid(), signal.SIGTERM)
        """,
        environment={"EXDB_PRETENDED_HOSTS": "2"} if shm else {},
    )
    assert job.code == 99, job.err
    assert "MPI_Abort" not in job.err  # MPI was finalized
    code, out = tool("inspect", tmp_path / "grid", "--json")
    assert code == 0
    nodes = json.loads(out)["nodes"]
    assert len(nodes) == 2
    for node in nodes:
        assert node["closed"]
        assert any(file["kind"] == "checkpoint" for file in node["files"])


def test_the_log_of_a_host_tells_also_what_a_rank_wrote_that_left(
    good: Good, tmp_path: Path
) -> None:
    """Of three, so that those that stay have a quorum."""
    shm = OPEN.replace("on_preempt=True", "is_shm=True")
    told = good(
        3,
        f"""
        with {shm} as db:
            with db.connect() as con:
                put(con, rank)
                comm.Barrier()
                if rank == 1:
                    db.abandon()
                    tell(left=True)
                comm.Barrier()
                if rank == 0:
                    con.startTransaction(exdb.MCO_READ_ONLY, fresh=True)
                    con.rollback()
                    tell(digest=f"{{db.digest():016x}}")
                elif rank == 2:
                    tell(stayed=True)
        """,
    )
    code, out = tool("log", tmp_path / "grid", "--json")
    assert code == 0
    writers = {json.loads(line)["origin"] for line in out.splitlines()}
    assert writers == {0, 1, 2}
    code, out = tool("replay", tmp_path / "grid", "--json")
    assert (code, json.loads(out)["digest"]) == (0, told[0]["digest"])


def test_the_tools_take_the_copy_that_an_open_takes(good: Good, run: Run, tmp_path: Path) -> None:
    """Of a newer epoch, though another copy has more rounds; and name the fork as it does."""
    grid, aside = tmp_path / "grid", tmp_path / "aside"

    def put_some(ranks: int, count: int) -> None:
        good(
            ranks,
            f"""
        with {OPEN} as db, db.connect() as con:
            first = 0
            with con.startTransaction(exdb.MCO_READ_ONLY):
                first = len(list(con.cursor("Item")))
            comm.Barrier()
            for key in range(first + rank, first + {count}, size):
                put(con, key)
            tell()
            """,
        )

    put_some(2, 4)
    shutil.copytree(grid, aside)
    put_some(2, 60)
    shutil.move(grid / "node-1", tmp_path / "long")
    shutil.rmtree(grid)
    shutil.move(aside, grid)
    shutil.rmtree(grid / "node-1")
    put_some(1, 2)
    put_some(1, 2)
    assert tool("inspect", grid)[0] == 0
    shutil.move(tmp_path / "long", grid / "node-1")
    code, out = tool("inspect", grid, "--json", "--files-only")
    report = json.loads(out)
    rounds = [node["last_round"] for node in report["nodes"]]
    assert code == 1
    assert rounds[1] > rounds[0]
    assert report["furthest"].endswith("node-0")
    refused = run(2, f"tell(error=failure(lambda: {OPEN}))").told[0]["error"][2]
    assert len(report["forks"]) == 1
    fork = report["forks"][0]
    assert "have gone different ways" in fork
    assert fork.split(" is no older state of ")[0].split("(epoch")[1] in refused
    assert tool("replay", grid)[0] == 1
    code, out = tool("backup", grid, tmp_path / "copy")
    assert code == 0  # each folder as it is
    shutil.rmtree(grid / "node-1")
    shutil.copytree(grid / "node-0", grid / "node-1")
    code, out = tool("backup", grid, tmp_path / "other")
    assert "an open gives all nodes the state of 'node-0', the furthest of them (epoch 3)" in out
