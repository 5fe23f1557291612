# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Tables on stdout, and pictures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from .goals import Verdict
from .model import Plot, Row


def number(value: float | None) -> str:
    """Three digits that matter, no more decimals than two."""
    if value is None:
        return ""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table_of(name: str, rows: Iterable[Row]) -> Table:
    table = Table(title=name, title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    for column in ("measured", "unit", "p99", "floor", "ratio"):
        table.add_column(column, justify="left" if column == "unit" else "right", no_wrap=True)
    table.add_column("floor is")
    for row in rows:
        table.add_row(
            row.what,
            number(row.measured),
            row.unit,
            number(row.p99),
            number(row.floor),
            number(row.ratio),
            row.floor_is,
        )
    return table


def table_of_goals(verdicts: Iterable[Verdict]) -> Table:
    table = Table(title="figures to reach", title_justify="left", box=None, pad_edge=False)
    for column in ("row", "goal"):
        table.add_column(column)
    for column in ("measured", "floor", "ratio"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("reached", no_wrap=True)
    for verdict in verdicts:
        figure = verdict.figure
        table.add_row(
            verdict.goal.what,
            verdict.goal.text,
            f"{number(figure.measured)} {figure.unit}" if figure else "",
            number(figure.floor) if figure else "",
            number(verdict.ratio),
            {True: "yes", False: "NO", None: "not measured"}[verdict.reached],
        )
    return table


def console() -> Console:
    """As wide as the tables need where nobody watches: a log must not wrap them."""
    shown = Console()
    return shown if shown.is_terminal else Console(width=150)


def draw(name: str, plots: list[Plot], folder: Path) -> list[Path]:
    """A PNG a plot; the paths."""
    if not plots:
        return []
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    paths = []
    for count, plot in enumerate(plots):
        figure, axes = pyplot.subplots(figsize=(7, 4.5))
        for label, points in plot.lines.items():
            xs, ys = zip(*sorted(points))
            axes.plot(xs, ys, marker="o", label=label)
        if plot.log:
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            axes.xaxis.set_major_formatter("{x:g}")
        axes.set(title=plot.title, xlabel=plot.x, ylabel=plot.y)
        axes.grid(alpha=0.3)
        axes.legend()
        figure.tight_layout()
        path = folder / (f"{name}.png" if count == 0 else f"{name}-{count}.png")
        figure.savefig(path, dpi=120)
        pyplot.close(figure)
        paths.append(path)
    return paths
