# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""Runs the programs of benchmarks and collects what they write."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .model import Record, Run

SECONDS = 900
"""After which a program is taken for hung."""


class BenchmarkFailed(Exception):
    """A program found its own result wrong, or ended otherwise than it should."""


@dataclass(frozen=True)
class Place:
    source: Path
    """bench/"""
    build: Path
    """…/build/release/bench"""
    mpiexec: str

    def command(self, run: Run, json_file: Path) -> list[str]:
        if run.program.endswith(".py"):
            program = [sys.executable, "-m", "mpi4py", str(self.source / run.program)]
        else:
            program = [str(self.build / run.program)]
        launch = [self.mpiexec, "-n", str(run.ranks)] if run.ranks else []
        options = [str(option) for option in run.options]
        return [*launch, *program, *options, "--json", str(json_file)]

    def has(self, run: Run) -> bool:
        """storage_bench is not built without LMDB."""
        folder = self.source if run.program.endswith(".py") else self.build
        return (folder / run.program).exists()

    def record_of(self, run: Run) -> Record:
        """Blocks until the program has ended."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "figures.json"
            try:
                done = subprocess.run(
                    self.command(run, file),
                    env={**os.environ, **run.environment},
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    timeout=SECONDS,
                    check=False,
                )
            except subprocess.TimeoutExpired as late:
                raise BenchmarkFailed(f"{run.program}: not done after {SECONDS} s") from late
            if done.returncode != 0 or not file.exists():
                told = (done.stderr or done.stdout).strip().splitlines()[-8:]
                raise BenchmarkFailed(
                    f"{run.program} ended with {done.returncode}:\n  " + "\n  ".join(told)
                )
            record: Record = json.loads(file.read_text())
        record["run"] = {
            "program": run.program,
            "ranks": run.ranks,
            "options": [str(option) for option in run.options],
            "environment": run.environment,
        }
        return record
