#!/usr/bin/env python3
"""Each call of the seam is in a fault matrix, and the check that says so sees what is missing."""

import pathlib
import sys
import unittest

# This file, through the links that Bazel made of it, lies in the source tree: leave nothing there.
sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import fault_seam  # pylint: disable=wrong-import-position

SOURCES = {
    fault_seam.SEAM: """
  virtual ~SystemCalls() = default;
  virtual ssize_t Read(int fd, void* data, size_t size) noexcept;
  virtual int SetSocketOption(int fd, int level, int name, const void* value,
                              socklen_t size) noexcept;
  virtual int BeforeOperation(const IoOperation& operation, bool socket, size_t* size) noexcept;
""",
    fault_seam.INJECTION: """
    kRead,
    kSetSocketOption,
    kCalls,  // how many there are
  ssize_t Read(int fd, void* data, size_t size) noexcept override;
  int SetSocketOption(int fd, int level, int name, const void* value,
                      socklen_t size) noexcept override;
""",
    fault_seam.ERRORS: """
      {Call::kRead, "read", {EBADF, EFAULT}},
      {Call::kSetSocketOption,
       "setsockopt",
       {EBADF}},
""",
    "io/a/a_faults_test.cc": """
      {.reaches = {FaultInjection::kRead, FaultInjection::kSetSocketOption},
       .left_out = {{.call = FaultInjection::kRead}}},
""",
}


def without(path, text):
    assert text in SOURCES[path]
    return {**SOURCES, path: SOURCES[path].replace(text, "")}


class RulesTest(unittest.TestCase):
    def test_what_is_complete_passes(self):
        self.assertEqual(fault_seam.violations(SOURCES), [])

    def test_a_call_that_nothing_stands_before_is_found(self):
        hole = without(fault_seam.INJECTION, "  ssize_t Read(int fd, void* data, size_t size) noexcept override;\n")
        self.assertEqual(
            fault_seam.violations(hole), ["Read: no test can make it fail: it is not in io/system/fault_injection.h"]
        )
        hole = without(fault_seam.INJECTION, "    kSetSocketOption,\n")
        self.assertEqual(
            fault_seam.violations(hole), ["SetSocketOption: io/system/fault_injection.h has no kSetSocketOption"]
        )

    def test_a_call_of_which_nobody_knows_how_it_fails_is_found(self):
        self.assertEqual(
            fault_seam.violations(without(fault_seam.ERRORS, '{Call::kRead, "read", {EBADF, EFAULT}},')),
            ["Read: io/system/call_errors.cc does not say how it fails"],
        )
        self.assertEqual(
            fault_seam.violations(without(fault_seam.ERRORS, "EBADF, EFAULT")),
            ["Read: io/system/call_errors.cc does not say how it fails"],
        )

    def test_a_call_that_is_in_no_matrix_or_only_left_out_there_is_found(self):
        self.assertEqual(
            fault_seam.violations(without("io/a/a_faults_test.cc", "FaultInjection::kRead, ")),
            ["Read: no fault matrix (*_faults_test.cc) names it as reached"],
        )

    def test_what_is_made_to_fail_elsewhere_is_so(self):
        seam = {
            path: text.replace("SetSocketOption", "SignalPid").replace("reaches = {FaultInjection::kRead, ", "")
            for path, text in SOURCES.items()
        }
        where = fault_seam.ELSEWHERE["SignalPid"]
        self.assertIn(f"SignalPid: {where} does not make it fail", fault_seam.violations(seam))
        seam[where] = "faults.FailNext(FaultInjection::kSignalPid, ESRCH);"
        self.assertNotIn(f"SignalPid: {where} does not make it fail", fault_seam.violations(seam))

    def test_an_empty_seam_is_found(self):
        self.assertEqual(fault_seam.violations({**SOURCES, fault_seam.SEAM: ""}), ["io/system/system_calls.h has no calls"])


class TreeTest(unittest.TestCase):
    def test_every_call_of_the_seam_is_in_a_matrix(self):
        found = fault_seam.tree_violations(HERE.parent.parent)
        self.assertFalse(found, "\n" + "\n".join(found))


if __name__ == "__main__":
    unittest.main()
