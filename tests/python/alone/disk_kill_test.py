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

import kills

import exdb

KILLS = int(os.environ.get("EXDB_KILLS", "40"))
WRITERS = 3

# Its words are on stdout.
CHILD = """
import os, sys, threading
sys.path.insert(0, sys.argv[1])
import exdb, kills
folder, life = sys.argv[2], int(sys.argv[3])
db = exdb.open("grid", kills.SCHEMA, is_disk=True, path=folder, db_segment_size=1 << 20,
               checkpoint_bytes=200_000)
with db.connect() as con:
    with con.startTransaction(exdb.MCO_READ_ONLY):
        there = con.find("Counter", "by_writer", kills.SHARED) is not None
    if not there:
        kills.make_shared(con)

def say(line):
    os.write(1, (line + "\\n").encode())

for writer in range(int(sys.argv[4])):
    threading.Thread(target=kills.work, args=(exdb, db, say, writer, life)).start()
"""


def test_kill_9_loses_no_commit_and_brings_back_none(tmp_path: Path) -> None:
    folder = tmp_path / "grid.exdb"
    chance = random.Random(8)
    outcomes = kills.Outcomes()
    lib = str(Path(kills.__file__).parent)
    for life in range(KILLS):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, lib, str(folder), str(life), str(WRITERS)],
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
        outcomes.hear(lines)
        if life % 4 == 3 or life + 1 == KILLS:
            with exdb.open(
                "grid", kills.SCHEMA, is_disk=True, path=folder, db_segment_size=1 << 20
            ) as db:
                outcomes.check(*kills.found_in(exdb, db), settled=True, told=db.recovered)
    assert len(outcomes.acknowledged) > KILLS
    assert outcomes.refused, "some are to be refused"
