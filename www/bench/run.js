// Times the module beside other runtimes in WebAssembly, each in a process of its
// own and with one thread, on the same weights:
//
//   npm ci && npm run bench            ResNet-32 and two ResNet-8
//   npm run bench -- model.slab ...    slabs of yours
//
// In every round each of them classifies five times, one pass of the net for each
// image, so that what else the machine does falls on all alike. The logits must agree to
// 1e-4 of the largest. Our time includes preprocessing; theirs does not. Where
// there is gcc, a kernel in C says what scalar code could reach.

import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Guest } from '../guest.js';

const ROUNDS = 30;
const BURST = 5;
const runners = ['quarterturn', 'tfjs scalar', 'onnxruntime scalar', 'tfjs simd', 'onnxruntime simd'];
const root = fileURLToPath(new URL('../..', import.meta.url));
const quarterturn = (...args) => execFileSync('go', ['run', './cmd/quarterturn', ...args], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });

/** What pins a process to one core, where the system has it: else it moves about, and its caches do not. */
const pin = spawnSync('taskset', ['-V']).error ? [] : ['taskset', '-c', '0'];

/** A process that runs one net on one runtime. */
class Runner {
  constructor(name, dir) {
    this.name = name;
    const [command, ...args] = [...pin, process.execPath, fileURLToPath(new URL('runner.js', import.meta.url)), name, dir];
    this.process = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.lines = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
  }

  /** Classifies so many images: { ms, logits }. */
  async run(images) {
    this.process.stdin.write(`${images}\n`);
    const { value, done } = await this.lines.next();
    if (done) throw new Error(`${this.name} ended`);
    return JSON.parse(value);
  }

  close() {
    this.process.stdin.end();
  }
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

/** Writes what the runners need of a slab: the net in other formats, an image. */
async function prepare(slab, dir) {
  const file = (name) => join(dir, name);
  writeFileSync(file('model.slab'), readFileSync(slab));
  quarterturn('export', file('model.slab'), '--out', file('model.onnx'));
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

function agree(results) {
  const [ours, ...others] = results;
  const scale = Math.max(...ours.logits.map(Math.abs));
  others.forEach(({ logits }, i) => {
    const difference = Math.max(...logits.map((v, k) => Math.abs(v - ours.logits[k])));
    if (!(difference <= 1e-4 * scale)) throw new Error(`${runners[i + 1]}: logits differ by ${difference}, the largest is ${scale}`);
  });
}

async function bench(slab) {
  const dir = mkdtempSync(join(tmpdir(), 'quarterturn-bench-'));
  try {
    const info = await prepare(slab, dir);
    console.log(`\n${info.name}, ${info.input.channels} x ${info.input.width} x ${info.input.height}; ms, medians of ${ROUNDS} rounds\n`);
    const peers = runners.map((name) => new Runner(name, dir));
    console.log(`| images | ${runners.join(' | ')} | of the best scalar | of the best SIMD |`);
    console.log(`| --- |${' --- |'.repeat(runners.length + 2)}`);
    for (const images of [1, 4]) {
      const times = runners.map(() => []);
      for (let round = -5; round < ROUNDS; round++) { // the first ones warm up
        const results = [];
        for (const [i, peer] of peers.entries()) {
          for (let k = 0; k < BURST; k++) {
            results[i] = await peer.run(images);
            if (round >= 0) times[i].push(results[i].ms);
          }
        }
        if (round < 0) agree(results);
      }
      const ms = times.map(median);
      const ratio = (name) => (ms[0] / Math.min(...ms.filter((_, i) => runners[i].endsWith(name)))).toFixed(2);
      console.log(`| ${images} | ${ms.map((v) => v.toFixed(2)).join(' | ')} | ${ratio('scalar')} | ${ratio('simd')} |`);
    }
    peers.forEach((peer) => peer.close());
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** Gives the GFLOP/s of scalar.c. */
function scalarLimit(dir) {
  const flags = ['-O3', '-funroll-loops', '-fno-tree-vectorize', '-fno-tree-slp-vectorize', '-ffp-contract=off'];
  const program = join(dir, 'scalar');
  try {
    execFileSync('gcc', [...flags, '-o', program, fileURLToPath(new URL('scalar.c', import.meta.url))]);
  } catch (error) {
    return `not measured: ${error.message.split('\n')[0]}`;
  }
  return `${execFileSync(program).toString().trim()} GFLOP/s`;
}

let slabs = process.argv.slice(2);
const nets = mkdtempSync(join(tmpdir(), 'quarterturn-nets-'));
try {
  if (slabs.length === 0) {
    slabs = [['resnet32'], ['resnet8w8'], ['resnet8w8', '--size', '28', '--grey']].map(([net, ...more], i) => {
      const name = join(nets, `${i}.slab`);
      quarterturn('new', '--net', net, '--out', name, ...more);
      return name;
    });
  }
  for (const slab of slabs) await bench(slab);
  console.log(`\nscalar C, the inner loop of a convolution: ${scalarLimit(nets)}`);
} finally {
  rmSync(nets, { recursive: true });
}
