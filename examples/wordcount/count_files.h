// Many files counted: first one after the other, then with reading and counting at once.
//
//   one after the other   read, count, read, count, ...             on one thread
//   overlapped            read, read, read, ...     on the loop, several files at once
//                          \-> a bounded queue ->   count, count    on a pool of threads
//
// While the disk works on the next pieces, the processors count those that are there. The queue's
// bound holds the readers back when counting is what takes long, so that memory is bounded however
// large the files are.
#ifndef PLAIT_EXAMPLES_WORDCOUNT_COUNT_FILES_H_
#define PLAIT_EXAMPLES_WORDCOUNT_COUNT_FILES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "plait/examples/support/console.h"
#include "plait/examples/wordcount/words.h"
#include "plait/runtime/task/task.h"

namespace examples {

struct CountOptions {
  int64_t readers = 4;              // files that are read at once, overlapped
  int64_t counters = 2;             // threads that count, overlapped
  int64_t piece_bytes = 256 << 10;  // that are read, and counted, at a time
  // How much longer each piece takes to come: as from a slower disk, or from another machine.
  absl::Duration slow_disk;
  // Reads what the system has in memory from there, and not from the disk.
  bool keep_cache = false;
};

struct CountResult {
  WordCounts words;
  int64_t bytes = 0;
  int64_t failed = 0;  // files that could not be read
  absl::Duration took;
  // Of all readers and all counters, which may be longer than it took.
  absl::Duration reading;
  absl::Duration counting;
};

// Both print a line for each file as soon as its last word is counted, and for each that cannot be
// read. An error is that of the whole: a cancel.
plait::Task<absl::StatusOr<CountResult>> CountOneByOne(const std::vector<std::string>& paths,
                                                       const CountOptions& options,
                                                       Console& console);
plait::Task<absl::StatusOr<CountResult>> CountOverlapped(const std::vector<std::string>& paths,
                                                         const CountOptions& options,
                                                         Console& console);

}  // namespace examples

#endif  // PLAIT_EXAMPLES_WORDCOUNT_COUNT_FILES_H_
