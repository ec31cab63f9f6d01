#include "mpc/broadcast.h"

#include "mpc/broadcast_impl.h"

namespace witan::mpc {

template class BasicBroadcast<BroadcastRules>;

}  // namespace witan::mpc
