# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
#
# Installs the build to a prefix, configures and builds the project here against it, runs the result.
# The MPI variables of our own build are handed on as a user would have to.
file(REMOVE_RECURSE ${WORK})
set(_step COMMAND_ERROR_IS_FATAL ANY TIMEOUT 200)
execute_process(COMMAND ${CMAKE_COMMAND} --install ${BUILD} --component sdk --prefix ${WORK}/prefix
                OUTPUT_QUIET ${_step})
load_cache(${BUILD} READ_WITH_PREFIX OURS_
           MPI_C_COMPILER MPI_C_COMPILER_INCLUDE_DIRS MPI_C_HEADER_DIR MPI_C_LIB_NAMES MPI_mpi_LIBRARY)
set(_arguments -DWANT_MPI=OFF)
if(EXISTS ${WORK}/prefix/lib/cmake/exdb/exdbMpiTargets.cmake OR OURS_MPI_C_COMPILER)
  set(_arguments -DWANT_MPI=ON)
  foreach(_name MPI_C_COMPILER MPI_C_COMPILER_INCLUDE_DIRS MPI_C_HEADER_DIR MPI_C_LIB_NAMES
                MPI_mpi_LIBRARY)
    if(OURS_${_name})
      list(APPEND _arguments "-D${_name}=${OURS_${_name}}")
    endif()
  endforeach()
endif()
execute_process(COMMAND ${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR} -B ${WORK}/build -G ${GENERATOR}
                        -DCMAKE_MAKE_PROGRAM=${MAKE_PROGRAM} -DCMAKE_PREFIX_PATH=${WORK}/prefix
                        -DCMAKE_C_COMPILER=${C_COMPILER} -DCMAKE_CXX_COMPILER=${CXX_COMPILER}
                        ${_arguments} ${_step})
execute_process(COMMAND ${CMAKE_COMMAND} --build ${WORK}/build ${_step})
execute_process(COMMAND ${WORK}/build/user ${_step})
