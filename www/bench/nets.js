// What the runtimes need of a net.

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Guest } from '../quarterturn/guest.js';

export const root = fileURLToPath(new URL('../..', import.meta.url));
const quarterturn = (...args) => execFileSync('go', ['run', './cmd/quarterturn', ...args], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });

/** The nets that are timed if none is given, as arguments of `quarterturn new`. */
export const standard = [['resnet32'], ['resnet8w8'], ['resnet8w8', '--size', '28', '--grey'], ['fast64']];

/** Makes an untrained net's slab. */
export function untrained([net, ...more], path) {
  quarterturn('new', '--net', net, '--out', path, ...more);
}

/** Writes into a folder the slab, the net in other formats and an image; returns the slab's description. */
export async function prepare(slab, dir) {
  const file = (name) => join(dir, name);
  mkdirSync(dir, { recursive: true });
  writeFileSync(file('model.slab'), readFileSync(slab));
  quarterturn('export', file('model.slab'), '--mode', 'heads', '--out', file('model.onnx'));
  quarterturn('export', file('model.slab'), '--out', file('model.safetensors'));
  const guest = await Guest.start(new WebAssembly.Module(readFileSync(join(root, 'wasm/module/quarterturn.wasm'))));
  const info = guest.open(readFileSync(slab));
  const { width, height } = info.input;
  const data = Uint8Array.from({ length: 4 * width * height }, (_, i) => (i % 4 === 3 ? 255 : (i * 2654435761) >>> 24));
  guest.image({ data, width, height });
  writeFileSync(file('image.rgba'), data);
  writeFileSync(file('image.f32'), new Uint8Array(guest.input().buffer));
  return info;
}

/** A net in words. */
export const title = ({ name, input }) => `${name}, ${input.channels} x ${input.width} x ${input.height}`;
