// Compares decrypted values with those that encrypt.mjs drew.
//   node compare.mjs <values.json> <results.json> <which>    which values were decrypted, e.g. 0,4
// results: {"results": [{"type", "value", ...}, ...]}
import { readFileSync } from 'node:fs';

const [valuesFile, resultsFile, which] = process.argv.slice(2);
const all = JSON.parse(readFileSync(valuesFile));
const values = which.split(',').map((i) => all[Number(i)]);
const { results } = JSON.parse(readFileSync(resultsFile));
const mistakes = [];
if (results.length !== values.length) mistakes.push(`${results.length} results for ${values.length} values`);
values.forEach(({ type, value }, i) => {
  const got = results[i];
  if (!got || got.type !== type || got.value !== value)
    mistakes.push(`value ${i}: encrypted ${type} ${value}, decrypted ${got?.type} ${got?.value}`);
});
if (mistakes.length) {
  console.error(mistakes.join('\n'));
  process.exit(1);
}
console.log(`${values.length} values equal`);
