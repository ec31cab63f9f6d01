// One party: vaults, journal, channels, services (service.md 9).
#pragma once

#include <functional>
#include <memory>

#include "base/rng.h"
#include "node/about.h"
#include "node/config.h"
#include "runtime/loop.h"

namespace witan::node {

class Extension;

class Node {
 public:
  /// Called on the loop thread when the node must end: a fault of the journal's disk, a public object of a key that is not what was
  /// signed. Perhaps several times.
  using OnFault = std::function<void(const Error&)>;

  /// Opens everything, verifies public against private storage, takes up interrupted work and serves. The public objects of keys,
  /// which are large, are verified while it serves; `on_fault` hears of one that is damaged. Called before the loop runs. `extension`
  /// is null in production. Errors say what to do.
  static Result<std::unique_ptr<Node>> start(const Config& config, const About& about, runtime::Loop& loop, Rng& rng,
                                             Extension* extension, OnFault on_fault);
  ~Node();

  /// Refuses new calls, lets running ones end for `grace`, then closes everything else. On the loop thread, while it runs.
  runtime::Task<void> stop(std::chrono::milliseconds grace);

 private:
  struct Impl;
  explicit Node(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace witan::node
