# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""The end of things: any order of closing, forks, the end of the program."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
import weakref

import pytest

import exdb

SCHEMA = "class T { int4 id; struct_less string s; };".replace("struct_less ", "")


def run(code: str) -> subprocess.CompletedProcess[str]:
    prelude = f"import exdb, os, sys, threading\nSCHEMA = {SCHEMA!r}\n"
    return subprocess.run(
        [sys.executable, "-c", prelude + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_use_after_close_says_so() -> None:
    db = exdb.open("closed", SCHEMA)
    con = db.connect()
    con.startTransaction()
    row = con.new("T", id=1)
    cursor = con.cursor("T")
    db.close()
    for call in (
        con.commit,
        con.startTransaction,
        lambda: con.new("T"),
        cursor.next,
        db.connect,
        lambda: row.id,
        lambda: setattr(row, "id", 2),
    ):
        with pytest.raises(exdb.Error, match="closed") as caught:
            call()
        assert caught.value.code in (51, 98)
    con.close()
    with pytest.raises(exdb.InvalidHandleError), db:
        pass


def test_use_of_a_closed_connection_says_so() -> None:
    with exdb.open("closed", SCHEMA) as db:
        con = db.connect()
        con.close()
        with pytest.raises(exdb.InvalidHandleError, match="connection is closed"):
            con.startTransaction()
        with pytest.raises(exdb.InvalidHandleError), con:
            pass


def test_closing_a_connection_rolls_back() -> None:
    with exdb.open("rolled", SCHEMA) as db:
        with db.connect() as con:
            con.startTransaction()
            con.new("T", id=1)
        with db.connect() as con, con.startTransaction(exdb.MCO_READ_ONLY):
            assert con.count("T") == 0


def test_objects_keep_alive_what_they_need() -> None:
    con = exdb.open("kept", SCHEMA).connect()
    con.startTransaction()
    row = con.new("T", id=5)
    cursor = con.cursor("T")
    del con
    gc.collect()
    assert row.id == 5
    assert cursor.next() == row


def test_a_database_that_nobody_holds_goes_away() -> None:
    db = exdb.open("gone", SCHEMA)
    seen = weakref.ref(db)
    con = db.connect()
    del db
    gc.collect()
    assert seen() is not None  # the connection has it
    del con
    gc.collect()
    assert seen() is None


def test_an_open_database_at_the_end_of_the_program_does_no_harm() -> None:
    done = run("""
        db = exdb.open("end", SCHEMA)
        con = db.connect()
        con.startTransaction()
        row = con.new("T", id=1)
        view = con.cursor("T")
        print("end")
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


def test_a_child_of_a_fork_is_told_and_leaves_the_parent_alone() -> None:
    done = run("""
        db = exdb.open("forked", SCHEMA)
        con = db.connect()
        con.startTransaction()
        row = con.new("T", id=1)
        if os.fork() == 0:
            calls = (lambda: row.id, con.commit, db.connect, lambda: exdb.open("x", SCHEMA),
                     lambda: con.find("T", "x", 1), lambda: setattr(row, "id", 1))
            for call in calls:
                try:
                    call()
                except exdb.InvalidHandleError as error:
                    assert "spawn" in str(error)
                else:
                    os._exit(1)
            repr(row)
            con.close()
            db.close()
            sys.exit(0)
        pid, status = os.wait()
        assert status == 0, status
        con.commit()
        print(con.statistics()["committed"])
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


def test_a_child_of_a_fork_may_open_one_of_its_own() -> None:
    done = run("""
        exdb.open("before", SCHEMA).close()
        if os.fork() == 0:
            with exdb.open("child", SCHEMA) as db, db.connect() as con, con.startTransaction():
                con.new("T", id=1)
            sys.exit(0)
        print(os.wait()[1])
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


def test_waiting_calls_let_other_threads_run() -> None:
    done = run("""
        db = exdb.open("gil", SCHEMA)
        begun, go = threading.Event(), threading.Event()
        def first():
            with db.connect() as con:
                con.startTransaction(exdb.MCO_EXCLUSIVE)
                begun.set()
                go.wait()
                con.commit()
        thread = threading.Thread(target=first)
        thread.start()
        begun.wait()
        threading.Timer(0.2, go.set).start()
        with db.connect() as con:
            con.startTransaction(exdb.MCO_EXCLUSIVE)  # would hang if it kept the GIL
            con.rollback()
        thread.join()
        print("done")
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_a_second_exclusive_transaction_of_one_thread_is_told_not_waited_for() -> None:
    done = run("""
        db = exdb.open("exclusive", SCHEMA)
        one, other = db.connect(), db.connect()
        one.startTransaction(exdb.MCO_EXCLUSIVE)
        try:
            other.startTransaction(exdb.MCO_EXCLUSIVE)
        except exdb.Error as error:
            print(type(error).__name__)
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "TransactionActiveError\n", "")


@pytest.mark.parametrize("turn", range(5))
def test_threads_that_are_busy_when_the_program_ends_do_no_harm(turn: int) -> None:
    done = run("""
        db = exdb.open("busy", SCHEMA)
        def work():
            with db.connect() as con:
                while True:
                    with con.startTransaction():
                        con.new("T", id=1)
                        con.count("T")
                        db.digest()
        def wait():
            with db.connect() as con:
                con.startTransaction(exdb.MCO_EXCLUSIVE)
        sys.stderr = open(os.devnull, "w")  # the threads may see that the database is closed
        for target in (work, work, wait, wait):
            threading.Thread(target=target, daemon=True).start()
        import time
        time.sleep(0.1)
        print("end", flush=True)
    """)
    assert (done.returncode, done.stdout) == (0, "end\n"), done.stderr


def test_ctrl_c_ends_a_waiting_call() -> None:
    done = run("""
        import signal
        db = exdb.open("interrupted", SCHEMA)
        con = db.connect()
        with con.startTransaction():
            con.new("T", id=1)
        try:
            # Within the try: on a busy machine the interrupt comes before the next line is reached.
            threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
            while True:
                with con.startTransaction():
                    con.new("T", id=1)
        except KeyboardInterrupt:
            print("interrupted")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")
