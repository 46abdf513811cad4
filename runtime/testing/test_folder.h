// TestFolder: a folder of its own for a test, gone with all that is in it in the end.
//
// Made with plain system calls; whatever fails here ends the test program.
#ifndef PLAIT_RUNTIME_TESTING_TEST_FOLDER_H_
#define PLAIT_RUNTIME_TESTING_TEST_FOLDER_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace plait {

class TestFolder {
 public:
  TestFolder();
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  ~TestFolder();

  const std::string& path() const { return path_; }
  // The path of what is or will be in it under `name`.
  std::string operator/(absl::string_view name) const;
  // Makes a file that holds `content`; its path.
  std::string Write(absl::string_view name, absl::string_view content) const;
  // What the file holds.
  std::string Content(absl::string_view name) const;
  // The names in it, sorted, without those in folders below.
  std::vector<std::string> Names() const;

 private:
  std::string path_;
};

// Also a symbolic link that leads nowhere.
bool PathExists(const std::string& path);

}  // namespace plait

#endif  // PLAIT_RUNTIME_TESTING_TEST_FOLDER_H_
