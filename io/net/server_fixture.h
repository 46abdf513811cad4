// What the tests of Server share: handlers, and a client.
#ifndef PLAIT_IO_NET_SERVER_FIXTURE_H_
#define PLAIT_IO_NET_SERVER_FIXTURE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/io/net/address.h"
#include "plait/io/net/connect.h"
#include "plait/io/net/net_fixture.h"
#include "plait/io/net/stream.h"
#include "plait/runtime/runtime.h"

namespace plait {

// ServerTest runs on a loop over each reactor, as NetTest does.
class ServerTest : public NetTest {};

inline Task<absl::Status> Echo(Stream stream) {
  for (;;) {
    const std::string text = co_await OrReturn(ReadText(stream));
    if (text.empty()) co_return co_await stream.Close();
    co_await OrReturn(stream.Write(text));
  }
}

// Until its peer says something or goes, or it is cancelled.
inline Task<absl::Status> Hold(Stream stream) {
  const absl::StatusOr<std::string> text = co_await ReadText(stream);
  co_return text.status();
}

inline Task<absl::StatusOr<std::string>> Ask(const SocketAddress& address, std::string question) {
  Stream stream = co_await OrReturn(Connect(address));
  co_await OrReturn(stream.Write(question));
  std::string answer = co_await OrReturn(stream.ReadExactly(question.size()));
  co_await OrReturn(stream.Close());
  co_return answer;
}

}  // namespace plait

#endif  // PLAIT_IO_NET_SERVER_FIXTURE_H_
