// The floor for completion: an echo server that is nothing but a loop around io_uring.
//
// One thread and one io_uring_enter a turn, which submits all that the turn made and waits for
// more. Connections come from one multishot accept, as descriptors of the ring's own table; data
// from a multishot receive a connection, into buffers that all share, and it is sent from there.
// Sends of one connection go one after another, as the kernel may finish two in any order. On
// kernels that lack some of this it does without, down to Linux 5.19 (rings of buffers).
#include <liburing.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <vector>

#include "plait/io/net/peers/peer.h"

namespace peers {
namespace {

constexpr unsigned kSubmissions = 2048;
constexpr unsigned kCompletions = 16384;

constexpr unsigned kBuffers = 1024;
constexpr unsigned kBufferSize = 8 * 1024;
// At a stride of a power of two all buffers' first lines would share a few sets of the caches.
constexpr unsigned kBufferStride = kBufferSize + 64;
constexpr int kBufferGroup = 0;
constexpr uint16_t kNone = 0xffff;

constexpr int kSendFlags = MSG_NOSIGNAL | MSG_WAITALL;
constexpr size_t kMaxParts = 32;

enum class Kind : uint32_t { kAccept, kReceive, kSend, kClose };

uint64_t Tag(Kind kind, uint32_t connection) {
  return static_cast<uint64_t>(kind) << 32 | connection;
}

// For a call of liburing that gave `result`: -errno.
int CheckRing(int result, const char* call) {
  if (result < 0) errno = -result;
  return Check(result < 0 ? -1 : result, call);
}

void* Map(size_t size) {
  void* const memory =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) Check(-1, "mmap");
  return memory;
}

class EchoServer {
 public:
  explicit EchoServer(int listener) : listener_(listener), connections_(RaiseDescriptorLimit()) {
    SetUpRing();
    SetUpBuffers();
    own_table_ =
        io_uring_register_files_sparse(&ring_, static_cast<unsigned>(connections_.size())) == 0;
    Accept();
  }

  [[noreturn]] void Run() {
    while (true) {
      const int submitted = io_uring_submit_and_wait(&ring_, 1);
      if (submitted < 0 && submitted != -EINTR && submitted != -EBUSY) {
        CheckRing(submitted, "io_uring_enter");
      }
      unsigned head;
      unsigned count = 0;
      io_uring_cqe* cqe;
      io_uring_for_each_cqe(&ring_, head, cqe) {
        OnCompletion(*cqe);
        ++count;
      }
      io_uring_cq_advance(&ring_, count);
      PublishBuffers();
    }
  }

 private:
  struct Connection {
    // The buffers that wait to be sent, a list through `buffers_`; the first is being sent.
    uint16_t first = kNone;
    uint16_t last = kNone;
    bool ended = false;  // nothing more will be received
  };
  struct Buffer {
    uint32_t begin;  // what has not been sent yet
    uint32_t end;
    uint16_t next;
  };
  struct Parts {
    msghdr message;
    iovec list[kMaxParts];
  };

  void SetUpRing() {
    // The best that this kernel knows.
    constexpr unsigned kAlways = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    constexpr unsigned kModes[] = {
        kAlways | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
        kAlways | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_COOP_TASKRUN,
        kAlways,
    };
    int result = -EINVAL;
    for (size_t i = 0; i < std::size(kModes) && result == -EINVAL; ++i) {
      io_uring_params params = {};
      params.flags = kModes[i];
      params.cq_entries = kCompletions;
      result = io_uring_queue_init_params(kSubmissions, &ring_, &params);
    }
    CheckRing(result, "io_uring_setup");
    io_uring_register_ring_fd(&ring_);  // where it can't, it does without
  }

  void SetUpBuffers() {
    buffer_ring_ = static_cast<io_uring_buf_ring*>(Map(kBuffers * sizeof(io_uring_buf)));
    memory_ = static_cast<char*>(Map(size_t{kBuffers} * kBufferStride));
    io_uring_buf_reg registration = {};
    registration.ring_addr = reinterpret_cast<uint64_t>(buffer_ring_);
    registration.ring_entries = kBuffers;
    registration.bgid = kBufferGroup;
    CheckRing(io_uring_register_buf_ring(&ring_, &registration, 0), "io_uring_register_buf_ring");
    io_uring_buf_ring_init(buffer_ring_);
    for (uint16_t i = 0; i < kBuffers; ++i) ReturnBuffer(i);
    PublishBuffers();
  }

  char* Memory(uint16_t buffer) { return memory_ + size_t{buffer} * kBufferStride; }

  void ReturnBuffer(uint16_t buffer) {
    --lent_;
    io_uring_buf_ring_add(buffer_ring_, Memory(buffer), kBufferSize, buffer,
                          io_uring_buf_ring_mask(kBuffers), returned_++);
  }

  // Shows the kernel the buffers that this turn returned, and receives again where there was none.
  void PublishBuffers() {
    if (returned_ == 0 && lent_ != 0) return;
    io_uring_buf_ring_advance(buffer_ring_, returned_);
    returned_ = 0;
    for (const uint32_t connection : starved_) Receive(connection);
    starved_.clear();
  }

  io_uring_sqe& NewSubmission() {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    while (sqe == nullptr) {
      CheckRing(io_uring_submit(&ring_), "io_uring_enter");
      sqe = io_uring_get_sqe(&ring_);
    }
    return *sqe;
  }

  void Accept() {
    io_uring_sqe& sqe = NewSubmission();
    if (!multishot_accept_) {
      io_uring_prep_accept(&sqe, listener_, nullptr, nullptr, SOCK_CLOEXEC);
    } else if (own_table_) {
      io_uring_prep_multishot_accept_direct(&sqe, listener_, nullptr, nullptr, 0);
    } else {
      io_uring_prep_multishot_accept(&sqe, listener_, nullptr, nullptr, SOCK_CLOEXEC);
    }
    io_uring_sqe_set_data64(&sqe, Tag(Kind::kAccept, 0));
  }

  void Receive(uint32_t connection) {
    io_uring_sqe& sqe = NewSubmission();
    if (multishot_receive_) {
      io_uring_prep_recv_multishot(&sqe, static_cast<int>(connection), nullptr, 0, 0);
    } else {
      io_uring_prep_recv(&sqe, static_cast<int>(connection), nullptr, kBufferSize, 0);
    }
    sqe.flags |= IOSQE_BUFFER_SELECT | FileFlag();
    sqe.buf_group = kBufferGroup;
    io_uring_sqe_set_data64(&sqe, Tag(Kind::kReceive, connection));
  }

  // All that waits, so that a stream moves many buffers a turn.
  void Send(uint32_t connection) {
    const uint16_t first = connections_[connection].first;
    io_uring_sqe& sqe = NewSubmission();
    if (buffers_[first].next == kNone) {
      io_uring_prep_send(&sqe, static_cast<int>(connection), Unsent(first).iov_base,
                         Unsent(first).iov_len, kSendFlags);
    } else {
      // The kernel reads the list when the entry is submitted, and the entry is not used before.
      Parts& parts = parts_[&sqe - ring_.sq.sqes];
      parts.message = {.msg_iov = parts.list};
      for (uint16_t i = first; i != kNone && parts.message.msg_iovlen < kMaxParts;
           i = buffers_[i].next) {
        parts.list[parts.message.msg_iovlen++] = Unsent(i);
      }
      io_uring_prep_sendmsg(&sqe, static_cast<int>(connection), &parts.message, kSendFlags);
    }
    sqe.flags |= FileFlag();
    io_uring_sqe_set_data64(&sqe, Tag(Kind::kSend, connection));
  }

  iovec Unsent(uint16_t buffer) {
    const auto [begin, end, next] = buffers_[buffer];
    return {.iov_base = Memory(buffer) + begin, .iov_len = end - begin};
  }

  void Close(uint32_t connection) {
    connections_[connection] = Connection();
    io_uring_sqe& sqe = NewSubmission();
    if (own_table_) {
      io_uring_prep_close_direct(&sqe, connection);
    } else {
      io_uring_prep_close(&sqe, static_cast<int>(connection));
    }
    io_uring_sqe_set_data64(&sqe, Tag(Kind::kClose, connection));
  }

  unsigned FileFlag() const { return own_table_ ? IOSQE_FIXED_FILE : 0; }

  void OnCompletion(const io_uring_cqe& cqe) {
    const auto connection = static_cast<uint32_t>(cqe.user_data);
    switch (static_cast<Kind>(cqe.user_data >> 32)) {
      case Kind::kAccept:
        return OnAccepted(cqe);
      case Kind::kReceive:
        return OnReceived(connection, cqe);
      case Kind::kSend:
        return OnSent(connection, cqe.res);
      case Kind::kClose:
        return;
    }
  }

  void OnAccepted(const io_uring_cqe& cqe) {
    if (cqe.res >= 0) Receive(static_cast<uint32_t>(cqe.res));
    if (cqe.flags & IORING_CQE_F_MORE) return;
    if (cqe.res == -EINVAL) {
      if (!multishot_accept_) CheckRing(cqe.res, "accept");
      // A kernel that has no multishot accept has no table of its own to accept into either.
      multishot_accept_ = own_table_ = false;
    }
    Accept();
  }

  void OnReceived(uint32_t connection, const io_uring_cqe& cqe) {
    if (cqe.res > 0) {
      Append(connection, static_cast<uint16_t>(cqe.flags >> IORING_CQE_BUFFER_SHIFT),
             static_cast<uint32_t>(cqe.res));
    }
    if (cqe.flags & IORING_CQE_F_MORE) return;
    if (cqe.res > 0) return Receive(connection);
    if (cqe.res == -ENOBUFS) return starved_.push_back(connection);
    if (cqe.res == -EINVAL && multishot_receive_) {
      multishot_receive_ = false;
      return Receive(connection);
    }
    // The end of the stream, or the peer is gone.
    Connection& state = connections_[connection];
    state.ended = true;
    if (state.first == kNone) Close(connection);
  }

  void Append(uint32_t connection, uint16_t buffer, uint32_t size) {
    buffers_[buffer] = {.begin = 0, .end = size, .next = kNone};
    ++lent_;
    Connection& state = connections_[connection];
    if (state.first == kNone) {
      state.first = state.last = buffer;
      Send(connection);
    } else {
      buffers_[state.last].next = buffer;
      state.last = buffer;
    }
  }

  void OnSent(uint32_t connection, int result) {
    Connection& state = connections_[connection];
    // A peer that is gone takes everything; receiving from it ends of itself.
    uint32_t sent = result < 0 ? UINT32_MAX : static_cast<uint32_t>(result);
    while (state.first != kNone) {
      Buffer& buffer = buffers_[state.first];
      const uint32_t part = std::min(sent, buffer.end - buffer.begin);
      buffer.begin += part;
      sent -= part;
      if (buffer.begin < buffer.end) break;
      ReturnBuffer(state.first);
      state.first = buffer.next;
    }
    if (state.first != kNone) return Send(connection);
    if (state.ended) Close(connection);
  }

  const int listener_;
  io_uring ring_ = {};
  bool own_table_ = false;  // connections are in the ring's table of files, not in the process's
  bool multishot_accept_ = true;
  bool multishot_receive_ = true;

  io_uring_buf_ring* buffer_ring_ = nullptr;
  char* memory_ = nullptr;
  int lent_ = kBuffers;  // buffers that hold what is not sent yet; at first, all are ours
  int returned_ = 0;     // buffers that the kernel was not shown yet
  std::array<Buffer, kBuffers> buffers_ = {};
  std::vector<uint32_t> starved_;  // connections that found no buffer

  std::array<Parts, kSubmissions> parts_;  // by the entry that sends them
  std::vector<Connection> connections_;    // by descriptor
};

}  // namespace
}  // namespace peers

int main(int argc, char** argv) {
  // Too large for the stack.
  static peers::EchoServer server(peers::ListenAsTold(argc, argv));
  server.Run();
}
