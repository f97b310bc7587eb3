// Makes the moving picture of the page in the README: expects a server of `quarterturn serve`,
// whose pictures to try are drawings of ours.
//
//   node test/moving.js http://127.0.0.1:8080/ ../docs/images/page.webp

import { chromium } from 'playwright-core';
import sharp from 'sharp';
import { browserOptions } from './chromium.js';

const [address, out] = process.argv.slice(2);
const browser = await chromium.launch(browserOptions);
const page = await browser.newPage({ viewport: { width: 960, height: 640 }, colorScheme: 'light', deviceScaleFactor: 1 });
const frames = [];
const delays = []; // milliseconds

async function frame(ms) {
  await page.mouse.move(950, 630); // no button lies there
  frames.push(await page.screenshot({ animations: 'disabled' }));
  delays.push(ms);
}

/** Tries the n-th of the pictures. */
async function look(n) {
  const button = `#samples button:nth-child(${n})`;
  const label = await page.getAttribute(button, 'title');
  await page.click(button);
  await page.waitForFunction((text) => document.getElementById('status').textContent === text, `Classified a sample labelled ${label}.`);
}

await page.goto(address);
await page.waitForSelector('body[data-ready]');
await page.evaluate(() => { document.getElementById('cost').style.visibility = 'hidden'; }); // times differ from frame to frame
await frame(1200);
for (const n of [9, 8, 3]) {
  await look(n);
  await frame(1400);
}
await page.check('#switch input[value=aggregated]');
await frame(1200);
await page.evaluate(() => document.getElementById('views-part').scrollIntoView({ block: 'end' }));
await frame(2400);
await page.click('#tab-teach');
const pictures = [];
for (const i of [1, 2, 10, 4, 6, 8, 7]) {
  const response = await fetch(new URL(`samples/1-${i}.png`, address));
  pictures.push({ name: `${i}.png`, mimeType: 'image/png', buffer: Buffer.from(await response.arrayBuffer()) });
}
const frog = pictures.pop(); // one that it was not shown
for (const [n, name, all] of [[1, 'Machines', pictures.slice(0, 3)], [2, 'Animals', pictures.slice(3)]]) {
  await page.fill(`.thing:nth-child(${n}) input[type=text]`, name);
  await page.keyboard.press('Tab');
  await page.setInputFiles(`.thing:nth-child(${n}) input[type=file]`, all);
  await page.waitForFunction((k) => document.querySelector(`.thing:nth-child(${k}) .count`).textContent === '3 pictures', n);
  await frame(1200);
}
await page.evaluate(() => document.activeElement.blur());
await page.setInputFiles('#try', frog);
await page.waitForSelector('#like-top .bar', { state: 'attached' });
await frame(2600);
await browser.close();
const { size } = await sharp(frames, { join: { animated: true } }).webp({ quality: 70, effort: 6, delay: delays, loop: 0 }).toFile(out);
console.log(`${out}: ${frames.length} frames, ${Math.round(size / 1000)} KB`);
