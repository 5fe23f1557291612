# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Snapshots by name: what they show, after a restart too, and what they refuse."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import exdb

SCHEMA = "class Item { int4 id; string text; unique tree<id> by_id; };"


def opened(folder: Path | None = None) -> exdb.Database:
    more = {"is_disk": True, "path": folder} if folder else {}
    return exdb.open("grid", SCHEMA, db_segment_size=1 << 20, **more)  # type: ignore[arg-type]


def put(db: exdb.Database, number: int, text: str) -> None:
    with db.connect() as con, con.startTransaction():
        row = con.find("Item", "by_id", number) or con.new("Item", id=number)
        row.text = text


def texts(db: exdb.Database, name: str) -> dict[int, str]:
    with db.at(name) as con:
        con.startTransaction(exdb.MCO_READ_ONLY)
        read = {row.id: row.text for row in con.cursor("Item", "by_id")}
        con.rollback()
        return read


@pytest.mark.parametrize("disk", [False, True])
def test_a_name_shows_the_state_of_then(tmp_path: Path, disk: bool) -> None:
    with opened(tmp_path / "g" if disk else None) as db:
        put(db, 1, "a")
        first = db.snapshot("step 1/é.new")
        put(db, 1, "b")
        put(db, 2, "c")
        second = db.snapshot("step-2")
        put(db, 2, "d")
        assert db.snapshots() == {"step 1/é.new": first, "step-2": second}
        assert first < second <= db.published
        assert db.statistics()["named_snapshots"] == 2
        assert texts(db, "step 1/é.new") == {1: "a"}
        assert texts(db, "step-2") == {1: "b", 2: "c"}
        db.drop_snapshot("step-2")
        assert list(db.snapshots()) == ["step 1/é.new"]
        with pytest.raises(exdb.NotFoundError, match="no snapshot 'step-2'; there are: 'step 1"):
            db.at("step-2")


def test_what_reads_a_name_can_only_read(tmp_path: Path) -> None:
    with opened(tmp_path / "g") as db:
        put(db, 1, "a")
        csn = db.snapshot("x")
        with db.at("x") as con:
            with pytest.raises(exdb.ReadOnlyError, match="named snapshot"), con.startTransaction():
                con.new("Item", id=2)
            with con.startTransaction(at_least=db.published + 9, fresh=True):  # waits for nothing
                row = con.find("Item", "by_id", 1)
                put(db, 1, "b")
                assert row.text == "a"
                with pytest.raises(exdb.ReadOnlyError):
                    row.text = "c"
            db.drop_snapshot("x")
            with con.startTransaction() as transaction:  # goes on
                assert con.find("Item", "by_id", 1).text == "a"
            assert transaction.csn == csn


def test_names_that_cannot_be_are_refused() -> None:
    with opened() as db:
        for name in ("", "n" * 201, "a\nb", "\x01p"):
            with pytest.raises(exdb.DataError, match="name of a snapshot"):
                db.snapshot(name)
        with pytest.raises(exdb.DataError, match="name must be a str"):
            db.snapshot(7)  # type: ignore[arg-type]
        db.snapshot("n" * 200)
        with pytest.raises(exdb.DuplicateKeyError, match="already, at csn 1: drop_snapshot"):
            db.snapshot("n" * 200)
        for number in range(127):
            db.snapshot(str(number))
        with pytest.raises(exdb.ResourceError, match="128 named snapshots"):
            db.snapshot("one more")


@pytest.mark.parametrize("checkpoint", [False, True])
def test_names_are_there_after_a_restart(tmp_path: Path, checkpoint: bool) -> None:
    """From their files, or from the log where no checkpoint came since."""
    folder = tmp_path / "g"
    with opened(folder) as db:
        put(db, 1, "a")
        db.snapshot("kept")
        db.snapshot("dropped")
        db.snapshot("again")
        put(db, 1, "b")
        if checkpoint:
            db.checkpoint()
        db.drop_snapshot("dropped")
        db.drop_snapshot("again")
        put(db, 1, "c")
        db.snapshot("again")
        put(db, 1, "d")
        names = db.snapshots()
        digest = db.digest()
    for _ in range(2):  # the second time all are in files
        with opened(folder) as db:
            assert db.snapshots() == names
            assert set(names) == {"kept", "again"}
            assert texts(db, "kept") == {1: "a"}
            assert texts(db, "again") == {1: "c"}
            assert db.digest() == digest
            db.checkpoint()
            put(db, 5, "x")
            db.checkpoint()
            with db.connect() as con, con.startTransaction():
                con.remove(con.find("Item", "by_id", 5))
            digest = db.digest()
    found = sorted(each.name for each in folder.glob("snapshot-*"))
    assert found == ["snapshot-again", "snapshot-kept"]


def test_a_damaged_file_of_a_name_is_named_and_does_no_harm_to_the_rest(tmp_path: Path) -> None:
    folder = tmp_path / "g"
    with opened(folder) as db:
        put(db, 1, "a" * 500)
        db.snapshot("x")
        put(db, 1, "b")
        db.checkpoint()
    whole = tmp_path / "whole"
    shutil.copytree(folder, whole)
    file = folder / "snapshot-x"
    good = file.read_bytes()
    for at in (-300, 40):  # a row, the head
        data = bytearray(good)
        data[at] ^= 1
        file.write_bytes(data)
        with opened(folder) as db, pytest.raises(exdb.DiskDamagedError, match=r"x'.*offset"):
            db.at("x")
    with opened(folder) as db:
        with pytest.raises(exdb.DiskDamagedError, match=r"snapshot-x'.*offset"):
            db.at("x")
        put(db, 1, "c")
    with opened(whole) as db:
        assert texts(db, "x") == {1: "a" * 500}
