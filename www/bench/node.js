// Runs the module for `quarterturn bench`: says how many milliseconds it took to compile
// and to instantiate it, and to open the slab; then reads modes, a line each, and answers
// with those that classifying image.rgba took.

import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Guest } from '../quarterturn/guest.js';

const file = (name) => readFileSync(new URL(`../${name}`, import.meta.url));
const [width, height] = process.argv.slice(2).map(Number);
const image = { data: file('image.rgba'), width, height };
const bytes = file('quarterturn/quarterturn.wasm');
const slab = file('model.slab');
const begin = performance.now();
const module = new WebAssembly.Module(bytes);
const compiled = performance.now();
const guest = await Guest.start(module);
const instantiated = performance.now();
guest.open(slab);
console.log(`${compiled - begin} ${instantiated - compiled} ${performance.now() - instantiated}`);
for await (const mode of createInterface({ input: process.stdin })) {
  const start = performance.now();
  guest.image(image);
  guest.run(mode);
  console.log(performance.now() - start);
}
