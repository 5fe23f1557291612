# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
#
# exdb_mpi_test(NAME transport RANKS 2 3 4 SOURCES a_test.cpp [LIBRARIES …] [TIMEOUT 120] [ARGUMENTS …] [ENVIRONMENT …])
#   one GoogleTest program with the MPI main, one CTest entry for each number of ranks: mpi.transport.3
# exdb_mpi_case(NAME … PROGRAM target RANKS 2 ARGUMENTS … [FAILS_WITH regex] [ENVIRONMENT …])
#   one run of a program that is no GoogleTest; FAILS_WITH: it must fail and print this.
# The launcher's own limit is shorter than CTest's: a launcher killed from outside may leave its ranks behind.
function(exdb_mpi_run test program ranks timeout arguments environment)
  math(EXPR launcher_timeout "${timeout} - 10")
  add_test(NAME ${test}
           COMMAND ${MPIEXEC_EXECUTABLE} ${MPIEXEC_NUMPROC_FLAG} ${ranks} ${MPIEXEC_PREFLAGS}
                   $<TARGET_FILE:${program}> ${MPIEXEC_POSTFLAGS} ${arguments})
  # Two cores are claimed, not one a rank: more ranks than cores is what these tests are also about.
  if(ranks GREATER 2)
    set(processors 2)
  else()
    set(processors ${ranks})
  endif()
  set_tests_properties(${test} PROPERTIES LABELS mpi TIMEOUT ${timeout} PROCESSORS ${processors}
                       ENVIRONMENT "MPIEXEC_TIMEOUT=${launcher_timeout};UCX_MEM_EVENTS=n;${environment}")
endfunction()

function(exdb_mpi_test)
  cmake_parse_arguments(ARG "" "NAME;TIMEOUT" "RANKS;SOURCES;LIBRARIES;ARGUMENTS;ENVIRONMENT" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 180)
  endif()
  set(program mpi_${ARG_NAME}_test)
  if(ARG_SOURCES)
    add_executable(${program} ${ARG_SOURCES})
    target_link_libraries(${program} PRIVATE exdb_mpi_test_main ${ARG_LIBRARIES})
    exdb_test_headers(${program})
  endif()
  foreach(ranks IN LISTS ARG_RANKS)
    exdb_mpi_run(mpi.${ARG_NAME}.${ranks} ${program} ${ranks} ${ARG_TIMEOUT} "${ARG_ARGUMENTS}" "${ARG_ENVIRONMENT}")
  endforeach()
endfunction()

function(exdb_mpi_case)
  cmake_parse_arguments(ARG "" "NAME;PROGRAM;FAILS_WITH;TIMEOUT" "RANKS;ARGUMENTS;ENVIRONMENT" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 90)
  endif()
  foreach(ranks IN LISTS ARG_RANKS)
    set(test mpi.${ARG_NAME}.${ranks})
    exdb_mpi_run(${test} ${ARG_PROGRAM} ${ranks} ${ARG_TIMEOUT} "${ARG_ARGUMENTS}" "${ARG_ENVIRONMENT}")
    if(ARG_FAILS_WITH)
      set_tests_properties(${test} PROPERTIES PASS_REGULAR_EXPRESSION "${ARG_FAILS_WITH}"
                                              FAIL_REGULAR_EXPRESSION "not reached")
    endif()
  endforeach()
endfunction()
