# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034  # setup.sh sources these files into one program
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
#
# Which MPI. Python (mpi4py), our library and the launcher must be of one MPI: a mixture gives
# worlds of size 1 or a crash, without an error. So one choice is made here, everything is made
# to follow it, and verify_mpi proves it before anything is run.
#
#   wheel    the `mpich` wheel, in the environment; the default
#   machine  what MPICC, MPI_HOME or a loaded module names; mpi4py is then built from source with it
#
# choose_mpi sets mpi_kind, mpi_cc, mpi_exec and mpi_reason.

readonly mpi_module_pattern=':(mpich|openmpi|mvapich2?|impi|intel-?mpi|cray-mpich|hpcx|parastationmpi|psmpi)[^:]*:'

choose_mpi() {
  mpi_kind=machine mpi_reason=""
  mpi_launch_environment
  if [[ -n ${MPICC:-} ]]; then
    mpi_cc=$(command -v "$MPICC") || die "MPICC=$MPICC: there is no such program"
    mpi_reason="MPICC"
  elif [[ -n ${MPI_HOME:-} ]]; then
    mpi_cc=$MPI_HOME/bin/mpicc
    [[ -x $mpi_cc ]] || die "MPI_HOME=$MPI_HOME has no bin/mpicc"
    mpi_reason="MPI_HOME"
  elif [[ ":${LOADEDMODULES:-}:" =~ $mpi_module_pattern ]]; then
    mpi_reason="module ${BASH_REMATCH[0]//:/}"
    mpi_cc=$(command -v mpicc || command -v cc) || die "$mpi_reason is loaded, but there is no mpicc"
  fi
  if [[ -z $mpi_reason || $mpi_cc == "$exdb_venv"/bin/* ]]; then
    mpi_kind=wheel mpi_cc=$exdb_venv/bin/mpicc mpi_exec=$exdb_venv/bin/mpiexec mpi_reason=default
    return
  fi
  [[ $mpi_cc == /* ]] || mpi_cc=$PWD/$mpi_cc
  mpi_exec=$(launcher_of "$mpi_cc") ||
    die "no mpiexec found that belongs to $mpi_cc (set MPIEXEC to it)"
}

# The launcher beside a compiler wrapper: mpicc.mpich -> mpiexec.mpich, mpicc -> mpiexec.
launcher_of() {
  local dir suffix name
  if [[ -n ${MPIEXEC:-} ]]; then
    command -v "$MPIEXEC"
    return
  fi
  dir=$(dirname "$1")
  suffix=$(basename "$1")
  suffix=${suffix#mpicc}
  for name in "$dir/mpiexec$suffix" "$dir/mpirun$suffix" "$dir/mpiexec" "$dir/mpirun"; do
    [[ -x $name ]] && echo "$name" && return
  done
  command -v mpiexec || command -v srun
}

# What identifies the choice, for stamps.
mpi_key() {
  if [[ $mpi_kind == wheel ]]; then
    echo "wheel $(cat "$exdb_root/jobs/requirements-mpich.txt")"
  else
    echo "machine $mpi_cc $mpi_exec $("$mpi_cc" -show 2>/dev/null)"
  fi
}

# CMake's view of it, in the array mpi_cmake. The wheel's compiler wrapper is passed over: its
# output cannot be parsed when the path has a space, and FindMPI asks no wrapper when it has these.
mpi_cmake_arguments() {
  mpi_cmake=("-DMPIEXEC_EXECUTABLE=$mpi_exec" "-DMPI_C_COMPILER=$mpi_cc")
  if [[ $mpi_kind == wheel ]]; then
    mpi_cmake+=("-DMPI_C_COMPILER_INCLUDE_DIRS=$exdb_venv/include"
      "-DMPI_C_HEADER_DIR=$exdb_venv/include" "-DMPI_C_LIB_NAMES=mpi"
      "-DMPI_mpi_LIBRARY=$exdb_venv/lib/libmpi.so")
  fi
}

compile_mpi_probe() {
  cat >"$1.c" <<'PROBE'
#include <mpi.h>
#include <stdio.h>
#include <string.h>
int main(int argc, char** argv) {
  char version[MPI_MAX_LIBRARY_VERSION_STRING];
  int rank = 0, size = 0, length = 0;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  MPI_Get_library_version(version, &length);
  version[strcspn(version, "\r\n")] = '\0';
  if (rank == 0) printf("%d ranks, %s\n", size, version);
  MPI_Finalize();
  return 0;
}
PROBE
  if [[ $mpi_kind == wheel ]]; then
    logged mpi-probe "${CC:-cc}" -I"$exdb_venv/include" "$1.c" -o "$1" "$exdb_venv/lib/libmpi.so.12" \
      "-Wl,-rpath,$exdb_venv/lib"
  else
    logged mpi-probe "$mpi_cc" "$1.c" -o "$1"
  fi
}

# The line that a probe has printed, among warnings of the network's drivers, with single spaces.
probe_line() { sed -nE '/^[0-9]+ ranks, /{s/[[:space:]]+/ /g;s/ $//;p;q}' <<<"$1"; }

# Runs a program of two ranks compiled with mpi_cc, and the same in Python, under mpi_exec; both
# must see two ranks and the same library. Leaves the library's name in mpi_version.
verify_mpi() {
  local probe="$exdb_build/set-up/mpi-probe" compiled python
  mkdir -p "$exdb_build/set-up"
  compile_mpi_probe "$probe"
  compiled=$(timeout 60 "$mpi_exec" -n 2 "$probe" </dev/null 2>"$probe.err") ||
    die "$mpi_exec -n 2 does not work: $(tail -n 5 "$probe.err")"
  python=$(timeout 60 "$mpi_exec" -n 2 "$exdb_venv/bin/python" -c '
from mpi4py import MPI
world = MPI.COMM_WORLD
if world.rank == 0:
    version = MPI.Get_library_version().split("\0")[0].splitlines()[0]
    print(world.size, "ranks,", version)' </dev/null 2>"$probe.err") ||
    die "mpi4py does not work under $mpi_exec: $(tail -n 5 "$probe.err")"
  compiled=$(probe_line "$compiled")
  python=$(probe_line "$python")
  [[ $compiled == "$python" ]] || die "two different MPIs: programs see '$compiled', Python sees" \
    "'$python'. Remove $exdb_venv, and set MPICC to the one MPI that both shall use."
  [[ $compiled == "2 ranks, "* ]] || die "$mpi_exec is of another MPI than $mpi_cc: with -n 2 a" \
    "program sees '$compiled'. Set MPIEXEC to the launcher of $mpi_cc."
  mpi_version=${compiled#2 ranks, }
}

# Open MPI refuses root and more ranks than cores unless told; MPICH ignores these.
mpi_launch_environment() {
  if [[ $(id -u) == 0 ]]; then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi
  export OMPI_MCA_rmaps_base_oversubscribe=${OMPI_MCA_rmaps_base_oversubscribe:-1}
  export PRTE_MCA_rmaps_default_mapping_policy=${PRTE_MCA_rmaps_default_mapping_policy:-:oversubscribe}
}
