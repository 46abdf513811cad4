#!/usr/bin/env python3
"""Tests guard what the kernel writes to, and the check that says so sees what it should see."""

import pathlib
import sys
import tempfile
import unittest

# This file, through the links that Bazel made of it, lies in the source tree: leave nothing there.
sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import guarded_buffers  # pylint: disable=wrong-import-position

PATH = "io/a_test.cc"


def found(line, path=PATH):
    return guarded_buffers.violations({path: "first\n" + line + "\n"})


class RulesTest(unittest.TestCase):
    def test_memory_of_ones_own_is_found(self):
        said = [f"{PATH}:2: what the kernel writes to in a test is a GuardedBuffer"]
        self.assertEqual(found("co_await stream.Read(absl::MakeSpan(bytes));"), said)
        self.assertEqual(found("ReadOperation read(fd, absl::MakeSpan(&byte, 1));"), said)
        self.assertEqual(found("co_await file.Read(absl::Span<char>(data, 10));"), said)

    def test_guarded_memory_and_no_memory_pass(self):
        self.assertEqual(found("co_await stream.Read(buffer.span());"), [])
        self.assertEqual(found("co_await file.ReadAt(absl::Span<char>(), 0);"), [])
        self.assertEqual(found("co_await io::Write(fd, absl::MakeConstSpan(text));"), [])
        self.assertEqual(found("Task<void> Read(absl::Span<char> into);"), [])
        self.assertEqual(found("// As absl::MakeSpan(bytes) would be."), [])

    def test_what_makes_no_system_call_is_left_alone(self):
        self.assertEqual(found("Encoder out(absl::MakeSpan(bytes));"), [])
        self.assertEqual(found("Encoder out{absl::MakeSpan(exact)};"), [])
        self.assertEqual(found("Run(pool.Map(Square, absl::MakeSpan(items)));"), [])
        self.assertEqual(found("buffer.TakeInto(absl::MakeSpan(into));", guarded_buffers.ELSEWHERE[0]), [])


class TreeTest(unittest.TestCase):
    def test_what_is_looked_at_is_the_tests_of_io_of_schedulers_and_of_the_runtime(self):
        with tempfile.TemporaryDirectory() as root:
            tests = {
                "io/dns/a_test.cc",
                "io/dns/a_fixture.h",
                "schedulers/a_test.cc",
                "schedulers/pool/a_test.cc",
                "schedulers/pool/a_fixture.cc",
                "runtime/task/a_test.cc",
                "runtime/testing/a_suite.cc",
                "runtime/testing/explorer/a.h",
            }
            for path in tests | {"io/dns/a.cc", "schedulers/pool/a.cc", "runtime/task/a.h", "runtime/a_benchmark.cc"}:
                file = pathlib.Path(root, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text("x", encoding="utf-8")
            self.assertEqual(set(guarded_buffers.tree_sources(root)), tests)

    def test_tests_guard_what_the_kernel_writes_to(self):
        sources = guarded_buffers.tree_sources(HERE.parent.parent)
        self.assertGreater(len(sources), 200)
        said = guarded_buffers.violations(sources)
        self.assertFalse(said, "\n" + "\n".join(said))


if __name__ == "__main__":
    unittest.main()
