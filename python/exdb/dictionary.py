# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Dictionary: a schema, parsed and checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import IntEnum
from types import MappingProxyType

from . import _core
from ._check import boolean, shown
from ._core import Class, Index
from .errors import NotFoundError


def shown_name(name: object) -> str:
    """A name as it is, and anything else with its type."""
    return repr(name) if isinstance(name, str) else shown(name)


class Named(Mapping[str, object]):
    """Names to definitions; a wrong name raises NotFoundError (a KeyError) that names the right
    ones."""

    def __init__(self, what: str, items: Mapping[str, object]) -> None:
        self._what = what
        self._items = items

    def __getitem__(self, name: str) -> object:
        try:
            return self._items[name]
        except (KeyError, TypeError):  # TypeError: a list, say, which no mapping can look up
            known = ", ".join(self._items) or "none"
            raise NotFoundError(
                f"there is no {self._what} {shown_name(name)}; there are: {known}"
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return repr(dict(self._items))


class Classes(Named):
    """The classes of a dictionary by name."""

    def __getitem__(self, name: str) -> Class:
        return super().__getitem__(name)  # type: ignore[return-value]


class Indexes(Named):
    """The indexes of a dictionary by name."""

    def __getitem__(self, name: str) -> Index:
        return super().__getitem__(name)  # type: ignore[return-value]


class Dictionary:
    """What :func:`load_dictionary` makes of a schema. Immutable; any thread may use it.

    ``classes[name]`` has ``name``, ``local``, ``fields`` (name to type text) and ``indexes[name]``.
    ``indexes[name]`` has all indexes as ``"Class.index"``, and as ``"index"`` where only one class
    has an index of that name. ``enums[name]`` are IntEnums.
    """

    def __init__(self, schema: str) -> None:
        if not isinstance(schema, str):
            raise TypeError(f"schema must be the text of a schema, a str, not {shown(schema)}")
        self._core = _core.parse(schema)
        classes = self._core.classes
        indexes: dict[str, object] = {}
        names = [name for cls in classes.values() for name in cls.indexes]
        for cls in classes.values():
            for name, index in cls.indexes.items():
                indexes[f"{cls.name}.{name}"] = index
                if names.count(name) == 1:
                    indexes[name] = index
        self.classes = Classes("class", classes)
        self.indexes = Indexes("index", indexes)
        self.enums: Mapping[str, type[IntEnum]] = MappingProxyType(self._core.enums)

    @property
    def name(self) -> str:
        """The NAME of ``declare database NAME;``, or ''."""
        return self._core.name

    @property
    def hash(self) -> int:
        """64 bits, equal for schemas that differ only in comments and spelling."""
        return self._core.hash

    @property
    def text(self) -> str:
        """The schema in canonical form."""
        return self._core.text

    def __repr__(self) -> str:
        return f"<exdb.Dictionary {self.name or 'unnamed'}: {', '.join(self.classes)}>"


def load_dictionary(schema: str, persistent: bool = False, debug: bool = False) -> Dictionary:
    """Parses a schema into a :class:`Dictionary`. Local, not collective; does not block.

    schema: the text of a schema, not a file name.
    persistent: classes that say neither persistent nor transient are persistent. Without effect on
        a database in memory.
    debug: kept for programs that pass it.

    Raises SchemaError naming line, column and what was expected.
    """
    boolean(persistent, "persistent")
    boolean(debug, "debug")
    return Dictionary(schema)
