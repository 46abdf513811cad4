#include "plait/io/net/socket_options.h"

#include <errno.h>

#include <limits>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/system/fault_injection.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {
namespace {

TEST(SocketOptionsTest, WhatIsSetIsReadBack) {
  const FdPair pair = MakeTcpPair();
  const SocketOptions options(pair.first.get());
  for (const bool on : {true, false}) {
    EXPECT_TRUE(options.set_no_delay(on).ok());
    EXPECT_EQ(*options.no_delay(), on);
    EXPECT_TRUE(options.set_reuse_address(on).ok());
    EXPECT_EQ(*options.reuse_address(), on);
    EXPECT_TRUE(options.set_reuse_port(on).ok());
    EXPECT_EQ(*options.reuse_port(), on);
  }
  EXPECT_TRUE(options.set_send_buffer(20'000).ok());
  EXPECT_GE(*options.send_buffer(), 20'000);
  EXPECT_LE(*options.send_buffer(), 50'000);
  EXPECT_TRUE(options.set_receive_buffer(30'000).ok());
  EXPECT_GE(*options.receive_buffer(), 30'000);
  EXPECT_LE(*options.receive_buffer(), 70'000);
}

TEST(SocketOptionsTest, KeepAliveTimesAreWholeSecondsAndAtLeastOne) {
  const FdPair pair = MakeTcpPair();
  const SocketOptions options(pair.first.get());
  EXPECT_FALSE(options.keep_alive()->on);
  KeepAlive wanted{.idle = absl::Milliseconds(1'500), .interval = {}, .probes = 3};
  EXPECT_TRUE(options.set_keep_alive(wanted).ok());
  wanted.idle = absl::Seconds(2);
  wanted.interval = absl::Seconds(1);
  EXPECT_EQ(*options.keep_alive(), wanted);
  EXPECT_TRUE(options.set_keep_alive({.idle = absl::InfiniteDuration()}).ok());
  EXPECT_GT(options.keep_alive()->idle, absl::Hours(9));
  EXPECT_TRUE(options.set_keep_alive({.on = false}).ok());
  EXPECT_FALSE(options.keep_alive()->on);
  EXPECT_TRUE(absl::IsInvalidArgument(options.set_keep_alive({.probes = 0})));
}

TEST(SocketOptionsTest, LingerIsOffOrATime) {
  const FdPair pair = MakeTcpPair();
  const SocketOptions options(pair.first.get());
  EXPECT_EQ(*options.linger(), std::nullopt);
  EXPECT_TRUE(options.set_linger(absl::ZeroDuration()).ok());
  EXPECT_EQ(*options.linger(), absl::ZeroDuration());
  EXPECT_TRUE(options.set_linger(absl::Seconds(7)).ok());
  EXPECT_EQ(*options.linger(), absl::Seconds(7));
  EXPECT_TRUE(options.set_linger(std::nullopt).ok());
  EXPECT_EQ(*options.linger(), std::nullopt);
  EXPECT_TRUE(absl::IsInvalidArgument(options.set_linger(-absl::Seconds(1))));
}

TEST(SocketOptionsTest, WhatMakesNoSenseIsRefusedByName) {
  const FdPair pair = MakeTcpPair();
  const SocketOptions options(pair.first.get());
  for (const int bytes : {0, -1, std::numeric_limits<int>::min()}) {
    const absl::Status set = options.set_send_buffer(bytes);
    EXPECT_TRUE(absl::IsInvalidArgument(set)) << set;
    EXPECT_TRUE(absl::StrContains(set.message(), "SO_SNDBUF")) << set;
    EXPECT_TRUE(absl::IsInvalidArgument(options.set_receive_buffer(bytes)));
  }
  const SocketOptions closed(-1);
  EXPECT_TRUE(absl::IsFailedPrecondition(closed.set_no_delay(true)));
  EXPECT_TRUE(absl::IsFailedPrecondition(closed.no_delay().status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(closed.keep_alive().status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(closed.linger().status()));
  const FdPair pipe = MakePipe();
  EXPECT_TRUE(absl::IsInvalidArgument(SocketOptions(pipe.first.get()).set_reuse_port(true)));
  // One that this kind of socket does not have.
  const FdPair local = MakeSocketPair();
  EXPECT_TRUE(absl::IsUnimplemented(SocketOptions(local.first.get()).set_no_delay(true)));
}

TEST(SocketOptionsTest, AKeepAliveWhoseTimesAreRefusedIsNotTurnedOn) {
  const FdPair pair = MakeTcpPair();
  const SocketOptions options(pair.first.get());
  {
    sys::FaultInjection faults;
    sys::ScopedSystemCalls scope(faults);
    faults.Fail(sys::FaultInjection::kSetSocketOption, ENOPROTOOPT, {.skip = 2, .times = 1});
    const absl::Status set = options.set_keep_alive({});
    EXPECT_TRUE(absl::StrContains(set.message(), "TCP_KEEPCNT")) << set;
  }
  EXPECT_FALSE(options.keep_alive()->on);
}

}  // namespace
}  // namespace plait
