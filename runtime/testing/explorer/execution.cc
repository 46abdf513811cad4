#include "plait/runtime/testing/explorer/execution.h"

#include <link.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string_view>

#include "absl/debugging/symbolize.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "boost/context/detail/fcontext.hpp"
#include "plait/runtime/core/check.h"

namespace plait::explorer {
namespace {

namespace context = boost::context::detail;
using internal::kRelaxed;
using internal::kRelease;
using internal::kSeqCst;
using internal::explored::Change;

constexpr int kAllValues = std::numeric_limits<int>::max();

std::string Place(const Where& where) {
  std::string_view file = where.file_name();
  file.remove_prefix(file.rfind('/') + 1);
  return absl::StrCat(ShortFunctionName(where.function_name()), " (", std::string(file), ":",
                      where.line(), ")");
}

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

// Where the program's thread_locals are, of the calling thread.
std::string_view ThreadLocals() {
  std::string_view found;
  const auto look_at = [](dl_phdr_info* info, size_t, void* out) {
    for (int i = 0; i < info->dlpi_phnum; ++i) {
      const auto& segment = info->dlpi_phdr[i];
      if (segment.p_type != PT_TLS || info->dlpi_tls_data == nullptr) continue;
      *static_cast<std::string_view*>(out) = {static_cast<const char*>(info->dlpi_tls_data),
                                              segment.p_memsz};
    }
    return 1;  // the program itself comes first, and is all
  };
  dl_iterate_phdr(look_at, &found);
  return found;
}

}  // namespace

constinit Execution* Execution::current_ = nullptr;

struct Execution::Entry {
  static void Run(context::transfer_t from) {
    Execution& self = *static_cast<Execution*>(from.data);
    self.driver_ = from.fctx;
    Thread& thread = self.thread(self.running_);
    current_ = &self;
    (*thread.body)();
    current_ = nullptr;
    thread.state = State::kEnded;
    self.model_.Tick(self.running_);
    if (self.running_ != 0) self.Block();
    self.SwitchOut();
    __builtin_unreachable();
  }
};

Execution::Execution() : thread_locals_(ThreadLocals()) {
  for (Thread& each : threads_) {
    absl::StatusOr<internal::StackMemory> stack = internal::MapStack(kStackSize);
    PLAIT_CHECK(stack.ok(), stack.status().ToString());
    each.stack = *stack;
  }
}

Execution::~Execution() {
  for (Thread& each : threads_) internal::UnmapStack(each.stack);
}

std::string Execution::Run(Body body, Decisions& decisions, const Settings& settings) {
  PLAIT_CHECK(current_ == nullptr, "Explore was called by code that is explored");
  settings_ = settings;
  decisions_ = &decisions;
  decisions.Rewind();
  for (Thread& each : threads_) each.state = State::kNone;
  count_ = 0;
  running_ = next_ = 0;
  preemptions_ = stale_values_ = steps_ = 0;
  locked_instructions_ = 0;
  failed_ = false;
  why_.clear();
  trace_.clear();
  model_.Reset();
  memory_.Reset();
  raw_.clear();
  futexes_.clear();
  logs_.clear();
  Begin(0, body);
  count_ = 1;
  do {
    SwitchTo(next_);
  } while (!failed_ && thread(0).state != State::kEnded);
  for (void* memory : freed_) std::free(memory);
  freed_.clear();
  return why_;
}

void Execution::Begin(int number, const Body& body) noexcept {
  Thread& thread = threads_[static_cast<size_t>(number)];
  thread.body = &body;
  thread.state = State::kReady;
  thread.fresh = true;
  thread.quiet = false;
  thread.stores_seen = 0;
  thread.sleeps_on = nullptr;
  thread.own = internal::ThreadState();
  thread.serial = ~uint64_t{0} - static_cast<uint64_t>(number);  // no real thread gets so far
  thread.here =
      context::make_fcontext(thread.stack.base + thread.stack.size, thread.stack.size, &Entry::Run);
}

void Execution::SwitchTo(int number) noexcept {
  running_ = number;
  Thread& thread = threads_[static_cast<size_t>(number)];
  std::swap(internal::thread_state, thread.own);
  std::swap(internal::thread_serial, thread.serial);
  thread.here = context::jump_fcontext(thread.here, this).fctx;
  std::swap(internal::thread_state, thread.own);
  std::swap(internal::thread_serial, thread.serial);
}

void Execution::SwitchOut() noexcept { driver_ = context::jump_fcontext(driver_, nullptr).fctx; }

void Execution::Fail(std::string why) noexcept {
  current_ = nullptr;
  failed_ = true;
  why_ = std::move(why);
  SwitchOut();
  __builtin_unreachable();
}

bool Execution::MayRun(int number) noexcept {
  Thread& thread = threads_[static_cast<size_t>(number)];
  switch (thread.state) {
    case State::kReady:
      return true;
    case State::kWaiting:
      return (*thread.ready)();
    case State::kSpinning:
      return model_.StoresOfOthers(number) != thread.stores_seen;
    case State::kNone:
    case State::kEnded:
      break;
  }
  return false;
}

Execution::Log& Execution::LogOf(const void* object) noexcept {
  for (Log& each : logs_) {
    if (each.of == object) return each;
  }
  return logs_.emplace_back(Log{.of = object, .log = 0});
}

void Execution::Touch(const void* object) noexcept {
  Log& log = LogOf(object);
  model_.Remember(running_, log.log);
  log.log = Chain(log.log, NumberOf(running_, model_.Tick(running_)));
}

Fingerprint Execution::fingerprint() const noexcept {
  Fingerprint result = model_.fingerprint();
  for (const Log& each : logs_) result += Chain(1, each.log);
  for (int i = 0; i < count_; ++i) {
    result = Chain(result, static_cast<uint64_t>(threads_[static_cast<size_t>(i)].state));
  }
  return result;
}

void Execution::LookUp(bool running) noexcept {
  if (settings_.visited == nullptr || !decisions_->fresh()) return;
  Fingerprint here = Chain(fingerprint(), running ? static_cast<uint64_t>(running_) : 255);
  // What is still allowed must be the same, too. (Where all is, it is.)
  if (settings_.stale_values != kAllValues)
    here = Chain(here, static_cast<uint64_t>(stale_values_));
  const auto used = static_cast<uint8_t>(std::min(preemptions_, 255));
  const auto [found, inserted] = settings_.visited->try_emplace(here, used);
  if (inserted) return;
  if (found->second <= used) {
    decisions_->Settle();
  } else {
    found->second = used;
  }
}

int Execution::ChooseAge(int count) noexcept {
  if (count <= 1 || decisions_->settled()) return 0;
  if (stale_values_ >= settings_.stale_values) {
    was_bounded_in_values_ = true;
    return 0;
  }
  const int age = decisions_->Choose(count);
  if (age > 0) ++stale_values_;
  return age;
}

bool Execution::IsItsOwn(const void* at) noexcept {
  const MemoryModel::Location* location = model_.Find(at);
  if (location == nullptr) return false;
  const MemoryModel::Operation& made = location->stores.front();
  if (made.thread != running_ || made.index == 0) return false;
  for (int i = 0; i < count_; ++i) {
    if (i != running_ && model_.clock(i).Knows(made.thread, made.index)) return false;
  }
  return true;
}

void Execution::Point(bool its_own) noexcept {
  if (++steps_ > settings_.max_steps) {
    Fail(absl::StrCat("an execution does not end: it has taken ", settings_.max_steps, " steps"));
  }
  // Whether a thread runs before one that has done nothing was decided when it was begun.
  if (std::exchange(thread(running_).fresh, false)) return;
  LookUp(/*running=*/true);
  if (its_own || thread(running_).quiet) return;
  std::array<int, kMaxThreads> others;
  size_t count = 0;
  for (int i = 0; i < count_; ++i) {
    if (i != running_ && MayRun(i)) others[count++] = i;
  }
  if (count == 0 || decisions_->settled()) return;
  if (preemptions_ >= settings_.preemptions) {
    was_bounded_ = true;
    return;
  }
  const int chosen = decisions_->Choose(static_cast<int>(count) + 1);
  if (chosen == 0) return;
  ++preemptions_;
  next_ = others[static_cast<size_t>(chosen) - 1];
  SwitchOut();
}

void Execution::Block() noexcept {
  const int self = running_;
  if (++steps_ > settings_.max_steps) {
    Fail(absl::StrCat("an execution does not end: it has taken ", settings_.max_steps, " steps"));
  }
  std::array<int, kMaxThreads> may_run;
  size_t count = 0;
  for (int i = 0; i < count_; ++i) {
    if (MayRun(i)) may_run[count++] = i;
  }
  if (count == 0) Fail(DescribeDeadlock());
  LookUp(/*running=*/false);
  next_ = may_run[static_cast<size_t>(decisions_->Choose(static_cast<int>(count)))];
  if (next_ != self) SwitchOut();
}

std::string Execution::DescribeDeadlock() {
  std::vector<std::string> waits;
  for (int i = 0; i < count_; ++i) {
    const Thread& each = thread(i);
    if (each.state == State::kWaiting || each.state == State::kSpinning) {
      waits.push_back(absl::StrCat("T", i, " waits for ", each.what, " in ", Place(each.where)));
    }
  }
  return absl::StrCat("deadlock, or a wake-up was lost: ", absl::StrJoin(waits, "; "));
}

void Execution::WaitUntil(absl::FunctionRef<bool()> ready, const char* what,
                          const Where& where) noexcept {
  Thread& self = thread(running_);
  Point();
  self.quiet = false;
  model_.Tick(running_);
  model_.Remember(running_, 0);
  if (ready()) return;
  if (settings_.traced) Trace(where, absl::StrCat("waits for ", what));
  self.ready = &ready;
  self.what = what;
  self.where = where;
  self.state = State::kWaiting;
  Block();
  self.state = State::kReady;
}

void Execution::Release(Clock& to, const char* what, const Where& where) noexcept {
  Point();
  thread(running_).quiet = false;
  model_.Tick(running_);
  to.Join(model_.clock(running_));
  Touch(&to);
  if (settings_.traced) Trace(where, what);
}

void Execution::Acquire(const Clock& from) noexcept {
  model_.clock(running_).Join(from);
  Touch(&from);
}

void Execution::Spin(const Where& where) noexcept {
  Thread& self = thread(running_);
  self.quiet = false;
  const uint64_t stores = model_.StoresOfOthers(running_);
  model_.CatchUp(running_);
  model_.Remember(running_, fingerprint());
  // If there was a store since it last spun, it may not have seen it.
  self.state = stores != self.stores_seen ? State::kReady : State::kSpinning;
  self.stores_seen = stores;
  self.what = "a store that ends its spinning";
  self.where = where;
  Block();
  self.state = State::kReady;
  self.stores_seen = model_.StoresOfOthers(running_);
  model_.CatchUp(running_);
  model_.Remember(running_, fingerprint());
}

Clock& Execution::FutexClockOf(const void* at) noexcept {
  for (FutexClock& each : futexes_) {
    if (each.at == at) return each.woken;
  }
  return futexes_.emplace_back(FutexClock{.at = at, .woken = {}}).woken;
}

void Execution::FutexWait(const void* at, uint64_t value, bool times_out,
                          const Where& where) noexcept {
  Point();
  thread(running_).quiet = false;
  // The system looks at the word. It sees what was there when FutexWake was called, though the
  // caller may not rely on that to see anything else.
  Clock& now = model_.clock(running_);
  const Clock before = now;
  now.Join(FutexClockOf(at));
  const uint64_t seen =
      model_.Load(running_, Locate(at, sizeof(uint32_t), where), kRelaxed, choose_);
  const uint32_t index = now.at[static_cast<size_t>(running_)];
  now = before;
  now.at[static_cast<size_t>(running_)] = index;
  if (settings_.traced) {
    Trace(where, seen == value ? "sleeps on a futex" : "does not sleep on a futex, it has changed");
  }
  CheckOverflow();
  if (seen != value) return;
  Touch(&FutexClockOf(at));
  Thread& self = thread(running_);
  // It times out whenever it is let run before it is woken.
  const auto awake = [&self, times_out] { return times_out || self.sleeps_on == nullptr; };
  const absl::FunctionRef<bool()> ready = awake;
  self.sleeps_on = at;
  self.ready = &ready;
  self.what = "a futex";
  self.where = where;
  self.state = State::kWaiting;
  Block();
  self.state = State::kReady;
  self.sleeps_on = nullptr;
}

void Execution::FutexWake(const void* at, const Where& where) noexcept {
  Release(FutexClockOf(at), "wakes who sleeps on a futex", where);
  for (Thread& each : threads_) {
    if (each.sleeps_on == at) each.sleeps_on = nullptr;
  }
}

void Execution::Parallel(std::span<const Body> bodies) noexcept {
  const int first = count_;
  const int parent = running_;
  if (static_cast<size_t>(first) + bodies.size() > kMaxThreads) {
    Fail(absl::StrCat("an execution has at most ", kMaxThreads, " threads"));
  }
  thread(parent).quiet = false;
  model_.Tick(parent);
  model_.Remember(parent, static_cast<uint64_t>(first));
  for (const Body& body : bodies) {
    Begin(count_, body);
    model_.clock(count_) = model_.clock(parent);
    ++count_;
  }
  Thread& self = thread(parent);
  const auto all_ended = [this, first, &bodies] {
    for (size_t i = 0; i < bodies.size(); ++i) {
      if (threads_[static_cast<size_t>(first) + i].state != State::kEnded) return false;
    }
    return true;
  };
  const absl::FunctionRef<bool()> ready = all_ended;
  self.ready = &ready;
  self.what = "the threads that it began";
  self.state = State::kWaiting;
  Block();
  self.state = State::kReady;
  for (size_t i = 0; i < bodies.size(); ++i) {
    model_.clock(parent).Join(model_.clock(first + static_cast<int>(i)));
  }
}

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
                         const void* at) noexcept {
  const bool freed = clash.earlier.kind == PlainMemory::kFree;
  Fail(absl::StrCat(freed ? "use of freed memory: " : "data race: ", NameOfKind(access.kind),
                    " by T", access.thread, " in ", NameOfCode(access.code), ", ",
                    freed ? "after " : "and ", NameOfKind(clash.earlier.kind), " by T",
                    clash.earlier.thread, " in ", NameOfCode(clash.earlier.code), " at ",
                    Number(reinterpret_cast<uintptr_t>(at))));
}

void Execution::Access(const void* at, size_t size, PlainMemory::Kind kind,
                       const void* code) noexcept {
  if (decisions_->settled()) return;
  // At the same address for all of the explored threads.
  const auto offset =
      reinterpret_cast<uintptr_t>(at) - reinterpret_cast<uintptr_t>(thread_locals_.data());
  if (offset < thread_locals_.size()) return;
  const PlainMemory::Access access{.thread = running_, .kind = kind, .code = code};
  const PlainMemory::Clash clash =
      memory_.Note(reinterpret_cast<uintptr_t>(at), size, access, model_.clock(running_));
  if (clash.found) FailRace(clash, access, at);
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
