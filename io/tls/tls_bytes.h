// TlsBytes: what the TLS library reads from and writes to: memory. Internal.
//
// The library calls it for a BIO of NewMethod() whose data it is.
#ifndef PLAIT_IO_TLS_TLS_BYTES_H_
#define PLAIT_IO_TLS_TLS_BYTES_H_

#include <openssl/bio.h>

#include "absl/strings/string_view.h"
#include "plait/io/net/byte_buffer.h"

namespace plait::internal {

struct TlsBytes {
  // Null where there is no memory.
  static BIO_METHOD* NewMethod();

  absl::string_view input;  // what came, and was not taken yet: "not now" when it is empty
  ByteBuffer output;
};

}  // namespace plait::internal

#endif  // PLAIT_IO_TLS_TLS_BYTES_H_
