// The served page in Chromium.

import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { dir, host, info, native, quarterturn, slab, slabFile } from './helper.js';
import { answer, choose, digests, dropOn, page, problems, ready, server, some } from './pages.js';
import { png } from './png.js';

test('a sample gives the logits that native Go gives', async () => {
  await ready();
  const got = await answer(() => page.click('#samples button:nth-child(8)'));
  const png = join(dir, 'sample.png');
  writeFileSync(png, Buffer.from(await (await fetch(`${server.address}samples/1-8.png`)).arrayBuffer()));
  const want = native(png);
  assert.deepEqual(got, digests(want));
  assert.equal(await page.textContent('#top .bar span'), want[info.recommended].top[0].label);
  const { label, probability } = want[info.recommended].top[0];
  const [text, why] = probability < 0.6 ? ['Not sure', /^Perhaps /] : [probability < 0.9 ? `Probably ${label}` : label, /^(>?\d+) % sure$/];
  assert.equal(await page.textContent('#summary'), text);
  assert.match(await page.textContent('#sure'), why);
  assert.equal(await page.locator('#modes .mode').count(), 3);
  assert.equal(await page.locator('#views figure').count(), 4);
  assert.deepEqual(problems, []);
});

test('a file of another size, too, and when another model is chosen', async () => {
  await ready();
  await choose(1);
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
  await answer(() => page.setInputFiles('#file', png));
  // Another model is asked about the picture that is in view.
  assert.deepEqual(await answer(() => choose(0)), digests(native(png)));
  assert.equal(await page.textContent('#status'), 'Classified odd.png.');
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
  await page.click('#draw');
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
  await page.setInputFiles('#file', { name: 'mk.txt', mimeType: 'text/plain', buffer: Buffer.from('Dear reader') });
  await page.waitForFunction(() => document.getElementById('status').textContent === 'mk.txt is not an image.');
  await page.setInputFiles('#file', { name: 'junk.slab', mimeType: '', buffer: Buffer.from('Dear reader') });
  await page.waitForFunction(() => document.getElementById('status').textContent.startsWith('junk.slab is not a slab, or was damaged on its way ('));
  await page.setInputFiles('#file', { name: 'plan.svg', mimeType: 'image/svg+xml', buffer: Buffer.from('<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>') });
  await page.waitForFunction(() => document.getElementById('status').textContent === 'plan.svg is a drawing (SVG), without pixels of its own, which this browser does not read: save it as JPEG or PNG.');
  await page.setInputFiles('#file', { name: 'IMG_1.HEIC', mimeType: '', buffer: Buffer.from('\0\0\0\x18ftypheic\0\0\0\0') });
  await page.waitForFunction(() => document.getElementById('status').textContent === 'IMG_1.HEIC is HEIC, which this browser does not read: save it as JPEG or PNG.');
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

test('a picture that is chosen while the camera is on has its own answer', async () => {
  await ready();
  const want = JSON.stringify(await answer(() => page.click('#samples button:nth-child(3)')));
  for (let i = 0; i < 4; i++) {
    await answer(() => page.click('#camera'));
    await page.click('#samples button:nth-child(3)');
    await page.waitForFunction(() => document.getElementById('video').srcObject === null && /sample/.test(document.getElementById('status').textContent));
    await page.waitForTimeout(300); // for a frame that should not come
    assert.match(await page.textContent('#status'), /^Classified a sample/);
    assert.equal(await page.evaluate(() => document.body.dataset.digests), want);
  }
  assert.deepEqual(problems, []);
});

test('the switch changes the answer that is read out, and its cost', async () => {
  await ready();
  await answer(() => page.click('#samples button:nth-child(3)'));
  await page.check('#switch input[value=aggregated]');
  assert.match(await page.textContent('#cost'), /^aggregated: 4 passes of the net, [\d.]+ ms$/);
  // The headline and the votes say the same, with the same doubt.
  assert.equal(await page.textContent('.together b'), await page.textContent('#summary'));
  assert.equal(await page.textContent('#views-title'), 'How it makes up its mind');
  await page.check('#switch input[value=single]');
  assert.equal(await page.textContent('#views-title'), 'If it looked at all 4 turns');
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

test('of a slab that was never calibrated it says so', async () => {
  const file = join(dir, 'untrained.slab');
  quarterturn('new', '--net', 'resnet8w8', '--size', '28', '--grey', '--out', file);
  await ready();
  await page.setInputFiles('#file', file);
  await page.waitForFunction(() => document.getElementById('status').textContent === 'Opened untrained.slab.');
  const white = join(dir, 'white.png');
  writeFileSync(white, png({ width: 30, height: 30, data: new Uint8Array(3600).fill(255) }));
  await answer(() => page.setInputFiles('#file', white));
  const top = Number.parseFloat(await page.textContent('#top .bar span + span'));
  assert.match(await page.textContent('#sure'), top < 60 ? /^Perhaps / : /^\d+ %, but this slab was never calibrated$/);
  assert.deepEqual(problems, []);
});

test('another model can be chosen', async () => {
  await ready();
  await choose(1);
  assert.match(await page.textContent('#model'), /32 × 32, colour/);
  assert.equal(await page.isVisible('#draw'), false);
  assert.equal(await page.locator('#samples button').count(), 10); // those that come with it
  assert.ok(await page.textContent('#top .bar span')); // it has answered already
  await page.click('#proof summary');
  await page.click('#verify');
  await page.waitForSelector('#verified dd');
  assert.match(await page.textContent('#verified'), /passed: the same bits/);
  assert.deepEqual(problems, []);
});

test('verify runs the self-test in the tab, in both builds of the module', async () => {
  await ready();
  await page.click('#proof summary');
  await page.click('#verify');
  await page.waitForSelector('#verified dd');
  assert.deepEqual(await page.locator('#verified dt').allTextContents(), ['Computed here, build with vector operations (SIMD)', 'Computed here, plain build', 'When it was made', 'Result']);
  assert.deepEqual(await page.locator('#verified dd').allTextContents(), [...Array(3).fill(info.selftest.digest), 'passed: the same bits']);
});

/** The files of a folder, as a host asks for them. */
const folder = (path) => (name) => existsSync(join(path, name)) && readFileSync(join(path, name));

test('exported as a site, under a sub-path of a static host, and then without a network', async (t) => {
  const site = join(dir, 'site');
  quarterturn('export', slabFile, '--site', site, '--data', 'fashion-mini', '--samples', '2');
  const files = await host(folder(site));
  t.after(() => files.stop());
  page.removeAllListeners('request');
  await ready(files.address);
  assert.equal(await page.locator('#samples button').count(), 20);
  const there = await answer(() => page.click('#samples button:nth-child(2)'));
  await page.evaluate(async () => {
    await navigator.serviceWorker.ready;
  });
  await page.context().setOffline(true);
  files.stop();
  await ready(`${files.address}?from=a-friend`);
  assert.deepEqual(await answer(() => page.click('#samples button:nth-child(2)')), there);
});

test('an exported site without pictures has no holes, and brings the net for teaching, for when it is wanted', async (t) => {
  const site = join(dir, 'bare');
  quarterturn('export', slabFile, '--site', site, '--samples', '0');
  const asked = [];
  const get = folder(site);
  const files = await host((name) => {
    asked.push(name);
    return get(name);
  });
  t.after(() => files.stop());
  page.removeAllListeners('request');
  await ready(files.address);
  assert.equal(await page.isVisible('#empty'), true);
  for (const id of ['views-part', 'modes-part', 'times-part', 'samples', 'chooser']) assert.equal(await page.isVisible(`#${id}`), false, id);
  const white = { name: 'white.png', mimeType: 'image/png', buffer: png({ width: 30, height: 30, data: new Uint8Array(3600).fill(255) }) };
  await answer(() => page.setInputFiles('#file', white));
  for (const id of ['views-part', 'modes-part', 'times-part']) assert.equal(await page.isVisible(`#${id}`), true, id);
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
  const teach = (await (await fetch(`${files.address}models.json`)).json()).find((m) => m.teach).src;
  assert.equal(asked.includes(teach), false);
  await page.goto('about:blank');
  await ready(`${files.address}#teach`);
  await page.waitForSelector('.thing');
  assert.equal(asked.filter((name) => name === teach).length, 1);
  await page.context().setOffline(true);
  files.stop();
  await ready(`${files.address}?again#teach`);
  await page.waitForSelector('.thing');
});

test('with the storage full the net for teaching is there while the network is', async (t) => {
  const site = join(dir, 'full');
  quarterturn('export', slabFile, '--site', site, '--samples', '0');
  const files = await host(folder(site));
  t.after(() => files.stop());
  page.removeAllListeners('request');
  await ready(files.address);
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
  const { origin } = new URL(files.address);
  await (await page.context().newCDPSession(page)).send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 1000 });
  await page.goto('about:blank');
  await ready(`${files.address}#teach`);
  await page.waitForSelector('.thing');
});

test('opened as a file it says what to do', async () => {
  const site = join(dir, 'by-file');
  quarterturn('export', slabFile, '--site', site);
  page.removeAllListeners('request');
  await page.goto(pathToFileURL(join(site, 'index.html')).href);
  assert.match(await page.textContent('main'), /python3 -m http\.server -d/);
});

test('before the model is there its samples and what it tells apart are', async () => {
  let go;
  await page.route('**/model.slab', async (route) => {
    await new Promise((resolve) => { go = resolve; });
    await route.continue();
  });
  await page.goto(server.address);
  await page.waitForFunction(() => document.querySelectorAll('#samples img').length === 10 && /^Tells 10 kinds/.test(document.getElementById('pitch').textContent));
  await page.waitForFunction(() => document.getElementById('shown').getContext('2d').getImageData(14, 14, 1, 1).data[3] === 255);
  go();
  await page.waitForSelector('body[data-ready]');
  assert.deepEqual(problems, []);
});

test('a newer build replaces the older one whole', async (t) => {
  const [one, two] = ['one', 'two'].map((name) => join(dir, name));
  quarterturn('export', slabFile, '--site', one);
  quarterturn('export', fileURLToPath(new URL('../models/cifar10.slab', import.meta.url)), '--site', two);
  let get = folder(one);
  const files = await host((name) => get(name));
  t.after(() => files.stop());
  page.removeAllListeners('request');
  const hash = () => page.evaluate(async () => (await (await fetch('models.json')).json())[0].hash);
  await ready(files.address);
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => undefined));
  assert.equal(await hash(), info.hash);
  // One that cannot be had whole changes nothing.
  get = (name) => name !== 'quarterturn/quarterturn-simd.wasm' && folder(two)(name);
  await ready(files.address);
  await page.evaluate(() => navigator.serviceWorker.getRegistration().then((r) => r.update()).catch(() => undefined));
  assert.equal(await hash(), info.hash);
  // One that can is there at the next visit, at the latest.
  get = folder(two);
  await ready(files.address);
  await page.waitForFunction(async (old) => (await (await fetch('models.json')).json())[0].hash !== old, info.hash);
  await page.waitForSelector('body[data-ready]');
  assert.equal(await page.evaluate(async () => (await caches.keys()).length), 1);
  const kept = await page.evaluate(async () => (await (await caches.open((await caches.keys())[0])).keys()).map((r) => new URL(r.url).pathname));
  assert.ok(kept.length > 20 && !kept.some((path) => path.endsWith('quarterturn/quarterturn.wasm') || path.includes('v1')), kept.join());
});

test('the answer is in view without scrolling, on a phone and on a desk', async () => {
  for (const viewport of [{ width: 390, height: 844 }, { width: 1280, height: 800 }]) {
    await page.setViewportSize(viewport);
    await ready();
    await answer(() => page.click('#samples button:nth-child(3)'));
    for (const selector of ['#samples button:nth-child(3)', '#shown', '#seen', '#summary', '#top .bar:nth-child(5)', '#status']) {
      const box = await page.locator(selector).boundingBox();
      assert.ok(box.y >= 0 && box.y + box.height <= viewport.height, `${selector} is at ${box.y} to ${box.y + box.height} of ${viewport.height}`);
    }
  }
});

const axe = readFileSync(new URL('../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');

/** Checks that a screen reader finds all, and that nothing is wider than the window. */
async function accessible(what) {
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), page.viewportSize().width, what);
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(' ')}`), [], what);
}

test('nothing wrong for a screen reader, nothing too wide, nothing that jumps', async () => {
  for (const [width, colorScheme] of [[1280, 'light'], [360, 'dark']]) {
    await page.setViewportSize({ width, height: 800 });
    await page.emulateMedia({ colorScheme });
    await page.addInitScript(() => {
      globalThis.shift = 0;
      new PerformanceObserver((list) => list.getEntries().forEach((e) => { if (!e.hadRecentInput) globalThis.shift += e.value; })).observe({ type: 'layout-shift', buffered: true });
    });
    await ready();
    assert.ok(await page.evaluate(() => globalThis.shift) < 0.1, `at ${width} pixels the page jumps by ${await page.evaluate(() => globalThis.shift)}`);
    await answer(() => page.click('#samples button:nth-child(1)'));
    for (const details of await page.locator('#look details').all()) await details.evaluate((e) => { e.open = true; });
    for (const tab of ['look', 'teach']) {
      await page.click(`#tab-${tab}`);
      await accessible(tab);
    }
  }
});

test('the report of a run: one file, fit for a screen reader, a telephone and the dark', async () => {
  const report = pathToFileURL(join(slabFile, '../report.html')).href;
  page.removeAllListeners('request');
  page.on('request', (r) => r.url() === report || r.url().startsWith('data:') || problems.push(`asked ${r.url()}`));
  for (const [width, colorScheme] of [[1280, 'light'], [360, 'dark']]) {
    await page.setViewportSize({ width, height: 800 });
    await page.emulateMedia({ colorScheme });
    await page.goto(report);
    for (const details of await page.locator('details').all()) await details.evaluate((e) => { e.open = true; });
    await accessible(colorScheme);
  }
  assert.deepEqual(problems, []);
});

test('the keyboard reaches everything', async () => {
  await ready();
  const tabThrough = async (presses) => {
    const seen = new Set();
    for (let i = 0; i < presses; i++) {
      await page.keyboard.press('Tab');
      seen.add(await page.evaluate(() => document.activeElement.id || document.activeElement.name || document.activeElement.title || document.activeElement.textContent));
    }
    return seen;
  };
  let seen = await tabThrough(40);
  for (const id of ['tab-look', 'models', 'file', 'camera', 'invert', 'draw', 'mode', 'Shirt', 'About this model', 'The same bits everywhere']) assert.ok(seen.has(id), `${id} is not among ${[...seen]}`);
  await page.focus('#tab-look');
  await page.keyboard.press('ArrowRight');
  assert.equal(await page.isVisible('#teach'), true);
  await page.waitForSelector('.thing');
  seen = await tabThrough(20);
  for (const id of ['add', 'Hold to record', 'Delete', 'teach-camera', 'try']) assert.ok(seen.has(id), `${id} is not among ${[...seen]}`);
});

test('a damaged slab is explained', async () => {
  await page.route('**/model.slab', (route) => route.fulfill({ body: Buffer.from(slab.subarray(0, 9999)) }));
  await page.goto(server.address);
  await page.waitForSelector('#status.error');
  assert.match(await page.textContent('#status'), /was damaged on its way: fetch it again \(corrupt slab: .* there are 9999\)/);
});

test('a slab that is dropped is opened, and a bad one leaves the page as it was', async () => {
  await ready();
  const drop = (bytes, name) => page.evaluate(([data, name]) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([new Uint8Array(data)], name));
    document.getElementById('drop').dispatchEvent(new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true }));
  }, [Array.from(bytes), name]);
  await drop(slab.subarray(0, 5000), 'half.slab');
  await page.waitForSelector('#status.error');
  assert.match(await page.textContent('#status'), /^half.slab was damaged on its way: fetch it again \(corrupt slab/);
  await answer(() => page.click('#samples button:nth-child(2)'));
  await choose(1);
  await drop(slab, 'mine.slab');
  await page.waitForFunction(() => document.getElementById('status').textContent === 'Opened mine.slab.');
  assert.match(await page.textContent('#model'), new RegExp(info.hash));
  assert.equal(await page.locator('#models option').count(), 3);
  assert.equal(await page.locator('#samples button').count(), 10); // of the model that knows the same things
  await drop(slab, 'a-slab-by-its-bytes');
  await page.waitForFunction(() => document.getElementById('status').textContent === 'Opened a-slab-by-its-bytes.');
  await answer(() => page.click('#samples button:nth-child(4)'));
  assert.deepEqual(problems, []);
});

test('several pictures are looked at one at a time', async () => {
  await ready();
  await dropOn('#drop', ...await some(1, 2));
  await page.waitForFunction(() => document.getElementById('status').textContent === 'Classified 1.png. One picture is shown at a time.');
  await page.click('#next');
  await page.waitForFunction(() => document.getElementById('status').textContent === 'Classified 2.png.');
  assert.equal(await page.isVisible('#next'), false);
  assert.deepEqual(problems, []);
});
