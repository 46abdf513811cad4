// Multishot: one request that gives result after result: connections accepted, or data received
// into memory that the reactor lends.
//
// An operation of its own kind, as its results are no operation's: they come when they come, many
// between two looks, and their memory is the reactor's. Data waits in the reactor's buffers, so a
// connection that is idle has none. A reactor that has nothing better than one operation after
// another gives no Multishot (Reactor::StartMultishot returns null), and its user does that
// instead.
//
//   Multishot* shots = reactor.StartMultishot(IoOpcode::kAccept, listener, owner);
//   ... owner.OnShots runs, as work of the executor, when there is something that was not there ...
//   while (Shot* shot = shots->Take()) { Use(shot->result); reactor.ReturnShot(*shots, *shot); }
//   reactor.StopMultishot(*shots);
//
// It keeps no loop alive: whoever waits for what it brings does. A reactor that is destroyed, or
// goes on on another thread, leaves nothing behind: see MultishotOwner.
//
// Threads: the reactor's. Bounds: where kMaxUntaken results wait to be taken, no more are fetched,
// and it ends with -ENOBUFS, unless half of them were returned meanwhile: a peer that is not read
// from is not read, and keeps no more than those of the reactor's buffers from the others. Who
// closes the descriptor that a multishot accepts on (kClose) ends it with -ECANCELED.
#ifndef PLAIT_RUNTIME_CORE_MULTISHOT_H_
#define PLAIT_RUNTIME_CORE_MULTISHOT_H_

#include <cstdint>

#include "plait/runtime/core/io_operation.h"
#include "plait/runtime/core/work_item.h"

namespace plait {

// One result. The reactor's memory, lent until it is returned.
struct Shot {
  Shot* next = nullptr;
  char* data = nullptr;  // kRead: what was received
  int32_t result = 0;    // kRead: how many bytes, at least 1. kAccept: the new descriptor
};

class Multishot;

class MultishotOwner {
 public:
  // Results wait to be taken, or it has ended. May take, return, and stop it.
  virtual void OnShots(Multishot& shots) noexcept = 0;

  // The reactor is being destroyed, and the multishot with it: the owner forgets it. May not call
  // the reactor.
  virtual void OnReactorGone(Multishot& shots) noexcept = 0;

 protected:
  ~MultishotOwner() = default;
};

// Made by a reactor, in its own memory; the owner's until it was stopped. It is delivered, through
// Poll, as often as results have come and it is not about to run already.
class Multishot : public WorkItem {
 public:
  static constexpr uint32_t kMaxUntaken = 16;

  // The oldest result that was not taken yet, or null.
  Shot* Take() noexcept {
    Shot* const shot = first_;
    if (shot != nullptr) first_ = shot->next;
    return shot;
  }
  bool has_shots() const noexcept { return first_ != nullptr; }

  // True when no more results will come than those that wait to be taken. Then end() is 0 for the
  // end of the stream, or -errno: -ENOBUFS where the reactor has nothing left to lend, or has lent
  // enough to this one, which is no error of the descriptor's: an operation reads on, into memory
  // of its own. It must still be stopped.
  bool ended() const noexcept { return ended_; }
  int32_t end() const noexcept { return end_; }

  // While its reactor is not polled, on any thread, where it cannot be stopped: its descriptor is
  // being closed. The kernel is not asked again for a number that may be another's by then: it ends
  // with -ECANCELED, unless something else ends it before.
  void DescriptorGone() noexcept { descriptor_gone_ = true; }

 protected:
  Multishot() : WorkItem(&Run) {}
  ~Multishot() = default;

  void Append(Shot& shot) noexcept {
    shot.next = nullptr;
    if (first_ == nullptr) {
      first_ = &shot;
    } else {
      last_->next = &shot;
    }
    last_ = &shot;
  }

  MultishotOwner* owner_ = nullptr;  // the reactor's own once it was stopped

 private:
  static void Run(WorkItem& item) noexcept {
    auto& self = static_cast<Multishot&>(item);
    self.queued_ = false;
    if (self.owner_ != nullptr) self.owner_->OnShots(self);
  }

  Shot* first_ = nullptr;
  Shot* last_ = nullptr;

 protected:
  int32_t end_ = 0;
  bool queued_ = false;  // delivered, and has not run yet
  bool descriptor_gone_ = false;
  bool ended_ = false;  // last: what derives from this goes on in its padding
};

}  // namespace plait

#endif  // PLAIT_RUNTIME_CORE_MULTISHOT_H_
