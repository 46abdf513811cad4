// What the sanitizers report wrongly about code that is not ours. Every plait_test links this; the
// sanitizers' runtimes look the function up by name.

extern "C" __attribute__((used, visibility("default"))) const char* __tsan_default_suppressions() {
  // How absl::Mutex parks and wakes a thread: it reuses per-thread structures in ways that TSan
  // cannot follow.
  // And how an exception that several threads refer to is freed: libstdc++, which is not
  // instrumented, counts the references.
  return "race:synchronization_internal::Waiter\n"
         "race:synchronization_internal::PerThreadSem\n"
         "race:synchronization_internal::NewThreadIdentity\n"
         "race:std::__exception_ptr::exception_ptr::_M_release\n"
         "race:std::runtime_error::~runtime_error\n";
}

// Death tests make executors with threads in the child of a program that has threads itself.
extern "C" __attribute__((used, visibility("default"))) const char* __tsan_default_options() {
  return "die_after_fork=0";
}
