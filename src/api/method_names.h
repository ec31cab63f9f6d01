// Full names of the methods that have a struct interface here.
#pragma once

namespace witan::api::method {

#define WITAN_CORE_METHOD(name) "/kms_service.v1.CoreServiceEndpoint/" name
inline constexpr char kKeyGenPreproc[] = WITAN_CORE_METHOD("KeyGenPreproc");
inline constexpr char kGetKeyGenPreprocResult[] = WITAN_CORE_METHOD("GetKeyGenPreprocResult");
inline constexpr char kKeyGen[] = WITAN_CORE_METHOD("KeyGen");
inline constexpr char kGetKeyGenResult[] = WITAN_CORE_METHOD("GetKeyGenResult");
inline constexpr char kAbortKeyGen[] = WITAN_CORE_METHOD("AbortKeyGen");
inline constexpr char kPublicDecrypt[] = WITAN_CORE_METHOD("PublicDecrypt");
inline constexpr char kGetPublicDecryptionResult[] = WITAN_CORE_METHOD("GetPublicDecryptionResult");
inline constexpr char kPublicDecryptSync[] = WITAN_CORE_METHOD("PublicDecryptSync");
inline constexpr char kNewMpcEpoch[] = WITAN_CORE_METHOD("NewMpcEpoch");
inline constexpr char kGetEpochResult[] = WITAN_CORE_METHOD("GetEpochResult");
inline constexpr char kDestroyMpcEpoch[] = WITAN_CORE_METHOD("DestroyMpcEpoch");
inline constexpr char kGetKeyMaterialAvailability[] = WITAN_CORE_METHOD("GetKeyMaterialAvailability");
inline constexpr char kGetHealthStatus[] = WITAN_CORE_METHOD("GetHealthStatus");
// Test-only methods (service.md 5.8): only a client knows these names.
inline constexpr char kInsecureKeyGenPreproc[] = WITAN_CORE_METHOD("InsecureKeyGenPreproc");
inline constexpr char kGetInsecureKeyGenPreprocResult[] = WITAN_CORE_METHOD("GetInsecureKeyGenPreprocResult");
inline constexpr char kPartialKeyGenPreproc[] = WITAN_CORE_METHOD("PartialKeyGenPreproc");
inline constexpr char kInsecureKeyGen[] = WITAN_CORE_METHOD("InsecureKeyGen");
inline constexpr char kGetInsecureKeyGenResult[] = WITAN_CORE_METHOD("GetInsecureKeyGenResult");
#undef WITAN_CORE_METHOD

#define WITAN_META_METHOD(name) "/metastore_status.v1.MetaStoreStatusService/" name
inline constexpr char kGetRequestStatuses[] = WITAN_META_METHOD("GetRequestStatuses");
inline constexpr char kListRequests[] = WITAN_META_METHOD("ListRequests");
inline constexpr char kGetMetaStoreInfo[] = WITAN_META_METHOD("GetMetaStoreInfo");
#undef WITAN_META_METHOD

}  // namespace witan::api::method
