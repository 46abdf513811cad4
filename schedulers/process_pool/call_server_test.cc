// The worker's side, in a thread of this process: what it answers to what a parent sends, and to
// what no parent would. Of the five traps it faces one: a wake-up lost between check and park, in
// the link (link_test), here where a result waits for room.
#include "plait/schedulers/process_pool/call_server.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/environment.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/schedulers/process_pool/call_codec.h"
#include "plait/schedulers/process_pool/call_protocol.h"
#include "plait/schedulers/process_pool/codec.h"
#include "plait/schedulers/process_pool/link.h"
#include "plait/schedulers/process_pool/payload.h"

namespace call_server_test {

// Takes a byte more each time that it is encoded.
struct Growing {
  mutable size_t bytes = size_t{1} << 20;
};

}  // namespace call_server_test

template <>
struct plait::Codec<call_server_test::Growing> {
  static void Encode(const call_server_test::Growing& value, Encoder& out) {
    Codec<std::string>::Encode(std::string(++value.bytes, 'x'), out);
  }
  static std::optional<call_server_test::Growing> Decode(Decoder& in) {
    if (!Codec<std::string>::Decode(in).has_value()) return std::nullopt;
    return call_server_test::Growing();
  }
};

namespace plait::internal {
namespace {

using call_server_test::Growing;

constexpr size_t kRing = size_t{64} << 10;
constexpr size_t kArea = size_t{4} << 20;

int Twice(int n) { return 2 * n; }
std::string Repeat(absl::string_view text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += std::string(text);
  return all;
}
absl::StatusOr<int> Fail(int code) {
  return absl::Status(static_cast<absl::StatusCode>(code), "as asked");
}
int UntilCancelled(WorkerContext& context) {
  for (int round = 0; !context.cancelled(); ++round) SpinWait(round);
  return 7;
}

Growing Grow() { return {}; }

struct Answered {
  RecordKind kind;
  uint64_t number = 0;
  std::string bytes;

  template <class T>
  T As() const {
    return *Decode<absl::StatusOr<T>>(bytes);
  }
};

// A worker in a thread, and the parent's side of it, which waits by looking.
class Server {
 public:
  Server()
      : link_memory_(*LinkMemory::Create(kRing)),
        payload_(*PayloadMemory::Create(kArea)),
        link_(link_memory_, LinkEnd::kParent),
        arguments_(payload_, payload_->to_worker()),
        results_(payload_, payload_->to_parent()) {
    table_.Add("twice", &Twice).Add("repeat", &Repeat).Add("fail", &Fail);
    table_.Add("until_cancelled", &UntilCancelled).Add("grow", &Grow);
    thread_ = StartThread("server", [this] {
      LinkEnd end(link_memory_, LinkEnd::kWorker);
      served_ = ServeCalls(end, payload_, table_);
    });
    EXPECT_EQ(Next().kind, RecordKind::kReady);
  }
  ~Server() {
    if (!thread_.joinable()) return;
    EXPECT_TRUE(End().ok());
  }

  // Says goodbye; what ServeCalls gave.
  absl::Status End() {
    Send(RecordKind::kGoodbye, "");
    return Join();
  }
  absl::Status Join() {
    thread_.join();
    return served_;
  }

  void Send(RecordKind kind, absl::string_view bytes) {
    char* to = nullptr;
    for (int round = 0; (to = link_.Reserve(bytes.size())) == nullptr; ++round) SpinWait(round);
    if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
    link_.Commit(bytes.size(), static_cast<uint32_t>(kind));
  }

  template <class T>
  static std::string Bytes(const T& value) {
    // As it lies in shared memory.
    return std::string(reinterpret_cast<const char*>(&value), sizeof value);
  }

  template <class F, class... Args>
  uint64_t Call(F* function, const Args&... args) {
    Encoder counting({});
    CallTraits<F>::Codec::EncodeArguments(counting, args...);
    std::string arguments(counting.needed(), '\0');
    Encoder out(absl::MakeSpan(arguments));
    CallTraits<F>::Codec::EncodeArguments(out, args...);
    const CallHeader header{++number_, static_cast<uint32_t>(*table_.IndexOf(function)), 0};
    if (arguments.size() <= 1'000) {
      Send(RecordKind::kCall, Bytes(header) + arguments);
    } else {
      const PayloadRef ref = *arguments_.Allocate(arguments.size());
      std::memcpy(arguments_.Bytes(ref).data(), arguments.data(), arguments.size());
      Send(RecordKind::kCallElsewhere, Bytes(header) + Bytes(ref));
    }
    return number_;
  }

  Answered Next() {
    std::optional<RingRecord> record;
    for (int round = 0; !(record = link_.Peek()).has_value(); ++round) SpinWait(round);
    absl::string_view bytes = record->bytes;
    Answered answer{.kind = static_cast<RecordKind>(record->tag)};
    answer.number = *TakeFront<uint64_t>(bytes);
    if (answer.kind == RecordKind::kResultElsewhere) {
      answer.bytes = std::string(*results_.View(*TakeFront<PayloadRef>(bytes)));
      payload_->board().TakeResult();
    } else {
      answer.bytes = std::string(bytes);
    }
    link_.Pop();
    return answer;
  }

  CallBoard& board() { return payload_->board(); }
  FunctionTable& table() { return table_; }
  uint64_t next_number() { return ++number_; }

 private:
  FunctionTable table_;
  const std::shared_ptr<LinkMemory> link_memory_;
  const std::shared_ptr<PayloadMemory> payload_;
  LinkEnd link_;
  PayloadWriter arguments_;
  PayloadReader results_;
  uint64_t number_ = 0;
  absl::Status served_;
  Thread thread_;
};

TEST(CallServerTest, CallsAreAnsweredInTheirOrder) {
  Server server;
  for (int i = 0; i < 50; ++i) server.Call(&Twice, i);
  for (int i = 0; i < 50; ++i) {
    const Answered answer = server.Next();
    EXPECT_EQ(answer.kind, RecordKind::kResult);
    EXPECT_EQ(answer.number, static_cast<uint64_t>(i) + 1);
    EXPECT_EQ(answer.As<int>(), 2 * i);
  }
  EXPECT_EQ(server.board().begun(), 50u);
}

TEST(CallServerTest, WhatAFunctionFailsWithIsItsResult) {
  Server server;
  server.Call(&Fail, static_cast<int>(absl::StatusCode::kNotFound));
  const Answered answer = server.Next();
  EXPECT_EQ(answer.kind, RecordKind::kResult);
  EXPECT_EQ(Decode<absl::StatusOr<int>>(answer.bytes).status(), absl::NotFoundError("as asked"));
}

TEST(CallServerTest, LargeArgumentsAndResultsTravelElsewhere) {
  Server server;
  const std::string text(100'000, 'x');
  server.Call(&Repeat, text, 3);
  const Answered answer = server.Next();
  EXPECT_EQ(answer.kind, RecordKind::kResultElsewhere);
  EXPECT_EQ(answer.As<std::string>(), std::string(300'000, 'x'));
}

TEST(CallServerTest, ResultsThatFillTheMemoryWaitUntilTheParentHasReadSome) {
  Server server;
  // Together 40 times what there is room for.
  constexpr int kCalls = 50;
  for (int i = 0; i < kCalls; ++i) server.Call(&Repeat, std::string(1'000, 'y'), 3'000);
  for (int i = 0; i < kCalls; ++i) {
    EXPECT_EQ(server.Next().As<std::string>().size(), 3'000'000u);
  }
}

TEST(CallServerTest, AResultThatHasNoRoomAtAllIsRefused) {
  Server server;
  server.Call(&Repeat, std::string(1'000, 'y'), 5'000);
  const Answered answer = server.Next();
  EXPECT_EQ(answer.kind, RecordKind::kRefused);
  EXPECT_EQ(Decode<absl::Status>(answer.bytes).code(), absl::StatusCode::kResourceExhausted);
}

TEST(CallServerTest, AResultThatIsAnotherTheSecondTimeIsRefusedAndItsMemoryIsFreeAgain) {
  Server server;
  // Together more than the memory: four of them fill it.
  for (int i = 0; i < 10; ++i) {
    server.Call(&Grow);
    const Answered answer = server.Next();
    ASSERT_EQ(answer.kind, RecordKind::kRefused);
    ASSERT_EQ(Decode<absl::Status>(answer.bytes).code(), absl::StatusCode::kInternal);
  }
  server.Call(&Repeat, std::string(1'000, 'y'), 4'000);
  EXPECT_EQ(server.Next().As<std::string>().size(), 4'000'000u);
}

TEST(CallServerTest, AWithdrawnCallIsAnsweredAndDoesNotRun) {
  Server server;
  const uint64_t number = server.next_number();
  ASSERT_TRUE(server.board().Withdraw(number));
  // Would never end.
  const CallHeader header{number, static_cast<uint32_t>(*server.table().IndexOf(&UntilCancelled)),
                          0};
  server.Send(RecordKind::kCall, Server::Bytes(header));
  const Answered answer = server.Next();
  EXPECT_EQ(answer.kind, RecordKind::kWithdrawn);
  EXPECT_EQ(answer.number, number);
}

TEST(CallServerTest, AFunctionThatRunsSeesThatItIsToStop) {
  Server server;
  const uint64_t number = server.Call(&UntilCancelled);
  for (int round = 0; server.board().begun() < number; ++round) SpinWait(round);
  EXPECT_FALSE(server.board().Withdraw(number));
  EXPECT_NE(server.board().stop_word(number).load(), number) << "only withdrawn, it goes on";
  server.board().Stop(number);
  EXPECT_EQ(server.Next().As<int>(), 7);
}

TEST(CallServerTest, ManyCallsTravelAsOne) {
  Server server;
  CallHeader header{server.next_number(), static_cast<uint32_t>(*server.table().IndexOf(&Twice)),
                    3};
  using Codec = CallTraits<decltype(Twice)>::Codec;
  std::string bytes = Server::Bytes(header) + Server::Bytes(Codec::kFingerprint);
  for (const int n : {5, 6, 7}) bytes += Server::Bytes(n);
  server.Send(RecordKind::kCall, bytes);
  const Answered answer = server.Next();
  ASSERT_EQ(answer.kind, RecordKind::kResult);
  Decoder in(answer.bytes);
  for (const int n : {5, 6, 7}) {
    EXPECT_EQ(**plait::Codec<absl::StatusOr<int>>::Decode(in), 2 * n);
  }
  EXPECT_TRUE(in.Finish().ok());
}

TEST(CallServerTest, ACallThatCannotBeMadeIsRefusedAndTheNextIsServed) {
  Server server;
  const CallHeader unknown{server.next_number(), 1'000'000, 0};
  server.Send(RecordKind::kCall, Server::Bytes(unknown));
  Answered answer = server.Next();
  EXPECT_EQ(answer.kind, RecordKind::kRefused);
  EXPECT_EQ(Decode<absl::Status>(answer.bytes).code(), absl::StatusCode::kNotFound);
  const CallHeader garbage{server.next_number(),
                           static_cast<uint32_t>(*server.table().IndexOf(&Twice)), 0};
  server.Send(RecordKind::kCall, Server::Bytes(garbage) + "123");
  answer = server.Next();
  EXPECT_EQ(answer.kind, RecordKind::kRefused);
  EXPECT_EQ(Decode<absl::Status>(answer.bytes).code(), absl::StatusCode::kDataLoss);
  server.Call(&Twice, 4);
  EXPECT_EQ(server.Next().As<int>(), 8);
}

TEST(CallServerTest, WhatIsNoCallEndsIt) {
  constexpr uint64_t kHuge = ~uint64_t{0};
  const std::vector<std::pair<RecordKind, std::string>> bad = {
      {RecordKind::kCall, ""},
      {RecordKind::kCall, "short"},
      {RecordKind::kCallElsewhere, Server::Bytes(CallHeader{1, 0, 0})},
      {RecordKind::kCallElsewhere,
       Server::Bytes(CallHeader{1, 0, 0}) + Server::Bytes(PayloadRef{kHuge, 2})},
      {static_cast<RecordKind>(999), Server::Bytes(CallHeader{1, 0, 0})},
  };
  for (const auto& [kind, bytes] : bad) {
    Server server;
    server.Send(kind, bytes);
    EXPECT_EQ(server.Join().code(), absl::StatusCode::kDataLoss) << bytes.size();
  }
}

}  // namespace
}  // namespace plait::internal
