// Codecs of absl::Status, StatusOr, Duration and Time. Include codec.h.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_CODEC_ABSL_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_CODEC_ABSL_H_

#include <cstdint>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "plait/schedulers/process_pool/codec_base.h"

namespace plait {

// With its message and payloads. A code that Abseil does not know arrives as kUnknown.
template <>
struct Codec<absl::Status> {
  static constexpr uint64_t kFingerprint = internal::HashText("status");

  static void Encode(const absl::Status& status, Encoder& out);
  static std::optional<absl::Status> Decode(Decoder& in);
};

template <class T>
struct Codec<absl::StatusOr<T>> {
  static constexpr uint64_t kFingerprint =
      internal::MixFingerprints({internal::HashText("status_or"), internal::TypeFingerprint<T>()});

  static void Encode(const absl::StatusOr<T>& result, Encoder& out) {
    Codec<absl::Status>::Encode(result.status(), out);
    if (result.ok()) Codec<T>::Encode(*result, out);
  }
  static std::optional<absl::StatusOr<T>> Decode(Decoder& in) {
    std::optional<absl::Status> status = Codec<absl::Status>::Decode(in);
    if (!status.has_value()) return std::nullopt;
    if (!status->ok()) return std::optional<absl::StatusOr<T>>(std::in_place, *std::move(status));
    std::optional<T> value = Codec<T>::Decode(in);
    if (!value.has_value()) return std::nullopt;
    return std::optional<absl::StatusOr<T>>(std::in_place, *std::move(value));
  }
};

// Exact, the infinite ones too.
template <>
struct Codec<absl::Duration> {
  static constexpr uint64_t kFingerprint = internal::HashText("duration");

  static void Encode(absl::Duration duration, Encoder& out);
  static std::optional<absl::Duration> Decode(Decoder& in);
};
template <>
struct Codec<absl::Time> {
  static constexpr uint64_t kFingerprint = internal::HashText("time");

  static void Encode(absl::Time time, Encoder& out);
  static std::optional<absl::Time> Decode(Decoder& in);
};

}  // namespace plait

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_CODEC_ABSL_H_
