#include "mpc/open.h"

#include "mpc/open_impl.h"

namespace witan::mpc {

template <Word Z>
void append_shares(Bytes& out, std::span<const Share<Z>> shares) {
  const std::size_t at = out.size();
  out.resize(at + shares.size() * Gr<Z>::kSizeBytes);
  for (std::size_t i = 0; i < shares.size(); ++i) shares[i].value.encode(out.data() + at + i * Gr<Z>::kSizeBytes);
}

template void append_shares(Bytes&, std::span<const Share<Z64>>);
template void append_shares(Bytes&, std::span<const Share<Z128>>);
template class RobustOpening<Z64>;
template class RobustOpening<Z128>;

}  // namespace witan::mpc
