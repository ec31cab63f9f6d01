#include "runtime/event.h"

namespace witan::runtime {

void WaitList::wake_all() {
  while (!waiting_.empty()) waiting_.pop_front().notify();
}

}  // namespace witan::runtime
