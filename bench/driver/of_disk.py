# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""The benchmark of databases on disk: commits, recovery, checkpoints."""

from __future__ import annotations

from .model import Benchmark, Record, Row, Run, by_size


def durability_runs(size: str) -> list[Run]:
    commits, slow, runs, syncs, rows = by_size(
        size,
        (300, 20, 1, 5, 5000),
        (200_000, 5000, 5, 200, 300_000),
        (500_000, 50_000, 9, 1000, 2_000_000),
    )
    options = ("--commits", commits, "--slow-commits", slow, "--runs", runs, "--syncs", syncs)
    return [Run("durability/durability_bench", 0, (*options, "--rows", rows))]


def recovery(one: Record, key: str, text: str) -> Row:
    return Row(
        f"recovery, {text}",
        one[f"recover_{key}_rows_per_s"],
        "rows/s",
        floor=one[f"read_{key}_rows_per_s"],
        floor_is="reading the files",
    )


def durability_rows(records: list[Record]) -> list[Row]:
    rows = []
    for one in records:
        disk = "tmpfs for a disk" if one["disk_is_memory"] else "disk"
        rows += [
            Row(
                "commits, windowed, tmpfs",
                one["windowed_per_s"],
                "/s",
                floor=one["memory_windowed_per_s"],
                floor_is="in memory",
            ),
            Row(
                f"commits, windowed, {disk}",
                one["disk_windowed_per_s"],
                "/s",
                floor=one["possible_per_s"],
                floor_is="window / fdatasync",
            ),
            Row(
                f"one commit, {disk}",
                one["commit_us_median"],
                "us",
                one["commit_us_p99"],
                one["fsync_us_median"],
                "write and fdatasync",
            ),
            Row(f"8 threads, {disk}", one["commits_a_sync"], "commits an fdatasync"),
            *(
                recovery(one, key, text)
                for key, text in (
                    ("log", "log of 1,000 rows a commit"),
                    ("small", "log of one-row commits"),
                    ("checkpoint", "checkpoint"),
                )
            ),
            Row(
                "checkpoint, tmpfs",
                one["checkpoint_mb_per_s"],
                "MB/s",
                floor=one["write_mb_per_s"],
                floor_is="writing a file",
            ),
            Row("commits beside checkpoints", one["beside_checkpoint_percent"], "% slower"),
            Row("  by own time", one["beside_checkpoint_cpu_percent"], "% more"),
        ]
    return rows


# --- over MPI


def grid_runs(size: str) -> list[Run]:
    commits, slow, runs, syncs, rows, depth = by_size(
        size,
        (100, 20, 1, 2, 1000, 16),
        (20_000, 3000, 3, 60, 200_000, 256),
        (100_000, 20_000, 7, 500, 1_000_000, 256),
    )
    options = ("--commits", commits, "--slow-commits", slow, "--runs", runs, "--syncs", syncs)
    return [
        Run(
            "durability/grid_durability_bench",
            ranks,
            (*options, "--rows", rows, "--depth", depth, "--shm", shm),
        )
        for ranks in by_size(size, [2], [2, 4], [2, 4, 8])
        for shm in (0, 1)
        if size != "tiny" or shm == 0
    ]


def grid_rows(records: list[Record]) -> list[Row]:
    rows = []
    for one in records:
        what = f"{one['ranks']} ranks" + (", is_shm" if one["shm"] else "")
        disk = "tmpfs for a disk" if one["disk_is_memory"] else "disk"
        rows += [
            Row(
                f"commits, windowed, tmpfs, {what}",
                one["windowed_per_s"],
                "/s",
                floor=one["memory_windowed_per_s"],
                floor_is="in memory",
            ),
            Row(
                f"commits, windowed, {disk}, {what}",
                one["disk_windowed_per_s"],
                "/s",
                floor=one["possible_per_s"],
                floor_is="windows / exchange and fdatasync",
            ),
            Row(
                f"one commit, {disk}, {what}",
                one["commit_us_median"],
                "us",
                one["commit_us_p99"],
                one["floor_us_median"],
                "exchange, write and fdatasync",
            ),
            *(recovery(one, key, f"{key}, {what}") for key in ("log", "checkpoint")),
            Row(
                f"checkpoints of all, tmpfs, {what}",
                one["checkpoint_mb_per_s"],
                "MB/s",
                floor=one["write_mb_per_s"],
                floor_is="writing files",
            ),
            Row(
                f"commits beside checkpoints, {what}", one["beside_checkpoint_percent"], "% slower"
            ),
        ]
    return rows


BENCHMARKS = [
    Benchmark(
        "durability",
        "commits, recovery and checkpoints on disk, against memory and the device",
        durability_runs,
        durability_rows,
    ),
    Benchmark(
        "grid_durability",
        "the same of a grid over MPI, against memory, and exchange and device together",
        grid_runs,
        grid_rows,
    ),
]
