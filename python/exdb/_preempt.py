# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""What a signal of the scheduler does, which says that the time of the job is nearly over.

Nothing is done in the handler of the signal. Python's C handler writes a byte to a pipe, whatever
the main thread is doing, and a thread of exdb's reads it: it writes the checkpoint and closes the
databases, which ends calls that block in them. The main thread waits for that as soon as it runs
Python again, and then raises SystemExit with the exit code.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any

from ._check import integer, shown
from ._lifetime import job_was_told_to_end
from .errors import DataError, Error, ProgrammingError

if TYPE_CHECKING:
    from .database import Database

POLL_S = 0.2  # how often nodes of a cluster look whether another one was told
CLOSE_S = 20.0  # how long nodes that were not told are waited for
GRACE_S = 10.0  # how long the main thread has for its own end


@dataclass(frozen=True)
class OnPreempt:
    """For ``on_preempt`` of :func:`exdb.open`.

    signals: names or numbers of the signals that a scheduler sends some time before the end
        (``sbatch --signal=USR1@120``, ``scancel``, a preemption).
    exit_code: with which the process ends, so that the scheduler, or the script of the job, starts
        it again: 99 is what Grid Engine takes for that, and what ``RequeueExit`` of Slurm can be
        set to.
    before: called first, in a thread of exdb's, without arguments: to commit what the program has
        beside the database. An exception in it is printed and changes nothing.
    """

    signals: tuple[str | int, ...] = ("SIGTERM", "SIGUSR1")
    exit_code: int = 99
    before: Callable[[], object] | None = None


def _numbers(settings: OnPreempt) -> list[signal.Signals]:
    return [
        signal.Signals[each] if isinstance(each, str) else signal.Signals(each)
        for each in settings.signals
    ]


def check(given: Any) -> OnPreempt | None:
    """The argument ``on_preempt``."""
    if given is None or given is False:
        return None
    if given is True:
        given = OnPreempt()
    if not isinstance(given, OnPreempt):
        raise DataError(f"on_preempt must be True or an exdb.OnPreempt, not {shown(given)}")
    integer(given.exit_code, "on_preempt.exit_code", 0, 255)
    if given.before is not None and not callable(given.before):
        raise DataError(f"on_preempt.before must be callable, not {shown(given.before)}")
    try:
        if not _numbers(given) or signal.SIGKILL in _numbers(given):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise DataError(
            f"on_preempt.signals must be names or numbers of signals, not {shown(given.signals)}"
        ) from None
    if threading.current_thread() is not threading.main_thread():
        raise ProgrammingError("on_preempt: signals are set in the main thread: open there")
    return given


class _Watched:
    def __init__(self, database: Database, settings: OnPreempt) -> None:
        self.database = weakref.ref(database)
        self.settings = settings
        self.announced = self._newest(database) or 0

    def _newest(self, database: Database) -> int | None:
        """None when it cannot be known any more."""
        try:
            return database._core.preempt_announced()
        except Error:
            return None

    def told(self) -> bool:
        """Whether another node has said that the end comes."""
        database = self.database()
        if database is None or not database.is_open or not database.clustered:
            return False
        return self._newest(database) not in (None, self.announced)


class _Watch:
    """Of this process: one thread, however many databases there are."""

    def __init__(self) -> None:
        self.watched: list[_Watched] = []
        self.lock = threading.Lock()
        self.started = False
        self.over = threading.Event()
        self.waiting = threading.Event()  # the main thread, for `over`
        self.exit_code = 0
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.writing, False)
        os.set_blocking(self.reading, False)
        self.former = signal.set_wakeup_fd(self.writing, warn_on_full_buffer=False)
        self.handled: set[int] = set()
        threading.Thread(target=self._run, name="exdb-preempt", daemon=True).start()

    def add(self, database: Database, settings: OnPreempt) -> None:
        with self.lock:
            self.watched.append(_Watched(database, settings))
        os.write(self.writing, b"\0")  # no signal: there is more to look at
        for number in _numbers(settings):
            if number not in self.handled:
                self.handled.add(number)
                signal.signal(number, self._on_signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        """In the main thread, between two instructions of Python."""
        self._begin()
        self.waiting.set()
        self.over.wait()
        raise SystemExit(self.exit_code)

    def _begin(self) -> None:
        with self.lock:
            if self.started:
                return
            self.started = True
        threading.Thread(target=self._end_all, name="exdb-preempt-end", daemon=True).start()

    def _run(self) -> None:
        while not self.over.is_set():
            with self.lock:
                watched = list(self.watched)
            clustered = any(
                database.clustered for each in watched if (database := each.database()) is not None
            )
            ready, _, _ = select.select([self.reading], [], [], POLL_S if clustered else None)
            if ready:
                numbers = os.read(self.reading, 64)
                if self.former != -1:  # of asyncio, say
                    with contextlib.suppress(OSError):
                        os.write(self.former, numbers)
                if any(number in self.handled for number in numbers):
                    self._begin()
            elif any(each.told() for each in watched):
                # The handler is what ends the main thread: it is told as though by the scheduler.
                signal.pthread_kill(threading.main_thread().ident or 0, min(self.handled))

    def _end_all(self) -> None:
        with self.lock:
            watched = list(self.watched)
        # A main thread that is not in a call for long gets no errors of databases that are closed.
        self.waiting.wait(1.0)
        for each in watched:
            self.exit_code = each.settings.exit_code
            database = each.database()
            if database is not None and database.is_open:
                _end(database, each)
        job_was_told_to_end()
        self.over.set()
        time.sleep(GRACE_S)  # the end of the process ends this thread, mostly
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(self.exit_code)


def _say(database: Database, text: str) -> None:
    print(f"exdb: database {database.name!r}: {text}", file=sys.stderr, flush=True)


def _end(database: Database, watched: _Watched) -> None:
    _say(database, "told to end: checkpoint, and close")
    if watched.settings.before is not None:
        try:
            watched.settings.before()
        except Exception as error:
            _say(database, f"on_preempt.before raised {error!r}")
    if database.clustered and not watched.told():
        announcing = threading.Thread(target=_announce, args=(database,), daemon=True)
        announcing.start()
        announcing.join(CLOSE_S)
    try:
        if database.recovered:  # on disk; of a cluster each node writes its own
            database.checkpoint()
    except Error as error:
        _say(database, f"no checkpoint: {error}; what was committed is in the log")
    try:
        database.close(timeout=CLOSE_S if database.clustered else None)
    except Error as error:
        _say(database, f"closed, but: {error}")


def _announce(database: Database) -> None:
    with contextlib.suppress(Error):
        database._core.announce_preempt()


_watch: _Watch | None = None


def install(database: Database, settings: OnPreempt) -> None:
    """Watches for the signals on behalf of this database. Main thread."""
    global _watch
    if _watch is None:
        _watch = _Watch()
    _watch.add(database, settings)
