#include "base/secret.h"

#include <string.h>

namespace witan {

void wipe(void* data, std::size_t size_bytes) {
  explicit_bzero(data, size_bytes);
}

}  // namespace witan
