# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
#
# Installs the build to a prefix and builds a user's project against it: with MPI the C++ example
# (jobs/cpp), run on three ranks; without, the embedded program beside this file.
# The MPI variables of our own build are handed on as a user would have to.
file(REMOVE_RECURSE ${WORK})
set(_step COMMAND_ERROR_IS_FATAL ANY TIMEOUT 200)
execute_process(COMMAND ${CMAKE_COMMAND} --install ${BUILD} --component sdk --prefix ${WORK}/prefix
                OUTPUT_QUIET ${_step})
load_cache(${BUILD} READ_WITH_PREFIX OURS_
           MPIEXEC_EXECUTABLE MPI_C_COMPILER MPI_C_COMPILER_INCLUDE_DIRS MPI_C_HEADER_DIR MPI_C_LIB_NAMES MPI_mpi_LIBRARY)
set(_source ${CMAKE_CURRENT_LIST_DIR})
set(_arguments)
if(EXISTS ${WORK}/prefix/lib/cmake/exdb/exdbMpiTargets.cmake OR OURS_MPI_C_COMPILER)
  cmake_path(SET _source NORMALIZE ${CMAKE_CURRENT_LIST_DIR}/../../../jobs/cpp)
  foreach(_name MPI_C_COMPILER MPI_C_COMPILER_INCLUDE_DIRS MPI_C_HEADER_DIR MPI_C_LIB_NAMES
                MPI_mpi_LIBRARY)
    if(OURS_${_name})
      list(APPEND _arguments "-D${_name}=${OURS_${_name}}")
    endif()
  endforeach()
endif()
execute_process(COMMAND ${CMAKE_COMMAND} -S ${_source} -B ${WORK}/build -G ${GENERATOR}
                        -DCMAKE_MAKE_PROGRAM=${MAKE_PROGRAM} -DCMAKE_PREFIX_PATH=${WORK}/prefix
                        -DCMAKE_C_COMPILER=${C_COMPILER} -DCMAKE_CXX_COMPILER=${CXX_COMPILER}
                        ${_arguments} ${_step})
execute_process(COMMAND ${CMAKE_COMMAND} --build ${WORK}/build ${_step})
if(EXISTS ${WORK}/build/hello)
  execute_process(COMMAND ${OURS_MPIEXEC_EXECUTABLE} -n 3 ${WORK}/build/hello OUTPUT_VARIABLE _said
                  ${_step})
  string(REGEX MATCHALL "rank [0-9] reads: hello from rank [0-9]" _lines "${_said}")
  list(LENGTH _lines _count)
  if(NOT _count EQUAL 9)
    message(FATAL_ERROR "three ranks should each read three greetings, and said:\n${_said}")
  endif()
else()
  execute_process(COMMAND ${WORK}/build/user ${_step})
endif()
