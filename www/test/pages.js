// What the tests of the served page share: a server, a browser, and a page for each test.

import { after, afterEach, before, beforeEach } from 'node:test';
import { chromium } from 'playwright-core';
import { browserOptions } from './chromium.js';
import { serve, twoModels } from './helper.js';

export let server;
export let page;
export let problems; // what went wrong in the page
let browser;

before(async () => {
  server = await serve(...twoModels);
  browser = await chromium.launch(browserOptions);
});

after(async () => {
  await browser?.close();
  server?.stop();
});

beforeEach(async () => {
  page = await (await browser.newContext({ acceptDownloads: true })).newPage();
  problems = [];
  page.on('console', (m) => m.type() === 'error' && problems.push(m.text()));
  page.on('pageerror', (e) => problems.push(String(e)));
  page.on('request', (r) => r.url().startsWith(server.address) || /^(data|blob):/.test(r.url()) || problems.push(`asked ${r.url()}`));
});

afterEach(() => page.context().close());

export async function ready(address = server.address) {
  await page.goto(address);
  await page.waitForSelector('body[data-ready]');
}

/** Chooses a model of the list. */
export async function choose(index) {
  await page.evaluate(() => delete document.body.dataset.ready);
  await page.selectOption('#models', { index });
  await page.waitForSelector('body[data-ready]');
}

/** Waits for the answer to what `act` does; returns the logits' digests by mode. */
export async function answer(act) {
  await page.evaluate(() => delete document.body.dataset.digests);
  await act();
  await page.waitForSelector('body[data-digests]');
  return JSON.parse(await page.evaluate(() => document.body.dataset.digests));
}

export const digests = (predictions) => Object.fromEntries(Object.entries(predictions).map(([mode, p]) => [mode, p.digest]));

/** Drops files, [name, type, bytes], on an element. */
export const dropOn = (selector, ...files) => page.evaluate(([selector, files]) => {
  const transfer = new DataTransfer();
  for (const [name, type, data] of files) transfer.items.add(new File([new Uint8Array(data)], name, { type }));
  const target = document.querySelector(selector);
  for (const kind of ['dragover', 'drop']) target.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
}, [selector, files.map(([name, type, data]) => [name, type, Array.from(data)])]);

/** Some sample pictures of the second model, as dropOn takes them. */
export const some = (...numbers) => Promise.all(numbers.map(async (n) => [`${n}.png`, 'image/png', new Uint8Array(await (await fetch(`${server.address}samples/2-${n}.png`)).arrayBuffer())]));
