// A stock gRPC client (@grpc/grpc-js) of a party, made at run time from the public .proto files; what its users share.
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';

const kProtos = join(dirname(fileURLToPath(import.meta.url)), '../../proto');
const load = (file) =>
  grpc.loadPackageDefinition(
    loader.loadSync(file, { includeDirs: [kProtos], keepCase: true, longs: String, enums: String, bytes: Buffer, defaults: true }),
  );
const kms = load('kms-service-insecure.v1.proto').kms_service.v1;
const meta = load('metastore-status.v1.proto').metastore_status.v1;
const health = load('grpc-health.v1.proto').grpc.health.v1;
const kLimits = { 'grpc.max_receive_message_length': 1 << 28, 'grpc.max_send_message_length': 1 << 28 };

/// A client of one party: call(method, request) gives {code, value, text}.
function party(address) {
  const stubs = [kms.CoreServiceEndpoint, meta.MetaStoreStatusService, health.Health].map(
    (Service) => new Service(address, grpc.credentials.createInsecure(), kLimits),
  );
  const call = (method, request = {}, options = {}) =>
    new Promise((resolve) => {
      const stub = stubs.find((candidate) => candidate[method]);
      const deadline = Date.now() + (options.seconds ?? 120) * 1000;
      stub[method](request, { deadline }, (error, value) =>
        resolve(error ? { code: grpc.status[error.code], text: error.details } : { code: 'OK', value, text: '' }),
      );
    });
  /// The bytes of a request as they are, to any method.
  const raw = (method, bytes) =>
    new Promise((resolve) => {
      const deadline = Date.now() + 60_000;
      stubs[0].makeUnaryRequest(method, (b) => b, (b) => b, bytes, { deadline }, (error, value) =>
        resolve(error ? { code: grpc.status[error.code], text: error.details } : { code: 'OK', value, text: '' }),
      );
    });
  const watch = (service) =>
    new Promise((resolve) => {
      const stream = stubs[2].Watch({ service });
      stream.on('data', (value) => {
        resolve(value.status);
        stream.cancel();
      });
      stream.on('error', (error) => resolve(error.code));
    });
  return { call, raw, watch, close: () => stubs.forEach((stub) => stub.close()) };
}
/// The parties of a committee's folder, each with a client.
export const partiesOf = (folder) =>
  JSON.parse(readFileSync(join(folder, 'committee.json'))).parties.map((entry) => ({
    ...entry,
    ...party(`127.0.0.1:${entry.service_port}`),
    publicVault: join(folder, `party-${entry.id}`, 'vault', `PUB-p${entry.id}`),
  }));

/// Calls again while the answer is UNAVAILABLE.
export async function polled(call, attempts = 600) {
  for (let i = 0; i < attempts; ++i) {
    const answer = await call();
    if (answer.code !== 'UNAVAILABLE') return answer;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return { code: 'STILL UNAVAILABLE' };
}

/// A fresh id of a type of the chain (service.md 2).
export const id = (type) => Buffer.concat([Buffer.from([type]), randomBytes(31)]).toString('hex');
export const rid = (hex) => ({ request_id: hex });
export const domain = {
  name: 'Decryption',
  version: '1',
  chain_id: Buffer.from('d431', 'hex'),
  verifying_contract: '0x5ffdaAB0373E62E2ea2944776209aEf29E631A64',
};
/// The value of a TypedPlaintext.
export const number = ({ bytes }) => BigInt('0x' + (Buffer.from(bytes).reverse().toString('hex') || '0'));
export const all = (parties, f) => Promise.all(parties.map(f));
export const codes = (answers) => [...new Set(answers.map(({ code }) => code))].join(',');
export const kTypes = { bool: 0, u8: 2, u16: 3, u32: 4, u64: 5, u128: 6, address: 7, u256: 8 };
/// A TypedCiphertext of a value, made by the command line tool.
export function encrypt(witan, dealing, key, type, value, format) {
  const file = join(dealing, `${type}.ct`);
  execFileSync(witan, ['encrypt', '--dir', dealing, '--key', key, '--type', type, '--value', `${value}`, '--format', format, '--out', file]);
  const ciphertext = readFileSync(file);
  rmSync(file);
  const name = { 'big-compressed': 'BigCompressed', 'big-expanded': 'BigExpanded', 'small-compressed': 'SmallCompressed', 'small-expanded': 'SmallExpanded' }[format];
  return { ciphertext, fhe_type: kTypes[type], external_handle: createHash('sha256').update(ciphertext).digest(), ciphertext_format: name };
}
