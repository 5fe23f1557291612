# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
#
# exdb_unit_test(NAME schema_parser SOURCES a_test.cpp [LIBRARIES …] [TIMEOUT 60] [PROCESSORS 1])
#   one GoogleTest program over the inside of the runtime, one CTest entry, label "unit".
function(exdb_unit_test)
  cmake_parse_arguments(ARG "" "NAME;TIMEOUT;PROCESSORS;LABEL" "SOURCES;LIBRARIES" ${ARGN})
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
  add_test(NAME ${ARG_LABEL}.${ARG_NAME} COMMAND ${ARG_NAME}_test)
  set_tests_properties(${ARG_LABEL}.${ARG_NAME} PROPERTIES LABELS ${ARG_LABEL} TIMEOUT ${ARG_TIMEOUT} PROCESSORS
                                                           ${ARG_PROCESSORS})
endfunction()
