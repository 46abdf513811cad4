#include "plait/io/tls/tls_bytes.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "absl/types/span.h"

namespace plait::internal {
namespace {

TlsBytes& BytesOf(BIO* bio) { return *static_cast<TlsBytes*>(BIO_get_data(bio)); }

int Read(BIO* bio, char* into, int size) {
  absl::string_view& input = BytesOf(bio).input;
  BIO_clear_retry_flags(bio);
  if (input.empty()) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const size_t count = std::min(input.size(), static_cast<size_t>(std::max(size, 0)));
  std::memcpy(into, input.data(), count);
  input.remove_prefix(count);
  return static_cast<int>(count);
}

int Write(BIO* bio, const char* data, int size) {
  BIO_clear_retry_flags(bio);
  BytesOf(bio).output.Append(absl::MakeConstSpan(data, static_cast<size_t>(size)));
  return size;
}

long Control(BIO*, int command, long, void*) {
  // What is written is there at once.
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

}  // namespace

BIO_METHOD* TlsBytes::NewMethod() {
  // No number of its own, of which there are few.
  BIO_METHOD* const method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "plait");
  if (method == nullptr) return nullptr;
  BIO_meth_set_read(method, &Read);
  BIO_meth_set_write(method, &Write);
  BIO_meth_set_ctrl(method, &Control);
  return method;
}

}  // namespace plait::internal
