# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
#
# Who may join and what others may read: files and OpenSSL, no sockets.
target_sources(exdb_tcp PRIVATE
  exposure.cpp hello_keys.cpp hello_message.cpp secret.cpp secret_file.cpp
  tls_channel.cpp tls_context.cpp tls_errors.cpp tls_factory.cpp tls_names.cpp tls_params.cpp)
