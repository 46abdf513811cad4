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

namespace plait::internal {
namespace {

struct Table {
  absl::Mutex mutex;
  absl::flat_hash_map<const StreamState*, StreamOwner*> owners ABSL_GUARDED_BY(mutex);
};

// Several, so that connections of several threads seldom meet.
Table& TableOf(const StreamState* state) {
  static constexpr size_t kTables = 16;
  static auto& tables = *new std::array<Table, kTables>;
  return tables[absl::Hash<const StreamState*>()(state) % kTables];
}

}  // namespace

StreamOwner::StreamOwner(const StreamState* state) : state_(state) {
  if (state == nullptr) return;
  Table& table = TableOf(state);
  const absl::MutexLock lock(&table.mutex);
  const bool first = table.owners.emplace(state, this).second;
  PLAIT_CHECK(first, "StreamOwner: the stream has one already");
  // Who closes it says so before it looks here.
  if (state->closing()) closing_.Set();
}

void StreamOwner::Leave() noexcept {
  const StreamState* const state = std::exchange(state_, nullptr);
  if (state == nullptr) return;
  Table& table = TableOf(state);
  const absl::MutexLock lock(&table.mutex);
  table.owners.erase(state);
  if (left_ != nullptr) left_->Set();
}

void StreamOwner::Tell(const StreamState& state) noexcept {
  Table& table = TableOf(&state);
  const absl::MutexLock lock(&table.mutex);
  const auto found = table.owners.find(&state);
  if (found != table.owners.end()) found->second->closing_.Set();
}

Task<absl::Status> StreamOwner::TellAndAwait(const StreamState& state) {
  Event left;
  Table& table = TableOf(&state);
  {
    const absl::MutexLock lock(&table.mutex);
    const auto found = table.owners.find(&state);
    if (found == table.owners.end()) co_return absl::OkStatus();
    found->second->left_ = &left;
    found->second->closing_.Set();
  }
  absl::Status waited = co_await left.Wait();
  const absl::MutexLock lock(&table.mutex);
  const auto found = table.owners.find(&state);
  if (found != table.owners.end() && found->second->left_ == &left) found->second->left_ = nullptr;
  co_return waited;
}

}  // namespace plait::internal
