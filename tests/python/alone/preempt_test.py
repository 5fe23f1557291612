# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""on_preempt: what a signal of the scheduler leaves behind, with real processes."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

import exdb

SCHEMA = "class Item { int4 id; string text; unique tree<id> by_id; };"
CHILD = """
import os, signal, sys, time
import exdb
folder, schema, how = sys.argv[1:4]
settings = exdb.OnPreempt(exit_code=int(sys.argv[4])) if len(sys.argv) > 4 else True
db = exdb.open("grid", schema, is_disk=True, path=folder, db_segment_size=1 << 20,
               on_preempt=settings)
con = db.connect()
number = 0
try:
    while True:
        with con.startTransaction():
            con.new("Item", id=number, text="t" * 100)
        number += 1
        if number == 20:
            print("ready", flush=True)
        if number >= 20 and how == "waiting":
            with open(sys.argv[1] + ".pipe", "rb") as pipe:  # nobody writes it
                pipe.read()
finally:
    # Before the engine is asked: what it says is that it was closed.
    print("ended", number, db.is_open, flush=True)
"""


def signalled(number: signal.Signals, program: str, *arguments: str) -> subprocess.Popen[str]:
    """The program, which got the signal when it was ready, and has ended."""
    child = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(number)
        child.wait(60)
    finally:
        child.kill()
    return child


@pytest.mark.parametrize("how", ["committing", "waiting"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_leaves_a_checkpoint_and_an_exit_code(
    tmp_path: Path, how: str, number: signal.Signals
) -> None:
    folder = tmp_path / "g"
    subprocess.run(["mkfifo", f"{folder}.pipe"], check=True)
    code = [] if number == signal.SIGTERM else ["42"]
    child = signalled(number, CHILD, str(folder), SCHEMA, how, *code)
    out, err = child.communicate()
    assert child.returncode == (int(code[0]) if code else 99), err
    assert "told to end: checkpoint, and close" in err
    _, rows, is_open = out.split()
    assert is_open == "False"
    with exdb.open("grid", SCHEMA, is_disk=True, path=folder, db_segment_size=1 << 20) as db:
        assert "the checkpoint of round" in db.recovered
        with db.connect() as con:
            con.startTransaction(exdb.MCO_READ_ONLY)
            assert con.count("Item") >= int(rows)
            con.rollback()


# What a program does when the signal has come, and what stands in the way of its end.
STUCK = """
import ctypes, os, signal, sys, threading
import exdb
folder, schema, how = sys.argv[1:4]
def for_ever(*_, **__):
    threading.Event().wait()
settings = exdb.OnPreempt(seconds=1.5 if how in ("disk", "before") else 1000,
                          before=for_ever if how == "before" else None)
exdb._preempt.GRACE_S = 0.1
db = exdb.open("grid", schema, is_disk=True, path=folder, db_segment_size=1 << 20,
               on_preempt=settings)
con = db.connect()
for number in range(20):
    with con.startTransaction():
        con.new("Item", id=number, text="t" * 100)
if how == "disk":
    exdb.Database.checkpoint = for_ever
if how == "threads":
    threading.Thread(target=for_ever).start()
if how == "error":  # the handler is not there in time, so the main thread meets a closed database
    signal.signal(signal.SIGTERM, lambda *_: None)
if how == "native":  # without the GIL, and no signal ends it
    ctypes.CDLL(None).system(b"echo ready; read line")
print("ready", flush=True)
while how in ("disk", "before", "error"):
    con.startTransaction(exdb.MCO_READ_ONLY)
    con.rollback()
"""


@pytest.mark.parametrize("how", ["native", "threads", "disk", "before", "error"])
def test_whatever_stands_in_the_way_it_ends_with_its_code(tmp_path: Path, how: str) -> None:
    """P1: a main thread in native code, threads that do not end, a device and a callback that do
    not come back, an error that the main thread meets before the handler."""
    folder = tmp_path / "g"
    child = signalled(signal.SIGTERM, STUCK, str(folder), SCHEMA, how)
    _, err = child.communicate()
    assert child.returncode == 99, err
    in_time = how not in ("disk", "before")
    assert ("time of on_preempt is over" in err) != in_time
    with exdb.open("grid", SCHEMA, is_disk=True, path=folder, db_segment_size=1 << 20) as db:
        assert ("the checkpoint of round" in db.recovered) == in_time
        with db.connect() as con, con.startTransaction(exdb.MCO_READ_ONLY):
            assert con.count("Item") == 20


def test_what_cannot_be_is_refused_at_open(tmp_path: Path) -> None:
    for wrong in (
        7,
        "SIGTERM",
        exdb.OnPreempt(exit_code=256),
        exdb.OnPreempt(signals=("NO",)),
        exdb.OnPreempt(signals=(signal.SIGKILL,)),
        exdb.OnPreempt(signals=()),
        exdb.OnPreempt(seconds=0),
    ):
        with pytest.raises(exdb.DataError, match="on_preempt"):
            exdb.open("grid", SCHEMA, on_preempt=wrong)  # type: ignore[arg-type]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
