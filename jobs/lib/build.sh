# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034  # setup.sh sources these files into one program
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
#
# The Release build in <build>/release, and the Python package from it in the environment.

readonly package_sources=(CMakeLists.txt runtime mpi tcp python)

package_key() {
  {
    echo "$exdb_build $exdb_venv ${CXX:-} ${CXXFLAGS:-} ${EXDB_WERROR:-}"
    mpi_key
    tree_fingerprint "${package_sources[@]}"
  } | fingerprint
}

package_is_ready() {
  [[ -d $(site_packages)/exdb && "$(cat "$exdb_venv/.exdb-package" 2>/dev/null)" == "$(package_key)" ]]
}

# Asked of the folder, not of Python: this runs at every start.
site_packages() {
  local found=("$exdb_venv"/lib/python3*/site-packages)
  echo "${found[0]}"
}

# configure FOLDER [-D…]: with the environment's CMake and Ninja; with ccache where there is one,
# else in large pieces, which is how a whole build takes least.
configure() {
  local folder=$1 arguments
  shift
  arguments=(-S "$exdb_root" -B "$folder" -G Ninja "-DCMAKE_MAKE_PROGRAM=$exdb_venv/bin/ninja"
    "-DEXDB_WERROR=${EXDB_WERROR:-OFF}" "$@")
  if command -v ccache >/dev/null; then
    arguments+=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  else
    arguments+=(-DEXDB_UNITY=ON)
  fi
  logged "configure-$(basename "$folder")" "$exdb_venv/bin/cmake" "${arguments[@]}"
}

part() { [[ -e $exdb_root/$1/CMakeLists.txt ]] && echo ON || echo OFF; }

# configure_release [-D…]. A cache made for another MPI, Python or place is thrown away.
configure_release() {
  local folder=$exdb_build/release key fresh=()
  key=$({ echo "$exdb_venv $exdb_root ${CXX:-} ${CC:-}"; mpi_key; } | fingerprint)
  [[ "$(cat "$folder/.exdb-configured" 2>/dev/null)" == "$key" ]] || fresh=(--fresh)
  mpi_cmake_arguments
  configure "$folder" "${fresh[@]}" -DCMAKE_BUILD_TYPE=Release "-DEXDB_MPI=$(part mpi)" "-DEXDB_PYTHON=$(part python)" \
    "-DPython_EXECUTABLE=$exdb_venv/bin/python" \
    "-Dpybind11_DIR=$("$exdb_venv/bin/python" -m pybind11 --cmakedir)" "${mpi_cmake[@]}" "$@"
  echo "$key" >"$folder/.exdb-configured"
}

# build FOLDER [TARGET]
build() {
  logged "build-$(basename "$1")" "$exdb_venv/bin/cmake" --build "$1" -j "$(build_jobs)" ${2:+--target "$2"}
}

# Into a new folder first, then two renames: a job that starts meanwhile sees the old package or the
# new one, and one that is running keeps the files it has open.
install_package() {
  local site
  [[ $(part python) == ON ]] || return 0
  site=$(site_packages)
  rm -rf "$site/.exdb-new" "$site/.exdb-old"
  logged install "$exdb_venv/bin/cmake" --install "$exdb_build/release" --component python \
    --prefix "$site/.exdb-new"
  [[ ! -e $site/exdb ]] || mv "$site/exdb" "$site/.exdb-old"
  mv "$site/.exdb-new/exdb" "$site/exdb"
  rm -rf "$site/.exdb-new" "$site/.exdb-old"
  package_key >"$exdb_venv/.exdb-package"
}
