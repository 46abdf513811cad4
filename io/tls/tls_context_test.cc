#include "plait/io/tls/tls_context.h"

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plait/io/tls/tls_fixture.h"
#include "plait/runtime/testing/test_folder.h"

namespace plait {
namespace {

using ::testing::HasSubstr;

class TlsContextTest : public testing::Test {
 protected:
  absl::Status Server(const std::string& certificate, const std::string& key) {
    return TlsContext::Server({.certificate_chain_file = certificate, .private_key_file = key})
        .status();
  }
  absl::Status Trust(const std::string& file, const std::string& directory = "") {
    return TlsContext::Client({.ca_file = file, .ca_directory = directory}).status();
  }

  TestFolder folder_;
  TestAuthority authority_{folder_};
  const CertificateFiles files_ = authority_.Issue("server");
  const std::string missing_ = folder_ / "missing";
  const std::string garbage_ = folder_.Write("garbage", "this is no certificate\n");
};

TEST_F(TlsContextTest, GoodFilesMakeOne) {
  EXPECT_TRUE(Server(files_.certificate, files_.key).ok());
  EXPECT_TRUE(Trust(authority_.file()).ok());
  EXPECT_TRUE(Trust("", folder_.path()).ok());
  const absl::StatusOr<TlsContext> client = TlsContext::Client();
  ASSERT_TRUE(client.ok()) << client.status();
  EXPECT_FALSE(client->is_server());
}

TEST_F(TlsContextTest, AFileThatIsMissingIsNotFoundAndNamed) {
  for (const absl::Status& status :
       {Server(missing_, files_.key), Server(files_.certificate, missing_), Trust(missing_),
        Trust("", missing_)}) {
    EXPECT_TRUE(absl::IsNotFound(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(missing_));
  }
}

TEST_F(TlsContextTest, AFileOfSomethingElseIsAnInvalidArgumentAndNamed) {
  for (const absl::Status& status :
       {Server(garbage_, files_.key), Server(files_.certificate, garbage_), Trust(garbage_),
        Trust("", garbage_)}) {
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(garbage_));
  }
}

TEST_F(TlsContextTest, AKeyOfAnotherCertificateIsAnInvalidArgument) {
  const CertificateFiles other = authority_.Issue("other");
  const absl::Status status = Server(files_.certificate, other.key);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("mismatch"));
}

TEST_F(TlsContextTest, AKeyWithAPasswordIsRefusedAndNobodyIsAsked) {
  const std::string key = folder_.Write("secret.key", authority_.IssueWithPassword("x"));
  const absl::Status status = Server(files_.certificate, key);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(key));
}

TEST_F(TlsContextTest, WhatDoesNotGoTogetherIsAnInvalidArgument) {
  EXPECT_TRUE(absl::IsInvalidArgument(Server("", "")));
  EXPECT_TRUE(absl::IsInvalidArgument(
      TlsContext::Client({.certificate_chain_file = files_.certificate}).status()));
  EXPECT_TRUE(
      absl::IsInvalidArgument(TlsContext::Server({.certificate_chain_file = files_.certificate,
                                                  .private_key_file = files_.key,
                                                  .verify_clients = true})
                                  .status()));
  // Who is told whom to trust, and not to ask, would take anybody.
  TlsServerOptions options{.certificate_chain_file = files_.certificate,
                           .private_key_file = files_.key,
                           .ca_file = authority_.file()};
  EXPECT_TRUE(absl::IsInvalidArgument(TlsContext::Server(options).status()));
  options.ca_file = "";
  options.ca_directory = folder_.path();
  EXPECT_TRUE(absl::IsInvalidArgument(TlsContext::Server(options).status()));
}

TEST_F(TlsContextTest, AProtocolsNameHasOneTo255Bytes) {
  EXPECT_TRUE(TlsContext::Client({.alpn = {std::string(255, 'x')}}).ok());
  for (const std::string& name : {std::string(), std::string(256, 'x')}) {
    EXPECT_TRUE(absl::IsInvalidArgument(TlsContext::Client({.alpn = {"h2", name}}).status()));
  }
  const std::vector<std::string> many(300, std::string(255, 'x'));
  EXPECT_TRUE(absl::IsInvalidArgument(TlsContext::Client({.alpn = many}).status()));
}

TEST_F(TlsContextTest, ThereMayBeAnyNumber) {
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(TlsContext::Client({.verify = false}).ok()) << i;
  }
}

}  // namespace
}  // namespace plait
