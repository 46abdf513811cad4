// FunctionTable: the functions that worker processes run, by name.
//
//   plait::FunctionTable table;
//   table.Add("square", &Square)                 // int Square(int); called as pool.Call(Square, 3)
//       .Add(kThumbnail, &MakeThumbnail)         // a ProcessFunction; see process_function.h
//       .Add("sum", [](const std::vector<int>& all) { return std::accumulate(...); });
//
// A worker runs what its table holds and nothing else: what arrives there names an entry, and its
// arguments are data. The table is made before the workers are, and every process has its own copy:
// what a function keeps in global variables, it keeps in one worker.
//
// A name that is added twice, or is empty, is told by status(), with which the pool's Create then
// fails; a call of what is not in the table fails with NotFound. A worker calls one function at a
// time, on its main thread, and as const. Copies share the functions. Threads: Add by one,
// everything else from any.
#ifndef PLAIT_SCHEDULERS_PROCESS_POOL_FUNCTION_TABLE_H_
#define PLAIT_SCHEDULERS_PROCESS_POOL_FUNCTION_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "plait/schedulers/process_pool/codec.h"
#include "plait/schedulers/process_pool/process_function.h"
#include "plait/schedulers/process_pool/table_function.h"
#include "plait/schedulers/process_pool/worker_context.h"

namespace plait {

class FunctionTable {
 public:
  // Anything that is called as `function` is: a pointer to a function, a lambda. Its first
  // parameter may be a WorkerContext& besides, and it may return what `function` does, with an
  // absl::Status or without.
  template <class Signature, class F>
  FunctionTable& Add(const ProcessFunction<Signature>& function, F implementation) {
    AddEntry(function.name(), CallTraitsOf<Signature>::Codec::kFingerprint,
             AddressOf(implementation),
             internal::TableFunction<Signature, F>{std::move(implementation)});
    return *this;
  }

  // With the type that the function has.
  template <class F>
  FunctionTable& Add(absl::string_view name, F function) {
    return Add(ProcessFunction<internal::SignatureOf<F>>(name), std::move(function));
  }

  // Runs in each worker before it gets calls. A worker whose initialiser fails ends, and another is
  // started, after a pause that grows; when none has started several times in a row, calls fail
  // with absl::UnavailableError that says what the initialiser did.
  FunctionTable& SetInitializer(absl::AnyInvocable<absl::Status() const> initializer);

  // The first mistake of Add: AlreadyExists for a name that is there, InvalidArgument for an empty
  // one.
  const absl::Status& status() const { return status_; }
  size_t size() const { return entries_.size(); }
  const std::string& name(size_t index) const { return entries_[index]->name; }
  // Differs between tables whose names or types differ.
  uint64_t fingerprint() const;

  // Where it is: NotFound, or FailedPrecondition where it has another type.
  absl::StatusOr<size_t> IndexOf(absl::string_view name) const;
  template <class Signature>
  absl::StatusOr<size_t> IndexOf(const ProcessFunction<Signature>& function) const {
    return Checked(IndexOf(function.name()), CallTraitsOf<Signature>::Codec::kFingerprint);
  }
  template <class F>
    requires std::is_function_v<F>
  absl::StatusOr<size_t> IndexOf(F* function) const {
    return Checked(IndexOfAddress(AddressOf(function)), CallTraitsOf<F>::Codec::kFingerprint);
  }

  // --- in a worker ---

  absl::Status Initialize() const { return initializer_ ? (*initializer_)() : absl::OkStatus(); }

  // Given how to encode the result, sends it; may encode more than once, and has to at least once.
  using Emit = absl::FunctionRef<void(absl::FunctionRef<void(Encoder&)>)>;

  // Decodes the arguments that CallTraits::Codec encoded, calls the function and emits its Result.
  // Fails, without a call, where there is no such function (NotFound), or it is another
  // (FailedPrecondition), or its arguments are garbage (DataLoss).
  absl::Status Invoke(size_t index, WorkerContext& context, Decoder& arguments, Emit emit) const;
  // The same for `count` calls in a row: the fingerprint comes once, then each call's arguments.
  // Emits all the results, one behind the other. Cancelled where the context is, in between.
  absl::Status InvokeMany(size_t index, size_t count, WorkerContext& context, Decoder& arguments,
                          Emit emit) const;

 private:
  template <class F>
  using CallTraitsOf = internal::CallTraits<F>;
  using Run =
      absl::AnyInvocable<absl::Status(std::optional<size_t>, WorkerContext&, Decoder&, Emit) const>;
  struct Entry {
    std::string name;
    uint64_t fingerprint;
    Run run;
  };

  // 0 for what is no function.
  template <class F>
  static uintptr_t AddressOf(const F& function) {
    if constexpr (std::is_pointer_v<F>) {
      // To find it by, never to be called: functions of any type are in one table.
      return reinterpret_cast<uintptr_t>(function);
    } else {
      return 0;
    }
  }

  void AddEntry(absl::string_view name, uint64_t fingerprint, uintptr_t address, Run run);
  absl::StatusOr<size_t> IndexOfAddress(uintptr_t address) const;
  absl::StatusOr<size_t> Checked(absl::StatusOr<size_t> index, uint64_t fingerprint) const;

  std::vector<std::shared_ptr<const Entry>> entries_;
  absl::flat_hash_map<std::string, size_t> by_name_;
  absl::flat_hash_map<uintptr_t, size_t> by_address_;
  std::shared_ptr<const absl::AnyInvocable<absl::Status() const>> initializer_;
  absl::Status status_;
};

}  // namespace plait

#endif  // PLAIT_SCHEDULERS_PROCESS_POOL_FUNCTION_TABLE_H_
