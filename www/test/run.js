// Makes the fixture that all tests share, once, and runs them:
//
//   npm test                              all
//   npm test -- test/node.test.js         some
//   npm test -- --test-name-pattern=sharp test/package.test.js

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
// Below www/, so that the projects in it find the tools in its node_modules.
mkdirSync(join(here, '../dist'), { recursive: true });
const dir = mkdtempSync(join(here, '../dist/test-'));
try {
  const command = join(dir, 'quarterturn');
  execFileSync('go', ['build', '-o', command, './cmd/quarterturn'], { cwd: join(here, '../..'), stdio: 'inherit' });
  execFileSync(command, ['train', '--data', 'fashion-mini', '--out', join(dir, 'run'), '--net', 'resnet8w8',
    '--epochs', '1', '--batch', '16', '--train-per-class', '20'], { stdio: ['ignore', 'ignore', 'inherit'] });
  execFileSync(process.execPath, [join(here, '../pack.js'), join(dir, 'dist')], { stdio: ['ignore', 'ignore', 'inherit'] });
  const options = process.argv.slice(2).filter((a) => a.startsWith('--'));
  let files = process.argv.slice(2).filter((a) => !a.startsWith('--'));
  if (files.length === 0) files = readdirSync(here).filter((f) => f.endsWith('.test.js')).map((f) => join(here, f));
  const { status } = spawnSync(process.execPath, ['--test', '--test-timeout=900000', ...options, ...files],
    { stdio: 'inherit', env: { ...process.env, QUARTERTURN_FIXTURE: dir } });
  process.exitCode = status ?? 1;
} finally {
  rmSync(dir, { recursive: true, force: true });
}
