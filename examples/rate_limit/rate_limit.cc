// rate_limit: twenty requests to a service that does not want too many at once, nor a second.
//
// Without a limit all of them go out at the same moment. A Semaphore bounds how many are in flight;
// a TokenBucket bounds how many begin a second; together they do both.
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "plait/examples/rate_limit/requests.h"
#include "plait/examples/support/console.h"
#include "plait/examples/support/flags.h"
#include "plait/examples/support/runtime_flags.h"

namespace {

using examples::Color;
using examples::Outcome;
using examples::Plan;

struct Mode {
  std::string name;
  std::string title;
  Plan plan;
};

std::vector<Mode> Modes(const Plan& both) {
  Plan none = both;
  none.in_flight = none.per_second = 0;
  Plan concurrency = none;
  concurrency.in_flight = both.in_flight;
  Plan rate = none;
  rate.per_second = both.per_second;
  return {
      {"none", "No limit: everything at once", none},
      {"concurrency", absl::StrFormat("At most %d in flight", both.in_flight), concurrency},
      {"rate", absl::StrFormat("At most %d a second, %d at once", both.per_second, both.burst),
       rate},
      {"both",
       absl::StrFormat("At most %d in flight and %d a second", both.in_flight, both.per_second),
       both},
  };
}

}  // namespace

int main(int argc, char** argv) {
  std::string mode = "all";
  Plan plan;
  plan.in_flight = 4;
  plan.per_second = 10;
  plan.burst = 3;
  std::optional<absl::Duration> takes;
  plait::RunOptions options;
  examples::Flags flags(
      "rate_limit",
      "Many requests to a service that does not want too many: without a limit, "
      "with one on\nhow many are in flight, on how many begin a second, and both.");
  flags.Choice("mode", &mode, {"none", "concurrency", "rate", "both", "all"}, "which limits hold");
  flags.Int("requests", &plan.requests, 0, 100'000, "how many requests there are");
  flags.Int("in_flight", &plan.in_flight, 1, 100'000, "how many may be in flight");
  flags.Int("per_second", &plan.per_second, 1, 1'000'000'000, "how many may begin a second");
  flags.Int("burst", &plan.burst, 1, 100'000, "how many may begin at once after a rest");
  flags.Time("takes", &takes, "how long a request takes, every third twice that; not given: 300ms");
  examples::AddReactorFlag(flags, &options);
  if (const auto status = flags.Parse(argc, argv)) return *status;
  if (takes.has_value()) plan.takes = *takes;

  examples::Console console;
  std::vector<std::string> measurements;
  for (const Mode& m : Modes(plan)) {
    if (mode != "all" && mode != m.name) continue;
    console.Print(m.title, Color::kBold);
    const absl::StatusOr<Outcome> outcome = examples::RunRequests(m.plan, console, options);
    console.Print();
    if (!outcome.ok()) {
      console.Print(outcome.status().ToString(), Color::kRed);
      return 1;
    }
    measurements.push_back(absl::StrFormat(
        "rate_limit mode=%s requests=%d seconds=%.3f most_in_flight=%d most_in_a_second=%d", m.name,
        outcome->began.size(), absl::ToDoubleSeconds(outcome->total), outcome->most_in_flight,
        outcome->most_in_a_second()));
  }
  for (const std::string& line : measurements) console.Print(line);
  return 0;
}
