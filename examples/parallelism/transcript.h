// Transcript: tells when each task starts and finishes, in the words of the articles, and keeps the
// times.
//
//   0:00:00.000010: Start work for number=0
//   0:00:02.005169: Finished work for number=0
//   Finished program after 0:00:10.016634
//
// Threads: any, at once.
#ifndef PLAIT_EXAMPLES_PARALLELISM_TRANSCRIPT_H_
#define PLAIT_EXAMPLES_PARALLELISM_TRANSCRIPT_H_

#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "plait/examples/support/console.h"
#include "plait/examples/support/timing.h"
#include "plait/runtime/core/environment.h"

namespace examples {

class Transcript {
 public:
  // The time runs from here. `title` stands before the progress.
  Transcript(Console& console, std::string title, int tasks, plait::Clock& clock);

  void Start(int number);
  void Finish(int number);
  // The task will not finish; `why` completes the sentence "number=3 ...".
  void Fail(int number, absl::string_view why);
  // Anything else that is worth telling.
  void Note(absl::string_view text);
  // Says how long it all took, and stops the time.
  void End();

  absl::Duration total() const { return total_; }
  int failed() const { return failed_; }
  // The sum of the times from start to finish.
  absl::Duration sum_of_tasks() const;
  // A line a task: when it was under way, from the beginning to the end of the whole.
  std::vector<std::string> Timeline(int columns) const;

  // While one of these lives a terminal shows how far the work is, on a thread of its own: make it
  // after the last fork.
  class Progress {
   public:
    explicit Progress(Transcript& transcript);
    ~Progress();

   private:
    Transcript& transcript_;
    std::mutex mutex_;
    std::condition_variable ending_;
    bool ended_ = false;
    plait::Thread thread_;
  };

 private:
  struct Span {
    absl::Duration start = absl::InfiniteDuration();
    absl::Duration finish = absl::InfiniteDuration();
  };

  void Tell(absl::string_view what, int number, absl::Duration Span::* when);
  std::string ProgressText();

  Console& console_;
  const std::string title_;
  const Stopwatch watch_;
  mutable std::mutex mutex_;
  std::vector<Span> spans_;
  int finished_ = 0;
  int failed_ = 0;
  absl::Duration total_;
};

}  // namespace examples

#endif  // PLAIT_EXAMPLES_PARALLELISM_TRANSCRIPT_H_
