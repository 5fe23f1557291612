# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""A node in a process of its own: does what comes as lines of JSON on stdin, answers on stdout.

It ends with its stdin, so with the test, however that ends. mpi4py cannot be imported in it.
"""

from __future__ import annotations

import faulthandler
import json
import os
import socket
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

sys.modules["mpi4py"] = None  # type: ignore[assignment]

import exdb  # noqa: E402

SCHEMA = """
declare database grid;
class Item { unsigned<4> key; signed<8> value; string text; unique tree<key> by_key; };
"""


class Writer(threading.Thread):
    """Inserts keys first, first + step, … until it is told to stop. What was acknowledged is in a
    file, which outlives a process that is killed."""

    def __init__(self, db: exdb.Database, file: str, first: int, step: int) -> None:
        super().__init__(daemon=True)
        self.con = db.connect()
        self.file = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.key, self.step = first, step
        self.over = False
        self.commits = self.refused = self.unknown = self.conflicts = 0
        self.failure: str | None = None

    def run(self) -> None:
        try:
            while not self.over:
                self.once()
        except exdb.ClusterStoppedError:
            pass
        except BaseException:
            self.failure = traceback.format_exc()
        finally:
            self.con.close()

    def once(self) -> None:
        try:
            with self.con.startTransaction():
                self.con.new("Item", key=self.key, value=os.getpid())
        except exdb.NoQuorumError:
            self.refused += 1
            time.sleep(0.02)  # and this key again
            return
        except exdb.ConflictError:
            self.conflicts += 1
            return
        except exdb.OutcomeUnknownError:
            self.unknown += 1
        else:
            os.write(self.file, self.key.to_bytes(4, "little"))
            self.commits += 1
            time.sleep(0.001)  # who catches up shares two processors with the writers
        self.key += self.step

    def end(self) -> dict[str, Any]:
        self.over = True
        self.join(60)
        assert not self.is_alive(), "a commit does not return"
        assert self.failure is None, self.failure
        names = ("commits", "refused", "unknown", "conflicts")
        return {name: getattr(self, name) for name in names}


def put(db: exdb.Database, key: int, **fields: Any) -> int:
    with db.connect() as con:
        with con.startTransaction() as transaction:
            con.new("Item", key=key, **fields)
        assert transaction.csn is not None
        return transaction.csn


def keys(db: exdb.Database) -> list[int]:
    with db.connect() as con:
        con.startTransaction(exdb.MCO_READ_ONLY)
        found = [item.key for item in con.cursor("Item", "by_key")]
        con.rollback()
    return found


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def connection_buffers() -> list[list[int]]:
    """SO_SNDBUF and SO_RCVBUF of each connected socket of this process."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            with socket.socket(fileno=os.dup(int(entry.name))) as one:
                one.getpeername()
                sizes = (socket.SO_SNDBUF, socket.SO_RCVBUF)
                found.append([one.getsockopt(socket.SOL_SOCKET, name) for name in sizes])
        except OSError:
            continue
    return found


def wait_for(condition: Any, seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def answer(space: dict[str, Any], request: dict[str, str]) -> dict[str, Any]:
    try:
        if "value" in request:
            return {"value": eval(request["value"], space)}
        exec(request["code"], space)
        return {"value": None}
    except exdb.Error as error:
        return {"error": [type(error).__name__, error.code, str(error)]}
    except BaseException:
        return {"error": ["", 0, traceback.format_exc()]}


def main() -> None:
    faulthandler.dump_traceback_later(float(os.environ.get("EXDB_TEST_SECONDS", "170")), exit=True)
    space: dict[str, Any] = {**globals(), "extra": {}}
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else is printed
    for line in sys.stdin:
        out.write(json.dumps(answer(space, json.loads(line))) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
