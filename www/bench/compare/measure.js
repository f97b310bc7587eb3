// What every page of compare.js does: starts a runtime, classifies the picture once, and again.

const ROUNDS = 15;
const BURST = 10;

async function bytes(name) {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name}: status ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** The picture, as ImageData of the net's size: the runtimes resize each in a way of its own. */
async function picture({ width, height }) {
  const bitmap = await createImageBitmap(new Blob([await bytes('picture.png')]));
  const context = new OffscreenCanvas(width, height).getContext('2d');
  context.drawImage(bitmap, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

/**
 * Leaves in globalThis.measured what compare.js reads: the milliseconds from navigation to the first answer, the
 * median of those of further ones, and the answer. start(bytes, about) resolves with a function of an
 * ImageData that returns { label, probability }; about is what about.json says of the net.
 */
export async function measure(start) {
  try {
    const about = JSON.parse(new TextDecoder().decode(await bytes('about.json')));
    const image = await picture(about.input);
    const classify = await start(bytes, about);
    const answer = await classify(image);
    const first = performance.now();
    const times = [];
    for (let i = 0; i < ROUNDS; i++) {
      const begin = performance.now();
      for (let k = 0; k < BURST; k++) await classify(image);
      times.push((performance.now() - begin) / BURST);
    }
    globalThis.measured = { first, steady: times.toSorted((a, b) => a - b)[ROUNDS >> 1], answer };
  } catch (error) {
    globalThis.measured = { error: String(error.stack ?? error) };
  }
}

/** The pixels of an image, normalised, as planes (C, H, W). */
export function normalised({ data }, { channels, width, height, mean, std }) {
  const size = width * height;
  const out = new Float32Array(channels * size);
  for (let i = 0; i < size; i++) for (let c = 0; c < channels; c++) out[c * size + i] = (data[4 * i + c] / 255 - mean[c]) / std[c];
  return out;
}

/** The likeliest label of some logits. */
export function likeliest(logits, labels) {
  const best = logits.indexOf(Math.max(...logits));
  return { label: labels[best], probability: 1 / logits.reduce((sum, v) => sum + Math.exp(v - logits[best]), 0) };
}
