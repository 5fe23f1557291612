# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""What Ctrl-C says when it ends a commit."""

from __future__ import annotations

from .types import TransactionId


def note_transaction(error: BaseException, txid: TransactionId) -> None:
    """Tells in the KeyboardInterrupt which transaction was on its way. Called by the engine."""
    error.txid = txid  # type: ignore[attr-defined]
    if txid.sequence == 0:
        text = "exdb: the transaction had not left this node: it is not committed"
    else:
        text = (
            f"exdb: transaction {tuple(txid)} was on its way: it may be committed or not. "
            "This node has left the cluster."
        )
    if hasattr(error, "add_note"):
        error.add_note(text)
    else:
        error.args = (*error.args, text)
