# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""``python -m exdb backup`` and ``restore``: copies of folders, verified."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
from pathlib import Path
from typing import Any, BinaryIO

from .. import _core
from ..errors import DiskDamagedError, DiskError
from . import folders

LEFT_OUT = ("lock",)
ATTEMPTS = 5
PIECE = 1 << 20


def _open_all(source: Path, stack: contextlib.ExitStack) -> dict[str, BinaryIO] | None:
    """All files of one moment, as far as that goes; None when one went away meanwhile. What is
    removed while it is read stays readable."""
    opened: dict[str, BinaryIO] = {}
    for path in sorted(source.iterdir()):
        name = path.name
        if name in LEFT_OUT or name.endswith(".new") or path.is_symlink() or not path.is_file():
            continue
        try:
            opened[name] = stack.enter_context(path.open("rb"))
        except FileNotFoundError:
            return None
    return opened


def _copy(source: BinaryIO, to: Path) -> None:
    """Zeros at the end, which a log has for what is to come, stay without a place on the device."""
    file = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(file, "wb") as out:
        while piece := source.read(PIECE):
            if piece.strip(b"\0"):
                out.write(piece)
            else:
                out.seek(len(piece), os.SEEK_CUR)
        out.truncate(source.tell())
        out.flush()
        os.fsync(out.fileno())


def _sync(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _attempt(source: Path, to: Path) -> str | None:
    """Copies once; what is wrong with the copy, or None."""
    to.mkdir(mode=0o700)
    with contextlib.ExitStack() as stack:
        files = _open_all(source, stack)
        if files is None:
            return "files went away while they were copied"
        for name, file in files.items():
            _copy(file, to / name)
    _sync(to)
    try:
        report = _core.inspect_archive(str(to))
    except DiskDamagedError as error:
        return str(error)
    return next((file["damage"] for file in report["files"] if file["damage"]), None)


def copy(source: Path, to: Path) -> dict[str, Any]:
    """Copies one folder to a path that is free, and verifies the copy; what is in it."""
    wrong: str | None = None
    for _ in range(ATTEMPTS):
        before = wrong
        try:
            wrong = _attempt(source, to)
            if wrong is None:
                return _core.inspect_archive(str(to))
        except OSError as error:
            shutil.rmtree(to, ignore_errors=True)
            raise DiskError(f"'{to}': {error}") from None
        except BaseException:
            shutil.rmtree(to, ignore_errors=True)
            raise
        shutil.rmtree(to)
        if wrong == before or _core.archive_holder(str(source)) is None:
            break
    raise DiskDamagedError(
        f"'{source}' was not copied, for the copy is not whole: "
        + str(wrong).replace(str(to), str(source))
    )


def _free(path: Path) -> None:
    if path.is_symlink() or (path.exists() and (not path.is_dir() or any(path.iterdir()))):
        raise DiskError(
            f"'{path}' is there already, and is not overwritten: remove it, or name another"
        )
    if not path.absolute().parent.is_dir():
        raise DiskError(f"'{path}': there is no folder '{path.absolute().parent}'")


def _copy_all(source: Path, to: Path, verb: str) -> int:
    found = folders.folders(source)
    _free(to)
    for each in found:
        folders.say_open(each)
    making = to.absolute().parent / f"{to.name}.{os.getpid()}.new"
    single = found == [source]
    reports: dict[Path, dict[str, Any]] = {}
    try:
        if not single:
            making.mkdir(mode=0o700)
        for each in found:
            report = copy(each, making if single else making / each.name)
            reports[making / each.name] = report
            print(
                f"{verb} '{each}': to round {report['last_round']}, "
                f"{sum(file['bytes'] for file in report['files']):,} bytes, verified"
            )
        if not single:
            _say_furthest(folders.compare(reports))
        if to.is_dir():
            to.rmdir()  # an empty one
        making.rename(to)
        _sync(to.absolute().parent)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
    return 0


def _say_furthest(lines: folders.Lines) -> None:
    """Nodes of an open job are copied one after the other, so some have more than others."""
    for fork in lines.forks:
        print(f"exdb: warning: an open will refuse this copy: {fork}", file=sys.stderr)
    if not lines.forks:
        print(
            f"an open gives all nodes the state of '{lines.furthest.name}', the furthest of them "
            f"(epoch {lines.epoch})"
        )


def backup(arguments: argparse.Namespace) -> int:
    return _copy_all(Path(arguments.path), Path(arguments.dest), "backup of")


def restore(arguments: argparse.Namespace) -> int:
    return _copy_all(Path(arguments.source), Path(arguments.path), "restored")


def add(commands: Any) -> None:
    parser = commands.add_parser(
        "backup",
        help="a copy of a database on disk, verified",
        description="Copies the folder PATH of a database on disk (or of a cluster's nodes) to "
        "DEST, which must be free or an empty folder, and verifies every byte of the "
        "copy before it has its name. PATH may be open in another process: the copy "
        "is then a state that it had after some round since the call, with all that "
        "was acknowledged before the call. The nodes of a cluster that is open are "
        "copied one after the other, so some have more than others: an open of the "
        "copy gives all of them the state of the furthest, which is named here. "
        "Takes no lock and changes nothing in PATH.",
    )
    parser.add_argument("path", metavar="PATH")
    parser.add_argument("dest", metavar="DEST")
    parser.set_defaults(run=backup)
    parser = commands.add_parser(
        "restore",
        help="a database on disk from a backup",
        description="Copies the backup SRC to PATH and verifies it. Never overwrites: PATH must "
        "be free or an empty folder. What was committed to the database since the "
        "backup is not in it; nodes of a cluster are to be restored all together.",
    )
    parser.add_argument("source", metavar="SRC")
    parser.add_argument("path", metavar="PATH")
    parser.set_defaults(run=restore)
