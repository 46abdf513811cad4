// Every dependency is found, compiles, links and runs.

#include <ares.h>
#include <liburing.h>
#include <openssl/ssl.h>
#include <png.h>

#include <cstdio>
#include <string>

// It needs FILE.
#include <jpeglib.h>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "benchmark/benchmark.h"
#include "boost/context/detail/fcontext.hpp"
#include "gmock/gmock.h"
#include "google/protobuf/duration.pb.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"

namespace plait {
namespace {

absl::StatusOr<int> Half(int n) {
  if (n % 2 != 0) return absl::InvalidArgumentError(absl::StrFormat("%d is odd", n));
  return n / 2;
}

TEST(ThirdParty, AbseilLinks) {
  EXPECT_EQ(Half(8).value(), 4);
  EXPECT_THAT(Half(7).status().ToString(), ::testing::HasSubstr("7 is odd"));

  absl::Mutex mutex;
  absl::flat_hash_map<std::string, absl::AnyInvocable<int()>> map;
  {
    absl::MutexLock lock(&mutex);
    map[absl::StrCat("x", 1)] = [] { return 7; };
  }
  EXPECT_EQ(map["x1"](), 7);
  EXPECT_EQ(absl::FormatDuration(absl::Seconds(90)), "1m30s");
}

TEST(ThirdParty, BenchmarkLinks) { EXPECT_GT(benchmark::CPUInfo::Get().num_cpus, 0); }

TEST(ThirdParty, BoostContextLinks) {
  namespace context = boost::context::detail;
  alignas(16) static char stack[64 * 1024];
  const auto there =
      context::make_fcontext(stack + sizeof(stack), sizeof(stack), [](context::transfer_t from) {
        *static_cast<int*>(from.data) = 7;
        context::jump_fcontext(from.fctx, nullptr);
      });
  int seven = 0;
  context::jump_fcontext(there, &seven);
  EXPECT_EQ(seven, 7);
}

TEST(ThirdParty, CAresLinks) {
  int version = 0;
  ares_version(&version);
  EXPECT_EQ(version >> 16, 1);
}

TEST(ThirdParty, ProtobufLinks) {
  google::protobuf::Duration duration;
  duration.set_seconds(3);
  EXPECT_THAT(duration.ShortDebugString(), ::testing::HasSubstr("3"));
}

TEST(ThirdParty, GrpcLinks) { EXPECT_FALSE(grpc::Version().empty()); }

TEST(ThirdParty, OpensslLinks) {
  SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
  EXPECT_NE(context, nullptr);
  SSL_CTX_free(context);
}

TEST(ThirdParty, LibjpegLinks) {
  jpeg_error_mgr errors;
  jpeg_decompress_struct decoder = {};
  decoder.err = jpeg_std_error(&errors);
  jpeg_create_decompress(&decoder);
  EXPECT_EQ(decoder.num_components, 0);
  jpeg_destroy_decompress(&decoder);
}

TEST(ThirdParty, LibpngLinks) { EXPECT_EQ(png_access_version_number(), PNG_LIBPNG_VER); }

TEST(ThirdParty, LiburingLinks) {
  // Setting a ring up may be forbidden here; asking the kernel for nothing is not.
  io_uring ring = {};
  EXPECT_LT(io_uring_queue_init(0, &ring, 0), 0);
}

}  // namespace
}  // namespace plait
