// The hosts file: names and addresses that the machine knows without asking anybody.
//
//   127.0.0.1   localhost            # one address, and then its names
//   10.0.0.7    build.example build
//
// Lines that make no sense are left out, as everybody does. Names are the same in either case.
#ifndef PLAIT_IO_DNS_INTERNAL_HOSTS_FILE_H_
#define PLAIT_IO_DNS_INTERNAL_HOSTS_FILE_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "plait/io/net/address.h"
#include "plait/io/system/file_status.h"
#include "plait/runtime/core/deadline.h"
#include "plait/runtime/core/spin_lock.h"
#include "plait/runtime/task/task.h"

namespace plait::internal {

class HostsTable {
 public:
  HostsTable() = default;
  static HostsTable Parse(absl::string_view text);

  // Without a port, in the order of the file, each once. `name` is canonical (host_name.h).
  absl::Span<const SocketAddress> AddressesOf(absl::string_view name) const;
  // The first name of the first line of `address`, whose port does not matter; empty if there is
  // none. Valid as long as this is.
  absl::string_view NameOf(const SocketAddress& address) const;

 private:
  absl::flat_hash_map<std::string, std::vector<SocketAddress>> addresses_;
  absl::flat_hash_map<SocketAddress, std::string> names_;
};

// A table that follows its file. Threads: those of the executor whose tasks use it.
class HostsFile {
 public:
  // How old what is known of the file may be.
  static constexpr absl::Duration kMaxAge = absl::Seconds(1);

  // Reads the file, and blocks meanwhile. An empty path is an empty table, and so is a file that is
  // not there, or cannot be read, unless it `must_exist`: then that is an error that names it.
  static absl::StatusOr<HostsFile> Open(std::string path, bool must_exist);

  // As it is now.
  std::shared_ptr<const HostsTable> table() const;

  // If it is time to, and nobody does so already: looks whether the file has changed and reads it
  // again if so, where blocking work is done (Offload). A file that has gone is an empty one.
  // Errors: absl::CancelledError.
  Task<absl::Status> Refresh(Deadline now);

 private:
  // What a file that was not written to still has. Of one that is not there, the default.
  struct Version {
    uint64_t device = 0;
    uint64_t inode = 0;
    uint64_t size = 0;
    absl::Time modified;
    absl::Time changed;

    friend bool operator==(const Version&, const Version&) = default;
  };
  struct Content {
    Version version;
    std::optional<HostsTable> table;  // none when the version is the one that was known
  };

  // These block.
  static absl::StatusOr<Version> Look(const std::string& path);
  static absl::StatusOr<Content> Load(const std::string& path);
  static absl::StatusOr<Content> LoadIfChanged(const std::string& path, const Version& known);

  struct Known {
    SpinLock lock;  // guards what follows
    std::shared_ptr<const HostsTable> table = std::make_shared<HostsTable>();
    Version version;
    Deadline next_look;  // at the first lookup, which may be long after Open
    bool refreshing = false;
  };

  std::string path_;
  std::unique_ptr<Known> known_ = std::make_unique<Known>();
};

}  // namespace plait::internal

#endif  // PLAIT_IO_DNS_INTERNAL_HOSTS_FILE_H_
