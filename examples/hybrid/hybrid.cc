// hybrid: coroutines for what waits, processes for what computes.
//
// A server answers a client on one thread, while a process pool grinds: the thread only hands the
// work out, so that every answer comes in time. With --where=loop the thread does the work itself,
// to see the difference.
#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "plait/examples/support/console.h"
#include "plait/examples/support/flags.h"
#include "plait/examples/support/runtime_flags.h"
#include "plait/examples/support/timing.h"
#include "plait/io/net/net.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/process_pool/process_pool.h"
#include "plait/schedulers/process_pool/run_process_workers.h"
#include "plait/schedulers/run.h"

namespace {

using plait::OrReturn;

constexpr absl::string_view kQuestion = "in time?";

// How many primes there are below `limit`, the slow way.
int64_t CountPrimes(int64_t limit) {
  int64_t count = 0;
  for (int64_t n = 2; n < limit; ++n) {
    bool prime = true;
    for (int64_t d = 2; d * d <= n && prime; ++d) prime = n % d != 0;
    count += prime ? 1 : 0;
  }
  return count;
}

plait::FunctionTable Functions() {
  plait::FunctionTable functions;
  functions.Add("count_primes", &CountPrimes);
  return functions;
}

struct Options {
  int64_t workers = 2;
  int64_t jobs = 8;
  int64_t limit = 300'000;
  std::string where = "pool";
};

struct Report {
  int64_t primes = 0;
  std::vector<absl::Duration> answers;
  absl::Duration all;
};

plait::Task<absl::Status> Echo(plait::Stream stream) {
  for (;;) {
    const std::string question = co_await OrReturn(stream.ReadExactly(kQuestion.size()));
    co_await OrReturn(stream.Write(question));
  }
}

// Asks until it is cancelled.
plait::Task<absl::Status> Ask(plait::SocketAddress server, std::vector<absl::Duration>& answers) {
  plait::Stream stream = co_await OrReturn(plait::Connect(server));
  for (;;) {
    const examples::Stopwatch watch;
    co_await OrReturn(stream.Write(kQuestion));
    co_await OrReturn(stream.ReadExactly(kQuestion.size()));
    answers.push_back(watch.elapsed());
    co_await OrReturn(plait::Sleep(absl::Milliseconds(1)));
  }
}

plait::Task<absl::StatusOr<int64_t>> Grind(plait::ProcessPool& pool, const Options& options) {
  int64_t primes = 0;
  if (options.where == "loop") {
    for (int64_t i = 0; i < options.jobs; ++i) {
      primes += CountPrimes(options.limit);
      co_await plait::Yield();
    }
    co_return primes;
  }
  const std::vector<int64_t> jobs(static_cast<size_t>(options.jobs), options.limit);
  const std::vector<int64_t> counts = co_await OrReturn(pool.Map(CountPrimes, jobs));
  for (const int64_t count : counts) primes += count;
  co_return primes;
}

plait::Task<absl::StatusOr<Report>> Main(plait::ProcessPool pool, Options options) {
  Report report;
  plait::Listener listener = co_await OrReturn(plait::Listen(plait::SocketAddress::Loopback(0)));
  const plait::SocketAddress address = listener.local_address();
  plait::JoinHandle<absl::Status> server = plait::Spawn(plait::Serve(std::move(listener), Echo));
  plait::JoinHandle<absl::Status> client = plait::Spawn(Ask(address, report.answers));
  // The first answer, so that both are there before the work begins.
  while (report.answers.empty() && !client.done()) co_await plait::Yield();
  const examples::Stopwatch watch;
  const absl::StatusOr<int64_t> primes = co_await Grind(pool, options);
  report.all = watch.elapsed();
  client.Cancel();
  server.Cancel();
  const absl::Status asked = co_await client;
  const absl::Status served = co_await server;
  if (!primes.ok()) co_return primes.status();
  if (!absl::IsCancelled(asked)) co_return asked;
  if (!served.ok() && !absl::IsCancelled(served)) co_return served;
  report.primes = *primes;
  co_await OrReturn(pool.Drain());
  co_return report;
}

}  // namespace

int main(int argc, char** argv) {
  plait::RunProcessWorkersIfAsked(Functions());
  Options options;
  plait::RunOptions run;
  examples::Flags flags("hybrid",
                        "A server answers a client on one thread, while other processes count "
                        "primes.");
  flags.Int("workers", &options.workers, 1, 256, "how many processes");
  flags.Int("jobs", &options.jobs, 1, 100'000, "how often primes are counted");
  flags.Int("limit", &options.limit, 2, 100'000'000, "below which number");
  flags.Choice("where", &options.where, {"pool", "loop"},
               "who counts: the processes, or the server's own thread");
  examples::AddReactorFlag(flags, &run);
  if (const auto status = flags.Parse(argc, argv)) return *status;

  examples::Console console;
  absl::StatusOr<plait::ProcessPool> pool = plait::ProcessPool::Create(
      {.functions = Functions(), .workers = static_cast<int>(options.workers)});
  if (!pool.ok()) {
    console.Print(pool.status().ToString(), examples::Color::kRed);
    return 1;
  }
  const absl::StatusOr<Report> report = plait::Run(Main(*std::move(pool), options), run);
  if (!report.ok()) {
    console.Print(report.status().ToString(), examples::Color::kRed);
    return 1;
  }
  std::vector<absl::Duration> answers = report->answers;
  std::sort(answers.begin(), answers.end());
  console.Print(absl::StrFormat("%d primes were found in %.3f s.", report->primes,
                                absl::ToDoubleSeconds(report->all)));
  console.Print(absl::StrFormat("hybrid where=%s jobs=%d answers=%d median_ms=%.3f slowest_ms=%.3f",
                                options.where, options.jobs, static_cast<int64_t>(answers.size()),
                                absl::ToDoubleMilliseconds(answers[answers.size() / 2]),
                                absl::ToDoubleMilliseconds(answers.back())));
  return 0;
}
