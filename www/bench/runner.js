// Runs a net on one runtime for run.js: reads numbers of images, a line each, and
// answers with { ms, logits }, the logits those of the first image.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';

const [name, dir] = process.argv.slice(2);
const file = (f) => readFileSync(join(dir, f));
const floats = (buffer) => new Float32Array(buffer.buffer.slice(buffer.byteOffset, buffer.byteOffset + buffer.byteLength));

/** The tensors of model.safetensors by name, and the slab's description. */
function tensors() {
  const b = file('model.safetensors');
  const length = Number(b.readBigUInt64LE());
  const header = JSON.parse(b.subarray(8, 8 + length).toString());
  const manifest = JSON.parse(header.__metadata__.manifest);
  delete header.__metadata__;
  const weights = Object.fromEntries(Object.entries(header).map(([key, { shape, data_offsets: [from, to] }]) =>
    [key, { shape, values: floats(b.subarray(8 + length + from, 8 + length + to)) }]));
  return { manifest, weights };
}

const { manifest, weights } = tensors();
const head = manifest.heads.at(-1).kind;
const mode = { class: 'baseline', joint: 'single', distilled: 'distilled' }[head];
const { channels, height, width } = manifest.input;

/** The normalised image, so many times: (n, C, H, W). */
function batch(n) {
  const image = floats(file('image.f32'));
  const out = new Float32Array(n * image.length);
  for (let i = 0; i < n; i++) out.set(image, i * image.length);
  return out;
}

async function quarterturn() {
  const { Guest } = await import('../guest.js');
  const guest = await Guest.start(new WebAssembly.Module(readFileSync(new URL('../../wasm/module/quarterturn.wasm', import.meta.url))));
  guest.open(file('model.slab'));
  const image = { data: file('image.rgba'), width, height };
  return (n) => {
    let result;
    for (let i = 0; i < n; i++) {
      guest.image(image);
      result = guest.run(mode);
    }
    return result.logits;
  };
}

async function onnxruntime(ort) {
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(file('model.onnx'));
  const inputs = {};
  return async (n) => {
    inputs[n] ??= new ort.Tensor('float32', batch(n), [n, channels, height, width]);
    const out = await session.run({ image: inputs[n] }, [head]);
    return out[head].data;
  };
}

async function tfjs(simd) {
  const tf = await import('@tensorflow/tfjs-core');
  const { setWasmPaths } = await import('@tensorflow/tfjs-backend-wasm');
  const require = createRequire(import.meta.url);
  tf.env().set('WASM_HAS_SIMD_SUPPORT', simd);
  tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
  setWasmPaths(join(dirname(require.resolve('@tensorflow/tfjs-backend-wasm')), '/'));
  await tf.setBackend('wasm');
  const constant = (key, order) => {
    const t = tf.tensor(weights[key].values, weights[key].shape);
    return order ? tf.transpose(t, order) : t;
  };
  const layers = manifest.layers.map((l) => (l.op === 'conv'
    ? { ...l, filter: constant(`${l.name}.weight`, [2, 3, 1, 0]), bias: constant(`${l.name}.bias`) } : l));
  const w = constant(`${head}.weight`, [1, 0]);
  const b = constant(`${head}.bias`);
  const inputs = {};
  const apply = (l, values) => {
    const x = values[l.input];
    const [, h, side, c] = x.shape;
    switch (l.op) {
      case 'mean':
        return tf.mean(x, [1, 2]);
      case 'max':
        return tf.maxPool(x, l.kernel, l.stride, 1, 'floor');
      case 'shortcut':
        return tf.pad(tf.stridedSlice(x, [0, 0, 0, 0], [x.shape[0], h, side, c], [1, l.stride, l.stride, 1]), [[0, 0], [0, 0], [0, 0], [0, l.out - c]]);
    }
    const conv = tf.fused.conv2d({
      x, filter: l.filter, strides: l.stride, pad: l.kernel >> 1, dimRoundingMode: 'floor', bias: l.bias,
      activation: l.relu && !l.residual ? 'relu' : 'linear',
    });
    if (!l.residual) return conv;
    const sum = tf.add(conv, values[l.residual]);
    return l.relu ? tf.relu(sum) : sum;
  };
  return (n) => {
    inputs[n] ??= tf.transpose(tf.tensor(batch(n), [n, channels, height, width]), [0, 2, 3, 1]);
    const logits = tf.tidy(() => {
      const values = [inputs[n]];
      for (const l of layers) values.push(apply(l, values));
      return tf.add(tf.matMul(values.at(-1), w), b);
    });
    const data = logits.dataSync();
    logits.dispose();
    return data;
  };
}

const runtimes = {
  quarterturn,
  'tfjs scalar': () => tfjs(false),
  'tfjs simd': () => tfjs(true),
  'onnxruntime simd': async () => onnxruntime(await import('onnxruntime-web/wasm')),
  'onnxruntime scalar': async () => {
    const ort = createRequire(import.meta.url)('onnxruntime-web-scalar');
    ort.env.wasm.simd = false;
    return onnxruntime(ort);
  },
};

const run = await runtimes[name]();
const classes = manifest.labels.length;
for await (const line of createInterface({ input: process.stdin })) {
  const start = performance.now();
  const logits = await run(Number(line));
  const ms = performance.now() - start;
  console.log(JSON.stringify({ ms, logits: Array.from(logits.slice(0, classes)) }));
}
process.exit(0);
