# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""kill -9 under load, again and again on one database: nothing acknowledged is lost, nothing
refused comes back, nothing is half there.

EXDB_KILLS=1000 does more of it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import exdb

SCHEMA = """
class Pair { int8 id; int4 writer; int4 half; string text; unique hash<id, half> by_id; };
class Counter { int4 writer; int8 count; unique hash<writer> by_writer; };
"""
KILLS = int(os.environ.get("EXDB_KILLS", "40"))
WRITERS = 3

# Each writer commits pairs of rows, and the count of them in the same transaction, and says of each
# what became of it in one write of one line. One of 35 meets a key that is there, and
# every seventh a count that another connection has changed.
CHILD = """
import os, random, sys, threading
import exdb
folder, life, schema = sys.argv[1], int(sys.argv[2]), sys.argv[3]
db = exdb.open("grid", schema, is_disk=True, path=folder, db_segment_size=1 << 20,
               checkpoint_bytes=200_000)

def say(line):
    os.write(1, (line + "\\n").encode())

def work(writer):
    chance = random.Random(life * 100 + writer)
    with db.connect() as con, db.connect() as rival:
        for step in range(100_000):
            number = (life * 1_000_000 + step) * 10 + writer
            try:
                con.startTransaction()
                count = con.find("Counter", "by_writer", writer)
                if count is None:
                    count = con.new("Counter", writer=writer)
                for half in (0, 1):
                    con.new("Pair", id=number, writer=writer, half=half,
                            text="t" * chance.randrange(3000))
                count.count = count.count + 1
                if step % 7 == 6:
                    rival.startTransaction()
                    rival.find("Counter", "by_writer", writer).count += 0
                    rival.commit()
                elif step % 35 == 4:  # the one before was neither of the two
                    con.new("Pair", id=number - 10, writer=writer, half=1)
                say(f"try {number}")
                con.commit()
                say(f"ok {number}")
            except (exdb.ConflictError, exdb.DuplicateKeyError):
                if con.in_transaction:
                    con.rollback()
                say(f"no {number}")
            if step % 50 == 49 and writer == 0:
                db.checkpoint()

for writer in range(int(sys.argv[4])):
    threading.Thread(target=work, args=(writer,)).start()
"""


def test_kill_9_loses_no_commit_and_brings_back_none(tmp_path: Path) -> None:
    folder = tmp_path / "grid.exdb"
    chance = random.Random(8)
    acknowledged: set[int] = set()
    refused: set[int] = set()
    doubtful: set[int] = set()
    for life in range(KILLS):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(folder), str(life), SCHEMA, str(WRITERS)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        assert child.stderr is not None
        lines = []
        # After so many words, wherever it is then.
        for _ in range(chance.randrange(1, 150)):
            line = child.stdout.readline()
            if not line:
                break
            lines.append(line)
        os.kill(child.pid, signal.SIGKILL)
        lines += child.stdout.readlines()
        errors = child.stderr.read()
        assert child.wait() == -signal.SIGKILL, errors
        assert "Traceback" not in errors, errors
        tried: set[int] = set()
        for line in lines:
            word, number = line.split()
            {"try": tried, "ok": acknowledged, "no": refused}[word].add(int(number))
        doubtful |= tried - acknowledged - refused
        if life % 4 == 3 or life + 1 == KILLS:
            check(folder, acknowledged, refused, doubtful)
    assert len(acknowledged) > KILLS
    assert refused, "some are to be refused"


def check(folder: Path, acknowledged: set[int], refused: set[int], doubtful: set[int]) -> None:
    with (
        exdb.open("grid", SCHEMA, is_disk=True, path=folder, db_segment_size=1 << 20) as db,
        db.connect() as con,
    ):
        con.startTransaction(exdb.MCO_READ_ONLY)
        halves = [(row.id, row.half, row.writer) for row in con.cursor("Pair")]
        counts = {row.writer: row.count for row in con.cursor("Counter")}
        con.rollback()
    found = {number for number, _, _ in halves}
    assert acknowledged <= found, f"lost: {sorted(acknowledged - found)[:5]}"
    assert not refused & found, f"back: {sorted(refused & found)[:5]}"
    assert found <= acknowledged | doubtful
    assert sorted(halves) == sorted((n, half, n % 10) for n in found for half in (0, 1))
    for writer in range(WRITERS):
        mine = sum(1 for number in found if number % 10 == writer)
        assert counts.get(writer, 0) == mine, writer
