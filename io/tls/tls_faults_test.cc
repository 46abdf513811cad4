// Whatever call of the system's fails, in whatever way: a conversation over TLS ends, with success
// or with the system's error, and nothing is left of it.
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "plait/io/net/stream.h"
#include "plait/io/net/stream_fixture.h"
#include "plait/io/system/fault_injection.h"
#include "plait/io/system/fault_matrix.h"
#include "plait/io/tls/start_tls.h"
#include "plait/io/tls/tls_fixture.h"
#include "plait/io/tls/tls_stream.h"
#include "plait/runtime/runtime.h"
#include "plait/runtime/testing/all_executors.h"
#include "plait/runtime/testing/executor_under_faults.h"
#include "plait/runtime/testing/sockets.h"

namespace plait {
namespace {

using sys::ArmFaults;
using sys::FaultInjection;

class TlsFaultsTest : public testing::TestWithParam<IoExecutor> {
 protected:
  TestTls tls_;
};

INSTANTIATE_TEST_SUITE_P(AllExecutors, TlsFaultsTest, testing::ValuesIn(ExecutorsUnderFaults()),
                         IoExecutor::Name);

Task<absl::Status> Answer(Stream stream, TlsContext context) {
  TlsStream secure = co_await OrReturn(StartTls(std::move(stream), std::move(context)));
  const std::string question = co_await OrReturn(secure.ReadExactly(8));
  EXPECT_EQ(question, "question");
  co_await OrReturn(secure.Write(std::string(100'000, 'x')));
  co_return co_await secure.Close();
}

Task<absl::Status> Ask(Stream stream, TlsContext context) {
  TlsStream secure =
      co_await OrReturn(StartTls(std::move(stream), std::move(context), "localhost"));
  co_await OrReturn(secure.Write("question"));
  const std::string answer = co_await OrReturn(secure.ReadAll(200'000));
  EXPECT_EQ(answer, std::string(100'000, 'x'));
  co_return co_await secure.Close();
}

TEST_P(TlsFaultsTest, AQuestionAndItsAnswer) {
  for (const bool tcp : {true, false}) {
    const auto scenario = [&](const ArmFaults& arm) -> absl::Status {
      FdPair pair = tcp ? MakeTcpPair() : MakeSocketPair();
      const auto body = [&]() -> Task<absl::Status> {
        JoinHandle<absl::Status> answering = Spawn(Answer(MakeStream(pair.second), tls_.server));
        const absl::Status asked = co_await Ask(MakeStream(pair.first), tls_.client);
        const absl::Status answered = co_await answering;
        // Where one side was told why, the other has seen no more than an end.
        co_return absl::IsUnavailable(asked) || absl::IsDataLoss(asked) || asked.ok() ? answered
                                                                                      : asked;
      };
      return RunUnderFaults(GetParam(), arm, body);
    };
    std::vector<FaultInjection::Call> reaches;
    if (GetParam().reactor.name != "IoUring") {
      reaches = {FaultInjection::kReceive, FaultInjection::kSend};
    }
    sys::RunFaultMatrix({.errors_are_named = false,
                         .short_transfers = !tcp,
                         .reaches = std::move(reaches),
                         .left_out = LeftOutOf(GetParam())},
                        scenario);
  }
}

}  // namespace
}  // namespace plait
