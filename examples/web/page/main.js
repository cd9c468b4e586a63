// The page: settings, training loop, curve, board and table. All numbers come from the module.

import init, { Gpu, kernels } from './pkg/wgrad_web.js';
import { drawCurve } from './curve.js';
import { POSITIONS, drawBoard, sideToMove } from './board.js';

const $ = id => document.getElementById(id);
const form = $('settings');
/** Milliseconds of steps between two looks at the page. */
const TURN = 150;
/** Milliseconds between two evaluations of the board. */
const EVALUATE_EVERY = 400;

const data = {};
let gpu;
/** The newest training, which stays for the board after it has ended. */
let training;
/** 'idle', 'training' or 'verifying'. Of the module's calls only one may run at a time. */
let work = 'idle';
let stopping = false;

function problem(title, ...lines) {
  const box = $('problem');
  const head = document.createElement('strong');
  head.textContent = title;
  const texts = lines.map(line => {
    const text = document.createElement('p');
    text.textContent = line;
    return text;
  });
  box.replaceChildren(head, ...texts);
  box.hidden = false;
}

/** The recipe, as a file of `wgrad train`. */
function recipe() {
  const of = name => form.elements[name].value;
  const deep = of('form') === 'deep';
  const lines = [
    `hidden = ${of('hidden')}`,
    `tied = ${form.elements.tied.checked}`,
    `activation = "${deep ? 'crelu' : of('form')}"`,
    ...(deep ? ['pairwise = true', 'layers = ["16:crelu", "32:crelu"]'] : []),
    `epochs = ${of('epochs')}`,
    `batch_size = ${of('batch_size')}`,
    `learning_rate = ${of('learning_rate')}`,
    `seed = ${Math.max(0, Math.trunc(Number(of('seed')) || 0))}`,
  ];
  return lines.join('\n') + '\n';
}

function showRecipe() {
  // A pairwise product takes a multiple of 64 lanes on a GPU's fast path.
  const deep = form.elements.form.value === 'deep';
  form.elements.hidden.options[0].disabled = deep;
  if (deep && form.elements.hidden.value === '32') form.elements.hidden.value = '64';
  $('recipe').textContent = `# wgrad train recipe.toml --data chess_train.bin \\\n#   --validation chess_validation.bin\n${recipe()}`;
}

function buttons() {
  $('train').disabled = !gpu || work !== 'idle';
  $('verify').disabled = !gpu || work !== 'idle';
  $('stop').disabled = work === 'idle';
}

async function bytes(name) {
  if (!data[name]) {
    const answer = await fetch(`data/${name}`);
    if (!answer.ok) throw new Error(`data/${name}: the server answers ${answer.status}`);
    data[name] = new Uint8Array(await answer.arrayBuffer());
  }
  return data[name];
}

/** Runs one piece of work, and shows its error. */
async function doing(name, job) {
  [work, stopping] = [name, false];
  $('problem').hidden = true;
  buttons();
  try {
    return await job();
  } catch (error) {
    problem('That did not work.', String(error.message ?? error));
    $('state').textContent = 'Stopped by an error.';
    throw error;
  } finally {
    work = 'idle';
    buttons();
  }
}

/** A pause, so that the page can be drawn and clicked. */
const breath = () => new Promise(done => setTimeout(done));

const curve = { losses: [], validations: [], total: 1 };

async function train() {
  return doing('training', async () => {
    training?.free();
    training = undefined;
    Object.assign(curve, { losses: [], validations: [], total: 1 });
    $('state').textContent = 'Loading positions …';
    const [positions, validation] = [
      await bytes('chess_train.bin'),
      await bytes('chess_validation.bin'),
    ];
    training = gpu.train(recipe(), positions, validation);
    curve.total = training.totalSteps;
    $('state').textContent = 'Compiling the kernels …';
    await validate();
    await show();
    let [steps, spent, running, evaluated] = [1, 0, undefined, 0];
    let speed;
    while (!training.isDone && !stopping) {
      const [start, before] = [performance.now(), training.positions];
      const stepsBefore = training.steps;
      const losses = await training.advance(steps);
      const taken = performance.now() - start;
      spent += taken;
      for (const loss of losses) {
        running = running === undefined ? loss : running + (loss - running) / 16;
        curve.losses.push(loss);
      }
      const rate = (training.positions - before) * 1000 / taken;
      // The first call compiles kernels.
      if (stepsBefore > 0) speed = speed === undefined ? rate : speed + (rate - speed) / 8;
      const done = training.steps - stepsBefore;
      const wanted = Math.round(Math.max(done, 1) * TURN / taken);
      steps = Math.max(1, Math.min(256, wanted, 2 * steps));
      $('bar').value = training.steps / training.totalSteps;
      $('step').textContent = `${training.steps.toLocaleString('en')} of ${training.totalSteps.toLocaleString('en')}`;
      if (running !== undefined) $('loss').textContent = running.toFixed(5);
      if (speed !== undefined) $('speed').textContent = Math.round(speed).toLocaleString('en');
      $('state').textContent = `Epoch ${Math.min(training.epoch + 1, Number(form.elements.epochs.value))} is going on.`;
      if (training.epoch > curve.validations.length - 1) await validate();
      if (performance.now() - evaluated > EVALUATE_EVERY || training.isDone) {
        await show();
        evaluated = performance.now();
      }
      drawCurve($('curve'), curve);
      await breath();
    }
    await show();
    $('state').textContent = training.isDone
      ? `Done: ${training.positions.toLocaleString('en')} positions in ${(spent / 1000).toFixed(1)} s.`
      : 'Stopped.';
    return { steps: training.steps, validation: curve.validations.at(-1).loss, speed };
  });
}

async function validate() {
  const loss = await training.validate();
  curve.validations.push({ step: training.steps, loss });
  $('validation').textContent = loss.toFixed(5);
}

/** Evaluates the position on the board. Outside of a training nothing else may run meanwhile. */
async function show() {
  const fen = $('fen').value.trim();
  $('fen-problem').hidden = true;
  drawBoard($('board'), fen);
  if (!training) return;
  try {
    const own = await training.evaluate(fen);
    const black = sideToMove(fen) === 'b';
    const white = black ? -own : own;
    const pawns = (own / 100).toFixed(2);
    $('score').textContent = `${own >= 0 ? '+' : '−'}${pawns.replace('-', '')}`;
    $('side').textContent = `pawns for ${black ? 'Black' : 'White'}, the side to move (${Math.round(own)} centipawns)`;
    $('gauge').style.height = `${100 / (1 + Math.exp(-white / 400))}%`;
  } catch (error) {
    $('score').textContent = '–';
    $('side').textContent = '';
    $('fen-problem').textContent = String(error.message ?? error);
    $('fen-problem').hidden = false;
  }
}

/** A position was chosen: a running training shows it at its next look at the page. */
async function choose() {
  drawBoard($('board'), $('fen').value.trim());
  if (work !== 'idle' || !training) return;
  await doing('evaluating', show);
}

async function verify() {
  return doing('verifying', async () => {
    const rows = $('outcomes');
    rows.replaceChildren();
    $('table-scroll').hidden = false;
    const total = { comparisons: 0, failed: 0, kernels: 0, failures: [] };
    const names = kernels();
    for (const name of names) {
      if (stopping) break;
      $('verdict').textContent = `${name} (${total.kernels + 1} of ${names.length}) …`;
      await breath();
      const outcomes = JSON.parse(await gpu.verify(name));
      const failed = outcomes.filter(outcome => !outcome.ok);
      total.kernels += 1;
      total.comparisons += outcomes.length;
      total.failed += failed.length;
      total.failures.push(...failed);
      // JSON has no infinity: a fraction that is none is null.
      const fractions = outcomes.map(outcome => outcome.fraction ?? Infinity);
      const row = rows.insertRow();
      const cell = (text, kind) => {
        const at = row.insertCell();
        at.textContent = text;
        at.className = kind ?? '';
      };
      cell(name);
      cell(outcomes[0]?.pass ?? '');
      cell(outcomes.length, 'number');
      cell(Math.max(0, ...fractions).toFixed(4), 'number');
      if (failed.length === 0) cell('ok', 'ok');
      else cell(`${failed.length} failed: ${failed[0].case}: ${failed[0].note ?? 'out of its bound'}`, 'failed');
    }
    const counted = `${total.comparisons.toLocaleString('en')} comparisons of ${total.kernels} kernels`;
    $('verdict').textContent = stopping
      ? `${counted}: stopped, ${total.failed} failed`
      : `${counted}: ${total.failed === 0 ? 'all within their bounds' : `${total.failed} failed`}`;
    return { ...total, complete: total.kernels === names.length };
  });
}

async function start() {
  for (const [name, fen] of POSITIONS) $('positions').add(new Option(name, fen));
  $('positions').add(new Option('your own', ''));
  $('fen').value = POSITIONS[0][1];
  drawBoard($('board'), $('fen').value);
  drawCurve($('curve'), curve);
  showRecipe();
  form.addEventListener('input', showRecipe);
  form.addEventListener('submit', event => event.preventDefault());
  $('positions').addEventListener('change', () => {
    if ($('positions').value) $('fen').value = $('positions').value;
    choose().catch(() => {});
  });
  $('fen').addEventListener('change', () => {
    const known = POSITIONS.some(([, fen]) => fen === $('fen').value.trim());
    $('positions').value = known ? $('fen').value.trim() : '';
    choose().catch(() => {});
  });
  $('train').addEventListener('click', () => train().catch(() => {}));
  $('verify').addEventListener('click', () => verify().catch(() => {}));
  $('stop').addEventListener('click', () => { stopping = true; });
  const redraw = () => drawCurve($('curve'), curve);
  new ResizeObserver(redraw).observe($('curve'));
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);

  if (!navigator.gpu) {
    $('device').textContent = 'No WebGPU.';
    problem(
      'This browser offers no WebGPU.',
      isSecureContext
        ? 'Chrome and Edge from 113 on, Firefox from 141 on Windows and Safari from 26 have it. On Linux it may need a setting.'
        : 'Browsers offer it only over https or on localhost. Open this page there.',
    );
    return;
  }
  try {
    await init();
    gpu = await Gpu.open();
  } catch (error) {
    $('device').textContent = 'No GPU.';
    problem('WebGPU is there, but wgrad found no GPU that it can use.', String(error.message ?? error));
    return;
  }
  const info = (await navigator.gpu.requestAdapter())?.info ?? {};
  const name = gpu.name || [info.vendor, info.architecture].filter(Boolean).join(' ');
  const software = info.isFallbackAdapter ? ', which computes on the processor' : '';
  $('device').textContent = `GPU: ${name || 'the browser does not tell its name'}${software}`;
  buttons();
}

// The test of the page waits for this promise, and calls these functions.
window.wgrad = { ready: start(), train, verify, recipe };
