// Endpoints are values: none of the five traps is in reach. What is tried is text.
#include "plait/io/net/endpoint.h"

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"

namespace plait {
namespace {

TEST(EndpointTest, ParseAndToStringAreEachOthersInverse) {
  for (const absl::string_view text :
       {"localhost:80", "example.com:443", "_sip._tcp.example.com.:0", "127.0.0.1:1",
        "xn--bcher-kva.example:1", "b\xc3\xbc.example:65535", "[::1]:80"}) {
    const absl::StatusOr<Endpoint> endpoint = Endpoint::Parse(text);
    ASSERT_TRUE(endpoint.ok()) << endpoint.status();
    EXPECT_EQ(endpoint->ToString(), text);
  }
  EXPECT_EQ(Endpoint::Parse("[::1]:80")->host, "::1");
  EXPECT_EQ(Endpoint::Parse("localhost:80").value(), (Endpoint{.host = "localhost", .port = 80}));
}

TEST(EndpointTest, MalformedTextIsAnErrorThatNamesIt) {
  struct Case {
    absl::string_view text;
    absl::string_view why;
  };
  for (const auto& [text, why] : {
           Case{"", "it has no port"},
           Case{"localhost", "it has no port"},
           Case{"localhost:", "the port must be"},
           Case{"localhost:65536", "the port must be"},
           Case{"localhost:-1", "the port must be"},
           Case{"localhost: 1", "the port must be"},
           Case{":80", "the host is empty"},
           Case{"a b:80", "characters that no host name has"},
           Case{"http://x:80", "stands in brackets"},
           Case{"user@host:80", "characters that no host name has"},
           Case{"::1:80", "stands in brackets"},
           Case{"[::1:80", "\"]\" is missing"},
           Case{"[localhost]:80", "in brackets stands an IPv6 address"},
           Case{"[1.2.3.4]:80", "in brackets stands an IPv6 address"},
           Case{"[]:80", "in brackets stands an IPv6 address"},
       }) {
    const absl::Status status = Endpoint::Parse(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_TRUE(absl::StrContains(status.message(), absl::StrCat("\"", text, "\""))) << status;
    EXPECT_TRUE(absl::StrContains(status.message(), why)) << status;
  }
}

}  // namespace
}  // namespace plait
