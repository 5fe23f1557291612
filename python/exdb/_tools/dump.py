# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Rows as CSV or lines of JSON, one after the other."""

from __future__ import annotations

import csv
import json
import math
from enum import Enum
from typing import Any, TextIO

from .._core import Object
from ..connection import Connection


def plain(value: Any) -> Any:
    """A value of a field as JSON has it: enumerators by name, bytes in hexadecimal, dates and times
    as ISO 8601, what JSON has no number for (NaN, infinities) as text."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if hasattr(value, "isoformat"):
        return value.isoformat()
    kind = value.dtype.kind  # NumPy: an array
    if kind in "mM":  # in the unit that is stored: nanoseconds, which datetime does not have
        return [str(each) if kind == "M" else int(each.astype("int64")) for each in value]
    return [plain(each) for each in value.tolist()]


def _exact(row: Object, name: str, value: Any) -> Any:
    """A time of the day, or of a day, which the module datetime cuts to microseconds."""
    rest = 0 if value is None else Object.raw(row, name) % 1000
    return plain(value) if rest == 0 else _with_nanoseconds(value, rest)


def _with_nanoseconds(whole: Any, rest: int) -> str:
    text = whole.isoformat(timespec="microseconds")
    at = text.index(".") + 7
    return f"{text[:at]}{rest:03d}{text[at:]}"


def dump(con: Connection, cls: str, fields: dict[str, str], form: str, out: TextIO) -> int:
    """Writes all rows of a class that the open transaction sees, in storage order; how many.
    Memory: one row."""
    exact = {name for name, text in fields.items() if text.split()[-1] in ("datetime", "time")}
    rows = 0
    writer = csv.writer(out, lineterminator="\n")
    if form == "csv":
        writer.writerow(fields)
    for row in con.cursor(cls):
        values = Object.to_dict(row)  # a field may have the name of a method
        shown = {
            name: _exact(row, name, values[name]) if name in exact else plain(values[name])
            for name in fields
        }
        if form == "csv":
            writer.writerow([_cell(each) for each in shown.values()])
        else:
            out.write(json.dumps(shown, ensure_ascii=False) + "\n")
        rows += 1
    return rows


def _cell(value: Any) -> Any:
    """What is no single value is JSON within its cell; null is an empty one."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value
