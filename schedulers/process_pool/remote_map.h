// MapRemote: many calls of one function, in chunks, on any RemoteExecutor.
//
//   inline constexpr plait::ProcessFunction<int(int)> kSquare("square");
//   absl::StatusOr<std::vector<int>> all = co_await plait::MapRemote(executor, kSquare, numbers);
//
// A chunk is one RemoteCall. A few tasks, the lanes, take one chunk after the other, so that the
// executor always has some waiting and memory does not grow with the number of chunks: see
// RemoteCapacity.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_REMOTE_MAP_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_REMOTE_MAP_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <ranges>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/task/gather.h"
#include "plait/runtime/task/status_traits.h"
#include "plait/runtime/task/task.h"
#include "plait/schedulers/process_pool/codec.h"
#include "plait/schedulers/process_pool/process_function.h"
#include "plait/schedulers/process_pool/remote_executor.h"

namespace plait {

struct MapOptions {
  // How many items travel together. More of them cost less each, and are shared out less evenly; 0:
  // such that each of the executor's workers gets about 16 chunks, of 256 items at most.
  size_t chunk = 0;
  // For each chunk: its timeout, how often it may run, its key.
  CallOptions call;
  // Told after each chunk how many of the items are done; by one task at a time, briefly.
  absl::AnyInvocable<void(size_t done, size_t of)> progress;
};

namespace internal {

template <class F>
struct MapResultImpl;
template <class T>
struct MapResultImpl<absl::StatusOr<T>> {
  using type = absl::StatusOr<std::vector<T>>;
};
template <>
struct MapResultImpl<absl::Status> {
  using type = absl::Status;
};
// A vector of the function's results, or only a Status where it has none.
template <class F>
using MapResult = typename MapResultImpl<typename CallTraits<F>::Result>::type;

struct MapTarget {
  std::shared_ptr<RemoteExecutor> executor;
  absl::string_view name;  // as long as that is there
  std::optional<size_t> index;
};

inline size_t ChunkOf(const MapOptions& options, size_t items, int workers) {
  constexpr size_t kMost = 256;
  if (options.chunk > 0) return options.chunk;
  return std::clamp<size_t>(items / (static_cast<size_t>(workers) * 16), 1, kMost);
}

// What the lanes of a Map share.
template <class F, class Items>
struct MapState {
  using Result = typename CallTraits<F>::Result;
  static constexpr bool kHasValues = kIsStatusOr<Result>;
  template <class R>
  struct ValueImpl {
    using type = std::monostate;
  };
  template <class T>
  struct ValueImpl<absl::StatusOr<T>> {
    using type = T;
  };
  using Value = typename ValueImpl<Result>::type;
  // Not a bool: chunks write to their own items at the same time.
  struct Place {
    std::optional<Value> value;
  };

  MapTarget target;
  const Items& items;
  MapOptions& options;
  size_t size;
  size_t chunk;
  std::vector<Place> places;
  Atomic<size_t> next{0};
  std::mutex mutex;  // for what follows
  size_t done = 0;
};

// One chunk.
template <class F, class Items>
class MapCall final : public RemoteCallWait {
 public:
  using State = MapState<F, Items>;
  using Result = typename State::Result;

  MapCall(State& state, size_t begin, size_t end)
      : RemoteCallWait(*state.target.executor), state_(state), begin_(begin), end_(end) {
    function = state.target.name;
    function_index = state.target.index;
    options = state.options.call;
    count = static_cast<uint32_t>(end - begin);
    encode = [](const RemoteCall& call, Encoder& out) {
      static_cast<const MapCall&>(call).Encode(out);
    };
    decode = [](RemoteCall& call, absl::string_view bytes) {
      static_cast<MapCall&>(call).Decode(bytes);
    };
  }

  const absl::Status& outcome() const { return status.ok() ? decoded_ : status; }

 private:
  void Encode(Encoder& out) const {
    const auto first = std::ranges::begin(state_.items);
    plait::Codec<uint64_t>::Encode(CallTraits<F>::Codec::kFingerprint, out);
    for (size_t i = begin_; i < end_; ++i) {
      CallTraits<F>::Codec::EncodeItem(
          out, first[static_cast<std::ranges::range_difference_t<const Items>>(i)]);
    }
  }

  void Decode(absl::string_view bytes) {
    Decoder in(bytes);
    for (size_t i = begin_; i < end_; ++i) {
      std::optional<Result> result = plait::Codec<Result>::Decode(in);
      if (!result.has_value()) {
        decoded_ = in.status();
        return;
      }
      if (!result->ok()) {
        decoded_ = StatusOf(*result);
        return;
      }
      if constexpr (State::kHasValues) state_.places[i].value = **std::move(result);
    }
    decoded_ = in.Finish();
  }

  State& state_;
  const size_t begin_;
  const size_t end_;
  absl::Status decoded_;
};

template <class F, class Items>
Task<absl::Status> RunMapLane(MapState<F, Items>* state) {
  for (;;) {
    const size_t begin = state->next.fetch_add(state->chunk, kRelaxed);
    if (begin >= state->size) co_return absl::OkStatus();
    const size_t end = std::min(begin + state->chunk, state->size);
    MapCall<F, Items> call(*state, begin, end);
    co_await call;
    if (!call.outcome().ok()) co_return call.outcome();
    if (!state->options.progress) continue;
    const std::lock_guard<std::mutex> hold(state->mutex);
    state->done += end - begin;
    state->options.progress(state->done, state->size);
  }
}

template <class F, class Items>
Task<MapResult<F>> RunMap(MapTarget target, std::string key, Items items, MapOptions options) {
  const size_t size = static_cast<size_t>(std::ranges::size(items));
  options.call.idempotency_key = key;
  const RemoteCapacity capacity = target.executor->capacity();
  const int workers = std::max(capacity.workers, 1);
  MapState<F, Items> state{
      .target = std::move(target), .items = items, .options = options, .size = size};
  // A chunk's count has 32 bits.
  state.chunk = std::min(ChunkOf(options, size, workers), size_t{1} << 30);
  if constexpr (MapState<F, Items>::kHasValues) state.places.resize(size);
  const size_t chunks = (size + state.chunk - 1) / state.chunk;
  // Enough to keep each worker's share full.
  const size_t lanes =
      std::min(chunks, static_cast<size_t>(workers) *
                           std::min<size_t>(static_cast<size_t>(std::max(capacity.ahead, 1)),
                                            state.chunk > 16 ? 4 : 128));
  std::vector<Task<absl::Status>> tasks;
  tasks.reserve(lanes);
  for (size_t i = 0; i < lanes; ++i) tasks.push_back(RunMapLane<F, Items>(&state));
  absl::Status status = co_await Gather(std::move(tasks));
  if (!status.ok()) co_return status;
  if constexpr (MapState<F, Items>::kHasValues) {
    std::vector<typename MapState<F, Items>::Value> values;
    values.reserve(size);
    for (auto& place : state.places) values.push_back(*std::move(place.value));
    co_return values;
  } else {
    co_return absl::OkStatus();
  }
}

}  // namespace internal

// co_await: `function` of one parameter, called with each item of `items`; the results in the
// items' order, or the first error, which ends the other calls. A chunk is one call to the
// executor: what fails it, as the death of who runs it, fails the Map. `items` is kept (moved or
// copied) unless it is a view, such as absl::Span, whose memory outlives the co_await. `executor`:
// as for CallRemote. Cancellation: ends all calls, and then the co_await with absl::CancelledError.
template <class Signature, class Items>
  requires std::ranges::random_access_range<Items>
auto MapRemote(RemoteExecutor& executor, const ProcessFunction<Signature>& function, Items&& items,
               MapOptions options = {}) -> Task<internal::MapResult<Signature>> {
  internal::MapTarget target{executor.Keep(), function.name(), std::nullopt};
  std::string key(options.call.idempotency_key);
  return internal::RunMap<Signature, std::decay_t<Items>>(
      std::move(target), std::move(key), std::forward<Items>(items), std::move(options));
}

}  // namespace plait

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_REMOTE_MAP_H_
