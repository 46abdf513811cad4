#include "plait/schedulers/process_pool/function_table.h"

#include <cstdint>
#include <memory>
#include <numeric>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "plait/runtime/core/atomic.h"
#include "plait/schedulers/process_pool/codec.h"
#include "plait/schedulers/process_pool/process_function.h"
#include "plait/schedulers/process_pool/worker_context.h"

namespace plait {
namespace {

inline constexpr ProcessFunction<int(int)> kSquare("square");
inline constexpr ProcessFunction<std::string(absl::string_view, int)> kRepeat("repeat");

int Square(int n) { return n * n; }
absl::StatusOr<int> Half(int n) {
  if (n % 2 != 0) return absl::InvalidArgumentError("odd");
  return n / 2;
}
absl::Status Refuse() { return absl::PermissionDeniedError("no"); }

// Encodes, as a caller does.
template <class F, class... Arguments>
std::string ArgumentsOf(const F&, const Arguments&... arguments) {
  using Call = typename internal::CallTraits<F>::Codec;
  Encoder counting({});
  Call::EncodeArguments(counting, arguments...);
  std::string bytes(counting.needed(), '\0');
  Encoder out(absl::MakeSpan(bytes));
  Call::EncodeArguments(out, arguments...);
  return bytes;
}

// Runs function `index` on encoded arguments, once or as many, and gives the encoded result.
absl::StatusOr<std::string> RunBytes(const FunctionTable& table, size_t index,
                                     absl::string_view bytes, int many = -1,
                                     WorkerContext* context = nullptr) {
  WorkerContext free;
  if (context == nullptr) context = &free;
  Decoder in(bytes);
  std::string result;
  const auto emit = [&result](absl::FunctionRef<void(Encoder&)> encode) {
    Encoder counting({});
    encode(counting);
    result.resize(counting.needed());
    Encoder out(absl::MakeSpan(result));
    encode(out);
  };
  const absl::Status status =
      many < 0 ? table.Invoke(index, *context, in, emit)
               : table.InvokeMany(index, static_cast<size_t>(many), *context, in, emit);
  if (!status.ok()) return status;
  return result;
}

template <class F, class... Arguments>
typename internal::CallTraits<F>::Result Call(const FunctionTable& table, const F& function,
                                              const Arguments&... arguments) {
  const absl::StatusOr<size_t> index = table.IndexOf(function);
  if (!index.ok()) return index.status();
  const absl::StatusOr<std::string> bytes =
      RunBytes(table, *index, ArgumentsOf(function, arguments...));
  if (!bytes.ok()) return bytes.status();
  return Decode<typename internal::CallTraits<F>::Result>(*bytes);
}

TEST(FunctionTableTest, AFunctionIsCalledByItsHandleOrByItsAddress) {
  FunctionTable table;
  table.Add(kSquare, &Square).Add("half", &Half).Add("refuse", &Refuse);
  ASSERT_TRUE(table.status().ok());
  EXPECT_EQ(*Call(table, kSquare, 3), 9);
  EXPECT_EQ(*Call(table, &Square, 4), 16);
  EXPECT_EQ(*Call(table, Square, 5), 25);
  EXPECT_EQ(*Call(table, Half, 8), 4);
  EXPECT_EQ(Call(table, Half, 7).status(), absl::InvalidArgumentError("odd"));
  EXPECT_EQ(Call(table, Refuse), absl::PermissionDeniedError("no"));
}

TEST(FunctionTableTest, AHandleWithoutAStatusMayBeAFunctionThatReturnsOne) {
  FunctionTable table;
  table.Add(kSquare, [](int n) -> absl::StatusOr<int> {
    if (n > 1000) return absl::OutOfRangeError("too large");
    return n * n;
  });
  EXPECT_EQ(*Call(table, kSquare, 3), 9);
  EXPECT_EQ(Call(table, kSquare, 1001).status(), absl::OutOfRangeError("too large"));
  // Callers see no difference.
  static_assert(
      std::is_same_v<internal::CallTraits<decltype(kSquare)>::Result, absl::StatusOr<int>>);
  static_assert(internal::CallTraits<int(int)>::Codec::kFingerprint ==
                internal::CallTraits<absl::StatusOr<int>(int)>::Codec::kFingerprint);
}

TEST(FunctionTableTest, LambdasViewsAndNoResultAtAllArePassedOn) {
  int calls = 0;
  FunctionTable table;
  table
      .Add(kRepeat,
           [](absl::string_view text, int times) {
             std::string all;
             for (int i = 0; i < times; ++i) absl::StrAppend(&all, text);
             return all;
           })
      .Add("count", [&calls](int by) { calls += by; })
      .Add("tail", [](const std::vector<int>& all) { return absl::MakeConstSpan(all).subspan(1); });
  EXPECT_EQ(*Call(table, kRepeat, "ab", 3), "ababab");
  EXPECT_EQ(Call(table, ProcessFunction<void(int)>("count"), 7), absl::OkStatus());
  EXPECT_EQ(calls, 7);
  const std::vector<int> numbers = {1, 2, 3};
  EXPECT_EQ(*Call(table, ProcessFunction<std::vector<int>(std::vector<int>)>("tail"), numbers),
            (std::vector<int>{2, 3}));
}

TEST(FunctionTableTest, AFunctionThatLooksAtItsContextSeesTheCallCancelled) {
  const auto cancelled = [](WorkerContext& context, int n) { return context.cancelled() ? -1 : n; };
  FunctionTable table;
  table.Add("look", cancelled).Add(kSquare, cancelled);
  const ProcessFunction<int(int)> look("look");
  EXPECT_EQ(*Call(table, look, 5), 5);
  EXPECT_EQ(*Call(table, kSquare, 5), 5);
  internal::Atomic<uint64_t> word{0};
  WorkerContext context(&word, 17);
  EXPECT_EQ(*Decode<absl::StatusOr<int>>(*RunBytes(table, 0, ArgumentsOf(look, 5), -1, &context)),
            5);
  word.store(17);
  EXPECT_EQ(*Decode<absl::StatusOr<int>>(*RunBytes(table, 0, ArgumentsOf(look, 5), -1, &context)),
            -1);
}

TEST(FunctionTableTest, ManyCallsComeInOneAndTheirResultsBehindOneAnother) {
  FunctionTable table;
  table.Add("half", &Half);
  std::string bytes = *Encode(internal::CallTraits<decltype(Half)>::Codec::kFingerprint);
  for (int i = 0; i < 5; ++i) bytes += *Encode(i);
  const absl::StatusOr<std::string> results = RunBytes(table, 0, bytes, 5);
  ASSERT_TRUE(results.ok()) << results.status();
  Decoder in(*results);
  for (int i = 0; i < 5; ++i) {
    const auto result = Codec<absl::StatusOr<int>>::Decode(in);
    ASSERT_TRUE(result.has_value());
    if (i % 2 == 0) {
      EXPECT_EQ(**result, i / 2);
    }
    EXPECT_EQ(result->ok(), i % 2 == 0);
  }
  EXPECT_TRUE(in.Finish().ok());
  // Fewer and more than are there.
  EXPECT_EQ(RunBytes(table, 0, bytes, 4).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(RunBytes(table, 0, bytes, 6).status().code(), absl::StatusCode::kDataLoss);
  internal::Atomic<uint64_t> word{1};
  WorkerContext context(&word, 1);
  EXPECT_TRUE(absl::IsCancelled(RunBytes(table, 0, bytes, 5, &context).status()));
}

TEST(FunctionTableTest, ANameThatIsThereTwiceOrNotAtAllIsSaidToBe) {
  FunctionTable table;
  table.Add(kSquare, &Square).Add("square", &Half).Add("", &Half);
  EXPECT_EQ(table.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(table.status().message(), "two functions of a FunctionTable have the name \"square\"");
  FunctionTable nameless;
  nameless.Add("", &Square);
  EXPECT_EQ(nameless.status().code(), absl::StatusCode::kInvalidArgument);

  const FunctionTable empty;
  EXPECT_EQ(Call(empty, kSquare, 3).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Call(empty, Square, 3).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(empty.IndexOf("square").status().message(),
            "there is no function \"square\" in the FunctionTable that the pool was made with");
  EXPECT_EQ(RunBytes(empty, 0, "").status().code(), absl::StatusCode::kNotFound);
}

TEST(FunctionTableTest, AHandleOfAnotherTypeIsRefusedBeforeAnythingIsSent) {
  FunctionTable table;
  table.Add("square", &Square);
  const absl::Status status = table.IndexOf(ProcessFunction<int(double)>("square")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(
      status.message(),
      "the function \"square\" has other parameters, or another result, in the FunctionTable");
  EXPECT_EQ(*table.IndexOf("square"), 0u);
}

TEST(FunctionTableTest, GarbageIsNoCall) {
  bool called = false;
  FunctionTable table;
  table.Add("call", [&called](const std::string&) { called = true; });
  const ProcessFunction<void(std::string)> call("call");
  const std::string bytes = ArgumentsOf(call, "text");
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(RunBytes(table, 0, bytes.substr(0, size)).status().code(),
              absl::StatusCode::kDataLoss);
  }
  EXPECT_EQ(RunBytes(table, 0, ArgumentsOf(kSquare, 3)).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(called);
}

TEST(FunctionTableTest, TablesThatDifferHaveOtherFingerprintsAndCopiesHaveNot) {
  FunctionTable one;
  one.Add("a", &Square).Add("b", &Half);
  FunctionTable other_names;
  other_names.Add("a", &Square).Add("c", &Half);
  FunctionTable other_types;
  other_types.Add("a", &Square).Add("b", &Refuse);
  FunctionTable swapped;
  swapped.Add("b", &Half).Add("a", &Square);
  EXPECT_NE(one.fingerprint(), other_names.fingerprint());
  EXPECT_NE(one.fingerprint(), other_types.fingerprint());
  EXPECT_NE(one.fingerprint(), swapped.fingerprint());
  const FunctionTable copy = one;
  EXPECT_EQ(one.fingerprint(), copy.fingerprint());
  EXPECT_EQ(*Call(copy, Square, 3), 9);
}

TEST(FunctionTableTest, TheInitializerRunsWhenItIsAskedForAndItsErrorIsGiven) {
  FunctionTable table;
  EXPECT_EQ(table.Initialize(), absl::OkStatus());
  table.SetInitializer([] { return absl::UnavailableError("no model"); });
  EXPECT_EQ(table.Initialize(), absl::UnavailableError("no model"));
}

TEST(FunctionTableTest, WhatIsNoFunctionIsNoProcessCallable) {
  static_assert(ProcessCallable<decltype(kSquare)>);
  static_assert(ProcessCallable<decltype(Square)>);
  static_assert(ProcessCallable<decltype(&Square)>);
  static_assert(!ProcessCallable<int>);
  static_assert(!ProcessCallable<const char*>);
}

}  // namespace
}  // namespace plait
