# The layers and their allowed edges (docs/architecture.md). Nothing includes a layer that it does not list here.

witan_layer(base LIBS fmt::fmt PRIVATE_LIBS spdlog::spdlog)

# Commit and build kind for --version, looked up at every build, rewritten only when they changed.
set(build_kind release)
if(WITAN_SANITIZE STREQUAL "address")
  set(build_kind asan)
elseif(WITAN_SANITIZE STREQUAL "thread")
  set(build_kind tsan)
elseif(CMAKE_BUILD_TYPE STREQUAL "Debug")
  set(build_kind debug)
endif()
add_custom_target(witan_version_info
  COMMAND ${CMAKE_COMMAND} -DSOURCE_DIR=${CMAKE_SOURCE_DIR} -DOUTPUT=${CMAKE_BINARY_DIR}/generated/version/version_info.h
          -DVERSION=${PROJECT_VERSION} -DBUILD_KIND=${build_kind} -P ${CMAKE_SOURCE_DIR}/cmake/version.cmake
  BYPRODUCTS ${CMAKE_BINARY_DIR}/generated/version/version_info.h)
witan_layer(version DEPS base)  # apart from base, so that a commit relinks the programs alone
add_dependencies(witan_version witan_version_info)
target_include_directories(witan_version PRIVATE ${CMAKE_BINARY_DIR}/generated)

# What only tests may use: seeded randomness, the vectors under tests/data, JSON.
add_library(witan_test_support STATIC tests/support/support.cc tests/support/http_client.cc tests/support/prometheus_text.cc)
target_include_directories(witan_test_support PUBLIC ${CMAKE_SOURCE_DIR}/tests)
target_compile_definitions(witan_test_support PRIVATE WITAN_TEST_DATA_DIR="${CMAKE_SOURCE_DIR}/tests/data")
target_link_libraries(witan_test_support PUBLIC witan_base nlohmann_json::nlohmann_json PRIVATE OpenSSL::Crypto)

witan_layer(runtime DEPS base LIBS Threads::Threads)
witan_layer(metrics DEPS base LIBS Threads::Threads)
witan_layer(crypto DEPS base PRIVATE_LIBS OpenSSL::Crypto PkgConfig::SECP256K1 PkgConfig::CRYPTOPP)
witan_layer(algebra DEPS base)
# Beyond the baseline, chosen at run time (base/cpu.h).
set_source_files_properties(src/algebra/dot_avx512_ifma.cc PROPERTIES COMPILE_OPTIONS
                            "-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mavx512ifma")
witan_layer(tfhe DEPS base crypto PRIVATE_LIBS PkgConfig::HWY)
# Highway counts PCLMUL to AVX2, which is our baseline: without it there would be SSE code too, which has no FMA.
set_source_files_properties(src/tfhe/ntt.cc src/tfhe/decompose_simd.cc PROPERTIES COMPILE_OPTIONS -mpclmul)
witan_layer(tfhe_rs DEPS base crypto tfhe)
witan_layer(store/journal DEPS base runtime PRIVATE_LIBS PkgConfig::SQLITE3)
witan_layer(store/vault_file DEPS base runtime)
witan_layer(mpc SIMULATED DEPS base runtime crypto algebra)
set_source_files_properties(src/mpc/aes_vaes256.cc PROPERTIES COMPILE_OPTIONS -mvaes)
set_source_files_properties(src/mpc/sum_avx512_vnni.cc PROPERTIES COMPILE_OPTIONS
                            "-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mavx512vnni")
set_source_files_properties(src/mpc/aes_vaes512.cc PROPERTIES COMPILE_OPTIONS "-mvaes;-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl")
witan_layer(transport DEPS base runtime crypto PRIVATE_LIBS PkgConfig::GRPCPP PkgConfig::ABSL_SYNCHRONIZATION protobuf::libprotobuf)
witan_layer(protocols SIMULATED DEPS base runtime crypto algebra tfhe mpc)
witan_layer(coprocessor DEPS base crypto tfhe tfhe_rs)
witan_layer(api DEPS base PRIVATE_LIBS PkgConfig::GRPCPP protobuf::libprotobuf)
witan_layer(client DEPS base crypto tfhe tfhe_rs api)
witan_layer(node DEPS base runtime metrics crypto algebra tfhe tfhe_rs mpc protocols transport store/journal store/vault_file api
            PRIVATE_LIBS nlohmann_json::nlohmann_json)
witan_layer(insecure DEPS base runtime crypto algebra tfhe tfhe_rs mpc protocols transport store/journal store/vault_file api node)
witan_layer(cli DEPS base crypto tfhe tfhe_rs protocols coprocessor api client PRIVATE_LIBS nlohmann_json::nlohmann_json)

include(proto)

# Apart from the rest of the support: it replaces operator new.
add_library(witan_memory_meter STATIC tests/support/memory_meter.cc)
target_include_directories(witan_memory_meter PUBLIC ${CMAKE_SOURCE_DIR}/tests)
target_link_libraries(witan_node_tests PRIVATE witan_memory_meter)
target_link_libraries(witan_insecure_tests PRIVATE witan_memory_meter)

# Tests over real processes; WITAN_BIN names the folder of the programs.
file(GLOB e2e_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/e2e/*.cc)
if(e2e_sources)
  add_executable(witan_e2e_tests ${e2e_sources})
  target_include_directories(witan_e2e_tests PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  target_link_libraries(witan_e2e_tests PRIVATE witan_cli witan_node witan_insecure witan_coprocessor witan_test_support
                                                GTest::gtest GTest::gmock GTest::gtest_main)
  witan_quick_tests(witan_e2e_tests api cli)
  set_property(GLOBAL APPEND PROPERTY WITAN_TEST_PROGRAMS witan_e2e_tests)
endif()

# Noise against its formulas (docs/noise.md); a program of its own, because it takes minutes of processor time.
file(GLOB noise_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/noise/*.cc)
add_executable(witan_noise_tests ${noise_sources} tests/tfhe/tfhe_testing.cc)
target_include_directories(witan_noise_tests PRIVATE ${CMAKE_SOURCE_DIR}/tests)
target_link_libraries(witan_noise_tests PRIVATE witan_protocols witan_coprocessor witan_test_support GTest::gtest
                                                GTest::gmock GTest::gtest_main)
set_property(GLOBAL APPEND PROPERTY WITAN_TEST_PROGRAMS witan_noise_tests)

# Secrets under valgrind (scripts/test.py runs it).
add_executable(witan_ct tests/ct/ct.cc)
target_include_directories(witan_ct PRIVATE ${CMAKE_SOURCE_DIR}/tests)
target_link_libraries(witan_ct PRIVATE witan_protocols witan_test_support)
target_link_options(witan_ct PRIVATE -Wl,--strip-debug)  # valgrind of Debian 12 does not read what clang 19 writes
set_property(GLOBAL APPEND PROPERTY WITAN_TEST_PROGRAMS witan_ct)

# The kernels of a decryption, by instruction set.
add_executable(witan_decrypt_bench bench/decrypt/decrypt_bench.cc)
target_link_libraries(witan_decrypt_bench PRIVATE witan_protocols benchmark::benchmark benchmark::benchmark_main)
set_property(GLOBAL APPEND PROPERTY WITAN_BENCHMARKS witan_decrypt_bench)
# The local part of random bits, by instruction set.
add_executable(witan_bits_bench bench/bits/bits_bench.cc)
target_link_libraries(witan_bits_bench PRIVATE witan_mpc benchmark::benchmark benchmark::benchmark_main)
set_property(GLOBAL APPEND PROPERTY WITAN_BENCHMARKS witan_bits_bench)

# Nodes allocate with jemalloc: what one thread allocates another one frees all the time. Sanitizers bring their own allocator.
if(NOT WITAN_SANITIZE)
  set(allocator PkgConfig::JEMALLOC)
endif()

# Random bits in a committee of processes over the real transport (scripts/bench_keygen.py).
add_executable(witan_preprocessing_committee bench/preprocessing/committee.cc)
target_include_directories(witan_preprocessing_committee PRIVATE ${CMAKE_SOURCE_DIR}/tests)
target_link_libraries(witan_preprocessing_committee PRIVATE witan_protocols witan_transport ${allocator})
set_property(GLOBAL APPEND PROPERTY WITAN_BENCHMARKS witan_preprocessing_committee)

# Load on a running committee (scripts/bench_service.py).
add_executable(witan_load bench/load/load.cc)
target_link_libraries(witan_load PRIVATE witan_cli PkgConfig::GRPCPP PkgConfig::ABSL_SYNCHRONIZATION)
if(TARGET witan_e2e_tests)
  add_dependencies(witan_e2e_tests witan_load)
endif()
set_property(GLOBAL APPEND PROPERTY WITAN_BENCHMARKS witan_load)

# Whole operations, one repetition at a time (scripts/bench_tfhe.py).
add_executable(witan_evaluate bench/evaluate/evaluate.cc)
target_link_libraries(witan_evaluate PRIVATE witan_insecure)
set_property(GLOBAL APPEND PROPERTY WITAN_BENCHMARKS witan_evaluate)

# Fuzz targets, one per tests/fuzz/fuzz_<name>.cc: ninja fuzzers, in the preset of that name (scripts/fuzz.py).
# They are compiled with the tests as well, so that they go on to build.
file(GLOB fuzz_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_*.cc)
if(WITAN_SANITIZE STREQUAL "fuzzer")
  add_custom_target(fuzzers)
  foreach(source ${fuzz_sources})
    get_filename_component(name ${source} NAME_WE)
    add_executable(witan_${name} ${source} tests/fuzz/main.cc)
    target_include_directories(witan_${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
    target_link_libraries(witan_${name} PRIVATE witan_node witan_test_support PkgConfig::GRPCPP OpenSSL::Crypto)
    target_link_options(witan_${name} PRIVATE -fsanitize=fuzzer)
    add_dependencies(fuzzers witan_${name})
  endforeach()
  add_executable(witan_seeds tests/fuzz/seeds.cc)
  target_include_directories(witan_seeds PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  target_link_libraries(witan_seeds PRIVATE witan_node witan_test_support)
  target_link_options(witan_seeds PRIVATE -fsanitize=address,undefined)
  add_dependencies(fuzzers witan_seeds)
elseif(NOT WITAN_SANITIZE)
  add_library(witan_fuzz_sources OBJECT ${fuzz_sources} tests/fuzz/seeds.cc)
  target_include_directories(witan_fuzz_sources PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  target_link_libraries(witan_fuzz_sources PRIVATE witan_node witan_test_support PkgConfig::GRPCPP OpenSSL::Crypto GTest::gmock)
  witan_quick_tests(witan_fuzz_sources node)
  set_property(GLOBAL APPEND PROPERTY WITAN_TEST_PROGRAMS witan_fuzz_sources)
endif()

witan_program(witan-node DEPS node version LIBS ${allocator} SOURCES src/apps/node_main.cc)
witan_program(witan-node-test DEPS insecure node version LIBS ${allocator} SOURCES src/apps/node_main.cc)
witan_program(witan DEPS cli version)

# ninja programs: what an operator runs; tests: all test programs; benchmarks; generated: protobuf and gRPC code.
add_custom_target(programs)
foreach(program witan-node witan-node-test witan)
  if(TARGET ${program})
    add_dependencies(programs ${program})
  endif()
endforeach()
add_custom_target(tests)
get_property(test_programs GLOBAL PROPERTY WITAN_TEST_PROGRAMS)
if(test_programs)
  add_dependencies(tests ${test_programs})
endif()
add_custom_target(benchmarks)
get_property(benchmark_programs GLOBAL PROPERTY WITAN_BENCHMARKS)
if(benchmark_programs)
  add_dependencies(benchmarks ${benchmark_programs})
endif()
add_custom_target(generated)
get_property(generated_targets GLOBAL PROPERTY WITAN_GENERATED_TARGETS)
if(generated_targets)
  add_dependencies(generated ${generated_targets})
endif()
