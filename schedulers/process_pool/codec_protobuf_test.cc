#include "plait/schedulers/process_pool/codec_protobuf.h"

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "google/protobuf/descriptor.pb.h"
#include "google/protobuf/struct.pb.h"
#include "gtest/gtest.h"

namespace plait {
namespace {

using google::protobuf::Struct;
using google::protobuf::UninterpretedOption;
using testing::HasSubstr;

Struct Person(const std::string& name) {
  Struct person;
  (*person.mutable_fields())["name"].set_string_value(name);
  (*person.mutable_fields())["age"].set_number_value(40);
  return person;
}

TEST(CodecProtobufTest, AMessageComesBackAlsoInAContainerAndAnEmptyOne) {
  const Struct person = Person(std::string(1000, 'x'));
  const absl::StatusOr<Struct> back = Decode<Struct>(*Encode(person));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->SerializeAsString().size(), person.SerializeAsString().size());
  EXPECT_EQ(back->fields().at("name").string_value(), std::string(1000, 'x'));
  EXPECT_EQ(Encode(Struct())->size(), 1u);
  EXPECT_EQ(Decode<Struct>(*Encode(Struct()))->fields_size(), 0);

  const std::map<std::string, std::vector<Struct>> people = {{"a", {Person("b"), Struct()}}};
  const auto all = Decode<std::map<std::string, std::vector<Struct>>>(*Encode(people));
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(all->at("a").at(0).fields().at("name").string_value(), "b");
  EXPECT_EQ(all->at("a").at(1).fields_size(), 0);
}

TEST(CodecProtobufTest, EveryPrefixIsRefusedAndSoAreBytesThatAreNoMessage) {
  const std::string bytes = *Encode(Person("somebody"));
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(Decode<Struct>(bytes.substr(0, size)).status().code(), absl::StatusCode::kDataLoss);
  }
  const absl::Status status = Decode<Struct>("\x03\xff\xff\xff").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(status.message(), HasSubstr("google.protobuf.Struct"));
}

TEST(CodecProtobufTest, AMessageWithoutItsRequiredFieldsIsNotEncoded) {
  UninterpretedOption::NamePart part;
  const absl::Status status = Encode(part).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("lacks required fields"));
  EXPECT_EQ(Decode<UninterpretedOption::NamePart>(std::string(1, '\0')).status().code(),
            absl::StatusCode::kDataLoss);
  part.set_name_part("a");
  part.set_is_extension(true);
  EXPECT_TRUE(Decode<UninterpretedOption::NamePart>(*Encode(part)).ok());
}

TEST(CodecProtobufTest, MessagesOfDifferentTypesHaveDifferentFingerprints) {
  EXPECT_NE(internal::TypeFingerprint<Struct>(), internal::TypeFingerprint<UninterpretedOption>());
}

}  // namespace
}  // namespace plait
