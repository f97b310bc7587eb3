// The examples in JavaScript of docs/examples, as people would run them.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { browserOptions } from './chromium.js';
import { dir, host, native, slabFile, tarball } from './helper.js';
import { png } from './png.js';

const at = (name) => fileURLToPath(new URL(name, import.meta.url));
const project = join(dir, 'examples');
const picture = join(project, 'picture.png');

before(() => {
  mkdirSync(project);
  writeFileSync(join(project, 'package.json'), '{"private": true, "type": "module"}');
  for (const name of ['browser/index.html', 'node/classify.js']) {
    cpSync(at(`../../docs/examples/${name}`), join(project, name.split('/')[1]));
  }
  cpSync(slabFile, join(project, 'model.slab'));
  execFileSync('npm', ['install', '--silent', '--no-audit', '--no-fund', '--offline', tarball], { cwd: project });
  symlinkSync(at('../node_modules/sharp'), join(project, 'node_modules/sharp'));
  writeFileSync(picture, png({ data: Uint8Array.from({ length: 4 * 28 * 28 }, (_, i) => (i % 4 === 3 ? 255 : (i * 37) % 256)), width: 28, height: 28 }));
});

test('the script in Node says what native Go says', () => {
  const out = execFileSync('node', ['classify.js', 'model.slab', 'picture.png'], { cwd: project, encoding: 'utf8' });
  const { top, mode } = native(picture)[out.match(/\((\w+)\)/)[1]];
  assert.equal(out, `picture.png: ${top.slice(0, 3).map(({ label, probability }) => `${label} ${(100 * probability).toFixed(1)} %`).join(', ')} (${mode})\n`);
});

test('the page without a build step does too', async () => {
  const server = await host((name) => existsSync(join(project, name)) && readFileSync(join(project, name)), null);
  const browser = await chromium.launch(browserOptions);
  try {
    const page = await browser.newPage();
    await page.goto(server.address);
    await page.setInputFiles('input:enabled', picture);
    const status = page.getByRole('status');
    await status.filter({ hasText: ' ms' }).waitFor();
    const text = await status.textContent();
    assert.ok(Object.values(native(picture)).some(({ top }) => text.startsWith(`${top[0].label}, ${Math.round(100 * top[0].probability)} %`)), text);
    await page.setInputFiles('input', join(project, 'package.json'));
    await status.filter({ hasText: 'not an image' }).waitFor();
  } finally {
    await browser.close();
    server.stop();
  }
});
