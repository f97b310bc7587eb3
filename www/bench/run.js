// Times the module beside other runtimes in WebAssembly, each in a process of its
// own and with one thread, on the same weights:
//
//   npm ci && npm run bench            ResNet-32, two ResNet-8 and a fast net
//   npm run bench -- model.slab ...    slabs of yours
//
// Each classifies in bursts, in turn, one pass of the net for each image. The logits
// must agree to 1e-4 of the largest. The time is the processor's, in all threads of a process.
// Our time includes preprocessing; theirs does not. Where there is gcc, a kernel in C says
// what scalar code and vectors could reach.

import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { compare, names, ratioNames } from './engines.js';
import { prepare, standard, title, untrained } from './nets.js';

const ROUNDS = 30;

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

  /** Classifies: { images, times } to { ms, logits }. */
  async run(task) {
    this.process.stdin.write(`${JSON.stringify(task)}\n`);
    const { value, done } = await this.lines.next();
    if (done) throw new Error(`${this.name} ended`);
    return JSON.parse(value);
  }

  close() {
    this.process.stdin.end();
  }
}

async function bench(slab, dir) {
  const info = await prepare(slab, dir);
  console.log(`\n${title(info)}; ms, medians\n`);
  const columns = ['images', ...names, ...ratioNames];
  console.log(`| ${columns.join(' | ')} |`);
  console.log(`|${' --- |'.repeat(columns.length)}`);
  const runners = Object.fromEntries(names.map((name) => [name, new Runner(name, dir)]));
  for (const images of [1, 4]) {
    const { medians, ratios } = await compare((name, task) => runners[name].run(task), images, ROUNDS);
    console.log(`| ${images} | ${[...medians, ...ratios].map((v) => v.toFixed(2)).join(' | ')} |`);
  }
  Object.values(runners).forEach((runner) => runner.close());
}

/** Returns what limit.c says: the GFLOP/s of scalar code and of 128-bit vectors. */
function limits(dir) {
  const flags = ['-O3', '-funroll-loops', '-fno-tree-vectorize', '-fno-tree-slp-vectorize', '-ffp-contract=off'];
  const program = join(dir, 'limit');
  try {
    execFileSync('gcc', [...flags, '-o', program, fileURLToPath(new URL('limit.c', import.meta.url))]);
  } catch (error) {
    return `not measured: ${error.message.split('\n')[0]}`;
  }
  const [command, ...args] = [...pin, program];
  return execFileSync(command, args).toString().trim();
}

const dir = mkdtempSync(join(tmpdir(), 'quarterturn-bench-'));
try {
  let slabs = process.argv.slice(2);
  if (slabs.length === 0) {
    slabs = standard.map((net, i) => join(dir, `${i}.slab`));
    standard.forEach((net, i) => untrained(net, slabs[i]));
  }
  for (const [i, slab] of slabs.entries()) await bench(slab, join(dir, `${i}`));
  console.log(`\nthe inner loop of a convolution in C, GFLOP/s: ${limits(dir)}`);
} finally {
  rmSync(dir, { recursive: true });
}
