# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""python -m exdb: folders of databases on disk, as who looks at them from outside sees them."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

import exdb
from exdb.__main__ import main

SCHEMA = """
enum Color { red, green = 5 };
class Item { int4 id; string text; Color color; double numbers[2]; datetime at; blob raw;
             nullable int4 maybe; unique tree<id> by_id; };
class Pair { int4 a; string b; unique tree<a, b> by_both; };
class Note { string text; };
"""
NANOSECONDS = 1_700_000_000_123_456_789


def opened(folder: Path) -> exdb.Database:
    return exdb.open("grid", SCHEMA, is_disk=True, path=folder, db_segment_size=1 << 20)


def tool(*arguments: object) -> subprocess.CompletedProcess[str]:
    """In this process: some of a second less each."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([str(each) for each in arguments])
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 2
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def contents(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in folder.iterdir()}


@pytest.fixture(name="made", scope="module")
def fixture_made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, str]]:
    """A database that was closed, and its digest after each round of its log."""
    folder = tmp_path_factory.mktemp("tools") / "g"
    digests = {}
    with opened(folder) as db, db.connect() as con, db.connect() as rival:
        for number in range(5):
            with con.startTransaction():
                con.new(
                    "Item",
                    id=number,
                    text=f'a,"b"\n{number}',
                    color="green",
                    numbers=[number, 0.5],
                    at=NANOSECONDS + number,
                    raw=b"\x00\xff",
                )
            digests[number + 1] = f"{db.digest():016x}"
        db.checkpoint()  # of round 5
        with con.startTransaction():
            con.find("Item", "by_id", 3).id = 33
            con.remove(con.find("Item", "by_id", 4))
            con.new("Pair", a=1, b="x")
            con.new("Note", text="n")
        digests[6] = f"{db.digest():016x}"
        con.startTransaction()  # loses against the other
        rival.startTransaction()
        con.find("Item", "by_id", 0).text = "lost"
        rival.find("Item", "by_id", 0).text = "won"
        rival.commit()
        with pytest.raises(exdb.ConflictError):
            con.commit()
        digests[7] = f"{db.digest():016x}"
        db.snapshot("by name")
        digests[8] = digests[7]
    return folder, digests


def test_inspect_tells_what_is_there_and_that_it_is_whole(
    made: tuple[Path, dict[int, str]],
) -> None:
    folder, digests = made
    before = contents(folder)
    done = tool("inspect", folder)
    assert done.returncode == 0, done.stderr
    assert "whole: every checksum and the chain of all files are right" in done.stdout
    assert "log: rounds 1 to" in done.stdout
    report = json.loads(tool("inspect", folder, "--json").stdout)
    assert report["state"]["rows"] == {"Item": 4, "Pair": 1, "Note": 1}
    assert report["state"]["csn"] == 8
    assert report["state"]["digest"] == digests[7]
    assert report["state"]["checkpoint_round"] == 5
    assert report["closed"] and report["open_by"] is None and report["damage"] == []
    assert {file["kind"] for file in report["files"]} == {"database", "log", "checkpoint", "other"}
    assert contents(folder) == before


@pytest.mark.parametrize("victim", ["log", "checkpoint", "database"])
def test_a_flipped_byte_is_named_with_file_and_offset(
    made: tuple[Path, dict[int, str]], tmp_path: Path, victim: str
) -> None:
    folder = tmp_path / "g"
    shutil.copytree(made[0], folder)
    (file,) = [each for each in folder.iterdir() if each.name.startswith(victim)]
    data = bytearray(file.read_bytes())
    data[150] ^= 1  # within what every one of them has
    file.write_bytes(data)
    for arguments in (
        ("inspect", folder),
        ("inspect", folder, "--json"),
        ("backup", folder, tmp_path / "b"),
    ):
        done = tool(*arguments)
        assert done.returncode == 1, done.stdout
        assert file.name in done.stdout + done.stderr
        assert "offset" in done.stdout + done.stderr
    assert not list(tmp_path.glob("b*"))


def test_replay_makes_the_digest_of_each_round_again(made: tuple[Path, dict[int, str]]) -> None:
    folder, digests = made
    for round_, digest in digests.items():
        done = tool("replay", folder, "--to", round_, "--json")
        if round_ < 5 and done.returncode:
            assert done.returncode == 2
            assert "oldest checkpoint is that of round 5" in done.stderr
            continue
        made_again = json.loads(done.stdout)
        assert (made_again["round"], made_again["digest"]) == (round_, digest)
        assert made_again["digests"] == made_again["rounds"]
    assert tool("replay", folder, "--to", 99).returncode == 2


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def skip_varints(data: bytes, at: int, count: int) -> int:
    for _ in range(count):
        while data[at] & 0x80:
            at += 1
        at += 1
    return at


def change_digest(folder: Path, wanted: int) -> None:
    """Of one round of the log, with a right checksum (log_record.hpp has the places)."""
    (file,) = folder.glob("log-*")
    data = bytearray(file.read_bytes())
    at = 72
    while struct.unpack_from("<Q", data, at + 32)[0] != wanted:
        (payload,) = struct.unpack_from("<Q", data, at + 48)
        at += (56 + payload + 7) // 8 * 8
    (payload,) = struct.unpack_from("<Q", data, at + 48)
    place = skip_varints(data, at + 56, 2) + 1  # marks, last
    place = skip_varints(data, place, 4) + 1  # view, batches, member; flags
    data[skip_varints(data, place, 1)] ^= 1  # oldest snapshot
    checked = data[16:24] + data[at + 8 : at + 56 + payload]
    struct.pack_into("<I", data, at + 4, crc32c(bytes(checked)))
    file.write_bytes(data)


def test_a_digest_that_differs_is_told_with_its_round(tmp_path: Path) -> None:
    folder = tmp_path / "g"
    with opened(folder) as db, db.connect() as con:
        for number in range(4):
            with con.startTransaction():
                con.new("Item", id=number)
    assert "digests 4 in the log, all as they were" in tool("replay", folder).stdout
    change_digest(folder, 3)
    assert tool("inspect", folder, "--files-only").returncode == 0  # no checksum tells
    assert tool("replay", folder, "--to", 2).returncode == 0
    done = tool("replay", folder)
    assert done.returncode == 1
    assert "round 3 of the log: member 0 had another state after round 2" in done.stderr


def test_the_log_tells_who_wrote_what(made: tuple[Path, dict[int, str]]) -> None:
    folder, _ = made
    lines = tool("log", folder, "--from", 6).stdout.splitlines()
    assert len([line for line in lines if line.startswith("round 6 member 0 txn 0:")]) == 4
    assert any("update Item by_id(33) was (3)" in line for line in lines)
    assert any("remove Item by_id(4)" in line for line in lines)
    assert any("insert Pair by_both(1, 'x')" in line for line in lines)
    assert any(line.endswith("snapshot 'by name'") for line in lines)
    (won,) = [
        json.loads(line)
        for line in tool(
            "log", folder, "--class", "Item", "--key", "0", "--from", 7, "--json"
        ).stdout.splitlines()
        if json.loads(line)["committed"]
    ]
    assert (won["round"], won["csn"], won["origin"]) == (7, 7, 0)
    assert won["writes"] == [
        {"operation": "update", "class": "Item", "index": "by_id", "key": "(0)", "key_before": ""}
    ]
    assert len(tool("log", folder, "--class", "Pair", "--key", "1,x").stdout.splitlines()) == 1
    assert tool("log", folder, "--class", "Nothing").returncode == 2


def test_a_dump_is_what_the_api_reads(made: tuple[Path, dict[int, str]]) -> None:
    folder, _ = made
    done = tool("inspect", folder, "--dump", "Item", "--format", "jsonl")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    table = list(
        csv.DictReader(
            io.StringIO(tool("inspect", folder, "--dump", "Item", "--format", "csv").stdout)
        )
    )
    with opened(folder) as db, db.connect() as con:
        con.startTransaction(exdb.MCO_READ_ONLY)
        read = list(con.cursor("Item"))
        assert [row["id"] for row in rows] == [each.id for each in read]
        assert [row["text"] for row in rows] == [each.text for each in read]
        assert [row["numbers"] for row in rows] == [each.numbers.tolist() for each in read]
        assert [row["color"] for row in rows] == ["green"] * 4
        assert [row["raw"] for row in rows] == ["00ff"] * 4
        assert rows[0]["at"] == "2023-11-14T22:13:20.123456789+00:00"
        assert rows[0]["maybe"] is None
        assert [(row["id"], row["text"]) for row in table] == [
            (str(each.id), each.text) for each in read
        ]
        assert json.loads(table[1]["numbers"]) == [1.0, 0.5]
        con.rollback()
    assert tool("inspect", folder, "--dump", "Nothing").returncode == 2


def test_a_backup_of_a_database_in_use_opens_as_it_was(tmp_path: Path) -> None:
    folder, copy, again = tmp_path / "g", tmp_path / "copy", tmp_path / "again"
    with opened(folder) as db, db.connect() as con:
        for number in range(20):
            with con.startTransaction():
                con.new("Item", id=number, text="t" * 1000)
        done = tool("backup", folder, copy)
        assert done.returncode == 0, done.stderr
        assert "is open in process" in done.stderr
        digest = db.digest()
        assert "open in process" in tool("inspect", folder).stdout
        with con.startTransaction():
            con.new("Item", id=99)
    assert not (copy / "lock").exists()
    assert tool("restore", copy, folder).returncode == 1  # never overwrites
    assert tool("restore", copy, again).returncode == 0
    with opened(again) as db, db.connect() as con:
        assert db.digest() == digest
        with con.startTransaction():  # it goes on
            con.new("Item", id=20)
    assert tool("inspect", again).returncode == 0


def test_a_cluster_folder_is_the_folders_of_its_nodes(tmp_path: Path) -> None:
    """Nodes hold beginnings of one history, or the fork is named."""
    cluster = tmp_path / "cluster"
    cluster.mkdir()
    with opened(cluster / "node-0") as db, db.connect() as con:
        with con.startTransaction():
            con.new("Item", id=1)
        assert tool("backup", cluster / "node-0", cluster / "node-1").returncode == 0
        with con.startTransaction():
            con.new("Item", id=2)
    done = tool("inspect", cluster)
    assert done.returncode == 0, done.stdout
    assert f"furthest: {cluster / 'node-0'}, round 2" in done.stdout
    assert "beginnings of one history" in done.stdout
    assert tool("backup", cluster, tmp_path / "copy").returncode == 0
    assert sorted(each.name for each in (tmp_path / "copy").iterdir()) == ["node-0", "node-1"]
    with opened(cluster / "node-1") as db, db.connect() as con, con.startTransaction():
        con.new("Item", id=3)
    done = tool("inspect", cluster)
    assert done.returncode == 1
    assert "FORK: " in done.stdout
    assert tool("replay", cluster).returncode == 1


def test_what_is_no_folder_of_a_database_is_refused_by_name(tmp_path: Path) -> None:
    for command in ("inspect", "replay", "log"):
        done = tool(command, tmp_path)
        assert done.returncode == 1
        assert "is not the folder of a database" in done.stderr
    assert tool().returncode == 2
    done = subprocess.run(
        [sys.executable, "-m", "exdb", "inspect", str(tmp_path / "nothing")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no such folder" in done.stderr
