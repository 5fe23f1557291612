# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Runs benchmarks, shows what they found beside its floor, and says which goals are reached.

./bench/run sets up what is needed and starts this.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # started as a folder: `python bench/driver`
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    __package__ = "driver"

from . import of_disk, of_ranks, of_work
from .goals import Results, judge
from .model import Benchmark
from .runner import BenchmarkFailed, Place

BENCH = Path(__file__).resolve().parents[1]
BENCHMARKS = [*of_ranks.BENCHMARKS, *of_work.BENCHMARKS, *of_disk.BENCHMARKS]


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="name", help="which; all when none is named")
    parser.add_argument("--list", action="store_true", help="names, with what each asks")
    parser.add_argument("--full", action="store_true", help="big sizes, many ranks: half an hour")
    parser.add_argument("--tiny", action="store_true", help="does it work? The figures say nothing")
    parser.add_argument("--out", type=Path, help="where the JSON goes; plots lie beside it")
    parser.add_argument("--build", type=Path, default=BENCH.parent / "build" / "release")
    parser.add_argument("--mpiexec", default="mpiexec")
    options = parser.parse_args(arguments)
    known = {one.name for one in BENCHMARKS}
    if unknown := [name for name in options.names if name not in known]:
        parser.error(f"there is no benchmark {unknown[0]!r}: --list names them")
    options.size = "full" if options.full else "tiny" if options.tiny else "small"
    options.out = options.out or options.build.parent / "results" / "bench.json"
    return options


def git(*arguments: str) -> str:
    command = ["git", "-C", str(BENCH), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def machine() -> dict[str, Any]:
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "processor": model,
        "processors": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0],
    }


def measure(benchmark: Benchmark, size: str, place: Place) -> list[dict[str, Any]]:
    runs = list(benchmark.runs(size))
    missing = [run.program for run in runs if not place.has(run)]
    if missing:
        raise BenchmarkFailed(f"{missing[0]} is not built")
    records = []
    for count, run in enumerate(runs, 1):
        if sys.stderr.isatty():
            print(
                f"{benchmark.name} {count} of {len(runs)}", end="  \r", file=sys.stderr, flush=True
            )
        records.append(place.record_of(run))
    return records


def main() -> int:
    options = parse()
    if options.list:
        for one in BENCHMARKS:
            print(f"{one.name:14}{one.line}")
        return 0
    from . import report  # not above: --list is for machines without its libraries, too

    place = Place(BENCH, options.build / "bench", options.mpiexec)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    shown = report.console()
    results: Results = {}
    failures: dict[str, str] = {}
    about = {
        "commit": git("rev-parse", "HEAD"),
        "changed": bool(git("status", "--porcelain", "--untracked-files=no")),
        "began": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "size": options.size,
        "mpi": os.environ.get("EXDB_BENCH_MPI", ""),
        **machine(),
    }
    for benchmark in BENCHMARKS:
        if options.names and benchmark.name not in options.names:
            continue
        try:
            records = measure(benchmark, options.size, place)
        except BenchmarkFailed as failure:
            failures[benchmark.name] = str(failure)
            print(f"{benchmark.name}: FAILED: {failure}", flush=True)
            continue
        results[benchmark.name] = records
        shown.print(report.table_of(benchmark.name, benchmark.rows(records)))
        shown.print()
        report.draw(benchmark.name, benchmark.plots(records), options.out.parent)
    verdicts = judge(results)
    shown.print(report.table_of_goals(verdicts))
    found = {
        **about,
        "load_average_after": os.getloadavg()[0],
        "results": results,
        "goals": [verdict.as_json() for verdict in verdicts],
        "failures": failures,
    }
    options.out.write_text(json.dumps(found, indent=1) + "\n")
    print(f"\n{options.out}, plots beside it", flush=True)
    if failures:
        print(f"FAILED: {', '.join(failures)}", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
