# Generated protobuf and gRPC code. Only transport and api see it.

# witan_proto_library(<target> [GRPC] PROTOS <names under proto/>)
#
# A static library of the generated code of these files (and, with GRPC, of their service stubs), compiled without
# warnings of ours. Whoever links it includes "<name>.pb.h" / "<name>.grpc.pb.h". A file belongs to one library.
function(witan_proto_library target)
  cmake_parse_arguments(ARG "GRPC" "" "PROTOS" ${ARGN})
  set(source_dir ${CMAKE_SOURCE_DIR}/proto)
  set(out_dir ${CMAKE_BINARY_DIR}/generated/${target})
  file(MAKE_DIRECTORY ${out_dir})
  set(generated)
  foreach(proto ${ARG_PROTOS})
    string(REGEX REPLACE "\\.proto$" "" stem ${proto})
    set(outputs ${out_dir}/${stem}.pb.cc ${out_dir}/${stem}.pb.h)
    set(arguments --cpp_out=${out_dir})
    if(ARG_GRPC)
      list(APPEND outputs ${out_dir}/${stem}.grpc.pb.cc ${out_dir}/${stem}.grpc.pb.h)
      list(APPEND arguments --grpc_out=${out_dir} --plugin=protoc-gen-grpc=${GRPC_CPP_PLUGIN})
    endif()
    add_custom_command(OUTPUT ${outputs}
                       COMMAND ${PROTOC} -I ${source_dir} ${arguments} ${source_dir}/${proto}
                       DEPENDS ${source_dir}/${proto} COMMENT "protoc ${proto}" VERBATIM)
    list(APPEND generated ${outputs})
  endforeach()
  add_library(${target} STATIC ${generated})
  add_custom_target(${target}_sources DEPENDS ${generated})
  add_dependencies(${target} ${target}_sources)
  set_property(GLOBAL APPEND PROPERTY WITAN_GENERATED_TARGETS ${target}_sources)
  target_include_directories(${target} SYSTEM PUBLIC ${out_dir})
  target_compile_options(${target} PRIVATE -w)
  target_link_libraries(${target} PUBLIC protobuf::libprotobuf)
  if(ARG_GRPC)
    target_link_libraries(${target} PUBLIC PkgConfig::GRPCPP)
  endif()
endfunction()

# api. Its tests use the service stubs, to call the server as any other client does; the library needs only messages.
witan_proto_library(witan_proto_kms GRPC PROTOS kms.v1.proto kms-service.v1.proto metastore-status.v1.proto
                                                grpc-health.v1.proto)
if(TARGET witan_api_tests)
  target_link_libraries(witan_api PRIVATE witan_proto_kms)
  target_link_libraries(witan_api_tests PRIVATE witan_proto_kms)
  # The tests also read descriptions: of the services, and of the test-only methods, which are never compiled.
  foreach(stem kms-service.v1 metastore-status.v1 kms-service-insecure.v1)
    set(description ${CMAKE_BINARY_DIR}/generated/${stem}.desc)
    add_custom_command(OUTPUT ${description}
                       COMMAND ${PROTOC} -I ${CMAKE_SOURCE_DIR}/proto --include_imports --descriptor_set_out=${description}
                               ${CMAKE_SOURCE_DIR}/proto/${stem}.proto
                       DEPENDS ${CMAKE_SOURCE_DIR}/proto/${stem}.proto ${CMAKE_SOURCE_DIR}/proto/kms.v1.proto VERBATIM)
    target_sources(witan_api_tests PRIVATE ${description})
  endforeach()
  target_compile_definitions(witan_api_tests PRIVATE WITAN_PROTO_DESCRIPTIONS="${CMAKE_BINARY_DIR}/generated")
endif()

# transport
witan_proto_library(witan_proto_transport GRPC PROTOS witan_transport.proto)
if(TARGET witan_transport)
  target_link_libraries(witan_transport PRIVATE witan_proto_transport)
endif()
if(TARGET witan_transport_tests)
  target_link_libraries(witan_transport_tests PRIVATE witan_proto_transport OpenSSL::SSL OpenSSL::Crypto)
endif()
