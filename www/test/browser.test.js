// The package in Chromium, without the page.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';
import { browserOptions } from './chromium.js';
import { host, info, sha256, simd, slab, wasm } from './helper.js';
import { load } from '../quarterturn/node.js';
import { png } from './png.js';

const own = new Set(readdirSync(new URL('../quarterturn/', import.meta.url)));
const image = { data: Uint8Array.from({ length: 4 * 40 * 31 }, (_, i) => (i % 4 === 3 ? 255 : (i * 2654435761) >>> 24)), width: 40, height: 31 };
let server;
let other; // of another origin
let browser;
let page;

before(async () => {
  server = await host((name, query) => {
    if (name === 'f.js') return Buffer.from(`export default ${decodeURIComponent(query)}`);
    if (name === 'index.html') return Buffer.from('<!doctype html><title>test</title>');
    if (name === 'quarterturn.wasm') return wasm;
    if (name === 'quarterturn-simd.wasm') return simd;
    if (name === 'model.slab') return slab;
    if (name === 'image.png') return png(image);
    if (name === 'gamma.png') return png(image, 1);
    return own.has(name) && readFileSync(new URL(`../quarterturn/${name}`, import.meta.url));
  }, "default-src 'self'; img-src *; script-src 'self' 'wasm-unsafe-eval'");
  other = await host((name) => {
    if (name === 'image.png') return png(image);
    if (name === 'frame.html') return Buffer.from('<!doctype html><script type=module src=frame.js></script>');
    if (name === 'frame.js') {
      return Buffer.from(`import { load } from '${server.address}quarterturn.js';
        load('${server.address}model.slab').then((c) => c.verify()).then((digest) => parent.postMessage(digest, '*'), (e) => parent.postMessage(e.code + ': ' + e.message, '*'));`);
    }
    if (name === 'sandbox.html') return Buffer.from('<!doctype html><script>onmessage = (e) => { globalThis.said = e.data; }</script><iframe sandbox="allow-scripts" src="frame.html"></iframe>');
    return undefined;
  }, '');
  browser = await chromium.launch(browserOptions);
  page = await browser.newPage();
  await page.goto(server.address);
});

after(async () => {
  await browser?.close();
  server?.stop();
  other?.stop();
});

/** Runs f in the page with the package and the test image. */
const inPage = (f, more) => page.evaluate(async ([source, { width, height, data }, more]) => {
  const { load, QuarterturnError } = await import('./quarterturn.js');
  const image = { data: new Uint8Array(data), width, height };
  const failure = (promise) => promise.then(() => 'nothing failed', (e) => ({ ours: e instanceof QuarterturnError, name: e.name, code: e.code, message: e.message }));
  return (await import(`./f.js?${encodeURIComponent(source)}`)).default({ load, image, failure, more });
}, [String(f), { ...image, data: Array.from(image.data) }, more]);

test('a worker and the page itself give the logits that Node gives', async () => {
  const c = await load(slab, { wasm });
  const want = [];
  for (const { mode } of info.modes) want.push(sha256((await c.classify(image, { mode })).logits));
  for (const options of [{}, { worker: false }, { simd: false }]) {
    const got = await inPage(async ({ load, image, more }) => {
      const c = await load('model.slab', more);
      const logits = [];
      for (const { mode } of c.info.modes) logits.push(Array.from((await c.classify(image, { mode })).logits));
      c.close();
      return logits;
    }, options);
    assert.deepEqual(got.map((logits) => sha256(Float32Array.from(logits))), want);
  }
});

test('every kind of input gives the same logits', async () => {
  const { kinds, video, errors } = await inPage(async ({ load, image, failure }) => {
    const c = await load('model.slab');
    const { width, height } = image;
    const data = new ImageData(new Uint8ClampedArray(image.data), width, height);
    const canvas = Object.assign(document.createElement('canvas'), { width, height });
    canvas.getContext('2d').putImageData(data, 0, 0);
    const offscreen = new OffscreenCanvas(width, height);
    offscreen.getContext('2d').putImageData(data, 0, 0);
    const blob = await offscreen.convertToBlob();
    const element = new Image();
    element.src = 'image.png';
    await element.decode();
    const inputs = { pixels: image, HTMLImageElement: element, ImageData: data, canvas, OffscreenCanvas: offscreen, Blob: blob, File: new File([blob], 'a.png'), ImageBitmap: await createImageBitmap(data) };
    const kinds = {};
    for (const [kind, input] of Object.entries(inputs)) kinds[kind] = Array.from((await c.classify(input)).logits).join();
    const player = document.createElement('video');
    const errors = [await failure(c.classify(player)), await failure(c.classify(new Image())), await failure(c.classify(null))];
    player.srcObject = await navigator.mediaDevices.getUserMedia({ video: true });
    await player.play();
    const video = (await c.classify(player)).logits.length;
    player.srcObject.getTracks()[0].stop();
    c.close();
    return { kinds, video, errors };
  });
  assert.deepEqual([...new Set(Object.values(kinds))].length, 1, JSON.stringify(kinds));
  assert.equal(video, info.labels.length);
  assert.deepEqual(errors.map((e) => e.code), ['image', 'image', 'image']);
});

test('progress comes to the end, with timings', async () => {
  const { seen, timings } = await inPage(async ({ load }) => {
    const seen = [];
    const c = await load('model.slab', { onProgress: (p) => seen.push(p) });
    const { timings } = c;
    c.close();
    return { seen, timings };
  });
  for (const [what, { length }] of Object.entries({ model: slab, wasm: simd })) {
    assert.deepEqual(seen.filter((p) => p.what === what).at(-1), { what, loaded: length, total: length });
  }
  assert.ok(timings.download > 0 && timings.compile > 0 && timings.open > 0, JSON.stringify(timings));
});

test('one build of the module is downloaded: with vector operations, or the plain one', async () => {
  const got = await inPage(async ({ load, image, failure }) => {
    const { validate } = WebAssembly;
    const loads = [];
    for (const [options, has] of [[{}, true], [{ simd: 'auto' }, true], [{ simd: false }, true], [{}, false]]) {
      if (!has) WebAssembly.validate = () => false;
      performance.clearResourceTimings();
      const c = await load('model.slab', { ...options, worker: false });
      const { logits } = await c.classify(image);
      const files = performance.getEntriesByType('resource').map(({ name }) => name.split('/').at(-1)).filter((name) => name.endsWith('.wasm'));
      loads.push({ build: c.build, files, logits: logits.join(), digest: await c.verify() });
      await c.close();
      WebAssembly.validate = validate;
    }
    return { loads, error: await failure(load('model.slab', { simd: 'yes' })) };
  });
  assert.deepEqual(got.loads.map(({ build }) => build), ['simd', 'simd', 'plain', 'plain']);
  for (const { build, files, logits, digest } of got.loads) {
    assert.deepEqual(files, [build === 'simd' ? 'quarterturn-simd.wasm' : 'quarterturn.wasm']);
    assert.equal(logits, got.loads[0].logits);
    assert.equal(digest, info.selftest.digest);
  }
  assert.equal(got.error.code, 'option');
  assert.match(got.error.message, /simd is to be 'auto' or false, not yes/);
});

test('a download can be given up in the middle', async () => {
  const error = await inPage(({ load, failure }) => {
    const controller = new AbortController();
    return failure(load('model.slab', { signal: controller.signal, onProgress: () => controller.abort() }));
  });
  assert.deepEqual([error.name, error.code, error.ours], ['AbortError', 'aborted', true]);
});

test('a worker that crashes is replaced', async () => {
  await inPage(async ({ load, image }) => {
    globalThis.survivor = await load('model.slab');
    globalThis.before = (await globalThis.survivor.classify(image)).logits.join();
  });
  await page.workers()[0].evaluate(() => { self.onmessage = () => { throw new Error('boom'); }; });
  const { error, same } = await inPage(async ({ image, failure }) => {
    const error = await failure(Promise.all([globalThis.survivor.classify(image), globalThis.survivor.classify(image)]));
    const same = (await globalThis.survivor.classify(image)).logits.join() === globalThis.before;
    await globalThis.survivor.close();
    return { error, same };
  });
  assert.equal(error.code, 'crashed');
  assert.match(error.message, /the worker failed: .*boom/);
  assert.equal(same, true);
});

test('a policy without wasm-unsafe-eval is named', async () => {
  const strict = await host((name) => (name === 'index.html' ? Buffer.from('<!doctype html>') : name === 'quarterturn-simd.wasm' ? simd : own.has(name) && readFileSync(new URL(`../quarterturn/${name}`, import.meta.url))), "default-src 'self'");
  const tab = await browser.newPage();
  await tab.goto(strict.address);
  const code = await tab.addScriptTag({ type: 'module', url: `${strict.address}quarterturn.js` }).then(() => tab.evaluate(async () => {
    const { load } = await import('./quarterturn.js');
    return load(new Uint8Array(9)).catch((e) => [e.code, e.message]);
  }));
  assert.equal(code[0], 'csp');
  assert.match(code[1], /'wasm-unsafe-eval'/);
  await tab.close();
  strict.stop();
});

test('pixels are taken as they are stored, whatever holds them', async () => {
  const result = await inPage(async ({ load, failure, more: foreign }) => {
    const c = await load('model.slab', { worker: false });
    const blob = await (await fetch('gamma.png')).blob();
    const element = new Image();
    element.src = 'gamma.png';
    await element.decode();
    const same = [];
    for (const input of [blob, element]) {
      await c.classify(input);
      same.push((await c.input()).join());
    }
    const canvas = new OffscreenCanvas(8, 8);
    canvas.getContext('2d').fillStyle = '#c08040';
    canvas.getContext('2d').fillRect(0, 0, 8, 8);
    const plain = canvas.getContext('2d').getImageData(0, 0, 8, 8);
    const wide = canvas.getContext('2d').getImageData(0, 0, 8, 8, { colorSpace: 'display-p3' });
    const frame = new VideoFrame(canvas, { timestamp: 0 });
    const kinds = [];
    for (const input of [plain, wide, frame]) {
      await c.classify(input);
      kinds.push(Array.from(await c.input()));
    }
    frame.close();
    const far = new Image();
    far.src = foreign;
    await far.decode();
    return { same: new Set(same).size, kinds, error: await failure(c.classify(far)) };
  }, other.address + 'image.png');
  assert.equal(result.same, 1);
  for (const kind of result.kinds.slice(1)) kind.forEach((v, i) => assert.ok(Math.abs(v - result.kinds[0][i]) < 0.1, `${v} and ${result.kinds[0][i]}`));
  assert.deepEqual([result.error.code, result.error.ours], ['image', true]);
  assert.match(result.error.message, /another origin/);
});

test('in a sandboxed frame it runs in a worker, too, and where there can be none it says so', async () => {
  const framed = await browser.newPage();
  await framed.goto(`${other.address}sandbox.html`);
  const said = await (await framed.waitForFunction(() => globalThis.said)).jsonValue();
  assert.equal(said, info.selftest.digest);
  await framed.close();
  const error = await inPage(async ({ load, failure }) => {
    const { Worker } = globalThis;
    globalThis.Worker = class { constructor() { throw new DOMException('not here', 'SecurityError'); } };
    const error = await failure(load('model.slab'));
    globalThis.Worker = Worker;
    return error;
  });
  assert.deepEqual([error.ours, error.code], [true, 'crashed']);
  assert.match(error.message, /not here; .*worker: false/);
});

test('a JPEG file of thousands of scans is refused before the browser decodes it', async () => {
  const error = await inPage(async ({ load, failure }) => {
    const c = await load('model.slab');
    const frame = [0xff, 0xd8, 0xff, 0xc2, 0, 11, 8, 15, 0x40, 16, 0xe0, 1, 1, 0x11, 0]; // 4320 x 3904
    const scan = [0xff, 0xda, 0, 8, 1, 1, 0, 1, 63, 0, 0xff, 0]; // a stuffed byte, which is no marker
    const file = new File([new Uint8Array([...frame, ...Array(7000).fill(scan).flat(), 0xff, 0xd9])], 'bomb.jpg');
    const error = await failure(c.classify(file));
    c.close();
    return error;
  });
  assert.deepEqual([error.ours, error.code], [true, 'image']);
  assert.match(error.message, /^bomb.jpg refines 4320x3904 pixels 7000 times/);
});

test('what cannot be loaded is explained', async () => {
  const errors = await inPage(async ({ load, failure }) => [
    await failure(load('model.slab', { wasm: 'no-such.wasm' })),
    await failure(load('no-such.slab')),
    await failure(load((await (await fetch('model.slab')).arrayBuffer()).slice(0, 7000))),
    await failure(load('quarterturn.wasm')),
    await failure(load('http://127.0.0.1:1/model.slab')),
  ]);
  assert.ok(errors.every((e) => e.ours), JSON.stringify(errors));
  assert.deepEqual(errors.map((e) => e.code), ['fetch', 'fetch', 'corrupt', 'not-slab', 'fetch']);
  assert.match(errors[0].message, /got HTML instead of the wasm from .*no-such.wasm, status 404/);
  assert.match(errors[2].message, /there are 7000/);
  assert.match(errors[3].message, /this is a WebAssembly module/);
});

test('two at once do not mix, and closing one leaves the other', async () => {
  const { same, error } = await inPage(async ({ load, image, failure }) => {
    const dark = { ...image, data: image.data.map((v, i) => (i % 4 === 3 ? v : v >> 3)) };
    const [a, b] = await Promise.all([load('model.slab'), load('model.slab')]);
    const alone = [(await a.classify(image)).logits, (await a.classify(dark)).logits].join();
    const together = [];
    for (let i = 0; i < 20; i++) together.push(Promise.all([a.classify(image), b.classify(dark)]));
    const same = (await Promise.all(together)).every(([x, y]) => [x.logits, y.logits].join() === alone);
    const waiting = failure(a.classify(image));
    a.close();
    const error = await waiting;
    await b.classify(image);
    b.close();
    return { same, error };
  });
  assert.equal(same, true);
  assert.equal(error.code, 'closed');
});

test('10,000 pictures and 100 times open and close take no more memory', async () => {
  const { before, after } = await inPage(async ({ load, image }) => {
    const module = await WebAssembly.compileStreaming(fetch('quarterturn.wasm'));
    const slab = await (await fetch('model.slab')).arrayBuffer();
    const grown = [];
    const memory = () => grown.at(-1).buffer.byteLength;
    const { instantiate } = WebAssembly;
    WebAssembly.instantiate = async (...args) => {
      const instance = await instantiate(...args);
      grown.push(instance.exports.memory);
      return instance;
    };
    const c = await load(slab, { wasm: module, worker: false });
    for (let i = 0; i < 100; i++) await c.classify(image, { mode: 'distilled' });
    const before = memory();
    for (let i = 0; i < 10000; i++) {
      image.data[(4 * i) % image.data.length] = i;
      await c.classify(image, { mode: 'distilled' });
    }
    const after = memory();
    c.close();
    WebAssembly.instantiate = instantiate;
    for (let i = 0; i < 100; i++) {
      const again = await load(slab, { wasm: module });
      await again.classify(image);
      await again.close();
    }
    return { before, after };
  });
  assert.equal(after, before);
  while (page.workers().length > 0) await page.workers()[0]?.waitForEvent('close', { timeout: 10000 });
});
