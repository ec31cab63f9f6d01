// Ethereum's tools judge what `witan decrypt --out` wrote: ethers recovers every signature, and the published KMSVerifier on an
// anvil node accepts them and refuses what was changed.
//   node verify.mjs <response.json> ...            each response of another request, all of one committee and domain
// One line per check; ends with "chain: N checks passed, N failed".
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { AbiCoder, Contract, JsonRpcProvider, Wallet, concat, dataSlice, toBeHex, verifyTypedData } from 'ethers';

const artifact = (name) =>
  createRequire(import.meta.url)(`@fhevm/host-contracts/artifacts/contracts/${name}.sol/${name}.json`);
// Addresses and storage slots of the published artifacts: ACL is a constant in them, the slots are OpenZeppelin's.
const kAcl = '0x50157CFfD6bBFA2DECe204a89ec419c23ef5755D';
const kVerifier = '0x1111111111111111111111111111111111111111';
const kInitializableSlot = '0xf0c57e16840df040f15088dc2f81fe391c3923bec73e23a9662efc9c229c6a00';
const kOwnableSlot = '0x9016d09d72d40fdae2fd8ceac6b6234c7706214fd39c1cd1e609a0528c199300';
const kThreshold = 2;
const kTypes = {
  PublicDecryptVerification: [
    { name: 'ctHandles', type: 'bytes32[]' },
    { name: 'decryptedResult', type: 'bytes' },
    { name: 'extraData', type: 'bytes' },
  ],
};

let passed = 0;
let failed = 0;
const check = (good, what) => {
  good ? ++passed : ++failed;
  console.log(`${good ? 'ok  ' : 'FAIL'} ${what}`);
};

/// What the nodes signed, from the fields of a response.
function read(file) {
  const response = JSON.parse(readFileSync(file));
  const answers = response.parties.filter((party) => party.external_signature);
  const words = (party) => party.plaintexts.map(({ bytes }) => BigInt('0x' + Buffer.from(bytes, 'hex').reverse().toString('hex')));
  return {
    file,
    domain: {
      name: response.domain.name,
      version: response.domain.version,
      chainId: BigInt(response.domain.chain_id),
      verifyingContract: response.domain.verifying_contract,
    },
    handles: response.handles.map((handle) => '0x' + handle.padStart(64, '0')),
    values: words(answers[0]),
    shown: response.results.map(({ value }) => value),
    extraData: '0x' + response.extra_data,
    signers: response.parties.map(({ signer }) => signer),
    signatures: answers.map((party) => ({ signer: party.signer, bytes: '0x' + party.external_signature })),
  };
}
const resultOf = (values) => AbiCoder.defaultAbiCoder().encode(values.map(() => 'uint256'), values);
const proofOf = (signatures, extraData) => concat([toBeHex(signatures.length, 1), ...signatures, extraData]);

async function startAnvil() {
  const child = spawn(new URL('./node_modules/.bin/anvil', import.meta.url).pathname, ['--port', '0', '--chain-id', '12345'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const port = await new Promise((resolve, reject) => {
    let text = '';
    const late = setTimeout(() => reject(new Error('anvil says nothing: ' + text)), 30_000);
    child.stdout.on('data', (data) => {
      text += data;
      const match = /Listening on 127\.0\.0\.1:(\d+)/.exec(text);
      if (match) clearTimeout(late), resolve(match[1]);
    });
    child.on('exit', (code) => reject(new Error(`anvil ended with ${code}: ${text}`)));
  });
  child.removeAllListeners('exit');
  return { child, provider: new JsonRpcProvider(`http://127.0.0.1:${port}`, undefined, { cacheTimeout: -1 }) };
}

/// Puts the published contracts where their constants expect them and initialises the verifier.
async function deploy(provider, response) {
  const owner = await provider.getSigner(0);
  const word = (value) => toBeHex(value, 32);
  await provider.send('anvil_setCode', [kAcl, artifact('ACL').deployedBytecode]);
  await provider.send('anvil_setStorageAt', [kAcl, kOwnableSlot, word(await owner.getAddress())]);
  await provider.send('anvil_setCode', [kVerifier, artifact('KMSVerifier').deployedBytecode]);
  await provider.send('anvil_setStorageAt', [kVerifier, kInitializableSlot, word(1)]);
  const verifier = new Contract(kVerifier, artifact('KMSVerifier').abi, owner);
  const { verifyingContract, chainId } = response.domain;
  await (await verifier.initializeFromEmptyProxy(verifyingContract, chainId, response.signers, kThreshold)).wait();
  return verifier;
}

async function judge(verifier, response) {
  const { domain, handles, values, extraData, signatures } = response;
  const message = { ctHandles: handles, decryptedResult: resultOf(values), extraData };
  const name = `${response.file.split('/').pop()} (${handles.length} handles, extra data ${extraData})`;
  check(values.every((value, i) => BigInt(response.shown[i] === 'true' ? 1 : response.shown[i] === 'false' ? 0 : response.shown[i]) === value),
    `${name}: signed values are those shown`);
  for (const { signer, bytes } of signatures)
    check(verifyTypedData(domain, kTypes, message, bytes) === signer, `${name}: ethers recovers ${signer}`);

  // The call is not a view (transient storage): called, not sent.
  const call = verifier.verifyDecryptionEIP712KMSSignatures.staticCall;
  const all = signatures.map(({ bytes }) => bytes);
  const accepts = async (what, sigs) =>
    check((await call(handles, resultOf(values), proofOf(sigs, extraData)).catch((e) => e)) === true, `${name}: KMSVerifier accepts ${what}`);
  await accepts('all signatures', all);
  await accepts('two of them', all.slice(0, kThreshold));
  await accepts('two others, in another order', all.slice(-kThreshold).reverse());

  const refuses = async (what, expected, h, result, proof) => {
    const outcome = await call(h, result, proof).then(String, (error) => error.revert?.name ?? error.shortMessage ?? String(error));
    check(outcome === expected, `${name}: KMSVerifier refuses ${what}: ${outcome}`);
  };
  const result = resultOf(values);
  const stranger = await Wallet.createRandom().signTypedData(domain, kTypes, message);
  const flipped = (hex, at) => concat([dataSlice(hex, 0, at), toBeHex(Number(dataSlice(hex, at, at + 1)) ^ 1, 1), dataSlice(hex, at + 1)]);
  await refuses('a changed plaintext', 'KMSInvalidSigner', handles, resultOf([values[0] ^ 1n, ...values.slice(1)]), proofOf(all, extraData));
  await refuses('a changed handle', 'KMSInvalidSigner', [flipped(handles[0], 5), ...handles.slice(1)], result, proofOf(all, extraData));
  await refuses('changed extra data', 'KMSInvalidSigner', handles, result, proofOf(all, extraData + '05'));
  await refuses('one signature twice', 'false', handles, result, proofOf([all[0], all[0]], extraData));
  await refuses('one signature', 'KMSSignatureThresholdNotReached', handles, result, proofOf([all[0]], extraData));
  await refuses("a stranger's signature", 'KMSInvalidSigner', handles, result, proofOf([all[0], stranger], extraData));
  if (handles.length > 1)
    await refuses('handles in another order', 'KMSInvalidSigner', [handles[1], handles[0], ...handles.slice(2)], result, proofOf(all, extraData));
}

const responses = process.argv.slice(2).map(read);
if (responses.length === 0) {
  console.error('usage: node verify.mjs <response.json> ...');
  process.exit(2);
}
const { child, provider } = await startAnvil();
try {
  const verifier = await deploy(provider, responses[0]);
  const signers = await verifier.getKmsSigners();
  check(JSON.stringify([...signers]) === JSON.stringify(responses[0].signers), 'the contract knows the signers in the order of the parties');
  for (const response of responses) await judge(verifier, response);
} finally {
  provider.destroy();
  child.kill();
}
console.log(`chain: ${passed} checks passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
