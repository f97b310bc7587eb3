// What the tests share: the command, a small slab, and a server.

import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const fixture = process.env.QUARTERTURN_FIXTURE;
if (!fixture) throw new Error('run the tests by `npm test -- FILE`, which makes what they share');

/** A folder of this test file's own. */
export const dir = mkdtempSync(join(fixture, 'of-'));

const command = join(fixture, 'quarterturn');

/** Runs the command; returns its standard output. */
export const quarterturn = (...args) => execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });

/** The package as npm would install it. */
export const installed = join(fixture, 'dist/quarterturn');
export const tarball = join(fixture, 'dist', readdirSync(join(fixture, 'dist')).find((f) => f.endsWith('.tgz')));
export const slabFile = join(fixture, 'run', 'model.slab');
export const slab = new Uint8Array(readFileSync(slabFile));
export const wasm = new Uint8Array(readFileSync(join(installed, 'quarterturn.wasm')));
export const simd = new Uint8Array(readFileSync(join(installed, 'quarterturn-simd.wasm')));
export const info = JSON.parse(quarterturn('inspect', slabFile, '--json'));

/** Makes a project that has installed the package, with the slab; returns its folder and what runs a command in it. */
export function project(manifest = { type: 'module' }) {
  const folder = mkdtempSync(join(dir, 'project-'));
  const run = (command, ...args) => {
    try {
      return execFileSync(command, args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NEXT_TELEMETRY_DISABLED: '1' } });
    } catch (error) {
      error.message += error.stdout; // where compilers say what is wrong
      throw error;
    }
  };
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, ...manifest }));
  cpSync(slabFile, join(folder, 'model.slab'));
  run('npm', 'install', '--silent', '--no-audit', '--no-fund', '--offline', tarball);
  return { folder, run };
}

/** A tool of www/node_modules by the path of its script. */
export const tool = (path) => fileURLToPath(new URL(`../node_modules/${path}`, import.meta.url));

/** What native Go says about an image file, by mode. */
export function native(image) {
  return Object.fromEntries(info.modes.map(({ mode }) => [
    mode, JSON.parse(quarterturn('predict', '--model', slabFile, '--json', '--mode', mode, image)),
  ]));
}

export const sha256 = (array) => createHash('sha256').update(new Uint8Array(array.buffer, array.byteOffset, array.byteLength)).digest('hex');

const colour = fileURLToPath(new URL('../models/cifar10.slab', import.meta.url));

/** The two models that most tests of the page have: one grey, one in colour. */
export const twoModels = [slabFile, colour];

/** Starts `quarterturn serve` for some models, or without any for those that come along; returns its address and a way to stop it. */
export async function serve(...models) {
  const server = spawn(command, ['serve', ...models.flatMap((m) => ['--model', m]), '--addr', '127.0.0.1:0'], { stdio: ['ignore', 'ignore', 'pipe'] });
  for await (const line of createInterface(server.stderr)) {
    const address = line.match(/http:\S+/)?.[0];
    if (address) return { address, stop: () => server.kill('SIGTERM') };
  }
  throw new Error('the server ended before it served');
}

const types = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.json': 'application/json', '.wasm': 'application/wasm', '.svg': 'image/svg+xml' };

/** Serves files under /some/where/, as a static host does that allows little: get(name, query) returns the bytes. */
export async function host(get, policy = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'") {
  const server = createServer(async (request, response) => {
    const { pathname, search } = new URL(request.url, 'http://localhost');
    const path = decodeURIComponent(pathname);
    const name = path.replace(/^\/some\/where\//, '') || 'index.html';
    const body = path.startsWith('/some/where/') && (await get(name, search.slice(1)));
    if (!body) {
      response.writeHead(404, { 'content-type': 'text/html' }).end('<h1>not here</h1>');
      return;
    }
    response.writeHead(200, {
      'content-type': types[extname(name)] ?? 'application/octet-stream',
      'content-length': body.length,
      ...(!/png$/.test(name) && { 'access-control-allow-origin': '*' }),
      ...(policy && { 'content-security-policy': policy }),
    }).end(body);
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return { address: `http://127.0.0.1:${server.address().port}/some/where/`, stop: () => server.close() };
}
