#include "mpc/detected_opening_impl.h"

namespace witan::mpc {

Patience::Patience(CommitteeSize committee, OpeningVariant variant, runtime::Duration silence) : phase_1(silence) {
  const int t = committee.threshold();
  phase_2 = (t + 1) * phase_1;
  broadcast_round = 2 * (t * (variant == OpeningVariant::w1 ? phase_1 : phase_2) + phase_1);
}

DetectionReport& DetectionReport::operator+=(const DetectionReport& other) {
  passes += other.passes;
  silence += other.silence;
  excused += other.excused;
  opened_zero_keys += other.opened_zero_keys;
  fetched += other.fetched;
  return *this;
}

template class DetectedOpening<Z64>;
template class DetectedOpening<Z128>;

}  // namespace witan::mpc
