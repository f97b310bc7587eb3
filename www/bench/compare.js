// Prints the README's table: what a page ships, and how soon and how fast it answers, with this package and with
// other runtimes, on the same weights:
//
//   npm ci && npm run compare                   the slab that comes along
//   npm run compare -- model.slab picture.png   a slab of yours, for colour, and a picture
//
// A runtime is the page that its documentation shows, made small by esbuild; a static server sends what it asks for, compressed
// by gzip. Every visit has a Chromium of its own. The answers must agree to a thousandth.

import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { chromium } from 'playwright-core';
import { rename } from './compare/rename.js';
import { root } from './nets.js';

const VISITS = 5;
const here = (name) => fileURLToPath(new URL(name, import.meta.url));

/** The runtimes, with the folders that they load WebAssembly from. */
const runtimes = {
  quarterturn: { name: 'quarterturn', folders: ['../../wasm/module'] },
  onnxruntime: { name: `onnxruntime-web ${version('onnxruntime-web')}`, folders: ['node_modules/onnxruntime-web/dist'] },
  transformers: { name: `transformers.js ${version('@huggingface/transformers')}`, folders: ortOfTransformers() },
  tfjs: { name: `tfjs ${version('@tensorflow/tfjs-core')}, wasm backend`, folders: ['node_modules/@tensorflow/tfjs-backend-wasm/dist'] },
};

function version(name) {
  return JSON.parse(readFileSync(here(`node_modules/${name}/package.json`))).version;
}

/** The ONNX Runtime that transformers.js brings. */
function ortOfTransformers() {
  const nested = 'node_modules/@huggingface/transformers/node_modules/onnxruntime-web/dist';
  return [existsSync(here(nested)) ? nested : 'node_modules/onnxruntime-web/dist'];
}

/** Writes what the pages ask for but the runtimes: the net in each one's format, and the picture. */
async function prepare(dir, slab, picture) {
  const file = (name) => join(dir, name);
  const command = file('quarterturn');
  execFileSync('go', ['build', '-o', command, './cmd/quarterturn'], { cwd: root });
  const quarterturn = (...args) => execFileSync(command, args, { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });
  copyFileSync(slab, file('model.slab'));
  copyFileSync(picture, file('picture.png'));
  quarterturn('export', file('model.slab'), '--out', file('model.onnx'));
  quarterturn('export', file('model.slab'), '--out', file('model.safetensors'));
  const about = JSON.parse(quarterturn('inspect', file('model.slab'), '--json'));
  const { input, labels, recommended: mode } = about;
  if (!['baseline', 'single', 'distilled'].includes(mode)) throw new Error(`the slab recommends ${mode}; the comparison is of one pass`);
  writeFileSync(file('about.json'), JSON.stringify({ input, labels, mode }));
  // What transformers.js reads of a model.
  mkdirSync(file('model/onnx'), { recursive: true });
  writeFileSync(file('model/onnx/model.onnx'), rename(readFileSync(file('model.onnx')), { image: 'pixel_values' }));
  writeFileSync(file('model/config.json'), JSON.stringify({ model_type: 'resnet', architectures: ['ResNetForImageClassification'], id2label: { ...labels } }));
  writeFileSync(file('model/preprocessor_config.json'), JSON.stringify({
    image_processor_type: 'ViTImageProcessor', do_resize: true, size: { width: input.width, height: input.height }, resample: 2,
    do_rescale: true, rescale_factor: 1 / 255, do_normalize: true, image_mean: input.mean, image_std: input.std,
  }));
  await build({
    entryPoints: { ...Object.fromEntries(['empty', ...Object.keys(runtimes)].map((name) => [name, here(`compare/${name}.js`)])), worker: here('../quarterturn/worker.js') },
    bundle: true, minify: true, format: 'esm', target: 'es2022', platform: 'browser', outdir: dir, logLevel: 'error',
    conditions: ['onnxruntime-web-use-extern-wasm'], // the WebAssembly as a file of its own, not a part of the script
    alias: { quarterturn: here('../quarterturn/quarterturn.js') },
  });
  return about;
}

const types = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.json': 'application/json', '.wasm': 'application/wasm' };
const notShipped = ['index.html', 'picture.png', 'about.json', 'favicon.ico'];

/** Serves the pages, /NAME/ each, and notes what they ask for. */
class Server {
  #dir;
  #files = new Map(); // path on disk to what is sent
  asked = new Set(); // since it was cleared

  constructor(dir) {
    this.#dir = dir;
    this.server = createServer((request, response) => this.#answer(request, response));
  }

  async listen() {
    await new Promise((listening) => this.server.listen(0, '127.0.0.1', listening));
    return `http://127.0.0.1:${this.server.address().port}`;
  }

  #answer(request, response) {
    const [, runtime, ...rest] = decodeURIComponent(new URL(request.url, 'http://localhost').pathname).split('/');
    const name = rest.join('/') || 'index.html';
    const page = `<!doctype html><meta charset=utf-8><title>${runtime}</title><link rel=icon href=data:,><script type=module src=${runtime}.js></script>`;
    const found = [this.#dir, ...(runtimes[runtime]?.folders ?? []).map(here)].map((folder) => join(folder, name)).find((path) => existsSync(path));
    if (name !== 'index.html' && !found) {
      response.writeHead(404).end();
      return;
    }
    const path = found ?? page;
    if (!this.#files.has(path)) {
      const body = found ? readFileSync(found) : Buffer.from(page);
      this.#files.set(path, { body, gzip: gzipSync(body, { level: 9 }) });
    }
    if (!notShipped.includes(name)) this.asked.add(path);
    response.writeHead(200, { 'content-type': types[extname(name)] ?? 'application/octet-stream', 'content-encoding': 'gzip' }).end(this.#files.get(path).gzip);
  }

  /** The bytes of what was asked for. */
  sizes() {
    const sum = { plain: 0, gzip: 0, brotli: 0 };
    for (const path of this.asked) {
      const file = this.#files.get(path);
      file.brotli ??= brotliCompressSync(file.body, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: file.body.length } }).length;
      sum.plain += file.body.length;
      sum.gzip += file.gzip.length;
      sum.brotli += file.brotli;
    }
    return sum;
  }
}

/** Visits a page with a browser of its own: what it measured, and the peak memory of its process in bytes. */
async function visit(address) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  try {
    const page = await browser.newPage();
    await page.goto(address);
    const measured = await (await page.waitForFunction(() => globalThis.measured, undefined, { timeout: 120000 })).jsonValue();
    if (measured.error) throw new Error(`${address}: ${measured.error}`);
    const session = await browser.newBrowserCDPSession();
    const { processInfo } = await session.send('SystemInfo.getProcessInfo');
    // Chromium keeps an empty renderer in reserve; the page's is the larger one.
    const peak = Math.max(...processInfo.filter((p) => p.type === 'renderer').map((p) => 1024 * Number(readFileSync(`/proc/${p.id}/status`, 'utf8').match(/VmHWM:\s+(\d+) kB/)[1])));
    return { ...measured, peak, version: browser.version() };
  } finally {
    await browser.close();
  }
}

/** What MediaPipe's classifier ships before any model: its script and its WebAssembly. */
async function mediapipe() {
  const { outputFiles: [script] } = await build({
    stdin: { contents: "export { FilesetResolver, ImageClassifier } from '@mediapipe/tasks-vision';", resolveDir: here('.') },
    bundle: true, minify: true, format: 'esm', write: false, logLevel: 'error',
  });
  const folder = here('node_modules/@mediapipe/tasks-vision/wasm');
  const parts = [Buffer.from(script.contents), ...['vision_wasm_internal.js', 'vision_wasm_internal.wasm'].map((name) => readFileSync(join(folder, name)))];
  const sum = (f) => parts.reduce((n, b) => n + f(b).length, 0);
  return { plain: sum((b) => b), gzip: sum((b) => gzipSync(b, { level: 9 })), brotli: sum((b) => brotliCompressSync(b)) };
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
const kilobytes = (n) => `${Math.round(n / 1000).toLocaleString('en')}`;
const row = (...cells) => console.log(`| ${cells.join(' | ')} |`);

const [slab = join(root, 'www/models/cifar10.slab'), picture = join(root, 'www/models/samples/8-ship.png')] = process.argv.slice(2);
const dir = mkdtempSync(join(tmpdir(), 'quarterturn-compare-'));
const server = new Server(dir);
try {
  const about = await prepare(dir, slab, picture);
  const address = await server.listen();
  const visits = Object.fromEntries(['empty', ...Object.keys(runtimes)].map((name) => [name, []]));
  const sizes = {};
  // In turn, so that what else the machine does falls on all alike.
  for (let i = 0; i < VISITS; i++) {
    for (const name of Object.keys(visits)) {
      server.asked.clear();
      visits[name].push(await visit(`${address}/${name}/`));
      sizes[name] ??= server.sizes();
    }
  }
  const [{ answer: ours, version: browser }] = visits.quarterturn;
  for (const name of Object.keys(runtimes)) {
    const { answer } = visits[name][0];
    if (answer.label !== ours.label || !(Math.abs(answer.probability - ours.probability) <= 1e-3)) {
      throw new Error(`${name} says ${JSON.stringify(answer)}, quarterturn ${JSON.stringify(ours)}`);
    }
  }
  const empty = median(visits.empty.map((v) => v.peak));
  console.log(`${about.name}: ${about.provenance.net}, ${about.parameters.toLocaleString('en')} parameters, ${about.input.width} x ${about.input.height}, mode ${about.recommended}; Chromium ${browser}, medians of ${VISITS} visits\n`);
  row('', 'shipped, KB', 'gzip', 'brotli', 'first answer, ms', 'then, ms', 'memory, MB');
  row(...Array(7).fill('---'));
  for (const [name, { name: title }] of Object.entries(runtimes)) {
    const v = visits[name];
    row(title, ...Object.values(sizes[name]).map(kilobytes), Math.round(median(v.map((x) => x.first))), median(v.map((x) => x.steady)).toFixed(1), Math.round((median(v.map((x) => x.peak)) - empty) / 1e6));
  }
  row(`MediaPipe tasks-vision ${version('@mediapipe/tasks-vision')}, without a model`, ...Object.values(await mediapipe()).map(kilobytes), '', '', '');
} finally {
  server.server.close();
  rmSync(dir, { recursive: true });
}
