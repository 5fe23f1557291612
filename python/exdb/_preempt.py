# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""What a signal of the scheduler does, which says that the time of the job is nearly over.

Nothing is done in the handler of the signal. Python's C handler writes a byte to a pipe, whatever
the main thread is doing, and a thread of exdb's reads it: it writes the checkpoint and closes the
databases, which ends calls that block in them. The main thread waits for that as soon as it runs
Python again, and then raises SystemExit with the exit code.

Invariants
  P1  The process ends with the exit code in every end: by SystemExit in the main thread; by
      os._exit GRACE_S after the databases are closed; by os._exit when `seconds` are over, wherever
      the databases, the device, other nodes or the program are stuck. What keeps the GIL for ever
      keeps this waiting too.
  P2  SystemExit is raised once, so that nothing of the program's own end is interrupted.
  P3  Where nodes stop together, one that is told tells the others. Where each comes and goes for
      itself (TCP), it leaves, and the others go on.
"""

from __future__ import annotations

import atexit
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
from typing import TYPE_CHECKING, Any, NoReturn

from ._check import integer, milliseconds, shown
from ._lifetime import finalize_mpi, job_was_told_to_end
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
    seconds: after the signal the process ends at the latest, however far `before` and the
        checkpoint have come: less than the scheduler gives. What was committed is in the log.
    """

    signals: tuple[str | int, ...] = ("SIGTERM", "SIGUSR1")
    exit_code: int = 99
    before: Callable[[], object] | None = None
    seconds: float = 100.0


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
    if milliseconds(given.seconds, "on_preempt.seconds") is None:
        raise DataError("on_preempt.seconds must be a number")
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
    def __init__(self, database: Database, settings: OnPreempt, by_node: bool) -> None:
        self.database = weakref.ref(database)
        self.settings = settings
        self.together = database.clustered and not by_node  # P3
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
        if database is None or not database.is_open or not self.together:
            return False
        return self._newest(database) not in (None, self.announced)


class _Watch:
    """Of this process: one thread, however many databases there are."""

    def __init__(self) -> None:
        # Replaced, never changed: the handler may come in between.
        self.watched: list[_Watched] = []
        self.begun = threading.Lock()  # taken once, and kept
        self.raised = False
        self.over = threading.Event()
        self.waiting = threading.Event()  # the main thread, for `over`
        self.exit_code = 0
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.writing, False)
        os.set_blocking(self.reading, False)
        self.former = signal.set_wakeup_fd(self.writing, warn_on_full_buffer=False)
        self.handled: set[int] = set()
        threading.Thread(target=self._run, name="exdb-preempt", daemon=True).start()

    def add(self, database: Database, settings: OnPreempt, by_node: bool) -> None:
        self.watched = [*self.watched, _Watched(database, settings, by_node)]
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
        if self.raised:  # P2
            return
        self.raised = True
        # When it waits for threads its code is given already.
        if not threading.main_thread().is_alive():
            self._leave()
        raise SystemExit(self.exit_code)

    def _begin(self) -> None:
        if self.begun.acquire(blocking=False):
            threading.Thread(target=self._end_all, name="exdb-preempt-end", daemon=True).start()

    def _leave(self, text: str = "") -> NoReturn:
        # Nobody may read what is printed.
        last = threading.Thread(target=_flush, args=(text,), daemon=True)
        last.start()
        last.join(1.0)
        os._exit(self.exit_code)

    def _at_exit(self) -> None:
        """P1: an error of a database that was closed came before the handler did."""
        if not self.begun.locked() or self.raised or not isinstance(_last_error(), Error):
            return
        self.over.wait()
        finalize_mpi()
        self._leave()

    def _run(self) -> None:
        while not self.over.is_set():
            watched = self.watched
            polls = not self.begun.locked() and any(each.together for each in watched)
            ready, _, _ = select.select([self.reading], [], [], POLL_S if polls else None)
            if ready:
                numbers = os.read(self.reading, 64)
                if self.former != -1:  # of asyncio, say
                    with contextlib.suppress(OSError):
                        os.write(self.former, numbers)
                if any(number in self.handled for number in numbers):
                    self._begin()
            elif not self.begun.locked() and any(each.told() for each in watched):
                self._begin()
                # The handler is what ends the main thread: it is told as though by the scheduler.
                signal.pthread_kill(threading.main_thread().ident or 0, min(self.handled))

    def _end_all(self) -> None:
        watched = self.watched
        self.exit_code = watched[-1].settings.exit_code
        deadline = time.monotonic() + min(each.settings.seconds for each in watched)
        threading.Thread(
            target=self._end_at, args=(deadline,), name="exdb-preempt-limit", daemon=True
        ).start()
        # A main thread that is not in a call for long gets no errors of databases that are closed.
        self.waiting.wait(1.0)
        for each in watched:
            database = each.database()
            if database is not None and database.is_open:
                _end(database, each, deadline)
        job_was_told_to_end()
        self.over.set()
        time.sleep(GRACE_S)  # the end of the process ends this thread, mostly
        self._leave()

    def _end_at(self, deadline: float) -> None:
        time.sleep(max(0.0, deadline - time.monotonic()))
        if not self.over.is_set():
            self._leave("exdb: the time of on_preempt is over: ended as it is")


def _flush(text: str) -> None:
    with contextlib.suppress(Exception):
        if text:
            print(text, file=sys.stderr)
        sys.stderr.flush()
        sys.stdout.flush()


def _say(database: Database, text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(f"exdb: database {database.name!r}: {text}", file=sys.stderr, flush=True)


def _last_error() -> object:
    """Of which the main thread has ended, if it has of one."""
    return getattr(sys, "last_value", None)


def _end(database: Database, watched: _Watched, deadline: float) -> None:
    _say(database, "told to end: checkpoint, and close")
    if watched.settings.before is not None:
        try:
            watched.settings.before()
        except Exception as error:
            _say(database, f"on_preempt.before raised {error!r}")
    if watched.together and not watched.told():
        announcing = threading.Thread(target=_announce, args=(database,), daemon=True)
        announcing.start()
        announcing.join(CLOSE_S)
    try:
        if database.recovered:  # on disk; of a cluster each node writes its own
            left = deadline - time.monotonic()
            if not database.checkpoint(wait=False).wait(max(0.001, left - CLOSE_S, left / 2)):
                _say(database, "no checkpoint in time; what was committed is in the log")
    except Error as error:
        _say(database, f"no checkpoint: {error}; what was committed is in the log")
    try:
        if database.clustered and not watched.together:
            database.abandon()
        else:
            database.close(timeout=CLOSE_S if database.clustered else None)
    except Error as error:
        _say(database, f"closed, but: {error}")


def _announce(database: Database) -> None:
    with contextlib.suppress(Error):
        database._core.announce_preempt()


_watch: _Watch | None = None


def install(database: Database, settings: OnPreempt, *, by_node: bool) -> None:
    """Watches for the signals on behalf of this database. Main thread. `by_node`: P3, it may leave
    without the others."""
    global _watch
    if _watch is None:
        _watch = _Watch()
        atexit.register(_watch._at_exit)
    _watch.add(database, settings, by_node)
