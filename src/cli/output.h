// What people see: a moving line for anything that takes longer than two seconds, and the parties of a decryption.
#pragma once

#include <cstdio>
#include <memory>
#include <string>

#include "cli/decryption.h"
#include "cli/keygen.h"

namespace witan::cli {

/// Appears on standard error after two seconds if that is a terminal; says what is going on and for how long.
class ProgressBar {
 public:
  explicit ProgressBar(std::string what);
  ~ProgressBar();
  /// From now on it also says how far a key generation has come, how fast it is and how long it will take.
  void show(const KeyProgress& progress);
  void finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// What the line says of it: ": preprocessing 43 %, 1.2 million elements/s, 27 s left,".
std::string text_of(const KeyProgress& progress);

/// Who signed, who lied, who was silent, how long it took.
void print_parties(const Committee& committee, const DecryptionReport& report, std::FILE* to = stdout);

/// The report as JSON: everything that is needed to verify the answers elsewhere.
std::string report_json_text(const Committee& committee, const DecryptionOrder& order, const DecryptionReport& report);

}  // namespace witan::cli
