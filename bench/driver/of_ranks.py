# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""The benchmarks that ask how something grows with the ranks: the exchange, commits, idling, bulk,
opening."""

from __future__ import annotations

from .model import Benchmark, Plot, Record, Row, Run, by_size, series

COMMIT = "commit/commit_bench"


def ranks_text(record: Record) -> str:
    hosts = record["run"]["environment"].get("EXDB_PRETENDED_HOSTS")
    return f"{record['ranks']} ranks" + (f" on {hosts} pretended hosts" if hosts else "")


# --- exchange


def exchange_runs(size: str) -> list[Run]:
    ranks = by_size(size, [2], [2, 3, 4, 6, 8, 16], [2, 3, 4, 6, 8, 16, 24, 32, 40, 48])
    most = by_size(size, 20, 4000, 20_000)
    # More ranks than processors take turns: an exchange costs about the square of their number.
    return [
        Run("exchange/exchange_bench", n, ("--rounds", max(20, most // max(1, n * n // 4))))
        for n in ranks
    ]


EXCHANGE_WAYS = {
    "p2p": ("Transport, broadcast p2p", "bare MPI, persistent p2p"),
    "collective": ("Transport, broadcast collective", "bare MPI, Iallgather"),
}


def exchange_rows(records: list[Record]) -> list[Row]:
    rows = []
    for record in records:
        found = {one["name"]: one for one in record["results"]}
        for way, (ours, bare) in EXCHANGE_WAYS.items():
            one = found[ours]
            rows.append(
                Row(
                    f"{way}, {ranks_text(record)}",
                    one["median_us"],
                    "us",
                    one["p99_us"],
                    found[bare]["median_us"],
                    bare,
                )
            )
    return rows


def exchange_plots(records: list[Record]) -> list[Plot]:
    lines: dict[str, list[tuple[float, float]]] = {}
    for record in records:
        for one in record["results"]:
            if "sleeping" not in one["name"]:
                lines.setdefault(one["name"], []).append((record["ranks"], one["median_us"]))
    return [Plot("One exchange of 64 bytes", "ranks", "us, median", lines, log=True)]


# --- commits


def commit_runs(size: str) -> list[Run]:
    commits = by_size(size, 50, 5000, 20_000)
    runs = []
    for ranks in by_size(size, [2], [2, 4, 8], [2, 3, 4, 6, 8, 16]):
        some = max(50, commits // max(1, ranks * ranks // 4))
        options = ("--commits", some, "--depth", 0)
        runs.append(Run(COMMIT, ranks, options))
        if ranks == 4:
            runs.append(Run(COMMIT, ranks, options, {"EXDB_PRETENDED_HOSTS": "2"}))
    return runs


def commit_rows(records: list[Record]) -> list[Row]:
    return [
        Row(
            f"commit of one row, {ranks_text(record)}",
            record["commit_median_us"],
            "us",
            record["commit_p99_us"],
            record["bare_median_us"],
            "bare exchange",
        )
        for record in records
    ]


def commit_plots(records: list[Record]) -> list[Plot]:
    plain = [record for record in records if not record["run"]["environment"]]
    lines = series(plain, lambda _: "commit", "ranks", "commit_median_us")
    lines |= series(plain, lambda _: "bare exchange", "ranks", "bare_median_us")
    return [Plot("A commit of one row, closed loop", "ranks", "us, median", lines, log=True)]


def throughput_runs(size: str) -> list[Run]:
    depths = by_size(size, [4], [1, 16, 64, 256], [1, 4, 16, 64, 256, 1024])
    ranks = by_size(size, [2], [2, 4], [2, 4, 8])
    commits = by_size(size, 20, 5000, 20_000)
    return [
        Run(
            COMMIT,
            n,
            ("--commits", max(20, commits * min(depth, 256) // (64 * n)), "--depth", depth),
        )
        for n in ranks
        for depth in depths
    ]


def throughput_rows(records: list[Record]) -> list[Row]:
    return [
        Row(
            f"{record['depth']} under way a rank, {ranks_text(record)}",
            record["windowed_commits_per_s"],
            "commits/s",
        )
        for record in records
    ]


def throughput_plots(records: list[Record]) -> list[Plot]:
    lines = series(records, ranks_text, "depth", "windowed_commits_per_s")
    return [Plot("Commits of one row", "under way a rank", "commits/s of all", lines, log=True)]


def idle_runs(size: str) -> list[Run]:
    turns, ms = by_size(size, (5, 5), (40, 100), (200, 100))
    ranks = by_size(size, [2], [2], [2, 4, 8])
    options = ("--commits", 200, "--depth", 0, "--idle-ms", ms, "--idle-turns", turns)
    return [Run(COMMIT, n, options) for n in ranks]


def idle_rows(records: list[Record]) -> list[Row]:
    rows = []
    for record in records:
        after = f"after {record['idle_ms']} ms of idle, {ranks_text(record)}"
        rows += [
            Row(
                f"first commit {after}",
                record["idle_commit_median_us"],
                "us",
                record["idle_commit_p99_us"],
                record["wake_median_us"],
                "wake and answer",
            ),
            Row(f"idle node, {ranks_text(record)}", record["idle_percent"], "% of a core"),
        ]
    return rows


# --- memory


def memory_runs(size: str) -> list[Run]:
    mib = by_size(size, 8, 256, 1024)
    ranks = by_size(size, [2], [2, 4], [2, 4, 8])
    return [Run("memory/memory.py", n, ("--mib", mib)) for n in ranks]


MEMORY = {"shared_mib": "with is_shm", "each_mib": "a replica each"}


def memory_rows(records: list[Record]) -> list[Row]:
    return [
        Row(
            f"{record['mib']} MiB of rows, {text}, {ranks_text(record)}",
            record[key],
            "MiB of all",
            floor=record["one_mib"],
            floor_is="one rank",
        )
        for record in records
        for key, text in MEMORY.items()
    ]


def memory_plots(records: list[Record]) -> list[Plot]:
    lines: dict[str, list[tuple[float, float]]] = {}
    for key, text in MEMORY.items():
        lines |= series(records, lambda _, text=text: text, "ranks", key)
    return [Plot("Memory of a database", "ranks of a host", "MiB, all ranks together", lines)]


# --- bulk, opening


def bulk_runs(size: str) -> list[Run]:
    # In all, not a rank: each rank holds what all have loaded.
    rows = by_size(size, 4000, 200_000, 1_000_000)
    return [
        Run("bulk/bulk_bench", ranks, ("--rows", some, "--batch", min(some, 10_000), *width))
        for ranks in by_size(size, [2], [2, 4], [2, 4, 8])
        for some, width in (
            (rows // ranks, ("--row-bytes", 64)),
            (rows // ranks // 2, ("--row-bytes", 1024)),
        )
    ]


def bulk_rows(records: list[Record]) -> list[Row]:
    rows = []
    for record in records:
        text = f"{record['row_bytes']} bytes a row, {ranks_text(record)}"
        rows += [
            Row(f"one rank loads, {text}", record["one_rows_per_s"], "rows/s"),
            Row(
                f"one rank loads, {text}",
                record["one_mb_per_s"],
                "MB/s",
                floor=record["bcast_mb_per_s"],
                floor_is="MPI_Bcast",
            ),
            Row(
                f"the same, {text}",
                record["one_mb_per_s"],
                "MB/s",
                floor=record["bcast_fresh_mb_per_s"],
                floor_is="MPI_Bcast into fresh memory",
            ),
            Row(
                f"the same into memory used before, {text}",
                record["again_mb_per_s"],
                "MB/s",
                floor=record["bcast_mb_per_s"],
                floor_is="MPI_Bcast",
            ),
            Row(
                f"all ranks load, {text}",
                record["all_mb_per_s"],
                "MB/s",
                floor=record["allgatherv_mb_per_s"],
                floor_is="MPI_Allgatherv",
            ),
        ]
    return rows


def lifetime_runs(size: str) -> list[Run]:
    turns = by_size(size, 3, 20, 100)
    ranks = by_size(size, [2], [2, 4, 8], [2, 4, 8, 16])
    return [Run("lifetime/lifetime_bench", n, ("--turns", turns)) for n in ranks]


def lifetime_rows(records: list[Record]) -> list[Row]:
    return [
        Row(
            f"{what}, {ranks_text(record)}",
            record[f"{what}_us_median"] / 1000,
            "ms",
            record[f"{what}_us_p99"] / 1000,
            record[f"{floor}_us_median"] / 1000,
            floor_is,
        )
        for record in records
        for what, floor, floor_is in (
            ("open", "duplicate", "three MPI_Comm_dup"),
            ("close", "free", "barrier, three MPI_Comm_free"),
        )
    ]


def lifetime_plots(records: list[Record]) -> list[Plot]:
    lines = {}
    for what in ("open", "close", "duplicate", "free"):
        lines |= series(records, lambda _, name=what: name, "ranks", f"{what}_us_median")
    return [Plot("Opening and closing", "ranks", "us, median", lines, log=True)]


BENCHMARKS = [
    Benchmark(
        "exchange",
        "64 bytes of every rank to every other, p2p and collective, against bare MPI",
        exchange_runs,
        exchange_rows,
        exchange_plots,
    ),
    Benchmark(
        "commit",
        "a one-row commit in a closed loop, against ranks and pretended hosts",
        commit_runs,
        commit_rows,
        commit_plots,
    ),
    Benchmark(
        "throughput",
        "one-row commits a second, against how many are under way and ranks",
        throughput_runs,
        throughput_rows,
        throughput_plots,
    ),
    Benchmark("idle", "the first commit after idle, and what idling costs", idle_runs, idle_rows),
    Benchmark(
        "memory",
        "memory of all ranks of a host, one replica of all or one each, against one rank's",
        memory_runs,
        memory_rows,
        memory_plots,
    ),
    Benchmark(
        "bulk",
        "big transactions to all replicas, against MPI_Bcast and MPI_Allgatherv",
        bulk_runs,
        bulk_rows,
    ),
    Benchmark(
        "lifetime",
        "opening and closing a database, against ranks",
        lifetime_runs,
        lifetime_rows,
        lifetime_plots,
    ),
]
