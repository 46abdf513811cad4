// thumbnails: small images of the images in a folder, with the disk and the processors at work at
// the same time, and with decoders that nobody has to trust.
//
// Tasks on a loop read the files and write the thumbnails; other processes decode and scale. A
// file that is damaged, or out to fill the memory, is an error of that file; a decoder that crashes
// takes a process along, which costs the image that it had in hand and nothing else. Files go to
// the processes through shared memory, and as many are on their way as --at-once says.
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "plait/examples/support/console.h"
#include "plait/examples/support/flags.h"
#include "plait/examples/support/runtime_flags.h"
#include "plait/examples/support/show.h"
#include "plait/examples/thumbnails/demo_folder.h"
#include "plait/examples/thumbnails/make_thumbnails.h"
#include "plait/examples/thumbnails/thumbnail.h"
#include "plait/io/file/file.h"
#include "plait/io/signal/shutdown.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/process_pool/process_pool.h"
#include "plait/schedulers/process_pool/run_process_workers.h"
#include "plait/schedulers/run.h"

namespace {

using examples::BatchResult;
using examples::Color;
using examples::Console;
using plait::OrReturn;
using plait::Task;

struct Plan {
  examples::BatchOptions batch;
  int64_t samples = 12;
  int64_t sample_width = 1600;
};

void PrintSummary(Console& console, const BatchResult& result) {
  console.Print(
      absl::StrFormat("%d thumbnails in %.3f s; %d images failed, %d others skipped", result.made,
                      absl::ToDoubleSeconds(result.took), result.failed, result.skipped),
      Color::kBold);
  console.Print(absl::StrFormat(
      "Files were read or written for %.3f s, images scaled for %.3f s, both at once for %.3f s",
      absl::ToDoubleSeconds(result.busy.first), absl::ToDoubleSeconds(result.busy.second),
      absl::ToDoubleSeconds(result.busy.both)));
  console.Print(absl::StrFormat(
      "thumbnails images=%d made=%d failed=%d skipped=%d read=%d written=%d seconds=%.3f "
      "files=%.3f scaling=%.3f both=%.3f",
      result.made + result.failed, result.made, result.failed, result.skipped, result.bytes_read,
      result.bytes_written, absl::ToDoubleSeconds(result.took),
      absl::ToDoubleSeconds(result.busy.first), absl::ToDoubleSeconds(result.busy.second),
      absl::ToDoubleSeconds(result.busy.both)));
}

// Sets how many images failed that should not have, unless it is cancelled.
Task<absl::Status> RunPlan(plait::ProcessPool pool, Plan plan, Console& console,
                           std::optional<int64_t>& failed) {
  std::optional<plait::TemporaryDirectory> demo;
  if (plan.batch.from.empty()) {
    plait::TemporaryOptions options;
    options.prefix = "plait-thumbnails-";
    demo = co_await OrReturn(plait::MakeTemporaryDirectory(options));
    plan.batch.from = absl::StrCat(demo->path(), "/images");
    if (plan.batch.to.empty()) plan.batch.to = absl::StrCat(demo->path(), "/thumbnails");
    if (plan.batch.crash.empty()) plan.batch.crash = examples::kDemoCrash;
    console.Print(absl::StrCat("A demonstration: ", plan.samples, " images, drawn into ",
                               examples::ShowText(plan.batch.from), "; and some that are bad"),
                  Color::kBold);
    co_await OrReturn(plait::MakeDirectory(plan.batch.from));
    co_await OrReturn(
        examples::MakeDemoFolder(pool, plan.batch.from, plan.samples, plan.sample_width));
  }
  console.Print(absl::StrCat("Thumbnails in ", examples::ShowText(plan.batch.to), ": ",
                             plan.batch.at_once, " images at once, ", pool.workers(), " processes"),
                Color::kBold);
  const BatchResult result = co_await OrReturn(examples::MakeThumbnails(pool, plan.batch, console));
  if (pool.workers_replaced() > 0) {
    console.Print(
        absl::StrCat("Processes that crashed and were replaced: ", pool.workers_replaced()));
  }
  co_await OrReturn(pool.Drain());
  PrintSummary(console, result);
  if (demo.has_value()) co_await OrReturn(demo->Close());
  failed = demo.has_value() ? result.failed - examples::kDemoFailures : result.failed;
  co_return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  plait::RunProcessWorkersIfAsked(examples::ThumbnailFunctions());
  Plan plan;
  int64_t workers = plait::HardwareThreads();
  int64_t longest = plan.batch.thumbnail.longest;
  int64_t megapixels = plan.batch.thumbnail.max_pixels / 1'000'000;
  int64_t memory_mib = 1024;
  std::optional<absl::Duration> timeout;
  plait::RunOptions run;
  run.handle_sigint = false;  // RunUntilShutdownSignal does
  examples::Flags flags("thumbnails",
                        "Makes small images of the JPEGs and PNGs in a folder: tasks read and "
                        "write the files while other processes scale the images.");
  flags.Text("from", &plan.batch.from,
             "the folder of the images; not given: a demonstration, with images that the program "
             "draws, and some that are bad");
  flags.Text("to", &plan.batch.to,
             "the folder for the thumbnails, which is made; in the demonstration it need not be "
             "given");
  flags.Int("size", &longest, 1, 10'000, "the longer side of a thumbnail, in pixels");
  flags.Int("workers", &workers, 1, 256, "how many processes scale");
  flags.Int("at-once", &plan.batch.at_once, 1, 1000, "how many images are on their way at once");
  flags.Int("max-megapixels", &megapixels, 1, 2000, "an image with more is refused");
  flags.Int("memory-mib", &memory_mib, 0, 1 << 20,
            "how much memory a process may take, after which it ends; 0: no limit");
  flags.Time("timeout", &timeout,
             "how long an image may take, until its process is ended; not given: 30s");
  flags.Text("crash", &plan.batch.crash,
             "the name of an image whose decoder is to crash, to see what becomes of the others");
  flags.Int("samples", &plan.samples, 1, 10'000, "how many images the demonstration draws");
  flags.Int("sample-width", &plan.sample_width, 1, 10'000, "how wide they are, in pixels");
  examples::AddReactorFlag(flags, &run);
  examples::AddSchedulerFlag(flags, &run);
  flags.Check([&] {
    return plan.batch.from.empty() || !plan.batch.to.empty()
               ? absl::OkStatus()
               : absl::InvalidArgumentError("--from needs --to, where the thumbnails go");
  });
  if (const auto status = flags.Parse(argc, argv)) return *status;
  plan.batch.thumbnail.longest = static_cast<int32_t>(longest);
  plan.batch.thumbnail.max_pixels = megapixels * 1'000'000;
  plan.batch.timeout = timeout.value_or(plan.batch.timeout);

  Console console;
  plait::ProcessPoolOptions options;
  options.functions = examples::ThumbnailFunctions();
  options.workers = static_cast<int>(workers);
  // The decoders do not ask whether they are still wanted.
  options.cancel_grace = absl::ZeroDuration();
  options.worker.name = "thumbnails";
  options.worker.memory_limit = static_cast<uint64_t>(memory_mib) << 20;
  // What a process says last is part of the line about its image.
  options.worker.error = plait::WorkerError::kKeep;
  absl::StatusOr<plait::ProcessPool> pool = plait::ProcessPool::Create(std::move(options));
  std::optional<int64_t> failed;
  // Told to end, it still removes what the demonstration has made.
  const absl::Status ended = pool.ok() ? plait::Run(plait::RunUntilShutdownSignal(RunPlan(
                                                        *std::move(pool), plan, console, failed)),
                                                    run)
                                       : pool.status();
  if (!ended.ok()) {
    console.Print(examples::ShowText(ended.ToString()), Color::kRed);
  } else if (!failed.has_value()) {
    console.Print("Told to end before all was done.", Color::kYellow);
  }
  return failed == 0 ? 0 : 1;
}
