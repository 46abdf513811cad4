// NetRaces: what the tests of cancels and of closes against operations of every kind run on: every
// executor that waits for I/O, moments that a seed draws, and data in which a byte lost, repeated
// or moved shows. At the end nothing is in flight (the executor's reactors CHECK it), and no
// descriptor is left.
#ifndef PLAIT_IO_NET_NET_RACES_FIXTURE_H_
#define PLAIT_IO_NET_NET_RACES_FIXTURE_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "plait/io/net/address.h"
#include "plait/io/net/datagram_socket.h"
#include "plait/io/net/stream.h"
#include "plait/io/net/stream_fixture.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/guarded_buffer.h"
#include "plait/runtime/testing/leftovers.h"
#include "plait/runtime/testing/races.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {

using Text = absl::StatusOr<std::string>;
using Count = absl::StatusOr<size_t>;

inline std::string BytesAt(uint64_t position, size_t size) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = ByteAt(position + i);
  return bytes;
}

inline Task<Text> Read(Stream& stream, size_t size) {
  GuardedBuffer buffer(size);
  const Count count = co_await stream.Read(buffer.span());
  if (!count.ok()) co_return count.status();
  co_return std::string(buffer.text(*count));
}

inline Task<absl::Status> Write(Stream& stream, std::string bytes) {
  co_await OrReturn(stream.Write(bytes));
  co_return co_await stream.Flush();
}

inline Task<Text> Receive(const DatagramSocket& socket) {
  GuardedBuffer buffer(16);
  const auto received = co_await socket.Receive(buffer.span());
  if (!received.ok()) co_return received.status();
  co_return std::string(buffer.text(received->size));
}

// All that comes, which has to be the bytes from 0 on; how many.
inline Task<uint64_t> ReadToTheEnd(Stream& stream) {
  uint64_t received = 0;
  for (;;) {
    const Text some = co_await Read(stream, 4096);
    if (!some.ok() || some->empty()) co_return received;
    EXPECT_EQ(*some, BytesAt(received, some->size()));
    received += some->size();
  }
}

// That nobody else on this machine has.
inline SocketAddress NewAddress() {
  return *SocketAddress::UnixAbstract(absl::StrCat("plait-races-", RandomSeed()));
}

class NetRaces : public IoTest {
 protected:
  NetRaces() : IoTest(/*blocking_threads=*/2) {
    // The first one may leave something for all that follow.
    executor();
    EndExecutor();
    descriptors_ = OpenDescriptors();
  }
  ~NetRaces() override {
    EndExecutor();
    EXPECT_EQ(OpenDescriptors(), descriptors_);
    RecordProperty("cancelled", cancelled_);
    RecordProperty("completed", completed_);
  }

  Task<void> LetSomeTimePass() {
    for (unsigned turns = jitter_(4); turns > 0; --turns) co_await Yield();
    if (jitter_(4) != 0) co_return;
    const absl::Status slept = co_await Sleep(absl::Nanoseconds(jitter_(30'000)));
    EXPECT_TRUE(slept.ok()) << slept;
  }

  // What it gives after a cancel that came at any moment, mostly.
  template <class T>
  Task<T> Finish(JoinHandle<T> handle) {
    co_await LetSomeTimePass();
    if (jitter_(8) != 0) handle.Cancel();
    T result = co_await handle;
    ExpectOneOutcome(result);
    co_return result;
  }
  template <class T>
  void ExpectOneOutcome(const T& result) {
    if (result.ok()) {
      ++completed_;
      return;
    }
    ++cancelled_;
    const absl::Status status = StatusOf(result);
    EXPECT_TRUE(absl::IsCancelled(status)) << status;
  }
  static absl::Status StatusOf(const absl::Status& status) { return status; }
  template <class T>
  static absl::Status StatusOf(const absl::StatusOr<T>& result) {
    return result.status();
  }

  static Stream Own(OwnedFd& end) { return MakeStream(end); }

  int descriptors_ = 0;
  Jitter jitter_{RaceSeed()};
  int64_t cancelled_ = 0;
  int64_t completed_ = 0;
};

}  // namespace plait

#endif  // PLAIT_IO_NET_NET_RACES_FIXTURE_H_
