# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""What the tests have in common that kill programs under load and open their database again: a
writer that says what becomes of each of its commits, and a check of what is found.

A writer commits pairs of rows, and the count of them in the same transaction. Some meet a key that
is there, and all writers change one row."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from typing import Any, Callable

SCHEMA = """
class Pair { int8 id; int4 writer; int4 half; string text; unique hash<id, half> by_id; };
class Counter { int4 writer; int8 count; unique hash<writer> by_writer; };
"""
WRITERS = 100  # less one: what number % WRITERS says
SHARED = 99  # the row that all change

over = threading.Event()
"""Ends the writers of this process."""


def make_shared(con: Any) -> None:
    """The row that all writers change."""
    with con.startTransaction():
        con.new("Counter", writer=SHARED, count=0)


def sayer(path: str) -> Callable[[str], None]:
    """Says a line in one write, into a file that outlives a program that is killed."""
    said = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def say(line: str) -> None:
        os.write(said, (line + "\n").encode())

    return say


def work(exdb: Any, db: Any, say: Callable[[str], None], writer: int, life: int) -> None:
    """Commits until it is killed, or `over` is set. Numbers are of this writer in this life."""
    last_went = False
    with db.connect() as con:
        for step in range(100_000):
            if over.is_set():
                return
            number = (life * 100_000 + step) * WRITERS + writer
            went = False
            try:
                con.startTransaction()
                count = con.find("Counter", "by_writer", writer)
                if count is None:
                    count = con.new("Counter", writer=writer)
                count.count = count.count + 1
                for half in (0, 1):
                    text = "t" * (number * 7919 % 3000)
                    con.new("Pair", id=number, writer=writer, half=half, text=text)
                if step % 5 == 3:
                    con.find("Counter", "by_writer", SHARED).count += 1
                if step % 35 == 8 and last_went:
                    con.new("Pair", id=number - WRITERS, writer=writer, half=1)
                say(f"try {number}")
                con.commit()
                say(f"ok {number}")
                went = True
            except (exdb.ConflictError, exdb.DuplicateKeyError, exdb.NoQuorumError) as error:
                if con.in_transaction:
                    con.rollback()
                say(f"no {number}")
                if isinstance(error, exdb.NoQuorumError):
                    time.sleep(0.02)
            except exdb.OutcomeUnknownError:
                pass
            last_went = went
            if step % 60 == 59 and writer == 0:
                db.checkpoint()


def found_in(exdb: Any, db: Any) -> tuple[list[list[int]], dict[str, int]]:
    """Pairs and counts, as JSON has them."""
    with db.connect() as con:
        con.startTransaction(exdb.MCO_READ_ONLY)
        pairs = sorted([row.id, row.half, row.writer] for row in con.cursor("Pair"))
        counts = {str(row.writer): row.count for row in con.cursor("Counter")}
        con.rollback()
    return pairs, counts


class Outcomes:
    """What became of the commits of all lives, as far as anybody was told."""

    def __init__(self) -> None:
        self.acknowledged: set[int] = set()
        self.refused: set[int] = set()
        self.doubtful: set[int] = set()

    def hear(self, lines: Iterable[str]) -> None:
        """All that the writers of some lives have said."""
        tried: set[int] = set()
        words = {"try": tried, "ok": self.acknowledged, "no": self.refused}
        for line in lines:
            word, number = line.split()
            words[word].add(int(number))
        self.doubtful |= tried - self.acknowledged - self.refused

    def check(
        self, pairs: list[list[int]], counts: dict[str, int], *, settled: bool, told: str = ""
    ) -> None:
        """What is there after an opening stays: it has been seen. `settled`: and what is not does
        not come."""
        found = {number for number, _, _ in pairs}
        lost = self.acknowledged - found
        assert not lost, f"lost: {sorted(lost)[:5]} of {len(lost)}; {told}"
        assert not self.refused & found, f"back: {sorted(self.refused & found)[:5]}; {told}"
        assert found <= self.acknowledged | self.doubtful
        self.acknowledged |= found
        self.doubtful -= found
        if settled:
            self.refused |= self.doubtful
            self.doubtful = set()
        assert pairs == sorted([n, half, n % WRITERS] for n in found for half in (0, 1))
        for writer, count in counts.items():
            if writer != str(SHARED):
                mine = sum(1 for number in found if number % WRITERS == int(writer))
                assert count == mine, writer
