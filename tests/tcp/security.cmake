# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
add_subdirectory(security)
