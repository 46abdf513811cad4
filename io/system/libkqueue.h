// A kqueue for Linux, so that what is written for macOS and the BSDs runs in tests here: libkqueue,
// and what it takes to make that behave as kqueue(2) says.
#ifndef PLAIT_IO_SYSTEM_LIBKQUEUE_H_
#define PLAIT_IO_SYSTEM_LIBKQUEUE_H_

namespace plait::sys {

// From now on SystemCalls::Kqueue and its relatives work. Any thread, any number of times.
//
// It knows EVFILT_READ and EVFILT_WRITE with EV_ADD | EV_CLEAR, EVFILT_USER, EV_DELETE and
// EV_RECEIPT, and there must be room for two events. What is watched must be deleted before it is
// closed.
void UseLibkqueue() noexcept;

}  // namespace plait::sys

#endif  // PLAIT_IO_SYSTEM_LIBKQUEUE_H_
