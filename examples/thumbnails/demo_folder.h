// A folder of samples, for those who have no photographs at hand.
#ifndef PLAIT_EXAMPLES_THUMBNAILS_DEMO_FOLDER_H_
#define PLAIT_EXAMPLES_THUMBNAILS_DEMO_FOLDER_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "plait/runtime/task/task.h"
#include "plait/schedulers/process_pool/process_pool.h"

namespace examples {

// The image among the samples that is meant for BatchOptions::crash.
inline constexpr char kDemoCrash[] = "crash.jpg";
// How many of the samples no thumbnail can be made of.
inline constexpr int64_t kDemoFailures = 3;

// Fills `folder`, which exists: `samples` images of `width` pixels, drawn in the pool; besides an
// image that ends half-way, a decompression bomb, kDemoCrash, a text and a folder. On an error a
// part may be there.
plait::Task<absl::Status> MakeDemoFolder(plait::ProcessPool& pool, std::string folder,
                                         int64_t samples, int64_t width);

}  // namespace examples

#endif  // PLAIT_EXAMPLES_THUMBNAILS_DEMO_FOLDER_H_
