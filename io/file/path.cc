#include "plait/io/file/path.h"

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace plait::internal {

absl::Status CheckPath(absl::string_view what, absl::string_view path) {
  if (path.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(Naming(what, path), ": the path is empty"));
  }
  if (absl::StrContains(path, '\0')) {
    return absl::InvalidArgumentError(
        absl::StrCat(Naming(what, path), ": a path cannot hold a NUL byte"));
  }
  return absl::OkStatus();
}

std::string Naming(absl::string_view what, absl::string_view path) {
  return absl::StrCat(what, " \"", absl::Utf8SafeCHexEscape(path), "\"");
}

std::string JoinPath(absl::string_view directory, absl::string_view name) {
  const bool has_slash = absl::EndsWith(directory, "/");
  return absl::StrCat(directory, has_slash ? "" : "/", name);
}

std::string ParentOf(absl::string_view path) {
  while (path.size() > 1 && absl::EndsWith(path, "/")) path.remove_suffix(1);
  const size_t slash = path.rfind('/');
  if (slash == absl::string_view::npos) return ".";
  path = path.substr(0, slash);
  while (absl::EndsWith(path, "/")) path.remove_suffix(1);
  return path.empty() ? "/" : std::string(path);
}

}  // namespace plait::internal
