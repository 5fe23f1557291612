# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""What the driver knows of a benchmark: the programs it runs, and what their figures come to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

Record = dict[str, Any]
"""What one program wrote, flat, and under `run` how it was run."""


@dataclass(frozen=True)
class Run:
    """One program, on `ranks` ranks (0: without mpiexec), with options but --json."""

    program: str
    ranks: int = 0
    options: tuple[object, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One line of the table. A ratio is measured / floor."""

    what: str
    measured: float
    unit: str
    p99: float | None = None
    floor: float | None = None
    floor_is: str = ""

    @property
    def ratio(self) -> float | None:
        return self.measured / self.floor if self.floor else None


@dataclass(frozen=True)
class Plot:
    """Lines of (x, y) by label."""

    title: str
    x: str
    y: str
    lines: dict[str, list[tuple[float, float]]]
    log: bool = False


@dataclass(frozen=True)
class Benchmark:
    name: str
    line: str
    """What it asks, for --list."""
    runs: Callable[[str], Iterable[Run]]
    """By size: `tiny` (does it work?), `small`, `full`."""
    rows: Callable[[list[Record]], list[Row]]
    plots: Callable[[list[Record]], list[Plot]] = lambda _records: []


def by_size(size: str, tiny: Any, small: Any, full: Any) -> Any:
    return {"tiny": tiny, "small": small, "full": full}[size]


def series(
    records: list[Record], label: Callable[[Record], str], x: str, y: str
) -> dict[str, list[tuple[float, float]]]:
    lines: dict[str, list[tuple[float, float]]] = {}
    for record in records:
        lines.setdefault(label(record), []).append((record[x], record[y]))
    return lines
