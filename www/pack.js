// Makes the npm package: quarterturn/ with what is built from it and from other folders,
// in a folder of its own, ready for `npm publish`, and its tarball.
//
//   npm run pack              www/dist/quarterturn and www/dist/quarterturn-0.1.0.tgz
//   npm run pack -- OUTDIR    the same there

import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const at = (name) => fileURLToPath(new URL(name, import.meta.url));
const dir = resolve(process.argv[2] ?? at('dist'));
const out = join(dir, 'quarterturn');
rmSync(out, { recursive: true, force: true });
mkdirSync(dir, { recursive: true });
cpSync(at('quarterturn'), out, { recursive: true });
for (const name of ['quarterturn.wasm', 'quarterturn-simd.wasm']) cpSync(at(`../wasm/module/${name}`), join(out, name));
cpSync(at('../LICENSE'), join(out, 'LICENSE'));
cpSync(join(out, 'quarterturn.d.ts'), join(out, 'quarterturn.d.cts'));

// Workers become one file each, so that any bundler may copy them; and programs that use
// `require` get one file in that form.
const options = { bundle: true, target: 'es2022', charset: 'utf8', legalComments: 'none', logLevel: 'warning', allowOverwrite: true };
await build({ ...options, entryPoints: ['worker.js'].map((f) => join(out, f)), outdir: out, format: 'esm' });
await build({ ...options, entryPoints: ['worker-node.js'].map((f) => join(out, f)), outdir: out, format: 'esm', platform: 'node' });
await build({
  ...options, entryPoints: [join(out, 'node.js')], outfile: join(out, 'node.cjs'), format: 'cjs', platform: 'node',
  define: { 'import.meta.url': 'here' }, banner: { js: "const here = require('node:url').pathToFileURL(__filename).href;" },
});
console.log(execFileSync('npm', ['pack', '--silent', '--pack-destination', dir], { cwd: out, encoding: 'utf8' }).trim());
