// Many names, looked up side by side.
//
// All lookups are tasks of one loop, and none of them blocks it: beside them a clock ticks, and
// goes on ticking however long a server takes.
#ifndef PLAIT_EXAMPLES_RESOLVE_LOOKUPS_H_
#define PLAIT_EXAMPLES_RESOLVE_LOOKUPS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "plait/examples/support/console.h"
#include "plait/io/dns/resolver.h"
#include "plait/schedulers/run.h"

namespace examples {

struct Plan {
  std::vector<std::string> names;
  plait::ResolverOptions resolver;
  plait::ResolveOptions lookup;
  bool reverse = false;  // looks up the names of the addresses that were found, too
  // Asks a server of the program's own, which is slow about one name; see demo_server.h.
  bool demo = false;
  absl::Duration demo_slow = absl::Milliseconds(300);
  absl::Duration tick = absl::Milliseconds(10);
};

struct Outcome {
  absl::Duration total;
  int64_t found = 0;
  int64_t failed = 0;
  int64_t ticks = 0;  // of the clock, meanwhile
};

absl::StatusOr<Outcome> LookUpAll(const Plan& plan, Console& console,
                                  const plait::RunOptions& options = {});

}  // namespace examples

#endif  // PLAIT_EXAMPLES_RESOLVE_LOOKUPS_H_
