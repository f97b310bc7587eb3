// The package as `npm pack` makes it: what it weighs and says of itself, its types, and the
// runtimes without a browser.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { info, installed, project, tarball, tool } from './helper.js';

const { folder, run } = project();
const write = (name, text) => writeFileSync(join(folder, name), text);
const picture = '{ data: new Uint8Array(16).fill(255), width: 2, height: 2 }';
const app = `
  import { load } from 'quarterturn';
  const c = await load('model.slab');
  const p = await c.classify(${picture}, { topK: 1 });
  console.log(JSON.stringify([await c.verify(), p.top.length, p.mode]));
`; // it does not close: an idle worker keeps no process

for (const [name, command] of Object.entries({
  Node: ['node'],
  Deno: [tool('.bin/deno'), 'run', '--allow-read', '--no-prompt'],
  Bun: [tool('.bin/bun')],
})) {
  test(`a clean project classifies in ${name}, which then ends by itself`, () => {
    write('app.js', app);
    assert.deepEqual(JSON.parse(run(...command, 'app.js')), [info.selftest.digest, 1, info.recommended]);
  });
}

test('so does a program that uses require', () => {
  write('app.cjs', `
    const { load, modes, QuarterturnError } = require('quarterturn');
    load('model.slab').then(async (c) => console.log(JSON.stringify([await c.verify(), modes[0], new QuarterturnError('image', 'x').code])));
  `);
  assert.deepEqual(JSON.parse(run('node', 'app.cjs')), [info.selftest.digest, 'auto', 'image']);
});

test('pictures come through sharp, as the README says', () => {
  write('picture.js', `
    import { load } from 'quarterturn';
    import sharp from 'sharp';
    const file = await sharp({ create: { width: 30, height: 20, channels: 3, background: '#c04020' } }).png().toBuffer();
    const { data, info } = await sharp(file).rotate().toColourspace('srgb').raw().toBuffer({ resolveWithObject: true });
    const c = await load('model.slab');
    const same = Array.from({ length: 600 }, () => [0xc0, 0x40, 0x20, 255]).flat();
    const logits = [];
    for (const input of [{ data, ...info }, { data: Uint8Array.from(same), width: 30, height: 20 }]) logits.push((await c.classify(input)).logits.join());
    console.log(new Set(logits).size);
  `);
  assert.equal(run('node', 'picture.js').trim(), '1');
});

test('the package and the page stay small', () => {
  const size = (file) => gzipSync(readFileSync(file), { level: 9 }).length;
  const page = fileURLToPath(new URL('../page', import.meta.url));
  const files = [...readdirSync(installed).filter((f) => /\.(js|wasm)$/.test(f) && f !== 'quarterturn.wasm') // either of the two
    .map((f) => join(installed, f)), ...readdirSync(page).map((f) => join(page, f))];
  const bytes = files.reduce((sum, f) => sum + size(f), 0);
  assert.ok(bytes < 700_000, `${bytes} bytes gzipped`);
});

test('publint and arethetypeswrong find nothing', () => {
  run('node', tool('publint/src/cli.js'), 'run', installed, '--strict');
  run('node', tool('@arethetypeswrong/cli/dist/index.js'), tarball, '--exclude-entrypoints', 'quarterturn.wasm', 'quarterturn-simd.wasm');
});

const right = `
  import { load, modes, QuarterturnError, type Prediction, type Match } from 'quarterturn';
  export async function main(pixels: Uint8Array, signal: AbortSignal): Promise<string> {
    const c = await load(new URL('model.slab', 'https://example.org'), { worker: false, signal, maxMemory: 1e8, onProgress: ({ what, loaded, total }) => console.log(what, loaded / total) });
    const image = { data: pixels, width: 1, height: 1, channels: 3 };
    const p: Prediction = await c.classify(image, { mode: 'aggregated', topK: 3, signal });
    const all: Prediction[] = await c.classify([image, image]);
    const views: Float32Array | undefined = p.views;
    try { await c.verify(); } catch (e) { if (e instanceof QuarterturnError && e.code === 'selftest') throw e; }
    const gallery = c.gallery();
    await gallery.enrol('cup', image);
    const like: Match = await gallery.classify(image, { topK: 1 });
    const slab: Uint8Array = await gallery.slab({ name: 'mine' });
    console.log(like.top, like.doubt, slab.length, gallery.examples.map(({ label, pictures }) => label + pictures));
    await c.close();
    return p.top[0]!.label + p.mode + p.passes + p.ms + all.length + views?.length + modes.length + c.info.recommended + c.timings.open;
  }
`;
const dom = `
  import { load } from 'quarterturn';
  export async function main(canvas: HTMLCanvasElement, file: File, frame: VideoFrame): Promise<number> {
    const c = await load('model.slab', { wasm: await WebAssembly.compileStreaming(fetch('quarterturn.wasm')) });
    const p = await c.classify(file);
    const slab = await c.gallery().slab();
    await crypto.subtle.digest('SHA-256', p.logits);
    await fetch('keep', { method: 'POST', body: slab });
    console.log(new Blob([slab]).size, (await load(slab.buffer)).info.name);
    return (await c.classify([canvas, file, frame])).length;
  }
`;
const disposing = `
  import { load } from 'quarterturn';
  export async function main(): Promise<string> {
    await using c = await load('x');
    using d = await load('y');
    return c.info.name + d.info.name;
  }
`;
const wrong = [
  "import { load } from 'quarterturn'; export const x = load('x').then((c) => c.classify('cat'));",
  "import { load } from 'quarterturn'; export const x = load('x').then((c) => c.classify(new Blob(), { mode: 'fast' }));",
  "import { load } from 'quarterturn'; export const x = load('x', { workers: 2 });",
];

for (const typescript of ['typescript-5.2', 'typescript']) {
  test(`${typescript}: consumers compile, and wrong ones do not`, () => {
    const compile = (file, source, module, moduleResolution, lib) => {
      write(file, source);
      write('tsconfig.json', JSON.stringify({ compilerOptions: { noEmit: true, strict: true, target: 'es2020', module, moduleResolution, lib: lib.split(','), types: [] }, files: [file] }));
      return run('node', tool(`${typescript}/bin/tsc`));
    };
    const kinds = [['esnext', 'bundler'], ['node16', 'node16']];
    for (const [module, resolution] of kinds) {
      compile('app.ts', dom, module, resolution, 'es2020,dom');
      compile('app.ts', right, module, resolution, 'es2020,dom');
      compile('app.ts', disposing, module, resolution, 'es2020,dom,esnext.disposable');
      for (const source of wrong) assert.throws(() => compile('app.ts', source, module, resolution, 'es2020,dom'), (e) => /TS(2769|2345|2353|2322|2561)/.test(e.stdout), source);
    }
    compile('app.cts', right, 'node16', 'node16', 'es2020,dom');
    compile('app.ts', "import { load } from 'quarterturn'; export const x = load('x').then((c) => c.classify({ data: new Uint8Array(3), width: 1, height: 1, channels: 3 }));", 'esnext', 'bundler', 'es2020'); // neither DOM nor Node
  });
}

test('the JavaScript is what its types say', () => {
  const source = fileURLToPath(new URL('../quarterturn/', import.meta.url));
  write('contract.ts', `
    import * as browser from ${JSON.stringify(`${source}load.js`)};
    import { modes } from ${JSON.stringify(`${source}guest.js`)};
    import { QuarterturnError } from ${JSON.stringify(`${source}errors.js`)};
    import type * as contract from ${JSON.stringify(`${source}quarterturn.d.ts`)};
    import { Classifier } from ${JSON.stringify(`${source}classifier.js`)};
    type Disposing = typeof Symbol.dispose | typeof Symbol.asyncDispose;
    export const classifier = (c: Classifier): Omit<contract.Classifier, Disposing> => c;
    export const load: typeof contract.load = browser.loader({ plain: new URL('x:'), simd: new URL('y:') });
    export const names: typeof contract.modes = modes;
    export const error: contract.QuarterturnError = new QuarterturnError('image', 'x');
  `);
  write('tsconfig.json', JSON.stringify({
    compilerOptions: { noEmit: true, allowJs: true, checkJs: true, strict: false, target: 'esnext', module: 'nodenext', allowImportingTsExtensions: true, lib: ['esnext', 'dom'], types: [] },
    files: ['contract.ts'],
  }));
  run('node', tool('typescript/bin/tsc'));
});

test('the README says the sizes that there are', () => {
  const readme = readFileSync(join(installed, 'README.md'), 'utf8');
  const of = (text) => [...text.matchAll(/^\| (.+?) \| (\d+) KB \| (\d+) KB \| (\d+) KB \|$/gm)].map(([, name, ...kilobytes]) => [name, ...kilobytes.map(Number)]);
  const [said, is] = [of(readme), of(run('node', fileURLToPath(new URL('../sizes.js', import.meta.url))))];
  assert.equal(said.length, 3);
  is.forEach(([name, ...kilobytes], i) => {
    assert.equal(said[i][0], name);
    kilobytes.forEach((k, j) => assert.ok(Math.abs(k - said[i][j + 1]) <= 1 + 0.1 * k, `${name}: ${k} KB, the README says ${said[i][j + 1]}`));
  });
});
