#!/usr/bin/env python3
"""The list of behaviours and the tests agree, and the check that says so sees what it should see."""

import pathlib
import sys
import unittest

# This file, through the links that Bazel made of it, lies in the source tree: leave nothing there.
sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import conformance  # pylint: disable=wrong-import-position

SOURCES = {
    "io/a_test.cc": "INSTANTIATE_TEST_SUITE_P(A, ReactorSuite, Values());\n",
    "io/b_test.cc": "INSTANTIATE_TYPED_TEST_SUITE_P(B, PoolSuite, Pool);\n",
    "runtime/pool_suite.h": "//   INSTANTIATE_TYPED_TEST_SUITE_P(B, PoolSuite, Pool);\nTYPED_TEST_P(PoolSuite, ItEnds) {\n}\n",
    "runtime/suite.cc": "TEST_P(ReactorSuite,\n       Line1ItEnds) {\n}\n// TEST_P(ReactorSuite, Gone)\n",
}
ROW = "| `ReactorSuite` | all | io/a_test.cc |\n"


def document(test="ReactorSuite.Line1ItEnds", row=ROW, numbers=conformance.NUMBERS):
    return row + "## Behaviours\n" + "".join(f"\n**{number}.** It ends.\n\n- `{test}`\n" for number in numbers) + "\n## Else\n"


class RulesTest(unittest.TestCase):
    def test_what_is_true_passes(self):
        self.assertEqual(conformance.violations(document(), SOURCES), [])

    def test_a_test_that_does_not_exist_is_found(self):
        found = conformance.violations(document(test="ReactorSuite.Gone"), SOURCES)
        self.assertIn("there is no test ReactorSuite.Gone", found)

    def test_a_test_that_says_its_number_and_is_not_named_is_found(self):
        found = conformance.violations(document(test="PoolSuite.ItEnds"), SOURCES)
        self.assertEqual(found, ["it does not name ReactorSuite.Line1ItEnds"])

    def test_suites_of_types_are_suites_too(self):
        row = "| `PoolSuite` | all | io/b_test.cc |\n"
        typed = document(test="PoolSuite.ItEnds", row=row) + "`ReactorSuite.Line1ItEnds`"
        self.assertEqual(conformance.violations(typed, SOURCES), [])
        self.assertEqual(
            conformance.violations(document(row=row.replace("io/b_test.cc", "runtime/pool_suite.h")), SOURCES),
            ["PoolSuite is not instantiated in runtime/pool_suite.h"],
        )

    def test_a_suite_that_does_not_run_where_it_should_is_found(self):
        row = "| `ReactorSuite` | all | runtime/suite.cc |\n"
        self.assertEqual(
            conformance.violations(document(row=row), SOURCES), ["ReactorSuite is not instantiated in runtime/suite.cc"]
        )
        self.assertTrue(conformance.violations(document(row=ROW.replace("io/a", "io/b")), SOURCES))
        self.assertTrue(conformance.violations(document(row=""), SOURCES))

    def test_a_number_without_a_test_and_one_that_is_none_are_found(self):
        self.assertEqual(conformance.violations(document(numbers=conformance.NUMBERS[:-1]), SOURCES), ["70 has no test"])
        self.assertEqual(
            conformance.violations(document(numbers=conformance.NUMBERS + (6,)), SOURCES), ["6 is no number of a behaviour"]
        )
        bare = document().replace("**14.** It ends.\n\n- `ReactorSuite.Line1ItEnds`\n", "**14.** It ends.\n")
        self.assertEqual(conformance.violations(bare, SOURCES), ["14 has no test"])


class TreeTest(unittest.TestCase):
    def test_the_list_and_the_tests_agree(self):
        found = conformance.tree_violations(HERE.parent.parent)
        self.assertFalse(found, "\n" + "\n".join(found))


if __name__ == "__main__":
    unittest.main()
