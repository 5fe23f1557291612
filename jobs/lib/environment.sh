# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034  # setup.sh sources these files into one program
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
#
# The virtual environment: made once with the python3 on the PATH, kept until what it was made from
# changes (requirements, MPI, its place). Its stamp is .exdb-<goal> inside it, goal = jobs or tests.

# The first Python on the PATH that will do; PYTHON names another.
find_python() {
  local name
  for name in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python3.10 python3.9}; do
    command -v "$name" >/dev/null &&
      "$name" -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null &&
      command -v "$name" && return
  done
  return 1
}

venv_works() { [[ -x $exdb_venv/bin/python ]] && "$exdb_venv/bin/python" -m pip --version >/dev/null 2>&1; }

has_python_header() {
  "$1" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))' 2>/dev/null
}

# Only Debian's own Python comes in parts; another one (pyenv, a module) brings all or is no use.
missing_python_packages() {
  local python
  if venv_works; then python=$exdb_venv/bin/python; else python=$(find_python || true); fi
  if [[ -z $python ]]; then
    printf '%s\n' python3 python3-venv python3-dev
    return
  fi
  if ! venv_works && ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then echo python3-venv; fi
  if ! has_python_header "$python"; then echo python3-dev; fi
}

requirement_files() {
  echo "$exdb_root/jobs/requirements.txt"
  [[ $1 == jobs ]] || echo "$exdb_root/tests/requirements.txt"
}

environment_key() {
  local files
  mapfile -t files < <(requirement_files "$1")
  { echo "$exdb_venv"; mpi_key; cat "${files[@]}"; } | fingerprint
}

# The first line of the stamp is the key, the second the version of MPI. Tests need what jobs
# need and more, so their stamp serves both.
environment_is_ready() {
  local goal stamp key
  for goal in tests "$1"; do
    stamp=$exdb_venv/.exdb-$goal
    [[ -r $stamp && ($goal == "$1" || $1 == jobs) ]] || continue
    { read -r key && read -r mpi_version; } <"$stamp" || continue
    [[ $key == "$(environment_key "$goal")" && -x $exdb_venv/bin/python ]] && return 0
  done
  return 1
}

# A folder that we did not make is used as it is or refused, never cleared.
create_venv() {
  local python clear=()
  if venv_works && { [[ ! -e $exdb_venv/.exdb-venv ]] ||
    [[ $(cat "$exdb_venv/.exdb-venv") == "$exdb_venv" ]]; }; then
    return
  fi
  if [[ -e $exdb_venv/.exdb-venv ]]; then
    clear=(--clear)
  elif [[ -n $(ls -A "$exdb_venv" 2>/dev/null) ]]; then
    die "$exdb_venv is there but is no working virtual environment, and not of our making:" \
      "remove it, or set EXDB_VENV to another folder"
  fi
  python=$(find_python) || die "Python 3.9 or newer is needed"
  logged venv "$python" -m venv "${clear[@]}" "$exdb_venv"
  echo "$exdb_venv" >"$exdb_venv/.exdb-venv"
}

pip_install() {
  local name=$1
  shift
  # pip's own settings (PIP_FIND_LINKS, PIP_INDEX_URL, …) come from the user's environment.
  logged "$name" "$exdb_venv/bin/python" -m pip install --disable-pip-version-check "$@"
}

install_mpi4py() {
  local previous pin
  previous=$(cat "$exdb_venv/.exdb-mpi" 2>/dev/null || true)
  pin=$(grep -E '^mpi4py==' "$exdb_root/jobs/requirements.txt")
  if [[ -n $previous && $previous != "$(mpi_key)" ]]; then
    say "environment: the MPI has changed; mpi4py is installed anew"
    logged pip-remove "$exdb_venv/bin/python" -m pip uninstall -y mpi4py mpich
  fi
  if [[ $mpi_kind == wheel ]]; then
    pip_install pip-mpi -r "$exdb_root/jobs/requirements-mpich.txt" "$pin"
  elif [[ $previous != "$(mpi_key)" ]]; then
    # pip keeps wheels it has built by version only, whatever MPI they were built with: no cache.
    MPICC=$mpi_cc pip_install pip-mpi --no-cache-dir --force-reinstall --no-binary=mpi4py "$pin"
  fi
  mpi_key >"$exdb_venv/.exdb-mpi"
}

# make_environment jobs|tests
make_environment() {
  local file arguments=()
  if [[ $mpi_kind == wheel ]]; then
    say "environment: $exdb_venv, MPI from the mpich wheel (set MPICC to use the machine's)"
  else
    say "environment: $exdb_venv, MPI of $mpi_cc ($mpi_reason), mpi4py built with it"
  fi
  create_venv
  rm -f "$exdb_venv/.exdb-jobs" "$exdb_venv/.exdb-tests"
  install_mpi4py
  while read -r file; do arguments+=(-r "$file"); done < <(requirement_files "$1")
  pip_install "pip-$1" "${arguments[@]}"
  verify_mpi
  printf '%s\n%s\n' "$(environment_key "$1")" "$mpi_version" >"$exdb_venv/.exdb-$1"
}

activate() {
  export VIRTUAL_ENV=$exdb_venv PATH=$exdb_venv/bin:$PATH
  unset PYTHONHOME
}
