#!/usr/bin/env node
// Does Dawn, the WebGPU implementation of Chromium, accept each kernel under the default limits?
//
//     npm install webgpu
//     target/release/wgrad kernels --dump /tmp/kernels
//     node benches/peers/dawn.mjs /tmp/kernels
//
// Each .wgsl file of the directory must hold exactly one compute entry point. It goes through Dawn's WGSL compiler and becomes a
// compute pipeline (layout auto) on the null backend, which needs no GPU and checks the device's limits when the
// pipeline is made. The device is asked for no limit and no feature beyond the defaults.
// The package is looked for from the current directory, then from this script's; `--modules DIR` names another place.
//
// Output: a line a file, `ok NAME` or `FAILED NAME: ` and Dawn's message, then `N passed, M failed`; exit status 1 if any
// failed or there is no file, 2 for wrong usage.
//
// Dawn on its null backend crashes when one process makes many pipelines, so at most eight files go to one
// child process, and a file that a crash left without an answer is asked about again, alone.

import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const FILES_A_PROCESS = 8;
const SECONDS_A_PROCESS = 120;
const SCRIPT = fileURLToPath(import.meta.url);

function usage(message) {
  console.error(`${message}\nusage: node dawn.mjs [--modules DIR] DIRECTORY_OF_WGSL_FILES`);
  process.exit(2);
}

/** The address of the package's main file, or an end with a word on how to get it. */
function findPackage(modules) {
  for (const from of modules ? [modules] : [process.cwd(), resolve(SCRIPT, '..')]) {
    try {
      return pathToFileURL(createRequire(join(resolve(from), 'x.js')).resolve('webgpu')).href;
    } catch {}
  }
  return usage('the package webgpu is not here: npm install webgpu');
}

/** The name of a shader's only compute entry point. */
function entryPoint(code) {
  const bare = code.replace(/\/\*[\s\S]*?\*\//g, ' ').replace(/\/\/.*/g, ' ');
  const names = [...bare.matchAll(/@\s*compute\b[\s\S]*?\bfn\s+([\p{XID_Start}_][\p{XID_Continue}]*)/gu)].map((found) => found[1]);
  if (names.length !== 1) throw new Error(`one compute entry point expected, found ${names.length}: ${names.join(' ')}`);
  return names[0];
}

async function check(gpu, path) {
  const code = readFileSync(path, 'utf8');
  const entry = entryPoint(code);
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new Error('Dawn has no null adapter');
  const device = await adapter.requestDevice();
  const problems = [];
  const scoped = async (what, make) => {
    for (const kind of ['internal', 'out-of-memory', 'validation']) device.pushErrorScope(kind);
    let made;
    try {
      made = await make();
    } catch (error) {
      problems.push(`${what}: ${error.message ?? error}`);
    }
    for (let scope = 0; scope < 3; scope++) {
      const error = await device.popErrorScope();
      if (error) problems.push(`${what}: ${error.message}`);
    }
    return made;
  };
  const module = await scoped('module', () => device.createShaderModule({ code }));
  if (module && problems.length === 0) {
    const { messages } = await module.getCompilationInfo();
    for (const one of messages) {
      if (one.type === 'error') problems.push(`line ${one.lineNum}: ${one.message}`);
    }
  }
  if (problems.length === 0) {
    await scoped('pipeline', () => device.createComputePipeline({ layout: 'auto', compute: { module, entryPoint: entry } }));
  }
  if (problems.length > 0) throw new Error(problems.join('\n'));
}

/** In a child: a line of JSON for each file, at once, so that a crash loses only the file it happens in. */
async function child(address, paths) {
  const { create, globals } = await import(address);
  Object.assign(globalThis, globals);
  const gpu = create(['backend=null']);
  for (const path of paths) {
    let error = null;
    try {
      await check(gpu, path);
    } catch (thrown) {
      error = String(thrown.message ?? thrown);
    }
    console.log(JSON.stringify({ path, error }));
  }
  process.exit(0);
}

/** The answers of one child process by path, and how it ended. */
function ask(address, paths) {
  const done = spawnSync(process.execPath, [SCRIPT, '--child', address, ...paths], {
    encoding: 'utf8',
    timeout: SECONDS_A_PROCESS * 1000,
    maxBuffer: 1 << 26,
  });
  const answers = new Map();
  for (const line of done.stdout.split('\n')) {
    try {
      const { path, error } = JSON.parse(line);
      answers.set(path, error);
    } catch {}
  }
  const end = done.signal ? `signal ${done.signal}` : `exit status ${done.status}`;
  return { answers, end: `${end} ${done.stderr.trim().split('\n').slice(-3).join(' | ')}` };
}

function main(args) {
  let modules, directory;
  for (let i = 0; i < args.length; i++) {
    if (args[i] === '--modules') modules = args[++i] ?? usage('--modules needs a directory');
    else if (args[i].startsWith('-') || directory !== undefined) usage(`not understood: ${args[i]}`);
    else directory = args[i];
  }
  if (directory === undefined) usage('no directory given');
  const address = findPackage(modules);
  let names;
  try {
    names = readdirSync(directory);
  } catch (error) {
    usage(error.message);
  }
  const paths = names.filter((name) => name.endsWith('.wgsl')).sort().map((name) => resolve(directory, name));
  let passed = 0;
  let failed = 0;
  for (let begin = 0; begin < paths.length; begin += FILES_A_PROCESS) {
    const group = paths.slice(begin, begin + FILES_A_PROCESS);
    const { answers } = ask(address, group);
    for (const path of group) {
      let error = answers.get(path);
      if (error === undefined) {
        const alone = ask(address, [path]);
        error = alone.answers.get(path);
        if (error === undefined) error = `Dawn crashed on it: ${alone.end}`;
      }
      const name = basename(path, '.wgsl');
      if (error === null) {
        passed += 1;
        console.log(`ok ${name}`);
      } else {
        failed += 1;
        console.log(`FAILED ${name}: ${error}`);
      }
    }
  }
  if (paths.length === 0) console.error(`no .wgsl file in ${directory}`);
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
}

if (process.argv[2] === '--child') await child(process.argv[3], process.argv.slice(4));
else main(process.argv.slice(2));
