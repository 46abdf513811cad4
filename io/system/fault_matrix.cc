#include "plait/io/system/fault_matrix.h"

#include <errno.h>
#include <string.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/repeats.h"

namespace plait::sys {
namespace {

using Call = FaultInjection::Call;

// Ends the program where a run does not end.
class Watchdog {
 public:
  Watchdog() : thread_(StartThread("watchdog", [this] { Watch(); })) {}
  ~Watchdog() {
    {
      absl::MutexLock lock(&mutex_);
      over_ = true;
    }
    thread_.join();
  }
  void Begin(std::string what) {
    absl::MutexLock lock(&mutex_);
    what_ = std::move(what);
    ++runs_;
  }

 private:
  void Watch() {
    constexpr absl::Duration kLimit = absl::Minutes(1);
    absl::MutexLock lock(&mutex_);
    while (!over_) {
      const int64_t seen = runs_;
      const auto moved = [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return over_ || runs_ != seen; };
      PLAIT_CHECK(mutex_.AwaitWithTimeout(absl::Condition(&moved), kLimit),
                  absl::StrCat("it hangs after this fault: ", what_));
    }
  }

  absl::Mutex mutex_;
  std::string what_;
  int64_t runs_ = 0;
  bool over_ = false;
  Thread thread_;
};

struct Outcome {
  absl::Status status;
  int64_t calls = 0;  // of all kinds, once armed
  int64_t hits = 0;   // calls that the fault has hit
};

class Matrix {
 public:
  Matrix(const FaultMatrixOptions& options,
         absl::FunctionRef<absl::Status(const ArmFaults& arm)> scenario)
      : options_(options), scenario_(scenario) {}

  void Run() {
    // Once before anything counts: what is made once for the whole process is there then.
    {
      FaultInjection faults;
      const ScopedSystemCalls scope(faults);
      const absl::Status status = scenario_([] {});
      ASSERT_TRUE(status.ok()) << status;
    }
    const Outcome clean = RunWith("no fault", [](FaultInjection&) {}, Call::kCalls);
    ASSERT_TRUE(clean.status.ok()) << clean.status;
    calls_ = clean.calls;
    const std::vector<int64_t> made = made_;
    for (const Call call : options_.reaches) {
      EXPECT_GT(made[call], 0) << "the scenario does not reach " << NameOf(call);
    }
    for (int i = 0; i < Call::kCalls; ++i) {
      const auto call = static_cast<Call>(i);
      if (made[call] == 0) continue;
      EXPECT_FALSE(ErrorsOf(call).empty()) << "no errors are listed of call number " << i;
      const int64_t places = std::min(made[call], options_.places);
      for (int64_t place = 0; place < places; ++place) {
        for (const int error : ErrorsOf(call)) {
          if (!IsLeftOut(call, place, error) && IsTaken()) FailAt(call, place, error);
        }
      }
      if (options_.short_transfers && IsTransfer(call)) {
        for (const size_t bytes : {size_t{1}, size_t{3}}) {
          if (IsTaken()) Shorten(call, bytes);
        }
      }
    }
    EXPECT_GT(faults_, 0);
  }

 private:
  static bool IsTransfer(Call call) {
    return call == Call::kRead || call == Call::kWrite || call == Call::kReadAt ||
           call == Call::kWriteAt || call == Call::kReceive || call == Call::kSend ||
           call == Call::kSendFile || call == Call::kReceiveMessage || call == Call::kSendMessage;
  }

  // Whether the next fault is for this run of the test, of the many that there may be.
  bool IsTaken() { return ThisTestRun().Takes(faults_++); }

  bool IsReached(Call call) const {
    return std::find(options_.reaches.begin(), options_.reaches.end(), call) !=
           options_.reaches.end();
  }
  bool IsLeftOut(Call call, int64_t place, int error) const {
    return std::any_of(
        options_.left_out.begin(), options_.left_out.end(), [&](const LeftOut& left) {
          return left.call == call && (left.place == LeftOut::kEverywhere || left.place == place) &&
                 (left.error == 0 || left.error == error);
        });
  }

  void FailAt(Call call, int64_t place, int error) {
    const std::string what = absl::StrCat("call ", place + 1, " of ", NameOf(call), " fails with ",
                                          ::strerrorname_np(error));
    const int64_t times = error == EINTR ? 3 : 1;
    const Outcome outcome = RunWith(
        what,
        [&](FaultInjection& faults) { faults.Fail(call, error, {.skip = place, .times = times}); },
        call);
    EXPECT_LT(outcome.calls, calls_ + 1000) << what << ": it spins";
    // Of others it may be a matter of time whether they are made.
    if (place == 0 && IsReached(call)) {
      EXPECT_GT(outcome.hits, 0) << what << ": it was not made; it ended with " << outcome.status;
    }
    if (outcome.status.ok()) return;
    // The error itself, or what it led to: but one that the system has told.
    EXPECT_TRUE(!options_.errors_are_named || absl::StrContains(outcome.status.message(), "(E"))
        << what << ": it ends with something else: " << outcome.status;
    EXPECT_FALSE(outcome.status.message().empty() ||
                 absl::StartsWith(outcome.status.message(), ":"))
        << what << ": nobody knows what has failed: " << outcome.status;
  }

  void Shorten(Call call, size_t bytes) {
    const std::string what = absl::StrCat(NameOf(call), " moves at most ", bytes, " bytes");
    const Outcome outcome = RunWith(
        what,
        [&](FaultInjection& faults) {
          faults.Shorten(call, bytes, {.times = FaultInjection::kAlways});
        },
        call);
    EXPECT_TRUE(outcome.status.ok()) << what << ": " << outcome.status;
  }

  Outcome RunWith(const std::string& what, absl::FunctionRef<void(FaultInjection&)> set,
                  Call call) {
    watchdog_.Begin(what);
    const testing::ScopedTrace trace(__FILE__, __LINE__, what);
    const int descriptors = OpenDescriptors();
    Outcome outcome;
    {
      FaultInjection faults;
      const ScopedSystemCalls scope(faults);
      std::vector<int64_t> before(Call::kCalls);
      outcome.status = scenario_([&] {
        for (int i = 0; i < Call::kCalls; ++i) before[i] = faults.count(static_cast<Call>(i));
        set(faults);
      });
      made_.assign(Call::kCalls, 0);
      for (int i = 0; i < Call::kCalls; ++i) {
        made_[i] = faults.count(static_cast<Call>(i)) - before[i];
        outcome.calls += made_[i];
      }
      if (call != Call::kCalls) outcome.hits = faults.hits(call);
    }
    EXPECT_EQ(OpenDescriptors(), descriptors) << what << ": descriptors are left";
    return outcome;
  }

  const FaultMatrixOptions& options_;
  const absl::FunctionRef<absl::Status(const ArmFaults& arm)> scenario_;
  std::vector<int64_t> made_;  // by the last run, by call
  int64_t calls_ = 0;          // by a run without faults
  int64_t faults_ = 0;         // met on the way
  Watchdog watchdog_;
};

}  // namespace

void RunFaultMatrix(const FaultMatrixOptions& options,
                    absl::FunctionRef<absl::Status(const ArmFaults& arm)> scenario) {
  Matrix(options, scenario).Run();
}

}  // namespace plait::sys
