// The thumbnails of a folder: files are read and written by tasks, and images scaled by processes,
// all at the same time.
//
//   a few hands, each: read a file ---> a process decodes and scales it ---> write the thumbnail
//
// A hand waits for the disk or for a process and holds one image, so what is in memory is bounded
// by how many hands there are, and while some wait for the disk others keep the processes busy.
#ifndef PLAIT_EXAMPLES_THUMBNAILS_MAKE_THUMBNAILS_H_
#define PLAIT_EXAMPLES_THUMBNAILS_MAKE_THUMBNAILS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "plait/examples/support/console.h"
#include "plait/examples/thumbnails/overlap.h"
#include "plait/examples/thumbnails/thumbnail.h"
#include "plait/runtime/task/task.h"
#include "plait/schedulers/process_pool/process_pool.h"

namespace examples {

struct BatchOptions {
  std::string from;  // the images of this folder, not of those in it
  std::string to;    // made if need be; a thumbnail has its image's name
  ThumbnailOptions thumbnail;
  int64_t at_once = 8;                         // hands
  absl::Duration timeout = absl::Seconds(30);  // of an image, in its process
  // The name of the image that is scaled by the decoder with a mistake; empty: none.
  std::string crash;
};

struct BatchResult {
  int64_t made = 0;
  int64_t failed = 0;   // images of which there is no thumbnail
  int64_t skipped = 0;  // what is no image
  int64_t bytes_read = 0;
  int64_t bytes_written = 0;
  absl::Duration took;
  Overlap busy;  // first: with files; second: processes with images
};

// Prints a line for each as soon as it is made, or is not and why, which is not the end of the
// others. A thumbnail is there whole or not at all, and takes the place of what had its name. An
// error is that of the whole: a folder that cannot be listed or made, that the thumbnails would
// take the place of their images, that there is nothing of the name `crash`, a cancel. Uses the
// functions of ThumbnailFunctions().
plait::Task<absl::StatusOr<BatchResult>> MakeThumbnails(plait::ProcessPool& pool,
                                                        BatchOptions options, Console& console);

}  // namespace examples

#endif  // PLAIT_EXAMPLES_THUMBNAILS_MAKE_THUMBNAILS_H_
