// Encrypts fresh random values with a real client and writes the compact list as a dapp would send it.
//   node encrypt.mjs <1.3|1.7> <public key file> <out folder>
// Writes list.bin (a packed CompactCiphertextList) and values.json: [{"type": "u8", "value": "165"}, ...]; booleans are true or false in list order.
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const [version, keyFile, out] = process.argv.slice(2);
if (!out || !['1.3', '1.7'].includes(version)) {
  console.error('usage: node encrypt.mjs <1.3|1.7> <public key file> <out folder>');
  process.exit(2);
}
const tfhe = (await import(`node-tfhe-${version}`)).default;
const kSizeLimit = BigInt(2) ** BigInt(31);
const publicKey = tfhe.TfheCompactPublicKey.safe_deserialize(readFileSync(keyFile), kSizeLimit);

const random = (bits) => BigInt('0x' + randomBytes(Math.ceil(bits / 8)).toString('hex')) & ((1n << BigInt(bits)) - 1n);
const kinds = [
  ['bool', 1, (b, v) => b.push_boolean(v === 1n)],
  ['u8', 8, (b, v) => b.push_u8(Number(v))],
  ['u16', 16, (b, v) => b.push_u16(Number(v))],
  ['u32', 32, (b, v) => b.push_u32(Number(v))],
  ['u64', 64, (b, v) => b.push_u64(v)],
  ['u128', 128, (b, v) => b.push_u128(v)],
  ['address', 160, (b, v) => b.push_u160(v)],
  ['u256', 256, (b, v) => b.push_u256(v)],
];
const builder = tfhe.CompactCiphertextList.builder(publicKey);
const values = kinds.map(([type, bits, push]) => {
  const value = random(bits);
  push(builder, value);
  return { type, value: type === 'bool' ? value === 1n : value.toString() };
});
const list = builder.build_packed().safe_serialize(kSizeLimit);
mkdirSync(out, { recursive: true });
writeFileSync(join(out, 'list.bin'), list);
writeFileSync(join(out, 'values.json'), JSON.stringify(values, null, 1) + '\n');
