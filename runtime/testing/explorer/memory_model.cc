#include "plait/runtime/testing/explorer/memory_model.h"

#include <algorithm>
#include <utility>

namespace plait::explorer {
namespace {

using internal::kAcqRel;
using internal::kAcquire;
using internal::kRelaxed;
using internal::kRelease;
using internal::kSeqCst;

bool Acquires(MemoryOrder order) noexcept { return order != kRelaxed && order != kRelease; }
bool Releases(MemoryOrder order) noexcept {
  return order == kRelease || order == kAcqRel || order == kSeqCst;
}

}  // namespace

void MemoryModel::Reset() noexcept {
  threads_ = {};
  used_ = 0;
  by_address_.clear();
  orders_ = 0;
  sc_.Reset();
  stores_ = 0;
  overflown_ = false;
  found_load_buffering_ = false;
}

MemoryModel::Location* MemoryModel::Find(const void* at) noexcept {
  const auto found = by_address_.find(at);
  return found == by_address_.end() ? nullptr : found->second;
}

MemoryModel::Location& MemoryModel::Create(const void* at, size_t size, uint64_t value,
                                           int thread_number) noexcept {
  Location*& here = by_address_[at];
  if (here != nullptr) here->at = nullptr;
  if (used_ == locations_.size()) locations_.push_back(std::make_unique<Location>());
  Location& location = *locations_[used_];
  here = &location;
  location.at = at;
  location.size = size;
  location.number = static_cast<int>(used_++);
  location.destroyed = false;
  // What was there before has the same address in each execution.
  location.id = Chain(0, reinterpret_cast<uintptr_t>(at));
  location.stores.clear();
  location.order.assign(1, 0);
  location.place.assign(1, 0);
  location.loads.clear();
  location.fingerprint = 0;
  StoreOperation first;
  if (thread_number >= 0) {
    first.thread = thread_number;
    first.index = Tick(thread_number);
    first.fences_before = clock(thread_number).fences;
    location.id = Chain(1, NumberOf(first.thread, first.index));
    Remember(thread_number, value);
  }
  first.value = value;
  first.when = stores_;
  location.stores.push_back(first);
  return location;
}

void MemoryModel::Destroy(Location& location) noexcept { location.destroyed = true; }

bool MemoryModel::Knows(int thread_number, const Location& location) noexcept {
  const StoreOperation& first = location.stores.front();
  return clock(thread_number).Knows(first.thread, first.index);
}

bool MemoryModel::KnowsAll(int thread_number, const Location& location) noexcept {
  const Clock& now = clock(thread_number);
  const auto known = [&now](const Operation& each) { return now.Knows(each.thread, each.index); };
  return std::all_of(location.stores.begin(), location.stores.end(), known) &&
         std::all_of(location.loads.begin(), location.loads.end(), known);
}

void MemoryModel::Within(const void* begin, size_t size,
                         absl::FunctionRef<void(Location&)> visit) noexcept {
  for (size_t i = 0; i < used_; ++i) {
    const auto distance =
        reinterpret_cast<uintptr_t>(locations_[i]->at) - reinterpret_cast<uintptr_t>(begin);
    if (locations_[i]->at != nullptr && !locations_[i]->destroyed && distance < size)
      visit(*locations_[i]);
  }
}

int MemoryModel::Floor(int thread_number, const Location& location) noexcept {
  const Thread& self = thread(thread_number);
  int floor = 0;
  for (size_t i = 0; i < location.stores.size(); ++i) {
    const StoreOperation& store = location.stores[i];
    if (self.now.Knows(store.thread, store.index) || store.when <= self.caught_up) {
      floor = std::max(floor, location.place[i]);
    }
  }
  for (const LoadOperation& load : location.loads) {
    if (self.now.Knows(load.thread, load.index)) floor = std::max(floor, location.PlaceOf(load));
  }
  return floor;
}

// For a load of the store at `place`, or a store that goes to `place`, before what is there now.
MemoryModel::Neighbours MemoryModel::Around(const Location& location, int place, bool is_load,
                                            bool sc) noexcept {
  Neighbours result;
  const auto compare = [&](const Operation& other, int order) {
    if (order < 0 && sc) result.before |= other.sources();
    if (order > 0) result.after |= other.targets();
  };
  for (size_t i = 0; i < location.stores.size(); ++i) {
    const int other = location.place[i];
    if (is_load) {
      compare(location.stores[i], other <= place ? -1 : 1);
    } else {
      compare(location.stores[i], other < place ? -1 : 1);
    }
  }
  for (const LoadOperation& load : location.loads) {
    const int other = location.PlaceOf(load);
    if (is_load) {
      compare(load, other < place ? -1 : other > place ? 1 : 0);
    } else {
      compare(load, other < place ? -1 : 1);
    }
  }
  return result;
}

bool MemoryModel::Allowed(int thread_number, const Location& location, int place, bool is_load,
                          bool sc) noexcept {
  if (sc_.empty()) return true;
  Neighbours around = Around(location, place, is_load, sc);
  if (around.after.empty()) return true;
  around.before |= clock(thread_number).fences;
  if (sc) around.before |= sc_.StronglyBefore(thread_number, clock(thread_number));
  return sc_.Allows(around.before, around.after);
}

// `before`: the thread's clock before the operation acquires anything.
MemoryModel::Operation MemoryModel::Commit(int thread_number, const Location& location, int place,
                                           bool is_load, bool sc, const Clock& before) noexcept {
  Operation operation;
  operation.thread = thread_number;
  operation.index = before.at[static_cast<size_t>(thread_number)];
  operation.fences_before = before.fences;
  if (sc_.empty() && !sc) return operation;
  Neighbours around = Around(location, place, is_load, sc);
  sc_.Demand(before.fences, around.after);
  if (!sc) return operation;
  if (sc_.full()) {
    overflown_ = true;
    return operation;
  }
  around.before |= sc_.StronglyBefore(thread_number, before) | before.fences;
  operation.itself =
      ScSet::Of(sc_.Add(thread_number, operation.index, around.before, around.after));
  return operation;
}

void MemoryModel::AcquireFrom(int thread_number, const StoreOperation& store,
                              MemoryOrder order) noexcept {
  Thread& self = thread(thread_number);
  (Acquires(order) ? self.now : self.pending).Join(store.released);
  self.causes.Join(store.causes);
}

void MemoryModel::LookForLoadBuffering(const Location& location, int place,
                                       bool releases) noexcept {
  const StoreOperation& store = location.InPlace(place);
  // Whether the load's thread has seen later that the location was older.
  const auto is_older = [&](const LoadOperation& load, const Operation& other, int other_place) {
    return other.thread == load.thread && other.index > load.index && other_place < place;
  };
  for (const LoadOperation& load : location.loads) {
    if (load.thread == store.thread || (load.acquires && releases)) continue;
    const auto loader = static_cast<size_t>(load.thread);
    if (store.causes.at[loader] <= load.index) continue;
    if (clock(store.thread).Knows(load.thread, load.index)) continue;
    bool older = false;
    for (const LoadOperation& other : location.loads) {
      older = older || is_older(load, other, location.PlaceOf(other));
    }
    for (size_t i = 0; i < location.stores.size(); ++i) {
      older = older || is_older(load, location.stores[i], location.place[i]);
    }
    if (!older) found_load_buffering_ = true;
  }
}

void MemoryModel::UpdateFingerprint(Location& location, int place) noexcept {
  const auto add = [&location](int p) {
    const StoreOperation& store = location.InPlace(p);
    location.fingerprint = Chain(location.fingerprint, NumberOf(store.thread, store.index));
  };
  orders_ -= location.fingerprint;
  if (place == location.last() && place > 1) {
    add(place);
  } else {
    location.fingerprint = location.id;
    for (int p = 0; p <= location.last(); ++p) add(p);
  }
  orders_ += location.fingerprint;
}

MemoryModel::StoreOperation& MemoryModel::Insert(int thread_number, Location& location, int place,
                                                 uint64_t value, MemoryOrder order,
                                                 const Operation& operation) noexcept {
  Thread& self = thread(thread_number);
  ++stores_;
  ++self.stores;
  const int index = static_cast<int>(location.stores.size());
  StoreOperation& store = location.stores.emplace_back();
  static_cast<Operation&>(store) = operation;
  store.value = value;
  store.when = stores_;
  store.released = Releases(order) ? self.now : self.released;
  store.causes = self.causes;
  store.causes.Join(self.now);
  location.order.insert(location.order.begin() + place, index);
  location.place.push_back(place);
  for (size_t p = static_cast<size_t>(place) + 1; p < location.order.size(); ++p) {
    location.place[static_cast<size_t>(location.order[p])] = static_cast<int>(p);
  }
  LookForLoadBuffering(location, place, Releases(order));
  UpdateFingerprint(location, place);
  return store;
}

uint64_t MemoryModel::Load(int thread_number, Location& location, MemoryOrder order,
                           Choose choose) noexcept {
  Tick(thread_number);
  const bool sc = order == kSeqCst;
  const int floor = Floor(thread_number, location);
  std::array<int, kMaxCandidates> candidates;
  size_t count = 0;
  for (int place = location.last(); place >= floor; --place) {
    if (IsFull(count)) break;
    if (Allowed(thread_number, location, place, true, sc)) candidates[count++] = place;
  }
  const int place = candidates[static_cast<size_t>(choose(static_cast<int>(count)))];
  LoadOperation load;
  static_cast<Operation&>(load) =
      Commit(thread_number, location, place, true, sc, clock(thread_number));
  load.store = location.order[static_cast<size_t>(place)];
  load.acquires = Acquires(order);
  location.loads.push_back(load);
  const StoreOperation& store = location.InPlace(place);
  RememberRead(thread_number, location, store);
  AcquireFrom(thread_number, store, order);
  return store.value;
}

void MemoryModel::Store(int thread_number, Location& location, uint64_t value, MemoryOrder order,
                        Choose choose) noexcept {
  Tick(thread_number);
  const bool sc = order == kSeqCst;
  const int floor = Floor(thread_number, location);
  std::array<int, kMaxCandidates> candidates;
  size_t count = 0;
  for (int place = location.last() + 1; place > floor; --place) {
    if (IsFull(count)) break;
    // Nothing comes between a read-modify-write and what it read.
    if (place <= location.last() && location.InPlace(place).modifies) continue;
    if (Allowed(thread_number, location, place, false, sc)) candidates[count++] = place;
  }
  const int place = candidates[static_cast<size_t>(choose(static_cast<int>(count)))];
  const Operation operation =
      Commit(thread_number, location, place, false, sc, clock(thread_number));
  Remember(thread_number, location.id + value);
  Insert(thread_number, location, place, value, order, operation);
}

MemoryModel::Modified MemoryModel::Modify(int thread_number, Location& location, Change change,
                                          MemoryOrder success, MemoryOrder failure,
                                          Choose choose) noexcept {
  Tick(thread_number);
  struct Candidate {
    int place;
    bool done;
    uint64_t next;
  };
  const int floor = Floor(thread_number, location);
  std::array<Candidate, kMaxCandidates> candidates;
  size_t count = 0;
  for (int place = location.last(); place >= floor; --place) {
    if (IsFull(count)) break;
    Candidate candidate{.place = place, .done = false, .next = 0};
    candidate.done = change(location.InPlace(place).value, candidate.next);
    if (candidate.done) {
      if (place < location.last() && location.InPlace(place + 1).modifies) continue;
      if (!Allowed(thread_number, location, place + 1, false, success == kSeqCst)) continue;
    } else if (!Allowed(thread_number, location, place, true, failure == kSeqCst)) {
      continue;
    }
    candidates[count++] = candidate;
  }
  const Candidate chosen = candidates[static_cast<size_t>(choose(static_cast<int>(count)))];
  const StoreOperation& read = location.InPlace(chosen.place);
  const Modified result{.before = read.value, .done = chosen.done};
  RememberRead(thread_number, location, read);
  if (!chosen.done) {
    LoadOperation load;
    static_cast<Operation&>(load) = Commit(thread_number, location, chosen.place, true,
                                           failure == kSeqCst, clock(thread_number));
    load.store = location.order[static_cast<size_t>(chosen.place)];
    load.acquires = Acquires(failure);
    location.loads.push_back(load);
    AcquireFrom(thread_number, read, failure);
    return result;
  }
  const Operation operation = Commit(thread_number, location, chosen.place + 1, false,
                                     success == kSeqCst, clock(thread_number));
  AcquireFrom(thread_number, read, success);
  const Clock sequence = read.released;  // `read` moves
  StoreOperation& store =
      Insert(thread_number, location, chosen.place + 1, chosen.next, success, operation);
  store.modifies = true;
  store.released.Join(sequence);
  return result;
}

void MemoryModel::PlaceFence(const Clock& known, ScSet itself) noexcept {
  for (size_t i = 0; i < used_; ++i) {
    Location& location = *locations_[i];
    if (location.at == nullptr) continue;
    int newest = -1;  // twice the place, and one more for a load
    for (size_t s = 0; s < location.stores.size(); ++s) {
      StoreOperation& store = location.stores[s];
      if (!known.Knows(store.thread, store.index)) continue;
      store.fences_after |= itself;
      newest = std::max(newest, 2 * location.place[s]);
    }
    for (LoadOperation& load : location.loads) {
      if (!known.Knows(load.thread, load.index)) continue;
      load.fences_after |= itself;
      newest = std::max(newest, 2 * location.PlaceOf(load) + 1);
    }
    ScSet earlier;
    for (size_t s = 0; s < location.stores.size(); ++s) {
      if (2 * location.place[s] < newest) earlier |= location.stores[s].sources();
    }
    for (const LoadOperation& load : location.loads) {
      if (2 * location.PlaceOf(load) + 1 < newest) earlier |= load.sources();
    }
    sc_.Demand(earlier - itself, itself);
  }
}

ScSet MemoryModel::Fence(int thread_number, MemoryOrder order) noexcept {
  Thread& self = thread(thread_number);
  const uint32_t index = Tick(thread_number);
  Remember(thread_number, static_cast<uint64_t>(order));
  const Clock before = self.now;
  if (Acquires(order)) self.now.Join(self.pending);
  ScSet itself;
  if (order == kSeqCst) {
    if (sc_.full()) {
      overflown_ = true;
      return {};
    }
    itself = ScSet::Of(sc_.Add(thread_number, index,
                               sc_.StronglyBefore(thread_number, before) | before.fences, {}));
    PlaceFence(self.now, itself);
    self.now.fences |= itself;
  }
  if (Releases(order)) self.released = self.now;
  return itself;
}

void MemoryModel::HeavyBarrier(int thread_number, int threads) noexcept {
  const ScSet before = Fence(thread_number, kSeqCst);
  ScSet others;
  for (int i = 0; i < threads; ++i) {
    if (i == thread_number) continue;
    // An operation of the caller's, as where it is in the other thread is not known.
    const uint32_t index = Tick(thread_number);
    if (sc_.full()) {
      overflown_ = true;
      return;
    }
    Thread& other = thread(i);
    const ScSet earlier = sc_.StronglyBefore(i, other.light) | other.light.fences | before;
    const ScSet itself = ScSet::Of(sc_.Add(thread_number, index, earlier, {}));
    PlaceFence(other.light, itself);
    other.heavy |= itself;
    Remember(i, NumberOf(thread_number, index));
    others |= itself;
  }
  sc_.Demand(others, Fence(thread_number, kSeqCst));
}

void MemoryModel::LightBarrier(int thread_number) noexcept {
  Thread& self = thread(thread_number);
  Tick(thread_number);
  Remember(thread_number, 0);
  self.now.fences |= std::exchange(self.heavy, {});
  self.light = self.now;
}

void MemoryModel::RememberRead(int thread_number, const Location& location,
                               const StoreOperation& store) noexcept {
  Remember(thread_number, Chain(location.id, NumberOf(store.thread, store.index)));
}

Fingerprint MemoryModel::fingerprint() const noexcept {
  Fingerprint threads = 0;
  for (const Thread& each : threads_) threads = Chain(threads, each.history);
  // What is not ordered is added up.
  return Chain(threads, sc_.fingerprint()) + orders_;
}

void MemoryModel::CatchUp(int thread_number) noexcept { thread(thread_number).caught_up = stores_; }

}  // namespace plait::explorer
