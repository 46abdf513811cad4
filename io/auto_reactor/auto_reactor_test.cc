#include "plait/io/auto_reactor/auto_reactor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "plait/io/system/fault_injection.h"
#include "plait/io/system/system_calls.h"

namespace plait {
namespace {

// Sets PLAIT_REACTOR, or unsets it if null, and puts back what was there.
class ScopedChoice {
 public:
  explicit ScopedChoice(const char* name) {
    if (const char* before = ::getenv("PLAIT_REACTOR"); before != nullptr) {
      had_ = true;
      before_ = before;
    }
    Set(name);
  }
  ~ScopedChoice() { Set(had_ ? before_.c_str() : nullptr); }

 private:
  static void Set(const char* name) {
    if (name == nullptr) {
      ::unsetenv("PLAIT_REACTOR");
    } else {
      ::setenv("PLAIT_REACTOR", name, 1);
    }
  }

  bool had_ = false;
  std::string before_;
};

TEST(AutoReactorTest, EveryNameThatItListsCanBeMadeAndIsTheReactorsOwn) {
  ASSERT_FALSE(ReactorNames().empty());
  for (const std::string& name : ReactorNames()) {
    const absl::StatusOr<std::unique_ptr<Reactor>> reactor = MakeReactor(name);
    ASSERT_TRUE(reactor.ok()) << reactor.status();
    EXPECT_EQ((*reactor)->name(), name);
  }
}

TEST(AutoReactorTest, AutoAndTheDefaultGiveOneOfThem) {
  const ScopedChoice none(nullptr);
  for (const char* name : {"auto", ""}) {
    const absl::StatusOr<std::unique_ptr<Reactor>> reactor = MakeReactor(name);
    ASSERT_TRUE(reactor.ok()) << reactor.status();
    bool listed = false;
    for (const std::string& known : ReactorNames()) listed |= (*reactor)->name() == known;
    EXPECT_TRUE(listed) << (*reactor)->name();
  }
}

TEST(AutoReactorTest, AnUnknownNameIsRefusedWithTheNamesThereAre) {
  for (const char* name : {"kqueu", "EPOLL", " ", "epoll "}) {
    const absl::Status status = MakeReactor(name).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_TRUE(absl::StrContains(status.message(), name)) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "this build has: auto, ")) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "epoll")) << status;
  }
}

// On Linux a build may have it, for tests.
TEST(AutoReactorTest, KqueueIsMadeOrRefusedWithTheReason) {
  bool listed = false;
  for (const std::string& name : ReactorNames()) listed |= name == "kqueue";
  const absl::StatusOr<std::unique_ptr<Reactor>> reactor = MakeReactor("kqueue!");
  EXPECT_EQ(reactor.ok(), listed);
  if (reactor.ok()) {
    EXPECT_EQ((*reactor)->name(), "kqueue");
  } else {
    EXPECT_EQ(reactor.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_TRUE(absl::StrContains(reactor.status().message(), "get_libkqueue")) << reactor.status();
  }
}

TEST(AutoReactorTest, TheEnvironmentChoosesWhereTheProgramDoesNot) {
  const ScopedChoice choice("epoll");
  const absl::StatusOr<std::unique_ptr<Reactor>> reactor = MakeReactor();
  ASSERT_TRUE(reactor.ok()) << reactor.status();
  EXPECT_EQ((*reactor)->name(), "epoll");
}

TEST(AutoReactorTest, AnUnknownNameInTheEnvironmentIsRefusedAndSaysWhereItIsFrom) {
  const ScopedChoice choice("nonsense");
  const absl::Status status = MakeReactor().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(status.message(), "\"nonsense\"")) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "PLAIT_REACTOR")) << status;
  // What the program says itself comes first.
  EXPECT_TRUE(MakeReactor("epoll").ok());
}

TEST(AutoReactorTest, AnEmptyNameInTheEnvironmentIsNone) {
  const ScopedChoice choice("");
  EXPECT_TRUE(MakeReactor().ok());
}

TEST(AutoReactorTest, WhatTheSystemRefusesIsAStatus) {
  sys::FaultInjection faults;
  const sys::ScopedSystemCalls scope(faults);
  faults.FailNext(sys::FaultInjection::kEpollCreate, EMFILE);
  EXPECT_EQ(MakeReactor("epoll").status().code(), absl::StatusCode::kResourceExhausted);
}

// What a sandbox (EPERM), an old kernel (ENOSYS) and a small machine (ENOMEM) say to the first
// call, and what a filter may say to a later one.
struct Refusal {
  sys::FaultInjection::Call call;
  int error;
  const char* words;
};
constexpr Refusal kRefusals[] = {
    {sys::FaultInjection::kIoUringSetup, EPERM, "io_uring_setup: Operation not permitted (EPERM)"},
    {sys::FaultInjection::kIoUringSetup, ENOSYS, "ENOSYS"},
    {sys::FaultInjection::kIoUringSetup, ENOMEM, "ENOMEM"},
    {sys::FaultInjection::kIoUringRegister, EPERM, "io_uring_register"},
    {sys::FaultInjection::kIoUringEnter, EPERM, "io_uring_enter"},
};

TEST(AutoReactorTest, WhereIoUringIsRefusedEpollTakesItsPlaceAndTheReasonIsTold) {
  const ScopedChoice none(nullptr);
  for (const Refusal& refusal : kRefusals) {
    SCOPED_TRACE(refusal.words);
    sys::FaultInjection faults;
    const sys::ScopedSystemCalls scope(faults);
    for (const char* name : {"auto", "io_uring"}) {
      faults.FailAll(refusal.call, refusal.error);
      std::vector<std::string> told;
      const absl::StatusOr<std::unique_ptr<Reactor>> reactor = MakeReactor(
          name, {.on_fallback = [&](absl::string_view sentence) { told.emplace_back(sentence); }});
      ASSERT_TRUE(reactor.ok()) << reactor.status();
      EXPECT_EQ((*reactor)->name(), "epoll");
      ASSERT_EQ(told.size(), 1u);
      EXPECT_TRUE(absl::StrContains(told[0], refusal.words)) << told[0];
      EXPECT_FALSE(absl::StrContains(told[0], "\n")) << told[0];
    }
  }
}

TEST(AutoReactorTest, IoUringThatIsRequiredIsAnErrorWhereItIsRefused) {
  for (const Refusal& refusal : kRefusals) {
    SCOPED_TRACE(refusal.words);
    sys::FaultInjection faults;
    const sys::ScopedSystemCalls scope(faults);
    faults.FailAll(refusal.call, refusal.error);
    const absl::Status status = MakeReactor("io_uring!").status();
    EXPECT_FALSE(status.ok());
    EXPECT_TRUE(absl::StrContains(status.message(), refusal.words)) << status;
  }
  const absl::StatusOr<std::unique_ptr<Reactor>> reactor = MakeReactor("io_uring!");
  ASSERT_TRUE(reactor.ok()) << reactor.status();
  EXPECT_EQ((*reactor)->name(), "io_uring");
}

TEST(AutoReactorTest, ARefusedProbeLeavesNoDescriptorOpen) {
  sys::FaultInjection faults;
  const sys::ScopedSystemCalls scope(faults);
  const auto open_descriptors = [] {
    int count = 0;
    for (int fd = 0; fd < 1000; ++fd) count += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
    return count;
  };
  const int before = open_descriptors();
  for (const Refusal& refusal : kRefusals) {
    faults.FailAll(refusal.call, refusal.error);
    EXPECT_FALSE(MakeReactor("io_uring!").ok());
    faults.Clear(refusal.call);
  }
  faults.FailNext(sys::FaultInjection::kEventFd, EMFILE);
  EXPECT_FALSE(MakeReactor("io_uring!").ok());
  EXPECT_EQ(open_descriptors(), before);
}

}  // namespace
}  // namespace plait
