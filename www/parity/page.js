// Runs job.bin in a page and posts the outcome to the server.

import { Guest } from '../quarterturn/guest.js';
import { runJob } from './job.js';

const get = async (name) => {
  const response = await fetch(`../${name}`);
  if (!response.ok) throw new Error(`${name}: status ${response.status}`);
  return response.arrayBuffer();
};

try {
  const [wasm, slab, job] = await Promise.all(['quarterturn/quarterturn.wasm', 'model.slab', 'job.bin'].map(get));
  const guest = await Guest.start(await WebAssembly.compile(wasm));
  await fetch('../result', { method: 'POST', body: runJob(guest, new Uint8Array(slab), job) });
} catch (error) {
  await fetch('../error', { method: 'POST', body: String(error) });
}
