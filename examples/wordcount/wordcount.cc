// wordcount: the words of many files, with the disk and the processors at work at the same time.
//
// Reading waits for the disk, counting needs a processor. One after the other, each stands idle
// while the other works. Here tasks on one loop read the next pieces of several files (through
// io_uring, or threads where there is none) while a pool of threads counts those that have come;
// the program does both, compares the results, and says how much was gained.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "plait/examples/support/console.h"
#include "plait/examples/support/flags.h"
#include "plait/examples/support/runtime_flags.h"
#include "plait/examples/support/timing.h"
#include "plait/examples/support/until_told_to_end.h"
#include "plait/examples/wordcount/count_files.h"
#include "plait/examples/wordcount/find_files.h"
#include "plait/examples/wordcount/words.h"
#include "plait/io/file/temporary.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/run.h"

namespace {

using examples::Color;
using examples::Console;
using examples::CountResult;
using plait::OrReturn;
using plait::Task;

struct Plan {
  std::vector<std::string> paths;
  int64_t demo_files = 8;
  int64_t demo_kib = 1024;
  int64_t top = 5;
  examples::CountOptions count;
};

void PrintParts(Console& console, const CountResult& result) {
  console.Print(absl::StrFormat(" %s in all; reading %s, counting %s", examples::Stamp(result.took),
                                examples::Stamp(result.reading), examples::Stamp(result.counting)),
                Color::kDim);
}

void PrintTop(Console& console, const CountResult& result, int64_t n) {
  if (n == 0) return;
  console.Print("The most frequent", Color::kBold);
  for (const auto& [word, times] : result.words.Top(static_cast<size_t>(n))) {
    console.Print(absl::StrFormat(" %9d %s", times, word));
  }
}

// How many files could not be read.
Task<absl::StatusOr<int64_t>> CountWords(Console& console, Plan plan) {
  std::optional<plait::TemporaryDirectory> demo;
  if (plan.paths.empty()) {
    demo = co_await OrReturn(examples::MakeDemoFiles(plan.demo_files, plan.demo_kib * 1024));
    plan.paths = {demo->path()};
    console.Print(absl::StrCat("A demonstration, with files of our own in ", demo->path()),
                  Color::kBold);
  }
  const std::vector<std::string> files = co_await OrReturn(examples::FindFiles(plan.paths));

  console.Print("One after the other: read, count, read, count, ...", Color::kBold);
  const CountResult one_by_one =
      co_await OrReturn(examples::CountOneByOne(files, plan.count, console));
  PrintParts(console, one_by_one);

  console.Print(absl::StrCat("Overlapped: ", plan.count.readers, " readers, ", plan.count.counters,
                             " counters"),
                Color::kBold);
  const CountResult overlapped =
      co_await OrReturn(examples::CountOverlapped(files, plan.count, console));
  PrintParts(console, overlapped);

  if (!(overlapped.words == one_by_one.words)) {
    co_return absl::DataLossError("the two counts differ: did somebody write to the files?");
  }
  PrintTop(console, overlapped, plan.top);
  const double gain =
      absl::FDivDuration(one_by_one.took, std::max(overlapped.took, absl::Microseconds(1)));
  console.Print(absl::StrFormat(
      "wordcount files=%d failed=%d bytes=%d words=%d distinct=%d one_by_one=%.3f overlapped=%.3f "
      "gain=%.2f",
      files.size(), overlapped.failed, overlapped.bytes, overlapped.words.total(),
      overlapped.words.distinct(), absl::ToDoubleSeconds(one_by_one.took),
      absl::ToDoubleSeconds(overlapped.took), gain));
  if (demo.has_value()) co_await OrReturn(demo->Close());
  co_return overlapped.failed;
}

}  // namespace

int main(int argc, char** argv) {
  Plan plan;
  std::string paths;
  std::optional<absl::Duration> slow_disk;
  int64_t piece_kib = 256;
  plan.count.counters = plait::HardwareThreads();
  plait::RunOptions options;
  options.handle_sigint = false;  // UntilToldToEnd does, so that the demonstration's files go
  examples::Flags flags("wordcount",
                        "Counts the words of many files, first reading and counting one after the "
                        "other, then both at once, and says how much that gained.");
  flags.Text("paths", &paths,
             "files and directories, with commas between; not given: a demonstration, with files "
             "that the program makes, and a disk that is slow");
  flags.Int("demo-files", &plan.demo_files, 1, 100, "how many files the demonstration makes");
  flags.Int("demo-kib", &plan.demo_kib, 1, 1 << 20, "how large each of them is, in KiB");
  flags.Int("readers", &plan.count.readers, 1, 1000, "how many files are read at once");
  flags.Int("counters", &plan.count.counters, 1, 1000, "how many threads count");
  flags.Int("piece-kib", &piece_kib, 1, 1 << 20, "how much is read, and counted, at a time");
  flags.Time("slow-disk", &slow_disk,
             "how much longer each piece takes to come, as from a slower disk; not given: 0, or "
             "2ms in the demonstration");
  flags.Bool("keep-cache", &plan.count.keep_cache,
             "reads from memory what the system has there already, and not from the disk again");
  flags.Int("top", &plan.top, 0, 1'000'000, "how many of the most frequent words are shown");
  examples::AddReactorFlag(flags, &options);
  if (const auto status = flags.Parse(argc, argv)) return *status;
  plan.paths = absl::StrSplit(paths, ',', absl::SkipEmpty());
  plan.count.piece_bytes = piece_kib * 1024;
  plan.count.slow_disk =
      slow_disk.value_or(plan.paths.empty() ? absl::Milliseconds(2) : absl::ZeroDuration());

  Console console;
  const absl::StatusOr<int64_t> failed =
      plait::Run(examples::UntilToldToEnd(CountWords(console, plan)), options);
  if (!failed.ok()) console.Print(failed.status().ToString(), Color::kRed);
  return failed.ok() && *failed == 0 ? 0 : 1;
}
