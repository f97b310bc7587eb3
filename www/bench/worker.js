// Runs a net on one runtime for page.js. A classic worker, since the other runtimes
// come as scripts that set globals.

const peers = new URL('peers/', self.location.href).href;
const bytes = async (url) => {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: status ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
};
const load = {
  async guest(simd) {
    const { Guest } = await import('./quarterturn/guest.js');
    return Guest.start(await WebAssembly.compile(await bytes(`quarterturn/quarterturn${simd ? '-simd' : ''}.wasm`)));
  },
  tfjs() {
    self.importScripts(`${peers}tf-core.min.js`, `${peers}tf-backend-wasm.min.js`);
    self.tf.wasm.setWasmPaths(peers);
    return self.tf;
  },
  onnxruntime(scalar) {
    const folder = scalar ? `${peers}scalar/` : peers;
    self.importScripts(`${folder}ort.wasm.min.js`);
    self.ort.env.wasm.wasmPaths = folder;
    return self.ort;
  },
};

let run;
self.onmessage = async ({ data: { name, folder, task } }) => {
  try {
    if (name) {
      const { start } = await import('./engines.js');
      run = await start(name, (file) => bytes(folder + file), load);
      self.postMessage({});
    } else {
      self.postMessage(await run(task));
    }
  } catch (error) {
    self.postMessage({ error: error.message });
  }
};
