# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""The end of the process, and forks.

A database that is still open when the interpreter ends leaves its cluster by itself: locally, at
once, and before mpi4py finalizes MPI (which it does after Python's atexit hooks).

A thread of the program in ``con.listen()`` comes back only when the cluster ends, and Python waits
for its threads before it runs atexit hooks. So when the main thread has ended, a helper waits for
the other threads of the program and then ends the clusters that only listeners are left of.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING

from . import _core

if TYPE_CHECKING:
    from .database import Database

_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_listeners: set[threading.Thread] = set()
_open_abandoned = False
_told_to_end = False


def register(database: Database) -> None:
    """Called for every database that was opened."""
    _databases.add(database)


def open_databases() -> list[Database]:
    return [database for database in list(_databases) if database.is_open]


@contextlib.contextmanager
def listening() -> Iterator[None]:
    """Around ``listen()``: this thread ends with the cluster and not before."""
    thread = threading.current_thread()
    _listeners.add(thread)
    try:
        yield
    finally:
        _listeners.discard(thread)


def open_was_abandoned() -> None:
    """Ctrl-C during an open: a thread is left in MPI, which no end of the process waits for."""
    global _open_abandoned
    _open_abandoned = True


def job_was_told_to_end() -> None:
    """By on_preempt: all ranks end with a code other than 0, in good order."""
    global _told_to_end
    _told_to_end = True


def finalize_mpi() -> None:
    """Before mpi4py does: after an exit code other than 0 it calls MPI_Abort. Then srun reports a
    kill (137) where the code was meant, and MPICH leaves a segment behind that fails the job when
    Slurm starts it again under the same number."""
    mpi = sys.modules.get("mpi4py.MPI")
    if mpi is not None and mpi.Is_initialized() and not mpi.Is_finalized():
        mpi.Finalize()


def abandon_all() -> None:
    for database in open_databases():
        database.abandon()


def _wait_for_threads() -> None:
    """Until no thread is in a call of exdb that has let the GIL go; a second at most."""
    deadline = time.monotonic() + 1.0
    while _core.released_threads() > 0 and time.monotonic() < deadline:
        time.sleep(0.002)


def _at_exit() -> None:
    abandon_all()
    _wait_for_threads()  # that abandon has ended; they may go on for as long as Python does
    _core.mark_ending()
    _wait_for_threads()  # that asked for the GIL just before
    if _open_abandoned:
        # MPI_Finalize would wait for the ranks that this one has just given up waiting for.
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(130)
    if _told_to_end:
        finalize_mpi()


def _end_listeners() -> None:
    while True:
        working = [
            thread
            for thread in threading.enumerate()
            if thread is not threading.main_thread()
            and not thread.daemon
            and thread not in _listeners
        ]
        if not working:
            abandon_all()
            return
        time.sleep(0.02)


def _main_thread_has_ended() -> None:
    if _listeners and open_databases():
        threading.Thread(target=_end_listeners, name="exdb-exit", daemon=True).start()


def _in_forked_child() -> None:
    if open_databases():
        _core.mark_forked()
        _databases.clear()


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_in_forked_child)
# Before Python waits for threads; concurrent.futures uses the same hook.
_register = getattr(threading, "_register_atexit", None)
if _register is not None:
    _register(_main_thread_has_ended)
