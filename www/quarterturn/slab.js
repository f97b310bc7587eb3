// Writes slabs: the net of a slab under a new head, of prototypes (docs/format.md).

import { QuarterturnError } from './errors.js';

const PREFIX = 64; // bytes before the manifest
const ALIGN = 64;
const SEED = 1; // of the self-test's image

const align = (n) => Math.ceil(n / ALIGN) * ALIGN;

async function sha256(...parts) {
  if (!globalThis.crypto?.subtle) throw new QuarterturnError('unsupported', 'writing a slab takes SHA-256, which browsers offer over https and on localhost only');
  return new Uint8Array(await crypto.subtle.digest('SHA-256', await new Blob(parts).arrayBuffer()));
}

/**
 * Returns the bytes of a slab: the net of another, its heads replaced by a joint one.
 * @param {Uint8Array} slab one that the module has opened, so that it is known to be sound
 * @param {import('./quarterturn.d.ts').Info} info its description
 * @param {{ name: string, labels: string[], rows: Float32Array, scale: number, pictures: number,
 *   score: { n: number, accuracy: number, nll: number, ece: number } }} head
 *   rows is the head's weight, (N, M, F), each row of length 1; score that of the mode aggregated on the
 *   pictures, each left out in turn, on which scale was fitted
 * @param {(slab: Uint8Array, image: object) => Promise<Float32Array>} logits runs a slab on an image
 *   in each of its modes
 */
export async function taughtSlab(slab, info, { name, labels, rows, scale, score, pictures }, logits) {
  const manifest = readManifest(slab);
  const entries = manifest.array('tensors').slice(0, -2 * manifest.array('heads').length);
  const last = entryOf(entries.at(-1));
  const backbone = last.offset + 4 * last.shape.reduce((a, b) => a * b, 1);
  const old = slab.subarray(align(PREFIX + manifest.length), align(PREFIX + manifest.length) + backbone);
  const views = info.transforms.length;
  const outputs = labels.length * views;
  const weight = bytesOf(rows);
  const bias = new Uint8Array(4 * outputs);
  const weightAt = align(backbone);
  const biasAt = align(weightAt + weight.length);
  const data = new Uint8Array(biasAt + bias.length);
  data.set(old);
  data.set(weight, weightAt);
  const tensor = async (title, shape, offset, bytes) => map({ name: text(title), shape: array(shape.map(int)), offset: int(offset), sha256: binary(await sha256(bytes)) });
  const tensors = [...entries, await tensor('joint.weight', [outputs, rows.length / outputs], weightAt, weight), await tensor('joint.bias', [outputs], biasAt, bias)];
  const { net } = info.provenance;
  const seal = async (digest) => {
    const body = map({
      name: text(name),
      labels: array(labels.map(text)),
      transforms: manifest.raw('transforms'),
      input: manifest.raw('input'),
      layers: manifest.raw('layers'),
      heads: array([map({ kind: text('joint'), scale: float32(scale) })]),
      recommended: text('aggregated'),
      metrics: array(score.n === 0 ? [] : [map({
        mode: text('aggregated'), split: text('left-out'), n: int(score.n), accuracy: float64(score.accuracy), nll: float64(score.nll), ece: float64(score.ece),
        temperature: float32(1), // the scale has it
      })]),
      provenance: map({
        tool: text('quarterturn (JavaScript)'), data: text('pictures that a user showed'), method: text('prototypes'), net: text(net),
        seed: int(0), images: int(pictures), epochs: int(0), steps: int(0),
      }),
      selftest: map({ seed: int(SEED), digest: binary(digest) }),
      tensors: array(tensors),
    });
    const out = new Uint8Array(align(PREFIX + body.length) + data.length);
    out.set(slab.subarray(0, 12)); // magic and version
    new DataView(out.buffer).setUint32(12, body.length, true);
    new DataView(out.buffer).setBigUint64(16, BigInt(data.length), true);
    out.set(body, PREFIX);
    out.set(data, align(PREFIX + body.length));
    out.set(await sha256(out.subarray(0, 32), body), 32);
    return out;
  };
  // The digest is of the slab's logits, whatever digest it has.
  const answers = await logits(await seal(new Uint8Array(32)), testImage(info.input));
  return seal(await sha256(answers));
}

/** The features of a sound slab's net: how many numbers F it makes of a view, which each of its heads takes. */
export function featuresOf(slab) {
  return entryOf(readManifest(slab).array('tensors').at(-2)).shape[1];
}

/** The image of a self-test. */
function testImage({ width: w, height: h }) {
  const [width, height] = [w + (w >> 1) + 5, h + 3];
  const data = new Uint8Array(4 * width * height);
  let state = SEED;
  for (let i = 0; i < data.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    data[i] = state >>> 24;
  }
  return { data, width, height };
}

/** The little-endian bytes of floats, NaN as the format wants it. */
function bytesOf(floats) {
  const out = new Uint8Array(4 * floats.length);
  const view = new DataView(out.buffer);
  floats.forEach((v, i) => view.setFloat32(4 * i, v, true));
  return out;
}

/** The parts of a sound slab's manifest, as they are encoded. */
function readManifest(slab) {
  const length = new DataView(slab.buffer, slab.byteOffset).getUint32(12, true);
  const bytes = slab.subarray(PREFIX, PREFIX + length);
  const parts = partsOf(bytes);
  const raw = (key) => parts.find(([k]) => k === key)[1];
  return { length, raw, array: (key) => elementsOf(raw(key)) };
}

// MessagePack, as far as manifests use it: maps, arrays, strings, byte strings, whole
// numbers from 0, and floats, in the shortest form.

/** Returns where a value ends. */
function endOf(b, at) {
  const view = new DataView(b.buffer, b.byteOffset);
  const many = (count, from) => {
    let end = from;
    for (let i = 0; i < count; i++) end = endOf(b, end);
    return end;
  };
  const c = b[at];
  if (c < 0x80) return at + 1;
  if (c < 0x90) return many(2 * (c & 15), at + 1);
  if (c < 0xa0) return many(c & 15, at + 1);
  if (c < 0xc0) return at + 1 + (c & 31);
  switch (c) {
    case 0xc2: case 0xc3: return at + 1;
    case 0xc4: case 0xd9: return at + 2 + b[at + 1];
    case 0xc5: case 0xda: return at + 3 + view.getUint16(at + 1);
    case 0xc6: case 0xdb: return at + 5 + view.getUint32(at + 1);
    case 0xca: case 0xce: return at + 5;
    case 0xcb: case 0xcf: return at + 9;
    case 0xcc: return at + 2;
    case 0xcd: return at + 3;
    case 0xdc: return many(view.getUint16(at + 1), at + 3);
    case 0xdd: return many(view.getUint32(at + 1), at + 5);
    case 0xde: return many(2 * view.getUint16(at + 1), at + 3);
  }
  throw new QuarterturnError('corrupt', `the manifest has a value of kind ${c}`);
}

/** The values of an array, or the keys and values of a map, encoded. */
function elementsOf(b) {
  const c = b[0];
  const wide = c === 0xdc || c === 0xde ? 2 : c === 0xdd ? 4 : 0;
  const out = [];
  for (let at = 1 + wide; at < b.length; ) {
    const end = endOf(b, at);
    out.push(b.subarray(at, end));
    at = end;
  }
  return out;
}

/** The [key, encoded value] of a map. */
function partsOf(b) {
  const all = elementsOf(b);
  return all.flatMap((key, i) => (i % 2 === 0 ? [[textOf(key), all[i + 1]]] : []));
}

const textOf = (b) => new TextDecoder().decode(b.subarray(b[0] < 0xc0 ? 1 : b[0] === 0xd9 ? 2 : b[0] === 0xda ? 3 : 5));

function intOf(b) {
  const view = new DataView(b.buffer, b.byteOffset);
  switch (b[0]) {
    case 0xcc: return b[1];
    case 0xcd: return view.getUint16(1);
    case 0xce: return view.getUint32(1);
    case 0xcf: return Number(view.getBigUint64(1));
  }
  return b[0];
}

/** The shape and the offset of an entry of the tensor table. */
function entryOf(b) {
  const parts = Object.fromEntries(partsOf(b));
  return { shape: elementsOf(parts.shape).map(intOf), offset: intOf(parts.offset) };
}

function join(parts) {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

const sized = (code, bytes, value) => {
  const out = new Uint8Array(1 + bytes);
  out[0] = code;
  for (let i = 0; i < bytes; i++) out[1 + i] = Math.floor(value / 256 ** (bytes - 1 - i)) % 256;
  return out;
};

function int(v) {
  if (v < 0x80) return Uint8Array.of(v);
  if (v < 2 ** 8) return sized(0xcc, 1, v);
  if (v < 2 ** 16) return sized(0xcd, 2, v);
  return v < 2 ** 32 ? sized(0xce, 4, v) : sized(0xcf, 8, v);
}

/** A header for n bytes or values: in the code itself up to `most`, else in 1, 2 or 4 bytes. */
function header(n, fix, most, one, two) {
  if (n <= most) return Uint8Array.of(fix | n);
  if (one && n < 256) return sized(one, 1, n);
  return n < 65536 ? sized(two, 2, n) : sized(two + 1, 4, n);
}

function text(s) {
  const b = new TextEncoder().encode(s);
  return join([header(b.length, 0xa0, 31, 0xd9, 0xda), b]);
}

const binary = (b) => join([header(b.length, 0, -1, 0xc4, 0xc5), b]);
const array = (values) => join([header(values.length, 0x90, 15, 0, 0xdc), ...values]);
const map = (o) => join([header(Object.keys(o).length, 0x80, 15, 0, 0xde), ...Object.entries(o).flatMap(([k, v]) => [text(k), v])]);

function float32(v) {
  const out = new Uint8Array(5);
  out[0] = 0xca;
  new DataView(out.buffer).setFloat32(1, v);
  return out;
}

function float64(v) {
  const out = new Uint8Array(9);
  out[0] = 0xcb;
  new DataView(out.buffer).setFloat64(1, v);
  return out;
}
