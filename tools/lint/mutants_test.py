#!/usr/bin/env python3
"""The list of mutants and the tests agree, and the check that says so sees what it should see."""

import pathlib
import sys
import unittest

# This file, through the links that Bazel made of it, lies in the source tree: leave nothing there.
sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import mutants  # pylint: disable=wrong-import-position

SOURCES = {
    "runtime/a_explored_test.cc": 'ExpectMutantsKilled("runtime/a", {}, 2, {"A::Pop load: acquire -> relaxed"})',
    "runtime/a.h": "using internal::kAcquire;\n// kAcquire\nx.load(kAcquire); x.store(1, kRelease);",
}
DOCUMENT = """# Mutants
## A

Test: `runtime/a_explored_test.cc`

Orders of: `runtime/a.h`

| `A::Pop load: acquire -> relaxed` | survives: it is stronger than need be |
| `A::Push store: release -> relaxed` | data race in "one" |
"""


class RulesTest(unittest.TestCase):
    def check(self, document=DOCUMENT, **changed):
        paths = {"test": "runtime/a_explored_test.cc", "code": "runtime/a.h", "other": "runtime/b_explored_test.cc"}
        return mutants.violations(document, SOURCES | {paths[name]: text for name, text in changed.items()})

    def test_what_is_true_passes(self):
        self.assertEqual(self.check(), [])

    def test_a_test_that_is_not_listed_or_does_not_exist_is_found(self):
        for call in ("ExploreMutants()", "ExpectMutantsKilled()"):
            self.assertEqual(self.check(other=call), ["runtime/b_explored_test.cc explores mutants that are not listed"])
        self.assertIn("A: there is no test that explores mutants", self.check(test="TEST(A, B)"))

    def test_a_survivor_that_only_one_of_them_knows_is_found(self):
        self.assertEqual(
            self.check(test="ExploreMutants()"),
            ["runtime/a_explored_test.cc does not know that A::Pop load: acquire -> relaxed survives"],
        )
        self.assertTrue(self.check(test=SOURCES["runtime/a_explored_test.cc"] + '"A::Peek load #2: seq_cst -> acquire"'))

    def test_a_memory_order_that_was_not_weakened_is_found(self):
        self.assertEqual(
            self.check(code=SOURCES["runtime/a.h"] + "x.exchange(1, kAcqRel);"),
            ["`runtime/a.h`: 3 memory orders, and 2 are listed as weakened"],
        )
        self.assertTrue(self.check(code=SOURCES["runtime/a.h"] + "Atomic<int> y; int z = y.load();"))
        self.assertTrue(self.check(DOCUMENT.replace("runtime/a.h", "runtime/c.h")))

    def test_orders_that_are_not_weakened_are_counted(self):
        self.assertEqual(self.check(DOCUMENT.replace("a.h`", "a.h`, but 1"), code=SOURCES["runtime/a.h"] + "f(kAcqRel);"), [])
        self.assertTrue(self.check(DOCUMENT.replace("a.h`", "a.h`, but 1")))

    def test_a_file_whose_orders_nobody_explores_is_found_unless_it_is_listed_with_their_number(self):
        code = "Atomic<int> x; x.load(kAcquire); x.fetch_add(f(g(1))); x.store(1, kRelaxed); file.load();"
        self.assertEqual(mutants.strong_orders(code), 3, "what looks like an atomic's is taken for one")
        self.assertEqual(
            self.check(other=code),
            [],
            "a test's own orders are its own",
        )
        sources = SOURCES | {"runtime/d.h": code}
        self.assertEqual(
            mutants.violations(DOCUMENT, sources),
            ["runtime/d.h: 3 memory orders are neither weakened by a test nor under Not explored"],
        )
        listed = DOCUMENT + "## Not explored\n\n| `runtime/d.h` | 3 | two flags |\n"
        self.assertEqual(mutants.violations(listed, sources), [])
        self.assertTrue(mutants.violations(listed.replace("| 3 |", "| 2 |"), sources))
        self.assertTrue(mutants.violations(listed.replace("two flags", " "), sources), "it has no reason")
        self.assertEqual(
            mutants.violations(listed, SOURCES),
            ["runtime/d.h is under Not explored, but is explored, or is not there"],
        )


class TreeTest(unittest.TestCase):
    def test_the_list_and_the_tests_agree(self):
        found = mutants.tree_violations(HERE.parent.parent)
        self.assertFalse(found, "\n" + "\n".join(found))


if __name__ == "__main__":
    unittest.main()
