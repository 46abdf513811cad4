// What people see a task wait for in the primitives of this folder; see
// runtime/task/await_note.h. Internal.
#ifndef PLAIT_RUNTIME_SYNC_WAIT_NOTES_H_
#define PLAIT_RUNTIME_SYNC_WAIT_NOTES_H_

#include "plait/runtime/task/await_note.h"

namespace plait::internal {

inline constexpr NamedNote kMutexNote("Mutex::Lock");
inline constexpr NamedNote kSemaphoreNote("Semaphore::Acquire");
inline constexpr NamedNote kEventNote("Event::Wait");
inline constexpr NamedNote kConditionNote("ConditionVariable::Wait");
inline constexpr NamedNote kBarrierNote("Barrier::Wait");
inline constexpr NamedNote kQueuePutNote("Queue::Put");
inline constexpr NamedNote kQueueGetNote("Queue::Get");
inline constexpr NamedNote kQueueJoinNote("Queue::Join");
inline constexpr NamedNote kChannelSendNote("Channel::Send");
inline constexpr NamedNote kChannelReceiveNote("Channel::Receive");

}  // namespace plait::internal

#endif  // PLAIT_RUNTIME_SYNC_WAIT_NOTES_H_
