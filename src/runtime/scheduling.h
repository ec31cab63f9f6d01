// How Linux schedules the threads of this process among each other.
#pragma once

namespace witan::runtime {

/// Under load: a thread that is woken waits until the processor is free, or for its share of it, instead of interrupting another
/// (SCHED_BATCH); it then finds more to do at once. Otherwise it runs at once (SCHED_OTHER). All threads of the process, whatever
/// their niceness. Needs no privilege. A failure is logged once.
void let_threads_finish(bool under_load);

}  // namespace witan::runtime
