// The served page in Chromium.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, beforeEach, afterEach, test } from 'node:test';
import { chromium } from 'playwright-core';
import { dir, info, native, serve, slab } from './helper.js';

let server;
let browser;
let page;
let problems;

before(async () => {
  server = await serve();
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
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

async function ready() {
  await page.goto(server.address);
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
  writeFileSync(png, Buffer.from(await (await fetch(`${server.address}samples/7.png`)).arrayBuffer()));
  const want = native(png);
  assert.deepEqual(got, digests(want));
  assert.match(await page.textContent('#summary'), new RegExp(`This looks like ${want[info.recommended].top[0].label}`));
  assert.equal(await page.locator('.mode').count(), 3);
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
    const blob = await (await fetch('samples/0.png')).blob();
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

test('verify runs the self-test in the tab', async () => {
  await ready();
  await page.click('#verify');
  await page.waitForFunction(() => document.getElementById('verified').value);
  assert.equal(await page.evaluate(() => document.getElementById('verified').value), `passed: ${info.selftest.digest}`);
});

test('a damaged slab is explained', async () => {
  await page.route('**/model.slab', (route) => route.fulfill({ body: Buffer.from(slab.subarray(0, 9999)) }));
  await page.goto(server.address);
  await page.waitForSelector('#status.error');
  assert.match(await page.textContent('#status'), /corrupt slab: .* there are 9999/);
});
