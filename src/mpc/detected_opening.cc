#include "mpc/detected_opening_impl.h"

namespace witan::mpc {

Patience::Patience(OpeningVariant variant, runtime::Duration delay, int excluded) {
  const bool w1 = variant == OpeningVariant::w1;
  round = (w1 ? 20 : 64) * delay;
  runtime::Duration apart = round / 8 + 2 * delay;
  for (int i = 0; i < excluded; ++i) {
    apart = round / 2;
    round = w1 ? 2 * round + 2 * delay : 3 * round + 4 * delay;
  }
  exchange = apart + delay;
  both_phases = 2 * exchange;
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
