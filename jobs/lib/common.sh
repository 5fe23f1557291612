# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
#
# What every script of the set-up shares: messages, fingerprints, logged commands, the lock.
# The script that sources this file has set `exdb_root` (absolute, without a slash at the end).
#
# Messages go to stderr: stdout belongs to the job.

exdb_root=${exdb_root:?set by the script that sources this file}
exdb_venv=${EXDB_VENV:-$exdb_root/.venv}
exdb_build=${EXDB_BUILD:-$exdb_root/build}
[[ $exdb_venv == /* ]] || exdb_venv=$PWD/$exdb_venv
[[ $exdb_build == /* ]] || exdb_build=$PWD/$exdb_build

say() { printf 'exdb: %s\n' "$*" >&2; }

die() {
  printf 'exdb: error: %s\n' "$*" >&2
  exit 1
}

# A wrong command line ends with 2, as with other Unix tools, so that it can be told from a job's 1.
usage_error() {
  printf 'exdb: error: %s\n' "$*" >&2
  exit 2
}

# A short hash of stdin.
fingerprint() { sha256sum | cut -c1-16; }

# A short hash of the names and contents of the files under the given paths of the repository.
tree_fingerprint() {
  (
    cd "$exdb_root" || exit 1
    local existing=() path
    for path in "$@"; do [[ -e $path ]] && existing+=("$path"); done
    find "${existing[@]}" -name __pycache__ -prune -o -type f -print0 | LC_ALL=C sort -z |
      xargs -0 sha256sum
  ) | fingerprint
}

own_build_folder() {
  if ! mkdir -p "$exdb_build/set-up" 2>/dev/null || [[ ! -w $exdb_build/set-up ]]; then
    die "there is something to set up, but you may not write to $exdb_build:" \
      "set EXDB_BUILD and EXDB_VENV to folders of yours"
  fi
}

# logged NAME COMMAND…: runs the command with its output in a file; shows the end of it on failure.
logged() {
  local log="$exdb_build/set-up/$1.log"
  shift
  own_build_folder
  if ! "$@" >"$log" 2>&1 </dev/null; then
    tail -n 40 "$log" >&2
    die "this failed: $* (all of its output: $log)"
  fi
}

# Two set-ups at once would write the same files. The lock is released when the descriptor closes:
# with the shell, or by release_lock; programs started meanwhile must not inherit it (see `9>&-`).
take_lock() {
  own_build_folder
  exec 9>"$exdb_build/.set-up.lock"
  if ! flock -n 9; then
    say "another set-up is running here; waiting for it"
    flock 9
  fi
}

release_lock() { exec 9>&-; }

# How many compilers at once: the processors this process may use, and 1 GiB of memory for each.
build_jobs() {
  local jobs=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)} fit
  fit=$(awk '/^MemAvailable/ {print int($2 / 1048576)}' /proc/meminfo 2>/dev/null || echo "$jobs")
  ((fit < 1)) && fit=1
  ((fit < jobs)) && jobs=$fit
  echo "$jobs"
}
