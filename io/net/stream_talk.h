// What tests have two sides of a connection say, over Streams and over what has the same calls (an
// encrypted one). Parameters that are references outlive the task.
#ifndef PLAIT_IO_NET_STREAM_TALK_H_
#define PLAIT_IO_NET_STREAM_TALK_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/guarded_buffer.h"

namespace plait {

// From a buffer that is gone when the Write is done.
template <class AnyStream>
Task<absl::Status> WriteText(AnyStream& stream, std::string text) {
  const GuardedBuffer buffer(text);
  co_return co_await stream.Write(buffer.text(buffer.size()));
}

inline constexpr absl::string_view kOfAllKinds =
    "first line\nsecond\n\nhead: 1\r\n\r\nexact, and the rest of it";

// Sends that, and is answered by who reads it in all ways.
template <class AnyStream>
Task<absl::Status> SendByteByByte(AnyStream& stream) {
  for (const char byte : kOfAllKinds) {
    co_await OrReturn(WriteText(stream, std::string(1, byte)));
    co_await Yield();
  }
  co_await OrReturn(stream.ShutdownWrite());
  co_await OrReturn(stream.ShutdownWrite());
  const absl::Status written = co_await stream.Write("more");
  EXPECT_TRUE(absl::IsFailedPrecondition(written)) << written;
  const std::string answer = co_await OrReturn(stream.ReadAll(100));
  EXPECT_EQ(answer, "answer");
  co_return co_await stream.Close();
}

template <class AnyStream>
Task<absl::Status> ReadInAllWays(AnyStream& stream) {
  const std::string line = co_await OrReturn(stream.ReadLine());
  EXPECT_EQ(line, "first line");
  AsyncGenerator<absl::StatusOr<std::string>> lines = stream.Lines();
  for (const char* expected : {"second", ""}) {
    const auto next = co_await lines.Next();
    EXPECT_TRUE(next.has_value() && next->ok() && **next == expected);
  }
  co_await OrReturn(lines.Close());
  const std::string head = co_await OrReturn(stream.ReadUntil("\r\n\r\n"));
  EXPECT_EQ(head, "head: 1\r\n\r\n");
  GuardedBuffer exact(5);
  co_await OrReturn(stream.ReadExactly(exact.span()));
  EXPECT_EQ(exact.text(5), "exact");
  while (stream.buffered().size() < 2) {
    const size_t more = co_await OrReturn(stream.ReadMore());
    EXPECT_GT(more, 0u) << "this is not the end";
    if (more == 0) break;
  }
  EXPECT_EQ(stream.buffered().substr(0, 2), ", ");
  stream.Consume(2);
  const std::string rest = co_await OrReturn(stream.ReadAll(100));
  EXPECT_EQ(rest, "and the rest of it");
  for (int i = 0; i < 2; ++i) {
    const std::string end = co_await OrReturn(stream.Read(1));
    EXPECT_EQ(end, "") << "and again when it is asked again";
    const size_t none = co_await OrReturn(stream.Read(exact.span()));
    EXPECT_EQ(none, 0u);
  }
  const absl::Status early = co_await stream.ReadExactly(exact.span());
  EXPECT_TRUE(absl::IsOutOfRange(early)) << early;
  co_await OrReturn(stream.Write("answer"));
  co_return co_await stream.Close();
}

}  // namespace plait

#endif  // PLAIT_IO_NET_STREAM_TALK_H_
