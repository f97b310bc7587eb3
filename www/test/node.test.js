// The package in Node.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { load, QuarterturnError } from '../quarterturn/node.js';
import { info, quarterturn, slab, slabFile, wasm } from './helper.js';

const grey = (width, height) => {
  const data = new Uint8Array(4 * width * height).fill(255);
  for (let i = 0; i < width * height; i++) data.fill((i * 37) % 256, 4 * i, 4 * i + 3);
  return { data, width, height };
};

const failsWith = (code, message) => (error) => {
  assert.ok(error instanceof QuarterturnError, `${error}`);
  assert.equal(error.code, code);
  assert.match(error.message, message);
  return true;
};

test('classifies in every mode', async () => {
  const c = await load(slab, { wasm });
  assert.equal(c.info.hash, info.hash);
  assert.deepEqual(c.info.labels, info.labels);
  for (const { mode, passes } of info.modes) {
    const p = await c.classify(grey(40, 31), { mode, topK: 3 });
    assert.equal(p.mode, mode);
    assert.equal(p.passes, passes);
    assert.equal(p.top.length, 3);
    assert.equal(p.top[0].label, info.labels[p.top[0].index]);
    assert.equal(p.logits[p.top[0].index], Math.max(...p.logits));
    assert.ok(Math.abs(p.probabilities.reduce((a, b) => a + b) - 1) < 1e-5);
    assert.equal(p.views?.length, mode === 'distilled' ? undefined : passes * info.labels.length);
  }
  assert.equal((await c.classify(grey(5, 5))).mode, info.recommended);
  assert.equal((await c.input()).length, 28 * 28);
  assert.equal(await c.verify(), info.selftest.digest);
  await c.close();
  await assert.rejects(c.classify(grey(5, 5)), failsWith('closed', /closed/));
});

test('a gallery tells apart what it was shown', async () => {
  const c = await load(slab, { wasm });
  const g = c.gallery();
  await assert.rejects(g.classify(grey(8, 8)), failsWith('mode', /nothing is enrolled/));
  // Stripes across and stripes down, each at three widths.
  const stripes = (down, width) => {
    const image = grey(28, 28);
    for (let y = 0; y < 28; y++) {
      for (let x = 0; x < 28; x++) image.data.fill((((down ? x : y) / width) & 1) * 255, 4 * (28 * y + x), 4 * (28 * y + x) + 3);
    }
    return image;
  };
  for (const width of [2, 4, 7]) {
    await g.enrol('across', stripes(false, width));
    await g.enrol('down', stripes(true, width));
  }
  await g.enrol('grey', grey(9, 9));
  assert.deepEqual(g.examples, [{ label: 'across', pictures: 3 }, { label: 'down', pictures: 3 }, { label: 'grey', pictures: 1 }]);
  for (const width of [3, 5]) {
    assert.equal((await g.classify(stripes(false, width))).top[0].label, 'across');
    const p = await g.classify(stripes(true, width), { topK: 2 });
    assert.deepEqual([p.top[0].label, p.top.length, p.mode, p.passes, p.logits.length, p.views.length], ['down', 2, 'matched', 4, 3, 12]);
  }
  g.forget('down');
  assert.equal((await g.classify(stripes(true, 3))).logits.length, 2);
  // The classifier's own modes are as they were.
  assert.equal((await c.classify(grey(5, 5))).mode, info.recommended);
  await c.close();
  await assert.rejects(g.enrol('late', grey(4, 4)), failsWith('closed', /closed/));
});

test('takes files and compiled modules', async () => {
  const c = await load(slabFile, { wasm: await WebAssembly.compile(wasm) });
  assert.equal(c.info.hash, info.hash);
});

test('says what is wrong with a slab', async () => {
  const changed = (at, value) => {
    const s = slab.slice();
    s[at] = value;
    return s;
  };
  const options = { wasm };
  await assert.rejects(load(slab.subarray(0, 5000), options), failsWith('corrupt', /there are 5000/));
  await assert.rejects(load(changed(8, 7), options), failsWith('version', /update quarterturn/));
  await assert.rejects(load(changed(slab.length - 1, 99), options), failsWith('corrupt', /checksum/));
  await assert.rejects(load(new TextEncoder().encode('<!doctype html>'), options), failsWith('not-slab', /HTML/));
  await assert.rejects(load(new Uint8Array(0), options), failsWith('not-slab', /0 bytes/));
  await assert.rejects(load('/no/such.slab', options), failsWith('fetch', /cannot read the model from \/no\/such.slab/));
  await assert.rejects(load(slab, { wasm: slab }), failsWith('module', /not a WebAssembly module/));
});

test('says what is wrong with an image or a mode', async () => {
  const c = await load(slab, { wasm });
  await assert.rejects(c.classify(grey(4, 4), { mode: 'fastest' }), failsWith('mode', /use auto, baseline/));
  await assert.rejects(c.classify(grey(4, 4), { mode: 'baseline' }), failsWith('mode', /does not have the mode baseline/));
  await assert.rejects(c.classify({ data: new Uint8Array(3), width: 1, height: 1 }), failsWith('image', /needs 4 bytes/));
  await assert.rejects(c.classify('a cat'), failsWith('image', /cannot take pixels/));
  assert.equal((await c.classify(grey(4, 4))).logits.length, 10); // and works on
});

test('fetches with progress, and knows HTML when it sees it', async (t) => {
  const server = createServer((request, response) => {
    if (request.url === '/model.slab') response.writeHead(200, { 'content-length': slab.length }).end(slab);
    else response.writeHead(404, { 'content-type': 'text/html' }).end('<h1>no</h1>');
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  t.after(() => server.close());
  const base = `http://127.0.0.1:${server.address().port}`;
  const seen = [];
  await load(`${base}/model.slab`, { wasm, onProgress: (p) => seen.push(p) });
  assert.deepEqual(seen.at(-1), { what: 'model', loaded: slab.length, total: slab.length });
  await assert.rejects(load(slab, { wasm: `${base}/quarterturn.wasm` }), failsWith('fetch', /got HTML instead of the wasm .* status 404/));
  await assert.rejects(load(`${base}/model.slab`, { wasm, signal: AbortSignal.abort() }), { name: 'AbortError' });
});

test('every target gives the same bits', () => {
  const report = JSON.parse(quarterturn('parity', '--model', slabFile, '--json'));
  assert.equal(report.equal, true, report.difference);
  assert.equal(report.images, 40);
  assert.deepEqual(report.targets.map((t) => t.name), ['native', 'wazero', 'wazero-simd', 'wazero-interpreter', 'wazero-interpreter-simd',
    'node-wasip1', 'node-wasip1-simd', 'node-js', 'node-js-simd', 'chromium', 'chromium-simd', 'firefox', 'firefox-simd']);
  assert.equal(new Set(report.targets.map((t) => t.digest)).size, 1);
});
