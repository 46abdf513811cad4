// producer_consumer: what happens to the items between a producer and a consumer.
//
// Synchronously the consumer has to wait until everything has been made. Side by side it processes
// an item as soon as it is there. Too many producers then make the queue grow, unless it is bounded
// and pushes back.
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "plait/examples/producer_consumer/pipeline.h"
#include "plait/examples/support/console.h"
#include "plait/examples/support/flags.h"
#include "plait/examples/support/runtime_flags.h"

namespace {

using examples::Outcome;
using examples::Plan;

struct Mode {
  std::string name;
  std::string title;
  Plan plan;
};

double Seconds(absl::Duration duration) { return absl::ToDoubleSeconds(duration); }

}  // namespace

int main(int argc, char** argv) {
  std::string mode = "all";
  int64_t items = 0;
  int64_t capacity = 2;
  int64_t seed = 1;
  bool article = false;
  std::optional<absl::Duration> pace;
  plait::RunOptions options;
  examples::Flags flags(
      "producer_consumer",
      "Producers make items and a consumer processes them: one after the other, side by side,\n"
      "with two producers, and with a queue that is bounded.");
  flags.Choice("mode", &mode, {"sync", "async", "two_producers", "bounded", "all"},
               "which of them to run");
  flags.Int("items", &items, 0, 100'000,
            "how many items a producer makes; 0: 8, or 20 with --article");
  flags.Time("pace", &pace,
             "a producer's mean rest, and twice what the consumer takes; not given: 100ms, or 1s "
             "with --article");
  flags.Int("capacity", &capacity, 1, 1'000'000, "how many items the bounded queue holds");
  flags.Int("seed", &seed, 0, 1'000'000'000, "where the random rests begin");
  flags.Bool("article", &article, "the articles' sizes; takes a minute and a half");
  examples::AddReactorFlag(flags, &options);
  if (const auto status = flags.Parse(argc, argv)) return *status;

  Plan one;
  one.items = items > 0 ? items : article ? 20 : 8;
  one.pace = pace.value_or(article ? absl::Seconds(1) : absl::Milliseconds(100));
  one.seed = static_cast<uint64_t>(seed);
  Plan two = one;
  two.producers = 2;
  // More than the consumer can keep up with.
  Plan bounded = one;
  bounded.producers = 4;
  bounded.items = (one.items + 1) / 2;
  bounded.capacity = static_cast<size_t>(capacity);
  const std::vector<Mode> modes = {
      {"sync", "Synchronous: the consumer begins when the producer is done", one},
      {"async", "Asynchronous: producer and consumer side by side", one},
      {"two_producers", "Asynchronous, two producers: the consumer is never idle", two},
      {"bounded",
       absl::StrFormat("Asynchronous, four producers, a queue of %d: it pushes back", capacity),
       bounded},
  };

  examples::Console console;
  std::vector<std::string> table;
  std::vector<std::string> measurements;
  for (const Mode& m : modes) {
    if (mode != "all" && mode != m.name) continue;
    console.Print(m.title, examples::Color::kBold);
    const absl::StatusOr<Outcome> outcome =
        m.name == "sync" ? absl::StatusOr<Outcome>(examples::RunSynchronously(m.plan, console))
                         : examples::RunAsynchronously(m.plan, console, options);
    console.Print();
    if (!outcome.ok()) {
      console.Print(outcome.status().ToString(), examples::Color::kRed);
      return 1;
    }
    const size_t count = outcome->delays.size();
    table.push_back(absl::StrFormat("| %-13s | %5d | %7.2f | %10.2f | %13.2f | %13d | %11d |",
                                    m.name, count, Seconds(outcome->total),
                                    Seconds(outcome->mean_delay()), Seconds(outcome->max_delay()),
                                    outcome->longest_queue, outcome->pushed_back));
    measurements.push_back(absl::StrFormat(
        "producer_consumer mode=%s producers=%d items=%d seconds=%.3f mean_delay=%.3f "
        "max_delay=%.3f longest_queue=%d pushed_back=%d",
        m.name, m.plan.producers, count, Seconds(outcome->total), Seconds(outcome->mean_delay()),
        Seconds(outcome->max_delay()), outcome->longest_queue, outcome->pushed_back));
  }

  console.Print(
      "| seconds       | items |   total | mean delay | longest delay | longest queue | pushed "
      "back |",
      examples::Color::kBold);
  console.Print(
      "|:--------------|------:|--------:|-----------:|--------------:|--------------:|------------"
      ":|");
  for (const std::string& line : table) console.Print(line);
  console.Print();
  for (const std::string& line : measurements) console.Print(line);
  return 0;
}
