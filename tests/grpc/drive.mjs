// A stock gRPC client (@grpc/grpc-js), made at run time from the public .proto files, drives a committee: an epoch, key
// generation, decryption, and each kind of bad input with the status code that the interface promises for it.
//   node drive.mjs <folder of a committee of witan-node-test> <folder of a committee of witan-node> <witan program>
// One line per check; ends with "grpc: N checks passed, N failed".
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { all, codes, domain, encrypt, id, kTypes, number, partiesOf, polled, rid } from './client.mjs';

const [dealing, production, witan] = process.argv.slice(2);
let passed = 0;
let failed = 0;
const check = (good, what) => {
  good ? ++passed : ++failed;
  console.log(`${good ? 'ok  ' : 'FAIL'} ${what}`);
};

const kWrongChecksum = '0x5ffdaAB0373E62E2ea2944776209aEf29E631A65';
const digestOf = (bytes) => createHash('shake256', { outputLength: 32 }).update('PDAT_KEY').update(bytes).digest();
/// With (path, value) pairs in place of what `base` has; undefined removes.
const altered = (base, ...changes) => {
  const out = structuredClone(base);
  const buffers = (value) =>
    value instanceof Uint8Array && !Buffer.isBuffer(value)
      ? Buffer.from(value)
      : Array.isArray(value)
        ? value.map(buffers)
        : value && typeof value === 'object' && !Buffer.isBuffer(value)
          ? Object.fromEntries(Object.entries(value).map(([k, v]) => [k, buffers(v)]))
          : value;
  for (const [path, value] of changes) {
    const keys = path.split('.');
    const last = keys.pop();
    const holder = keys.reduce((at, key) => at[key], out);
    if (value === undefined) delete holder[last];
    else holder[last] = value;
  }
  return buffers(out);
};

const nodes = partiesOf(dealing);
const first = nodes[0];
const kService = 'kms_service.v1.CoreServiceEndpoint';

async function healthChecks() {
  for (const service of ['', kService]) {
    const answers = await all(nodes, (node) => node.call('Check', { service }));
    check(answers.every(({ value }) => value?.status === 'SERVING'), `health: '${service}' is SERVING at every party`);
  }
  check((await first.call('Check', { service: 'nobody' })).code === 'NOT_FOUND', 'health: an unknown service is NOT_FOUND');
  check((await first.watch(kService)) === 'SERVING', 'health: Watch begins with SERVING');
  const answers = await all(nodes, (node) => node.call('GetHealthStatus'));
  check(
    answers.every(({ value }) => {
      const context = value?.peers_from_all_contexts[0];
      return context?.status === 'HEALTH_STATUS_OPTIMAL' && context.nodes_reachable === 4 && context.threshold_required === 2;
    }),
    'GetHealthStatus: four parties reach each other, 2 are required, OPTIMAL',
  );
}

async function newEpoch() {
  const epoch = id(8);
  const request = { epoch_id: rid(epoch), domain, extra_data: Buffer.alloc(0) };
  check(codes(await all(nodes, (node) => node.call('NewMpcEpoch', request))) === 'OK', 'NewMpcEpoch at every party');
  const results = await all(nodes, (node) => polled(() => node.call('GetEpochResult', rid(epoch))));
  check(codes(results) === 'OK' && results.every(({ value }) => value.reshare_responses.length === 0), 'GetEpochResult: nothing was reshared');
  const bad = [
    ['NewMpcEpoch', request, 'ALREADY_EXISTS', 'the same epoch again'],
    ['NewMpcEpoch', altered(request, ['epoch_id', undefined]), 'INVALID_ARGUMENT', 'epoch_id is missing'],
    ['NewMpcEpoch', altered(request, ['epoch_id', rid('08')]), 'INVALID_ARGUMENT', 'epoch_id is short'],
    ['NewMpcEpoch', altered(request, ['epoch_id', rid(id(8))], ['context_id', rid(id(7))]), 'NOT_FOUND', 'unknown context'],
    ['NewMpcEpoch', altered(request, ['epoch_id', rid(id(8))], ['extra_data', randomBytes(1 << 20)]), 'INVALID_ARGUMENT', 'a MiB of extra_data'],
    ['GetEpochResult', rid(id(8)), 'NOT_FOUND', 'unknown epoch'],
    ['GetEpochResult', rid('xyz'), 'INVALID_ARGUMENT', 'malformed id'],
  ];
  await refused(bad);
  return epoch;
}

async function refused(table) {
  for (const [method, request, code, what] of table) {
    const answer = await first.call(method, request);
    check(answer.code === code, `${method}, ${what}: ${code}${answer.code === code ? '' : `, got ${answer.code} (${answer.text})`}`);
    check(code === 'OK' || answer.text.length > 0, `${method}, ${what}: the error has a text`);
  }
}

// By all parties together, or (with "Insecure") dealt by one of them: the requests are the same, their preprocessings are not.
async function keyGeneration(epoch, insecure) {
  const [prepareKey, getPrepared, make, getMade] = [`${insecure}KeyGenPreproc`, `Get${insecure}KeyGenPreprocResult`, `${insecure}KeyGen`, `Get${insecure}KeyGenResult`];
  const preproc = id(3);
  const key = id(4);
  const extra = Buffer.from([0]);
  const prepare = { request_id: rid(preproc), params: 'test', domain, epoch_id: rid(epoch), extra_data: extra };
  const keyset = (changes) => ({
    keyset_type: 'Standard',
    standard_keyset_config: { compute_key_type: 'CPU', secret_key_config: 'GenerateAll', compressed_key_config: 'CompressedAll', ...changes },
  });
  await refused([
    [prepareKey, altered(prepare, ['request_id', undefined]), 'INVALID_ARGUMENT', 'request_id is missing'],
    [prepareKey, altered(prepare, ['request_id', rid('00'.repeat(32))]), 'INVALID_ARGUMENT', 'request_id is zero'],
    [prepareKey, altered(prepare, ['params', 7]), 'INVALID_ARGUMENT', 'unknown params'],
    [prepareKey, altered(prepare, ['domain', undefined]), 'INVALID_ARGUMENT', 'domain is missing'],
    [prepareKey, altered(prepare, ['epoch_id', rid(id(8))]), 'NOT_FOUND', 'unknown epoch'],
    [prepareKey, altered(prepare, ['context_id', rid(id(7))]), 'NOT_FOUND', 'unknown context'],
    [prepareKey, altered(prepare, ['keyset_config', { keyset_type: 'Standard' }]), 'INVALID_ARGUMENT', 'standard_keyset_config is missing'],
    [prepareKey, altered(prepare, ['keyset_config', keyset({ compute_key_type: 5 })]), 'INVALID_ARGUMENT', 'unknown compute_key_type'],
    [prepareKey, altered(prepare, ['keyset_config', keyset({ compressed_key_config: 'CompressedNone' })]), 'UNIMPLEMENTED', 'CompressedNone'],
    [getPrepared, rid(id(3)), 'NOT_FOUND', 'unknown id'],
    [getPrepared, {}, 'INVALID_ARGUMENT', 'id is missing'],
    [make, { request_id: rid(key), preproc_id: rid(preproc), domain, epoch_id: rid(epoch) }, 'NOT_FOUND', 'before its preprocessing'],
  ]);
  check(codes(await all(nodes, (node) => node.call(prepareKey, prepare))) === 'OK', `${prepareKey} at every party, under an id that was refused before`);
  const prepared = await all(nodes, (node) => polled(() => node.call(getPrepared, rid(preproc))));
  check(
    prepared.every(({ value }) => value?.preprocessing_id.request_id === preproc && value.external_signature.length === 65),
    `${getPrepared}: the id and a signature of 65 bytes`,
  );
  const request = { request_id: rid(key), preproc_id: rid(preproc), domain, epoch_id: rid(epoch), extra_data: extra, signing_schemes: ['ED25519', 'ECDSA256K1'] };
  await refused([
    [prepareKey, prepare, 'ALREADY_EXISTS', 'the same id again'],
    [make, altered(request, ['preproc_id', undefined]), 'INVALID_ARGUMENT', 'preproc_id is missing'],
    [make, altered(request, ['params', 'default']), 'INVALID_ARGUMENT', 'other parameters than the preprocessing'],
    [make, altered(request, ['signing_schemes', [9]]), 'INVALID_ARGUMENT', 'unknown scheme'],
    [make, altered(request, ['domain.verifying_contract', kWrongChecksum]), 'INVALID_ARGUMENT', 'wrong checksum of the contract'],
    [getMade, rid(key), 'NOT_FOUND', 'before the request'],
    [`${insecure ? '' : 'Insecure'}KeyGen`, request, 'FAILED_PRECONDITION', 'a preprocessing of the other kind'],
  ]);
  check(codes(await all(nodes, (node) => node.call(make, request))) === 'OK', `${make} at every party`);
  const results = await all(nodes, (node) => polled(() => node.call(getMade, rid(key))));
  check(codes(results) === 'OK', `${getMade} at every party`);
  for (const [i, { value }] of results.entries()) {
    const digests = Object.fromEntries(value.key_digests.map(({ key_type, digest }) => [key_type, digest]));
    for (const type of ['CompressedXofKeySet', 'PublicKey']) {
      const published = readFileSync(join(nodes[i].publicVault, type, key));
      check(digests[type]?.equals(digestOf(published)), `party ${i + 1}: the digest of ${type} is that of the published object`);
    }
    check(
      value.signatures.map(({ scheme, signature }) => `${scheme} ${signature.length}`).join() === 'ED25519 64,ECDSA256K1 65',
      `party ${i + 1}: one signature per scheme, in the order of the request`,
    );
  }
  await refused([
    [make, request, 'ALREADY_EXISTS', 'the same key again'],
    [make, altered(request, ['request_id', rid(id(4))]), 'NOT_FOUND', 'a preprocessing that was used'],
    [getPrepared, rid(preproc), 'NOT_FOUND', 'a preprocessing that was used'],
  ]);
  const material = await first.call('GetKeyMaterialAvailability');
  check(material.value?.fhe_key_ids.includes(key), 'GetKeyMaterialAvailability lists the key');
  return key;
}

// A key set from the secret keys of that key, asked for as FHEVM's connector does: its preprocessing is one for a key set that is all new.
async function fromExistingKey(epoch, existing) {
  const preproc = id(3);
  const key = id(4);
  const keyset_config = {
    keyset_type: 'Standard',
    standard_keyset_config: { compute_key_type: 'CPU', secret_key_config: 'UseExisting', compressed_key_config: 'CompressedAll' },
  };
  const prepare = { request_id: rid(preproc), params: 'test', domain, epoch_id: rid(epoch) };
  check(codes(await all(nodes, (node) => node.call('KeyGenPreproc', prepare))) === 'OK', 'KeyGenPreproc for a key set from existing keys');
  await all(nodes, (node) => polled(() => node.call('GetKeyGenPreprocResult', rid(preproc))));
  const added = { existing_keyset_id: rid(existing), use_existing_key_tag: true };
  const request = { request_id: rid(key), preproc_id: rid(preproc), domain, epoch_id: rid(epoch), keyset_config, keyset_added_info: added };
  await refused([
    ['KeyGen', altered(request, ['keyset_added_info', undefined]), 'INVALID_ARGUMENT', 'UseExisting without keyset_added_info'],
    ['KeyGen', altered(request, ['keyset_added_info.existing_keyset_id', undefined]), 'INVALID_ARGUMENT', 'UseExisting without existing_keyset_id'],
    ['KeyGen', altered(request, ['keyset_added_info.existing_keyset_id', rid(id(4))]), 'NOT_FOUND', 'UseExisting of an unknown key'],
    ['KeyGen', altered(request, ['keyset_config.keyset_type', 'DecompressionOnly']), 'UNIMPLEMENTED', 'a decompression key'],
  ]);
  check(codes(await all(nodes, (node) => node.call('KeyGen', request))) === 'OK', 'KeyGen with UseExisting at every party');
  const results = await all(nodes, (node) => polled(() => node.call('GetKeyGenResult', rid(key))));
  check(codes(results) === 'OK', 'GetKeyGenResult with UseExisting at every party');
  for (const [i, { value }] of results.entries()) {
    const published = (type, of) => readFileSync(join(nodes[i].publicVault, type, of));
    check(published('PublicKey', key).equals(published('PublicKey', existing)), `party ${i + 1}: the public key is that of the existing key`);
    check(!published('CompressedXofKeySet', key).equals(published('CompressedXofKeySet', existing)), `party ${i + 1}: the key set is another one`);
    const digest = value?.key_digests.find(({ key_type }) => key_type === 'PublicKey')?.digest;
    check(digest?.equals(digestOf(published('PublicKey', key))), `party ${i + 1}: its digest is signed again`);
  }
}

async function decryption(key, epoch) {
  const values = [
    ['bool', 1n, 'big-compressed'],
    ['u8', 0xa5n, 'big-expanded'],
    ['u64', 0xfedcba9876543210n, 'small-expanded'],
    ['u128', 1n << 127n, 'small-compressed'],
    ['u256', (1n << 255n) + 11n, 'big-compressed'],
  ];
  const ciphertexts = values.map(([type, value, format]) => encrypt(witan, dealing, key, type, type === 'bool' ? 'true' : value, format));
  const request = { request_id: rid(id(1)), ciphertexts, key_id: rid(key), domain, epoch_id: rid(epoch), extra_data: Buffer.from([0]), signing_schemes: ['ED25519'] };
  const small = altered(request, ['ciphertexts', ciphertexts.slice(0, 1)]);
  const other = id(1);
  const bad = (...changes) => altered(small, ['request_id', rid(other)], ...changes);
  const cut = (by) => ciphertexts[0].ciphertext.subarray(0, ciphertexts[0].ciphertext.length - by);
  await refused([
    ['PublicDecrypt', bad(['request_id', undefined]), 'INVALID_ARGUMENT', 'request_id is missing'],
    ['PublicDecrypt', bad(['request_id', rid('0X' + other)]), 'INVALID_ARGUMENT', 'request_id with a capital 0X'],
    ['PublicDecrypt', bad(['request_id', rid(other + '00')]), 'INVALID_ARGUMENT', 'request_id is long'],
    ['PublicDecrypt', bad(['key_id', undefined]), 'INVALID_ARGUMENT', 'key_id is missing'],
    ['PublicDecrypt', bad(['key_id', rid(id(4))]), 'NOT_FOUND', 'unknown key'],
    ['PublicDecrypt', bad(['epoch_id', rid(id(8))]), 'NOT_FOUND', 'unknown epoch'],
    ['PublicDecrypt', bad(['epoch_id', undefined]), 'NOT_FOUND', 'the default epoch, which does not have the key'],
    ['PublicDecrypt', bad(['context_id', rid(id(7))]), 'NOT_FOUND', 'unknown context'],
    ['PublicDecrypt', bad(['context_id', rid('zz')]), 'INVALID_ARGUMENT', 'malformed context_id'],
    ['PublicDecrypt', bad(['domain', undefined]), 'INVALID_ARGUMENT', 'domain is missing'],
    ['PublicDecrypt', bad(['domain.chain_id', Buffer.alloc(0)]), 'INVALID_ARGUMENT', 'chain_id is empty'],
    ['PublicDecrypt', bad(['domain.chain_id', Buffer.alloc(33, 1)]), 'INVALID_ARGUMENT', 'chain_id of 33 bytes'],
    ['PublicDecrypt', bad(['domain.verifying_contract', kWrongChecksum]), 'INVALID_ARGUMENT', 'wrong checksum of the contract'],
    ['PublicDecrypt', bad(['domain.salt', Buffer.alloc(31)]), 'INVALID_ARGUMENT', 'salt of 31 bytes'],
    ['PublicDecrypt', bad(['ciphertexts', []]), 'INVALID_ARGUMENT', 'no ciphertext'],
    ['PublicDecrypt', bad(['ciphertexts', Array(65536).fill({ fhe_type: 0 })]), 'INVALID_ARGUMENT', '65536 ciphertexts'],
    ['PublicDecrypt', bad(['ciphertexts.0.fhe_type', 1]), 'INVALID_ARGUMENT', 'fhe_type 1'],
    ['PublicDecrypt', bad(['ciphertexts.0.fhe_type', 5]), 'INVALID_ARGUMENT', 'a bool sent as u64'],
    ['PublicDecrypt', bad(['ciphertexts.0.ciphertext_format', 4]), 'INVALID_ARGUMENT', 'unknown ciphertext_format'],
    ['PublicDecrypt', bad(['ciphertexts.0.ciphertext_format', 'SmallExpanded']), 'INVALID_ARGUMENT', 'another format than the bytes have'],
    ['PublicDecrypt', bad(['ciphertexts.0.ciphertext', Buffer.alloc(0)]), 'INVALID_ARGUMENT', 'empty ciphertext'],
    ['PublicDecrypt', bad(['ciphertexts.0.ciphertext', cut(1)]), 'INVALID_ARGUMENT', 'ciphertext cut short'],
    ['PublicDecrypt', bad(['ciphertexts.0.ciphertext', randomBytes(5000)]), 'INVALID_ARGUMENT', 'random bytes'],
    ['PublicDecrypt', bad(['ciphertexts.0.external_handle', Buffer.alloc(33)]), 'INVALID_ARGUMENT', 'handle of 33 bytes'],
    ['PublicDecrypt', bad(['signing_schemes', [9]]), 'INVALID_ARGUMENT', 'unknown signing scheme'],
    ['PublicDecrypt', bad(['signing_schemes', ['MLDSA65']]), 'UNIMPLEMENTED', 'ML-DSA'],
    ['PublicDecryptSync', bad(['key_id', rid(id(4))]), 'NOT_FOUND', 'unknown key'],
    ['PublicDecryptSync', bad(['request_id', undefined]), 'INVALID_ARGUMENT', 'request_id is missing'],
    ['GetPublicDecryptionResult', rid(other), 'NOT_FOUND', 'an id that was refused'],
    ['GetPublicDecryptionResult', rid('0x'), 'INVALID_ARGUMENT', 'malformed id'],
  ]);

  check(codes(await all(nodes, (node) => node.call('PublicDecrypt', request))) === 'OK', 'PublicDecrypt at every party');
  const results = await all(nodes, (node) => polled(() => node.call('GetPublicDecryptionResult', request.request_id)));
  check(codes(results) === 'OK', 'GetPublicDecryptionResult at every party');
  for (const [i, { value }] of results.entries()) {
    check(
      value.payload.plaintexts.every((plaintext, j) => number(plaintext) === values[j][1] && plaintext.fhe_type === kTypes[values[j][0]]),
      `party ${i + 1}: ${values.length} plaintexts and their types`,
    );
    check(value.payload.request_id.request_id === request.request_id.request_id && value.extra_data.equals(request.extra_data), `party ${i + 1}: request id and extra data are echoed`);
    check(value.external_signature.length === 65 && value.signatures.length === 1 && value.signatures[0].scheme === 'ED25519', `party ${i + 1}: signatures`);
  }
  const again = await first.call('GetPublicDecryptionResult', request.request_id);
  check(JSON.stringify(again.value) === JSON.stringify(results[0].value), 'a result can be fetched again');
  const same = await first.call('PublicDecryptSync', request);
  check(JSON.stringify(same.value) === JSON.stringify(results[0].value), 'PublicDecryptSync of the same request: the same result');
  await refused([
    ['PublicDecrypt', request, 'ALREADY_EXISTS', 'the same request again'],
    ['PublicDecryptSync', altered(request, ['extra_data', Buffer.from([0, 0])]), 'ALREADY_EXISTS', 'other content under the same id'],
  ]);
  const reused = bad();
  const sync = await all(nodes, (node) => node.call('PublicDecryptSync', reused));
  check(codes(sync) === 'OK' && sync.every(({ value }) => number(value.payload.plaintexts[0]) === 1n), 'PublicDecryptSync under an id that was refused before');
  const padded = altered(small, ['request_id', rid(` 0x${id(1).toUpperCase()}\n`)]);
  check(codes(await all(nodes, (node) => node.call('PublicDecryptSync', padded))) === 'OK', 'an id in capitals with 0x and white space around it');
  return request;
}

async function statusOfRequests(request) {
  const hex = request.request_id.request_id;
  const found = await first.call('GetRequestStatuses', { request_ids: [hex, 'no id'] });
  check(
    found.value?.statuses.length === 1 && found.value.statuses[0].status === 'COMPLETED' && found.value.statuses[0].meta_store_type === 'PUBLIC_DECRYPTION',
    'GetRequestStatuses: COMPLETED, the malformed id is skipped',
  );
  const listed = await first.call('ListRequests', { meta_store_type: 'PUBLIC_DECRYPTION', max_results: 2 });
  check(listed.value?.requests.length === 2 && listed.value.next_page_token !== '', 'ListRequests: two of them and where to go on');
  const rest = await first.call('ListRequests', { meta_store_type: 'PUBLIC_DECRYPTION', page_token: listed.value?.next_page_token });
  check([...(listed.value?.requests ?? []), ...(rest.value?.requests ?? [])].some(({ request_id }) => request_id === hex), 'ListRequests: the request is on one of the pages');
  const info = await first.call('GetMetaStoreInfo');
  check(info.value?.meta_stores.some(({ type, capacity, current_count }) => type === 'PUBLIC_DECRYPTION' && capacity === 10000 && current_count >= 3), 'GetMetaStoreInfo');
  await refused([
    ['GetRequestStatuses', { request_ids: [id(1)] }, 'NOT_FOUND', 'unknown id'],
    ['ListRequests', { meta_store_type: 'ALL' }, 'INVALID_ARGUMENT', 'ALL'],
    ['ListRequests', { meta_store_type: 'PUBLIC_DECRYPTION', page_token: '-1' }, 'INVALID_ARGUMENT', 'bad page_token'],
    ['ListRequests', { meta_store_type: 'CRS_GENERATION' }, 'UNAVAILABLE', 'a store that is not there'],
  ]);
}

async function brokenCalls() {
  for (const method of ['PublicDecrypt', 'NewMpcEpoch', 'InsecureKeyGen', 'GetPublicDecryptionResult'])
    check((await first.raw(`/${kService}/${method}`, Buffer.from('ff'.repeat(20), 'hex'))).code === 'INVALID_ARGUMENT', `${method}, bytes that are no message: INVALID_ARGUMENT`);
  check((await first.raw(`/${kService}/PublicDecrypt`, Buffer.alloc(105_000_000))).code === 'RESOURCE_EXHAUSTED', 'PublicDecrypt, a message above the limit: RESOURCE_EXHAUSTED');
  check((await first.raw(`/${kService}/Nothing`, Buffer.alloc(0))).code === 'UNIMPLEMENTED', 'an unknown method: UNIMPLEMENTED');
  check((await first.raw('/kms_service.v1.Nobody/PublicDecrypt', Buffer.alloc(0))).code === 'UNIMPLEMENTED', 'an unknown service: UNIMPLEMENTED');
  for (const method of ['UserDecrypt', 'CrsGen', 'NewMpcContext', 'NewCustodianContext', 'BandwidthBenchmark', 'RestoreFromBackup'])
    check((await first.call(method)).code === 'UNIMPLEMENTED', `${method}, not in this version: UNIMPLEMENTED`);
}

async function aNodeLess(request) {
  execFileSync(witan, ['committee', 'down', '--dir', dealing, '--party', '4']);
  const three = nodes.slice(0, 3);
  const next = altered(request, ['request_id', rid(id(1))]);
  const results = await all(three, (node) => node.call('PublicDecryptSync', next));
  check(codes(results) === 'OK', 'PublicDecryptSync at three parties while the fourth is down');
  check((await nodes[3].call('GetHealthStatus', {}, { seconds: 5 })).code === 'UNAVAILABLE', 'a party that is down: UNAVAILABLE');
  const { value } = await first.call('GetHealthStatus');
  check(value?.peers_from_all_contexts[0].status === 'HEALTH_STATUS_HEALTHY', 'GetHealthStatus: three of four are HEALTHY');
}

async function productionNode() {
  const [node, ...others] = partiesOf(production);
  check((await node.call('Check', { service: kService })).value?.status === 'SERVING', 'witan-node: SERVING');
  for (const method of ['InsecureKeyGenPreproc', 'GetInsecureKeyGenPreprocResult', 'InsecureKeyGen', 'GetInsecureKeyGenResult', 'PartialKeyGenPreproc'])
    check((await node.call(method)).code === 'UNIMPLEMENTED', `witan-node: ${method} is UNIMPLEMENTED`);
  const epoch = rid(id(8));
  const asked = await all([node, ...others], (each) => each.call('NewMpcEpoch', { epoch_id: epoch, domain }));
  check(codes(asked) === 'OK', 'witan-node: NewMpcEpoch at all parties');
  const made = await all([node, ...others], (each) => polled(() => each.call('GetEpochResult', epoch)));
  check(codes(made) === 'OK', 'witan-node: GetEpochResult at all parties');
  const ciphertexts = [{ ciphertext: Buffer.alloc(1), fhe_type: 0, external_handle: Buffer.alloc(32) }];
  const decrypt = await node.call('PublicDecrypt', { request_id: rid(id(1)), ciphertexts, key_id: rid(id(4)), domain });
  check(decrypt.code === 'NOT_FOUND', 'witan-node: decryption under an unknown key is NOT_FOUND');
  [node, ...others].forEach((each) => each.close());
}

await healthChecks();
const epoch = await newEpoch();
await keyGeneration(epoch, 'Insecure');
const key = await keyGeneration(epoch, '');
await fromExistingKey(epoch, key);
const request = await decryption(key, epoch);
await statusOfRequests(request);
await brokenCalls();
await aNodeLess(request);
await productionNode();
nodes.forEach((node) => node.close());
console.log(`grpc: ${passed} checks passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
