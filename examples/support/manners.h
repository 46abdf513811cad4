// What every example owes to whoever calls it, as tests: --help, and how it refuses what it does
// not understand.
#ifndef PLAIT_EXAMPLES_SUPPORT_MANNERS_H_
#define PLAIT_EXAMPLES_SUPPORT_MANNERS_H_

#include <string>
#include <vector>

namespace examples {

// The program at `path` explains all of `flags` ("--reactor", say) under --help.
void ExpectHelp(const std::string& path, const std::vector<std::string>& flags);

// It refuses `arguments` with exit status 2, nothing on standard output, and one sentence with
// `words` on standard error.
void ExpectRefusal(const std::string& path, const std::vector<std::string>& arguments,
                   const std::string& words, const std::vector<std::string>& environment = {});

// It refuses unknown flags, stray words, reactors that do not exist and reactors that the system
// does not allow.
void ExpectManners(const std::string& path);

// With `arguments` it does its work without a complaint, whichever reactor of this build it is told
// to use.
void ExpectEveryReactor(const std::string& path, const std::vector<std::string>& arguments);

}  // namespace examples

#endif  // PLAIT_EXAMPLES_SUPPORT_MANNERS_H_
