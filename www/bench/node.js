// Runs the module for `quarterturn bench`: reads modes, a line each, and answers
// with the milliseconds that classifying image.rgba took.

import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Guest } from './guest.js';

const file = (name) => readFileSync(new URL(name, import.meta.url));
const [width, height] = process.argv.slice(2).map(Number);
const image = { data: file('image.rgba'), width, height };
const guest = await Guest.start(new WebAssembly.Module(file('quarterturn.wasm')));
guest.open(file('model.slab'));
console.log('ready');
for await (const mode of createInterface({ input: process.stdin })) {
  const start = performance.now();
  guest.image(image);
  guest.run(mode);
  console.log(performance.now() - start);
}
