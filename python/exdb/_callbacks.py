# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""The threads that call the program's notifyCallback and quorumCallback.

One for each, so that one that never returns holds up neither the other nor the engine, which only
leaves messages (``src/callbacks.hpp``) and takes ``no`` for an answer that does not come. The
threads are daemons: the program ends without them.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Callable

from .types import NodeInfo

if TYPE_CHECKING:
    from . import _core

# How long close() waits for a notifyCallback that is running: normally all that was told has been
# delivered when it returns.
PATIENCE_SECONDS = 1.0


class CallbackThreads:
    """Serves one database from its open to its end."""

    def __init__(
        self,
        calls: _core.Callbacks,
        notify: Callable[[int, NodeInfo], Any] | None,
        quorum: Callable[[list[int]], Any] | None,
    ) -> None:
        self._calls = calls
        self._notifier: threading.Thread | None = None
        if notify is not None:
            self._notifier = _start("exdb-notify", _serve_notify, calls, notify)
        if quorum is not None:
            _start("exdb-quorum", _serve_quorum, calls, quorum)

    def close(self) -> None:
        """Lets the threads end; waits a moment for the last notification. Closing twice is fine."""
        self._calls.close()
        thread = self._notifier
        if thread is not None and thread is not threading.current_thread():
            thread.join(PATIENCE_SECONDS)
            self._notifier = None  # one that hangs is not waited for twice


def _start(name: str, serve: Callable[..., None], *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=serve, args=arguments, name=name, daemon=True)
    thread.start()
    return thread


def _serve_notify(calls: _core.Callbacks, notify: Callable[[int, NodeInfo], Any]) -> None:
    while (event := calls.next_event()) is not None:
        code, addr, qrank, node = event
        try:
            notify(code, NodeInfo(addr, qrank, node))
        except BaseException as error:
            _print(error)


def _serve_quorum(calls: _core.Callbacks, quorum: Callable[[list[int]], Any]) -> None:
    while (question := calls.next_question()) is not None:
        number, neighbours = question
        answer = False
        try:
            answer = bool(quorum(neighbours))
        except BaseException as error:
            _print(error)
        calls.answer(number, answer)


def _print(error: BaseException) -> None:
    """As an exception that ends a thread is printed: the thread goes on."""
    threading.excepthook(
        threading.ExceptHookArgs(
            (type(error), error, error.__traceback__, threading.current_thread())
        )
    )
