#include "plait/runtime/core/report.h"

namespace plait {

absl::string_view ReportKindName(ReportKind kind) {
  switch (kind) {
    case ReportKind::kErrorNeverRetrieved:
      return "error never retrieved";
    case ReportKind::kTaskNeverAwaited:
      return "task never awaited";
    case ReportKind::kSlowCallback:
      return "slow callback";
    case ReportKind::kWrongThread:
      return "wrong thread";
  }
  return "report";
}

}  // namespace plait
