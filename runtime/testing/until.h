// Until: blocks the thread of a test until something that other threads do has happened. Without a
// limit of its own: where it never happens the test runs into its time, and the stacks say where.
#ifndef PLAIT_RUNTIME_TESTING_UNTIL_H_
#define PLAIT_RUNTIME_TESTING_UNTIL_H_

#include <concepts>

#include "plait/runtime/core/spin_lock.h"

namespace plait {

// Asks `condition` again and again, and lets others have the processor in between.
template <std::predicate Condition>
void Until(Condition condition) {
  for (int round = 0; !condition(); ++round) internal::SpinWait(round);
}

}  // namespace plait

#endif  // PLAIT_RUNTIME_TESTING_UNTIL_H_
