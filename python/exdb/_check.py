# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Arguments, checked: what is wrong raises an error that names the argument, what was given and
what is wanted."""

from __future__ import annotations

import operator
from typing import Any

from .errors import DataError, Error

Kind = type[Error]


def shown(value: object) -> str:
    """``'x' of type str``, shortened."""
    try:
        seen = repr(value)
    except Exception:  # a __repr__ that fails must not hide what is wrong
        return f"an object of type {type(value).__name__}"
    if len(seen) > 60:
        seen = seen[:57] + "..."
    return seen if value is None else f"{seen} of type {type(value).__name__}"


def integer(value: Any, name: str, low: int, high: int, kind: Kind = DataError) -> int:
    """int, or what says that it is one by ``__index__``; no bool."""
    if not isinstance(value, bool):
        try:
            number = operator.index(value)
        except TypeError:
            pass
        else:
            if low <= number <= high:
                return number
    raise kind(f"{name} must be an integer of {low} to {high}, not {shown(value)}")


def boolean(value: Any, name: str, kind: Kind = DataError) -> bool:
    """True or False, and nothing that is only like them."""
    if not isinstance(value, bool):
        raise kind(f"{name} must be True or False, not {shown(value)}")
    return value


def milliseconds(timeout: Any, name: str = "timeout") -> int | None:
    """Seconds as an int of milliseconds; None stays None."""
    if timeout is None:
        return None
    # `not >` rather than `<=`: NaN is refused too.
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0:
        raise DataError(f"{name} must be seconds above 0, or None, not {shown(timeout)}")
    return max(1, int(min(timeout, 1e9) * 1000))


def text(value: Any, name: str) -> str:
    """A str, and nothing that is only like one."""
    if not isinstance(value, str):
        raise DataError(f"{name} must be a str, not {shown(value)}")
    return value
