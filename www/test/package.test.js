// The package as `npm pack` makes it, in clean projects: Node, TypeScript, Vite, esbuild.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { chromium } from 'playwright-core';
import { browserOptions } from './chromium.js';
import { dir, host, info, slab, slabFile, tarball } from './helper.js';

const www = fileURLToPath(new URL('..', import.meta.url));
const tool = (name) => join(www, 'node_modules/.bin', name);
const project = join(dir, 'project');
const installed = join(project, 'node_modules/quarterturn');
const run = (command, ...args) => execFileSync(command, args, { cwd: project, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

before(() => {
  mkdirSync(project);
  writeFileSync(join(project, 'package.json'), '{"private": true, "type": "module"}');
  cpSync(slabFile, join(project, 'model.slab'));
  run('npm', 'install', '--silent', '--no-audit', '--no-fund', '--offline', tarball);
});

test('a clean Node project classifies with it', () => {
  writeFileSync(join(project, 'app.js'), `
    import { load } from 'quarterturn';
    const c = await load('model.slab');
    const p = await c.classify({ data: new Uint8Array(16).fill(255), width: 2, height: 2 }, { topK: 1 });
    console.log(JSON.stringify([await c.verify(), p.top.length, p.mode]));
    await c.close();
  `);
  assert.deepEqual(JSON.parse(run('node', 'app.js')), [info.selftest.digest, 1, info.recommended]);
});

test('what a page downloads, one of the two builds with it, stays small', () => {
  const size = (file) => gzipSync(readFileSync(file), { level: 9 }).length;
  const page = readdirSync(join(www, 'page')).map((f) => join(www, 'page', f));
  const bytes = [...readdirSync(installed).filter((f) => /\.(js|wasm)$/.test(f) && f !== 'quarterturn.wasm').map((f) => join(installed, f)), ...page].reduce((sum, f) => sum + size(f), 0);
  assert.ok(bytes < 700_000, `${bytes} bytes gzipped`);
});

test('a typed consumer compiles, and a wrong one does not', () => {
  const check = (source) => {
    writeFileSync(join(project, 'app.ts'), source);
    return run(tool('tsc'), '--noEmit', '--strict', '--target', 'es2022', '--module', 'nodenext', '--lib', 'es2022,dom', '--types', '', 'app.ts');
  };
  check(`
    import { load, modes, QuarterturnError, type Prediction } from 'quarterturn';
    async function main(canvas: HTMLCanvasElement, signal: AbortSignal): Promise<string> {
      const c = await load(new URL('model.slab', location.href), { worker: false, signal, onProgress: ({ what, loaded, total }) => console.log(what, loaded / total) });
      const p: Prediction = await c.classify(canvas, { mode: 'aggregated', topK: 3 });
      const views: Float32Array | undefined = p.views;
      try { await c.verify(); } catch (e) { if (e instanceof QuarterturnError && e.code === 'selftest') throw e; }
      const gallery = c.gallery();
      await gallery.enrol('cup', canvas);
      const like: Prediction = await gallery.classify(canvas, { topK: 1 });
      console.log(like.top, gallery.examples.map(({ label, pictures }) => label + pictures));
      await c.close();
      return p.top[0]!.label + p.mode + p.passes + p.ms + views?.length + modes.length + c.info.recommended + c.timings.open;
    }
    export { main };
  `);
  assert.throws(() => check("import { load } from 'quarterturn'; const c = await load('x'); await c.classify('cat');"), (e) => /TS2769|TS2345/.test(e.stdout));
  assert.throws(() => check("import { load } from 'quarterturn'; const c = await load('x'); await c.classify(new Blob(), { mode: 'fast' });"), (e) => /TS2769|TS2820|TS2322/.test(e.stdout));
});

const app = `
  import { load } from 'quarterturn';
  const c = await load('model.slab');
  document.title = await c.verify();
`;

/** Opens a built folder in Chromium, under a strict policy and a sub-path; gives the digest it finds. */
async function digestOf(folder) {
  const server = await host((name) => {
    if (name === 'model.slab') return slab;
    return existsSync(join(folder, name)) && readFileSync(join(folder, name));
  });
  const browser = await chromium.launch(browserOptions);
  try {
    const page = await browser.newPage();
    const problems = [];
    page.on('pageerror', (e) => problems.push(String(e)));
    page.on('console', (m) => m.type() === 'error' && !m.location().url.endsWith('/favicon.ico') && problems.push(m.text()));
    await page.goto(server.address);
    await page.waitForFunction(() => document.title !== 'waiting', null, { timeout: 20000 }).catch(() => {});
    assert.deepEqual(problems, []);
    assert.equal(page.workers().length, 1);
    return await page.title();
  } finally {
    await browser.close();
    server.stop();
  }
}

test('Vite bundles it, worker and module included', async () => {
  writeFileSync(join(project, 'main.js'), app);
  writeFileSync(join(project, 'index.html'), '<!doctype html><title>waiting</title><script type="module" src="./main.js"></script>');
  run(tool('vite'), 'build', '--base', './', '--outDir', 'vite', '--target', 'esnext', '--logLevel', 'error');
  assert.equal(await digestOf(join(project, 'vite')), info.selftest.digest);
});

test('esbuild bundles it, worker and module copied beside the bundle', async () => {
  const out = join(project, 'esbuild');
  writeFileSync(join(project, 'main.js'), app);
  run(tool('esbuild'), 'main.js', '--bundle', '--format=esm', '--platform=browser', `--outdir=${out}`, '--entry-names=[name]', '--log-level=error');
  for (const name of ['quarterturn.wasm', 'quarterturn-simd.wasm', 'worker.js']) cpSync(join(installed, name), join(out, name));
  writeFileSync(join(out, 'index.html'), '<!doctype html><title>waiting</title><script type="module" src="main.js"></script>');
  assert.equal(await digestOf(out), info.selftest.digest);
});
