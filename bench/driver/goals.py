# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""The figures to reach, and whether they are. A row whose benchmark was not run, or is not there
yet, is shown all the same, as not measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .model import Record
from .of_work import figure

Results = dict[str, list[Record]]


@dataclass(frozen=True)
class Figure:
    measured: float
    unit: str
    floor: float | None = None


@dataclass(frozen=True)
class Goal:
    """What `judged` gives of a figure must be at most, or at least, `limit`."""

    what: str
    limit: float
    at_most: bool
    text: str
    """The limit with its unit."""
    benchmark: str
    """Which one measures it; empty: none does yet."""
    find: Callable[[list[Record]], Figure | None]
    by_ratio: bool = False
    """measured / floor is judged (or floor / measured where at least so much faster)."""
    inverse: bool = False


@dataclass(frozen=True)
class Verdict:
    goal: Goal
    figure: Figure | None

    @property
    def ratio(self) -> float | None:
        if self.figure is None or not self.figure.floor or not self.figure.measured:
            return None
        ratio = self.figure.measured / self.figure.floor
        return 1 / ratio if self.goal.inverse else ratio

    @property
    def reached(self) -> bool | None:
        judged = self.ratio if self.goal.by_ratio else self.figure and self.figure.measured
        if judged is None:
            return None
        return judged <= self.goal.limit if self.goal.at_most else judged >= self.goal.limit

    def as_json(self) -> dict[str, Any]:
        return {
            "row": self.goal.what,
            "goal": self.goal.text,
            "measured": self.figure and self.figure.measured,
            "unit": self.figure and self.figure.unit,
            "floor": self.figure and self.figure.floor,
            "ratio": self.ratio,
            "reached": self.reached,
        }


def first(records: list[Record], **wanted: Any) -> Record | None:
    """With these values, and run as nothing special."""
    for record in records:
        plain = "EXDB_PRETENDED_HOSTS" not in record["run"]["environment"]
        if plain and all(record.get(key) == value for key, value in wanted.items()):
            return record
    return None


def taken(
    unit: str, measured: str, floor: str | None = None, **wanted: Any
) -> Callable[[list[Record]], Figure | None]:
    """Keys of the first record with these values; "plain.commit_us" is a key of a key."""

    def value(record: Record, path: str) -> float:
        for key in path.split("."):
            record = record[key]
        return float(record)  # type: ignore[arg-type]

    def find(records: list[Record]) -> Figure | None:
        record = first(records, **wanted)
        if record is None:
            return None
        return Figure(value(record, measured), unit, value(record, floor) if floor else None)

    return find


def most_windowed(records: list[Record]) -> Figure | None:
    rates = [one["windowed_commits_per_s"] for one in records if one["ranks"] == 2]
    return Figure(max(rates), "/s") if rates else None


def stored(
    what: str, whose: str, their: str | None = None
) -> Callable[[list[Record]], Figure | None]:
    def find(records: list[Record]) -> Figure | None:
        return Figure(
            figure(records[0], "exdb", what), "ns", figure(records[0], whose, their or what)
        )

    return find


def nothing(_records: list[Record]) -> Figure | None:
    return None


def ratio_goal(what: str, limit: float, benchmark: str, find: Any, of: str) -> Goal:
    return Goal(what, limit, True, f"<= {limit:g} x {of}", benchmark, find, by_ratio=True)


def faster_goal(what: str, limit: float, benchmark: str, find: Any, of: str) -> Goal:
    text = f">= {limit:g} x faster than {of}"
    return Goal(what, limit, False, text, benchmark, find, by_ratio=True, inverse=True)


def share_goal(what: str, limit: float, benchmark: str, find: Any, of: str) -> Goal:
    return Goal(what, limit, False, f">= {limit:.0%} of {of}", benchmark, find, by_ratio=True)


def at_most(what: str, limit: float, unit: str, benchmark: str, find: Any) -> Goal:
    return Goal(what, limit, True, f"<= {limit:g} {unit}", benchmark, find)


def at_least(what: str, limit: float, unit: str, benchmark: str, find: Any) -> Goal:
    return Goal(what, limit, False, f">= {limit:,.0f} {unit}", benchmark, find)


GOALS = [
    ratio_goal(
        "one-row commit, MPI, 2 ranks",
        3,
        "commit",
        taken("us", "commit_median_us", "bare_median_us", ranks=2),
        "bare exchange",
    ),
    at_least("commits/s, one row, windowed, 2 ranks", 300_000, "/s", "throughput", most_windowed),
    ratio_goal("point read, C++", 1.5, "storage", stored("point read", "private"), "private map"),
    faster_goal("point read, C++", 6, "storage", stored("point read", "lmdb"), "LMDB"),
    faster_goal(
        # As Replica::apply_round does it: slots asked for ahead.
        "apply, 64-byte rows, hash index",
        8,
        "storage",
        stored("update, fetched ahead", "lmdb", "update"),
        "LMDB",
    ),
    at_least(
        "bulk load by columns, 1 rank",
        1_000_000,
        "rows/s",
        "bulk",
        taken("rows/s", "one_rows_per_s", ranks=2, row_bytes=64),
    ),
    share_goal(
        "replicated bytes, one rank loads 1 KiB rows",
        0.6,
        "bulk",
        taken("MB/s", "one_mb_per_s", "bcast_mb_per_s", ranks=2, row_bytes=1024),
        "MPI_Bcast",
    ),
    share_goal(
        "replicated bytes, all ranks load 1 KiB rows",
        0.6,
        "bulk",
        taken("MB/s", "all_mb_per_s", "allgatherv_mb_per_s", ranks=2, row_bytes=1024),
        "MPI_Allgatherv",
    ),
    ratio_goal(
        "memory, 4 ranks of a host, is_shm",
        1.05,
        "memory",
        taken("MiB", "shared_mib", "one_mib", ranks=4),
        "one rank's",
    ),
    at_most("idle node", 1, "% of a core", "idle", taken("%", "idle_percent", ranks=2)),
    at_most(
        "first commit after idle, one host",
        50,
        "us",
        "idle",
        taken("us", "idle_commit_median_us", "wake_median_us", ranks=2),
    ),
    at_least("snapshot of 10 M rows to Arrow (no call yet)", 2, "GB/s", "", nothing),
    at_most(
        "stencil beside an idle grid, quartile",
        1,
        "% slower",
        "interference",
        taken("%", "idle_quartile_percent"),
    ),
    at_most(
        "stencil beside 100 commits/s, quartile",
        5,
        "% slower",
        "interference",
        taken("%", "committing_quartile_percent"),
    ),
    ratio_goal(
        "one-row commit, TCP",
        3,
        "tcp",
        taken("us", "plain.commit_us", "plain.ping_pong_us"),
        "bare ping-pong",
    ),
    ratio_goal(
        "one-row commit, TLS", 1.5, "tcp", taken("us", "tls.commit_us", "plain.commit_us"), "plain"
    ),
    at_most(
        "joining, 1 M rows of 100 bytes, TCP",
        3,
        "s",
        "tcp",
        taken("s", "join_s", rows=1_000_000),
    ),
    share_goal(
        "writers' rate while 1 M rows join",
        0.7,
        "tcp",
        lambda records: (
            Figure(one["writers_kept"], "of 1", 1.0)
            if (one := first(records, rows=1_000_000))
            else None
        ),
        "without",
    ),
    share_goal(
        "commits/s on disk, windowed, tmpfs",
        0.5,
        "durability",
        taken("/s", "windowed_per_s", "memory_windowed_per_s"),
        "in memory",
    ),
    share_goal(
        "commits/s on disk, windowed",
        1 / 1.5,
        "durability",
        taken("/s", "disk_windowed_per_s", "possible_per_s"),
        "window / fdatasync",
    ),
    ratio_goal(
        "one commit on disk",
        1.5,
        "durability",
        taken("us", "commit_us_median", "fsync_us_median"),
        "write and fdatasync",
    ),
    *(
        at_least(
            f"recovery, {text}",
            1_000_000,
            "rows/s",
            "durability",
            taken("rows/s", f"recover_{key}_rows_per_s", f"read_{key}_rows_per_s"),
        )
        for key, text in (
            ("log", "log of 1,000 rows a commit"),
            ("checkpoint", "checkpoint"),
        )
    ),
    at_least(
        "checkpoint, tmpfs",
        500,
        "MB/s",
        "durability",
        taken("MB/s", "checkpoint_mb_per_s", "write_mb_per_s"),
    ),
    at_most(
        "commits beside checkpoints",
        10,
        "% slower",
        "durability",
        taken("%", "beside_checkpoint_percent"),
    ),
    share_goal(
        "commits/s of a grid on disk, windowed, tmpfs",
        0.5,
        "grid_durability",
        taken("/s", "windowed_per_s", "memory_windowed_per_s", ranks=2, shm=0),
        "in memory",
    ),
    share_goal(
        "commits/s of a grid on disk, windowed",
        1 / 1.5,
        "grid_durability",
        taken("/s", "disk_windowed_per_s", "possible_per_s", ranks=2, shm=0),
        "windows / exchange and fdatasync",
    ),
    ratio_goal(
        "one commit of a grid on disk",
        1.5,
        "grid_durability",
        taken("us", "commit_us_median", "floor_us_median", ranks=2, shm=0),
        "exchange, write and fdatasync",
    ),
    at_least(
        "recovery of a grid, log",
        1_000_000,
        "rows/s",
        "grid_durability",
        taken("rows/s", "recover_log_rows_per_s", "read_log_rows_per_s", ranks=2, shm=0),
    ),
]


def judge(results: Results) -> list[Verdict]:
    return [
        Verdict(goal, goal.find(records) if (records := results.get(goal.benchmark)) else None)
        for goal in GOALS
    ]
