#include "plait/runtime/task/offload.h"

#include "plait/runtime/core/atomic.h"
#include "plait/runtime/core/frame_allocator.h"

namespace plait::internal {

struct CallOn::Ticket : WorkItem {
  explicit Ticket(CallOn& of) noexcept : WorkItem(&RunTicket), call(&of) {}

  static void* operator new(size_t size) { return AllocateFrame(size); }
  static void operator delete(void* ticket, size_t size) noexcept { FreeFrame(ticket, size); }

  // True for the one who decides. Acquire: what was written before the ticket was queued is
  // visible.
  CallOn* Take() noexcept { return call.exchange(nullptr, kAcqRel); }

  static void RunTicket(WorkItem& item) noexcept {
    auto& self = static_cast<Ticket&>(item);
    if (CallOn* taken = self.Take()) {
      taken->RunCall();
    } else {
      delete &self;
    }
  }

  Atomic<CallOn*> call;
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
  // that comes in between takes the call out of the ticket, which is then queued empty.
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
}

void CallOn::RunCall() noexcept {
  call_(argument_);
  waiter_->Schedule();
}

void CallOn::OnStop() noexcept {
  if (ticket_->Take() == nullptr) return;  // it runs or has run
  called_ = false;
  waiter_->Schedule();
}

bool CallOn::await_resume() noexcept {
  // Waits for OnStop where that runs on another thread.
  if (cancellable_) waiter_->context->stop->Unregister(stop_);
  if (called_) delete ticket_;
  return called_;
}

}  // namespace plait::internal
