// Quarterturn in a browser: load a slab, classify pictures. The contract is quarterturn.d.ts.
//
//   import { load } from 'quarterturn';
//   const c = await load('model.slab');
//   const p = await c.classify(input, { mode: 'auto', topK: 5 });

import { loader } from './load.js';

export { QuarterturnError } from './errors.js';
export { modes } from './guest.js';

// Bundlers know these lines, and put the files where the addresses say.
const worker = new URL('./worker.js', import.meta.url);
const plain = new URL('./quarterturn.wasm', import.meta.url);
const simd = new URL('./quarterturn-simd.wasm', import.meta.url);

/** @type {import('./engine.js').Spawn} */
function spawn(take, fail) {
  const elsewhere = worker.protocol.startsWith('http') && worker.origin !== self.origin;
  // A worker must be of the page's origin: from elsewhere it is a line of the page's own that imports it. A sandboxed
  // frame, whose origin is like no other, may not import into a blob.
  const scheme = self.origin === 'null' ? 'data:' : 'blob:';
  const line = `import ${JSON.stringify(worker.href)};`;
  const address = !elsewhere ? worker : scheme === 'data:' ? `data:text/javascript,${encodeURIComponent(line)}` : URL.createObjectURL(new Blob([line], { type: 'text/javascript' }));
  const thread = new Worker(address, { type: 'module' });
  let answered = false;
  thread.onmessage = ({ data }) => {
    if (elsewhere && !answered) URL.revokeObjectURL(String(address));
    answered = true;
    take(data);
  };
  thread.onerror = (event) => {
    const why = elsewhere ? `it is of another origin, for which the page's Content-Security-Policy needs worker-src ${scheme} ${worker.origin}, and that host CORS headers` : "its address is to serve JavaScript, and the page's Content-Security-Policy to allow it (worker-src)";
    fail(answered ? `the worker failed: ${event.message}` : `the worker ${worker} could not be started: ${event.message ?? why}`);
  };
  return { post: (message) => thread.postMessage(message), close: () => thread.terminate() };
}

export const load = loader({ plain, simd, spawn: typeof Worker === 'undefined' ? undefined : spawn });
