// pipeline: photographs are read, shrunk and saved by three stages that work at the same time, with
// a bounded queue between each two.
//
// The slowest stage sets the pace; the queues before it fill up and hold the faster stages back, so
// that memory stays small however many photographs there are. More tasks for the slowest stage make
// it all faster: try --shrinkers=3.
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "plait/examples/pipeline/cascade.h"
#include "plait/examples/support/console.h"
#include "plait/examples/support/flags.h"
#include "plait/examples/support/runtime_flags.h"

int main(int argc, char** argv) {
  examples::Plan plan;
  int64_t capacity = 2;
  int64_t shrinkers = 1;
  std::optional<absl::Duration> pace;
  plait::RunOptions options;
  examples::Flags flags("pipeline",
                        "Photographs are read, shrunk and saved by stages that work at the same "
                        "time, with a bounded queue between each two.");
  flags.Int("photos", &plan.photos, 0, 100'000, "how many photographs there are");
  flags.Int("capacity", &capacity, 1, 100'000, "how many each queue holds");
  flags.Int("shrinkers", &shrinkers, 1, 1000, "how many tasks shrink, which takes longest");
  flags.Int("broken", &plan.broken, 0, 100'000,
            "the number of a photograph that cannot be shrunk; 0 for none");
  flags.Time("pace", &pace,
             "how long reading takes (default 20ms); shrinking takes three times, "
             "saving twice as long");
  examples::AddReactorFlag(flags, &options);
  if (const auto status = flags.Parse(argc, argv)) return *status;

  const absl::Duration unit = pace.value_or(absl::Milliseconds(20));
  plan.capacity = static_cast<size_t>(capacity);
  plan.stages = {{"read", unit}, {"shrink", 3 * unit, shrinkers}, {"save", 2 * unit}};
  examples::Console console;
  const absl::StatusOr<examples::Outcome> outcome = examples::RunCascade(plan, console, options);
  console.Print();
  if (!outcome.ok()) {
    console.Print(absl::StrFormat("Every stage was stopped: %s", outcome.status().ToString()),
                  examples::Color::kRed);
    return 1;
  }
  int64_t pushed_back = 0;
  for (const int64_t times : outcome->pushed_back) pushed_back += times;
  console.Print(absl::StrFormat(
      "pipeline photos=%d shrinkers=%d seconds=%.3f one_after_the_other=%.3f pushed_back=%d",
      plan.photos, shrinkers, absl::ToDoubleSeconds(outcome->total),
      absl::ToDoubleSeconds(examples::OneAfterTheOther(plan)), pushed_back));
  return 0;
}
