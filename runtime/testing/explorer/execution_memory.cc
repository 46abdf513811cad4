// What the code under test does to memory; its threads are in execution.cc.
#include <cstring>
#include <string>
#include <string_view>

#include "absl/debugging/symbolize.h"
#include "absl/strings/str_cat.h"
#include "plait/runtime/testing/explorer/execution.h"

namespace plait::explorer {
namespace {

using internal::kRelaxed;
using internal::kRelease;
using internal::kSeqCst;
using internal::explored::Change;

std::string Number(uint64_t value) {
  return value < 10'000 ? absl::StrCat(value) : absl::StrCat("0x", absl::Hex(value));
}

uint64_t Mask(size_t size) { return size == 8 ? ~uint64_t{0} : (uint64_t{1} << (8 * size)) - 1; }

uint64_t Changed(Change change, uint64_t value, uint64_t operand) {
  switch (change) {
    case Change::kExchange:
      return operand;
    case Change::kAdd:
      return value + operand;
    case Change::kSubtract:
      return value - operand;
    case Change::kAnd:
      return value & operand;
    case Change::kOr:
      return value | operand;
    case Change::kXor:
      return value ^ operand;
  }
  return value;
}

std::string NameOfCode(const void* code) {
  char name[512];
  if (code == nullptr || !absl::Symbolize(code, name, sizeof(name))) return "unknown code";
  return name;
}

const char* NameOfKind(PlainMemory::Kind kind) {
  switch (kind) {
    case PlainMemory::kRead:
      return "a read";
    case PlainMemory::kWrite:
      return "a write";
    case PlainMemory::kFree:
      return "a delete";
    case PlainMemory::kAtomicRead:
      return "an atomic read";
    case PlainMemory::kAtomicWrite:
      return "an atomic write";
  }
  return "";
}

}  // namespace

// --- atomics ---

bool Execution::IsWholeSpinLock(const Where& where) const noexcept {
  return settings_.whole_spin_locks &&
         std::string_view(where.file_name()).ends_with("runtime/core/spin_lock.h");
}

// SpinLock's own test shows that a failed attempt has no other effect than to be made again.
void Execution::WaitForSpinLock(const void* at, const Where& where) noexcept {
  const auto is_free = [this, at] {
    const MemoryModel::Location* lock = model_.Find(at);
    return lock == nullptr || lock->InPlace(lock->last()).value == 0;
  };
  if (is_free()) return;
  const absl::FunctionRef<bool()> ready = is_free;
  Thread& self = thread(running_);
  self.ready = &ready;
  self.what = "a SpinLock";
  self.where = where;
  self.state = State::kWaiting;
  Block();
  self.state = State::kReady;
}

MemoryOrder Execution::Order(SiteKind kind, MemoryOrder order, const Where& where) noexcept {
  if (settings_.sites != nullptr) {
    bool known = false;
    for (const Site& site : *settings_.sites) known = known || site.Is(where, kind);
    if (!known) settings_.sites->push_back({.where = where, .kind = kind, .order = order});
  }
  if (settings_.weakened != nullptr && settings_.weakened->Is(where, kind)) {
    return settings_.weakened->order;
  }
  return order;
}

MemoryModel::Location& Execution::Locate(const void* at, size_t size, const Where& where) noexcept {
  MemoryModel::Location* location = model_.Find(at);
  if (location == nullptr) {
    const PlainMemory::Clash clash =
        memory_.Note(reinterpret_cast<uintptr_t>(at), size,
                     {.thread = running_, .kind = PlainMemory::kAtomicRead, .code = nullptr},
                     model_.clock(running_));
    if (clash.found && clash.earlier.kind == PlainMemory::kFree) {
      Fail(absl::StrCat("an atomic is used after its memory was freed, in ", Place(where)));
    }
    uint64_t value = 0;
    std::memcpy(&value, at, size);
    return model_.Create(at, size, value, -1);
  }
  if (location->destroyed) {
    Fail(absl::StrCat("an atomic is used after it was destroyed, in ", Place(where)));
  }
  if (!model_.Knows(running_, *location)) {
    Fail(absl::StrCat("data race: an atomic is used by T", running_, " in ", Place(where),
                      ", and its construction does not happen before that"));
  }
  return *location;
}

void Execution::CheckOverflow() noexcept {
  if (model_.overflown()) Fail("the execution is too long for the explorer's memory");
}

void Execution::CheckStore(const MemoryModel::Location& location, const Where& where) noexcept {
  CheckOverflow();
  if (!settings_.forbid_load_buffering || !model_.FoundLoadBuffering()) return;
  Fail(absl::StrCat("load buffering: what T", running_, " stores to ", NameOfLocation(location),
                    " in ", Place(where), " could have been read by a load that it comes of"));
}

std::string Execution::NameOfLocation(const MemoryModel::Location& location) {
  return absl::StrCat("a", location.number);
}

void Execution::Trace(const Where& where, const std::string& what) {
  trace_.push_back(absl::StrCat("T", running_, " ", what, "  in ", Place(where)));
}

void Execution::Create(const void* at, size_t size) noexcept {
  uint64_t value = 0;
  std::memcpy(&value, at, size);
  model_.Create(at, size, value, running_);
}

void Execution::Destroy(const void* at) noexcept {
  MemoryModel::Location* location = model_.Find(at);
  if (location == nullptr) return;
  if (!model_.KnowsAll(running_, *location)) {
    Fail(absl::StrCat("data race: T", running_, " destroys the atomic ", NameOfLocation(*location),
                      ", and not all that others did to it happens before that"));
  }
  MemoryModel::Destroy(*location);
}

uint64_t Execution::Load(const void* at, size_t size, MemoryOrder order,
                         const Where& where) noexcept {
  const bool its_own = IsItsOwn(at);
  Point(its_own);
  order = Order(SiteKind::kLoad, order, where);
  MemoryModel::Location& location = Locate(at, size, where);
  const uint64_t value = model_.Load(running_, location, order, choose_);
  SetQuiet(its_own, order != kSeqCst);
  if (settings_.traced) {
    Trace(where, absl::StrCat(NameOfLocation(location), ".load(", NameOf(order), ") gives ",
                              Number(value)));
  }
  CheckOverflow();
  return value;
}

void Execution::Store(const void* at, size_t size, uint64_t value, MemoryOrder order,
                      const Where& where) noexcept {
  // Whoever waits for the SpinLock will see it free.
  const bool its_own = IsItsOwn(at);
  if (!IsWholeSpinLock(where)) Point(its_own);
  SetQuiet(its_own, false);
  order = Order(SiteKind::kStore, order, where);
  if (order == kSeqCst) ++locked_instructions_;
  MemoryModel::Location& location = Locate(at, size, where);
  model_.Store(running_, location, value, order, choose_);
  if (settings_.traced) {
    Trace(where, absl::StrCat(NameOfLocation(location), ".store(", Number(value), ", ",
                              NameOf(order), ")"));
  }
  CheckStore(location, where);
}

uint64_t Execution::Modify(const void* at, size_t size, Change change, uint64_t operand,
                           MemoryOrder order, const Where& where) noexcept {
  const bool its_own = IsItsOwn(at);
  Point(its_own);
  SetQuiet(its_own, false);
  ++locked_instructions_;
  const bool locks = IsWholeSpinLock(where);
  if (locks) WaitForSpinLock(at, where);
  order = Order(SiteKind::kModify, order, where);
  MemoryModel::Location& location = Locate(at, size, where);
  uint64_t written = 0;
  const MemoryModel::Modified modified = model_.Modify(
      running_, location,
      [&](uint64_t value, uint64_t& next) {
        next = Changed(change, value, operand) & Mask(size);
        return true;
      },
      order, kRelaxed, [&](int candidates) { return locks ? 0 : choose_(candidates); });
  written = Changed(change, modified.before, operand) & Mask(size);
  if (settings_.traced) {
    Trace(where, absl::StrCat(NameOfLocation(location), ".modify(", NameOf(order), ") ",
                              Number(modified.before), " -> ", Number(written)));
  }
  CheckStore(location, where);
  return modified.before;
}

bool Execution::CompareExchange(const void* at, size_t size, uint64_t& expected, uint64_t desired,
                                bool weak, MemoryOrder success, MemoryOrder failure,
                                const Where& where) noexcept {
  static_cast<void>(weak);  // one that fails for no reason is one that is tried a little later
  const bool its_own = IsItsOwn(at);
  Point(its_own);
  ++locked_instructions_;
  success = Order(SiteKind::kCompare, success, where);
  failure = Order(SiteKind::kCompareFailure, failure, where);
  MemoryModel::Location& location = Locate(at, size, where);
  const MemoryModel::Modified modified = model_.Modify(
      running_, location,
      [&](uint64_t value, uint64_t& next) {
        next = desired;
        return value == expected;
      },
      success, failure, choose_);
  SetQuiet(its_own, !modified.done && failure != kSeqCst);
  if (settings_.traced) {
    Trace(where, modified.done
                     ? absl::StrCat(NameOfLocation(location), ".compare_exchange(", NameOf(success),
                                    ") ", Number(expected), " -> ", Number(desired))
                     : absl::StrCat(NameOfLocation(location), ".compare_exchange(",
                                    Number(expected), " -> ", Number(desired), ") fails (",
                                    NameOf(failure), "), it is ", Number(modified.before)));
  }
  CheckStore(location, where);
  expected = modified.before;
  return modified.done;
}

void Execution::Fence(MemoryOrder order, const Where* where) noexcept {
  Point();
  thread(running_).quiet = false;
  if (where != nullptr) order = Order(SiteKind::kFence, order, *where);
  if (order == kSeqCst) ++locked_instructions_;
  model_.Fence(running_, order);
  if (settings_.traced && where != nullptr) Trace(*where, absl::StrCat("fence ", NameOf(order)));
  CheckOverflow();
}

void Execution::HeavyBarrier(const Where& where) noexcept {
  Point();
  thread(running_).quiet = false;
  // A mutant's, which is weaker, is none: there is nothing between.
  if (Order(SiteKind::kFence, kSeqCst, where) != kSeqCst) return;
  model_.HeavyBarrier(running_, count_);
  if (settings_.traced) Trace(where, "heavy barrier");
  CheckOverflow();
}

void Execution::LightBarrier(const Where& where) noexcept {
  // No point: that a heavy barrier comes just before this, and not before the operation before it,
  // makes no difference, and likewise after it.
  thread(running_).quiet = false;
  if (Order(SiteKind::kFence, kSeqCst, where) != kSeqCst) return;
  model_.LightBarrier(running_);
  if (settings_.traced) Trace(where, "light barrier");
}

// --- plain memory ---

void Execution::FailRace(const PlainMemory::Clash& clash, const PlainMemory::Access& access,
                         uintptr_t at) noexcept {
  const bool freed = clash.earlier.kind == PlainMemory::kFree;
  Fail(absl::StrCat(freed ? "use of freed memory: " : "data race: ", NameOfKind(access.kind),
                    " by T", access.thread, " in ", NameOfCode(access.code), ", ",
                    freed ? "after " : "and ", NameOfKind(clash.earlier.kind), " by T",
                    clash.earlier.thread, " in ", NameOfCode(clash.earlier.code), " at ",
                    Number(at)));
}

void Execution::Access(const void* at, size_t size, PlainMemory::Kind kind,
                       const void* code) noexcept {
  if (decisions_->settled()) return;
  // A number, as pointers into different objects have no order and no distance.
  const auto address = reinterpret_cast<uintptr_t>(at);
  // At the same address for all of the explored threads.
  if (address - thread_locals_.begin < thread_locals_.size) return;
  const PlainMemory::Access access{.thread = running_, .kind = kind, .code = code};
  const PlainMemory::Clash clash = memory_.Note(address, size, access, model_.clock(running_));
  if (clash.found) FailRace(clash, access, address);
}

void Execution::Free(void* memory, size_t size, const void* code) noexcept {
  model_.Within(memory, size, [this](MemoryModel::Location& location) {
    if (!model_.KnowsAll(running_, location)) {
      Fail(absl::StrCat("data race: T", running_, " frees the memory of the atomic ",
                        NameOfLocation(location), ", and not all that others did to it happens ",
                        "before that"));
    }
    MemoryModel::Destroy(location);
  });
  freed_.push_back(memory);
  Access(memory, size, PlainMemory::kFree, code);
}

void Execution::RawAtomic(const void* at, size_t size, bool writes, MemoryOrder order,
                          const void* code) noexcept {
  Access(at, size, writes ? PlainMemory::kAtomicWrite : PlainMemory::kAtomicRead, code);
  thread(running_).quiet = false;
  RawClock* raw = nullptr;
  for (RawClock& each : raw_) {
    if (each.at == at) raw = &each;
  }
  if (raw == nullptr) raw = &raw_.emplace_back(RawClock{.at = at, .clock = {}});
  model_.Tick(running_);
  Clock& now = model_.clock(running_);
  if (writes) {
    Touch(at);
  } else {
    model_.Remember(running_, LogOf(at).log);
  }
  if (order != kRelaxed && order != kRelease) now.Join(raw->clock);
  if (writes && (order == kRelease || order == kSeqCst || order == internal::kAcqRel)) {
    raw->clock.Join(now);
  }
}

}  // namespace plait::explorer
