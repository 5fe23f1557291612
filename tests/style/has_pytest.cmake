# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
#
# Sets EXDB_HAS_PYTEST: whether the Python that was found can run tests of pytest. A build by hand may
# use one that cannot; ./tests/run always has it.
execute_process(COMMAND ${Python_EXECUTABLE} -c "import pytest, pytest_timeout"
                RESULT_VARIABLE _failed OUTPUT_QUIET ERROR_QUIET)
set(EXDB_HAS_PYTEST TRUE)
if(_failed)
  set(EXDB_HAS_PYTEST FALSE)
  message(STATUS "${Python_EXECUTABLE} has no pytest with pytest-timeout: tests in ${CMAKE_CURRENT_SOURCE_DIR} left out")
endif()
