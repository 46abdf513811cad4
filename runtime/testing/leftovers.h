// What this process has open and running: for tests that nothing is left behind.
#ifndef PLAIT_RUNTIME_TESTING_LEFTOVERS_H_
#define PLAIT_RUNTIME_TESTING_LEFTOVERS_H_

namespace plait {

// How many descriptors this process has open.
int OpenDescriptors();

// Whether this process has children, zombies included, but for those of a sanitizer.
bool HasChildren();

}  // namespace plait

#endif  // PLAIT_RUNTIME_TESTING_LEFTOVERS_H_
