# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Durable databases as a program has them: opened again, by whom, and when the disk fails."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

import exdb

SCHEMA = """
class Item { int4 id; string text; unique tree<id> by_id; };
class Ticket { string text; autoid; };
transient class Session { int4 id; unique hash<id> by_id; };
local class Scratch { int4 id; unique hash<id> by_id; };
persistent class Kept { int4 id; unique hash<id> by_id; };
"""


def opened(folder: Path, **more: object) -> exdb.Database:
    given = {"is_disk": True, "path": folder, "db_segment_size": 1 << 20, **more}
    return exdb.open("grid", SCHEMA, **given)  # type: ignore[arg-type]


def put(db: exdb.Database, ids: range, text: str = "x") -> int:
    with db.connect() as con:
        con.startTransaction()
        for number in ids:
            con.new("Item", id=number, text=text)
        return con.commit()


def ids(db: exdb.Database) -> list[int]:
    with db.connect() as con:
        con.startTransaction(exdb.MCO_READ_ONLY)
        found = [row.id for row in con.cursor("Item", "by_id")]
        con.rollback()
        return found


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    prelude = f"import exdb, os, sys\nSCHEMA = {SCHEMA!r}\n"
    return subprocess.run(
        [sys.executable, "-c", prelude + textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_what_was_committed_is_there_again(tmp_path: Path) -> None:
    folder = tmp_path / "grid.exdb"
    with opened(folder) as db:
        assert db.describe() == "embedded, on disk"
        assert "no checkpoint and 0 rounds" in db.recovered
        token = put(db, range(10))
        with db.connect() as con:
            con.startTransaction()
            con.find("Item", "by_id", 3).text = "changed"
            con.remove(con.find("Item", "by_id", 4))
            con.commit()
            con.startTransaction()
            con.new("Item", id=99)  # never committed
        digest, published = db.digest(), db.published
    with opened(folder) as db:
        assert ids(db) == [0, 1, 2, 3, 5, 6, 7, 8, 9]
        assert (db.digest(), db.published) == (digest, published)
        assert published > token
        assert "2 rounds of the log, to csn 2" in db.recovered
        assert "cut" not in db.recovered
        with db.connect() as con:
            con.startTransaction(at_least=published)
            assert con.find("Item", "by_id", 3).text == "changed"
            with pytest.raises(exdb.DuplicateKeyError):
                con.new("Item", id=9)
                con.commit()
        put(db, range(10, 12))
    with opened(folder) as db:
        assert ids(db)[-2:] == [10, 11]


def test_the_folder_is_named_after_the_database_and_for_its_owner_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    dictionary = exdb.load_dictionary(SCHEMA)
    with exdb.open_database("grid", dictionary, is_disk=True, db_segment_size=1 << 20) as db:
        monkeypatch.chdir("/")
        put(db, range(3))
        db.checkpoint()
    folder = tmp_path / "grid.exdb"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = sorted(folder.iterdir())
    assert [file.name.split("-")[0] for file in files] == ["checkpoint", "database", "lock", "log"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    with pytest.raises(exdb.DataError, match="cannot name a folder: give path"):
        exdb.open("a/b", SCHEMA, is_disk=True)


def test_init_runtime_makes_all_databases_durable(tmp_path: Path) -> None:
    code = """
        exdb.init_runtime(True)
        with exdb.open_database("g", exdb.load_dictionary(SCHEMA), path=sys.argv[1]) as db:
            print(db.describe(), db.published)
            with db.connect() as con, con.startTransaction():
                con.new("Item", id=1)
    """
    for published in (0, 1):
        done = (
            run(code, tmp_path / "g")
            if published == 0
            else run(code.replace("id=1", "id=2"), tmp_path / "g")
        )
        assert done.stdout == f"embedded, on disk {published}\n", done.stderr


def test_a_checkpoint_takes_the_place_of_the_log(tmp_path: Path) -> None:
    folder = tmp_path / "g"
    with opened(folder) as db:
        put(db, range(1000), "some text")
        db.checkpoint()
        db.checkpoint()  # nothing new
        assert db.statistics()["checkpoints"] == 1
        put(db, range(1000, 1010))
        digest = db.digest()
    assert len(list(folder.glob("checkpoint-*"))) == 1
    with opened(folder) as db:
        assert "the checkpoint of round 1 and 1 rounds of the log" in db.recovered
        assert db.digest() == digest
        assert len(ids(db)) == 1010


def test_checkpoints_come_by_themselves_and_the_log_stays_short(tmp_path: Path) -> None:
    folder = tmp_path / "g"
    text = "t" * 2000
    with opened(folder, checkpoint_bytes=1 << 20, fsync=False) as db:
        with db.connect() as con:
            con.startTransaction()
            con.new("Item", id=1, text=text)
            con.commit()
            done = 0
            # Counted, not timed: a checkpoint comes some commits after it is due.
            while db.statistics()["checkpoints"] < 3 and done < 200_000:
                con.startTransaction()
                con.find("Item", "by_id", 1).text = text
                con.commit()
                done += 1
        assert db.statistics()["checkpoints"] >= 3
        digest = db.digest()
    assert len(list(folder.glob("checkpoint-*"))) == 1
    with opened(folder) as db:
        assert "the checkpoint of round" in db.recovered
        assert db.digest() == digest


def test_rows_of_transient_classes_end_with_the_process_and_all_others_do_not(
    tmp_path: Path,
) -> None:
    for checkpointed in (False, True):
        folder = tmp_path / str(checkpointed)
        with opened(folder) as db:
            with db.connect() as con, con.startTransaction():
                for cls in ("Session", "Scratch", "Kept"):
                    con.new(cls, id=7)
            if checkpointed:
                db.checkpoint()
        for _ in range(2):
            with opened(folder) as db, db.connect() as con:
                con.startTransaction()
                found = [con.find(cls, "by_id", 7) for cls in ("Session", "Scratch", "Kept")]
                assert [row is not None for row in found] == [False, True, True]
                con.rollback()


def test_ids_of_objects_go_on_and_none_comes_twice(tmp_path: Path) -> None:
    folder = tmp_path / "g"
    seen: list[int] = []
    for life in range(4):
        with opened(folder) as db, db.connect() as con:
            con.startTransaction()
            made = [con.new("Ticket", text="t") for _ in range(5)]
            numbers = [row.autoid for row in made]
            assert not set(numbers) & set(seen)
            seen += numbers
            con.remove(made[-1])
            con.commit()
            # Also of one that is there no more.
            con.startTransaction()
            con.deleteAll("Ticket")
            con.commit()
            if life % 2 == 1:
                db.checkpoint()


def test_another_schema_is_refused_and_the_difference_named(tmp_path: Path) -> None:
    folder = tmp_path / "g"
    with opened(folder) as db:
        put(db, range(3))
    other = SCHEMA.replace("int4 id; string text;", "int8 id; string text;")
    with pytest.raises(exdb.SchemaChangedError, match="class Item, field id") as caught:
        exdb.open("grid", other, is_disk=True, path=folder)
    assert caught.value.code == 125
    with opened(folder) as db:
        assert ids(db) == [0, 1, 2]


def test_one_process_has_it_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "g"
    with opened(folder) as db:
        put(db, range(3))
        with pytest.raises(exdb.DatabaseInUseError, match=f"by process {os.getpid()}"):
            opened(folder)
        other = run(
            """
            try:
                exdb.open("grid", SCHEMA, is_disk=True, path=sys.argv[1])
            except exdb.DatabaseInUseError as error:
                print(error.code, error)
            """,
            folder,
        )
        assert other.stdout.startswith(f"102 '{folder}' is open already, by process {os.getpid()}")
        put(db, range(3, 5))
    with opened(folder) as db:
        assert ids(db) == [0, 1, 2, 3, 4]


def test_threads_commit_side_by_side(tmp_path: Path) -> None:
    threads, each = 8, 40
    with opened(tmp_path / "g") as db:

        def work(first: int) -> None:
            with db.connect() as con:
                for number in range(first, first + each):
                    con.startTransaction()
                    con.new("Item", id=number)
                    con.commit()

        workers = [threading.Thread(target=work, args=(i * each,)) for i in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        counted = db.statistics()
        assert counted["commits"] == threads * each
        # They share the syncs of a device that takes its time (D6, unit.database_durable).
        assert counted["rounds"] <= counted["commits"]
    with opened(tmp_path / "g") as db:
        assert ids(db) == list(range(threads * each))


def test_an_uncommitted_end_of_the_program_leaves_a_database_that_opens(tmp_path: Path) -> None:
    done = run(
        """
        db = exdb.open("grid", SCHEMA, is_disk=True, path=sys.argv[1])
        con = db.connect()
        con.startTransaction()
        con.new("Item", id=1)
        con.commit()
        con.startTransaction()
        con.new("Item", id=2)
        """,
        tmp_path / "g",
    )
    assert (done.returncode, done.stderr) == (0, "")
    with opened(tmp_path / "g") as db:
        assert ids(db) == [1]


def test_damage_is_an_error_that_names_file_and_offset(tmp_path: Path) -> None:
    folder = tmp_path / "g"
    with opened(folder) as db:
        for number in range(5):
            put(db, range(number, number + 1), "needle")
    log = next(folder.glob("log-*"))
    content = bytearray(log.read_bytes())
    content[content.index(b"needle")] ^= 1
    log.write_bytes(content)
    with pytest.raises(exdb.DiskDamagedError, match=rf"{log.name}' is damaged at offset \d+") as e:
        opened(folder)
    assert e.value.code == 126


def test_a_newer_format_is_refused_with_both_versions(tmp_path: Path) -> None:
    folder = tmp_path / "g"
    opened(folder).close()
    base = folder / "database"
    content = bytearray(base.read_bytes())
    content[8] = 9
    base.write_bytes(content)
    with pytest.raises(exdb.DiskFormatError, match="has format 9, and this exdb reads up to 2"):
        opened(folder)


def test_what_is_not_on_disk_says_so(tmp_path: Path) -> None:
    with exdb.open("memory", SCHEMA) as db:
        assert db.recovered == ""
        with pytest.raises(exdb.InvalidHandleError, match="is in memory"):
            db.checkpoint()
    db = opened(tmp_path / "g")
    db.close()
    with pytest.raises(exdb.InvalidHandleError, match="closed"):
        db.checkpoint()
    db.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    folder = tmp_path / "g"
    opened(folder).close()
    folder.chmod(0o500)
    try:
        (folder / "lock").chmod(0o400)
        with pytest.raises(exdb.DiskError, match=str(folder)):
            opened(folder)
    finally:
        folder.chmod(0o700)


def test_a_place_that_cannot_be_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(exdb.DiskError, match=f"{tmp_path}/no/where.*No such file"):
        opened(tmp_path / "no" / "where")
    (tmp_path / "file").write_text("x")
    with pytest.raises(exdb.DiskError, match="Not a directory"):
        opened(tmp_path / "file")


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    """A file system of 40 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=40m", "none", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only who may mount a file system can have a small one")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_a_clear_error_and_the_database_opens_again(small_disk: Path) -> None:
    folder = small_disk / "g"
    text = "t" * 100_000
    committed = 0
    db = opened(folder, checkpoint_bytes=0)
    with db.connect() as con:
        with pytest.raises(exdb.DiskFullError, match="No space left on device"):
            for committed in range(2000):
                con.startTransaction()
                con.new("Item", id=committed, text=text)
                con.commit()
        # For good: nothing is written after it.
        con.startTransaction()
        con.new("Item", id=5000)
        with pytest.raises(exdb.DiskFullError, match="until the database is opened again"):
            con.commit()
    assert committed > 100
    assert db.state.phase == "failed"
    with pytest.raises(exdb.DiskFullError):
        db.close()
    with opened(folder, checkpoint_bytes=0) as db:
        assert ids(db) == list(range(committed)), "refused for certain is not there"


def test_a_checkpoint_without_room_is_an_error_and_the_database_goes_on(small_disk: Path) -> None:
    folder = small_disk / "g"
    with opened(folder, checkpoint_bytes=0) as db:
        put(db, range(100), "t" * 100_000)
        (small_disk / "other").write_bytes(bytes(18 << 20))
        with pytest.raises(exdb.DiskFullError):
            db.checkpoint()
        assert not list(folder.glob("*.new"))
        put(db, range(100, 110))
        (small_disk / "other").unlink()
        db.checkpoint()
        assert db.statistics()["checkpoints"] == 1
    with opened(folder) as db:
        assert ids(db) == list(range(110))
