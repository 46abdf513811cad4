// Everything of this folder: encrypted connections.
//
//   tls_context.h  TlsContext: who is trusted, and as whom the program shows itself
//   start_tls.h    StartTls, ConnectTls, OverTls: a TlsStream out of a Stream, of Connect or in
//   Serve tls_stream.h   TlsStream: a Stream that is encrypted
#ifndef PLAIT_IO_TLS_TLS_H_
#define PLAIT_IO_TLS_TLS_H_

// IWYU pragma: begin_exports
#include "plait/io/tls/start_tls.h"
#include "plait/io/tls/tls_context.h"
#include "plait/io/tls/tls_stream.h"
// IWYU pragma: end_exports

#endif  // PLAIT_IO_TLS_TLS_H_
