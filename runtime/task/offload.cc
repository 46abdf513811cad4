#include "plait/runtime/task/offload.h"

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/frame_allocator.h"

namespace plait::internal {

struct CallOn::Ticket : WorkItem {
  // Set once each. kStopped only before kTaken.
  static constexpr int kPosted = 1;   // Schedule has returned
  static constexpr int kStopped = 2;  // the function is not to be called
  static constexpr int kTaken = 4;    // the executor has come to the ticket
  static constexpr int kLeft = 8;     // the co_await is over

  explicit Ticket(CallOn& of) noexcept : WorkItem(&RunTicket), call(of) {}

  static void* operator new(size_t size) { return AllocateFrame(size); }
  static void operator delete(void* ticket, size_t size) noexcept { FreeFrame(ticket, size); }

  // Acquire and release throughout: who calls the function sees what came before the co_await, and
  // who frees the ticket that the others are through with it.
  int Set(int bit) noexcept { return state.fetch_or(bit, kAcqRel); }

  static void RunTicket(WorkItem& item) noexcept {
    auto& self = static_cast<Ticket&>(item);
    const int before = self.Set(kTaken);
    if ((before & kStopped) == 0) {
      self.call.RunCall();
    } else if ((before & kPosted) != 0) {
      delete &self;
    }
  }

  // True for a stop that came before the executor.
  bool TryStop(int& before) noexcept {
    before = state.load(kRelaxed);
    do {
      if ((before & kTaken) != 0) return false;
    } while (!state.compare_exchange_weak(before, before | kStopped, kAcqRel, kRelaxed));
    return true;
  }

  // The co_await is over, which has had its function called.
  void Leave() noexcept {
    if ((Set(kLeft) & kPosted) != 0) delete this;
  }

  CallOn& call;  // there while neither stopped nor left
  Atomic<int> state{0};
};

CallOn::CallOn(Executor& executor, Call call, void* argument, bool cancellable) noexcept
    : WorkItem([](WorkItem& item) noexcept { static_cast<CallOn&>(item).RunCall(); }),
      executor_(executor),
      call_(call),
      argument_(argument),
      cancellable_(cancellable) {
  stop_.self = this;
  stop_.run = [](WorkItem& item) noexcept { static_cast<Stop&>(item).self->OnStop(); };
}

void CallOn::Suspend(PromiseBase& waiter) noexcept {
  waiter_ = &waiter;
  StopState* const stop = waiter.context->stop;
  cancellable_ = cancellable_ && stop != nullptr;
  if (!cancellable_) {
    executor_.Schedule(*this);
    return;
  }
  Ticket* const ticket = new Ticket(*this);
  ticket_ = ticket;
  // From Register on a stop, and from Schedule on the call, may free this on another thread. A stop
  // that comes before Schedule has returned leaves it to us to let the co_await go on, which may
  // end the executor.
  Executor& executor = executor_;
  if (!stop->Register(stop_)) {
    cancellable_ = false;
    called_ = false;
    ticket_ = nullptr;
    delete ticket;
    waiter.Schedule();
    return;
  }
  executor.Schedule(*ticket);
  const int before = ticket->Set(Ticket::kPosted);
  if ((before & Ticket::kStopped) != 0) {
    // Whoever of us and the executor is the later one frees the ticket.
    if ((before & Ticket::kTaken) != 0) delete ticket;
    waiter.Schedule();
  } else if ((before & Ticket::kLeft) != 0) {
    delete ticket;
  }
}

void CallOn::RunCall() noexcept {
  call_(argument_);
  waiter_->Schedule();
}

void CallOn::OnStop() noexcept {
  int before = 0;
  if (!ticket_->TryStop(before)) return;  // it runs or has run
  called_ = false;
  if ((before & Ticket::kPosted) != 0) waiter_->Schedule();
}

bool CallOn::await_resume() noexcept {
  // Waits for OnStop where that runs on another thread.
  if (cancellable_) waiter_->context->stop->Unregister(stop_);
  if (called_ && ticket_ != nullptr) ticket_->Leave();
  return called_;
}

}  // namespace plait::internal
