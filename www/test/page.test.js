// The served page in Chromium.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, afterEach, test } from 'node:test';
import { chromium } from 'playwright-core';
import { browserOptions } from './chromium.js';
import { dir, host, info, native, serve, slab } from './helper.js';

let server;
let browser;
let page;
let problems;

before(async () => {
  server = await serve();
  browser = await chromium.launch(browserOptions);
});

after(async () => {
  await browser?.close();
  server?.stop();
});

beforeEach(async () => {
  page = await browser.newPage();
  problems = [];
  page.on('console', (m) => m.type() === 'error' && problems.push(m.text()));
  page.on('pageerror', (e) => problems.push(String(e)));
  page.on('request', (r) => r.url().startsWith(server.address) || r.url().startsWith('data:') || problems.push(`asked ${r.url()}`));
});

afterEach(() => page.close());

async function ready(address = server.address) {
  await page.goto(address);
  await page.waitForSelector('body[data-ready]');
}

/** Waits for the answer to what `act` does and gives the logits' digests by mode. */
async function answer(act) {
  await page.evaluate(() => delete document.body.dataset.digests);
  await act();
  await page.waitForSelector('body[data-digests]');
  return JSON.parse(await page.evaluate(() => document.body.dataset.digests));
}

const digests = (predictions) => Object.fromEntries(Object.entries(predictions).map(([mode, p]) => [mode, p.digest]));

test('a sample gives the logits that native Go gives', async () => {
  await ready();
  const got = await answer(() => page.click('#samples button:nth-child(8)'));
  const png = join(dir, 'sample.png');
  writeFileSync(png, Buffer.from(await (await fetch(`${server.address}samples/1-8.png`)).arrayBuffer()));
  const want = native(png);
  assert.deepEqual(got, digests(want));
  assert.match(await page.textContent('#summary'), new RegExp(`This looks like ${want[info.recommended].top[0].label}`));
  assert.equal(await page.locator('#modes .mode').count(), 3);
  assert.equal(await page.locator('#views figure').count(), 4);
  assert.deepEqual(problems, []);
});

test('a file of another size, too', async () => {
  await ready();
  const png = join(dir, 'odd.png');
  const data = await page.evaluate(async () => {
    const canvas = new OffscreenCanvas(61, 97);
    const context = canvas.getContext('2d');
    for (let i = 0; i < 40; i++) {
      context.fillStyle = `hsl(${i * 40} 80% 50%)`;
      context.fillRect((i * 23) % 61, (i * 41) % 97, 17, 11);
    }
    context.globalCompositeOperation = 'destination-over';
    context.fillRect(0, 0, 61, 97);
    return Array.from(new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer()));
  });
  writeFileSync(png, Buffer.from(data));
  assert.deepEqual(await answer(() => page.setInputFiles('#file', png)), digests(native(png)));
  assert.deepEqual(problems, []);
});

test('a dropped file is classified', async () => {
  await ready();
  await answer(() => page.evaluate(async () => {
    const blob = await (await fetch('samples/1-1.png')).blob();
    const transfer = new DataTransfer();
    transfer.items.add(new File([blob], 'shirt.png', { type: 'image/png' }));
    document.getElementById('drop').dispatchEvent(new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true }));
  }));
  assert.equal(await page.textContent('#status'), 'Classified shirt.png.');
  assert.deepEqual(problems, []);
});

test('a drawing is classified', async () => {
  await ready();
  const box = await page.locator('#drawing').boundingBox();
  await answer(async () => {
    await page.mouse.move(box.x + 60, box.y + 60);
    await page.mouse.down();
    await page.mouse.move(box.x + 160, box.y + 60, { steps: 5 });
    await page.mouse.move(box.x + 160, box.y + 180, { steps: 5 });
    await page.mouse.up();
  });
  assert.equal(await page.textContent('#status'), 'Classified the drawing.');
  assert.deepEqual(problems, []);
});

test('a file that is no image is named, and the page works on', async () => {
  await ready();
  const text = join(dir, 'letter.png');
  writeFileSync(text, 'Dear reader');
  await page.setInputFiles('#file', text);
  await page.waitForSelector('#status.error');
  assert.equal(await page.textContent('#status'), 'letter.png is not an image this browser can read.');
  await answer(() => page.click('#samples button:nth-child(1)'));
});

test('a pasted picture is classified', async () => {
  await ready();
  await answer(() => page.evaluate(async () => {
    const blob = await (await fetch('samples/1-1.png')).blob();
    const transfer = new DataTransfer();
    transfer.items.add(new File([blob], 'image.png', { type: 'image/png' }));
    document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: transfer }));
  }));
  assert.equal(await page.textContent('#status'), 'Classified the pasted picture.');
  await page.evaluate(() => document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: new DataTransfer() })));
  await page.waitForSelector('#status.error');
  assert.equal(await page.textContent('#status'), 'there is no picture on the clipboard.');
  assert.deepEqual(problems, []);
});

test('the camera is classified live, until it is stopped', async () => {
  await ready();
  const first = await answer(() => page.click('#camera'));
  assert.equal(await page.textContent('#status'), 'Classified what the camera sees.');
  await page.waitForFunction((d) => document.body.dataset.digests !== d, JSON.stringify(first)); // the pattern moves
  await page.click('#camera');
  assert.equal(await page.isVisible('#video'), false);
  assert.equal(await page.evaluate(() => document.getElementById('video').srcObject), null);
  assert.deepEqual(problems, []);
});

test('the switch changes the answer that is read out, and its cost', async () => {
  await ready();
  await answer(() => page.click('#samples button:nth-child(3)'));
  await page.check('#switch input[value=aggregated]');
  assert.match(await page.textContent('#cost'), /^aggregated: 4 passes of the net, [\d.]+ ms$/);
  await page.check('#switch input[value=single]');
  assert.match(await page.textContent('#cost'), /^single: one pass of the net, [\d.]+ ms$/);
  assert.deepEqual(problems, []);
});

test('the views add up to the aggregated answer', async () => {
  await ready();
  await answer(() => page.click('#samples button:nth-child(3)'));
  const rows = await page.locator('#sum tbody tr').evaluateAll((all) => all.map((row) => Array.from(row.cells, (c) => c.textContent)));
  assert.equal(rows.length, 3);
  for (const [label, ...numbers] of rows) {
    const [mean, ...views] = numbers.map(Number).reverse();
    assert.ok(info.labels.includes(label));
    assert.equal(views.length, 4);
    assert.ok(Math.abs(views.reduce((a, b) => a + b) / 4 - mean) < 0.011, `${views} do not make ${mean}`);
  }
});

test('another model can be chosen', async () => {
  await ready();
  await page.check('#models label:nth-child(2) input');
  await page.waitForFunction(() => document.querySelector('#models label:nth-child(2) input').checked && document.body.dataset.ready);
  assert.match(await page.textContent('#model'), /32 × 32, colour/);
  assert.equal(await page.isVisible('#drawing'), false);
  await page.click('#verify');
  await page.waitForSelector('#verified dd');
  assert.match(await page.textContent('#verified'), /passed: the same bits/);
  assert.deepEqual(problems, []);
});

test('verify runs the self-test in the tab, in both builds of the module', async () => {
  await ready();
  await page.click('#verify');
  await page.waitForSelector('#verified dd');
  assert.deepEqual(await page.locator('#verified dt').allTextContents(), ['Computed here, build with vector operations (SIMD)', 'Computed here, plain build', 'When it was made', 'Result']);
  assert.deepEqual(await page.locator('#verified dd').allTextContents(), [...Array(3).fill(info.selftest.digest), 'passed: the same bits']);
});

test('under a sub-path of a static host, and then without a network', async (t) => {
  const files = await host(async (name) => {
    const response = await fetch(server.address + (name === 'index.html' ? '' : name));
    return response.ok && Buffer.from(await response.arrayBuffer());
  });
  t.after(() => files.stop());
  page.removeAllListeners('request');
  await ready(files.address);
  const there = await answer(() => page.click('#samples button:nth-child(2)'));
  await page.evaluate(async () => {
    await navigator.serviceWorker.ready;
  });
  await page.context().setOffline(true);
  files.stop();
  await ready(files.address);
  assert.deepEqual(await answer(() => page.click('#samples button:nth-child(2)')), there);
});

test('nothing serious for a screen reader, nothing too wide, nothing that jumps', async () => {
  const axe = readFileSync(new URL('../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');
  for (const [width, colorScheme] of [[1040, 'light'], [360, 'dark']]) {
    await page.setViewportSize({ width, height: 800 });
    await page.emulateMedia({ colorScheme });
    await page.addInitScript(() => {
      globalThis.shift = 0;
      new PerformanceObserver((list) => list.getEntries().forEach((e) => { if (!e.hadRecentInput) globalThis.shift += e.value; })).observe({ type: 'layout-shift', buffered: true });
    });
    await ready();
    assert.ok(await page.evaluate(() => globalThis.shift) < 0.1, `at ${width} pixels the page jumps by ${await page.evaluate(() => globalThis.shift)}`);
    await answer(() => page.click('#samples button:nth-child(1)'));
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width);
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => globalThis.axe.run());
    assert.deepEqual(violations.filter(({ impact }) => ['serious', 'critical'].includes(impact)).map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(' ')}`), []);
  }
});

test('the keyboard reaches everything', async () => {
  await ready();
  const seen = new Set();
  for (let i = 0; i < 40; i++) {
    await page.keyboard.press('Tab');
    seen.add(await page.evaluate(() => document.activeElement.id || document.activeElement.name || document.activeElement.title));
  }
  for (const id of ['file', 'camera', 'invert', 'clear', 'mode', 'model', 'verify', 'Shirt']) assert.ok(seen.has(id), `${id} is not among ${[...seen]}`);
});

test('a damaged slab is explained', async () => {
  await page.route('**/model.slab', (route) => route.fulfill({ body: Buffer.from(slab.subarray(0, 9999)) }));
  await page.goto(server.address);
  await page.waitForSelector('#status.error');
  assert.match(await page.textContent('#status'), /corrupt slab: .* there are 9999/);
});

test('it is taught two things, and told to forget one', async () => {
  await ready();
  assert.ok(await page.isDisabled('#add'));
  for (const [sample, name] of [[1, 'first'], [8, '<b>eighth</b>'], [8, '<b>eighth</b>']]) {
    await answer(() => page.click(`#samples button:nth-child(${sample})`));
    await page.fill('#name', name);
    await page.click('#add');
    await page.waitForFunction((n) => document.getElementById('taught').textContent.includes(n), name);
  }
  await page.waitForFunction(() => document.getElementById('taught').textContent.includes('2 pictures'));
  await page.waitForFunction(() => document.querySelector('#like strong')?.textContent === '<b>eighth</b>');
  await answer(() => page.click('#samples button:nth-child(1)'));
  await page.waitForFunction(() => document.querySelector('#like strong')?.textContent === 'first');
  await page.click('#taught li:nth-child(1) button');
  await page.waitForFunction(() => document.querySelectorAll('#taught li').length === 1 && document.querySelector('#like strong')?.textContent === '<b>eighth</b>');
  assert.deepEqual(problems, []);
});
