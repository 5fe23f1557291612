# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
#
# exdb_unit_test(NAME schema_parser SOURCES a_test.cpp [LIBRARIES …] [TIMEOUT 60] [PROCESSORS 1] [UNSANITIZED Suite.test:…])
#   one GoogleTest program over the inside of the runtime, one CTest entry, label "unit".
#   UNSANITIZED: tests, as for --gtest_filter, that are seconds in the Release build and many times that with
#   sanitizers, for bytes that other tests show them too: only the Release build runs them.
#
# exdb_test_headers(TARGET): what nearly all tests include is compiled once; it takes 2 of the 5 s of a
# file. By a program, whose code is -fpie as theirs. Not beside a compiler cache, which knows each file by all that it includes. A test includes what it
# uses all the same: there is no such header in builds with a cache.
#
# exdb_test_options(TARGET): a test's own code is optimised little, which takes half the time to compile (what it
# tests is in the library). With sanitizers it is checked for what it does with memory, which may be ours; not for
# undefined behaviour of its own: a third of what its compilation takes.
function(exdb_test_options target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
  if(EXDB_SANITIZE STREQUAL "address,undefined")
    set_target_properties(${target} PROPERTIES EXDB_SANITIZE address)
  endif()
endfunction()
if(NOT CMAKE_CXX_COMPILER_LAUNCHER)
  file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/test_headers.cpp CONTENT "int main() {}\n")
  add_executable(exdb_test_headers ${CMAKE_CURRENT_BINARY_DIR}/test_headers.cpp)
  target_link_libraries(exdb_test_headers PRIVATE exdb_runtime_inside GTest::gtest)
  exdb_test_options(exdb_test_headers)
  target_precompile_headers(exdb_test_headers PRIVATE <gtest/gtest.h> <algorithm> <chrono> <deque> <functional> <future>
                            <map> <memory> <mutex> <random> <set> <string> <thread> <vector>)
endif()
function(exdb_test_headers target)
  exdb_test_options(${target})
  if(TARGET exdb_test_headers)
    target_precompile_headers(${target} REUSE_FROM exdb_test_headers)
  endif()
endfunction()

function(exdb_unit_test)
  cmake_parse_arguments(ARG "" "NAME;TIMEOUT;PROCESSORS;LABEL;UNSANITIZED" "SOURCES;LIBRARIES" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  if(NOT ARG_PROCESSORS)
    set(ARG_PROCESSORS 1)
  endif()
  if(NOT ARG_LABEL)
    set(ARG_LABEL unit)
  endif()
  add_executable(${ARG_NAME}_test ${ARG_SOURCES})
  target_link_libraries(${ARG_NAME}_test PRIVATE exdb_runtime_inside GTest::gtest_main ${ARG_LIBRARIES})
  exdb_test_headers(${ARG_NAME}_test)
  add_test(NAME ${ARG_LABEL}.${ARG_NAME} COMMAND ${ARG_NAME}_test)
  set_tests_properties(${ARG_LABEL}.${ARG_NAME} PROPERTIES LABELS ${ARG_LABEL} TIMEOUT ${ARG_TIMEOUT} PROCESSORS
                                                           ${ARG_PROCESSORS})
  if(ARG_UNSANITIZED AND EXDB_SANITIZE MATCHES address)
    set_tests_properties(${ARG_LABEL}.${ARG_NAME} PROPERTIES ENVIRONMENT "GTEST_FILTER=-${ARG_UNSANITIZED}")
  endif()
endfunction()
