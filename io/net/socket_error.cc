#include "plait/io/net/socket_error.h"

#include "absl/strings/str_cat.h"

namespace plait::internal {

absl::Status NameError(const absl::Status& error, absl::string_view what) {
  if (error.ok()) return error;
  const absl::string_view message = error.message();
  const size_t end = message.find(": ");
  const absl::string_view reason =
      end == absl::string_view::npos ? message : message.substr(end + 2);
  return absl::Status(error.code(), absl::StrCat(what, ": ", reason));
}

}  // namespace plait::internal
