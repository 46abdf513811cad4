// The hosts file behind a Resolver: what it says goes before the servers, and it is followed when
// it changes. Time is a test's own: nothing here waits. Trap: a cancel that races completion does
// not arise; on a pool lookups find at the same time that the file has to be looked at.
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/io/dns/resolver.h"
#include "plait/io/dns/testing/dns_message.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/dns_server.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {
namespace {

using internal::Atomic;
using ::testing::ElementsAre;

using Addresses = std::vector<SocketAddress>;

class HostsTest : public IoTest {
 protected:
  HostsTest()
      : IoTest(/*blocking_threads=*/1, /*virtual_time=*/true),
        path_(absl::StrCat(testing::TempDir(), "/hosts.", ::getpid())),
        server_([](const DnsServer::Question& question) {
          DnsReply reply(question);
          if (question.type == DnsType::kAaaa) reply.Address(question.name, Ip("fd00::1"));
          if (question.type == DnsType::kPointer) reply.Pointer(question.name, "asked.example");
          return std::vector<std::string>{reply.Packet()};
        }) {
    Write(
        "# what this machine knows\n"
        "10.0.0.5\tbuild.example Build   # the fast one\n"
        "10.0.0.6 build.example\r\n"
        "10.0.0.5 build.example\n"
        "fd00::5 build.example\n"
        "10.0.0.8 four.example\n"
        "127.0.1.1 localhost\n"
        "nonsense here\n"
        "10.0.0.9\n");
    ResolverOptions options;
    options.servers = {server_.address()};
    options.hosts_file = path_;
    options.search.emplace();
    resolver_ = *Resolver::Create(options);
  }
  ~HostsTest() override {
    EndExecutor();  // lookups that are left know the Resolver
    ::unlink(path_.c_str());
  }

  static SocketAddress Ip(absl::string_view ip) { return *SocketAddress::ParseIp(ip, 0); }

  void Write(absl::string_view text) {
    // Another file each time, as editors do it.
    const std::string draft = path_ + ".new";
    const OwnedFd fd(::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    WriteAll(fd.get(), text);
    ASSERT_EQ(::rename(draft.c_str(), path_.c_str()), 0);
  }

  absl::StatusOr<Addresses> Find(std::string host, AddressFamily family = AddressFamily::kAny) {
    return BlockOn(executor(), resolver_->Resolve(std::move(host), 0, {.family = family}));
  }
  void Pass(absl::Duration duration) {
    const absl::Status slept = BlockOn(executor(), Wait(duration));
    ASSERT_TRUE(slept.ok()) << slept;
  }

  const std::string path_;
  DnsServer server_;
  std::unique_ptr<Resolver> resolver_;

 private:
  static Task<absl::Status> Wait(absl::Duration duration) { co_return co_await Sleep(duration); }
};

TEST_P(HostsTest, WhatItKnowsIsNotAskedFor) {
  for (const char* name : {"build.example", "BUILD.EXAMPLE", "build.example."}) {
    const auto found = Find(name);
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_THAT(*found, ElementsAre(Ip("10.0.0.5"), Ip("10.0.0.6"), Ip("fd00::5")));
  }
  const auto alias = Find("build", AddressFamily::kIpv4);
  ASSERT_TRUE(alias.ok()) << alias.status();
  EXPECT_THAT(*alias, ElementsAre(Ip("10.0.0.5")));
  const auto localhost = Find("localhost");
  ASSERT_TRUE(localhost.ok()) << localhost.status();
  EXPECT_THAT(*localhost, ElementsAre(Ip("127.0.1.1"))) << "the file goes before what is built in";
  EXPECT_EQ(server_.questions(), 0);
}

TEST_P(HostsTest, AFamilyThatItDoesNotKnowIsAskedFor) {
  const auto four = Find("four.example");
  ASSERT_TRUE(four.ok()) << four.status();
  EXPECT_THAT(*four, ElementsAre(Ip("10.0.0.8")));
  const auto six = Find("four.example", AddressFamily::kIpv6);
  ASSERT_TRUE(six.ok()) << six.status();
  EXPECT_THAT(*six, ElementsAre(Ip("fd00::1")));
}

TEST_P(HostsTest, ItKnowsTheNamesOfAddresses) {
  const auto known = BlockOn(executor(), resolver_->ReverseLookup(Ip("10.0.0.5").WithPort(80)));
  ASSERT_TRUE(known.ok()) << known.status();
  EXPECT_EQ(*known, "build.example") << "the first of the line";
  EXPECT_EQ(server_.questions(), 0);
  const auto asked = BlockOn(executor(), resolver_->ReverseLookup(Ip("10.0.0.7")));
  ASSERT_TRUE(asked.ok()) << asked.status();
  EXPECT_EQ(*asked, "asked.example");
}

TEST_P(HostsTest, AChangeIsSeenASecondLaterAtTheMost) {
  EXPECT_TRUE(Find("build.example").ok()) << "looks at the file";
  Write("10.9.9.9 build.example\n");
  const auto old = Find("build.example");
  ASSERT_TRUE(old.ok()) << old.status();
  EXPECT_EQ(old->size(), 3u) << "no second has passed";
  Pass(absl::Seconds(1));
  const auto found = Find("build.example");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_THAT(*found, ElementsAre(Ip("10.9.9.9")));
}

TEST_P(HostsTest, AFileThatGoesAwayIsEmptyAndIsSeenWhenItComesBack) {
  ASSERT_EQ(::unlink(path_.c_str()), 0);
  Pass(absl::Seconds(1));
  const auto asked = Find("build.example");
  ASSERT_TRUE(asked.ok()) << asked.status();
  EXPECT_THAT(*asked, ElementsAre(Ip("fd00::1")));
  Write("10.9.9.9 build.example\n");
  Pass(absl::Seconds(1));
  const auto found = Find("build.example");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_THAT(*found, ElementsAre(Ip("10.9.9.9")));
}

// Whoever looks is held up until all others have their addresses.
TEST_P(HostsTest, ManyLookupsAtOnceLookAtTheFileOnce) {
  constexpr int kLookups = 20;
  for (int round = 0; round < 10; ++round) {
    const SocketAddress changed = Ip(absl::StrCat("10.9.9.", round));
    Write(absl::StrCat("10.9.9.", round, " build.example\n"));
    Pass(absl::Seconds(1));
    blocking().Pause();
    Atomic<int> fresh{0};
    Atomic<int> ended{0};
    const auto look_up = [&]() -> Task<absl::Status> {
      const Addresses found = co_await OrReturn(resolver_->Resolve("build.example", 0));
      if (found == Addresses{changed}) fresh.fetch_add(1);
      if (ended.fetch_add(1) + 2 == kLookups) blocking().Resume();
      co_return absl::OkStatus();
    };
    const auto all = [&](TaskGroup& group) -> Task<absl::Status> {
      for (int i = 0; i < kLookups; ++i) group.Spawn(look_up());
      co_return absl::OkStatus();
    };
    const absl::Status status = BlockOn(executor(), WithTaskGroup(all));
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_EQ(fresh.load(), 1);
  }
}

INSTANTIATE_TEST_SUITE_P(AllExecutors, HostsTest, testing::ValuesIn(AllExecutors()),
                         IoExecutor::Name);

}  // namespace
}  // namespace plait
