// MemoryModel: the atomics of one explored execution, under the memory model of C++20. Internal.
//
// Operations are executed one at a time, in an order that agrees with each thread's program and in
// which a load comes after the store that it reads from. Everything else is as free as the standard
// leaves it:
//   - A load may read any store that coherence allows, not only the latest.
//   - A store may go to any place in its location's modification order that coherence allows.
//   - The order S of sequentially consistent operations is what [atomics.order] demands of it, and
//     need not be the order of execution (sc_order.h).
// What each operation may do is decided by `choose`, so that a search can go through all of it. The
// one thing that is not executed is a load that reads from a store which is executed later ("load
// buffering"): a cycle of program order and of reads, one of which does not synchronize. loom,
// CDSChecker and the RC11 model leave it out too. But such a cycle can be seen when its store is
// executed: see FoundLoadBuffering.
//
// Happens-before: release sequences are those of C++20 (the head and read-modify-writes), relaxed
// accesses synchronize through fences.
//
// The order of coherence of a location is kept as keys: a store at place p of the modification
// order has the key (p, 0), a load that reads it (p, 1). One operation is coherence-ordered before
// another exactly if its key is smaller.
//
// What has happened is a graph: each thread's operations in their order, the store that each load
// read, each location's modification order, and the order S. In which order the threads took turns
// to build it is forgotten, and makes no difference to what may come: `fingerprint` stands for the
// graph alone.
#ifndef PLAIT_RUNTIME_TESTING_EXPLORER_MEMORY_MODEL_H_
#define PLAIT_RUNTIME_TESTING_EXPLORER_MEMORY_MODEL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/testing/explorer/clock.h"
#include "plait/runtime/testing/explorer/fingerprint.h"
#include "plait/runtime/testing/explorer/sc_order.h"

namespace plait::explorer {

using internal::MemoryOrder;

class MemoryModel {
 public:
  // Gives one of 0 .. count - 1. 0 is what a machine without caches and buffers would do.
  using Choose = absl::FunctionRef<int(int count)>;
  // What a compare-and-exchange, or a plain modification, would write over `value`; false when it
  // would fail.
  using Change = absl::FunctionRef<bool(uint64_t value, uint64_t& next)>;

  struct Modified {
    uint64_t before;
    bool done;
  };

  struct Operation {
    int thread = 0;
    uint32_t index = 0;
    ScSet itself;         // if it is sequentially consistent
    ScSet fences_before;  // sequentially consistent ones that happen before it
    ScSet fences_after;   // and those that it happens before

    // What comes before, or after, in S whatever this is coherence-ordered before, or after.
    ScSet sources() const noexcept { return itself | fences_before; }
    ScSet targets() const noexcept { return itself | fences_after; }
  };
  struct StoreOperation : Operation {
    uint64_t value = 0;
    uint64_t when = 0;      // how many stores had been executed
    bool modifies = false;  // a read-modify-write, which read its neighbour
    Clock released;         // what an acquire of it acquires
    Clock causes;           // what it comes of, itself included
  };
  struct LoadOperation : Operation {
    int store = 0;          // an index into `stores`
    bool acquires = false;  // from what it reads
  };

  // An atomic.
  struct Location {
    const void* at = nullptr;
    size_t size = 0;
    Fingerprint id = 0;  // by whom and when it was made
    int number = 0;
    bool destroyed = false;
    std::vector<StoreOperation> stores;  // in the order of execution
    std::vector<int> order;              // the modification order: indexes into `stores`
    std::vector<int> place;              // of each store in `order`
    std::vector<LoadOperation> loads;
    Fingerprint fingerprint = 0;  // of the modification order, where something was stored

    const StoreOperation& InPlace(int p) const noexcept {
      return stores[static_cast<size_t>(order[static_cast<size_t>(p)])];
    }
    int last() const noexcept { return static_cast<int>(order.size()) - 1; }
    int PlaceOf(const LoadOperation& load) const noexcept {
      return place[static_cast<size_t>(load.store)];
    }
  };

  MemoryModel() = default;
  MemoryModel(const MemoryModel&) = delete;
  MemoryModel& operator=(const MemoryModel&) = delete;

  // Forgets everything.
  void Reset() noexcept;

  Clock& clock(int thread) noexcept { return threads_[static_cast<size_t>(thread)].now; }
  // A thread's next operation, of a kind that is not known here.
  uint32_t Tick(int thread) noexcept { return ++clock(thread).at[static_cast<size_t>(thread)]; }

  // The location of the atomic that is at `at`, or was until it was destroyed; or null.
  Location* Find(const void* at) noexcept;
  // A new one. `thread` < 0: it was there before the execution.
  Location& Create(const void* at, size_t size, uint64_t value, int thread) noexcept;
  static void Destroy(Location& location) noexcept;
  // Whether its construction happens before what the thread does next.
  bool Knows(int thread, const Location& location) noexcept;
  // Whether all that was done to it does.
  bool KnowsAll(int thread, const Location& location) noexcept;
  // Calls `visit` with each location that lies in those bytes and was not destroyed.
  void Within(const void* begin, size_t size, absl::FunctionRef<void(Location&)> visit) noexcept;

  uint64_t Load(int thread, Location& location, MemoryOrder order, Choose choose) noexcept;
  void Store(int thread, Location& location, uint64_t value, MemoryOrder order,
             Choose choose) noexcept;
  Modified Modify(int thread, Location& location, Change change, MemoryOrder success,
                  MemoryOrder failure, Choose choose) noexcept;
  // Gives the fence itself, where it is sequentially consistent.
  ScSet Fence(int thread, MemoryOrder order) noexcept;
  // A sequentially consistent fence of `thread`'s, and one of each other of the first `threads`,
  // wherever those are: what such a thread did before its last light barrier comes before its
  // fence, what it does after its next one comes after it, and of what is in between nothing is
  // known, as a compiler may move that. The fences of two others are in no order. None of them
  // makes anything happen before anything else: ThreadSanitizer does not know of them, either.
  void HeavyBarrier(int thread, int threads) noexcept;
  void LightBarrier(int thread) noexcept;

  // The thread spins. Until now its loads may have read what was out of date; from now on they
  // read nothing that is older than the newest of now. (Stores become visible in finite time.)
  void CatchUp(int thread) noexcept;
  // How many stores others have executed.
  uint64_t StoresOfOthers(int thread) const noexcept {
    return stores_ - threads_[static_cast<size_t>(thread)].stores;
  }

  // Something else that a thread has done or learned, and that decides what it does next.
  void Remember(int thread_number, uint64_t what) noexcept {
    Thread& self = thread(thread_number);
    self.history = Chain(self.history, what);
  }
  // Of all that has happened.
  Fingerprint fingerprint() const noexcept;

  // Whether some load could have read from a store that comes of it: of one that stands behind the
  // load and was read on the way there. Not where the load happens before the store, nor where the
  // store releases and the load acquires, as then the store would happen before itself. That the
  // program would go the same way with what the load gives then is taken for granted.
  bool FoundLoadBuffering() const noexcept { return found_load_buffering_; }

  // There were more sequentially consistent operations, or more stores that one operation could
  // see, than it keeps in mind: what follows is not all that can be.
  bool overflown() const noexcept { return overflown_; }

 private:
  struct Thread {
    Clock now;
    Clock released;           // at its last release fence
    Clock pending;            // what an acquire fence would acquire
    Clock light;              // at its last light barrier
    Clock causes;             // what it comes of, besides `now`: also by reads that acquire nothing
    ScSet heavy;              // of others' heavy barriers since then
    Fingerprint history = 0;  // of its operations and what they read
    uint64_t caught_up = 0;
    uint64_t stores = 0;
  };
  struct Neighbours {
    ScSet before;
    ScSet after;
  };

  Thread& thread(int number) noexcept { return threads_[static_cast<size_t>(number)]; }
  static constexpr size_t kMaxCandidates = 64;
  bool IsFull(size_t candidates) noexcept {
    if (candidates == kMaxCandidates) overflown_ = true;
    return candidates == kMaxCandidates;
  }
  // The first place that coherence lets the thread's next operation see.
  int Floor(int thread, const Location& location) noexcept;
  static Neighbours Around(const Location& location, int place, bool is_load, bool sc) noexcept;
  bool Allowed(int thread, const Location& location, int place, bool is_load, bool sc) noexcept;
  Operation Commit(int thread, const Location& location, int place, bool is_load, bool sc,
                   const Clock& before) noexcept;
  // All that is coherence-ordered before something known there comes before the fence `itself`.
  void PlaceFence(const Clock& known, ScSet itself) noexcept;
  void RememberRead(int thread, const Location& location, const StoreOperation& store) noexcept;
  void AcquireFrom(int thread, const StoreOperation& store, MemoryOrder order) noexcept;
  // After a store was put at that place.
  void LookForLoadBuffering(const Location& location, int place, bool releases) noexcept;
  // After that.
  void UpdateFingerprint(Location& location, int place) noexcept;
  StoreOperation& Insert(int thread, Location& location, int place, uint64_t value,
                         MemoryOrder order, const Operation& operation) noexcept;

  std::array<Thread, kMaxThreads> threads_;
  std::vector<std::unique_ptr<Location>> locations_;  // those in use first
  size_t used_ = 0;
  absl::flat_hash_map<const void*, Location*> by_address_;
  Fingerprint orders_ = 0;  // the sum of the locations' fingerprints
  ScOrder sc_;
  uint64_t stores_ = 0;
  bool overflown_ = false;
  bool found_load_buffering_ = false;
};

}  // namespace plait::explorer

#endif  // PLAIT_RUNTIME_TESTING_EXPLORER_MEMORY_MODEL_H_
