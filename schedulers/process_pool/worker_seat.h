// WorkerSeat: the parent's side of one worker process: what it was given, what it has answered.
// Internal; pool_core.h decides what it is given.
//
// Calls are numbered 1, 2, 3, ...; those that are given and not answered are first() to next() - 1.
// The worker runs them in that order and answers each. A call that was had back, or that nobody
// waits for any more, keeps its number until its answer comes.
//
// Threads: the pool's home only. Trust: see link.h; what the worker says is checked, and a worker
// that says what no worker would is `corrupt`, and to be killed.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_WORKER_SEAT_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_WORKER_SEAT_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/timer.h"
#include "plait/schedulers/process_pool/call_board.h"
#include "plait/schedulers/process_pool/call_protocol.h"
#include "plait/schedulers/process_pool/link.h"
#include "plait/schedulers/process_pool/payload.h"
#include "plait/schedulers/process_pool/pool_call.h"
#include "plait/schedulers/process_pool/pool_watch.h"
#include "plait/schedulers/process_pool/worker_process.h"

namespace plait::internal {

class WorkerSeat {
 public:
  enum class State : uint8_t {
    kStarting,  // has not said that it is ready
    kReady,
    kStopping,  // one of its calls was given up and still runs
    kLeaving,   // was told to end
    kDead,
  };

  // Is told what the worker answers. May not give it calls meanwhile.
  class Listener {
   public:
    virtual void OnReady(WorkerSeat& worker) noexcept = 0;
    // `call` has its result, or the status of why it has none.
    virtual void OnAnswer(WorkerSeat& worker, PoolCall& call, absl::Status status) noexcept = 0;
    // `call` was recalled and has not begun: it is to be given to another worker.
    virtual void OnReturned(WorkerSeat& worker, PoolCall& call) noexcept = 0;

   protected:
    ~Listener() = default;
  };

  struct Watch : PoolWatch {
    using PoolWatch::PoolWatch;
    WorkerSeat* worker = nullptr;
  };
  struct Alarm : Timer {
    using Timer::Timer;
    WorkerSeat* self = nullptr;
    PoolCore* core = nullptr;
  };

  WorkerSeat(std::shared_ptr<LinkMemory> link, std::shared_ptr<PayloadMemory> payload,
             std::unique_ptr<WorkerProcess> process, PoolWatch::Owner& watcher);
  WorkerSeat(const WorkerSeat&) = delete;
  WorkerSeat& operator=(const WorkerSeat&) = delete;

  enum class Given : uint8_t { kGiven, kNoRoom, kFailed, kCorrupt };
  // Writes the call to the worker. kNoRoom: not before something was answered. kFailed: never, and
  // `status` says why. kCorrupt: the worker has damaged what it shares; the call is untouched.
  Given Give(PoolCall& call, absl::Status& status);
  // Tells it to end; false where there is no room to say so.
  bool SayGoodbye();

  // Takes the answers that are there; whether there were any.
  bool TakeAnswers(Listener& listener);

  // Nobody waits for `call` any more, which it was given. True when it certainly never runs; else
  // it may run, and was told to stop. Its answer goes to nobody.
  bool GiveUp(PoolCall& call);
  // Wants `call` back, for another worker. True when it is, and certainly never runs here; else its
  // answer comes, or OnReturned.
  bool Recall(PoolCall& call);
  // The call with that number; null where it is nobody's any more.
  PoolCall* call(uint64_t number) const { return entries_[number % CallBoard::kSlots].call; }
  // When it is dead, or counts as that: whether the call has not begun, and never does.
  bool NeverBegins(uint64_t number);
  // Takes the call out, for another worker or to fail it.
  PoolCall* Take(uint64_t number);

  uint64_t first() const noexcept { return first_; }
  uint64_t next() const noexcept { return next_; }
  // Given and not answered.
  size_t outstanding() const noexcept { return static_cast<size_t>(next_ - first_); }
  // Of those, the calls that somebody waits for.
  size_t live() const noexcept { return live_; }
  // How many it was given in all, without those that it gave back.
  uint64_t given() const noexcept { return given_; }
  // The last call that it has begun. What it has said once it cannot take back.
  uint64_t begun() noexcept { return begun_ = std::max(begun_, payload_->board().begun()); }
  bool corrupt() const noexcept { return corrupt_; }
  // Whether calls may be given to it, as far as is known.
  bool usable() const noexcept { return state == State::kReady && !corrupt_ && !let_go; }

  LinkEnd& link() noexcept { return link_; }
  PayloadWriter& arguments() noexcept { return arguments_; }
  WorkerProcess& process() const noexcept { return *process_; }
  int event_descriptor() const noexcept { return link_memory_->event_descriptor(); }

  State state = State::kStarting;
  // While kStopping: the call that still runs, and how often it was told to stop.
  uint64_t stopping_number = 0;
  int stop_step = 0;
  PoolCall* unbegun = nullptr;  // why it is kStopping, where it has not begun its first
  Alarm alarm;
  bool killed = false;  // by us: its death is nobody's fault
  bool alarm_set = false;
  // What the alarm is set to; nothing where nobody waits for it. It may be about to run at an
  // earlier time: then it can neither be set nor be taken back, and looks here.
  std::optional<Deadline> alarm_due;
  // It has closed its end of the event, as by dying; how often that was looked at since.
  bool let_go = false;
  int looks = 0;
  size_t ahead = 4;         // how many calls it is given at most
  uint64_t stall_mark = 0;  // first(), when that was last looked at; 0: it has calls since then
  // In how many looks in a row it had not begun its first, and in how many it may. More each time
  // that it then was only slow.
  int stall_looks = 0;
  int patience = 1;
  bool full = false;  // while calls are given out: it has no room
  Watch event;
  Watch end;

 private:
  struct Entry {
    PoolCall* call = nullptr;
    PayloadRef arguments;  // of size 0 when they were in the record
    bool recalled = false;
  };

  bool LooksWell();
  void TakeAnswer(const RingRecord& record, Listener& listener);
  void ReleaseFirst();
  void Commit(PoolCall& call, RecordKind kind, char* to, size_t size, const PayloadRef& elsewhere);

  const std::shared_ptr<LinkMemory> link_memory_;
  const std::shared_ptr<PayloadMemory> payload_;
  const std::unique_ptr<WorkerProcess> process_;
  LinkEnd link_;
  PayloadWriter arguments_;
  const PayloadReader results_;
  std::array<Entry, CallBoard::kSlots> entries_;
  uint64_t first_ = 1;
  uint64_t next_ = 1;
  size_t live_ = 0;
  uint64_t given_ = 0;
  uint64_t begun_ = 0;
  bool corrupt_ = false;
};

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_WORKER_SEAT_H_
