#include "plait/io/system/errno_status.h"

#include <errno.h>

#include <limits>

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace plait {
namespace {

TEST(ErrnoStatusTest, TheMessageSaysWhatWasAttemptedAndWhatTheSystemSaid) {
  EXPECT_EQ(ErrnoToStatus(-ECONNREFUSED, "connect to 127.0.0.1:80"),
            absl::UnavailableError("connect to 127.0.0.1:80: Connection refused (ECONNREFUSED)"));
}

TEST(ErrnoStatusTest, WhatIsNotNegativeIsOk) {
  EXPECT_TRUE(ErrnoToStatus(0, "read").ok());
  EXPECT_TRUE(ErrnoToStatus(7, "read").ok());
}

TEST(ErrnoStatusTest, CodesAreThoseThatACallerActsOn) {
  struct Case {
    int error;
    absl::StatusCode code;
  };
  for (const Case& expected : {
           Case{ECANCELED, absl::StatusCode::kCancelled},
           Case{EINVAL, absl::StatusCode::kInvalidArgument},
           Case{ENOTSOCK, absl::StatusCode::kInvalidArgument},
           Case{ESPIPE, absl::StatusCode::kInvalidArgument},
           Case{EMSGSIZE, absl::StatusCode::kInvalidArgument},
           Case{ETIMEDOUT, absl::StatusCode::kDeadlineExceeded},
           Case{ENOENT, absl::StatusCode::kNotFound},
           Case{EEXIST, absl::StatusCode::kAlreadyExists},
           Case{EACCES, absl::StatusCode::kPermissionDenied},
           Case{EPERM, absl::StatusCode::kPermissionDenied},
           Case{EBADF, absl::StatusCode::kFailedPrecondition},
           Case{ELOOP, absl::StatusCode::kFailedPrecondition},
           Case{EPIPE, absl::StatusCode::kFailedPrecondition},
           Case{EADDRINUSE, absl::StatusCode::kFailedPrecondition},
           Case{EMFILE, absl::StatusCode::kResourceExhausted},
           Case{ENOMEM, absl::StatusCode::kResourceExhausted},
           Case{EFBIG, absl::StatusCode::kOutOfRange},
           Case{ENOSYS, absl::StatusCode::kUnimplemented},
           Case{EADDRNOTAVAIL, absl::StatusCode::kUnavailable},
           Case{EAGAIN, absl::StatusCode::kUnavailable},
           Case{ECONNREFUSED, absl::StatusCode::kUnavailable},
           Case{ECONNRESET, absl::StatusCode::kUnavailable},
           Case{ENETUNREACH, absl::StatusCode::kUnavailable},
           Case{EIO, absl::StatusCode::kUnknown},
       }) {
    EXPECT_EQ(ErrnoToStatus(-expected.error, "it").code(), expected.code) << expected.error;
  }
}

TEST(ErrnoStatusTest, ANumberThatIsNoErrorOfTheSystemsIsToldAsSuch) {
  EXPECT_EQ(ErrnoToStatus(-9999, "read"), absl::UnknownError("read: unknown error (errno 9999)"));
}

TEST(ErrnoStatusTest, EveryErrorHasAStatusThatIsNotOk) {
  for (int error = 1; error < 200; ++error) {
    EXPECT_FALSE(ErrnoToStatus(-error, "it").ok()) << error;
  }
}

}  // namespace
}  // namespace plait
