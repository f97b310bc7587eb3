// The served page in Firefox: another engine, the same bits.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { launch } from 'puppeteer-core';
import { dir, native, serve, twoModels } from './helper.js';

let server;
let browser;
let page;

before(async () => {
  server = await serve(...twoModels);
  browser = await launch({ browser: 'firefox', executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr', headless: true });
  page = await browser.newPage();
  await page.goto(server.address);
  await page.waitForSelector('body[data-ready]');
});

after(async () => {
  await browser?.close();
  server?.stop();
});

test('a sample gives the logits that native Go gives', async () => {
  await page.evaluate(() => delete document.body.dataset.digests);
  await page.click('#samples button:nth-child(8)');
  await page.waitForSelector('body[data-digests]');
  const got = JSON.parse(await page.evaluate(() => document.body.dataset.digests));
  const png = join(dir, 'sample.png');
  writeFileSync(png, Buffer.from(await (await fetch(`${server.address}samples/1-8.png`)).arrayBuffer()));
  assert.deepEqual(got, Object.fromEntries(Object.entries(native(png)).map(([mode, p]) => [mode, p.digest])));
});

test('both models pass their self-tests', async () => {
  await page.click('#proof summary');
  for (const model of ['model.slab', 'model-2.slab']) {
    await page.evaluate(() => delete document.body.dataset.ready);
    await page.select('#models', model);
    await page.waitForSelector('body[data-ready]');
    await page.click('#verify');
    await page.waitForSelector('#verified dd');
    assert.match(await page.evaluate(() => document.getElementById('verified').textContent), /passed: the same bits/);
  }
});

test('a file that is no image is named', async () => {
  const text = join(dir, 'letter.png');
  writeFileSync(text, 'Dear reader');
  await (await page.$('#file')).uploadFile(text);
  await page.waitForSelector('#status.error');
  assert.equal(await page.evaluate(() => document.getElementById('status').textContent), 'letter.png is not an image this browser can read.');
});
