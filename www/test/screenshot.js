// Takes pictures of the page's states, two of which are in the README: expects a
// server with a model of the clothes, as `quarterturn demo` makes it.
//
//   node test/screenshot.js http://127.0.0.1:8080/ OUTDIR

import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { browserOptions } from './chromium.js';

const [address, out] = process.argv.slice(2);
const browser = await chromium.launch(browserOptions);

/** Opens the page and has two samples classified: the first run is slower than the rest. */
async function open(options) {
  const page = await browser.newPage(options);
  await page.goto(address);
  await page.waitForSelector('body[data-ready]');
  return page;
}

async function classify(page) {
  for (const [sample, label] of [[9, 'Bag'], [8, 'Sneaker'], [7, 'Shirt']]) {
    await page.click(`#samples button:nth-child(${sample})`);
    await page.waitForFunction((l) => document.getElementById('status').textContent.includes(l), label);
  }
}

const wide = { viewport: { width: 1040, height: 900 } };
const narrow = { viewport: { width: 360, height: 780 }, colorScheme: 'dark' };

let page = await open(wide);
await page.screenshot({ path: join(out, 'page-start.png'), fullPage: true });
await classify(page);
await page.check('#switch input[value=aggregated]');
await page.click('#verify');
await page.waitForSelector('#verified dd');
await page.evaluate(() => scrollTo(0, 0));
await page.screenshot({ path: join(out, 'page.png'), fullPage: true });

await page.setInputFiles('#file', { name: 'letter.txt', mimeType: 'text/plain', buffer: Buffer.from('Dear reader') });
await page.waitForSelector('#status.error');
await page.screenshot({ path: join(out, 'page-error.png') });

page = await open(wide);
await page.click('#camera');
await page.waitForFunction(() => document.getElementById('status').textContent.includes('camera'));
await page.screenshot({ path: join(out, 'page-camera.png') });

page = await open(narrow);
await classify(page);
await page.evaluate(() => document.getElementById('answer').scrollIntoView());
await page.screenshot({ path: join(out, 'page-narrow.png') });
await browser.close();
