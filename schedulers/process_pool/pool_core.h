// PoolCore: what a process pool does with its calls and its workers. Internal; ProcessPool is the
// handle.
//
// Home. All of it happens on one thread, its home: the Worker on which a call was first made. That
// Worker's reactor watches the processes, its timers keep the deadlines; calls and cancels from
// elsewhere are carried there. Home is kept by a task of that Worker's executor (the keeper). When
// the loop is closed the keeper is cancelled; then the calls that are left fail, the processes stay
// unless one of their calls was running, and the next call makes its thread the home. There is no
// thread of the pool's own.
//
// The pump is a work item that takes answers and gives calls. While calls are out it looks for some
// microseconds by posting itself, with the loop's other work in between; where that is in vain it
// goes to sleep, and the workers wake it through their links.
//
// Which worker. The one with the fewest calls gets the next, up to calls_per_worker ahead while it
// answers quickly. A worker that has nothing to do gets half of what another was given and has not
// begun; one that answers nothing for some milliseconds loses all of that, so that no call waits
// behind a long one or in a process that hangs (where it has only been slow to begin, as one of a
// high niceness is, it gets longer the next time). A call belongs to one worker at any time
// (call_board.h), which is how at most one run is kept.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_POOL_CORE_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_POOL_CORE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/timer.h"
#include "plait/runtime/core/work_item.h"
#include "plait/runtime/core/worker.h"
#include "plait/runtime/sync/event.h"
#include "plait/runtime/task/home_wait.h"
#include "plait/runtime/task/task.h"
#include "plait/schedulers/process_pool/pool_call.h"
#include "plait/schedulers/process_pool/pool_watch.h"
#include "plait/schedulers/process_pool/process_pool_options.h"
#include "plait/schedulers/process_pool/remote_executor.h"
#include "plait/schedulers/process_pool/worker_seat.h"
#include "plait/schedulers/process_pool/zygote.h"

namespace plait::internal {

class PoolCore final : public RemoteExecutor,
                       public std::enable_shared_from_this<PoolCore>,
                       private WorkerSeat::Listener,
                       private PoolWatch::Owner {
 public:
  // Starts the processes; does not wait until they are there.
  static absl::StatusOr<std::shared_ptr<PoolCore>> Create(ProcessPoolOptions options);
  PoolCore(const PoolCore&) = delete;
  PoolCore& operator=(const PoolCore&) = delete;
  // When no call is in it: blocks for some milliseconds where processes are left.
  ~PoolCore() override;

  const FunctionTable& functions() const noexcept { return options_.functions; }
  const ProcessPoolOptions& options() const noexcept { return options_; }

  // Any thread; see RemoteExecutor. Each call's frame keeps this, as the pool may be gone before.
  void Start(RemoteCall& remote) noexcept override;
  void Cancel(RemoteCall& remote) noexcept override;
  RemoteCapacity capacity() const noexcept override {
    return {.workers = options_.workers, .ahead = options_.calls_per_worker};
  }

  // Any thread. Refuses calls from now on and ends the workers: when the calls that are here have
  // ended, or, if `at_once`, now.
  void Close(bool at_once) noexcept;
  // Set when no process is left.
  Event& closed_event() noexcept { return closed_event_; }

  // Whether this is a copy, in a process that was forked from the pool's: it can do nothing.
  bool forked() const noexcept;

  // Any thread: the numbers of the processes that are known.
  std::vector<int> worker_pids() const;
  // How many processes were started in the place of one that ended.
  uint64_t replaced() const noexcept { return replaced_.load(kRelaxed); }

 private:
  // A home, from the call that made it one until it is none.
  class KeeperWait;
  struct Tenure {
    explicit Tenure(Worker& its_home) : home(its_home) {}

    Worker& home;
    bool ended = false;  // the rest is home's
    KeeperWait* keeper = nullptr;
  };
  // How a function fares.
  struct Record {
    int deaths = 0;  // since its last success
    Deadline quarantined_until;
    std::string last_words;
  };

  // So many workers in a row may die before they are ready.
  static constexpr int kMostStartFailures = 5;

  static absl::Status ClosedError();
  static absl::StatusOr<std::unique_ptr<Zygote>> StartZygote(const FunctionTable& functions);
  static int SpinsAtFirst();

  explicit PoolCore(ProcessPoolOptions options);
  static Task<void> Keep(std::shared_ptr<PoolCore> core, std::shared_ptr<Tenure> tenure);

  // --- from elsewhere ---
  // With mutex_ held and a home: `item` runs there.
  void SendHomeLocked(WorkItem& item) noexcept;
  // Ends a call that was never accepted.
  void Refuse(RemoteCall& remote, absl::Status status) noexcept;

  // --- at home: calls ---
  void Accept(PoolCall& call) noexcept;
  absl::Status Admit(PoolCall& call);
  absl::Status Quarantine(const PoolCall& call) const;
  void Stop(PoolCall& call, absl::Status status) noexcept;
  void End(PoolCall& call, absl::Status status) noexcept;
  void RunIfFree(PoolCall& call) noexcept;
  bool CancelTravels(PoolCall& call) const noexcept;
  void OnAlarm(PoolCall& call) noexcept;
  void FailQueue(const absl::Status& status) noexcept;

  // --- at home: giving and taking ---
  void Pump() noexcept;
  void SchedulePump() noexcept;
  bool TakeAnswers() noexcept;
  void Dispatch() noexcept;
  WorkerSeat* PickWorker() noexcept;
  void Rebalance() noexcept;
  void SetStallAlarm() noexcept;
  void LookForStalls() noexcept;
  // Takes back what was given to `worker` after `number` and has not begun.
  void RecallAfter(WorkerSeat& worker, uint64_t number, size_t most) noexcept;
  void ForgetUnbegun(PoolCall* call) noexcept;
  bool Sleep() noexcept;
  void SetTrim() noexcept;
  void Trim() noexcept;

  // --- at home: workers ---
  void Adopt(Worker& home, Executor& executor) noexcept;
  void StartWorkers() noexcept;
  absl::StatusOr<std::unique_ptr<WorkerSeat>> StartWorker();
  absl::Status WatchWorker(WorkerSeat& worker);
  void GiveUpOn(WorkerSeat& worker, uint64_t number) noexcept;
  void OnWorkerAlarm(WorkerSeat& worker) noexcept;
  void SetAlarm(WorkerSeat& worker, absl::Duration after) noexcept;
  void SetAlarmAt(WorkerSeat& worker, Deadline due) noexcept;
  void CancelAlarm(WorkerSeat& worker) noexcept;
  void Kill(WorkerSeat& worker) noexcept;
  void KillDamaged(WorkerSeat& worker) noexcept;
  // How it has ended, where it has; its number, where that is known now.
  void TakeReport(WorkerSeat& worker) noexcept;
  void OnDeath(WorkerSeat& worker, const WorkerExit& exit) noexcept;
  void CountUnbegun(WorkerSeat& worker, bool killed) noexcept;
  void OnCallsDeath(PoolCall& call, WorkerSeat& worker, const WorkerExit& exit) noexcept;
  void OnStartFailed(absl::Status status) noexcept;
  void LeaveIfDone(WorkerSeat& worker) noexcept;
  void Retire(WorkerSeat& worker) noexcept;
  void SweepRetired() noexcept;
  bool AnyAlive() const noexcept;
  void UpdatePids() noexcept;

  // --- at home: the end of it ---
  void BeginRelease(absl::Status why) noexcept;
  void FinishRelease() noexcept;
  void EndWorkers() noexcept;
  void EndIfClosed() noexcept;

  // --- at home: the process that starts workers ---
  // Starts one where there is none.
  absl::Status RequireZygote();
  static bool Owes(const WorkerSeat& worker) noexcept;
  bool ZygoteOwes() const noexcept;
  void SetZygoteAlarm() noexcept;
  void CancelZygoteAlarm() noexcept;
  void LookAfterZygote() noexcept;
  void LookAtZygote() noexcept;
  void LoseZygote() noexcept;
  void GiveUpZygote() noexcept;
  void ReapKilledZygotes() noexcept;
  bool ZygoteHasEnded() noexcept;
  void LookAtEndingZygote() noexcept;

  // WorkerSeat::Listener, PoolWatch::Owner.
  void OnReady(WorkerSeat& worker) noexcept override;
  void OnAnswer(WorkerSeat& worker, PoolCall& call, absl::Status status) noexcept override;
  void OnReturned(WorkerSeat& worker, PoolCall& call) noexcept override;
  void OnReadable(PoolWatch& watch) noexcept override;
  void OnStopped(PoolWatch& watch) noexcept override;

  Deadline Now() const noexcept { return home_.load(kRelaxed)->clock().Now(); }

  const ProcessPoolOptions options_;
  const uint64_t generation_;  // of the process that it was made in

  // Shared between threads.
  mutable std::mutex mutex_;
  // Written under it, by the home thread; what a thread reads of itself is right without.
  Atomic<Worker*> home_{nullptr};
  WorkQueue arrivals_;           // under it
  bool visit_posted_ = false;    // under it
  bool refusing_ = false;        // under it: Close was called
  bool close_now_sent_ = false;  // under it
  std::vector<int> pids_;        // under it
  Atomic<uint64_t> replaced_{0};
  Event closed_event_;

  // Home's, or nobody's.
  struct Item : WorkItem {
    using WorkItem::WorkItem;
    PoolCore* core = nullptr;
  };
  struct Alarm : Timer {
    using Timer::Timer;
    PoolCore* core = nullptr;
  };
  struct KilledZygote {
    std::unique_ptr<Zygote> zygote;
    int looks = 0;
  };
  std::unique_ptr<Zygote> zygote_;    // null where it was lost and there is no other yet
  bool zygote_loss_counted_ = false;  // as a failure to start workers
  bool zygote_ending_ = false;
  int zygote_silent_ = 0;                             // looks without a sign of life
  std::vector<KilledZygote> killed_zygotes_;          // to be reaped
  PoolWatch zygote_end_;                              // while zygote_ending_
  std::vector<std::unique_ptr<WorkerSeat>> workers_;  // a place for each; null while it is empty
  std::vector<std::unique_ptr<WorkerSeat>> retired_;  // to be dropped when nothing refers to them
  std::vector<Record> records_;                       // of the functions
  PoolCallQueue queue_;
  size_t calls_ = 0;  // accepted and not ended
  bool closing_ = false;
  absl::Status releasing_;  // not OK: home is being given up, and why
  std::shared_ptr<Tenure> tenure_;

  Item visit_;
  Item pump_;
  Item close_;
  Item close_now_;
  bool pumping_ = false;
  bool sleeping_ = false;  // the links know that nobody looks
  int spins_ = 0;          // how often to spin in vain before sleeping at once
  Deadline spin_until_;
  Deadline asleep_since_;

  int start_failures_ = 0;  // in a row
  absl::Status start_failure_;
  Alarm restart_;
  Alarm trim_;
  Alarm stall_;
  Alarm zygote_alarm_;
  bool restart_set_ = false;
  bool trim_set_ = false;
  bool stall_set_ = false;
  bool zygote_alarm_set_ = false;
};

}  // namespace plait::internal

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_POOL_CORE_H_
