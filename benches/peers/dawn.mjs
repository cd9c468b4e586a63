#!/usr/bin/env node
// Does Dawn, the WebGPU implementation of Chromium, compute what the reference of each kernel computes?
//
//     npm install webgpu
//     target/release/wgrad kernels --cases /tmp/cases
//     node benches/peers/dawn.mjs /tmp/cases
//
// Each .cases file holds a variant of a kernel, its inputs, the reference's results and their bounds
// (src/bin/wgrad/kernels/cases.rs describes the format). Each case runs through Dawn's Vulkan backend and is compared
// within the same bounds as in `wgrad verify`. All of them take gigabytes; `--wgrad PROGRAM` in place of the directory
// writes, runs and deletes them kernel by kernel.
//
//     node benches/peers/dawn.mjs --wgrad target/release/wgrad
//
// Dawn asks more of a Vulkan driver than wgpu does: Mesa's llvmpipe of Debian 12 is too old. VK_ICD_FILENAMES names the json file
// of another driver, as in swiftshader.sh: VK_ICD_FILENAMES=/usr/lib/chromium/vk_swiftshader_icd.json.
//
//     target/release/wgrad kernels --dump /tmp/kernels
//     node benches/peers/dawn.mjs --compile-only /tmp/kernels
//
// With --compile-only, each .wgsl file of the directory goes through Dawn's WGSL compiler and becomes a compute pipeline
// (layout auto) on the null backend, which needs no GPU and checks the device's limits when the pipeline is made. The
// device is asked for no limit and no feature beyond the defaults.
//
// The package is looked for from the current directory, then from this script's; `--modules DIR` names another place.
//
// Output: a line a file, `ok NAME` with its cases and the worst error as a fraction of its bound, or `FAILED NAME: ` and
// the reason, then `N passed, M failed`, of cases or of files; exit status 1 if any failed or there is none, 2 for wrong
// usage.
//
// Dawn can crash when one process makes many pipelines, so at most eight files go to one child process, and a file that a
// crash left without an answer is asked about again, alone.

import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, readSync, readdirSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, extname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const FILES_A_PROCESS = 8;
const SECONDS_A_PROCESS = 1200;
const MAX_GROUPS = 65535;
const SCRIPT = fileURLToPath(import.meta.url);

function usage(message) {
  console.error(`${message}
usage: node dawn.mjs [--modules DIR] DIRECTORY_OF_CASES
       node dawn.mjs [--modules DIR] --wgrad PROGRAM
       node dawn.mjs [--modules DIR] --compile-only DIRECTORY_OF_WGSL_FILES`);
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

/** Runs `make`, and throws whatever the device says is wrong with it. */
async function scoped(device, what, make) {
  const problems = [];
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
  if (problems.length > 0) throw new Error(problems.join('\n'));
  return made;
}

async function pipelineOf(device, code, layout) {
  const entry = entryPoint(code);
  const module = await scoped(device, 'module', () => device.createShaderModule({ code }));
  const { messages } = await module.getCompilationInfo();
  const errors = messages.filter((one) => one.type === 'error').map((one) => `line ${one.lineNum}: ${one.message}`);
  if (errors.length > 0) throw new Error(errors.join('\n'));
  return scoped(device, 'pipeline', () => device.createComputePipeline({ layout, compute: { module, entryPoint: entry } }));
}

async function compile(gpu, path) {
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new Error('Dawn has no null adapter');
  const device = await adapter.requestDevice();
  await pipelineOf(device, readFileSync(path, 'utf8'), 'auto');
  return {};
}

const TYPES = { u8: Uint8Array, u32: Uint32Array, f32: Float32Array, f64: Float64Array };

/** The lines and data of a .cases file, from its beginning. */
class Reader {
  constructor(path) {
    this.file = openSync(path);
    this.at = 0;
  }

  /** A line of JSON; undefined at the end of the file. */
  line() {
    let text = Buffer.alloc(0);
    for (;;) {
      const more = Buffer.alloc(1 << 16);
      const count = readSync(this.file, more, 0, more.length, this.at + text.length);
      if (count === 0 && text.length === 0) return undefined;
      if (count === 0) throw new Error('the file ends within a line');
      text = Buffer.concat([text, more.subarray(0, count)]);
      const end = text.indexOf(10);
      if (end < 0) continue;
      this.at += end + 1;
      return JSON.parse(text.subarray(0, end).toString('utf8'));
    }
  }

  data({ type, len }) {
    const values = new TYPES[type](len);
    const bytes = new Uint8Array(values.buffer);
    for (let done = 0; done < bytes.length; ) {
      const count = readSync(this.file, bytes, done, Math.min(bytes.length - done, 1 << 30), this.at + done);
      if (count === 0) throw new Error('the file ends within the data of a case');
      done += count;
    }
    this.at += bytes.length;
    return values;
  }

  /** The next case, with values in its buffers; undefined after the last one. */
  next() {
    const head = this.line();
    for (const buffer of head?.buffers ?? []) {
      for (const part of ['before', 'results', 'bounds']) {
        if (buffer[part]) buffer[part] = this.data(buffer[part]);
      }
    }
    return head;
  }

  close() {
    closeSync(this.file);
  }
}

/** The largest error of an output as a fraction of its bound. Throws the fault if there is one. */
function compare({ name, before, results, bounds }, found) {
  let worst = 0;
  for (let i = 0; i < results.length; i++) {
    const expected = results[i];
    if (found[i] === expected || (Number.isNaN(found[i]) && Number.isNaN(expected))) continue;
    const error = Number.isFinite(expected) && Number.isFinite(found[i]) ? Math.abs(found[i] - expected) : Infinity;
    const bound = bounds ? bounds[i] : 0;
    const fraction = bound > 0 && Number.isFinite(bound) ? error / bound : Infinity;
    // Written so that a NaN fails.
    if (!(fraction <= 1)) throw new Error(`${name}[${i}] is ${found[i]}, expected ${expected}, bound ${bound}`);
    if (fraction > worst) worst = fraction;
  }
  for (let i = results.length; i < before.length; i++) {
    const whole = Number.isNaN(before[i]) ? Number.isNaN(found[i]) : found[i] === before[i];
    if (!whole) throw new Error(`${name}: written past its ${results.length} elements`);
  }
  return worst;
}

/** Runs a case. Returns the worst fraction. */
async function run(device, pipeline, layout, { groups, buffers }) {
  const usage = { uniform: GPUBufferUsage.UNIFORM, read: GPUBufferUsage.STORAGE };
  const made = [];
  const create = (size, flags) => {
    const buffer = device.createBuffer({ size, usage: flags });
    made.push(buffer);
    return buffer;
  };
  try {
    const reads = [];
    await scoped(device, 'dispatch', () => {
      const entries = buffers.map(({ access, before }, binding) => {
        // wgrad's buffers are whole vectors of four words.
        const size = Math.max(16, Math.ceil(before.byteLength / 16) * 16);
        const flags = usage[access] ?? GPUBufferUsage.STORAGE;
        const buffer = create(size, flags | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC);
        if (before.byteLength > 0) device.queue.writeBuffer(buffer, 0, before);
        return { binding, resource: { buffer } };
      });
      const encoder = device.createCommandEncoder();
      if (groups > 0) {
        const pass = encoder.beginComputePass();
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, device.createBindGroup({ layout, entries }));
        const x = Math.min(groups, MAX_GROUPS);
        pass.dispatchWorkgroups(x, Math.ceil(groups / x));
        pass.end();
      }
      buffers.forEach((buffer, binding) => {
        if (!buffer.results) return;
        const size = buffer.before.byteLength;
        const read = create(size, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
        encoder.copyBufferToBuffer(entries[binding].resource.buffer, 0, read, 0, size);
        reads.push({ buffer, read });
      });
      device.queue.submit([encoder.finish()]);
    });
    let worst = 0;
    for (const { buffer, read } of reads) {
      await read.mapAsync(GPUMapMode.READ);
      const found = new buffer.before.constructor(read.getMappedRange().slice(0));
      read.unmap();
      worst = Math.max(worst, compare(buffer, found));
    }
    return worst;
  } finally {
    for (const buffer of made) buffer.destroy();
  }
}

const AS = { read: 'read-only-storage', write: 'storage', update: 'storage', uniform: 'uniform' };

/** Plays every case of a file. */
async function play(gpu, path) {
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new Error('Dawn has no Vulkan adapter');
  // The default limits, but for the sizes of buffers.
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  const device = await adapter.requestDevice({ requiredLimits: { maxBufferSize, maxStorageBufferBindingSize } });
  const reader = new Reader(path);
  let [passed, worst, pipeline, layout] = [0, 0];
  const failures = [];
  const { wgsl } = reader.line();
  for (let one = reader.next(); one; one = reader.next()) {
    try {
      if (!pipeline) {
        const entries = one.buffers.map(({ access }, binding) => ({
          binding,
          visibility: GPUShaderStage.COMPUTE,
          buffer: { type: AS[access] },
        }));
        layout = device.createBindGroupLayout({ entries });
        pipeline = await pipelineOf(device, wgsl, device.createPipelineLayout({ bindGroupLayouts: [layout] }));
      }
      worst = Math.max(worst, await run(device, pipeline, layout, one));
      passed += 1;
    } catch (error) {
      failures.push(`case ${one.case}: ${error.message ?? error}`);
    }
  }
  reader.close();
  device.destroy();
  if (passed === 0 && failures.length === 0) failures.push('no case in the file');
  return { passed, worst, failures };
}

/** In a child: a line of JSON for each file, at once, so that a crash loses only the file it happens in. */
async function child(address, paths) {
  const { create, globals } = await import(address);
  Object.assign(globalThis, globals);
  const plays = (path) => extname(path) === '.cases';
  const gpu = create([`backend=${plays(paths[0]) ? 'vulkan' : 'null'}`]);
  for (const path of paths) {
    let answer;
    try {
      answer = await (plays(path) ? play : compile)(gpu, path);
    } catch (thrown) {
      answer = { error: String(thrown.message ?? thrown) };
    }
    console.log(JSON.stringify({ path, ...answer }));
  }
  process.exit(0);
}

/** In a child: the adapter of the Vulkan backend, by name. */
async function childAdapter(address) {
  const { create } = await import(address);
  const adapter = await create(['backend=vulkan']).requestAdapter();
  if (adapter) {
    const { vendor, architecture, device, description } = adapter.info;
    console.log([vendor, architecture, device, description].filter(Boolean).join(', '));
  }
  process.exit(adapter ? 0 : 1);
}

function spawn(...args) {
  return spawnSync(process.execPath, [SCRIPT, ...args], {
    encoding: 'utf8',
    timeout: SECONDS_A_PROCESS * 1000,
    maxBuffer: 1 << 26,
  });
}

/** The answers of one child process by path, and how it ended. */
function ask(address, paths) {
  const done = spawn('--child', address, ...paths);
  const answers = new Map();
  for (const line of done.stdout.split('\n')) {
    try {
      const answer = JSON.parse(line);
      answers.set(answer.path, answer);
    } catch {}
  }
  const end = done.signal ? `signal ${done.signal}` : `exit status ${done.status}`;
  return { answers, end: `${end} ${done.stderr.trim().split('\n').slice(-3).join(' | ')}` };
}

/** Files or cases that passed and failed. */
const total = { passed: 0, failed: 0 };

/** Checks the files of a directory and prints a line for each. */
function check(address, directory, extension) {
  let names;
  try {
    names = readdirSync(directory);
  } catch (error) {
    usage(error.message);
  }
  const paths = names.filter((name) => name.endsWith(extension)).sort().map((name) => resolve(directory, name));
  for (let begin = 0; begin < paths.length; begin += FILES_A_PROCESS) {
    const group = paths.slice(begin, begin + FILES_A_PROCESS);
    const { answers } = ask(address, group);
    for (const path of group) {
      let answer = answers.get(path);
      if (answer === undefined) {
        const alone = ask(address, [path]);
        answer = alone.answers.get(path) ?? { error: `Dawn crashed on it: ${alone.end}` };
      }
      const name = basename(path, extension);
      const { error, passed = error ? 0 : 1, failures = error ? [error] : [], worst } = answer;
      total.passed += passed;
      total.failed += failures.length;
      if (failures.length === 0) {
        console.log(`ok ${name}${worst === undefined ? '' : `: ${passed} cases, worst error / bound ${worst.toFixed(4)}`}`);
      }
      for (const failure of failures) console.log(`FAILED ${name}: ${failure}`);
    }
  }
  return paths.length;
}

/** Writes, runs and deletes the cases of each kernel. */
function checkProgram(address, wgrad) {
  const call = (...args) => {
    const done = spawnSync(wgrad, ['kernels', ...args], { encoding: 'utf8', maxBuffer: 1 << 28 });
    if (done.status !== 0) usage(`${wgrad}: ${done.error?.message ?? done.stderr}`);
    return done.stdout;
  };
  const kernels = [...new Set(JSON.parse(call('--json')).map((form) => form.kernel))];
  let files = 0;
  for (const kernel of kernels) {
    const directory = mkdtempSync(join(tmpdir(), 'cases-'));
    try {
      call('--cases', directory, '--kernel', kernel);
      files += check(address, directory, '.cases');
    } finally {
      rmSync(directory, { recursive: true });
    }
  }
  return files;
}

function main(args) {
  let modules, directory, wgrad;
  let extension = '.cases';
  for (let i = 0; i < args.length; i++) {
    if (args[i] === '--modules') modules = args[++i] ?? usage('--modules needs a directory');
    else if (args[i] === '--wgrad') wgrad = args[++i] ?? usage('--wgrad needs a program');
    else if (args[i] === '--compile-only') extension = '.wgsl';
    else if (args[i].startsWith('-') || directory !== undefined) usage(`not understood: ${args[i]}`);
    else directory = args[i];
  }
  if ((directory === undefined) === (wgrad === undefined)) usage('a directory or --wgrad is needed, and not both');
  if (wgrad !== undefined && extension === '.wgsl') usage('--compile-only needs a directory');
  const address = findPackage(modules);
  if (extension === '.cases') {
    const { status, signal, stdout, stderr } = spawn('--adapter', address);
    if (status !== 0) {
      console.error(`Dawn has no Vulkan adapter${signal ? ` (signal ${signal})` : ''}: ${stderr.trim() || 'no driver was found'}`);
      process.exit(1);
    }
    console.log(`adapter: ${stdout.trim()}`);
  }
  const files = wgrad === undefined ? check(address, directory, extension) : checkProgram(address, wgrad);
  if (files === 0) console.error(`no ${extension} file in ${directory}`);
  console.log(`${total.passed} passed, ${total.failed} failed`);
  process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;
}

if (process.argv[2] === '--child') await child(process.argv[3], process.argv.slice(4));
else if (process.argv[2] === '--adapter') await childAdapter(process.argv[3]);
else main(process.argv.slice(2));
