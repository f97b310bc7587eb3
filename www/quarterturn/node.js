// Quarterturn in Node, Deno and Bun: as quarterturn.js, with files and worker_threads.

import { readFile } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import { loader } from './load.js';

export { QuarterturnError } from './errors.js';
export { modes } from './guest.js';

const worker = new URL('./worker-node.js', import.meta.url);
const plain = new URL('./quarterturn.wasm', import.meta.url);
const simd = new URL('./quarterturn-simd.wasm', import.meta.url);

/** @type {import('./engine.js').Spawn} */
function spawn(take, fail) {
  const thread = new Worker(worker);
  thread.unref(); // idle, it does not keep the process
  thread.on('message', take);
  thread.on('error', (error) => fail(`the worker failed: ${error.message}`));
  thread.on('exit', (code) => fail(`the worker ended with code ${code}`));
  return {
    post: (message) => thread.postMessage(message),
    hold: (busy) => (busy ? thread.ref() : thread.unref()),
    close: () => void thread.terminate(),
  };
}

export const load = loader({ plain, simd, spawn, read: readFile });
