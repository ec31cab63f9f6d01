#include "base/rng.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace witan {

void OsRng::fill(MutableByteView out) {
  while (!out.empty()) {
    const ssize_t n = getrandom(out.data(), out.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      std::perror("getrandom");
      std::abort();
    }
    out = out.subspan(static_cast<std::size_t>(n));
  }
}

}  // namespace witan
