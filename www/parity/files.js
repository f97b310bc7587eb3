// Classifies files in a page, each in every way that a page gets a picture from a file, and
// posts the digests of the logits; see cmd/quarterturn/internal/parity/files.go.

import { Guest } from '../quarterturn/guest.js';
import { pixelsOf } from '../quarterturn/pixels.js';

const get = async (name) => {
  const response = await fetch(`../${name}`);
  if (!response.ok) throw new Error(`${name}: status ${response.status}`);
  return response.arrayBuffer();
};

/** The ways, by the names that the report has. */
const ways = {
  File: (file) => pixelsOf(file),
  ImageBitmap: async (file) => pixelsOf(await createImageBitmap(file, { premultiplyAlpha: 'none', colorSpaceConversion: 'none' })),
  '<img>': async (file) => {
    const image = new Image();
    const loaded = new Promise((resolve, reject) => {
      image.onload = resolve;
      image.onerror = () => reject(new Error('the <img> did not load'));
    });
    image.src = URL.createObjectURL(file);
    await loaded;
    return pixelsOf(image);
  },
};

async function digest(logits) {
  const sum = new Uint8Array(await crypto.subtle.digest('SHA-256', logits));
  return Array.from(sum, (b) => b.toString(16).padStart(2, '0')).join('');
}

try {
  const [wasm, slab, job] = await Promise.all(['quarterturn/quarterturn.wasm', 'model.slab', 'files.json'].map(get));
  const { mode, names } = JSON.parse(new TextDecoder().decode(job));
  const guest = await Guest.start(await WebAssembly.compile(wasm));
  guest.open(new Uint8Array(slab));
  const results = [];
  for (const [i, name] of names.entries()) {
    const file = new File([await get(`files/${i}`)], name);
    const result = {};
    for (const [way, pixels] of Object.entries(ways)) {
      try {
        result[way] = { digest: await digest(guest.classify(await pixels(file), mode).logits) };
      } catch (error) {
        result[way] = { error: String(error.message) };
      }
    }
    results.push(result);
  }
  await fetch('../result', { method: 'POST', body: JSON.stringify(results) });
} catch (error) {
  await fetch('../error', { method: 'POST', body: String(error) });
}
