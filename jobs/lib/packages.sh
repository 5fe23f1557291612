# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034  # setup.sh sources these files into one program
# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
#
# System packages. A package is missing when what it gives cannot be used, wherever that would come
# from: a module, Spack or conda serve as well as apt. Nothing is installed when nothing is missing,
# so that a user without root can work on a machine that has all.

# The usual names of environment modules, for the message to those who cannot install.
declare -A module_names=(
  [g++]="gcc (12 or newer)" [libxxhash-dev]="xxhash" [libssl-dev]="openssl (3.0 or newer)"
  [libgtest-dev]="googletest or gtest"
  [liblmdb-dev]="lmdb" [libbenchmark-dev]="google-benchmark" [python3-venv]="python (3.9 or newer)"
  [python3-dev]="python (3.9 or newer)" [python3]="python (3.9 or newer)"
)

compiler() { echo "${CXX:-$(command -v c++ || command -v g++ || true)}"; }

has_compiler() {
  local cxx
  cxx=$(compiler)
  # shellcheck disable=SC2086  # CXX may carry options
  [[ -n $cxx ]] && command -v "${CC:-cc}" >/dev/null &&
    echo '#include <concepts>
#include <span>
int main() {}' | $cxx -std=c++20 -x c++ -fsyntax-only - 2>/dev/null
}

# Where CMake would look too: Spack and modules say it in these variables.
has_header() {
  local cxx dir
  cxx=$(compiler)
  # shellcheck disable=SC2086
  [[ -n $cxx ]] && echo "#include <$1>" | $cxx -E -x c++ - >/dev/null 2>&1 && return 0
  local IFS=:
  for dir in ${CMAKE_PREFIX_PATH:-} ${CMAKE_INCLUDE_PATH:-} ${VIRTUAL_ENV:-}; do
    [[ -e $dir/include/$1 || -e $dir/$1 ]] && return 0
  done
  return 1
}

# missing_packages jobs|tests|bench: names of Debian packages, one a line.
missing_packages() {
  has_compiler || echo g++
  has_header xxhash.h || echo libxxhash-dev
  has_header openssl/ssl.h || echo libssl-dev
  missing_python_packages
  if [[ $1 == tests ]]; then
    has_header gtest/gtest.h || echo libgtest-dev
    has_header lmdb.h || echo liblmdb-dev
    has_header benchmark/benchmark.h || echo libbenchmark-dev
  fi
}

# Good to have, never required: without hwloc (found by pkg-config) a process knows its affinity mask
# only; without shellcheck shell scripts are not checked; without LMDB storage_bench is left out.
missing_extras() {
  if ! has_header hwloc.h; then echo libhwloc-dev; fi
  if ! command -v pkg-config >/dev/null; then echo pkg-config; fi
  if [[ $1 == bench ]] && ! has_header lmdb.h; then echo liblmdb-dev; fi
  if [[ $1 == tests ]] && ! command -v shellcheck >/dev/null; then echo shellcheck; fi
}

can_install() { [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; }

apt_install() {
  [[ -n $(find /var/lib/apt/lists -name '*_Packages*' -mmin -720 -print -quit 2>/dev/null) ]] ||
    logged apt-update apt-get update
  logged apt-install env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

# Into the array `missing`. Not by mapfile < <(…), which would take a failure there for "nothing".
list_missing() {
  local text
  text=$(missing_packages "$1") || die "could not find out which packages are missing"
  mapfile -t missing < <(printf '%s' "$text")
}

# install_packages jobs|tests|bench
install_packages() {
  local missing extras name modules=""
  list_missing "$1"
  mapfile -t extras < <(missing_extras "$1")
  if ((${#missing[@]} == 0)) && { ((${#extras[@]} == 0)) || ! can_install; }; then
    ((${#extras[@]} == 0)) || say "not found, and done without: ${extras[*]}"
    return
  fi
  if ! can_install; then
    for name in "${missing[@]}"; do modules+="; $name: ${module_names[$name]:-$name}"; done
    die "missing: ${missing[*]}. Debian or Ubuntu: apt-get install ${missing[*]} (as root)." \
      "On a cluster load modules, usually called${modules#;}"
  fi
  missing+=("${extras[@]}")
  say "system packages: installing ${missing[*]} with apt"
  apt_install "${missing[@]}"
  hash -r
  list_missing "$1"
  ((${#missing[@]} == 0)) || die "apt installed its packages, yet still missing: ${missing[*]}"
}
