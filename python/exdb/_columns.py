# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Columns for the engine: the values of one field for many rows, as they are to lie in memory.

Each function gives (rows, buffer, bytes of a row, ends): with ends, an array of uint64, row i is
what lies between ends[i - 1] and ends[i]; without (None) every row has the same size.
"""

from __future__ import annotations

from typing import Any, Optional

import numpy as np

from ._arrays import as_storage
from .errors import DataError

Made = tuple[int, np.ndarray, int, Optional[np.ndarray]]


def numbers(
    value: Any, dtype: str, type_text: str, name: str, days: bool, array_length: int, vector: bool
) -> Made:
    """Of a field of scalars. ``array_length``: of an array, else 0."""

    def stored(some: Any) -> np.ndarray:
        return as_storage(some, dtype, type_text, name, days)

    if vector and getattr(value, "ndim", 0) != 2:
        parts = [stored(part) for part in value]
        made = np.concatenate(parts) if parts else np.empty(0, dtype)
        lengths = np.fromiter((part.nbytes for part in parts), np.uint64, len(parts))
        return len(parts), made, 0, np.cumsum(lengths, dtype=np.uint64)
    source = np.asarray(value)
    per_row = array_length or 1
    if array_length or vector:
        if source.ndim != 2 or (array_length and source.shape[1] != array_length):
            raise DataError(
                f"field {name} ({type_text}) takes an array of two dimensions, a row each, not one "
                f"of shape {source.shape}"
            )
        per_row = source.shape[1]
        rows = source.shape[0]
        source = source.reshape(-1)
    else:
        rows = source.shape[0] if source.ndim else 0
    made = stored(source)
    return rows, made, per_row * made.itemsize, None


def texts(value: Any, type_text: str, name: str, text: bool) -> Made:
    """Of a field of text (str) or of bytes. Arrays of NumPy's 'S' and 'U' go in one piece."""
    dtype = getattr(value, "dtype", None)
    kind = getattr(dtype, "kind", "")
    if kind in "SU" and kind:
        source = np.asarray(value)
        if source.ndim != 1:
            raise DataError(f"field {name} ({type_text}) takes one dimension")
        if (kind == "U") != text and kind == "U":
            raise DataError(f"field {name} ({type_text}) takes bytes, not str")
        encoded = np.char.encode(source, "utf-8") if kind == "U" else source
        if text:
            return len(encoded), np.ascontiguousarray(encoded), encoded.itemsize, None
        value = encoded.tolist()  # without the zeros that pad them
    parts = [_encoded(one, row, type_text, name, text) for row, one in enumerate(value)]
    ends = np.cumsum(np.fromiter(map(len, parts), np.uint64, len(parts)), dtype=np.uint64)
    return len(parts), np.frombuffer(b"".join(parts), np.uint8), 0, ends


def _encoded(one: Any, row: int, type_text: str, name: str, text: bool) -> bytes:
    if text and isinstance(one, str):
        return one.encode()
    if not text and isinstance(one, (bytes, bytearray, memoryview)):
        return bytes(one)
    wanted = "str" if text else "bytes"
    raise DataError(f"field {name} ({type_text}) takes {wanted}, not {one!r} (row {row})")
