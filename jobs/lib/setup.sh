# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
#
# The whole set-up: system packages, environment, build. Source this file; then set_up_jobs,
# set_up_tests or set_up_bench, and activate. What is ready is found ready by fingerprints, without a lock and
# without writing anything, so that a second run takes no time and needs no rights.

_lib=$exdb_root/jobs/lib
# shellcheck source=jobs/lib/common.sh
source "$_lib/common.sh"
# shellcheck source=jobs/lib/packages.sh
source "$_lib/packages.sh"
# shellcheck source=jobs/lib/mpi.sh
source "$_lib/mpi.sh"
# shellcheck source=jobs/lib/environment.sh
source "$_lib/environment.sh"
# shellcheck source=jobs/lib/build.sh
source "$_lib/build.sh"

prepare_environment() {
  environment_is_ready "$1" && return
  install_packages "$1"
  make_environment "$1"
}

build_package() {
  package_is_ready && return
  say "build: Release in $exdb_build/release"
  configure_release
  build "$exdb_build/release" exdb_package
  install_package
}

set_up_jobs() {
  choose_mpi
  if environment_is_ready jobs && package_is_ready; then return; fi
  take_lock
  prepare_environment jobs
  build_package
  release_lock
  say "ready in ${SECONDS} s: $mpi_version, $("$exdb_venv/bin/python" --version)"
}

# The tests always build: what changed in them is Ninja's to know.
set_up_tests() {
  choose_mpi
  take_lock
  prepare_environment tests
  say "build: Release with tests in $exdb_build/release"
  configure_release -DEXDB_TESTS=ON "-DEXDB_BENCH=$(part bench)"
  build "$exdb_build/release"
  package_is_ready || install_package
  release_lock
  say "ready in ${SECONDS} s: $mpi_version, $("$exdb_venv/bin/python" --version)"
}

# As the jobs, and the benchmarks' programs. LMDB, a rival, is installed where that is possible.
set_up_bench() {
  choose_mpi
  take_lock
  install_packages bench
  prepare_environment jobs
  say "build: Release with benchmarks in $exdb_build/release"
  configure_release -DEXDB_BENCH=ON
  build "$exdb_build/release" exdb_bench
  build_package
  release_lock
  say "ready in ${SECONDS} s: $mpi_version, $("$exdb_venv/bin/python" --version)"
}
