#include "plait/schedulers/process_pool/function_table.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "plait/schedulers/process_pool/type_fingerprint.h"

namespace plait {
namespace {

std::string Quoted(absl::string_view name) { return absl::StrCat("\"", absl::CEscape(name), "\""); }

}  // namespace

FunctionTable& FunctionTable::SetInitializer(absl::AnyInvocable<absl::Status() const> initializer) {
  initializer_ =
      std::make_shared<const absl::AnyInvocable<absl::Status() const>>(std::move(initializer));
  return *this;
}

void FunctionTable::AddEntry(absl::string_view name, uint64_t fingerprint, uintptr_t address,
                             Run run) {
  if (!status_.ok()) return;
  if (name.empty()) {
    status_ = absl::InvalidArgumentError("a function of a FunctionTable has no name");
    return;
  }
  if (!by_name_.try_emplace(std::string(name), entries_.size()).second) {
    status_ = absl::AlreadyExistsError(
        absl::StrCat("two functions of a FunctionTable have the name ", Quoted(name)));
    return;
  }
  if (address != 0) by_address_.try_emplace(address, entries_.size());
  entries_.push_back(
      std::make_shared<const Entry>(Entry{std::string(name), fingerprint, std::move(run)}));
}

uint64_t FunctionTable::fingerprint() const {
  uint64_t all = entries_.size();
  for (const std::shared_ptr<const Entry>& entry : entries_) {
    all = internal::MixFingerprints({all, internal::HashText(entry->name), entry->fingerprint});
  }
  return all;
}

absl::StatusOr<size_t> FunctionTable::IndexOf(absl::string_view name) const {
  const auto found = by_name_.find(name);
  if (found != by_name_.end()) return found->second;
  return absl::NotFoundError(absl::StrCat("there is no function ", Quoted(name),
                                          " in the FunctionTable that the pool was made with"));
}

absl::StatusOr<size_t> FunctionTable::IndexOfAddress(uintptr_t address) const {
  const auto found = by_address_.find(address);
  if (found != by_address_.end()) return found->second;
  return absl::NotFoundError(
      "this function is not in the FunctionTable that the pool was made with");
}

absl::StatusOr<size_t> FunctionTable::Checked(absl::StatusOr<size_t> index,
                                              uint64_t fingerprint) const {
  if (!index.ok() || entries_[*index]->fingerprint == fingerprint) return index;
  return absl::FailedPreconditionError(
      absl::StrCat("the function ", Quoted(entries_[*index]->name),
                   " has other parameters, or another result, in the FunctionTable"));
}

absl::Status FunctionTable::Invoke(size_t index, WorkerContext& context, Decoder& arguments,
                                   Emit emit) const {
  if (index >= entries_.size()) {
    return absl::NotFoundError(absl::StrCat("there is no function number ", index));
  }
  return entries_[index]->run(std::nullopt, context, arguments, emit);
}

absl::Status FunctionTable::InvokeMany(size_t index, size_t count, WorkerContext& context,
                                       Decoder& arguments, Emit emit) const {
  if (index >= entries_.size()) {
    return absl::NotFoundError(absl::StrCat("there is no function number ", index));
  }
  return entries_[index]->run(count, context, arguments, emit);
}

}  // namespace plait
