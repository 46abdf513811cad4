#include "plait/examples/rate_limit/requests.h"

#include <algorithm>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "plait/examples/support/timing.h"
#include "plait/runtime/runtime.h"

namespace examples {
namespace {

// What the requests of one run share. All of them run on one thread, so plain variables do.
struct Service {
  Service(const Plan& p, Console& c, plait::Clock& clock) : plan(p), console(c), watch(clock) {
    if (plan.in_flight > 0) slots.emplace(plan.in_flight);
    if (plan.per_second > 0) {
      rate.emplace(static_cast<double>(plan.per_second), std::max<int64_t>(plan.burst, 1));
    }
  }

  const Plan& plan;
  Console& console;
  const Stopwatch watch;
  std::optional<plait::Semaphore> slots;
  std::optional<plait::TokenBucket> rate;
  int64_t in_flight = 0;
  Outcome outcome;
};

plait::Task<absl::Status> Request(Service& service, int64_t number) {
  // First a slot, then a token: a token that was taken is used at once.
  plait::SemaphoreGuard slot;
  if (service.slots.has_value()) slot = co_await plait::OrReturn(service.slots->Acquire());
  if (service.rate.has_value()) co_await plait::OrReturn(service.rate->Acquire());

  const absl::Duration began = service.watch.elapsed();
  service.outcome.began.push_back(began);
  ++service.in_flight;
  service.outcome.most_in_flight = std::max(service.outcome.most_in_flight, service.in_flight);
  service.console.Print(
      absl::StrFormat(" %s -> request %d, %d in flight", Stamp(began), number, service.in_flight),
      Color::kYellow);
  co_await plait::OrReturn(
      plait::Sleep(number % 3 == 0 ? 2 * service.plan.takes : service.plan.takes));
  --service.in_flight;
  service.console.Print(absl::StrFormat(" %s <- answer %d", Stamp(service.watch.elapsed()), number),
                        Color::kCyan);
  co_return absl::OkStatus();
}

plait::Task<absl::Status> RequestAll(Service& service) {
  std::vector<plait::Task<absl::Status>> requests;
  for (int64_t n = 1; n <= service.plan.requests; ++n) requests.push_back(Request(service, n));
  co_return co_await plait::Gather(std::move(requests));
}

}  // namespace

int64_t Outcome::most_in_a_second() const {
  int64_t most = 0;
  for (auto first = began.begin(); first != began.end(); ++first) {
    const auto end = std::lower_bound(first, began.end(), *first + absl::Seconds(1));
    most = std::max<int64_t>(most, end - first);
  }
  return most;
}

absl::StatusOr<Outcome> RunRequests(const Plan& plan, Console& console,
                                    const plait::RunOptions& options) {
  Service service(plan, console, options.clock == nullptr ? plait::Clock::Real() : *options.clock);
  if (absl::Status status = plait::Run(RequestAll(service), options); !status.ok()) return status;
  service.outcome.total = service.watch.elapsed();
  return service.outcome;
}

}  // namespace examples
