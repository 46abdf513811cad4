// What tests of worker processes start and wait for: workers that do what a line of text says.
// Test-only.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_WORKER_FIXTURE_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_WORKER_FIXTURE_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "plait/schedulers/process_pool/worker_exit.h"
#include "plait/schedulers/process_pool/worker_options.h"
#include "plait/schedulers/process_pool/worker_process.h"
#include "plait/schedulers/process_pool/zygote.h"

namespace plait::internal {

// A WorkerBody: reads its commands, one a line, from its first descriptor, and does them:
//   exit N, _exit N, abort, raise N, segv; print TEXT, error TEXT, errors N (that many bytes);
//   sleep (for ever), spin (for ever), tell (writes a line to its second descriptor), hog (takes
//   memory until it gets no more), child (starts one that sleeps for ever, and has the
//   descriptors), describe (prints what it is like to its second descriptor).
int DoAsTold(absl::Span<const int> descriptors);

// With two descriptors: its commands, and `answers` (-1: nothing).
std::unique_ptr<WorkerProcess> StartWorker(Zygote& zygote, absl::string_view commands,
                                           int answers = -1, const WorkerOptions& options = {});

// Blocks; CHECKs that it takes no more than 20 seconds.
WorkerExit WaitForExit(WorkerProcess& worker);
int WaitForPid(WorkerProcess& worker);

// Starts one and waits for its end.
WorkerExit RunWorker(Zygote& zygote, absl::string_view commands, const WorkerOptions& options = {});

// A pipe. The other side closes its end by Close, or by dying.
struct AnswerPipe {
  AnswerPipe();
  AnswerPipe(const AnswerPipe&) = delete;
  AnswerPipe& operator=(const AnswerPipe&) = delete;
  ~AnswerPipe();
  void CloseWriter();
  // Blocks for a line. Empty at the end.
  std::string ReadLine();
  // Blocks until nobody can write any more; false where that takes more than `timeout_ms`.
  bool WaitForEnd(int timeout_ms);

  int reader = -1;
  int writer = -1;
};

// Processes that may be anybody's, seen to end.
class WatchedProcesses {
 public:
  // Their numbers, with a space between.
  explicit WatchedProcesses(absl::string_view pids);
  WatchedProcesses(const WatchedProcesses&) = delete;
  WatchedProcesses& operator=(const WatchedProcesses&) = delete;
  ~WatchedProcesses();
  // How many of them there are.
  size_t size() const { return opened_.size(); }
  // Blocks until all have ended; false where that takes more than 20 seconds.
  bool WaitForEnds();

 private:
  std::vector<int> opened_;
};

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_WORKER_FIXTURE_H_
