#include "mpc/detected_opening_impl.h"

namespace witan::mpc {

Patience::Patience(OpeningVariant variant, runtime::Duration delay, int excluded) {
  const int private_rounds = variant == OpeningVariant::w1 ? 1 : 2;
  const runtime::Duration more = 4 * (private_rounds + 1) * delay;
  storing = 4 * delay;
  round = (16 + 6 * private_rounds) * delay + excluded * more;
  apart = excluded == 0 ? round / 8 + 4 * delay : (round - more) / 2;
  exchange = apart + 2 * delay;
  phase_2 = apart + storing + delay;
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
template class Decide<Z64>;
template class Decide<Z128>;

}  // namespace witan::mpc
