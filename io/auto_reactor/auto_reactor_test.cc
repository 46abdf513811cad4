#include "plait/io/auto_reactor/auto_reactor.h"

#include <errno.h>
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

}  // namespace
}  // namespace plait
