# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Loading: every rank puts its share of every table into the grid, all at the same time."""

from collections.abc import Callable
from itertools import islice

import pandas as pd

import exdb

from . import tables

ROWS_A_TRANSACTION = 500


def load(
    con: exdb.Connection,
    frames: dict[str, pd.DataFrame],
    rank: int,
    ranks: int,
    progress: Callable[[], None],
) -> int:
    """Returns how many rows this rank has put in. The shares are disjoint, so nothing conflicts."""
    loaded = 0
    for name, cls in tables.CLASSES.items():
        rows = tables.rows(name, tables.share(frames[name], rank, ranks))
        while batch := list(islice(rows, ROWS_A_TRANSACTION)):
            con.startTransaction()
            for row in batch:
                con.new(cls, **row)
            con.commit()
            loaded += len(batch)
            progress()
    return loaded
