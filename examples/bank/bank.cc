// bank: tellers on several threads move money between the same accounts. Is it all still there?
//
// Unsafe, each reads two balances, thinks, and writes them back: what another teller wrote
// meanwhile is lost. That is a data race, here to be looked at, and it runs only when it is asked
// for. The others keep every coin, in three ways: one lock for the whole bank, a lock an account,
// taken in the order of the accounts' numbers, or a strand that makes one transfer at a time
// without a lock.
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "plait/examples/support/console.h"
#include "plait/examples/support/flags.h"
#include "plait/examples/support/runtime_flags.h"
#include "plait/examples/support/timing.h"
#include "plait/runtime/runtime.h"
#include "plait/schedulers/run.h"
#include "plait/schedulers/thread_pool/thread_pool.h"

namespace {

using examples::Color;

struct Plan {
  int64_t threads = 2;
  int64_t accounts = 8;
  int64_t tellers = 8;
  int64_t transfers = 10'000;  // of each teller
  int64_t seed = 1;
};

constexpr int64_t kOpening = 1'000;  // in each account

struct Transfer {
  size_t from;
  size_t to;
  int64_t amount;
};

// What takes a while between the look at a balance and the new one.
[[gnu::noinline]] void Think() {
  volatile int thoughts = 0;
  while (thoughts < 300) {
    const int next = thoughts + 1;
    thoughts = next;
  }
}

class Bank {
 public:
  explicit Bank(int64_t accounts) : balances_(static_cast<size_t>(accounts), kOpening) {}
  virtual ~Bank() = default;

  virtual plait::Task<absl::Status> Make(Transfer transfer) = 0;

  int64_t total() const {
    int64_t sum = 0;
    for (const int64_t balance : balances_) sum += balance;
    return sum;
  }

 protected:
  // Who calls this has to see to it that nobody else touches the two accounts.
  void Move(const Transfer& transfer) {
    const int64_t from = balances_[transfer.from];
    const int64_t to = balances_[transfer.to];
    Think();
    if (from < transfer.amount) return;  // refused: the account is not covered
    balances_[transfer.from] = from - transfer.amount;
    balances_[transfer.to] = to + transfer.amount;
  }

 private:
  std::vector<int64_t> balances_;
};

class UnsafeBank : public Bank {
 public:
  explicit UnsafeBank(int64_t accounts) : Bank(accounts) {}
  plait::Task<absl::Status> Make(Transfer transfer) override {
    Move(transfer);
    co_return absl::OkStatus();
  }
};

class CoarseBank : public Bank {
 public:
  explicit CoarseBank(int64_t accounts) : Bank(accounts) {}
  plait::Task<absl::Status> Make(Transfer transfer) override {
    const plait::MutexGuard guard = co_await plait::OrReturn(mutex_.Lock());
    Move(transfer);
    co_return absl::OkStatus();
  }

 private:
  plait::Mutex mutex_;
};

class FineBank : public Bank {
 public:
  explicit FineBank(int64_t accounts)
      : Bank(accounts), mutexes_(std::make_unique<plait::Mutex[]>(static_cast<size_t>(accounts))) {}
  plait::Task<absl::Status> Make(Transfer transfer) override {
    // The lower number first, always: two that want the same two accounts cannot hold one each and
    // wait for the other.
    plait::Mutex& low = mutexes_[std::min(transfer.from, transfer.to)];
    plait::Mutex& high = mutexes_[std::max(transfer.from, transfer.to)];
    const plait::MutexGuard first = co_await plait::OrReturn(low.Lock());
    const plait::MutexGuard second = co_await plait::OrReturn(high.Lock());
    Move(transfer);
    co_return absl::OkStatus();
  }

 private:
  std::unique_ptr<plait::Mutex[]> mutexes_;
};

class StrandBank : public Bank {
 public:
  StrandBank(int64_t accounts, plait::Executor& pool) : Bank(accounts), strand_(pool) {}
  plait::Task<absl::Status> Make(Transfer transfer) override {
    // The transfer is a task of the strand's, and no two of those run at the same time.
    co_return co_await plait::Spawn(MakeOnStrand(transfer), {.executor = &strand_});
  }

 private:
  plait::Task<absl::Status> MakeOnStrand(Transfer transfer) {
    Move(transfer);
    co_return absl::OkStatus();
  }

  plait::Strand strand_;
};

std::unique_ptr<Bank> Open(const std::string& mode, int64_t accounts, plait::Executor& pool) {
  if (mode == "unsafe") return std::make_unique<UnsafeBank>(accounts);
  if (mode == "coarse") return std::make_unique<CoarseBank>(accounts);
  if (mode == "fine") return std::make_unique<FineBank>(accounts);
  return std::make_unique<StrandBank>(accounts, pool);
}

// One teller's day: transfers between accounts that chance names, the same for each seed.
plait::Task<absl::Status> Work(Bank& bank, const Plan& plan, int64_t teller) {
  std::mt19937_64 numbers(static_cast<uint64_t>(plan.seed * 1'000 + teller));
  const auto accounts = static_cast<size_t>(plan.accounts);
  for (int64_t i = 0; i < plan.transfers; ++i) {
    const size_t from = numbers() % accounts;
    const size_t to = (from + 1 + numbers() % (accounts - 1)) % accounts;
    co_await plait::OrReturn(bank.Make({from, to, static_cast<int64_t>(1 + numbers() % 100)}));
    co_await plait::Yield();  // the next customer may be another teller's
  }
  co_return absl::OkStatus();
}

// The tellers work on the pool; this task, on the main thread's event loop, waits for them.
plait::Task<absl::Status> OpenAllDay(Bank& bank, const Plan& plan, plait::Executor& pool) {
  std::vector<plait::JoinHandle<absl::Status>> tellers;
  for (int64_t n = 0; n < plan.tellers; ++n) {
    tellers.push_back(plait::Spawn(Work(bank, plan, n), {.executor = &pool}));
  }
  for (auto& teller : tellers) co_await plait::OrReturn(teller);
  co_return absl::OkStatus();
}

const char* Title(const std::string& mode) {
  if (mode == "unsafe") return "Unsafe: nothing keeps two tellers from the same account";
  if (mode == "coarse") return "Coarse: one Mutex for the whole bank";
  if (mode == "fine") return "Fine: a Mutex for each account, locked in the order of their numbers";
  return "Strand: one transfer at a time, without a lock";
}

// Whether all the money is still there.
bool RunDay(const std::string& mode, const Plan& plan, const plait::RunOptions& options,
            examples::Console& console, std::string* measured) {
  console.Print(Title(mode), Color::kBold);
  plait::ThreadPool pool({.threads = static_cast<int>(plan.threads), .name = "bank"});
  const std::unique_ptr<Bank> bank = Open(mode, plan.accounts, pool);
  const int64_t before = bank->total();
  const examples::Stopwatch watch;
  const absl::Status status = plait::Run(OpenAllDay(*bank, plan, pool), options);
  const absl::Duration took = watch.elapsed();
  const int64_t after = bank->total();
  if (!status.ok()) console.Print("  " + status.ToString(), Color::kRed);
  if (after == before) {
    console.Print(absl::StrFormat("  %d in the morning, %d in the evening: every coin is there",
                                  before, after),
                  Color::kGreen);
  } else {
    console.Print(absl::StrFormat("  %d in the morning, %d in the evening: %d %s", before, after,
                                  std::abs(after - before),
                                  after < before ? "have vanished" : "have come from nowhere"),
                  Color::kRed);
  }
  console.Print(absl::StrFormat("  it took %s", examples::Stamp(took)), Color::kDim);
  console.Print();
  *measured = absl::StrFormat(
      "bank mode=%s threads=%d tellers=%d transfers=%d seconds=%.3f before=%d after=%d", mode,
      plan.threads, plan.tellers, plan.tellers * plan.transfers, absl::ToDoubleSeconds(took),
      before, after);
  return status.ok() && after == before;
}

}  // namespace

int main(int argc, char** argv) {
  std::string mode = "safe";
  Plan plan;
  plait::RunOptions options;
  examples::Flags flags(
      "bank",
      "Tellers on several threads move money between the same accounts: is it all still there?\n"
      "The mode \"unsafe\" is a data race, to be seen only when it is asked for.");
  flags.Choice("mode", &mode, {"unsafe", "coarse", "fine", "strand", "safe", "all"},
               "what keeps the tellers apart; safe: coarse, fine and strand");
  flags.Int("threads", &plan.threads, 1, 64, "how many threads they work on");
  flags.Int("accounts", &plan.accounts, 2, 1'000'000, "how many accounts there are");
  flags.Int("tellers", &plan.tellers, 1, 10'000, "how many tasks make transfers");
  flags.Int("transfers", &plan.transfers, 0, 100'000'000, "how many each of them makes");
  flags.Int("seed", &plan.seed, 0, 1'000'000'000, "where the random transfers begin");
  examples::AddReactorFlag(flags, &options);
  if (const auto status = flags.Parse(argc, argv)) return *status;

  examples::Console console;
  console.Print(
      absl::StrFormat("%d accounts with %d each; %d tellers on %d threads make %d transfers each.",
                      plan.accounts, kOpening, plan.tellers, plan.threads, plan.transfers));
  console.Print();
  bool safe = true;
  std::vector<std::string> measurements;
  for (const char* name : {"unsafe", "coarse", "fine", "strand"}) {
    const bool is_unsafe = std::string(name) == "unsafe";
    if (mode != name && mode != "all" && (mode != "safe" || is_unsafe)) continue;
    std::string measured;
    const bool kept = RunDay(name, plan, options, console, &measured);
    measurements.push_back(measured);
    // What the unsafe bank loses is what it is there to show.
    safe = safe && (kept || is_unsafe);
  }
  for (const std::string& line : measurements) console.Print(line);
  return safe ? 0 : 1;
}
