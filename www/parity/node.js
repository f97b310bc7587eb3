// Runs job.bin in Node with the module for the GOOS named on the command line.

import { readFileSync, writeSync } from 'node:fs';
import { Guest } from '../quarterturn/guest.js';
import { runJob } from './job.js';

const file = (name) => readFileSync(new URL(`../${name}`, import.meta.url));

async function start(goos) {
  if (goos === 'wasip1') return Guest.start(new WebAssembly.Module(file('quarterturn/quarterturn.wasm')));
  await import('../wasm_exec.js'); // defines Go
  const go = new globalThis.Go();
  const { instance } = await WebAssembly.instantiate(file('quarterturn-js.wasm'), go.importObject);
  go.run(instance); // never settles: the program stays
  return new Guest(instance.exports);
}

const out = runJob(await start(process.argv[2]), file('model.slab'), file('job.bin'));
for (let at = 0; at < out.length; ) at += writeSync(1, out, at);
process.exit(0);
