# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The exdb authors
#
# exdb_tcp_security: who may join and what they may read. OpenSSL, files, no sockets.
find_package(OpenSSL 3.0 REQUIRED)

add_library(exdb_tcp_security STATIC
  exposure.cpp hello.cpp hello_keys.cpp hello_message.cpp secret.cpp secret_file.cpp
  tls_channel.cpp tls_context.cpp tls_errors.cpp tls_factory.cpp tls_names.cpp tls_params.cpp)
target_link_libraries(exdb_tcp_security PUBLIC exdb_runtime PRIVATE OpenSSL::SSL OpenSSL::Crypto
                                        PRIVATE $<BUILD_INTERFACE:exdb_options>)
target_include_directories(exdb_tcp_security PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
