// A link that lies: payloads of data frames become random bytes of the same length, independent for each receiver.
#pragma once

#include "base/rng.h"
#include "runtime/network.h"

namespace witan::insecure {

class LiarLink final : public runtime::Link {
 public:
  explicit LiarLink(runtime::Link& link) : link_(link) {}
  CommitteeSize committee() const override { return link_.committee(); }
  Role self() const override { return link_.self(); }
  Status send(Role to, const runtime::Frame& frame, runtime::Lane lane) override {
    if (frame.kind != runtime::FrameKind::data || !frame.payload || frame.payload->empty())
      return link_.send(to, frame, lane);
    runtime::Frame lie = frame;
    Bytes bytes(frame.payload->size());
    rng_.fill(bytes);
    lie.payload = std::make_shared<const Bytes>(std::move(bytes));
    return link_.send(to, lie, lane);
  }

 private:
  runtime::Link& link_;
  OsRng rng_;
};

}  // namespace witan::insecure
