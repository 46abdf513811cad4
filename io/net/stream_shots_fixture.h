// StreamShotsTest: what the tests of connections that wait again and again run on.
#ifndef PLAIT_IO_NET_STREAM_SHOTS_FIXTURE_H_
#define PLAIT_IO_NET_STREAM_SHOTS_FIXTURE_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "plait/io/net/stream.h"
#include "plait/io/net/stream_fixture.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {

class StreamShotsTest : public StreamLoopTest {
 protected:
  // The kernel's part of a close may end a few turns later.
  bool TurnsUntilItEnds(int peer) {
    char byte = 0;
    for (int turn = 0; turn < 100; ++turn) {
      EXPECT_TRUE(loop().RunReady().ok());
      if (sys::Calls().Receive(peer, &byte, 1) == 0) return true;
    }
    return false;
  }
};

inline Task<absl::StatusOr<std::string>> ReadSome(Stream* stream, size_t most) {
  co_return co_await stream->Read(most);
}

// Has `stream` wait for bytes until it does so in the way it will keep to.
inline Task<void> WaitOften(Stream* stream, int peer) {
  for (int i = 0; i < 3; ++i) {
    JoinHandle<absl::StatusOr<std::string>> reading = Spawn(ReadSome(stream, 1));
    co_await Yield();
    WriteAll(peer, "x");
    const absl::StatusOr<std::string> read = co_await reading;
    EXPECT_TRUE(read.ok() && *read == "x") << read.status();
  }
}

}  // namespace plait

#endif  // PLAIT_IO_NET_STREAM_SHOTS_FIXTURE_H_
