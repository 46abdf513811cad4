#include "plait/io/net/stream_owner.h"

#include <array>
#include <cstddef>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/hash/hash.h"
#include "absl/synchronization/mutex.h"
#include "plait/io/net/stream_state.h"
#include "plait/runtime/core/check.h"
#include "plait/runtime/core/worker.h"

namespace plait::internal {

struct StreamOwner::Link {
  Event end;
  Event left;
  const void* sender = nullptr;  // see Here; guarded by the table's lock
};

namespace {

// Several, so that connections of several threads seldom meet.
template <class Link>
struct alignas(64) Table {
  absl::Mutex mutex;
  absl::flat_hash_map<const StreamState*, std::shared_ptr<Link>> owners ABSL_GUARDED_BY(mutex);
};

template <class Link>
Table<Link>& TableOf(const StreamState* state) {
  static constexpr size_t kTables = 16;
  static auto& tables = *new std::array<Table<Link>, kTables>;
  // Not the bits by which the table itself chooses.
  return tables[(absl::Hash<const StreamState*>()(state) >> 32) % kTables];
}

// What can send on a stream that was used here: this worker alone, or any of its group.
const void* Here() noexcept {
  const Worker* const worker = Worker::Current();
  if (worker == nullptr || worker->group() == nullptr) return worker;
  return worker->group();
}

}  // namespace

StreamOwner::StreamOwner(StreamState* state) : state_(state), link_(std::make_shared<Link>()) {
  if (state == nullptr) return;
  auto& table = TableOf<Link>(state);
  const absl::MutexLock lock(&table.mutex);
  const bool first = table.owners.emplace(state, link_).second;
  PLAIT_CHECK(first, "StreamOwner: the stream has one already");
  if (state->closing()) link_->end.Set();  // nobody waits for it yet
}

Event& StreamOwner::end() noexcept { return link_->end; }

bool StreamOwner::IsAwaited() const {
  if (state_ == nullptr) return false;
  const absl::MutexLock lock(&TableOf<Link>(state_).mutex);
  return link_->sender != nullptr && link_->sender == Here();
}

void StreamOwner::Leave() noexcept {
  const StreamState* const state = std::exchange(state_, nullptr);
  if (state == nullptr) return;
  {
    auto& table = TableOf<Link>(state);
    const absl::MutexLock lock(&table.mutex);
    table.owners.erase(state);
  }
  link_->left.Set();
}

// Under the lock, so that an owner that sees it closing, and asks then, sees by whom.
std::shared_ptr<StreamOwner::Link> StreamOwner::BeginClosing(StreamState& state,
                                                             const void* sender) {
  auto& table = TableOf<Link>(&state);
  const absl::MutexLock lock(&table.mutex);
  state.BeginClosing();
  const auto found = table.owners.find(&state);
  if (found == table.owners.end()) return nullptr;
  found->second->sender = sender;
  return found->second;
}

void StreamOwner::Tell(StreamState& state) {
  if (const std::shared_ptr<Link> link = BeginClosing(state, nullptr)) link->end.Set();
}

Task<absl::Status> StreamOwner::TellAndAwait(StreamState& state) {
  const std::shared_ptr<Link> link = BeginClosing(state, Here());
  if (link == nullptr) co_return absl::OkStatus();
  link->end.Set();
  co_return co_await link->left.Wait();
}

}  // namespace plait::internal
