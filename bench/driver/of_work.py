# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""The benchmarks of what a program does with a grid: reading, applying, conflicting, computing."""

from __future__ import annotations

from .model import Benchmark, Plot, Record, Row, Run, by_size, series

# --- storage and applying


def storage_runs(size: str) -> list[Run]:
    rows, batches = by_size(size, (2000, 10), (200_000, 200), (1_000_000, 1000))
    return [Run("storage/storage_bench", 0, ("--rows", rows, "--batches", batches))]


def figure(record: Record, who: str, what: str, key: str = "median_ns") -> float:
    return next(one[key] for one in record["figures"] if one["who"] == who and one["what"] == what)


def storage_rows(records: list[Record]) -> list[Row]:
    return [
        Row(
            f"{what}, {record['rows']} rows",
            figure(record, "exdb", what),
            "ns",
            figure(record, "exdb", what, "p99_ns"),
            figure(record, whose, what.split(",")[0]),
            {"private": "private hash map", "lmdb": "LMDB"}[whose],
        )
        for record in records
        for what in ("point read", "update", "update, fetched ahead")
        for whose in ("private", "lmdb")
    ]


def apply_runs(size: str) -> list[Run]:
    rows, rounds = by_size(size, (1000, 5), (100_000, 200), (1_000_000, 1000))
    return [Run("storage/apply_bench", 0, ("--rows", rows, "--rounds", rounds))]


KINDS = [("hash", 0), ("hash", 1), ("hash", 2), ("hash", 4), ("tree", 1), ("tree", 2), ("tree", 4)]
APPLIED = ("insert", "update", "change_keys")


def apply_rows(records: list[Record]) -> list[Row]:
    return [
        Row(
            f"{what.replace('_', ' ')}, " + (f"{count} {kind}" if count else "no index"),
            record[f"{what}_{kind}{count}_ns_median"],
            "ns a row",
            record[f"{what}_{kind}{count}_ns_p99"],
            record["update_private_ns_median"],
            "private hash map, update",
        )
        for record in records
        for what in APPLIED
        for kind, count in KINDS
    ]


def apply_plots(records: list[Record]) -> list[Plot]:
    lines: dict[str, list[tuple[float, float]]] = {}
    for record in records:
        for what in APPLIED:
            none = (0, record[f"{what}_hash0_ns_median"])
            for kind, count in KINDS[1:]:
                line = lines.setdefault(f"{what}, {kind}", [none])
                line.append((count, record[f"{what}_{kind}{count}_ns_median"]))
    return [Plot("Applying a row", "indexes", "ns, median", lines)]


# --- reads


def reads_runs(size: str) -> list[Run]:
    rows, batches = by_size(size, (1000, 5), (100_000, 100), (1_000_000, 500))
    options = ("--rows", rows, "--batches", batches)
    return [Run("reads/reads_bench", 2, options), Run("reads/reads.py", 2, options)]


READS = {
    "reads": (
        "C++",
        "private",
        "private hash map",
        {
            "many": "find",
            "single": "find, a transaction each",
            "many_beside": "find, beside a writer",
            "single_beside": "find, a transaction each, beside a writer",
        },
    ),
    "reads_python": (
        "Python",
        "dict",
        "dict",
        {
            "find": "find",
            "find_many": "find_many",
            "find_beside": "find, beside a writer",
            "find_many_beside": "find_many, beside a writer",
        },
    ),
}


def reads_rows(records: list[Record]) -> list[Row]:
    rows = []
    for record in records:
        language, floor, floor_is, names = READS[record["benchmark"]]
        rows += [
            Row(
                f"{language}: {text}",
                record[f"{key}_ns_median"],
                "ns",
                record[f"{key}_ns_p99"],
                record[f"{floor}_ns_median"],
                floor_is,
            )
            for key, text in names.items()
        ]
    return rows


# --- workloads


def ycsb_runs(size: str) -> list[Run]:
    rows, operations = by_size(size, (100, 100), (10_000, 4000), (100_000, 50_000))
    common = ("--rows", rows, "--operations", operations)
    runs = [Run("workload/ycsb_bench", 2, (*common, "--mix", mix)) for mix in "ABCF"]
    for ranks in by_size(size, [2], [2, 4], [2, 4, 8]):
        for theta in by_size(size, [0.99], [0, 0.6, 0.99, 1.3], [0, 0.3, 0.6, 0.8, 0.99, 1.1, 1.3]):
            contended = (*common, "--mix", "F", "--theta", theta, "--depth", 8)
            runs.append(Run("workload/ycsb_bench", ranks, contended))
    return runs


def ycsb_text(record: Record) -> str:
    return (
        f"{record['mix']}, theta {record['theta']:g}, {record['ranks']} ranks, "
        f"{record['depth']} under way"
    )


def ycsb_rows(records: list[Record]) -> list[Row]:
    return [
        row
        for record in records
        for row in (
            Row(ycsb_text(record), record["operations_per_s"], "operations/s"),
            Row(ycsb_text(record), record["conflict_percent"], "% of commits conflict"),
        )
    ]


def ycsb_plots(records: list[Record]) -> list[Plot]:
    deep = [record for record in records if record["depth"] > 1]
    lines = series(deep, lambda one: f"{one['ranks']} ranks", "theta", "conflict_percent")
    return [Plot("YCSB F, 8 under way a rank", "theta", "% of commits that conflict", lines)]


def tpcc_runs(size: str) -> list[Run]:
    items, customers, count = by_size(size, (50, 10, 30), (5000, 100, 1000), (100_000, 3000, 5000))
    common = ("--items", items, "--customers", customers, "--transactions", count)
    return [
        Run("workload/tpcc_bench", ranks, (*common, "--warehouses", warehouses))
        for ranks in by_size(size, [2], [2, 4], [2, 4, 8])
        for warehouses in (1, ranks)
    ]


def tpcc_rows(records: list[Record]) -> list[Row]:
    rows = []
    for record in records:
        text = f"{record['warehouses']} warehouses, {record['ranks']} ranks"
        rows += [
            Row(text, record["transactions_per_s"], "transactions/s"),
            Row(text, record["conflict_percent"], "% of commits conflict"),
            Row(f"New-Order, {text}", record["order_us_median"], "us", record["order_us_p99"]),
            Row(f"Payment, {text}", record["payment_us_median"], "us", record["payment_us_p99"]),
        ]
    return rows


# --- beside a simulation, over TCP, embedded


def interference_runs(size: str) -> list[Run]:
    steps, turns = by_size(size, (50, 1), (500, 15), (500, 60))
    options = ("--size", by_size(size, 64, 512, 512), "--steps", steps, "--turns", turns)
    return [Run("interference/interference.py", 2, options, {"OMP_NUM_THREADS": "1"})]


def interference_rows(records: list[Record]) -> list[Row]:
    return [
        Row(f"grid {mode}, {how}", record[f"{mode}{key}_percent"], "% slower")
        for record in records
        for mode in ("idle", "reading", "committing")
        for key, how in (
            ("", "median of blocks"),
            ("_quartile", "lower quartile"),
            ("_accounted", "its own time"),
        )
    ]


def tcp_runs(size: str) -> list[Run]:
    commits, rows = by_size(size, (20, 2000), (3000, 100_000), (10_000, 1_000_000))
    return [Run("tcp/cluster_bench", 0, ("--commits", commits, "--rows", rows))]


def tcp_rows(records: list[Record]) -> list[Row]:
    rows = []
    for record in records:
        plain, tls = record["plain"], record["tls"]
        bare = plain["ping_pong_us"]
        rows += [
            Row(
                "commit, plain", plain["commit_us"], "us", plain["commit_p99_us"], bare, "ping-pong"
            ),
            Row(
                "commit, TLS",
                tls["commit_us"],
                "us",
                tls["commit_p99_us"],
                plain["commit_us"],
                "plain",
            ),
            Row(f"joining, {record['rows']} rows", record["join_s"], "s"),
            Row("writers meanwhile", 100 * record["writers_kept"], "% of their rate"),
        ]
    return rows


def embedded_runs(size: str) -> list[Run]:
    commits, runs, open_rows = by_size(
        size, (50, 2, 1000), (10_000, 10, 100_000), (20_000, 30, 100_000)
    )
    options = ("--commits", commits, "--runs", runs, "--open-rows", open_rows)
    return [Run("commit/embedded_bench", 0, options)]


def embedded_rows(records: list[Record]) -> list[Row]:
    return [
        Row(
            text, record[key], "ns, best run", floor=record["floor_ns"], floor_is="row into storage"
        )
        for record in records
        for key, text in (("alone_ns", "commit alone"), ("two_ns", "commit, two nodes in a thread"))
    ]


BENCHMARKS = [
    Benchmark(
        "storage",
        "point reads and updates, against a private map and LMDB",
        storage_runs,
        storage_rows,
    ),
    Benchmark(
        "apply", "applying rows, against the number of indexes", apply_runs, apply_rows, apply_plots
    ),
    Benchmark(
        "reads", "reads alone and beside a writer, in C++ and Python", reads_runs, reads_rows
    ),
    Benchmark(
        "ycsb", "YCSB A, B, C, F; conflicts against contention", ycsb_runs, ycsb_rows, ycsb_plots
    ),
    Benchmark("tpcc", "TPC-C's New-Order and Payment, against warehouses", tpcc_runs, tpcc_rows),
    Benchmark(
        "interference",
        "what a grid on the same ranks costs a stencil in NumPy",
        interference_runs,
        interference_rows,
    ),
    Benchmark("tcp", "a commit over TCP and TLS, and a node that joins", tcp_runs, tcp_rows),
    Benchmark("embedded", "a one-row commit without a network", embedded_runs, embedded_rows),
]
