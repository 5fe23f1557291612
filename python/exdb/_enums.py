# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""IntEnums for the enums of a schema; called by the engine when a dictionary is made."""

from __future__ import annotations

from enum import IntEnum


def make(name: str, pairs: list[tuple[str, int]]) -> type[IntEnum]:
    """The enumerators under their names; one that Python reserves gets an underscore behind it."""
    members = [(key + "_" if key == "mro" else key, number) for key, number in pairs]
    return IntEnum(name, members)  # type: ignore[return-value]
