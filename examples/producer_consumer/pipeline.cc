#include "plait/examples/producer_consumer/pipeline.h"

#include <algorithm>
#include <random>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "plait/examples/support/timing.h"

namespace examples {
namespace {

struct Item {
  int64_t value;
  absl::Duration made;  // when, by the run's stopwatch
};

// What the parts of one run share.
struct Workshop {
  Workshop(const Plan& p, Console& c, plait::Clock& clock) : plan(p), console(c), watch(clock) {}

  Item Make(int64_t number) {
    console.Print(absl::StrFormat(" -- generated item %d", number), Color::kYellow);
    return {number * number, watch.elapsed()};
  }

  void Process(const Item& item) {
    outcome.delays.push_back(watch.elapsed() - item.made);
    console.Print(absl::StrFormat(" +++ Processed value %d after %.2f sec.", item.value,
                                  absl::ToDoubleSeconds(outcome.delays.back())),
                  Color::kCyan);
  }

  void NoteQueueSize(size_t size) { outcome.longest_queue = std::max(outcome.longest_queue, size); }

  Outcome Close() {
    outcome.total = watch.elapsed();
    console.Print(absl::StrFormat("App exiting, total time: %.2f sec.",
                                  absl::ToDoubleSeconds(outcome.total)));
    return outcome;
  }

  const Plan& plan;
  Console& console;
  const Stopwatch watch;
  Outcome outcome;
};

// How long a producer rests after each item: the same for each seed, so that runs can be compared.
class Rests {
 public:
  Rests(const Plan& plan, int64_t producer)
      : pace_(plan.pace), random_(plan.seed + static_cast<uint64_t>(producer)) {}

  absl::Duration Next() {
    const double random = static_cast<double>(random_() >> 11) * 0x1p-53;  // from 0 to 1
    return pace_ * (random + 0.5);
  }

 private:
  const absl::Duration pace_;
  std::mt19937_64 random_;
};

absl::Duration ProcessingTime(const Plan& plan) { return plan.pace / 2; }

plait::Task<absl::Status> Produce(Workshop& shop, plait::Queue<Item>& queue, int64_t producer) {
  Rests rests(shop.plan, producer);
  for (int64_t number = 1; number <= shop.plan.items; ++number) {
    const Item item = shop.Make(number);
    if (queue.full()) {
      ++shop.outcome.pushed_back;
      shop.console.Print(" .. the queue is full, the producer waits", Color::kDim);
    }
    co_await plait::OrReturn(queue.Put(item));
    shop.NoteQueueSize(queue.size());
    co_await plait::OrReturn(plait::Sleep(rests.Next()));
  }
  co_return absl::OkStatus();
}

plait::Task<absl::Status> Consume(Workshop& shop, plait::Queue<Item>& queue) {
  const int64_t all = shop.plan.producers * shop.plan.items;
  for (int64_t processed = 0; processed < all; ++processed) {
    const Item item = co_await plait::OrReturn(queue.Get());
    shop.Process(item);
    co_await plait::OrReturn(plait::Sleep(ProcessingTime(shop.plan)));
  }
  co_return absl::OkStatus();
}

plait::Task<absl::Status> ProduceAndConsume(Workshop& shop) {
  plait::Queue<Item> queue(shop.plan.capacity);
  std::vector<plait::Task<absl::Status>> tasks;
  for (int64_t n = 0; n < shop.plan.producers; ++n) tasks.push_back(Produce(shop, queue, n));
  tasks.push_back(Consume(shop, queue));
  co_return co_await plait::Gather(std::move(tasks));
}

}  // namespace

absl::Duration Outcome::mean_delay() const {
  absl::Duration sum;
  for (const absl::Duration delay : delays) sum += delay;
  return delays.empty() ? sum : sum / static_cast<double>(delays.size());
}

absl::Duration Outcome::max_delay() const {
  return delays.empty() ? absl::ZeroDuration() : *std::max_element(delays.begin(), delays.end());
}

Outcome RunSynchronously(const Plan& plan, Console& console, plait::Clock& clock) {
  Workshop shop(plan, console, clock);
  std::vector<Item> data;
  for (int64_t producer = 0; producer < plan.producers; ++producer) {
    Rests rests(plan, producer);
    for (int64_t number = 1; number <= plan.items; ++number) {
      data.push_back(shop.Make(number));
      BlockFor(rests.Next(), clock);
    }
  }
  shop.NoteQueueSize(data.size());
  for (const Item& item : data) {
    shop.Process(item);
    BlockFor(ProcessingTime(plan), clock);
  }
  return shop.Close();
}

absl::StatusOr<Outcome> RunAsynchronously(const Plan& plan, Console& console,
                                          const plait::RunOptions& options) {
  Workshop shop(plan, console, options.clock == nullptr ? plait::Clock::Real() : *options.clock);
  if (absl::Status status = plait::Run(ProduceAndConsume(shop), options); !status.ok()) {
    return status;
  }
  return shop.Close();
}

}  // namespace examples
