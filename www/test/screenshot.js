// Takes the README's picture of the page: starts nothing, expects a server.
//
//   node test/screenshot.js http://127.0.0.1:8080/ ../docs/images/page.png

import { chromium } from 'playwright-core';

const [address, out] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
});
const page = await browser.newPage({ viewport: { width: 1040, height: 1000 } });
await page.goto(address);
await page.waitForSelector('body[data-ready]');
await page.click('#samples button:nth-child(9)');
await page.waitForSelector('body[data-digests]');
await page.click('#samples button:nth-child(7)'); // a second one: the first run is slower than the rest
await page.waitForFunction(() => document.getElementById('status').textContent.includes('Shirt'));
await page.screenshot({ path: out, fullPage: true });
await browser.close();
