// Counts what this program allocates: linking this replaces the global operator new.
#ifndef PLAIT_RUNTIME_TESTING_ALLOCATIONS_H_
#define PLAIT_RUNTIME_TESTING_ALLOCATIONS_H_

#include <cstdint>

namespace plait {

// Calls of operator new so far, on all threads, and new blocks for frames.
int64_t AllocationCount() noexcept;

// Whether coroutine frames come from the pool here. Under sanitizers each is an allocation, so a
// test expects as many as it makes frames, and none elsewhere.
bool FramesArePooled();

}  // namespace plait

#endif  // PLAIT_RUNTIME_TESTING_ALLOCATIONS_H_
