#include "plait/examples/parallelism/backends.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <new>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/examples/parallelism/processes.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/testing/test_clock.h"

namespace examples {
namespace {

using ::testing::ElementsAre;

// The articles' sleep.py: five tasks of two seconds. On a test clock they take no time, and are
// exact to the microsecond.
class BackendsTest : public ::testing::Test {
 protected:
  BackendsTest() { job_.sleep = absl::Seconds(2); }

  // What `run` printed, line by line.
  std::vector<std::string> Lines(const std::function<void(const Job&, Transcript&)>& run) {
    char* text = nullptr;
    size_t size = 0;
    std::FILE* out = open_memstream(&text, &size);
    {
      Console console(out);
      Transcript transcript(console, "test", job_.tasks, clock_);
      run(job_, transcript);
      transcript.End();
      sum_of_tasks_ = transcript.sum_of_tasks();
      total_ = transcript.total();
      timeline_ = transcript.Timeline(10);
    }
    std::fclose(out);
    const std::vector<std::string> lines = absl::StrSplit(text, '\n', absl::SkipEmpty());
    std::free(text);
    return lines;
  }

  plait::TestClock clock_;
  Job job_ = {.clock = &clock_};
  absl::Duration sum_of_tasks_;
  absl::Duration total_;
  std::vector<std::string> timeline_;
};

TEST_F(BackendsTest, SynchronouslyATaskStartsWhenTheLastHasFinished) {
  EXPECT_THAT(
      Lines(RunSync),
      ElementsAre(
          "0:00:00.000000: Start work for number=0", "0:00:02.000000: Finished work for number=0",
          "0:00:02.000000: Start work for number=1", "0:00:04.000000: Finished work for number=1",
          "0:00:04.000000: Start work for number=2", "0:00:06.000000: Finished work for number=2",
          "0:00:06.000000: Start work for number=3", "0:00:08.000000: Finished work for number=3",
          "0:00:08.000000: Start work for number=4", "0:00:10.000000: Finished work for number=4",
          "Finished program after 0:00:10.000000"));
  EXPECT_EQ(total_, absl::Seconds(10));
  EXPECT_EQ(sum_of_tasks_, absl::Seconds(10));
  EXPECT_THAT(timeline_, ElementsAre("  number=0   |==        |", "  number=1   |  ==      |",
                                     "  number=2   |    ==    |", "  number=3   |      ==  |",
                                     "  number=4   |        ==|"));
}

TEST_F(BackendsTest, CoroutinesAllStartBeforeAnyFinishesAndSleepAtTheSameTime) {
  const auto run = [this](const Job& job, Transcript& transcript) {
    const absl::Status status = RunAsync(job, transcript, {.clock = &clock_});
    EXPECT_TRUE(status.ok()) << status;
  };
  EXPECT_THAT(
      Lines(run),
      ElementsAre(
          "0:00:00.000000: Start work for number=0", "0:00:00.000000: Start work for number=1",
          "0:00:00.000000: Start work for number=2", "0:00:00.000000: Start work for number=3",
          "0:00:00.000000: Start work for number=4", "0:00:02.000000: Finished work for number=0",
          "0:00:02.000000: Finished work for number=1",
          "0:00:02.000000: Finished work for number=2",
          "0:00:02.000000: Finished work for number=3",
          "0:00:02.000000: Finished work for number=4", "Finished program after 0:00:02.000000"));
  EXPECT_EQ(total_, absl::Seconds(2));
  EXPECT_EQ(sum_of_tasks_, absl::Seconds(10));
  EXPECT_THAT(timeline_, ::testing::Each(::testing::HasSubstr("|==========|")));
}

TEST_F(BackendsTest, CoroutinesThatComputeTakeTurnsAsSynchronousCallsDo) {
  job_.workload = Workload::kHardWork;
  job_.iterations = 1000;
  job_.tasks = 2;
  const auto run = [this](const Job& job, Transcript& transcript) {
    EXPECT_TRUE(RunAsync(job, transcript, {.clock = &clock_}).ok());
  };
  const std::vector<std::string> sync = Lines(RunSync);
  EXPECT_EQ(Lines(run), sync);
  EXPECT_EQ(sync.size(), 5);
}

TEST_F(BackendsTest, CoroutinesOnAPoolSleepAtTheSameTimeToo) {
  const auto run = [this](const Job& job, Transcript& transcript) {
    const absl::Status status = RunPool(job, transcript, {.clock = &clock_});
    EXPECT_TRUE(status.ok()) << status;
  };
  EXPECT_THAT(Lines(run), ::testing::SizeIs(11));
  EXPECT_EQ(total_, absl::Seconds(2));
  EXPECT_EQ(sum_of_tasks_, absl::Seconds(10));
}

TEST_F(BackendsTest, AnUnknownReactorIsTheStatus) {
  Lines([](const Job& job, Transcript& transcript) {
    EXPECT_EQ(RunAsync(job, transcript, {.reactor = "abacus"}).code(),
              absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(RunPool(job, transcript, {.reactor = "abacus"}).code(),
              absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(RunProcesses(job, transcript, {.reactor = "abacus"}).code(),
              absl::StatusCode::kInvalidArgument);
  });
}

// Two tasks that hit a ball to and fro, in memory that threads and processes share. Neither gives
// up its core while it waits for the ball: on a single core, or under a lock such as Python's GIL,
// the other could hit it only after the system had switched from the one to the other. So when
// there are far more hits than switches, both have run at the same time.
class Court {
 public:
  static Court& Make() {
    void* memory =
        mmap(nullptr, sizeof(Court), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return *new (memory) Court();
  }
  static void Free(Court& court) { munmap(&court, sizeof(court)); }

  // What each of the two does. Returns once there was such a rally.
  void Play() {
    const uint64_t side = players_.fetch_add(1);
    PinToCore(static_cast<int>(side));
    while (players_.load() < 2) sched_yield();
    for (;;) {
      const long switches = Switches();
      for (int hits = 0; hits < kRally; ++hits) {
        while (ball_.load() % 2 != side) {
          if (over_.load()) return;
        }
        ball_.fetch_add(1);
      }
      if (Switches() - switches < kRally / 10) over_.store(true);
      if (over_.load()) return;
    }
  }

  bool over() const { return over_.load(); }

 private:
  static constexpr int kRally = 1000;

  // Keeps the calling thread on the n-th of the cores that it may use: else the system may leave
  // both on one for long.
  static void PinToCore(int n) {
    cpu_set_t cores;
    if (sched_getaffinity(0, sizeof(cores), &cores) != 0) return;
    for (int core = 0; core < CPU_SETSIZE; ++core) {
      if (!CPU_ISSET(core, &cores) || n-- > 0) continue;
      CPU_ZERO(&cores);
      CPU_SET(core, &cores);
      sched_setaffinity(0, sizeof(cores), &cores);
      return;
    }
  }

  // How often the system has taken the calling thread off its core.
  static long Switches() {
    rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nvcsw + usage.ru_nivcsw;
  }

  std::atomic<uint64_t> players_{0};
  std::atomic<uint64_t> ball_{0};
  std::atomic<bool> over_{false};
};

TEST_F(BackendsTest, HardWorkRunsOnSeveralCoresAtOnceWithThreadsWithProcessesAndOnAPool) {
  // There is nothing to show on a machine with a single core.
  if (plait::HardwareThreads() == 1) return;
  const auto pool = [](const Job& job, Transcript& transcript) {
    const absl::Status status = RunPool(job, transcript);
    EXPECT_TRUE(status.ok()) << status;
  };
  const auto processes = [](const Job& job, Transcript& transcript) {
    const absl::Status status = RunProcesses(job, transcript);
    EXPECT_TRUE(status.ok()) << status;
  };
  for (const auto run : {&RunThreads, +processes, +pool}) {
    Court& court = Court::Make();
    job_.workload = Workload::kHardWork;
    job_.tasks = 2;
    job_.body = [&] { court.Play(); };
    EXPECT_THAT(Lines(run), ::testing::Contains(::testing::HasSubstr("Finished work")).Times(2));
    EXPECT_TRUE(court.over());
    Court::Free(court);
  }
}

}  // namespace
}  // namespace examples
