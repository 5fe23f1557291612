# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""``python -m exdb inspect``: what a folder holds, and whether it is whole."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from .. import _core
from ..errors import DiskDamagedError, NotFoundError
from ..types import MCO_READ_ONLY
from . import folders, state
from .dump import dump


def examine(path: Path, with_state: bool) -> dict[str, Any]:
    """The report of one folder. ``damage``: all that is wrong, each naming file and offset."""
    try:
        report = _core.inspect_archive(str(path))
    except DiskDamagedError as error:
        return {"path": str(path), "damage": [str(error)]}
    report["damage"] = [each["damage"] for each in report["files"] if each["damage"]]
    if report["damage"] or not with_state:
        return report
    db, made = state.load(path, report["schema"])
    with db:
        report["state"] = {
            "csn": db.published,
            "digest": f"{db.digest():016x}",
            "checkpoint_round": made["checkpoint_round"],
            "rounds_replayed": made["rounds"],
            "rows": state.rows(db),
        }
    return report


def _print(report: dict[str, Any]) -> None:
    print(f"{report['path']}")
    if "files" in report:
        print(
            f"  database {report['database']:016x}, schema {report['dictionary']:016x}, "
            f"format {report['format']}"
        )
        if report["open_by"] is not None:
            who = f"process {report['open_by']}" if report["open_by"] else "another process"
            print(f"  open in {who}: this is what its files had when they were read")
        for file in report["files"]:
            print(f"  {file['name']:<36} {file['bytes']:>15,} bytes  {_about(file)}")
        rounds = f"{report['first_round']} to {report['last_round']}"
        how = "closed" if report["closed"] else "not closed: open, or ended without close"
        print(f"  log: rounds {rounds}, chain {report['chain']:016x}, {how}")
        if report["held"]:
            print(f"  and {report['held']} rounds after them, whose fate the cluster decides")
        if report["torn"]:
            print(f"  a torn end, which an open cuts: {report['torn']}")
    found = report.get("state")
    if found is not None:
        print(
            f"  state: csn {found['csn']}, digest {found['digest']}, from the checkpoint of round "
            f"{found['checkpoint_round']} and {found['rounds_replayed']} rounds"
        )
        for name, count in found["rows"].items():
            print(f"    {name:<32} {count:>15,} rows")
    for damage in report["damage"]:
        print(f"  DAMAGED: {damage}")
    if not report["damage"]:
        print("  whole: every checksum and the chain of all files are right")


def _about(file: dict[str, Any]) -> str:
    if file["damage"]:
        return "DAMAGED"
    if file["kind"] == "log":
        return f"rounds {file['first_round']} to {file['last_round']}"
    if file["kind"] == "checkpoint":
        return f"round {file['last_round']}"
    if file["kind"] == "snapshot":
        return f"round {file['last_round']}, which has a name"
    if file["kind"] == "unfinished":
        return "was never finished; the next open removes it"
    if file["name"] == "epochs":
        return "when the cluster was opened, and after which round"
    return {"database": "identity and schema", "other": "not exdb's, or its lock"}[file["kind"]]


def run(arguments: argparse.Namespace) -> int:
    path = Path(arguments.path)
    if arguments.dump is not None:
        return _dump(folders.furthest(path), arguments)
    found = folders.folders(path)
    reports = {each: examine(each, not arguments.files_only) for each in found}
    damaged = any(report["damage"] for report in reports.values())
    readable = {path: report for path, report in reports.items() if "files" in report}
    lines = folders.compare(readable) if len(found) > 1 and readable else None
    if arguments.json:
        whole: Any = list(reports.values())
        if lines is not None:
            whole = {"nodes": whole, "furthest": str(lines.furthest), "forks": lines.forks}
        elif len(whole) == 1:
            whole = whole[0]
        print(json.dumps(whole, indent=2))
    else:
        for report in reports.values():
            _print(report)
        if lines is not None:
            print(f"furthest: {lines.furthest}, round {readable[lines.furthest]['last_round']}")
            for fork in lines.forks:
                print(f"FORK: {fork}")
            if not lines.forks:
                print("all nodes that can be read hold beginnings of one history")
    return 1 if damaged or (lines is not None and lines.forks) else 0


def _dump(path: Path, arguments: argparse.Namespace) -> int:
    folders.say_open(path)
    try:
        db, _ = state.load(path)
    except DiskDamagedError as error:
        print(f"exdb: {error}", file=sys.stderr)
        return 1
    with db, db.connect() as con:
        try:
            cls = db.dictionary.classes[arguments.dump]
        except NotFoundError as error:
            print(f"exdb: {error}", file=sys.stderr)
            return 2
        con.startTransaction(MCO_READ_ONLY)
        dump(con, cls.name, cls.fields, arguments.format, sys.stdout)
    return 0


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "inspect",
        help="what a database on disk holds, and whether every byte of it is right",
        description="Reads every file of the folder PATH of a database on disk, or of the "
        "folders node-0, node-1, … of a cluster in it: identity, files, rounds, csn, "
        "rows of each class. Verifies every checksum and the chain of rounds; what "
        "is damaged is named with file and offset. Changes nothing, and works beside "
        "a process that has the database open. Exit code 0: whole; 1: damaged. Needs "
        "the memory that the database needs; with --files-only that of one file of "
        "the log.",
    )
    parser.add_argument("path", metavar="PATH")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--files-only", action="store_true", help="do not load the rows")
    parser.add_argument(
        "--dump", metavar="CLASS", help="write its rows to stdout, and nothing else"
    )
    parser.add_argument("--format", choices=("csv", "jsonl"), default="jsonl", help="of --dump")
    parser.set_defaults(run=run)
