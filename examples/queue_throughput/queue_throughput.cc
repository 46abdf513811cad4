// queue_throughput: how fast are tasks switched and items handed over?
//
// Producers put numbers into a queue, one consumer gets them, and each of them lets the others run
// after every single item. With the defaults that is 500,000 items and 1,000,000 yields.
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "plait/examples/support/console.h"
#include "plait/examples/support/flags.h"
#include "plait/examples/support/runtime_flags.h"
#include "plait/examples/support/timing.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/run.h"

namespace {

using NumberQueue = plait::Queue<uint64_t>;

plait::Task<absl::Status> Produce(NumberQueue& queue, int64_t items) {
  for (int64_t n = 1; n <= items; ++n) {
    co_await plait::OrReturn(queue.Put(static_cast<uint64_t>(n * n)));
    co_await plait::Yield();
  }
  co_return absl::OkStatus();
}

plait::Task<absl::Status> Consume(NumberQueue& queue, int64_t items, uint64_t* sum) {
  for (int64_t n = 0; n < items; ++n) {
    *sum += co_await plait::OrReturn(queue.Get());
    co_await plait::Yield();
  }
  co_return absl::OkStatus();
}

// Shares `items` out among the producers and gives the sum of all that the consumer got.
plait::Task<absl::StatusOr<uint64_t>> Main(int64_t items, int64_t producers, size_t capacity) {
  NumberQueue queue(capacity);
  uint64_t sum = 0;
  const auto start_all = [&](plait::TaskGroup& group) -> plait::Task<absl::Status> {
    for (int64_t p = 0; p < producers; ++p) {
      group.Spawn(Produce(queue, items / producers + (p < items % producers ? 1 : 0)));
    }
    group.Spawn(Consume(queue, items, &sum));
    co_return absl::OkStatus();
  };
  co_await plait::OrReturn(plait::WithTaskGroup(start_all));
  co_return sum;
}

}  // namespace

int main(int argc, char** argv) {
  int64_t items = 500000;
  int64_t producers = 2;
  int64_t capacity = 0;
  plait::RunOptions options;
  examples::Flags flags(
      "queue_throughput",
      "Producers put items into a queue and one consumer gets them; everyone yields after each.");
  flags.Int("items", &items, 0, 1'000'000'000, "how many items go through the queue, all in all");
  flags.Int("producers", &producers, 1, 100'000, "how many tasks put them in");
  flags.Int("capacity", &capacity, 0, 1'000'000'000,
            "how many items the queue holds before producers wait; 0: any number");
  examples::AddReactorFlag(flags, &options);
  examples::AddSchedulerFlag(flags, &options);
  if (const auto status = flags.Parse(argc, argv)) return *status;

  examples::Console console;
  console.Print(absl::StrFormat("%d items from %d producers to 1 consumer, %d yields.", items,
                                producers, 2 * items));

  const examples::Stopwatch watch;
  const absl::StatusOr<uint64_t> sum =
      plait::Run(Main(items, producers,
                      capacity == 0 ? NumberQueue::kUnbounded : static_cast<size_t>(capacity)),
                 options);
  const double seconds = absl::ToDoubleSeconds(watch.elapsed());

  if (!sum.ok()) {
    console.Print(sum.status().ToString(), examples::Color::kRed);
    return 1;
  }
  console.Print(absl::StrFormat("The squares that came through add up to %d.", *sum));
  if (items > 0) {
    console.Print(absl::StrFormat("%.1f ns an item.", seconds * 1e9 / static_cast<double>(items)));
  }
  console.Print(absl::StrFormat("queue_throughput items=%d seconds=%.3f reactor=%s scheduler=%s",
                                items, seconds, examples::ReactorName(options),
                                examples::SchedulerName(options)));
  return 0;
}
