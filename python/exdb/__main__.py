# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""``python -m exdb COMMAND``: tools for databases on disk, and the doctor.

Exit codes: 0; 1 something is damaged or wrong; 2 the command line, or what it names, is not there.
"""

from __future__ import annotations

import argparse
import os
import sys

from . import __version__
from ._tools import backup, inspect, log, replay
from .errors import Error, NotFoundError


def _doctor(_: argparse.Namespace) -> int:
    from . import doctor  # looks for MPI

    return doctor.main()


def parser() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser(
        prog="python -m exdb",
        description="Tools for databases on disk. They change nothing in the folder of a database "
        "that is there, and hold no lock of it.",
    )
    whole.add_argument("--version", action="version", version=f"exdb {__version__}")
    commands = whole.add_subparsers(metavar="COMMAND", required=True)
    for tool in (inspect, replay, log, backup):
        tool.add(commands)
    doctor = commands.add_parser("doctor", help="what exdb sees of this machine and its MPI")
    doctor.set_defaults(run=_doctor)
    return whole


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; the exit code."""
    given = parser().parse_args(arguments)
    try:
        code = int(given.run(given))
        sys.stdout.flush()
        return code
    except NotFoundError as error:
        print(f"exdb: {error}", file=sys.stderr)
        return 2
    except Error as error:
        print(f"exdb: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
