// The .proto files against vectors made with an independent implementation (tests/data/service/README.md).
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <set>

#include "grpc-health.v1.pb.h"
#include "kms.v1.pb.h"
#include "metastore-status.v1.pb.h"
#include "support/support.h"

namespace witan::api {
namespace {

namespace pb = google::protobuf;

/// The vector also has the messages of the peers' transport, which we do not speak.
bool is_ours(const std::string& name) {
  return name.find("ddec_networking") == std::string::npos;
}

/// "8:repeated SigningSchemeType signing_schemes", as the vector writes a field.
std::string text_of(const pb::FieldDescriptor& field) {
  const auto type_name = [](const pb::FieldDescriptor& f) -> std::string {
    if (f.type() == pb::FieldDescriptor::TYPE_MESSAGE) return f.message_type()->name();
    if (f.type() == pb::FieldDescriptor::TYPE_ENUM) return f.enum_type()->name();
    return f.type_name();
  };
  std::string type = type_name(field);
  if (field.is_map()) {
    const pb::Descriptor& entry = *field.message_type();
    type = fmt::format("map<{},{}>", type_name(*entry.map_key()), type_name(*entry.map_value()));
  } else if (field.is_repeated()) {
    type = "repeated " + type;
  }
  return fmt::format("{}:{} {}", field.number(), type, field.name());
}

class GeneratedMessages {
 public:
  GeneratedMessages() {
    // Registers the files.
    kms::v1::Empty::descriptor();
    metastore_status::v1::MetaStoreInfo::descriptor();
    pool_ = pb::DescriptorPool::generated_pool();
  }
  const pb::Descriptor* find(const std::string& name) const { return pool_->FindMessageTypeByName(name); }
  std::unique_ptr<pb::Message> make(const std::string& name) const {
    return std::unique_ptr<pb::Message>(pb::MessageFactory::generated_factory()->GetPrototype(find(name))->New());
  }

 private:
  const pb::DescriptorPool* pool_;
};

std::string deterministic_bytes(const pb::Message& message) {
  std::string out;
  pb::io::StringOutputStream stream(&out);
  pb::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  EXPECT_TRUE(message.SerializeToCodedStream(&coded));
  coded.Trim();
  return out;
}

TEST(WireTest, EveryMessageHasTheFieldsOfTheVectorAndReadsAndWritesItsBytes) {
  const GeneratedMessages generated;
  const auto vectors = witan::test::read_json("service/proto_wire.json");
  int checked = 0;
  for (const auto& vector : vectors.at("messages")) {
    const std::string name = vector.at("message");
    if (!is_ours(name)) continue;
    const pb::Descriptor* descriptor = generated.find(name);
    ASSERT_NE(descriptor, nullptr) << name;
    std::vector<std::string> fields;
    for (int i = 0; i < descriptor->field_count(); ++i) fields.push_back(text_of(*descriptor->field(i)));
    EXPECT_EQ(fields, vector.at("fields").get<std::vector<std::string>>()) << name;

    const Bytes wire = witan::test::hex(vector.at("wire").get<std::string>());
    const auto message = generated.make(name);
    ASSERT_TRUE(message->ParseFromArray(wire.data(), static_cast<int>(wire.size()))) << name;
    EXPECT_EQ(to_hex(as_bytes(deterministic_bytes(*message))), vector.at("wire").get<std::string>()) << name;
    EXPECT_TRUE(message->GetReflection()->GetUnknownFields(*message).empty()) << name;
    ++checked;
  }
  EXPECT_EQ(checked, 63);
}

TEST(WireTest, PresenceIsExplicitExactlyWhereTheSpecificationSaysOptional) {
  const GeneratedMessages generated;
  const std::set<std::string> expected{"kms.v1.KeyGenRequest.params",
                                       "kms.v1.CrsGenRequest.max_num_bits",
                                       "kms.v1.Eip712DomainMsg.salt",
                                       "kms.v1.MpcNode.signer_address",
                                       "kms.v1.MpcNode.ca_cert",
                                       "kms.v1.MpcNode.public_storage_prefix",
                                       "metastore_status.v1.RequestStatusInfo.error_message",
                                       "metastore_status.v1.GetRequestStatusesRequest.meta_store_type",
                                       "metastore_status.v1.ListRequestsRequest.status_filter",
                                       "metastore_status.v1.ListRequestsRequest.max_results",
                                       "metastore_status.v1.ListRequestsRequest.page_token",
                                       "metastore_status.v1.ListRequestsResponse.next_page_token"};
  std::set<std::string> found;
  for (const char* file : {"kms.v1.proto", "metastore-status.v1.proto"}) {
    const pb::FileDescriptor* descriptor = pb::DescriptorPool::generated_pool()->FindFileByName(file);
    for (int i = 0; i < descriptor->message_type_count(); ++i) {
      const pb::Descriptor* message = descriptor->message_type(i);
      for (int j = 0; j < message->field_count(); ++j)
        if (message->field(j)->has_optional_keyword()) found.insert(message->field(j)->full_name());
    }
  }
  EXPECT_EQ(found, expected);
}

TEST(WireTest, EnumerationsHaveTheNumbersOfTheSpecification) {
  // service.md 1.2
  const std::map<std::string, std::vector<std::string>> expected{
      {"kms.v1.KeySetType", {"Standard", "DecompressionOnly"}},
      {"kms.v1.ComputeKeyType", {"CPU"}},
      {"kms.v1.KeyGenSecretKeyConfig", {"GenerateAll", "UseExisting"}},
      {"kms.v1.CompressedKeyConfig", {"CompressedAll", "CompressedNone"}},
      {"kms.v1.FheParameter", {"default", "test"}},
      {"kms.v1.CiphertextFormat", {"SmallCompressed", "SmallExpanded", "BigCompressed", "BigExpanded"}},
      {"kms.v1.PkeSchemeType", {"MLKEM512", "MLKEM1024"}},
      {"kms.v1.SigningSchemeType", {"ECDSA256K1", "ED25519", "MLDSA44", "MLDSA65", "MLDSA87"}},
      {"kms.v1.HealthStatus",
       {"HEALTH_STATUS_UNSPECIFIED", "HEALTH_STATUS_OPTIMAL", "HEALTH_STATUS_HEALTHY", "HEALTH_STATUS_DEGRADED",
        "HEALTH_STATUS_UNHEALTHY"}},
      {"kms.v1.NodeType", {"NODE_TYPE_UNSPECIFIED", "NODE_TYPE_CENTRALIZED", "NODE_TYPE_THRESHOLD"}},
      {"kms.v1.BandwidthKind", {"Duration", "Once"}},
      {"metastore_status.v1.MetaStoreType",
       {"ALL", "KEY_GENERATION", "PUBLIC_DECRYPTION", "USER_DECRYPTION", "CRS_GENERATION", "PREPROCESSING"}},
      {"metastore_status.v1.RequestProcessingStatus", {"PROCESSING", "COMPLETED", "FAILED", "ANY", "DELETED"}},
      {"grpc.health.v1.HealthCheckResponse.ServingStatus", {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"}}};
  grpc::health::v1::HealthCheckResponse::descriptor();
  for (const auto& [name, values] : expected) {
    const pb::EnumDescriptor* found = pb::DescriptorPool::generated_pool()->FindEnumTypeByName(name);
    ASSERT_NE(found, nullptr) << name;
    ASSERT_EQ(found->value_count(), static_cast<int>(values.size())) << name;
    for (int i = 0; i < found->value_count(); ++i) {
      EXPECT_EQ(found->value(i)->name(), values[static_cast<std::size_t>(i)]) << name;
      EXPECT_EQ(found->value(i)->number(), i) << name;
    }
  }
}

/// A .proto file with a service, in a pool of its own.
class ServiceDescription {
 public:
  ServiceDescription(const std::string& file, const std::string& service) {
    const Bytes content = witan::test::read_file(std::string(WITAN_PROTO_DESCRIPTIONS "/") + file + ".desc");
    pb::FileDescriptorSet files;
    EXPECT_TRUE(files.ParseFromArray(content.data(), static_cast<int>(content.size())));
    for (const auto& each : files.file()) EXPECT_NE(pool_.BuildFile(each), nullptr) << each.name();
    service_ = pool_.FindServiceByName(service);
  }
  const pb::ServiceDescriptor& service() const { return *service_; }

 private:
  pb::DescriptorPool pool_;
  const pb::ServiceDescriptor* service_ = nullptr;
};

/// "/package.Service/Method (Request) -> (Response)", as the vector writes a method.
void add_methods(const pb::ServiceDescriptor& service, std::set<std::string>& out) {
  for (int i = 0; i < service.method_count(); ++i) {
    const pb::MethodDescriptor& method = *service.method(i);
    EXPECT_FALSE(method.client_streaming() || method.server_streaming()) << method.full_name();
    out.insert(fmt::format("/{}/{} ({}) -> ({})", service.full_name(), method.name(), method.input_type()->full_name(),
                           method.output_type()->full_name()));
  }
}

std::set<std::string> methods_of_vector() {
  std::set<std::string> out;
  const auto vectors = witan::test::read_json("service/proto_wire.json");
  for (const auto& method : vectors.at("methods"))
    if (is_ours(method)) out.insert(method);
  return out;
}

TEST(WireTest, TheServicesHaveTheMethodsOfTheVector) {
  std::set<std::string> found;
  const ServiceDescription kms("kms-service.v1", "kms_service.v1.CoreServiceEndpoint");
  const ServiceDescription meta("metastore-status.v1", "metastore_status.v1.MetaStoreStatusService");
  add_methods(kms.service(), found);
  add_methods(meta.service(), found);
  EXPECT_EQ(found, methods_of_vector());
}

TEST(WireTest, TheTestServiceIsASupersetByTheSevenTestOnlyMethods) {
  const ServiceDescription test_service("kms-service-insecure.v1", "kms_service.v1.CoreServiceEndpoint");
  std::set<std::string> found, base = methods_of_vector(), extra;
  add_methods(test_service.service(), found);
  std::erase_if(base, [](const std::string& method) { return !method.starts_with("/kms_service"); });
  EXPECT_TRUE(std::ranges::includes(found, base));
  std::ranges::set_difference(found, base, std::inserter(extra, extra.end()));
  const std::string prefix = "/kms_service.v1.CoreServiceEndpoint/";
  const std::set<std::string> expected{
      // service.md 5.8
      prefix + "PartialKeyGenPreproc (kms.v1.PartialKeyGenPreprocRequest) -> (kms.v1.Empty)",
      prefix + "InsecureKeyGenPreproc (kms.v1.KeyGenPreprocRequest) -> (kms.v1.Empty)",
      prefix + "GetInsecureKeyGenPreprocResult (kms.v1.RequestId) -> (kms.v1.KeyGenPreprocResult)",
      prefix + "InsecureKeyGen (kms.v1.KeyGenRequest) -> (kms.v1.Empty)",
      prefix + "GetInsecureKeyGenResult (kms.v1.RequestId) -> (kms.v1.KeyGenResult)",
      prefix + "InsecureCrsGen (kms.v1.CrsGenRequest) -> (kms.v1.Empty)",
      prefix + "GetInsecureCrsGenResult (kms.v1.RequestId) -> (kms.v1.CrsGenResult)"};
  EXPECT_EQ(extra, expected);
}

}  // namespace
}  // namespace witan::api
