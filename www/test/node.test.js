// The package in Node.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { runInNewContext } from 'node:vm';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { calibrate } from '../quarterturn/gallery.js';
import { load, QuarterturnError } from '../quarterturn/node.js';
import { dir, info, quarterturn, sha256, slab, slabFile, wasm } from './helper.js';
import { png } from './png.js';

const colour = new Uint8Array(readFileSync(new URL('../models/cifar10.slab', import.meta.url)));

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
  // What is forgotten while a call waits is still what it was asked about.
  const asked = g.classify(stripes(true, 3));
  g.forget('across');
  assert.deepEqual([(await asked).top[0].label, (await asked).logits.length], ['down', 3]);
  const last = g.classify(stripes(true, 3));
  for (const label of ['down', 'grey']) g.forget(label);
  assert.equal((await last).top[0].label, 'down');
  for (const width of [2, 4, 7]) {
    await g.enrol('across', stripes(false, width));
    await g.enrol('down', stripes(true, width));
  }
  await g.enrol('grey', grey(9, 9));
  for (const index of [-1, 3, 1.5, NaN, null, '1', {}]) assert.throws(() => g.forget('down', index), failsWith('option', /a whole number from 0 to 2/));
  assert.equal(g.examples[1].pictures, 3);
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

test('says what is wrong with the module or with options', async () => {
  const empty = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0); // a module, but not ours
  await assert.rejects(load(slab, { wasm: empty }), failsWith('module', /but not Quarterturn's/));
  await assert.rejects(load(null, { wasm }), failsWith('fetch', /the model is to be an address.* not null/));
  await assert.rejects(load(slab, { wasm, maxWork: 1000 }), failsWith('unsupported', /more than the 1000 of maxWork/));
  await assert.rejects(load(slab, { wasm, maxMemory: 1 << 16 }), failsWith('memory', /the module alone takes/));
  await assert.rejects(load(slab, { wasm, maxMemory: -1 }), failsWith('option', /maxMemory/));
  await assert.rejects(load(colour, { wasm, maxMemory: 5 << 20 }), failsWith('unsupported', /memory/));
  const c = await load(slab, { wasm });
  await assert.rejects(c.classify(grey(4, 4), { topK: -1 }), failsWith('option', /topK/));
  await assert.rejects(c.classify(new Blob(['x'])), failsWith('image', /sharp/));
  await assert.rejects(c.classify({ data: new Float32Array(16), width: 2, height: 2 }), failsWith('image', /not Float32Array/));
  await assert.rejects(c.classify({ data: new Uint8Array(8), width: 2, height: 2, channels: 2 }), failsWith('image', /1, 3 or 4 channels/));
  assert.deepEqual((await c.classify(grey(4, 4), { topK: 0 })).top, []);
  await c.close();
});

test('takes several pictures, and pixels without alpha', async () => {
  const c = await load(slab, { wasm });
  const rgba = grey(9, 7);
  const thin = (channels) => ({ ...rgba, channels, data: rgba.data.filter((_, i) => i % 4 < channels) });
  const all = await c.classify([rgba, thin(3), thin(1), grey(3, 3)], { mode: 'single' });
  const one = await c.classify(rgba, { mode: 'single' });
  assert.deepEqual(all.map((p) => p.logits.join() === one.logits.join()), [true, true, true, false]);
  assert.deepEqual(await c.classify([]), []);
  await c.close();
});

for (const worker of [true, false]) {
  test(`a call can be given up, ${worker ? 'in a worker' : 'in this thread'}`, async () => {
    const c = await load(colour, { wasm, worker });
    const controller = new AbortController();
    const waiting = [1, 2, 3].map(() => c.classify(grey(40, 40), { mode: 'aggregated', signal: controller.signal }));
    const other = c.classify(grey(40, 40), { mode: 'aggregated' });
    controller.abort(new Error('no longer wanted'));
    for (const call of waiting) await assert.rejects(call, { name: 'AbortError', code: 'aborted', message: 'no longer wanted' });
    await assert.rejects(c.classify(grey(4, 4), { signal: AbortSignal.abort() }), { code: 'aborted' });
    assert.equal((await other).passes, 4);
    await c.close();
  });
}

test('the event loop stays free while a worker works', async () => {
  const c = await load(colour, { wasm });
  let turns = 0;
  let working = true;
  const count = () => {
    turns++;
    if (working) setImmediate(count);
  };
  setImmediate(count);
  await c.classify(Array.from({ length: 5 }, () => grey(60, 60)), { mode: 'aggregated' });
  working = false;
  assert.ok(turns > 100, `${turns} turns of the event loop`);
  await c.close();
});

test('what was taught is a slab that Go opens, with the same bits', async () => {
  const c = await load(colour, { wasm });
  const g = c.gallery();
  const shade = (seed, width, height) => ({ width, height, data: Uint8Array.from({ length: 4 * width * height }, (_, i) => (i % 4 === 3 ? 255 : (i * seed) >>> 3)) });
  await assert.rejects(g.slab(), failsWith('mode', /nothing is enrolled/));
  for (const seed of [3, 5, 9]) for (const [label, step] of [['plain', 0], ['fine', 100], ['grob ü', 1000]]) await g.enrol(label, shade(seed + step, 30 + seed, 33));
  g.rename('grob ü', 'coarse ü');
  g.forget('fine', 2);
  assert.deepEqual(g.examples, [{ label: 'plain', pictures: 3 }, { label: 'fine', pictures: 2 }, { label: 'coarse ü', pictures: 3 }]);
  assert.throws(() => g.rename('fine', 'plain'), failsWith('option', /already/));
  const taught = await g.slab({ name: 'my things' });
  const file = join(dir, 'taught.slab');
  writeFileSync(file, taught);
  quarterturn('verify', file);
  const about = JSON.parse(quarterturn('inspect', file, '--json'));
  assert.deepEqual([about.labels, about.recommended, about.name, about.provenance.images], [['plain', 'fine', 'coarse ü'], 'aggregated', 'my things', 8]);
  const d = await load(taught, { wasm });
  assert.equal(await d.verify(), about.selftest.digest);
  const [score, ...more] = about.metrics; // of the pictures, each left out in turn
  assert.deepEqual([more.length, score.mode, score.split, score.n, score.temperature], [0, 'aggregated', 'left-out', 8, 1]);
  assert.ok(score.accuracy >= 0 && score.accuracy <= 1 && score.nll > 0 && score.ece >= 0 && score.ece <= 1, JSON.stringify(score));
  const image = shade(7, 50, 41);
  const [here, there] = [await g.classify(image), await d.classify(image)];
  // The gallery's logits are 10 times its cosines, the slab's as many times as was calibrated.
  const scale = there.logits[0] / here.logits[0];
  here.logits.forEach((v, i) => assert.ok(Math.abs(there.logits[i] - scale * v) < 1e-4 * Math.abs(there.logits[i]), `${there.logits} are not ${scale} times ${here.logits}`));
  assert.ok(Math.abs(there.top[0].probability - here.calibrated[there.top[0].index]) < 1e-5);
  const picture = join(dir, 'picture.png');
  writeFileSync(picture, png(image));
  const native = JSON.parse(quarterturn('predict', '--model', file, '--json', picture));
  assert.equal(native.digest, sha256(there.logits));
  await c.close();
  await d.close();
});

test('refuses what makes no sense as an option, at once', async () => {
  for (const [name, value] of Object.entries({ maxWork: -1, maxMemory: '1', onProgress: 5, signal: 5, simd: true })) {
    await assert.rejects(load(slab, { wasm, [name]: value }), failsWith('option', new RegExp(`^${name} is to be`)));
  }
  await assert.rejects(load(slab, null), failsWith('option', /to be an object, not null/));
  const c = await load(slab, { wasm });
  const g = c.gallery();
  await g.enrol('grey', grey(4, 4));
  for (const bad of [null, { signal: 5 }]) {
    for (const call of [c.classify(grey(4, 4), bad), g.enrol('grey', grey(4, 4), bad), g.classify(grey(4, 4), bad), g.slab(bad)]) await assert.rejects(call, failsWith('option', /is to be/));
  }
  await assert.rejects(g.slab({ name: 5 }), failsWith('option', /^name is to be a string/));
  const [{ pictures }] = g.state;
  for (const state of [null, {}, 'x', [null], [{ label: 5 }], [{ label: 'a' }], [{ label: 'a', pictures: [] }], [{ label: 'a', pictures: [new Float32Array(3)] }],
    [{ label: 'a', pictures }, { label: 'a', pictures }]]) assert.throws(() => c.gallery(state), failsWith('option', /is to be|are to be/));
  assert.equal((await c.gallery([{ label: 'a', pictures }]).classify(grey(4, 4))).top[0].label, 'a');
  assert.throws(() => g.rename('unknown', 'b'), failsWith('option', /there is no label unknown/));
  for (const label of ['', ' \t', 'half \ud83d', 5]) {
    await assert.rejects(g.enrol(label, grey(4, 4)), failsWith('option', /^a label is to be/));
    assert.throws(() => g.rename('grey', label), failsWith('option', /^a label is to be/));
  }
  for (const width of ['16', 0, 1.5]) await assert.rejects(c.classify({ data: new Uint8Array(64), width, height: 1 }), failsWith('image', /width and height/));
  await c.close();
  await assert.rejects(c.classify([]), failsWith('closed', /was closed/));
});

test('a picture that is looked at while its label is renamed gets the new one', async () => {
  const c = await load(slab, { wasm });
  const g = c.gallery();
  await g.enrol('a', grey(4, 4));
  const coming = g.enrol('a', grey(5, 5));
  g.rename('a', 'b');
  await coming;
  await g.enrol('a', grey(6, 6));
  assert.deepEqual(g.examples, [{ label: 'b', pictures: 2 }, { label: 'a', pictures: 1 }]);
  await c.close();
});

test('a gallery says when it is not sure', async () => {
  // Two kinds apart by 90 degrees in two of four dimensions, with a little noise: (M, F) = (1, 4).
  const at = (angle, other = 0) => Float32Array.of(Math.cos(angle), Math.sin(angle), other, 0).map((v, _, a) => v / Math.hypot(...a));
  const noise = [-0.2, -0.1, 0, 0.1, 0.2];
  const { scale, least, score } = calibrate([{ pictures: noise.map((n) => at(n)) }, { pictures: noise.map((n) => at(Math.PI / 2 + n)) }], 1);
  assert.ok(scale > 5 && scale < 100, `${scale}`);
  assert.ok(least > 0.5 && least < 0.99, `${least}`);
  assert.deepEqual([score.n, score.accuracy], [10, 1]);
  // Kinds that cannot be told apart: the probabilities say so.
  const mixed = [-1, -0.5, 0, 0.5, 1];
  const blurred = calibrate([{ pictures: mixed.map((n) => at(n)) }, { pictures: mixed.map((n) => at(0.1 + n)) }], 1);
  assert.ok(blurred.scale < scale / 2, `${blurred.scale} and ${scale}`);
  assert.ok(blurred.score.accuracy < 1 && blurred.score.nll > score.nll, JSON.stringify(blurred.score));
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
  await assert.rejects(load(`${base}/model.slab`, { wasm, signal: AbortSignal.abort() }), { name: 'AbortError', code: 'aborted' });
});

test('every target gives the same bits', () => {
  const report = JSON.parse(quarterturn('parity', '--model', slabFile, '--json'));
  assert.equal(report.equal, true, report.difference);
  assert.equal(report.images, 40);
  assert.deepEqual(report.targets.map((t) => t.name), ['native', 'wazero', 'wazero-simd', 'wazero-interpreter', 'wazero-interpreter-simd',
    'node-wasip1', 'node-wasip1-simd', 'node-js', 'node-js-simd', 'chromium', 'chromium-simd', 'firefox', 'firefox-simd']);
  assert.equal(new Set(report.targets.map((t) => t.digest)).size, 1);
});

test('bytes are the caller\'s own again once the model is there, and an answer that stalls can be given up', async () => {
  const detached = slab.slice();
  structuredClone(detached.buffer, { transfer: [detached.buffer] });
  await assert.rejects(load(detached.buffer, { wasm }), failsWith('fetch', /cannot read the model: .*detached/));
  const mine = slab.slice();
  const c = await load(mine, { wasm });
  structuredClone(mine.buffer, { transfer: [mine.buffer] });
  const g = c.gallery();
  await g.enrol('a', grey(9, 9));
  await g.enrol('b', grey(20, 11));
  const taught = join(dir, 'mine.slab');
  writeFileSync(taught, await g.slab());
  assert.deepEqual(JSON.parse(quarterturn('inspect', taught, '--json')).labels, ['a', 'b']);
  await assert.rejects(c.classify([], { signal: AbortSignal.abort() }), { name: 'AbortError', code: 'aborted' });
  await assert.rejects(c.classify(new Blob(['no picture']), { signal: AbortSignal.abort() }), { name: 'AbortError', code: 'aborted' });
  let cancelled;
  const stalled = new Response(new ReadableStream({ cancel() { cancelled = true; } }));
  const stop = new AbortController(); // AbortSignal.timeout would not keep Node running
  setTimeout(() => stop.abort(), 50);
  await assert.rejects(load(stalled, { wasm, signal: stop.signal }), { name: 'AbortError', code: 'aborted' });
  assert.equal(cancelled, true);
  await assert.rejects(load(new Response(null, { status: 204 }), { wasm }), failsWith('fetch', /^got no data instead of the model, status 204$/));
  await c.close();
});

test('what cannot be told apart or put into words is an error with a code, too', async () => {
  const c = await load(slab, { wasm });
  const bare = Object.create(null);
  await assert.rejects(c.classify(grey(4, 4), { topK: bare }), failsWith('option', /not \[object Object\]/));
  for (const mode of [Symbol('single'), 1, null]) await assert.rejects(c.classify(grey(4, 4), { mode }), failsWith('option', /^mode is to be a string/));
  await assert.rejects(c.classify(grey(4, 4), { mode: 'best' }), failsWith('mode', /there is no mode "best"/));
  await assert.rejects(load(slab, { wasm, maxWork: bare }), failsWith('option', /not \[object Object\]/));
  await assert.rejects(c.classify(grey(4, 4), { signal: { addEventListener() {} } }), failsWith('option', /AbortSignal/));
  await assert.rejects(c.classify(grey(4, 4), { signal: AbortSignal.abort('why') }), failsWith('aborted', /^why$/));
  await assert.rejects(c.classify(grey(4, 4), { signal: AbortSignal.abort({ message: Symbol('x') }) }), failsWith('aborted', /given up/));
  const failing = { onProgress() { throw null; } };
  await assert.rejects(load(new Response(slab), { wasm, ...failing }), failsWith('fetch', /: null$/));
  await c.close();
});

test('pixels are those of the moment of the call, and no more of their buffer than that', async () => {
  for (const worker of [true, false]) {
    const c = await load(slab, { wasm, worker });
    const image = grey(9, 9);
    const { logits } = await c.classify(image);
    const large = new Uint8Array(1 << 20).fill(7);
    large.set(image.data, 4096);
    const view = { data: large.subarray(4096, 4096 + image.data.length), width: 9, height: 9 };
    const calls = [c.classify(view), c.classify(view)];
    large.fill(255);
    for (const p of await Promise.all(calls)) assert.deepEqual(p.logits, logits);
    await c.close();
  }
});

test('arrays of another realm are arrays', async () => {
  const theirs = runInNewContext('({ pixels: new Uint8Array(324).fill(128), slab: new ArrayBuffer(length) })', { length: slab.length });
  new Uint8Array(theirs.slab).set(slab);
  const c = await load(theirs.slab, { wasm });
  const p = await c.classify({ data: theirs.pixels, width: 9, height: 9 });
  assert.deepEqual(p.logits, (await c.classify({ data: new Uint8Array(324).fill(128), width: 9, height: 9 })).logits);
  await c.close();
});
