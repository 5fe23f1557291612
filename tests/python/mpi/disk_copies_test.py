# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Databases of a job of which only some ranks keep a copy on disk."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path
from typing import Any, Callable

import pytest
from disk_programs import LOOK

Good = Callable[..., list[Any]]
Run = Callable[..., Any]

BEGIN = """
def opened(copies, **more):
    return exdb.open("grid", SCHEMA, comm=comm, **{"is_disk": True, "path": "../grid",
                     "durable_copies": copies, "db_segment_size": 1 << 20, **more})
"""


def program(body: str) -> str:
    return f"{BEGIN}{LOOK}\n{textwrap.dedent(body)}"


def life(good: Good, ranks: int, copies: int | None, first: int, how: str = "") -> list[Any]:
    told = good(
        ranks,
        program(f"""
        with opened({copies}{how}) as db:
            before = look(db)
            put_all(db, {first})
            tell(before=before, **look(db))
        """),
    )
    assert len({one["digest"] for one in told}) == 1
    return told


def folders(path: Path) -> set[str]:
    return {each.name for each in (path / "grid").iterdir() if each.is_dir()}


def test_only_so_many_ranks_keep_a_folder_and_all_have_the_rows(good: Good, tmp_path: Path) -> None:
    life(good, 3, 1, 0)
    assert folders(tmp_path) == {"node-0"}
    told = life(good, 3, 1, 30)
    assert all(one["before"]["keys"] == list(range(30)) for one in told)
    assert "nodes 1, 2 keep no copy, and took the state" in told[2]["recovered"]
    told = life(good, 2, 2, 60)
    assert folders(tmp_path) == {"node-0", "node-1"}
    assert told[1]["before"]["keys"] == list(range(60))
    assert life(good, 3, None, 80)[2]["before"]["keys"] == list(range(80))
    assert folders(tmp_path) == {"node-0", "node-1", "node-2"}


def test_what_was_acknowledged_outlives_any_of_the_folders(
    run: Run, good: Good, tmp_path: Path
) -> None:
    """Killed at once after the last acknowledged commit, of whichever rank."""
    grid = tmp_path / "grid"
    for lost in (0, 1):
        shutil.rmtree(grid, ignore_errors=True)
        run(
            3,
            program("""
            db = opened(2, checkpoint_bytes=0)
            put_all(db, 0)
            tell(done=True)
            comm.Barrier()
            os.kill(os.getpid(), signal.SIGKILL)
            """),
        )
        assert folders(tmp_path) == {"node-0", "node-1"}
        shutil.rmtree(grid / f"node-{lost}")
        told = life(good, 3, 2, 100)
        assert all(one["before"]["keys"] == list(range(30)) for one in told)


def test_the_state_comes_from_a_checkpoint_and_the_log_with_its_names(
    good: Good, tmp_path: Path
) -> None:
    good(
        2,
        program("""
        with opened(1) as db:
            put_all(db, 0)
            if rank == 1:
                db.snapshot("early")
            comm.Barrier()
            put_all(db, 20)
            db.checkpoint()
            comm.Barrier()
            if rank == 0:
                db.snapshot("late")
            comm.Barrier()
            put_all(db, 40)
            tell(**look(db))
        """),
    )
    told = good(
        3,
        program("""
        with opened(1) as db:
            names = {}
            for name in db.snapshots():
                with db.at(name) as con, con.startTransaction(exdb.MCO_READ_ONLY):
                    names[name] = len(list(con.cursor("Item")))
            tell(names=names, **look(db))
        """),
    )
    assert folders(tmp_path) == {"node-0"}
    for one in told:
        assert one["keys"] == list(range(60))
        assert one["names"] == {"early": 20, "late": 40}


def test_with_is_shm_hosts_keep_the_copies(good: Good, tmp_path: Path) -> None:
    how = program("""
        with opened(1, is_shm=True) as db:
            before = look(db)
            put_all(db, len(before["keys"]))
            tell(before=before, **look(db))
        """)
    for turn in range(2):
        told = good(4, how, environment={"EXDB_PRETENDED_HOSTS": "2"})
        assert all(one["before"]["keys"] == list(range(40 * turn)) for one in told)
        assert len({one["digest"] for one in told}) == 1
    assert len(folders(tmp_path)) == 1


def test_what_cannot_be_is_refused_on_all_ranks(run: Run) -> None:
    told = run(
        2,
        program("""
        tell(many=failure(lambda: opened(3)), none=failure(lambda: opened(0)),
             differ=failure(lambda: opened(1 + rank)),
             memory=failure(lambda: opened(1, is_disk=False)))
        """),
    ).told
    for one in told:
        assert one["many"][0] == "ClusterParameterError"
        assert "durable_copies 3 is more than the 2 nodes" in one["many"][2]
        assert one["none"][0] == "DataError"
        assert one["differ"][0] == "IncompatibleError"
        assert "disagree about durable_copies: 1 and 2" in one["differ"][2]
        assert one["memory"][0] == "ClusterParameterError"


def test_without_anybody_who_keeps_a_copy_commits_raise(run: Run) -> None:
    told = run(
        3,
        program("""
        db = opened(1)
        con = db.connect()
        put(con, rank)
        comm.Barrier()
        if rank == 0:
            db.abandon()
            tell(left=True)
        else:
            deadline = time.time() + 30
            while db.cluster_info().nodes[0].reached and time.time() < deadline:
                time.sleep(0.02)
            tell(error=failure(lambda: put(con, 10 + rank)), state=db.state.text)
            db.abandon()
        """),
    ).told
    for one in told[1:]:
        assert one["error"][0] in ("DiskError", "OutcomeUnknownError")
        assert (
            "no node is left that keeps database 'grid' on disk" in one["error"][2] + one["state"]
        )


@pytest.mark.parametrize("shm", [False, True])
def test_checkpoints_of_all_ranks_are_of_one_round(good: Good, tmp_path: Path, shm: bool) -> None:
    """Asked for by one rank, by all at once, and while others commit."""
    told = good(
        3,
        program(f"""
        with opened(None, is_shm={shm}) as db:
            put_all(db, 0)
            if rank == 1:
                db.checkpoint()
            comm.Barrier()
            first = db.statistics().get("checkpoints")
            put_all(db, 30)
            db.checkpoint()
            comm.Barrier()
            second = db.statistics().get("checkpoints")
            if rank == 2:
                writing = db.checkpoint(wait=False)
                with db.connect() as con:
                    for key in range(50):
                        put(con, 1000 + key)
                assert writing.wait(60)
                assert writing.done
            comm.Barrier()
            tell(first=first, second=second, more=look(db)["keys"][-1])
        """),
        **({"environment": {"EXDB_PRETENDED_HOSTS": "2"}} if shm else {}),
    )
    leaders = [one for one in told if one["first"] is not None]
    assert len(leaders) == (2 if shm else 3)
    # Who asks when the one that others have asked for is written already gets another.
    counts = {(one["first"], one["second"]) for one in leaders}
    assert len(counts) == 1
    first, second = counts.pop()
    assert first == 1
    assert 2 <= second <= 1 + 3
    rounds = {
        tuple(sorted(file.name for file in folder.glob("checkpoint-*")))
        for folder in (tmp_path / "grid").glob("node-*")
    }
    assert len(rounds) == 1
    assert all(one["more"] == 1049 for one in told)


def test_a_rank_that_cannot_write_its_checkpoint_is_named_where_it_was_asked_for(run: Run) -> None:
    """Its folder is gone; the log it has open is still written."""
    told = run(
        3,
        program("""
        import shutil
        db = opened(None, checkpoint_bytes=0)
        put_all(db, 0)
        if rank == 1:
            shutil.rmtree("../grid/node-1")
        comm.Barrier()
        error = failure(db.checkpoint) if rank == 0 else None
        comm.Barrier()
        again = failure(db.checkpoint) if rank == 2 else None  # without that rank
        tell(error=error, again=again)
        comm.Barrier()
        db.abandon()
        """),
    ).told
    assert told[0]["error"][0] == "DiskError"
    assert told[0]["error"][2].startswith("node 1: ")
    assert "node-1/" in told[0]["error"][2]
    assert told[2]["again"] is None
