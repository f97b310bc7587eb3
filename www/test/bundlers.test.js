// The package in projects made fresh, through bundlers and without: built, or served by
// their development servers, and run in Chromium, which computes the self-test's digest.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';
import { browserOptions } from './chromium.js';
import { host, info, installed, project, slab, tool } from './helper.js';

const page = '<!doctype html><title>waiting</title><script type="module" src="./main.js"></script>';
const app = (from = 'quarterturn') => `
  import { load } from '${from}';
  const c = await load('model.slab');
  document.title = await c.verify();
`;
let browser;

before(async () => {
  browser = await chromium.launch(browserOptions);
});

after(() => browser?.close());

/** Opens an address in Chromium; returns the digest it finds. */
async function digestAt(address) {
  const tab = await browser.newPage();
  const problems = [];
  tab.on('pageerror', (e) => problems.push(String(e)));
  tab.on('console', (m) => m.type() === 'error' && !/favicon|webpack-hmr/.test(m.location().url + m.text()) && problems.push(m.text()));
  await tab.goto(address);
  await tab.waitForFunction(() => document.title !== 'waiting', null, { timeout: 60000 }).catch(() => {});
  const [title, workers] = [await tab.title(), tab.workers().length];
  await tab.close();
  assert.deepEqual(problems, []);
  assert.equal(workers, 1);
  return title;
}

/** Serves a built folder under a strict policy and a sub-path. */
async function digestOf(folder, policy) {
  const server = await host((name) => {
    if (name === 'model.slab') return slab;
    return existsSync(join(folder, name)) && readFileSync(join(folder, name));
  }, policy);
  try {
    return await digestAt(server.address);
  } finally {
    server.stop();
  }
}

/** Starts a server in a project; returns its address and a way to stop it. */
async function start(folder, ...args) {
  const server = spawn(process.execPath, args, { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, NEXT_TELEMETRY_DISABLED: '1', NO_COLOR: '1' } });
  for await (const line of createInterface(server.stdout)) {
    const address = line.match(/http:\/\/(localhost|127\.0\.0\.1):\d+/)?.[0];
    if (address) {
      server.stdout.resume();
      return { address: `${address}/`, stop: () => server.kill('SIGTERM') };
    }
  }
  throw new Error(`${args.join(' ')} ended before it served`);
}

function webProject() {
  const p = project();
  writeFileSync(join(p.folder, 'main.js'), app());
  writeFileSync(join(p.folder, 'index.html'), page);
  return p;
}

for (const vite of ['vite-6', 'vite-7', 'vite']) {
  test(`${vite} builds and serves it`, async () => {
    const { folder, run } = webProject();
    run('node', tool(`${vite}/bin/vite.js`), 'build', '--base', './', '--outDir', 'out', '--target', 'esnext', '--logLevel', 'error');
    assert.equal(await digestOf(join(folder, 'out')), info.selftest.digest);
    writeFileSync(join(folder, 'vite.config.js'), "export default { optimizeDeps: { exclude: ['quarterturn'] } };");
    const server = await start(folder, tool(`${vite}/bin/vite.js`), '--host', '127.0.0.1', '--port', '0');
    try {
      assert.equal(await digestAt(server.address), info.selftest.digest);
    } finally {
      server.stop();
    }
  });
}

test('webpack builds it', async () => {
  const { folder, run } = webProject();
  run('node', tool('webpack-cli/bin/cli.js'), './main.js', '--mode', 'production', '--output-path', 'out');
  writeFileSync(join(folder, 'out/index.html'), page);
  assert.equal(await digestOf(join(folder, 'out')), info.selftest.digest);
});

for (const [name, command] of Object.entries({
  esbuild: [tool('.bin/esbuild'), 'main.js', '--bundle', '--format=esm', '--outdir=out', '--log-level=error'],
  Rollup: ['node', tool('rollup/dist/bin/rollup'), 'main.js', '-p', '@rollup/plugin-node-resolve={browser:true}', '-d', 'out', '-f', 'es', '--silent'],
})) {
  test(`${name} builds it, worker and module copied beside the bundle`, async () => {
    const { folder, run } = webProject();
    run(...command);
    for (const file of ['quarterturn.wasm', 'quarterturn-simd.wasm', 'worker.js']) cpSync(join(installed, file), join(folder, 'out', file));
    writeFileSync(join(folder, 'out/index.html'), page);
    assert.equal(await digestOf(join(folder, 'out')), info.selftest.digest);
  });
}

for (const bundler of ['webpack', 'turbopack']) {
  test(`Next.js builds it with ${bundler}, for the page and for the server`, async () => {
    const { folder, run } = project({});
    const files = {
      'next.config.mjs': `
        import { fileURLToPath } from 'node:url';
        const root = fileURLToPath(new URL('../../../..', import.meta.url)); // of this test's node_modules
        export default { serverExternalPackages: ['quarterturn'], outputFileTracingRoot: root, turbopack: { root } };`,
      'app/layout.js': "export default function Layout({ children }) { return <html lang='en'><head><title>waiting</title></head><body>{children}</body></html>; }",
      'app/page.js': "import Client from './client.js'; import { modes } from 'quarterturn'; export default function Page() { return <main>{modes.join()}<Client /></main>; }",
      'app/client.js': `'use client';
        import { useEffect } from 'react';
        import { load } from 'quarterturn';
        export default function Client() {
          useEffect(() => { load('/model.slab').then((c) => c.verify()).then((d) => { document.title = d; }, (e) => { document.title = e.message; }); }, []);
          return null;
        }`,
      'app/api/route.js': `
        import { load } from 'quarterturn';
        export const dynamic = 'force-dynamic';
        export async function GET() { const c = await load(process.cwd() + '/model.slab'); return new Response(await c.verify()); }`,
    };
    mkdirSync(join(folder, 'app/api'), { recursive: true });
    mkdirSync(join(folder, 'public'));
    cpSync(join(folder, 'model.slab'), join(folder, 'public/model.slab'));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    run('node', tool('next/dist/bin/next'), 'build', `--${bundler}`);
    const server = await start(folder, tool('next/dist/bin/next'), 'start', '--port', '0');
    try {
      assert.equal(await (await fetch(`${server.address}api`)).text(), info.selftest.digest);
      assert.equal(await digestAt(server.address), info.selftest.digest);
    } finally {
      server.stop();
    }
  });
}

test('a page imports it as it is', async () => {
  const { folder } = project();
  writeFileSync(join(folder, 'main.js'), app('./node_modules/quarterturn/quarterturn.js'));
  writeFileSync(join(folder, 'index.html'), page);
  assert.equal(await digestOf(folder), info.selftest.digest);
});

test('from another origin, as from a CDN, which a policy has to allow', async () => {
  const cdn = await host((name) => existsSync(join(installed, name)) && readFileSync(join(installed, name)), '');
  const { folder } = project();
  const { origin } = new URL(cdn.address);
  writeFileSync(join(folder, 'main.js'), app(`${cdn.address}quarterturn.js`));
  writeFileSync(join(folder, 'index.html'), page);
  try {
    assert.equal(await digestOf(folder, ''), info.selftest.digest);
    assert.equal(await digestOf(folder, `default-src 'self' data:; connect-src 'self' ${origin}; script-src 'self' ${origin} 'wasm-unsafe-eval'; worker-src blob: ${origin}`), info.selftest.digest);
  } finally {
    cdn.stop();
  }
});
