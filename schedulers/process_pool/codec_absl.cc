#include "plait/schedulers/process_pool/codec_absl.h"

#include <limits>
#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"

namespace plait {
namespace {

// A duration is whole seconds, rounded down, and what is above them in Abseil's unit, a quarter of
// a nanosecond.
constexpr int64_t kTicksPerSecond = 4'000'000'000;
// In place of the ticks: infinite, with the sign of the seconds.
constexpr uint32_t kInfinite = std::numeric_limits<uint32_t>::max();

absl::Duration Tick() { return absl::Nanoseconds(1) / 4; }

// A Status looks for one among all: many are slow to read.
constexpr size_t kMostPayloads = 64;

constexpr uint64_t kLargestCode = static_cast<uint64_t>(absl::StatusCode::kUnauthenticated);

}  // namespace

void Codec<absl::Status>::Encode(const absl::Status& status, Encoder& out) {
  out.WriteSize(static_cast<uint64_t>(status.code()));
  if (status.ok()) return;
  Codec<std::string>::Encode(status.message(), out);
  size_t count = 0;
  status.ForEachPayload([&count](absl::string_view, const absl::Cord&) { ++count; });
  if (count > kMostPayloads) return out.Fail("a status has more than 64 payloads");
  out.WriteSize(count);
  status.ForEachPayload([&out](absl::string_view type, const absl::Cord& payload) {
    Codec<std::string>::Encode(type, out);
    out.WriteSize(payload.size());
    for (const absl::string_view chunk : payload.Chunks()) out.Write(chunk.data(), chunk.size());
  });
}

std::optional<absl::Status> Codec<absl::Status>::Decode(Decoder& in) {
  const std::optional<uint64_t> code = in.ReadNumber();
  if (!code.has_value()) return std::nullopt;
  if (*code == 0) return absl::OkStatus();
  if (*code > kLargestCode) return in.Fail("a status has a code that there is not");
  const std::optional<std::string> message = Codec<std::string>::Decode(in);
  if (!message.has_value()) return std::nullopt;
  absl::Status status(static_cast<absl::StatusCode>(*code), *message);
  const std::optional<size_t> payloads = in.ReadSize(2);
  if (!payloads.has_value()) return std::nullopt;
  if (*payloads > kMostPayloads) return in.Fail("a status has more than 64 payloads");
  for (size_t i = 0; i < *payloads; ++i) {
    const std::optional<std::string> type = Codec<std::string>::Decode(in);
    if (!type.has_value()) return std::nullopt;
    const std::optional<std::string> payload = Codec<std::string>::Decode(in);
    if (!payload.has_value()) return std::nullopt;
    if (status.GetPayload(*type).has_value()) return in.Fail("a status has a payload twice");
    status.SetPayload(*type, absl::Cord(absl::string_view(*payload)));
  }
  return status;
}

void Codec<absl::Duration>::Encode(absl::Duration duration, Encoder& out) {
  int64_t seconds = absl::ToInt64Seconds(duration);  // rounded towards zero
  uint32_t ticks = kInfinite;
  if (duration != absl::InfiniteDuration() && duration != -absl::InfiniteDuration()) {
    absl::Duration rest = duration - absl::Seconds(seconds);
    if (rest < absl::ZeroDuration()) {
      --seconds;
      rest += absl::Seconds(1);
    }
    ticks = static_cast<uint32_t>(rest / Tick());
  }
  Codec<int64_t>::Encode(seconds, out);
  Codec<uint32_t>::Encode(ticks, out);
}

std::optional<absl::Duration> Codec<absl::Duration>::Decode(Decoder& in) {
  const std::optional<int64_t> seconds = Codec<int64_t>::Decode(in);
  const std::optional<uint32_t> ticks = Codec<uint32_t>::Decode(in);
  if (!seconds.has_value() || !ticks.has_value()) return std::nullopt;
  if (*ticks == kInfinite) {
    return *seconds < 0 ? -absl::InfiniteDuration() : absl::InfiniteDuration();
  }
  if (*ticks >= kTicksPerSecond) return in.Fail("a duration has more than a second of ticks");
  return absl::Seconds(*seconds) + Tick() * static_cast<int64_t>(*ticks);
}

void Codec<absl::Time>::Encode(absl::Time time, Encoder& out) {
  Codec<absl::Duration>::Encode(time - absl::UnixEpoch(), out);
}

std::optional<absl::Time> Codec<absl::Time>::Decode(Decoder& in) {
  const std::optional<absl::Duration> since = Codec<absl::Duration>::Decode(in);
  if (!since.has_value()) return std::nullopt;
  return absl::UnixEpoch() + *since;
}

}  // namespace plait
