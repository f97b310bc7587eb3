// Makes the benchmark page: a folder for any static host, with the runtimes, the
// nets and the page.
//
//   npm run page              makes it and serves it here
//   npm run page -- OUTDIR    makes it

import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { basename, extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { prepare, root, standard, title, untrained } from './nets.js';

const PEERS = [
  '@tensorflow/tfjs-core/dist/tf-core.min.js',
  '@tensorflow/tfjs-backend-wasm/dist/tf-backend-wasm.min.js',
  '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm.wasm',
  '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm',
  'onnxruntime-web/dist/ort.wasm.min.js',
  'onnxruntime-web/dist/ort-wasm-simd-threaded.mjs',
  'onnxruntime-web/dist/ort-wasm-simd-threaded.wasm',
  'onnxruntime-web-scalar/dist/ort.wasm.min.js',
  'onnxruntime-web-scalar/dist/ort-wasm.wasm',
];
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.mjs': 'text/javascript', '.json': 'application/json', '.css': 'text/css', '.wasm': 'application/wasm' };

async function make(dir) {
  const copy = (from, to) => {
    mkdirSync(join(dir, to, '..'), { recursive: true });
    copyFileSync(from, join(dir, to));
  };
  const here = (name) => fileURLToPath(new URL(name, import.meta.url));
  for (const name of ['page.js', 'worker.js', 'engines.js']) copy(here(name), name);
  copy(here('page.html'), 'index.html');
  copy(here('../page/page.css'), 'page.css');
  cpSync(here('../quarterturn'), join(dir, 'quarterturn'), { recursive: true });
  for (const name of ['quarterturn.wasm', 'quarterturn-simd.wasm']) copy(join(root, 'wasm/module', name), `quarterturn/${name}`);
  for (const peer of PEERS) {
    const scalar = peer.startsWith('onnxruntime-web-scalar') ? 'scalar/' : '';
    copy(here(`node_modules/${peer}`), `peers/${scalar}${basename(peer)}`);
  }
  const nets = [];
  for (const [i, net] of standard.entries()) {
    const slab = join(dir, 'net.slab');
    untrained(net, slab);
    nets.push({ title: title(await prepare(slab, join(dir, `nets/${i}`))), folder: `nets/${i}/` });
    rmSync(slab);
  }
  writeFileSync(join(dir, 'nets.json'), JSON.stringify(nets));
}

function serve(dir) {
  const server = createServer(({ url }, response) => {
    const path = normalize(decodeURIComponent(new URL(url, 'http://localhost').pathname));
    try {
      const body = readFileSync(join(dir, path.endsWith('/') ? `${path}index.html` : path));
      response.writeHead(200, { 'content-type': TYPES[extname(path)] ?? (path.endsWith('/') ? 'text/html' : 'application/octet-stream') }).end(body);
    } catch {
      response.writeHead(404, { 'content-type': 'text/plain' }).end(`there is no ${path}\n`);
    }
  });
  server.listen(Number(process.env.PORT ?? 8090), '127.0.0.1', () => console.log(`the benchmark is at http://127.0.0.1:${server.address().port}/`));
}

const out = process.argv[2];
const dir = out ?? mkdtempSync(join(tmpdir(), 'quarterturn-page-'));
await make(dir);
if (out) console.log(`${out} holds the benchmark page, for any static host`);
else serve(dir);
