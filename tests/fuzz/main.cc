#include "base/log.h"
#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  static_cast<void>(witan::log::set_file("/dev/null"));
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  witan::fuzz::fuzz_one({data, size});
  return 0;
}
