// A link that lies: the second half of the payloads of data frames becomes random bytes, independent for each receiver. In an
// opening these are shares only, under a header that still names the right content.
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
    Bytes bytes = *frame.payload;
    rng_.fill(MutableByteView(bytes).subspan(bytes.size() / 2));
    lie.payload = runtime::make_payload(std::move(bytes));
    return link_.send(to, lie, lane);
  }

 private:
  runtime::Link& link_;
  OsRng rng_;
};

}  // namespace witan::insecure
