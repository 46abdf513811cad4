#include "plait/io/dns/internal/hosts_file.h"

#include <errno.h>
#include <fcntl.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "plait/io/dns/internal/host_name.h"
#include "plait/io/system/errno_status.h"
#include "plait/io/system/system_calls.h"
#include "plait/runtime/task/offload.h"

namespace plait::internal {
namespace {

constexpr size_t kLargestFile = size_t{64} << 20;

std::string What(const char* verb, const std::string& path) {
  return absl::StrCat(verb, " hosts file \"", path, "\"");
}

absl::StatusOr<std::string> ReadAll(int fd, const std::string& path) {
  std::string text;
  std::string buffer(64 * 1024, '\0');
  for (;;) {
    const ssize_t count = sys::Calls().Read(fd, buffer.data(), buffer.size());
    if (count == -EINTR) continue;
    if (count < 0) return ErrnoToStatus(static_cast<int>(count), What("read", path));
    if (count == 0) return text;
    text.append(buffer, 0, static_cast<size_t>(count));
    if (text.size() > kLargestFile) {
      return absl::ResourceExhaustedError(
          absl::StrCat(What("read", path), ": it is larger than ", kLargestFile, " bytes"));
    }
  }
}

}  // namespace

HostsTable HostsTable::Parse(absl::string_view text) {
  HostsTable table;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    line = line.substr(0, line.find('#'));
    const std::vector<absl::string_view> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t\r\v\f"), absl::SkipEmpty());
    if (words.size() < 2) continue;
    const absl::StatusOr<SocketAddress> address = SocketAddress::ParseIp(words[0], 0);
    if (!address.ok()) continue;
    for (size_t i = 1; i < words.size(); ++i) {
      if (!CheckHostName(words[i]).ok()) continue;
      std::vector<SocketAddress>& known = table.addresses_[CanonicalName(words[i])];
      if (std::find(known.begin(), known.end(), *address) == known.end()) {
        known.push_back(*address);
      }
      table.names_.try_emplace(*address, words[i]);
    }
  }
  return table;
}

absl::Span<const SocketAddress> HostsTable::AddressesOf(absl::string_view name) const {
  const auto found = addresses_.find(name);
  if (found == addresses_.end()) return {};
  return found->second;
}

absl::string_view HostsTable::NameOf(const SocketAddress& address) const {
  const auto found = names_.find(address.WithPort(0));
  if (found == names_.end()) return {};
  return found->second;
}

absl::StatusOr<HostsFile::Version> HostsFile::Look(const std::string& path) {
  sys::RawFileStatus raw;
  int result = 0;
  do {
    result = sys::Calls().Status(AT_FDCWD, path.c_str(), 0, &raw);
  } while (result == -EINTR);
  if (result < 0) return ErrnoToStatus(result, What("look at", path));
  const FileStatus status = sys::Decode(raw);
  return Version{status.device, status.inode, status.size, status.modified, status.changed};
}

absl::StatusOr<HostsFile::Content> HostsFile::Load(const std::string& path) {
  // Looked at first: what is written between the two is then read once more, not missed.
  absl::StatusOr<Version> version = Look(path);
  if (!version.ok()) return version.status();
  int fd = 0;
  do {
    fd = sys::Calls().Open(AT_FDCWD, path.c_str(), O_RDONLY | O_NONBLOCK, 0);
  } while (fd == -EINTR);
  if (fd < 0) return ErrnoToStatus(fd, What("open", path));
  const absl::StatusOr<std::string> text = ReadAll(fd, path);
  sys::Calls().Close(fd);
  if (!text.ok()) return text.status();
  return Content{*version, HostsTable::Parse(*text)};
}

absl::StatusOr<HostsFile::Content> HostsFile::LoadIfChanged(const std::string& path,
                                                            const Version& known) {
  const absl::StatusOr<Version> version = Look(path);
  if (version.ok() && *version == known) return Content{known, std::nullopt};
  absl::StatusOr<Content> content = Load(path);
  // It must not become the reason why nothing can be resolved any more.
  if (!content.ok()) return Content{Version(), HostsTable()};
  return content;
}

absl::StatusOr<HostsFile> HostsFile::Open(std::string path, bool must_exist) {
  HostsFile file;
  file.path_ = std::move(path);
  if (file.path_.empty()) return file;
  absl::StatusOr<Content> content = Load(file.path_);
  if (content.ok()) {
    file.known_->version = content->version;
    file.known_->table = std::make_shared<HostsTable>(*std::move(content->table));
  } else if (must_exist) {
    return content.status();
  }
  return file;
}

Task<absl::Status> HostsFile::Refresh(Deadline now) {
  Version before;
  {
    const SpinLockHolder hold(known_->lock);
    if (path_.empty() || known_->refreshing || now < known_->next_look) co_return absl::OkStatus();
    known_->refreshing = true;
    known_->next_look = now + kMaxAge;
    before = known_->version;
  }
  auto load = [path = path_, before]() { return LoadIfChanged(path, before); };
  absl::StatusOr<Content> content = co_await Offload(std::move(load));
  std::shared_ptr<const HostsTable> table;
  if (content.ok() && content->table.has_value()) {
    table = std::make_shared<HostsTable>(*std::move(content->table));
  }
  const SpinLockHolder hold(known_->lock);
  known_->refreshing = false;
  if (!content.ok()) co_return content.status();
  if (table != nullptr) {
    known_->version = content->version;
    known_->table.swap(table);
  }
  co_return absl::OkStatus();
}

std::shared_ptr<const HostsTable> HostsFile::table() const {
  const SpinLockHolder hold(known_->lock);
  return known_->table;
}

}  // namespace plait::internal
