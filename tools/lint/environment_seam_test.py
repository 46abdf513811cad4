#!/usr/bin/env python3
"""The tree keeps to the environment seam, and the check that says so sees what it should see."""

import pathlib
import sys
import unittest

# This file, through the links that Bazel made of it, lies in the source tree: leave nothing there.
sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import environment_seam  # pylint: disable=wrong-import-position

# In runtime code each line breaks the rule.
BAD = {
    "clock": """
        auto t = std::chrono::steady_clock::now();
        auto t = std::chrono::system_clock::now();
        using clock = std::chrono::steady_clock; return steady_clock::now();
        clock_gettime(CLOCK_MONOTONIC, &ts);
        ::clock_gettime(CLOCK_MONOTONIC, &ts);
        gettimeofday(&tv, nullptr);
        absl::Time now = absl::Now();
        int64_t nanos = absl::GetCurrentTimeNanos();
        return std::time(nullptr);
    """,
    "sleep": """
        absl::SleepFor(absl::Seconds(1));
        std::this_thread::sleep_for(1s);
        std::this_thread::sleep_until(deadline);
        usleep(10);
        ::nanosleep(&ts, nullptr);
        if (wait) sleep(1);
    """,
    "random": """
        std::random_device device;
        return rand() % 6;
        std::srand(1);
        getrandom(buffer, 8, 0);
        absl::BitGen generator;
        absl::InsecureBitGen generator;
    """,
    "thread": """
        std::thread thread([] {});
        std::jthread thread{Body};
        threads_.push_back(std::thread(Body));
        std::vector<std::thread> threads;
        std::thread::hardware_concurrency();
        auto f = std::async(Body);
        pthread_create(&id, nullptr, &Body, nullptr);
    """,
    "system call": """
        if (open && read(fd, data, 1) > 0) return;
        ::read(fd, data, size);
        read(fd, data, size);
        ssize_t n = read(fd, data, size);
        ssize_t n = ::write(fd, data, size);
        return write(fd, data, size);
        co_return close(fd);
        if (close(fd) != 0) return;
        else close(fd);
        Check(::close(fd) == 0);
        !connect(fd, address, size);
        (void)listen(fd, 1);
        auto call = &::recv;
        int fd = accept4(listener, nullptr, nullptr, 0);
        std::vector<int> v(ioctl(fd, FIONREAD));
        ::  bind(fd, address, size);
        epoll_wait (epoll, events, 1, 0);
        eventfd(0, 0);
        if (fork() == 0) return;
        syscall(SYS_futex, word, FUTEX_WAIT, 0);
        void* p = mmap(nullptr, 1, PROT_READ, MAP_PRIVATE, -1, 0);
        "a string", send(fd, data, size, 0);
        /* a comment */ pipe2(fds, 0);
        size = 1'000'000; fcntl(fd, F_GETFL);
        c = '"'; socket(AF_INET, SOCK_STREAM, 0);
    """,
    "atomic": """
        std::atomic<int> n;
        std::atomic_flag flag;
        std::atomic_thread_fence(std::memory_order_seq_cst);
    """,
}

# None of these breaks any.
GOOD = """
    // read(fd, data, size), std::thread, absl::Now()
    /* std::atomic<int> is
       what close(fd) is not */
    Log("read(fd) failed: std::atomic");
    Log(R"(say "close(fd) " then std::thread)");
    Log(R"--(say "close(fd)", then )" and std::thread)--");
    co_await Sleep(absl::Seconds(1));
    sys::Read(fd, data, size);
    file.read(data, size);
    file->close();
    this->send(data);
    Socket::connect(address);
    plait::net::listen(address);
    int read(int fd);
    const DatagramSocket& socket() const;
    Stream* accept();
    auto bound = std::bind_front(f, 1);
    SomeClass::read(x);
    struct stat info;
    thread_read(x);
    readable(x);
    read_(x);
    bool close = true;
    Deadline now = Clock::Real().Now();
    std::thread::id owner = std::this_thread::get_id();
    std::this_thread::yield();
    plait::internal::Atomic<int> n;
    n.load(std::memory_order_relaxed);
    #include <atomic>
    #include "absl/time/clock.h"
    #include "plait/runtime/core/clock.h"
    char quote = '"'; int million = 1'000'000; Log("close(fd)");
"""

TREE = {"runtime/core/clock.h", "examples/hello/hello.h"}


def check(path, source):
    return environment_seam.violations(path, source, TREE.__contains__)


class RulesTest(unittest.TestCase):
    def test_every_rule_has_bad_examples(self):
        self.assertEqual(set(BAD), set(environment_seam.RULES))

    def test_each_bad_line_is_found_and_by_its_rule_alone(self):
        for rule, lines in BAD.items():
            for line in lines.strip().splitlines():
                with self.subTest(rule=rule, line=line.strip()):
                    found = check("io/net/socket.cc", line)
                    self.assertTrue(found)
                    for violation in found:
                        self.assertIn(f"io/net/socket.cc:1: {rule}: ", violation)

    def test_good_lines_pass(self):
        self.assertEqual(check("runtime/core/clock.cc", GOOD), [])

    def test_the_line_is_told_right(self):
        source = '/* two\nlines */\nauto s = R"(three\nfour)";\nclose(fd);\nn = 1;\nreturn\n    close(fd);\n'
        self.assertEqual([v.split(":")[1] for v in check("io/x.cc", source)], ["5", "7"])

    def test_the_seam_itself_is_allowed_and_only_what_it_is_for(self):
        self.assertEqual(check("runtime/core/environment.cc", "std::thread t; steady_clock::now(); std::random_device d;"), [])
        self.assertEqual(check("runtime/core/atomic.h", "std::atomic<int> n;"), [])
        self.assertEqual(check("io/system/system_calls.cc", "::read(fd, data, size);"), [])
        self.assertTrue(check("runtime/core/atomic.h", "close(fd);"))
        self.assertTrue(check("runtime/core/environment.cc", "std::atomic<int> n;"))
        self.assertTrue(check("io/system/system_calls.cc", "absl::SleepFor(t);"))
        self.assertTrue(check("runtime/core/environment.h.cc", "std::thread t;"))

    def test_tests_may_make_system_calls_but_not_sleep_or_read_clocks(self):
        for path in ("io/net/socket_test.cc", "io/net/socket_benchmark.cc", "runtime/testing/reactor_suite.h"):
            with self.subTest(path=path):
                self.assertEqual(check(path, "pipe2(fds, 0); std::atomic<int> n;"), [])
                self.assertTrue(check(path, "absl::SleepFor(absl::Seconds(1));"))
                self.assertTrue(check(path, "std::chrono::steady_clock::now();"))

    def test_examples_are_programs_and_do_as_they_like(self):
        self.assertEqual(check("examples/hello/main.cc", "absl::SleepFor(t); std::atomic<int> n; read(0, b, 1);"), [])

    def test_our_headers_are_included_by_their_public_name(self):
        self.assertEqual(check("runtime/core/clock.cc", '#include "plait/runtime/core/clock.h"'), [])
        self.assertEqual(check("runtime/core/clock.cc", '#include "gtest/gtest.h"'), [])
        self.assertTrue(check("runtime/core/clock.cc", '#include "runtime/core/clock.h"'))
        self.assertTrue(check("runtime/core/clock.cc", '  #  include "clock.h"'))
        self.assertTrue(check("examples/hello/main.cc", '#include "examples/hello/hello.h"'))


class TreeTest(unittest.TestCase):
    def test_the_tree_keeps_to_the_seam(self):
        found, files = environment_seam.tree_violations(HERE.parent.parent)
        self.assertGreater(files, 0)
        self.assertFalse(found, "\n" + "\n".join(found))


if __name__ == "__main__":
    unittest.main()
