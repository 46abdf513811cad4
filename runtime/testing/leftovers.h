// What this process has open and running: for tests that nothing is left behind.
#ifndef PLAIT_RUNTIME_TESTING_LEFTOVERS_H_
#define PLAIT_RUNTIME_TESTING_LEFTOVERS_H_

namespace plait {

// How many descriptors this process has open.
int OpenDescriptors();

// How many of them are sockets. What else there is may be a reactor's, which a pool's spare thread
// opens when it likes; and where kqueue is a library's, that keeps its queues.
int OpenSockets();
// How many of them are files or directories: the same holds.
int OpenFiles();

// Whether this process has children, zombies included, but for those of a sanitizer.
bool HasChildren();

}  // namespace plait

#endif  // PLAIT_RUNTIME_TESTING_LEFTOVERS_H_
