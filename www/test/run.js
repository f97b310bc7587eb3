// Makes the fixture that all tests share, once, and runs them:
//
//   npm test                              all
//   npm test -- test/node.test.js         some

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const dir = mkdtempSync(join(tmpdir(), 'quarterturn-test-'));
try {
  const command = join(dir, 'quarterturn');
  execFileSync('go', ['build', '-o', command, './cmd/quarterturn'], { cwd: join(here, '../..'), stdio: 'inherit' });
  execFileSync(command, ['train', '--data', 'fashion-mini', '--out', join(dir, 'run'), '--net', 'resnet8w8',
    '--epochs', '1', '--batch', '16', '--train-per-class', '20'], { stdio: ['ignore', 'ignore', 'inherit'] });
  execFileSync(process.execPath, [join(here, '../pack.js'), join(dir, 'dist')], { stdio: ['ignore', 'ignore', 'inherit'] });
  let files = process.argv.slice(2);
  if (files.length === 0) files = readdirSync(here).filter((f) => f.endsWith('.test.js')).map((f) => join(here, f));
  const { status } = spawnSync(process.execPath, ['--test', '--test-timeout=300000', ...files],
    { stdio: 'inherit', env: { ...process.env, QUARTERTURN_FIXTURE: dir } });
  process.exitCode = status ?? 1;
} finally {
  rmSync(dir, { recursive: true, force: true });
}
