// The runtimes that are compared, for Node (runner.js) and browsers (worker.js).

export const names = ['quarterturn scalar', 'quarterturn simd', 'tfjs scalar', 'onnxruntime scalar', 'tfjs simd', 'onnxruntime simd'];

const floats = (bytes) => new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));

/** The tensors of a slab's safetensors by name, and its manifest. */
export function tensors(bytes) {
  const text = (from, to) => new TextDecoder().decode(bytes.subarray(from, to));
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(text(8, 8 + length));
  const manifest = JSON.parse(header.__metadata__.manifest);
  delete header.__metadata__;
  const weights = Object.fromEntries(Object.entries(header).map(([key, { shape, data_offsets: [from, to] }]) =>
    [key, { shape, values: floats(bytes.subarray(8 + length + from, 8 + length + to)) }]));
  return { manifest, weights };
}

/** A slab's net in TensorFlow.js: a function of images (n, H, W, C) that returns the logits of a head. */
export function tfjsNet(tf, specification, weights, headWeight, headBias) {
  const constant = ({ values, shape }, order) => {
    const t = tf.tensor(values, shape);
    return order ? tf.transpose(t, order) : t;
  };
  const layers = specification.map((l) => (l.op === 'conv'
    ? { ...l, filter: constant(weights[`${l.name}.weight`], [2, 3, 1, 0]), bias: constant(weights[`${l.name}.bias`]) } : l));
  const w = constant(headWeight, [1, 0]);
  const b = constant(headBias);
  const apply = (l, values) => {
    const x = values[l.input];
    const [, h, side, c] = x.shape;
    switch (l.op) {
      case 'mean':
        return tf.mean(x, [1, 2]);
      case 'max':
        return tf.maxPool(x, l.kernel, l.stride, (l.kernel - 1) >> 1, 'floor');
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
  return (images) => {
    const values = [images];
    for (const l of layers) values.push(apply(l, values));
    return tf.add(tf.matMul(values.at(-1), w), b);
  };
}

/**
 * Starts a runtime on a net: a function that classifies n images, so many times, and
 * returns { ms, logits }: the mean time and the logits of the first image. read(name) returns the bytes of a file that run.js prepared;
 * load returns the runtimes: guest(simd), tfjs(), onnxruntime(scalar); now is a clock, in ms.
 */
export async function start(name, read, load, now = () => performance.now()) {
  const { manifest, weights } = tensors(await read('model.safetensors'));
  const head = manifest.heads.at(-1).kind;
  const mode = { class: 'baseline', joint: 'single', distilled: 'distilled' }[head];
  const { channels, height, width } = manifest.input;
  const classes = manifest.labels.length;
  const image = floats(await read('image.f32'));

  /** The normalised image, so many times: (n, C, H, W). */
  const batch = (n) => {
    const out = new Float32Array(n * image.length);
    for (let i = 0; i < n; i++) out.set(image, i * image.length);
    return out;
  };

  async function quarterturn(simd) {
    const guest = await load.guest(simd);
    guest.open(await read('model.slab'));
    const rgba = { data: await read('image.rgba'), width, height };
    return (n) => {
      let result;
      for (let i = 0; i < n; i++) {
        guest.image(rgba);
        result = guest.run(mode);
      }
      return result.logits;
    };
  }

  async function onnxruntime(scalar) {
    const ort = await load.onnxruntime(scalar);
    ort.env.wasm.numThreads = 1;
    if (scalar) ort.env.wasm.simd = false;
    const session = await ort.InferenceSession.create(await read('model.onnx'), { executionProviders: ['wasm'] });
    const inputs = {};
    return async (n) => {
      inputs[n] ??= new ort.Tensor('float32', batch(n), [n, channels, height, width]);
      return (await session.run({ image: inputs[n] }, [head]))[head].data;
    };
  }

  async function tfjs(simd) {
    const tf = await load.tfjs();
    tf.env().set('WASM_HAS_SIMD_SUPPORT', simd);
    tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
    await tf.setBackend('wasm');
    await tf.ready();
    const apply = tfjsNet(tf, manifest.layers, weights, weights[`${head}.weight`], weights[`${head}.bias`]);
    const inputs = {};
    return (n) => {
      inputs[n] ??= tf.transpose(tf.tensor(batch(n), [n, channels, height, width]), [0, 2, 3, 1]);
      const logits = tf.tidy(() => apply(inputs[n]));
      const data = logits.dataSync();
      logits.dispose();
      return data;
    };
  }

  const run = await {
    'quarterturn scalar': () => quarterturn(false),
    'quarterturn simd': () => quarterturn(true),
    'tfjs scalar': () => tfjs(false),
    'tfjs simd': () => tfjs(true),
    'onnxruntime scalar': () => onnxruntime(true),
    'onnxruntime simd': () => onnxruntime(false),
  }[name]();
  return async ({ images, times }) => {
    let logits;
    const start = now();
    for (let i = 0; i < times; i++) logits = await run(images);
    return { ms: (now() - start) / times, logits: Array.from(logits.slice(0, classes)) };
  };
}

/** What the ratios of compare are. */
export const ratioNames = ['scalar: of the best other', 'simd: of the best other', 'simd: of scalar'];

/**
 * Times runtimes in turn, each with run(name, { images, times }): { ms, logits }, and
 * returns the median of each, and the ratios of ours. Every round is a burst of each of them, so that what else
 * the machine does falls on all alike and a coarse clock does not matter; the first
 * rounds warm up and compare the logits.
 */
export async function compare(run, images, rounds, progress = () => {}) {
  const WARM = 5, BURST = 5;
  const times = names.map(() => []);
  for (let round = -WARM; round < rounds; round++) {
    const results = [];
    for (const name of names) results.push(await run(name, { images, times: BURST }));
    if (round < 0) agree(results);
    else results.forEach(({ ms }, i) => times[i].push(ms));
    progress((round + 1 + WARM) / (rounds + WARM));
  }
  const medians = times.map((values) => values.toSorted((a, b) => a - b)[values.length >> 1]);
  const of = (name) => medians[names.indexOf(name)];
  const ratio = (kind) => of(`quarterturn ${kind}`) / Math.min(...names.filter((name) => name.endsWith(kind) && !name.startsWith('quarterturn')).map(of));
  return { medians, ratios: [ratio('scalar'), ratio('simd'), of('quarterturn simd') / of('quarterturn scalar')] };
}

/** Throws if logits differ from ours by more than 1e-4 of the largest. */
function agree([ours, ...others]) {
  const scale = Math.max(...ours.logits.map(Math.abs));
  others.forEach(({ logits }, i) => {
    const difference = Math.max(...logits.map((v, k) => Math.abs(v - ours.logits[k])));
    if (!(difference <= 1e-4 * scale)) throw new Error(`${names[i + 1]}: logits differ by ${difference}, the largest is ${scale}`);
  });
}
