# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
"""What ``python -m exdb`` does with the folders of databases on disk."""
