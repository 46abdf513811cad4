// How the threads of the code under test take turns; what they do to memory is in
// execution_memory.cc.
#include "plait/runtime/testing/explorer/execution.h"

#include <link.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "boost/context/detail/fcontext.hpp"
#include "plait/runtime/core/check.h"

namespace plait::explorer {
namespace {

namespace context = boost::context::detail;
using internal::kRelaxed;

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

Execution::AddressRange Execution::ThreadLocals() noexcept {
  AddressRange found;
  const auto look_at = [](dl_phdr_info* info, size_t, void* out) {
    for (int i = 0; i < info->dlpi_phnum; ++i) {
      const auto& segment = info->dlpi_phdr[i];
      if (segment.p_type != PT_TLS) continue;
      // As a number, see Access.
      *static_cast<AddressRange*>(out) = {.begin = reinterpret_cast<uintptr_t>(info->dlpi_tls_data),
                                          .size = segment.p_memsz};
    }
    return 1;  // the program itself comes first, and is all
  };
  dl_iterate_phdr(look_at, &found);
  return found;
}

Execution::Execution() {
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
  // The number that is left must be the same, too, where there is a bound.
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

}  // namespace plait::explorer
