// When lookups end: late answers, none at all, timeouts, cancels; and what the loop does meanwhile.
//
// Traps: a cancel that races completion (the groups "cancel" and "races"); a wake-up lost between
// check and park (answers that come while the loop sleeps, from a thread that nobody waits for); a
// lambda coroutine that outlives its captures (handles are awaited before the captures go).
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/io/dns/resolver.h"
#include "plait/io/dns/resolver_fixture.h"
#include "plait/io/dns/testing/dns_message.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/dns_server.h"
#include "plait/runtime/testing/repeats.h"

namespace plait {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Lookup = absl::StatusOr<Addresses>;

// A server that says nothing until the test has it say something.
class ResolverCancelTest : public ResolverFixture {
 protected:
  ResolverCancelTest() : server_(held_.handler()), resolver_(Make(Asking(server_))) {}

  // One question a lookup, so that they are easily counted.
  static constexpr ResolveOptions kOneQuestion{.family = AddressFamily::kIpv4};

  Task<Lookup> Start(std::string host) {
    return resolver_->Resolve(std::move(host), 0, kOneQuestion);
  }

  Task<void> AwaitQuestions(size_t count) {
    return YieldUntil([this, count] { return held_.size() >= count; });
  }
  void Answer(const DnsServer::Question& question, absl::string_view ip) {
    server_.Send(question.peer, DnsReply(question).Address(question.name, Ip(ip)).Packet());
  }
  void AnswerAll(absl::string_view ip) {
    for (const DnsServer::Question& question : held_.questions()) Answer(question, ip);
  }

  HeldQuestions held_;
  DnsServer server_;
  std::unique_ptr<Resolver> resolver_;
};

// --- the loop ---

// The lookup ends by the last of so many turns: a loop that a lookup blocks never gets there.
TEST_P(ResolverCancelTest, ASlowLookupNeverBlocksTheLoop) {
  RunTask([&]() -> Task<void> {
    JoinHandle<Lookup> slow = Spawn(Start("slow.example"));
    co_await AwaitQuestions(1);
    int turns = 0;
    for (; turns < 10'000; ++turns) {
      EXPECT_FALSE(slow.done());
      co_await Yield();
    }
    EXPECT_EQ(turns, 10'000);
    AnswerAll("10.0.0.1");
    const Lookup found = co_await slow;
    EXPECT_TRUE(found.ok()) << found.status();
  });
}

TEST_P(ResolverCancelTest, OtherLookupsAndTimersGoOnBesideASlowOne) {
  RunTask([&]() -> Task<void> {
    JoinHandle<Lookup> slow = Spawn(Start("slow.example"));
    co_await AwaitQuestions(1);
    const Lookup own = co_await resolver_->Resolve("localhost", 80);
    EXPECT_TRUE(own.ok()) << own.status();
    const absl::Status slept = co_await Sleep(absl::Microseconds(10));
    EXPECT_TRUE(slept.ok()) << slept;
    EXPECT_FALSE(slow.done());
    AnswerAll("10.0.0.1");
    const Lookup found = co_await slow;
    EXPECT_TRUE(found.ok()) << found.status();
  });
}

TEST_P(ResolverCancelTest, AnswersInAnyOrderReachTheirOwnLookups) {
  RunTask([&]() -> Task<void> {
    constexpr size_t kLookups = 50;
    std::vector<JoinHandle<Lookup>> lookups;
    for (size_t i = 0; i < kLookups; ++i) {
      lookups.push_back(Spawn(Start(absl::StrCat("host", i, ".example"))));
    }
    co_await AwaitQuestions(kLookups);
    Questions questions = held_.questions();
    std::reverse(questions.begin(), questions.end());
    std::swap(questions[3], questions[30]);
    for (const DnsServer::Question& question : questions) {
      const std::string number = question.name.substr(4, question.name.find('.') - 4);
      Answer(question, absl::StrCat("10.0.0.", number));
    }
    for (size_t i = 0; i < kLookups; ++i) {
      const Lookup found = co_await lookups[i];
      EXPECT_TRUE(found.ok()) << found.status();
      if (found.ok()) {
        EXPECT_THAT(*found, ElementsAre(Ip(absl::StrCat("10.0.0.", i))));
      }
    }
  });
}

TEST_P(ResolverCancelTest, NoMoreLookupsAskAtOnceThanTheLimit) {
  ResolverOptions options = Asking(server_);
  options.max_in_flight = 4;
  resolver_ = Make(options);
  RunTask([&]() -> Task<void> {
    std::vector<JoinHandle<Lookup>> lookups;
    for (int i = 0; i < 12; ++i) lookups.push_back(Spawn(Start(absl::StrCat("h", i, ".example"))));
    for (size_t answered = 0; answered < 12; answered += 4) {
      co_await AwaitQuestions(answered + 4);
      for (int turn = 0; turn < 100; ++turn) co_await Yield();
      const Questions questions = held_.questions();
      EXPECT_EQ(questions.size(), answered + 4);
      for (size_t i = answered; i < questions.size(); ++i) Answer(questions[i], "10.0.0.1");
    }
    for (JoinHandle<Lookup>& lookup : lookups) {
      const Lookup found = co_await lookup;
      EXPECT_TRUE(found.ok()) << found.status();
    }
  });
}

// --- no answer ---

TEST_P(ResolverCancelTest, AServerThatSaysNothingIsAskedAgainAndThenGivenUp) {
  ResolverOptions options = Asking(server_);
  options.timeout = absl::Milliseconds(5);
  options.tries = 3;
  resolver_ = Make(options);
  const Lookup found = RunTask([&] { return Start("silent.example"); });
  EXPECT_EQ(found.status().code(), absl::StatusCode::kDeadlineExceeded) << found.status();
  EXPECT_THAT(found.status().ToString(),
              AllOf(HasSubstr("\"silent.example\": no server answered in time"),
                    HasSubstr(server_.address().ToString())));
  EXPECT_EQ(held_.size(), 3u);
}

TEST_P(ResolverCancelTest, AQuestionThatGotLostIsAskedAgain) {
  DnsServer forgetful([first = true](const DnsServer::Question& question) mutable {
    std::vector<std::string> replies;
    if (!first)
      replies.push_back(DnsReply(question).Address(question.name, Ip("10.0.0.1")).Packet());
    first = false;
    return replies;
  });
  ResolverOptions options = Asking(forgetful);
  options.timeout = absl::Milliseconds(5);
  resolver_ = Make(options);
  const Lookup found = RunTask([&] { return Start("www.example"); });
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_THAT(*found, ElementsAre(Ip("10.0.0.1")));
}

TEST_P(ResolverCancelTest, TheTimeoutOfALookupEndsItAndNamesTheHost) {
  ResolveOptions options = kOneQuestion;
  options.timeout = absl::Milliseconds(5);
  const Lookup found = BlockOn(executor(), resolver_->Resolve("silent.example", 0, options));
  EXPECT_EQ(found.status().code(), absl::StatusCode::kDeadlineExceeded) << found.status();
  EXPECT_THAT(found.status().ToString(), HasSubstr("resolve \"silent.example\": "));
  const auto name =
      BlockOn(executor(), resolver_->ReverseLookup(Ip("10.0.0.1"), absl::Milliseconds(5)));
  EXPECT_EQ(name.status().code(), absl::StatusCode::kDeadlineExceeded) << name.status();
  EXPECT_THAT(name.status().ToString(), HasSubstr("look up the name of 10.0.0.1: "));
}

TEST_P(ResolverCancelTest, ATimeoutIsWholeAlsoWhileItWaitsForItsTurn) {
  ResolverOptions options = Asking(server_);
  options.max_in_flight = 1;
  resolver_ = Make(options);
  RunTask([&]() -> Task<void> {
    JoinHandle<Lookup> first = Spawn(Start("first.example"));
    co_await AwaitQuestions(1);
    ResolveOptions bounded = kOneQuestion;
    bounded.timeout = absl::Milliseconds(5);
    const Lookup second = co_await resolver_->Resolve("second.example", 0, bounded);
    EXPECT_EQ(second.status().code(), absl::StatusCode::kDeadlineExceeded) << second.status();
    EXPECT_EQ(held_.size(), 1u);
    AnswerAll("10.0.0.1");
    const Lookup found = co_await first;
    EXPECT_TRUE(found.ok()) << found.status();
  });
}

TEST_P(ResolverCancelTest, ANegativeTimeoutIsInvalidAndAsksNothing) {
  ResolveOptions options = kOneQuestion;
  options.timeout = -absl::Seconds(1);
  const Lookup found = BlockOn(executor(), resolver_->Resolve("www.example", 0, options));
  EXPECT_EQ(found.status().code(), absl::StatusCode::kInvalidArgument) << found.status();
  EXPECT_EQ(held_.size(), 0u);
}

// --- cancel ---

TEST_P(ResolverCancelTest, ACancelEndsALookupAtOnceAndTheLateAnswerIsDropped) {
  RunTask([&]() -> Task<void> {
    JoinHandle<Lookup> lookup = Spawn(Start("slow.example"));
    co_await AwaitQuestions(1);
    lookup.Cancel();
    const Lookup found = co_await lookup;
    EXPECT_EQ(found.status().code(), absl::StatusCode::kCancelled) << found.status();
    EXPECT_THAT(found.status().ToString(), HasSubstr("slow.example"));
    ExpectNothingInFlight();  // it is quiet before the last lookup has returned
    AnswerAll("10.0.0.1");
    for (int turn = 0; turn < 100; ++turn) co_await Yield();
  });
  resolver_.reset();
}

TEST_P(ResolverCancelTest, ACancelOfOneLeavesTheOthersAlone) {
  RunTask([&]() -> Task<void> {
    JoinHandle<Lookup> stays = Spawn(Start("stays.example"));
    JoinHandle<Lookup> goes = Spawn(Start("goes.example"));
    co_await AwaitQuestions(2);
    goes.Cancel();
    const Lookup gone = co_await goes;
    EXPECT_EQ(gone.status().code(), absl::StatusCode::kCancelled) << gone.status();
    EXPECT_FALSE(stays.done());
    // The one that nobody waits for any more first.
    Questions questions = held_.questions();
    if (questions[0].name == "stays.example") std::swap(questions[0], questions[1]);
    Answer(questions[0], "10.0.0.66");
    Answer(questions[1], "10.0.0.1");
    const Lookup found = co_await stays;
    EXPECT_TRUE(found.ok()) << found.status();
    if (found.ok()) {
      EXPECT_THAT(*found, ElementsAre(Ip("10.0.0.1")));
    }
  });
}

TEST_P(ResolverCancelTest, ALookupThatWasCancelledWhileItWaitsForItsTurnNeverAsks) {
  ResolverOptions options = Asking(server_);
  options.max_in_flight = 1;
  resolver_ = Make(options);
  RunTask([&]() -> Task<void> {
    JoinHandle<Lookup> first = Spawn(Start("first.example"));
    co_await AwaitQuestions(1);
    JoinHandle<Lookup> second = Spawn(Start("second.example"));
    for (int turn = 0; turn < 10; ++turn) co_await Yield();
    second.Cancel();
    const Lookup gone = co_await second;
    EXPECT_EQ(gone.status().code(), absl::StatusCode::kCancelled) << gone.status();
    AnswerAll("10.0.0.1");
    const Lookup found = co_await first;
    EXPECT_TRUE(found.ok()) << found.status();
    EXPECT_EQ(held_.size(), 1u);
  });
}

TEST_P(ResolverCancelTest, ATaskThatIsCancelledAlreadyAsksNothing) {
  RunTask([&]() -> Task<void> {
    Event go;
    const auto body = [&]() -> Task<Lookup> {
      static_cast<void>(co_await go.Wait());  // ended by the cancel
      Lookup found = co_await Start("www.example");
      co_return found;
    };
    JoinHandle<Lookup> lookup = Spawn(body());
    co_await Yield();
    lookup.Cancel();
    const Lookup found = co_await lookup;
    EXPECT_EQ(found.status().code(), absl::StatusCode::kCancelled) << found.status();
    EXPECT_EQ(held_.size(), 0u);
  });
}

TEST_P(ResolverCancelTest, AResolverThatIsDestroyedWithALookupUnderWayEndsTheProgramWithASentence) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_DEATH(RunTask([&]() -> Task<void> {
                 JoinHandle<Lookup> lookup = Spawn(Start("slow.example"));
                 co_await AwaitQuestions(1);
                 resolver_.reset();
               }),
               "a Resolver was destroyed with lookups under way");
}

TEST_P(ResolverCancelTest, AnotherLookupMayBeginWhileTheLastOneEnds) {
  RunTask([&]() -> Task<void> {
    for (const int round : ShareOf(50)) {
      const size_t before = held_.size();
      JoinHandle<Lookup> last = Spawn(Start("last.example"));
      co_await AwaitQuestions(before + 1);
      last.Cancel();
      // Begins before, while or after the other waits for its socket to be closed.
      for (int turn = 0; turn < round % 5; ++turn) co_await Yield();
      JoinHandle<Lookup> next = Spawn(Start("next.example"));
      const Lookup gone = co_await last;
      EXPECT_EQ(gone.status().code(), absl::StatusCode::kCancelled) << gone.status();
      co_await YieldUntil([&] { return held_.questions().back().name == "next.example"; });
      Answer(held_.questions().back(), "10.0.0.1");
      const Lookup found = co_await next;
      EXPECT_TRUE(found.ok()) << found.status();
    }
  });
}

// --- races ---

// The answer leaves another thread while this one cancels, and cancels come from another thread
// while this one handles answers. Exactly one of them is the outcome.
TEST_P(ResolverCancelTest, ACancelRacesTheAnswer) {
  constexpr int kRounds = 100;
  int cancelled = 0;
  int found = 0;
  RunTask([&]() -> Task<void> {
    for (const int round : ShareOf(kRounds)) {
      const size_t before = held_.size();
      JoinHandle<Lookup> lookup = Spawn(Start(absl::StrCat("h", round, ".example")));
      co_await AwaitQuestions(before + 1);
      const DnsServer::Question question = held_.questions().back();
      Thread other = StartThread("other", [&] {
        if (round % 2 == 0) {
          Answer(question, "10.0.0.1");
        } else {
          lookup.Cancel();
        }
      });
      if (round % 2 == 1) Answer(question, "10.0.0.1");
      for (int turn = 0; turn < round / 4; ++turn) co_await Yield();
      if (round % 2 == 0) lookup.Cancel();
      const Lookup outcome = co_await lookup;
      other.join();
      const bool is_cancelled = absl::IsCancelled(outcome.status());
      EXPECT_TRUE(outcome.ok() || is_cancelled) << outcome.status();
      cancelled += is_cancelled ? 1 : 0;
      found += outcome.ok() ? 1 : 0;
    }
  });
  EXPECT_EQ(cancelled + found, Repeats(kRounds));
}

TEST_P(ResolverCancelTest, ManyLookupsOfWhichManyAreCancelled) {
  DnsServer server([](const DnsServer::Question& question) {
    std::vector<std::string> replies;
    if (question.name.substr(0, 4) != "slow") {
      replies.push_back(DnsReply(question).Address(question.name, Ip("10.0.0.1")).Packet());
    }
    return replies;
  });
  ResolverOptions options = Asking(server);
  options.timeout = absl::Milliseconds(200);  // the system may drop a packet
  options.tries = 10;
  resolver_ = Make(options);
  RunTask([&]() -> Task<void> {
    std::vector<JoinHandle<Lookup>> lookups;
    for (int i = 0; i < 300; ++i) {
      lookups.push_back(Spawn(Start(absl::StrCat(i % 3 == 0 ? "slow" : "quick", i, ".example"))));
    }
    for (int turn = 0; turn < 20; ++turn) co_await Yield();
    for (int i = 0; i < 300; i += 3) lookups[i].Cancel();
    for (int i = 0; i < 300; ++i) {
      const Lookup outcome = co_await lookups[i];
      EXPECT_EQ(outcome.status().code(),
                i % 3 == 0 ? absl::StatusCode::kCancelled : absl::StatusCode::kOk)
          << outcome.status();
    }
  });
}

INSTANTIATE_TEST_SUITE_P(AllExecutors, ResolverCancelTest, testing::ValuesIn(AllExecutors()),
                         IoExecutor::Name);

}  // namespace
}  // namespace plait
