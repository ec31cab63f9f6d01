#include "base/secret.h"

#include <string.h>

namespace witan {

void wipe(void* data, std::size_t size_bytes) {
  if (size_bytes == 0) return;  // an empty vector has no address
  explicit_bzero(data, size_bytes);
}

}  // namespace witan
