// Every domain separator of the project (00-map.md 6). A new use gets a new one.
#pragma once

#include "crypto/hash.h"

namespace witan::crypto::separators {

inline constexpr Separator kHashList{"HASH_LST"};          // responses.md 1
inline constexpr Separator kRequestId{"REQST_ID"};         // service.md 2
inline constexpr Separator kSessionId{"SESSN_ID"};         // mpc.md 5.2
inline constexpr Separator kKeyObject{"PDAT_KEY"};         // tfhe-formats.md 17
inline constexpr Separator kCrsObject{"PDAT_CRS"};         // tfhe-formats.md 17
inline constexpr Separator kHandle{"_HANDLE_"};            // tfhe-formats.md 17
inline constexpr Separator kKeyGeneration{"TFHE_GEN"};     // threshold-tfhe.md 3.1
inline constexpr Separator kKeyConfirmation{"WITCONF_"};   // lifecycle.md 9.4
inline constexpr Separator kPublicDecryption{"PUBL_DEC"};  // responses.md 3, 5
inline constexpr Separator kSchemeSeed{"SIGKDERV"};        // responses.md 2.3
inline constexpr Separator kSchemeDigest{"SIGKDGST"};      // responses.md 2.3
inline constexpr Separator kBatch{"WITBATCH"};             // mpc.md 17.2
inline constexpr Separator kAgreeRandom{"AGREERND"};       // mpc.md 7.2
inline constexpr Separator kPrssKey{"WITPRSS1"};           // mpc.md 8.3
inline constexpr Separator kMaskBaseKey{"WITPRSS2"};       // mpc.md 8.3
inline constexpr Separator kMaskInput{"WITMASK2"};         // mpc.md 8.3
inline constexpr Separator kMaskContext{"WITMASK1"};       // threshold-tfhe.md 7.2
inline constexpr Separator kAgreement{"WITAGREE"};         // mpc.md 17.2
inline constexpr Separator kBroadcastMessage{"BRACHABC"};  // mpc.md 6.1, 6.4
inline constexpr Separator kBroadcastVector{"WITBCAST"};   // mpc.md 6.4
inline constexpr Separator kBroadcastRelay{"WITRELAY"};    // mpc.md 6.4
inline constexpr Separator kPreprocessing{"WITPREPR"};     // what a preprocessing is of: request, plan, configuration
inline constexpr Separator kCall{"WITCALL_"};              // calls for the next attempt of a preprocessing
inline constexpr Separator kAttempt{"WITSTART"};           // what is agreed on at the beginning of an attempt
inline constexpr Separator kMaterialName{"WITMATER"};      // all that a preprocessing has made
inline constexpr Separator kRequestContent{"WITREQST"};    // content of a request in the journal
inline constexpr Separator kAdmission{"WITADMIT"};         // which requests a busy committee takes on
inline constexpr Separator kMaterial{"WITMATRL"};          // material of a key generation on disk
inline constexpr Separator kSessionContent{"WITSESSN"};    // mask contexts of a session in the journal

}  // namespace witan::crypto::separators
