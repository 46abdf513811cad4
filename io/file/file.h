// Files for tasks: everything in this folder.
//
//   plait::Task<absl::Status> Copy(std::string from, std::string to) {
//     plait::File in = co_await plait::OrReturn(plait::OpenFile(from));
//     plait::File out = co_await plait::OrReturn(
//         plait::OpenFile(to, {.write = true, .create = true, .truncate = true}));
//     std::vector<char> piece(1 << 16);
//     for (;;) {
//       const size_t n = co_await plait::OrReturn(in.Read(absl::MakeSpan(piece)));
//       if (n == 0) break;
//       co_await plait::OrReturn(out.WriteAll(absl::string_view(piece.data(), n)));
//     }
//     co_await plait::OrReturn(out.Sync());
//     co_return co_await out.Close();
//   }
//
//   open_file.h     File and OpenFile: read, write, append, fsync, truncate, status
//   whole_files.h   ReadFile, WriteFile, AppendToFile, WriteFileAtomically
//   lines.h         Lines and ReadLines
//   file_system.h   StatusOf, Rename, Remove, MakeDirectory, ListDirectory and their kin
//   temporary.h     MakeTemporaryFile, MakeTemporaryDirectory
#ifndef PLAIT_IO_FILE_FILE_H_
#define PLAIT_IO_FILE_FILE_H_

// IWYU pragma: begin_exports
#include "plait/io/file/file_system.h"
#include "plait/io/file/lines.h"
#include "plait/io/file/open_file.h"
#include "plait/io/file/temporary.h"
#include "plait/io/file/whole_files.h"
// IWYU pragma: end_exports

#endif  // PLAIT_IO_FILE_FILE_H_
