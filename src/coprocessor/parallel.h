// Independent pieces of work over all cores; for the demo and the command line.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

namespace witan::coprocessor {

/// body(0), ..., body(count - 1), in any order. The body throws nothing.
template <class Body>
void parallel_for(std::size_t count, const Body& body) {
  const std::size_t threads = std::min<std::size_t>(count, std::max(1u, std::thread::hardware_concurrency()));
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i < count; i = next++) body(i);
  };
  std::vector<std::jthread> others;
  for (std::size_t i = 1; i < threads; ++i) others.emplace_back(work);
  work();
}

}  // namespace witan::coprocessor
