// OrReturnable: a base of awaitables of a Status or StatusOr that are awaited through OrReturn very
// often. Internal.
//
// What OrReturn gives is then the awaitable itself, seen as this, and the coroutine makes what it
// awaits where it awaits it: g++ would else keep, for each await, a reference to it in the frame.
#ifndef PLAIT_RUNTIME_TASK_OR_RETURNABLE_H_
#define PLAIT_RUNTIME_TASK_OR_RETURNABLE_H_

namespace plait::internal {

template <class A>
class OrReturnAwaiter;

// `A` derives from it, and is an rvalue where it is awaited.
template <class A>
class OrReturnable {
 public:
  OrReturnAwaiter<A> operator co_await() && { return OrReturnAwaiter<A>(static_cast<A&&>(*this)); }

 protected:
  OrReturnable() = default;
  OrReturnable(const OrReturnable&) = default;
  OrReturnable& operator=(const OrReturnable&) = default;
  ~OrReturnable() = default;
};

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_TASK_OR_RETURNABLE_H_
