// What the system calls about processes are given and give.
#ifndef PLAIT_IO_SYSTEM_PROCESS_CALLS_H_
#define PLAIT_IO_SYSTEM_PROCESS_CALLS_H_

namespace plait::sys {

// A process to start. Its signals are at their defaults, and none is blocked.
struct SpawnRequest {
  const char* path = nullptr;          // searched for in PATH where it has no slash
  char* const* arguments = nullptr;    // ends with null
  char* const* environment = nullptr;  // ends with null
  int directory = -1;                  // a descriptor; -1: the parent's own
  // Descriptor n of the child is a copy of descriptors[n], or the parent's own n where that is -1;
  // each is at least `descriptor_count`. The child has no others.
  const int* descriptors = nullptr;
  int descriptor_count = 0;
  bool new_group = false;
  bool new_session = false;
};

// How a process ended.
struct ProcessExit {
  int code = 0;    // what it gave to exit, where no signal ended it
  int signal = 0;  // which ended it; 0: none
  bool core_dumped = false;
};

}  // namespace plait::sys

#endif  // PLAIT_IO_SYSTEM_PROCESS_CALLS_H_
