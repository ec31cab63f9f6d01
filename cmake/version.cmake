# Writes base/version_info.h of the build tree if the commit has changed. Run at every build (cmake -P).
execute_process(COMMAND git -C ${SOURCE_DIR} rev-parse --short=12 HEAD OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE
                ERROR_QUIET)
if(NOT commit)
  set(commit unknown)
endif()
execute_process(COMMAND git -C ${SOURCE_DIR} status --porcelain --untracked-files=no OUTPUT_VARIABLE dirty ERROR_QUIET)
if(dirty)
  string(APPEND commit "+changes")
endif()
file(WRITE ${OUTPUT}.new "#pragma once
namespace witan {
inline constexpr char kVersion[] = \"${VERSION}\";
inline constexpr char kCommit[] = \"${commit}\";
inline constexpr char kBuildKind[] = \"${BUILD_KIND}\";
}
")
execute_process(COMMAND ${CMAKE_COMMAND} -E copy_if_different ${OUTPUT}.new ${OUTPUT})
