// Mixed traffic against a committee for a long time, while one party after another is killed, stopped, frozen or lies.
//   node soak.mjs <folder of a committee of witan-node-test> <key id> <witan program> <minutes> <requests per second> <seed>
// Party 1 lives through all of it (it is frozen at times, never restarted): its memory is what must not grow.
// Prints a table with a row per sample; ends with "soak: ok" or "soak: failed" after what went wrong.
import { execFile } from 'node:child_process';
import { appendFileSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { domain, encrypt, id, number, partiesOf, rid } from './client.mjs';

const [folder, key, witan, minutes, rate, seed] = process.argv.slice(2);
const kEnd = Date.now() + Number(minutes) * 60_000;
const kRemembered = 500; // answers that are fetched again
const kGrace = 75; // seconds in which an accepted request is answered, a restart included
const run = promisify(execFile);
const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/// The schedule of faults and traffic is a function of the seed.
function generator(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
const random = generator(Number(seed));
const pick = (list) => list[Math.floor(random() * list.length)];

const nodes = partiesOf(folder);
const fileOf = (party, ...names) => join(folder, `party-${party}`, ...names);
const counts = { requests: 0, answers: 0, refetched: 0, refused: 0, unavailable: 0, faults: {} };
const problems = [];
const problem = (text) => {
  problems.push(text);
  console.log(`PROBLEM ${new Date().toISOString()} ${text}`);
  if (problems.length >= 100) {
    console.log('soak: failed, 100 problems are enough');
    process.exit(1);
  }
};
let faulty = 0; // the party that is down, frozen or lying just now; 0: none
let traffic = true;

const kValues = [
  ['bool', 1n, 'big-compressed'],
  ['u8', 0xa5n, 'big-compressed'],
  ['u16', 54321n, 'big-expanded'],
  ['u64', 0xfedcba9876543210n, 'big-compressed'],
  ['u128', (1n << 127n) + 3n, 'big-compressed'],
  ['address', (1n << 159n) + 5n, 'big-expanded'],
  ['u256', (1n << 255n) + 11n, 'big-compressed'],
];
const kSmall = [
  ['bool', 1n, 'small-expanded'],
  ['u8', 77n, 'small-compressed'],
];
const make = (values) =>
  values.map(([type, value, format]) => ({ value, ciphertext: encrypt(witan, folder, key, type, type === 'bool' ? 'true' : value, format) }));
const big = make(kValues);
const small = make(kSmall);

function newRequest() {
  const chosen = random() < 0.01 ? [pick(small)] : Array.from({ length: random() < 0.1 ? 1 + Math.floor(random() * 8) : 1 }, () => pick(big));
  const extra = Buffer.alloc(random() < 0.5 ? 0 : 1 + Math.floor(random() * 64));
  return {
    expected: chosen.map(({ value }) => value),
    message: {
      request_id: rid(id(1)),
      key_id: rid(key),
      domain,
      extra_data: extra,
      signing_schemes: random() < 0.2 ? ['ED25519'] : [],
      ciphertexts: chosen.map(({ ciphertext }) => ciphertext),
    },
  };
}

const kPassing = new Set(['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'RESOURCE_EXHAUSTED', 'CANCELLED']);
const remembered = [];

/// One party's answer: tried again while the party is down or the result is not there.
async function answerOf(node, { message, expected }) {
  const hex = message.request_id.request_id;
  const until = Date.now() + kGrace * 1000;
  const sync = random() < 0.3;
  let accepted = false;
  for (;;) {
    const answer = accepted
      ? await node.call('GetPublicDecryptionResult', message.request_id, { seconds: 20 })
      : await node.call(sync ? 'PublicDecryptSync' : 'PublicDecrypt', message, { seconds: 20 });
    if (answer.code === 'OK' && (accepted || sync)) {
      const values = answer.value.payload.plaintexts.map(number);
      if (values.length !== expected.length || values.some((value, i) => value !== expected[i]))
        problem(`party ${node.id}, request ${hex}: WRONG ANSWER ${values}, expected ${expected}`);
      if (answer.value.payload.request_id.request_id !== hex) problem(`party ${node.id}, request ${hex}: an answer to another request`);
      ++counts.answers;
      if (random() < 0.05) {
        remembered.push({ node, hex, text: JSON.stringify(answer.value) });
        if (remembered.length > kRemembered) remembered.shift();
      }
      return true;
    }
    if (answer.code === 'OK' || answer.code === 'ALREADY_EXISTS') {
      accepted = true;
      continue;
    }
    if (!kPassing.has(answer.code)) {
      problem(`party ${node.id}, request ${hex}: ${answer.code} ${answer.text}`);
      return false;
    }
    ++counts.unavailable;
    if (Date.now() > until && faulty !== node.id) {
      problem(`party ${node.id}, request ${hex}: no answer after ${kGrace} s, at last ${answer.code} ${answer.text}`);
      return false;
    }
    if (!traffic && Date.now() > until + 60_000) return false;
    await sleep(200);
  }
}

async function oneRequest() {
  const request = newRequest();
  ++counts.requests;
  await Promise.all(nodes.map((node) => answerOf(node, request)));
}

/// An answer that was given is given again, byte by byte, until it is evicted.
async function refetch() {
  if (remembered.length === 0) return;
  const { node, hex, text } = pick(remembered);
  if (faulty === node.id) return;
  const again = await node.call('GetPublicDecryptionResult', rid(hex), { seconds: 20 });
  if (again.code === 'OK') ++counts.refetched;
  if (again.code === 'OK' && JSON.stringify(again.value) !== text) problem(`party ${node.id}, request ${hex}: another answer than before`);
  if (again.code !== 'OK' && again.code !== 'NOT_FOUND' && !kPassing.has(again.code)) problem(`party ${node.id}, request ${hex}, again: ${again.code} ${again.text}`);
}

/// Bad input gets its code, whatever else goes on.
async function badRequest() {
  const { message } = newRequest();
  const node = pick(nodes);
  if (faulty === node.id) return;
  const bytes = Buffer.from(message.ciphertexts[0].ciphertext);
  bytes[Math.floor(random() * 64)] ^= 0x40; // in the header: versions, names, sizes
  const [request, code] = pick([
    [{ ...message, key_id: rid(id(4)) }, 'NOT_FOUND'],
    [{ ...message, domain: undefined }, 'INVALID_ARGUMENT'],
    [{ ...message, ciphertexts: [{ ...message.ciphertexts[0], ciphertext: bytes }] }, 'INVALID_ARGUMENT'],
    [{ ...message, ciphertexts: [{ ...message.ciphertexts[0], fhe_type: 99 }] }, 'INVALID_ARGUMENT'],
  ]);
  const answer = await node.call('PublicDecrypt', request, { seconds: 20 });
  if (answer.code === code) ++counts.refused;
  else if (!kPassing.has(answer.code)) problem(`party ${node.id}: bad input got ${answer.code} ${answer.text}, expected ${code}`);
}

async function look() {
  const node = pick(nodes);
  await node.call(pick(['GetHealthStatus', 'GetKeyMaterialAvailability', 'GetMetaStoreInfo']), {}, { seconds: 20 });
}

async function trafficLoop() {
  const running = new Set();
  const start = Date.now();
  for (let number = 0; traffic; ++number) {
    const due = start + (number * 1000) / Number(rate);
    if (due > Date.now()) await sleep(due - Date.now());
    if (running.size > 200) await Promise.race(running);
    const kind = random();
    const work = (kind < 0.85 ? oneRequest() : kind < 0.93 ? refetch() : kind < 0.97 ? badRequest() : look()).catch((error) => problem(`${error.stack}`));
    running.add(work);
    work.finally(() => running.delete(work));
  }
  await Promise.all(running);
}

// ---- faults, one party at a time

const pidOf = (party) => Number(readFileSync(fileOf(party, 'pid')));
const up = (party) => run(witan, ['committee', 'up', '--dir', folder, '--party', `${party}`]);
const down = (party, ...how) => run(witan, ['committee', 'down', '--dir', folder, '--party', `${party}`, ...how]);
const pause = () => sleep(1000 + random() * 14_000);
const kLie = '\n[insecure]\nfault = "lie"\n';

const kFaults = {
  async kill(party) {
    await down(party, '--kill');
    if (random() < 0.5) await pause();
    await up(party);
  },
  async stop(party) {
    await down(party);
    await pause();
    await up(party);
  },
  async freeze(party) {
    process.kill(pidOf(party), 'SIGSTOP');
    await pause();
    process.kill(pidOf(party), 'SIGCONT');
  },
  async lie(party) {
    const config = fileOf(party, 'node.toml');
    const honest = readFileSync(config, 'utf8');
    await down(party);
    if (honest.includes('[insecure]')) writeFileSync(config, honest.replace('[insecure]\n', kLie.trimStart()));
    else appendFileSync(config, kLie);
    await up(party);
    faulty = 0; // its own answers are right: it lies to the others only
    await pause();
    faulty = party;
    await down(party);
    writeFileSync(config, honest);
    await up(party);
  },
};

async function faultLoop() {
  await sleep(5000);
  while (Date.now() < kEnd - 60_000) {
    const party = 1 + Math.floor(random() * nodes.length);
    const kind = party === 1 ? 'freeze' : pick(Object.keys(kFaults));
    faulty = party;
    counts.faults[kind] = (counts.faults[kind] ?? 0) + 1;
    await kFaults[kind](party);
    const since = Date.now();
    for (;;) {
      const health = await nodes[party - 1].call('GetHealthStatus', {}, { seconds: 10 });
      if (health.value?.peers_from_all_contexts[0].nodes_reachable === nodes.length) break;
      if (Date.now() - since > 120_000) {
        problem(`party ${party} does not reach all others 120 s after it was back (${kind}): ${health.code}`);
        break;
      }
      await sleep(200);
    }
    faulty = 0;
    await pause();
  }
}

// ---- memory and disk

const size = (file) => {
  try {
    return statSync(file).size;
  } catch {
    return 0;
  }
};
const mega = (bytes) => (bytes / 1048576).toFixed(1);
const samples = [];
function sample() {
  const row = { at: Math.round((Number(minutes) * 60_000 - (kEnd - Date.now())) / 1000), requests: counts.requests, parties: [] };
  for (const { id: party } of nodes) {
    let rss = 0, descriptors = 0;
    try {
      const pid = pidOf(party);
      rss = Number(/VmRSS:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
      descriptors = readdirSync(`/proc/${pid}/fd`).length;
    } catch {
      // down just now
    }
    row.parties.push({ party, pid: pidOf(party), rss, descriptors, journal: size(fileOf(party, 'journal.db')), wal: size(fileOf(party, 'journal.db-wal')) });
  }
  samples.push(row);
  const cells = row.parties.map(({ rss, descriptors, journal, wal }) => `${mega(rss)} ${descriptors} ${mega(journal)}+${mega(wal)}`);
  console.log(`${String(row.at).padStart(5)} s ${String(row.requests).padStart(7)} requests | ${cells.join(' | ')}`);
}

console.log('      each party: resident MB, open files, journal+log MB');
sample();
const sampling = setInterval(sample, 60_000);
const ending = (async () => {
  await sleep(kEnd - Date.now());
  traffic = false;
})();
await Promise.all([trafficLoop(), faultLoop(), ending]);
clearInterval(sampling);
sample();

// After warm-up (a quarter of the time) a party that was never restarted takes no more memory. Bursts, when it catches up, come and
// go: the most of the last half is compared with the most of the quarter before.
const after = samples.filter(({ at }) => at >= Number(minutes) * 15);
const first = after.find(({ parties }) => parties[0].rss > 0)?.parties[0];
const last = samples.at(-1).parties[0];
if (first && last.pid !== first.pid) problem('party 1 was restarted');
const most = (rows) => Math.max(0, ...rows.map(({ parties }) => parties[0].rss));
const half = Number(minutes) * 30;
const [early, late] = [most(after.filter(({ at }) => at < half)), most(after.filter(({ at }) => at >= half))];
if (early > 0 && late > early * 1.25 + (8 << 20)) problem(`party 1 grew from ${mega(early)} to ${mega(late)} MB`);
if (first && last.descriptors > first.descriptors + 16) problem(`party 1 has ${last.descriptors} open files, ${first.descriptors} before`);
if (Number(minutes) >= 10 && Object.keys(counts.faults).length < 4) problem(`only these faults happened: ${Object.keys(counts.faults)}`);
nodes.forEach((node) => node.close());
console.log(JSON.stringify(counts));
const perRequest = (last.journal - first.journal) / (counts.requests - (after[0]?.requests ?? 0));
console.log(`journal of party 1 after warm-up: ${perRequest.toFixed(0)} bytes per request`);
console.log(`soak: ${problems.length === 0 ? 'ok' : `failed, ${problems.length} problems`}`);
process.exit(problems.length === 0 ? 0 : 1);
