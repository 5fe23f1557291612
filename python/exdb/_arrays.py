# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Conversions by NumPy, for the engine: whole arrays to the machine type of a field."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import DataError

_UNIT = {"date": "D", "time": "ns", "datetime": "ns"}


def as_storage(value: Any, dtype: str, type_text: str, name: str, days: bool) -> np.ndarray:
    """``value`` as a contiguous 1-d array of ``dtype``, as the engine stores it.

    Without a copy where ``value`` is that already. Raises DataError when an element does not fit:
    a float for an integer, out of range, not a number.
    """
    source = np.asarray(value)
    if source.ndim != 1:
        raise DataError(
            f"field {name} ({type_text}) takes one dimension, not an array of shape {source.shape}"
        )
    if source.dtype.kind in "mM":
        source = _time_numbers(source, "D" if days else "ns", name, type_text)
    target = np.dtype(dtype)
    if source.dtype.kind not in "biuf":
        raise DataError(f"field {name} ({type_text}) takes numbers, not dtype {source.dtype}")
    if target.kind in "iu":
        _check_integers(source, target, name, type_text)
    elif target.kind == "b" and source.dtype.kind != "b":
        raise DataError(f"field {name} ({type_text}) takes booleans, not dtype {source.dtype}")
    return np.ascontiguousarray(source, dtype=target)


def _check_integers(source: np.ndarray, target: np.dtype, name: str, type_text: str) -> None:
    if source.dtype.kind == "f":
        raise DataError(f"field {name} ({type_text}) takes integers, not dtype {source.dtype}")
    if source.size == 0 or np.can_cast(source.dtype, target, "safe"):
        return
    low, high = int(source.min()), int(source.max())
    limits = np.iinfo(target)
    if low < limits.min or high > limits.max:
        wrong = low if low < limits.min else high
        raise DataError(f"field {name} ({type_text}): {wrong} does not fit")


def _time_numbers(source: np.ndarray, unit: str, name: str, type_text: str) -> np.ndarray:
    if np.isnat(source).any():
        raise DataError(f"field {name} ({type_text}): NaT has no value")
    converted = source.astype(f"{source.dtype.kind}8[{unit}]")
    if unit != "D" and (converted.astype(source.dtype) != source).any():
        raise DataError(f"field {name} ({type_text}): a time is out of range")
    return converted.view("i8")


def time_scalar(value: Any, type_text: str) -> int | None:
    """A numpy.datetime64 or timedelta64 as the integer stored in a field of this type, or None."""
    kind, unit = value.dtype.kind, _UNIT.get(type_text)
    if unit is None or np.isnat(value) or (kind == "m") != (type_text == "time"):
        return None
    converted = value.astype(f"{kind}8[{unit}]")
    if unit != "D" and converted.astype(value.dtype) != value:
        return None
    return int(converted.astype("i8"))
