# Compiler flags of every target. The baseline CPU is x86-64-v3 with AES; wider instructions are chosen at run time.
option(WITAN_WERROR "warnings are errors" ON)
set(WITAN_SANITIZE "" CACHE STRING "address (with undefined), thread or fuzzer (with address and undefined)")

add_compile_options(-march=x86-64-v3 -maes -ffp-contract=off -Wall -Wextra -Wconversion -Wshadow -fno-omit-frame-pointer)
if(WITAN_WERROR)
  add_compile_options(-Werror)
endif()
add_link_options(-fuse-ld=lld)

if(WITAN_SANITIZE)
  # Instrumented code is large: with the usual inlining, and with object-size (AddressSanitizer sees what it would), it takes twice as
  # long to compile.
  add_compile_options(-mllvm -inline-threshold=20)
endif()
if(WITAN_SANITIZE STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize=object-size -fno-sanitize-recover=all)
  add_link_options(-fsanitize=address,undefined)
elseif(WITAN_SANITIZE STREQUAL "thread")
  add_compile_options(-fsanitize=thread)
  add_link_options(-fsanitize=thread)
elseif(WITAN_SANITIZE STREQUAL "fuzzer")
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all)
  add_link_options(-fsanitize=address,undefined)
elseif(NOT WITAN_SANITIZE STREQUAL "")
  message(FATAL_ERROR "WITAN_SANITIZE is address, thread or fuzzer, not '${WITAN_SANITIZE}'")
endif()

option(WITAN_COVERAGE "count how often each line runs (scripts/fuzz.py --coverage)" OFF)
if(WITAN_COVERAGE)
  add_compile_options(-fprofile-instr-generate -fcoverage-mapping)
  add_link_options(-fprofile-instr-generate)
endif()

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()
