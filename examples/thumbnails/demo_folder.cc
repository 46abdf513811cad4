#include "plait/examples/thumbnails/demo_folder.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "plait/examples/thumbnails/broken_images.h"
#include "plait/examples/thumbnails/thumbnail.h"
#include "plait/io/file/file.h"
#include "plait/runtime/runtime.h"

namespace examples {
namespace {

using plait::OrReturn;
using plait::Task;

Task<absl::Status> MakeSample(plait::ProcessPool& pool, std::string folder, int32_t number,
                              int32_t width) {
  std::string file = co_await OrReturn(pool.Call(kDrawSample, number, width));
  std::string path =
      absl::StrFormat("%s/sample-%03d.%s", folder, number, number % 3 == 0 ? "png" : "jpg");
  co_return co_await plait::WriteFile(std::move(path), std::move(file));
}

}  // namespace

Task<absl::Status> MakeDemoFolder(plait::ProcessPool& pool, std::string folder, int64_t samples,
                                  int64_t width) {
  std::vector<Task<absl::Status>> all;
  for (int64_t i = 1; i <= samples; ++i) {
    all.push_back(MakeSample(pool, folder, static_cast<int32_t>(i), static_cast<int32_t>(width)));
  }
  // As many as there is work for, lest all of them be in memory at once.
  co_await OrReturn(plait::GatherLimit(2 * pool.workers(), std::move(all)));

  std::string sample = co_await OrReturn(pool.Call(kDrawSample, 1, static_cast<int32_t>(width)));
  std::string half = sample.substr(0, sample.size() / 2);
  std::string text = "Not everything in a folder is an image.\n";
  co_await OrReturn(plait::WriteFile(absl::StrCat(folder, "/", kDemoCrash), std::move(sample)));
  co_await OrReturn(plait::WriteFile(absl::StrCat(folder, "/half.jpg"), std::move(half)));
  co_await OrReturn(plait::WriteFile(absl::StrCat(folder, "/bomb.png"), PngBomb()));
  co_await OrReturn(plait::WriteFile(absl::StrCat(folder, "/notes.txt"), std::move(text)));
  co_return co_await plait::MakeDirectory(absl::StrCat(folder, "/folder"));
}

}  // namespace examples
