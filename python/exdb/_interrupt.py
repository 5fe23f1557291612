# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""What Ctrl-C says when it comes during a commit."""

from __future__ import annotations

from .errors import CommitInterrupted
from .types import Outcome, TransactionId


def commit_interrupted(
    error: BaseException, txid: TransactionId, outcome: str, csn: int
) -> BaseException:
    """What to raise for ``error``, which a handler of SIGINT raised. Called by the engine.

    Python's own handler raises KeyboardInterrupt, which becomes a CommitInterrupted. Another
    handler's exception is the program's own: it gets the same attributes, where it can have them.
    """
    known = Outcome(outcome)
    token = csn if known is Outcome.COMMITTED else None
    if type(error) is KeyboardInterrupt:
        return CommitInterrupted(txid, known, token)
    for name, value in (("txid", txid), ("outcome", known), ("csn", token)):
        try:
            setattr(error, name, value)
        except AttributeError:  # it has __slots__
            break
    return error
