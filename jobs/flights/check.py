# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""The proof: the same statistics by pandas straight from the files, compared for exact equality."""

import pandas as pd

import exdb

from .schema import LATE_MINUTES

KEY = ["month", "origin", "carrier"]
FIGURES = [
    "flights",
    "cancelled",
    "arrived",
    "dep_delay_sum",
    "arr_delay_sum",
    "arr_delay_squares",
    "arr_delay_max",
    "late",
    "arr_delay_mean",
    "arr_delay_median",
    "distance_sum",
    "seats_sum",
]


def expected(flights: pd.DataFrame, planes: pd.DataFrame) -> pd.DataFrame:
    """The statistics as pandas computes them, indexed by month, origin and carrier."""
    frame = flights.merge(planes[["tailnum", "seats"]], on="tailnum", how="left")
    frame["squares"] = frame.arr_delay**2
    frame["is_late"] = frame.arr_delay > LATE_MINUTES
    groups = frame.groupby(KEY)
    arrived = groups.arr_delay.count()
    figures = pd.DataFrame(
        {
            "flights": groups.size(),
            "cancelled": groups.size() - groups.dep_delay.count(),
            "arrived": arrived,
            "dep_delay_sum": groups.dep_delay.sum().astype("int64"),
            "arr_delay_sum": groups.arr_delay.sum().astype("int64"),
            "arr_delay_squares": groups.squares.sum().astype("int64"),
            "arr_delay_max": groups.arr_delay.max().fillna(0).astype("int64"),
            "late": groups.is_late.sum().astype("int64"),
            "arr_delay_mean": groups.arr_delay.mean().fillna(0.0),
            "arr_delay_median": groups.arr_delay.median().fillna(0.0),
            "distance_sum": groups.distance.sum().astype("int64"),
            "seats_sum": groups.seats.sum().astype("int64"),
        }
    )
    # A mean is one division of exact sums; pandas' own may round its running sum.
    figures["arr_delay_mean"] = (figures.arr_delay_sum / arrived).fillna(0.0)
    return figures.sort_index()


def from_grid(con: exdb.Connection) -> pd.DataFrame:
    """The statistics that the ranks wrote, from the local replica, in the same shape."""
    con.startTransaction(exdb.MCO_READ_ONLY)
    with con.cursor("Statistic", "by_key") as cursor:
        rows = [[getattr(row, name) for name in KEY + FIGURES] for row in _all(cursor)]
    con.rollback()
    return pd.DataFrame(rows, columns=KEY + FIGURES).set_index(KEY).sort_index()


def _all(cursor: exdb.Cursor):  # type: ignore[no-untyped-def]
    row = cursor.first()
    while row is not None:
        yield row
        row = cursor.next()


def differences(grid: pd.DataFrame, files: pd.DataFrame) -> list[str]:
    """What differs, in words; empty when everything is exactly equal."""
    found = [f"only in the grid: {key}" for key in grid.index.difference(files.index)]
    found += [f"only in the files: {key}" for key in files.index.difference(grid.index)]
    common = grid.index.intersection(files.index)
    for name in FIGURES:
        ours, theirs = grid.loc[common, name], files.loc[common, name]
        for key in common[(ours != theirs).to_numpy()]:
            found.append(
                f"{name} of {key}: {ours[key]!r} in the grid, {theirs[key]!r} in the files"
            )
    return found
