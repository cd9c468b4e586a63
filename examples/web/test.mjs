#!/usr/bin/env node
// Runs the page in headless Chromium and compares it with the library on the host.
//
//     examples/web/build.sh && cargo build --release --features cli
//     npm install playwright-core        # in any directory, named by --modules
//     node examples/web/test.mjs --modules DIR [--screenshots DIR] [--only train,verify]
//
// - train: one epoch in the page. The validation loss differs from that of `wgrad train --device cpu`
//   with the page's own recipe by at most 1e-3 of it.
// - verify: every comparison of every kernel with its f64 twin passes.
// - missing: a browser without WebGPU gets a message.
//
// CHROMIUM names the browser (/usr/bin/chromium), WGRAD the program (target/release/wgrad), and ADAPTER
// the adapter (swiftshader, which needs no GPU; empty for the machine's own).
// Exit status 1 if a check fails.

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, extname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = resolve(HERE, '../..');
const SITE = join(HERE, 'site');
const MOST = 1e-3;
const { values: options } = parseArgs({
  options: {
    modules: { type: 'string', default: process.cwd() },
    screenshots: { type: 'string' },
    only: { type: 'string', default: 'train,verify,missing' },
  },
});
const only = options.only.split(',');
const { chromium } = createRequire(join(resolve(options.modules), 'x.js'))('playwright-core');
const folder = mkdtempSync(join(tmpdir(), 'wgrad-web-'));
let failures = 0;

function check(what, ok, found) {
  console.log(`${ok ? 'ok    ' : 'FAILED'} ${what}: ${found}`);
  if (!ok) failures += 1;
}

const KINDS = {
  '.html': 'text/html', '.css': 'text/css', '.js': 'text/javascript', '.wasm': 'application/wasm',
};
const server = createServer((request, answer) => {
  const path = join(SITE, new URL(request.url, 'http://localhost').pathname);
  try {
    const contents = readFileSync(path.endsWith('/') ? join(path, 'index.html') : path);
    answer.writeHead(200, { 'content-type': KINDS[extname(path)] ?? (path.endsWith('/') ? 'text/html' : 'application/octet-stream') });
    answer.end(contents);
  } catch {
    answer.writeHead(404).end();
  }
});
await new Promise(done => server.listen(0, '127.0.0.1', done));
const address = `http://localhost:${server.address().port}/`;

const adapter = process.env.ADAPTER ?? 'swiftshader';
const browser = await chromium.launchPersistentContext(join(folder, 'profile'), {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  viewport: { width: 1280, height: 900 },
  args: [
    '--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--enable-unsafe-webgpu',
    ...(adapter ? [`--use-webgpu-adapter=${adapter}`] : []),
  ],
});

async function open(prepare) {
  const page = await browser.newPage();
  page.setDefaultTimeout(0);
  page.on('console', message => {
    if (message.type() === 'error') console.log(`       console: ${message.text()}`);
  });
  page.on('pageerror', error => console.log(`       error: ${error.message}`));
  await prepare?.(page);
  await page.goto(address);
  await page.evaluate(() => window.wgrad.ready);
  return page;
}

/** Pictures of the whole page, wide and narrow, light and dark. */
async function pictures(page, name) {
  if (!options.screenshots) return;
  mkdirSync(options.screenshots, { recursive: true });
  for (const [width, colorScheme] of [[1280, 'light'], [1280, 'dark'], [375, 'light']]) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: width > 1000 ? 900 : 800 });
    await page.waitForTimeout(200);
    const path = join(options.screenshots, `${name}-${width}-${colorScheme}.png`);
    await page.screenshot({ path, fullPage: true });
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    check(`${name}, ${width} pixels wide`, overflow <= 0, `${Math.max(0, overflow)} pixels too wide`);
  }
}

function onTheHost(recipe) {
  const file = join(folder, 'recipe.toml');
  writeFileSync(file, recipe);
  const out = mkdtempSync(join(folder, 'run-'));
  rmSync(out, { recursive: true });
  const data = name => join(ROOT, 'examples/data', name);
  const program = process.env.WGRAD ?? join(ROOT, 'target/release/wgrad');
  const run = spawnSync(program, [
    'train', file, '--device', 'cpu', '--out', out, '--data', data('chess_train.bin'),
    '--validation', data('chess_validation.bin'),
  ], { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`${program} train: ${run.error ?? run.stderr}`);
  const lines = readFileSync(join(out, 'log.jsonl'), 'utf8').trim().split('\n').map(JSON.parse);
  return lines.findLast(line => line.kind === 'validation').loss;
}

async function train(page, settings) {
  const [done, recipe] = await page.evaluate(async settings => {
    const form = document.getElementById('settings');
    for (const [name, value] of Object.entries(settings)) form.elements[name].value = value;
    form.dispatchEvent(new Event('input'));
    return [await window.wgrad.train(), window.wgrad.recipe()];
  }, settings);
  const expected = onTheHost(recipe);
  const apart = Math.abs(done.validation - expected) / expected;
  check(
    `one epoch of ${settings.form}, K = ${settings.hidden}`,
    apart <= MOST,
    `validation loss ${done.validation.toFixed(7)} in the page, ${expected.toFixed(7)} on the CPU, ` +
      `${apart.toExponential(1)} apart; ${done.steps} steps, ` +
      `${Math.round(done.speed).toLocaleString('en')} positions per second`,
  );
}

try {
  if (only.includes('missing')) {
    const page = await open(page => page.addInitScript(() => {
      Object.defineProperty(Navigator.prototype, 'gpu', { get: () => undefined });
    }));
    const text = await page.locator('#problem').innerText();
    check('without WebGPU', text.startsWith('This browser offers no WebGPU.'), text.split('\n')[0]);
    await pictures(page, 'missing');
    await page.close();
  }
  const page = await open();
  const problem = await page.locator('#problem').innerText();
  if (problem) throw new Error(problem);
  console.log(`       ${await page.locator('#device').innerText()}`);
  if (only.includes('train')) {
    const common = { epochs: '1', batch_size: '4096', learning_rate: '0.002', seed: '7' };
    await train(page, { ...common, hidden: '64', form: 'deep' });
    await train(page, { ...common, hidden: '32', form: 'crelu' });
    await train(page, { ...common, hidden: '32', form: 'screlu' });
    const score = await page.locator('#score').innerText();
    check('the evaluation on the board', /^[+−]\d+\.\d\d$/.test(score), score);
    await pictures(page, 'trained');
  }
  if (only.includes('verify')) {
    // The twins compute in the page, on one thread, so this takes minutes.
    const progress = setInterval(async () => {
      console.log(`       ${await page.locator('#verdict').innerText()}`);
    }, 60_000);
    const total = await page.evaluate(() => window.wgrad.verify());
    clearInterval(progress);
    for (const { kernel, case: name, note } of total.failures.slice(0, 20)) {
      console.log(`       ${kernel}, ${name}: ${note}`);
    }
    check('verify', total.complete && total.comparisons > 0 && total.failed === 0,
      `${total.comparisons} comparisons of ${total.kernels} kernels, ${total.failed} failed`);
    await pictures(page, 'verified');
  }
} finally {
  await browser.close();
  server.close();
  rmSync(folder, { recursive: true, force: true });
}
process.exit(failures === 0 ? 0 : 1);
