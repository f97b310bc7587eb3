// Takes pictures of the page's states, one of which is in the README: expects a server of
// `quarterturn serve`.
//
//   node test/screenshot.js http://127.0.0.1:8080/ OUTDIR

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { browserOptions } from './chromium.js';

const [address, out] = process.argv.slice(2);
mkdirSync(out, { recursive: true });
const browser = await chromium.launch(browserOptions);
const sizes = { page: { width: 1280, height: 800 }, 'page-narrow': { width: 390, height: 844 } };

for (const [name, viewport] of Object.entries(sizes)) {
  for (const colorScheme of ['light', 'dark']) {
    const page = await browser.newPage({ viewport, colorScheme, deviceScaleFactor: 1 });
    const shot = (what, options) => page.screenshot({ path: join(out, `${name}-${colorScheme}${what}.png`), ...options });
    await page.goto(address);
    await page.waitForSelector('body[data-ready]');
    await shot('-start');
    await page.click('#samples button:nth-child(8)');
    await page.waitForFunction(() => document.getElementById('status').textContent === `Classified a sample labelled ${document.querySelector('#samples button:nth-child(8)').title}.`);
    await page.evaluate(() => { document.getElementById('samples').scrollLeft = 0; });
    await shot('');
    await shot('-whole', { fullPage: true });
    await page.evaluate(() => scrollTo(0, 0));
    await page.click('#tab-teach');
    await shot('-teach-empty');
    const files = [];
    for (const i of [1, 2, 4, 5, 8, 9]) files.push({ name: `${i}.png`, mimeType: 'image/png', buffer: Buffer.from(await (await fetch(new URL(`samples/1-${i}.png`, address))).arrayBuffer()) });
    for (const [thing, name, all] of [[1, 'My cup', files.slice(0, 3)], [2, 'Keys', files.slice(3)]]) {
      await page.fill(`.thing:nth-child(${thing}) input[type=text]`, name);
      await page.keyboard.press('Tab');
      await page.setInputFiles(`.thing:nth-child(${thing}) input[type=file]`, all);
      await page.waitForFunction((n) => document.querySelector(`.thing:nth-child(${n}) .count`).textContent === '3 pictures', thing);
    }
    await page.setInputFiles('#try', files[1]);
    await page.waitForSelector('#like-top .bar', { state: 'attached' });
    await shot('-teach', { fullPage: true });
    await page.close();
  }
}
await browser.close();
