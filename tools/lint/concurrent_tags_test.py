#!/usr/bin/env python3
"""Every test that has threads is tagged, and the check that says so sees what it should see."""

import pathlib
import sys
import unittest

# This file, through the links that Bazel made of it, lies in the source tree: leave nothing there.
sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import concurrent_tags  # pylint: disable=wrong-import-position

BUILD = """
plait_library(
    name = "helper",
    testonly = True,
    srcs = ["helper.cc"],
    hdrs = ["helper.h"],
)

plait_test(
    name = "a_test",
    srcs = ["a_test.cc"],
    tags = [
        "concurrent",
        "no_tsan",
    ],
    deps = [":helper"],
)
"""
UNTAGGED = BUILD.replace('        "concurrent",\n', "")
THREADS = "Thread t = StartThread(name, f);"


class RulesTest(unittest.TestCase):
    def check(self, build=BUILD, test="", helper="", helper_code=""):
        return concurrent_tags.violations(
            {"a": build}, {"a/a_test.cc": test, "a/helper.h": helper, "a/helper.cc": helper_code}
        )

    def test_a_test_with_threads_is_to_be_tagged(self):
        self.assertEqual(self.check(test=THREADS), [])
        self.assertEqual(self.check(UNTAGGED, test=THREADS), ['//a:a_test has threads, and is not tagged "concurrent"'])
        self.assertTrue(self.check(UNTAGGED, test="WorkStealingPool pool;"))

    def test_a_test_without_threads_is_not(self):
        self.assertEqual(self.check(UNTAGGED, test="// as WorkStealingPool"), [])
        self.assertEqual(self.check(), ['//a:a_test is tagged "concurrent", and has no threads'])

    def test_threads_may_be_those_of_a_helper(self):
        include = '#include "plait/a/helper.h"\n'
        self.assertEqual(self.check(UNTAGGED, helper_code=THREADS), [])
        self.assertTrue(self.check(UNTAGGED, test=include, helper_code=THREADS))
        self.assertTrue(self.check(UNTAGGED, test=include, helper=THREADS))
        production = UNTAGGED.replace("    testonly = True,\n", "")
        self.assertEqual(self.check(production, test=include, helper=THREADS), [], "of the code under test")


class TreeTest(unittest.TestCase):
    def test_every_test_with_threads_is_tagged(self):
        found = concurrent_tags.tree_violations(HERE.parent.parent)
        self.assertFalse(found, "\n" + "\n".join(found))


if __name__ == "__main__":
    unittest.main()
