// Runs a net on one runtime for run.js: reads { images, times }, a line each, and
// answers with { ms, logits }.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { Guest } from '../quarterturn/guest.js';
import { start } from './engines.js';

const [name, dir] = process.argv.slice(2);
const require = createRequire(import.meta.url);
const load = {
  guest: (simd) => Guest.start(new WebAssembly.Module(readFileSync(new URL(`../../wasm/module/quarterturn${simd ? '-simd' : ''}.wasm`, import.meta.url)))),
  async tfjs() {
    const { setWasmPaths } = await import('@tensorflow/tfjs-backend-wasm');
    setWasmPaths(join(dirname(require.resolve('@tensorflow/tfjs-backend-wasm')), '/'));
    return import('@tensorflow/tfjs-core');
  },
  onnxruntime: (scalar) => (scalar ? require('onnxruntime-web-scalar') : import('onnxruntime-web/wasm')),
};

/** The time of the processor, so that what else a machine does is not counted: a runtime has one thread. */
function now() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

const run = await start(name, (file) => readFileSync(join(dir, file)), load, now);
for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await run(JSON.parse(line))));
}
process.exit(0);
