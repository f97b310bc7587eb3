// Prints what a page downloads of the package, as a table of its README.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const at = (name) => fileURLToPath(new URL(name, import.meta.url));

async function script(...entryPoints) {
  const { outputFiles } = await build({ entryPoints, bundle: true, minify: true, format: 'esm', write: false, outdir: '/' });
  return Buffer.concat(outputFiles.map((f) => f.contents));
}

const parts = {
  'JavaScript, minified, with its worker': await script(at('quarterturn/quarterturn.js'), at('quarterturn/worker.js')),
  'module with vector operations': readFileSync(at('../wasm/module/quarterturn-simd.wasm')),
  'module without': readFileSync(at('../wasm/module/quarterturn.wasm')),
};
const kilobytes = (b) => `${Math.round(b.length / 1000)} KB`;
const brotli = (b) => brotliCompressSync(b, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: b.length } });
const rows = Object.entries(parts).map(([name, b]) => `| ${name} | ${kilobytes(b)} | ${kilobytes(gzipSync(b, { level: 9 }))} | ${kilobytes(brotli(b))} |`);
console.log(['| | bytes | gzip | brotli |', '| --- | --- | --- | --- |', ...rows].join('\n'));
