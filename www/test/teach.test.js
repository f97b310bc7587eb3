// "Teach it", of the served page in Chromium.

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { dir, quarterturn, serve, slab } from './helper.js';
import { answer, choose, dropOn, page, problems, ready, server, some } from './pages.js';

test('it is taught: files, names, deletions, another day, and a slab of it', async () => {
  await ready(`${server.address}#teach`);
  const pictures = [];
  for (let i = 1; i <= 8; i++) {
    const png = join(dir, `taught-${i}.png`);
    writeFileSync(png, Buffer.from(await (await fetch(`${server.address}samples/2-${i}.png`)).arrayBuffer()));
    pictures.push(png);
  }
  const thing = (n) => page.locator(`.thing:nth-child(${n})`);
  const counts = (n, text) => page.waitForFunction(([n, text]) => document.querySelector(`.thing:nth-child(${n}) .count`).textContent === text, [n, text]);
  await page.click('#add');
  for (const [n, name] of [[1, 'first'], [2, '<b>second</b>'], [3, 'third']]) {
    await thing(n).locator('input[type=text]').fill(name);
    await thing(n).locator('input[type=text]').press('Tab');
    await page.waitForFunction(([n, name]) => document.querySelector(`.thing:nth-child(${n})`).dataset.label === name, [n, name]);
  }
  const text = join(dir, 'no-picture.png');
  writeFileSync(text, 'Dear reader');
  await thing(1).locator('input[type=file]').setInputFiles([pictures[0], text, pictures[1], pictures[2]]);
  await counts(1, '3 pictures');
  await page.waitForFunction(() => document.querySelector('.thing:nth-child(1) .note').textContent === 'This browser cannot read no-picture.png.');
  await thing(2).locator('input[type=file]').setInputFiles(pictures.slice(3, 6));
  await counts(2, '3 pictures');
  await thing(3).locator('input[type=file]').setInputFiles(pictures.slice(6, 8));
  await counts(3, '2 pictures');
  await page.setInputFiles('#try', pictures[0]);
  await page.waitForFunction(() => document.querySelector('#like-top .bar span')?.textContent === 'first');
  // A name that is taken, a picture less, a thing less.
  await thing(3).locator('input[type=text]').fill('first');
  await thing(3).locator('input[type=text]').press('Tab');
  await page.waitForFunction(() => /already/.test(document.querySelector('.thing:nth-child(3) .note').textContent));
  assert.equal(await thing(3).locator('input[type=text]').inputValue(), 'third');
  await thing(1).locator('.shots button').nth(2).click();
  await counts(1, '2 pictures');
  await thing(3).locator('.plain').click();
  await page.waitForFunction(() => document.querySelectorAll('.thing').length === 2);
  // Another day.
  await ready(`${server.address}?again#teach`);
  assert.deepEqual(await page.locator('.thing').evaluateAll((all) => all.map((e) => [e.dataset.label, e.querySelectorAll('img').length])), [['first', 2], ['<b>second</b>', 3]]);
  const [download] = await Promise.all([page.waitForEvent('download'), page.click('#download')]);
  const taught = join(dir, 'taught.slab');
  await download.saveAs(taught);
  const about = JSON.parse(quarterturn('inspect', taught, '--json'));
  assert.deepEqual([about.labels, about.provenance.images], [['first', '<b>second</b>'], 5]);
  quarterturn('verify', taught);
  const said = JSON.parse(quarterturn('predict', '--model', taught, '--json', pictures[4]));
  assert.equal(said.top[0].label, '<b>second</b>');
  // And the page opens it.
  await page.click('#tab-look');
  await page.setInputFiles('#file', taught);
  await page.waitForFunction(() => document.getElementById('status').textContent === 'Opened taught.slab.');
  assert.equal((await answer(() => page.setInputFiles('#file', pictures[4]))).aggregated, said.digest);
  assert.match(await page.textContent('#pitch'), /Somebody showed it 5 pictures/);
  assert.deepEqual(problems, []);
});

test('without models of its own it is the net for it that is taught, whichever is looked at', async () => {
  const server = await serve();
  page.removeAllListeners('request');
  try {
    const models = await (await fetch(`${server.address}models.json`)).json();
    assert.deepEqual(models.map((m) => Boolean(m.teach)), [false, true]);
    await ready(server.address);
    await page.click('#tab-teach');
    await page.waitForSelector('.thing:nth-child(2)');
    assert.equal(await page.isVisible('#models'), false); // it would change nothing
    const sample = async (n) => ({ name: `${n}.png`, mimeType: 'image/png', buffer: Buffer.from(await (await fetch(`${server.address}samples/1-${n}.png`)).arrayBuffer()) });
    for (const n of [1, 2]) {
      await page.locator(`.thing:nth-child(${n}) input[type=file]`).setInputFiles([await sample(n)]);
      await page.waitForFunction((n) => document.querySelector(`.thing:nth-child(${n}) .count`).textContent === '1 picture', n);
    }
    await page.click('#tab-look');
    await choose(1);
    await page.click('#tab-teach');
    await page.setInputFiles('#try', await sample(2));
    await page.waitForFunction(() => document.querySelector('#like-top .bar span')?.textContent === 'thing 2');
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('#download')]);
    const taught = join(dir, 'by-default.slab');
    await download.saveAs(taught);
    const { provenance, labels } = JSON.parse(quarterturn('inspect', taught, '--json'));
    assert.deepEqual([labels, provenance.net], [['thing 1', 'thing 2'], models[1].net]);
    assert.deepEqual(problems, []);
  } finally {
    server.stop();
  }
});

test('what is dropped while it is taught goes where it was dropped', async () => {
  await ready(`${server.address}#teach`);
  const [first, second, third] = await some(1, 2, 3);
  await dropOn('.thing:nth-child(2) .shots', first, second);
  await page.waitForFunction(() => document.querySelector('.thing:nth-child(2) .count').textContent === '2 pictures');
  await page.waitForFunction(() => document.getElementById('like').textContent === 'Add a second thing');
  assert.equal(await page.isVisible('#keep'), false);
  await dropOn('.thing:nth-child(1)', third);
  await page.waitForFunction(() => document.querySelector('.thing:nth-child(1) .count').textContent === '1 picture');
  await dropOn('#preview', first);
  await page.waitForFunction(() => document.querySelector('#like-top .bar span')?.textContent === 'thing 2');
  assert.equal(await page.isVisible('#keep'), true);
  await dropOn('.thing:nth-child(1)', ['mine.slab', '', slab]);
  await page.waitForFunction(() => document.getElementById('status').textContent === 'Opened mine.slab.');
  assert.equal(await page.isVisible('#look'), true);
  assert.deepEqual(problems, []);
});

test('what is deleted can be had back', async () => {
  await ready(`${server.address}#teach`);
  for (const [n, pictures] of [[1, await some(1, 2)], [2, await some(3)]]) {
    await dropOn(`.thing:nth-child(${n})`, ...pictures);
    await page.waitForFunction(([n, count]) => parseInt(document.querySelector(`.thing:nth-child(${n}) .count`).textContent, 10) === count, [n, pictures.length]);
  }
  const there = () => page.locator('.thing').evaluateAll((all) => all.map((e) => [e.dataset.label, e.querySelectorAll('img').length]));
  const before = await there();
  await page.click('.thing:nth-child(1) .shot img'); // a picture is no button
  for (const [selector, said, left] of [
    ['.thing:nth-child(1) .shot:first-child button', 'Deleted a picture of thing 1.', [['thing 1', 1], ['thing 2', 1]]],
    ['.thing:nth-child(2) .plain', 'Deleted thing 2.', [['thing 1', 2]]],
    ['#forget', 'Deleted everything that you taught here.', [['thing 1', 0], ['thing 2', 0]]],
  ]) {
    await page.click(selector);
    await page.waitForFunction((said) => document.querySelector('#undo span').textContent === said, said);
    assert.deepEqual(await there(), left);
    await page.click('#undo button');
    await page.waitForSelector('#undo', { state: 'hidden' });
    assert.deepEqual(await there(), before);
  }
  await ready(`${server.address}?again#teach`); // it was kept, too
  assert.deepEqual(await there(), before);
  assert.deepEqual(problems, []);
});

test('on a phone what is recorded, and what goes wrong, is in view beside the thing', async () => {
  await page.setViewportSize({ width: 390, height: 844 });
  await ready(`${server.address}#teach`);
  for (let i = 0; i < 3; i++) await page.click('#add');
  await page.locator('.thing:nth-child(5) input[type=file]').setInputFiles({ name: 'mk.txt', mimeType: 'text/plain', buffer: Buffer.from('Dear reader') });
  await page.waitForFunction(() => document.querySelector('.thing:nth-child(5) .note').textContent === 'This browser cannot read mk.txt.');
  const button = page.locator('.thing:nth-child(5) .record');
  await button.scrollIntoViewIfNeeded();
  await button.focus();
  await page.keyboard.down('Space');
  await page.waitForFunction(() => document.querySelectorAll('.thing:nth-child(5) .shots img').length > 0);
  for (const selector of ['#teach-video', '#like', '.thing:nth-child(5) .record']) {
    const box = await page.locator(selector).boundingBox();
    assert.ok(box.y >= 0 && box.y + box.height <= 844, `${selector} is at ${box.y} to ${box.y + box.height}`);
  }
  await page.keyboard.up('Space');
  assert.deepEqual(problems, []);
});

test('a camera that starts after the button was let go records nothing', async () => {
  await page.addInitScript(() => {
    const real = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (what) => {
      await new Promise((allow) => { globalThis.allow = allow; });
      return real(what);
    };
  });
  await ready(`${server.address}#teach`);
  await page.click('.thing:nth-child(1) .record');
  await page.waitForFunction(() => globalThis.allow);
  await page.evaluate(() => globalThis.allow());
  await page.waitForFunction(() => document.querySelector('.thing:nth-child(1) .note').textContent === 'The camera is on. Now hold the button.');
  assert.equal(await page.locator('.record.on').count(), 0);
  assert.equal(await page.textContent('.thing:nth-child(1) .count'), '0 pictures');
  // Nor does it come on once its tab was left.
  await page.click('#teach-camera');
  await page.waitForFunction(() => document.getElementById('teach-video').hidden);
  await page.evaluate(() => { delete globalThis.allow; });
  await page.click('#teach-camera');
  await page.waitForFunction(() => globalThis.allow);
  await page.click('#tab-look');
  await page.evaluate(() => globalThis.allow());
  assert.equal(await page.isVisible('#teach-video'), false);
  assert.equal(await page.evaluate(() => document.getElementById('teach-video').srcObject), null);
  assert.deepEqual(problems, []);
});

test('a thing is recorded from the camera for as long as the button is held', async () => {
  await ready(`${server.address}#teach`);
  const button = await page.locator('.thing:nth-child(1) .record').boundingBox();
  await page.mouse.move(button.x + 9, button.y + 9);
  await page.mouse.down();
  await page.waitForFunction(() => document.querySelectorAll('.thing:nth-child(1) .shots img').length >= 3);
  await page.mouse.up();
  await page.waitForFunction(() => !document.querySelector('.record.on') && document.getElementById('like').textContent !== 'Nothing yet');
  // And then the next, whose button takes the focus from the first one's.
  const next = await page.locator('.thing:nth-child(2) .record').boundingBox();
  await page.mouse.move(next.x + 9, next.y + 9);
  await page.mouse.down();
  await page.waitForFunction(() => document.querySelectorAll('.thing:nth-child(2) .shots img').length >= 3);
  await page.mouse.up();
  assert.equal(await page.isVisible('#teach-video'), true);
  await page.click('#tab-look');
  assert.equal(await page.evaluate(() => document.getElementById('teach-video').srcObject), null);
  assert.deepEqual(problems, []);
});

test('a folder that is dropped is the pictures in it, wherever they lie', async () => {
  await ready(`${server.address}#teach`);
  const folder = join(dir, 'cups');
  mkdirSync(join(folder, 'more'), { recursive: true });
  const [[, , one], [, , two]] = await some(1, 2);
  writeFileSync(join(folder, '1.png'), one);
  writeFileSync(join(folder, 'notes.txt'), 'not a picture');
  writeFileSync(join(folder, 'more', '2.png'), two);
  mkdirSync(join(dir, 'nothing'));
  const session = await page.context().newCDPSession(page);
  const drop = async (path) => {
    const { x, y, width, height } = await page.locator('.thing:nth-child(1) .shots').boundingBox();
    const data = { items: [], files: [path], dragOperationsMask: 1 };
    for (const type of ['dragEnter', 'dragOver', 'drop']) await session.send('Input.dispatchDragEvent', { type, x: x + width / 2, y: y + height / 2, data });
  };
  await drop(folder);
  await page.waitForFunction(() => document.querySelector('.thing:nth-child(1) .count').textContent === '2 pictures');
  await drop(join(dir, 'nothing'));
  await page.waitForFunction(() => document.getElementById('teach-status').textContent === 'there is no picture in that folder.');
  assert.deepEqual(problems, []);
});

test('two tabs teach the same, and of many bad files a few are named', async () => {
  await ready(`${server.address}#teach`);
  const other = await page.context().newPage();
  await other.goto(`${server.address}#teach`);
  await other.waitForSelector('body[data-ready]');
  const [one, two] = await some(1, 2);
  const give = (tab, n, [name, mimeType, bytes]) => tab.setInputFiles(`.thing:nth-child(${n}) input[type=file]`, { name, mimeType, buffer: Buffer.from(bytes) });
  const there = (tab, want) => tab.waitForFunction((want) => [...document.querySelectorAll('.thing')].map((e) => `${e.dataset.label}: ${e.querySelectorAll('img').length}`).join() === want, want);
  await give(page, 1, one);
  await there(other, 'thing 1: 1,thing 2: 0');
  await give(other, 2, two);
  for (const tab of [page, other]) await there(tab, 'thing 1: 1,thing 2: 1');
  await ready(`${server.address}?again#teach`);
  await there(page, 'thing 1: 1,thing 2: 1');
  await dropOn('.thing:nth-child(1)', ...Array.from({ length: 6 }, (_, i) => [`${i}.heic`, 'image/heic', [120]]));
  await page.waitForFunction(() => document.querySelector('.thing:nth-child(1) .note').textContent === 'This browser cannot read 0.heic, 1.heic, 2.heic and 3 more.');
  assert.deepEqual(problems, []);
});

test('two tabs teach two things at the same time, and both are kept', async () => {
  await ready(`${server.address}#teach`);
  const other = await page.context().newPage();
  await other.goto(`${server.address}#teach`);
  await other.waitForSelector('body[data-ready]');
  const files = (await some(1, 2, 3)).map(([name, mimeType, bytes]) => ({ name, mimeType, buffer: Buffer.from(bytes) }));
  await Promise.all([[page, 1], [other, 2]].map(([tab, n]) => tab.setInputFiles(`.thing:nth-child(${n}) input[type=file]`, files)));
  for (const tab of [page, other]) {
    await tab.waitForFunction(() => [...document.querySelectorAll('.thing')].map((e) => `${e.dataset.label}: ${e.querySelectorAll('img').length}`).sort().join() === 'thing 1: 3,thing 2: 3');
  }
  await ready(`${server.address}?again#teach`);
  assert.equal(await page.locator('.thing img').count(), 6);
  assert.deepEqual(problems, []);
});

test('what is learned before a picture fails is kept', async () => {
  await ready(`${server.address}#teach`);
  await page.evaluate(() => {
    const { convertToBlob } = OffscreenCanvas.prototype;
    let left = 2;
    OffscreenCanvas.prototype.convertToBlob = function toBlob(options) {
      return left-- > 0 ? convertToBlob.call(this, options) : Promise.reject(new Error('there is no memory left'));
    };
  });
  await dropOn('.thing:nth-child(1)', ...await some(1, 2, 3, 4));
  await page.waitForFunction(() => /no memory left/.test(document.querySelector('.thing:nth-child(1) .note').textContent));
  await ready(`${server.address}?again#teach`);
  assert.equal(await page.locator('.thing:nth-child(1) img').count(), 2);
});
