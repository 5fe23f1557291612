# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""What people see: progress bars, tables, the picture."""

import sys
import time
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # a job has no display

import matplotlib.pyplot as plt
import pandas as pd
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


class Bar:
    """Progress of the whole grid, drawn by rank 0 from its own replica: everybody's rows."""

    def __init__(self, shown: bool, label: str, total: int, unit: str) -> None:
        self._bar = tqdm(
            total=total,
            desc=label,
            unit=unit,
            disable=not shown,
            file=sys.stderr,
            mininterval=0.1,
            unit_scale=unit == " rows",
            dynamic_ncols=True,
        )

    def at(self, done: int) -> None:
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        self._bar.close()


class Stopwatch:
    """Seconds by phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._began = time.perf_counter()

    def lap(self, phase: str) -> None:
        now = time.perf_counter()
        self.seconds[phase] = now - self._began
        self._began = now


def table(ranks: list[dict[str, Any]]) -> None:
    """One row a rank: what it loaded, worked on, and how its exchanges went."""
    shown = Table(title="What each rank did")
    for column in (
        "rank",
        "rows loaded",
        "items",
        "flights read",
        "conflicts",
        "commits",
        "exchange p50",
        "exchange p99",
        "digest",
    ):
        shown.add_column(column, justify="right", no_wrap=True)
    for each in ranks:
        shown.add_row(
            str(each["rank"]),
            f"{each['loaded']:,}",
            str(each["items"]),
            f"{each['flights']:,}",
            str(each["conflicts"]),
            f"{each['commits']:,}",
            f"{each['exchange_ns_median'] / 1000:.0f} µs",
            f"{each['exchange_ns_p99'] / 1000:.0f} µs",
            f"{each['digest']:016x}",
        )
    Console(width=max(120, Console().width)).print(shown)


def carriers(statistics: pd.DataFrame, names: dict[str, str]) -> None:
    """The carriers of the year, from the results in the grid."""
    by_carrier = statistics.groupby("carrier")[
        ["flights", "cancelled", "arrived", "arr_delay_sum", "late"]
    ].sum()
    shown = Table(title="Arrival delay by carrier, New York 2013")
    for column in ("carrier", "name", "flights", "cancelled", "mean delay", "late"):
        shown.add_column(column, justify="left" if column in ("carrier", "name") else "right")
    for carrier, row in by_carrier.sort_values("flights", ascending=False).iterrows():
        shown.add_row(
            str(carrier),
            names.get(str(carrier), "?"),
            f"{row.flights:,}",
            f"{row.cancelled:,}",
            f"{row.arr_delay_sum / row.arrived:+.1f} min",
            f"{100 * row.late / row.arrived:.0f} %",
        )
    Console(width=max(100, Console().width)).print(shown)


def picture(statistics: pd.DataFrame, names: dict[str, str], path: Path) -> None:
    """Mean arrival delay by carrier and month, as a map of colours."""
    sums = statistics.groupby(["carrier", "month"])[["arr_delay_sum", "arrived", "flights"]].sum()
    delay = (sums.arr_delay_sum / sums.arrived).unstack("month").reindex(columns=range(1, 13))
    order = sums.flights.groupby("carrier").sum().sort_values(ascending=False).index
    delay = delay.loc[order]
    bound = float(delay.abs().quantile(0.98).max())
    figure, axes = plt.subplots(figsize=(10, 6.5), layout="constrained")
    image = axes.imshow(delay.to_numpy(), cmap="RdYlBu_r", vmin=-bound, vmax=bound, aspect="auto")
    axes.set_xticks(range(12), MONTHS)
    axes.set_yticks(
        range(len(order)), [f"{names.get(str(carrier), '?')} ({carrier})" for carrier in order]
    )
    for y in range(delay.shape[0]):
        for x in range(delay.shape[1]):
            value = delay.iat[y, x]
            if pd.notna(value):
                strong = abs(value) > 0.6 * bound
                axes.text(
                    x,
                    y,
                    f"{round(value)}",
                    ha="center",
                    va="center",
                    fontsize=8,
                    color="white" if strong else "black",
                )
    axes.set_title(
        "Mean arrival delay in minutes, flights from New York in 2013\n"
        "(carriers by number of flights; blank: no flights)"
    )
    figure.colorbar(image, ax=axes, label="minutes late (blue: early)")
    figure.savefig(path, dpi=130)
    plt.close(figure)
