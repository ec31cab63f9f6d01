// Names of threads, as debuggers and `top -H` show them.
#pragma once

#include <pthread.h>

#include <string>

namespace witan {

/// The system keeps the first 15 characters.
inline void name_this_thread(const std::string& name) {
  pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
}

}  // namespace witan
