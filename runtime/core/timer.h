// Timer: a WorkItem that becomes ready at a deadline. Embedded in what waits; see
// runtime/time/timer_queue.h.
#ifndef PLAIT_RUNTIME_CORE_TIMER_H_
#define PLAIT_RUNTIME_CORE_TIMER_H_

#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/work_item.h"

namespace plait {

struct Timer : WorkItem {
  using WorkItem::WorkItem;

  Deadline deadline;
  // Links of the queue that holds it; null when none does.
  Timer* previous = nullptr;

  bool armed() const { return previous != nullptr; }
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_CORE_TIMER_H_
