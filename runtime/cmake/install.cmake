# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
#
# What is installed, in two components:
#   sdk     libraries, headers and exdbConfig.cmake, for C++ users (find_package(exdb))
#   python  the package exdb/ with its module and our libraries beside it: a wheel's content. It is
#           not part of a plain `cmake --install`; scikit-build-core and jobs/run ask for it by name.
include(CMakePackageConfigHelpers)

set(_config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/exdb)
set(_libraries exdb_runtime)
# Libraries find each other in their own folder, wherever that is copied to.
set_target_properties(exdb_runtime PROPERTIES INSTALL_RPATH "$ORIGIN")
install(TARGETS exdb_runtime EXPORT exdbTargets COMPONENT sdk
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT sdk NAMELINK_COMPONENT sdk)
install(EXPORT exdbTargets NAMESPACE exdb:: DESTINATION ${_config_dir} COMPONENT sdk)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/runtime/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        COMPONENT sdk)

if(TARGET exdb_mpi)
  list(APPEND _libraries exdb_mpi)
  # Where the MPI is, for who loads ours first: the one it was built with, else the mpich wheel of
  # the environment that the package is in. (INSTALL_RPATH_USE_LINK_PATH leaves out an environment
  # that lies in the source tree, as .venv does.)
  find_package(MPI QUIET REQUIRED COMPONENTS C)
  set(_mpi_rpath "")
  foreach(_library IN LISTS MPI_C_LIBRARIES)
    cmake_path(GET _library PARENT_PATH _folder)
    if(NOT _folder IN_LIST CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES)
      list(APPEND _mpi_rpath ${_folder})
    endif()
  endforeach()
  # One file with the plain name: Python loads it by that, and a wheel cannot hold links.
  set_property(TARGET exdb_mpi PROPERTY VERSION)
  set_property(TARGET exdb_mpi PROPERTY SOVERSION)
  set_target_properties(exdb_mpi PROPERTIES EXPORT_NAME mpi
                                            INSTALL_RPATH "$ORIGIN;${_mpi_rpath};$ORIGIN/../../..")
  install(TARGETS exdb_mpi EXPORT exdbMpiTargets
          LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT sdk NAMELINK_COMPONENT sdk)
  install(EXPORT exdbMpiTargets NAMESPACE exdb:: DESTINATION ${_config_dir} COMPONENT sdk)
  if(EXISTS ${PROJECT_SOURCE_DIR}/mpi/include)
    install(DIRECTORY ${PROJECT_SOURCE_DIR}/mpi/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
            COMPONENT sdk)
  endif()
endif()

if(TARGET exdb_tcp)
  list(APPEND _libraries exdb_tcp)
  # With the plain name, as exdb_mpi.
  set_property(TARGET exdb_tcp PROPERTY SOVERSION)
  set_target_properties(exdb_tcp PROPERTIES INSTALL_RPATH "$ORIGIN")
  install(TARGETS exdb_tcp EXPORT exdbTcpTargets COMPONENT sdk
          LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT sdk NAMELINK_COMPONENT sdk)
  install(EXPORT exdbTcpTargets NAMESPACE exdb:: DESTINATION ${_config_dir} COMPONENT sdk)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/tcp/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
          COMPONENT sdk)
endif()

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/exdbConfig.cmake.in
                              ${PROJECT_BINARY_DIR}/exdbConfig.cmake
                              INSTALL_DESTINATION ${_config_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/exdbConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/exdbConfig.cmake ${PROJECT_BINARY_DIR}/exdbConfigVersion.cmake
        DESTINATION ${_config_dir} COMPONENT sdk)

if(TARGET _core)
  set_target_properties(_core PROPERTIES INSTALL_RPATH "$ORIGIN")
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/python/exdb/ DESTINATION exdb COMPONENT python EXCLUDE_FROM_ALL
          FILES_MATCHING PATTERN "*.py" PATTERN "*.pyi" PATTERN "py.typed"
          PATTERN __pycache__ EXCLUDE)
  install(TARGETS _core ${_libraries}
          LIBRARY DESTINATION exdb COMPONENT python NAMELINK_SKIP EXCLUDE_FROM_ALL)
endif()

# Everything that jobs need, without the tests.
add_custom_target(exdb_package)
add_dependencies(exdb_package ${_libraries})
if(TARGET _core)
  add_dependencies(exdb_package _core)
endif()
