// The page: one picture in, every mode's answer out, side by side.

import { setUpCamera, setUpDrawing, setUpFiles } from './inputs.js';
import { load } from './quarterturn/quarterturn.js';
import { costOf, fillTerms, make, milliseconds, modeCard, modelCard, paint, passesOf, percent, sumTable, viewCard } from './render.js';

const $ = (id) => document.getElementById(id);

function say(text, isError = false) {
  $('status').textContent = text;
  $('status').classList.toggle('error', isError);
}

/** Runs f, and shows what goes wrong as a sentence. */
async function attempt(f) {
  try {
    await f();
  } catch (error) {
    say(error.message.replace(/[^.]$/, '$&.'), true); // a sentence
  }
}

let classifier;
let source; // of its model
let results = []; // of the last picture, one a mode
let running = Promise.resolve();
let gallery; // of the model
let shown; // the last picture, as it was given
const times = new Map(); // milliseconds by mode, of the pictures of this model

/** Does things to the classifier one after the other. */
function inTurn(f) {
  running = running.then(() => attempt(f));
  return running;
}

const classify = (input, what) => inTurn(() => show(input, what));

async function show(input, what) {
  const { info } = classifier;
  results = [];
  for (const { mode } of info.modes) {
    const result = await classifier.classify(input, { mode, topK: 5 });
    results.push(result);
    times.set(mode, [...(times.get(mode) ?? []), result.ms].slice(-50));
  }
  const pixels = await classifier.input();
  shown = input;
  $('add').disabled = false;
  await compare();
  paint($('seen'), pixels, info.input, info.transforms[0]);
  summarise();
  const digests = Object.fromEntries(await Promise.all(results.map(async (r) => [r.mode, await digest(r.logits)])));
  $('modes').replaceChildren(...results.map((r) => modeCard(info, r, digests[r.mode])));
  const aggregated = results.find((r) => r.mode === 'aggregated');
  if (aggregated) {
    $('views').replaceChildren(...info.transforms.map((_, j) => viewCard(info, aggregated.views, j, pixels)));
    $('sum').replaceChildren(sumTable(info, aggregated));
  }
  showTimes();
  // What a test, or the curious, compare with `quarterturn predict --json`.
  document.body.dataset.digests = JSON.stringify(digests);
  say(`Classified ${what}.`);
}

/** The answer in words, by the mode that is switched to. */
function summarise() {
  const mode = document.querySelector('#switch input:checked').value;
  const chosen = results.find((r) => r.mode === mode);
  if (!chosen) return;
  $('summary').replaceChildren('This looks like ', make('strong', { textContent: chosen.top[0].label }), ` (${percent(chosen.top[0].probability)}).`);
  $('cost').textContent = `${mode}: ${passesOf(chosen.passes)} of the net, ${milliseconds(median(times.get(mode)))}`;
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

const builds = { simd: 'build with vector operations (SIMD)', plain: 'plain build' };

let firstTime; // milliseconds that the first picture took

function showTimes() {
  const { timings, info } = classifier;
  firstTime ??= results[0].ms;
  const steady = info.modes.map((m) => `${m.mode} ${milliseconds(median(times.get(m.mode)))} (${costOf(m)})`);
  fillTerms($('times'), {
    Download: milliseconds(timings.download),
    Compile: `${milliseconds(timings.compile)}, the ${builds[classifier.build]}`,
    Open: `${milliseconds(timings.open)}, checking the slab and packing its weights`,
    'First picture': `${milliseconds(firstTime)} (${results[0].mode})`,
    'Every picture': `${steady.join('; ')}; medians of ${times.get(results[0].mode).length}`,
  });
}

async function digest(logits) {
  if (!crypto.subtle) return 'the digest needs https or localhost';
  const hash = await crypto.subtle.digest('SHA-256', logits);
  return Array.from(new Uint8Array(hash), (b) => b.toString(16).padStart(2, '0')).join('');
}

/** Opens a model of the list and sets the page up for it. */
async function open(model, models) {
  delete document.body.dataset.ready;
  $('verify').disabled = true;
  await classifier?.close();
  classifier = undefined;
  source = model.src;
  classifier = await load(source, {
    onProgress: ({ what, loaded, total }) => {
      say(`Loading the ${what === 'model' ? 'model' : 'module'}: ${Math.round(loaded / 1024)} KB${total ? ` of ${Math.round(total / 1024)}` : ''}`);
    },
  });
  const { info } = classifier;
  gallery = classifier.gallery();
  shown = undefined;
  $('add').disabled = true;
  showTaught();
  results = [];
  times.clear();
  firstTime = undefined;
  for (const id of ['modes', 'views', 'sum', 'verified', 'times', 'cost']) $(id).replaceChildren();
  $('summary').textContent = 'Pick a picture to begin.';
  $('views-part').hidden = !info.modes.some(({ mode }) => mode === 'aggregated');
  // Drawings and inverted pictures are for nets that know light shapes on black.
  for (const e of document.querySelectorAll('.grey')) e.hidden = info.input.channels !== 1;
  const { provenance: p, input } = info;
  fillTerms($('model'), {
    Training: `${p.epochs} epochs, seed ${p.seed}`,
    Input: `${input.width} × ${input.height}, ${input.channels === 1 ? 'grey' : 'colour'}; ${info.transforms.length} views`,
    Size: `${info.parameters.toLocaleString('en')} parameters, ${(info.macs / 1e6).toFixed(1)} million multiply-adds a pass`,
    Labels: info.labels.join(', '),
  });
  $('models').replaceChildren(...models.map((m) => modelCard(m, m === model)));
  $('switch').replaceChildren(make('legend', { textContent: 'Answer by' }), ...info.modes.map((m) => make('label', {},
    make('input', { type: 'radio', name: 'mode', value: m.mode, checked: m.mode === info.recommended }), ` ${m.mode}, ${costOf(m)}`)));
  setUpSamples(model.samples);
  $('verify').disabled = false;
  say('Ready.');
  document.body.dataset.ready = 'true';
}

function setUpSamples(samples) {
  $('samples').hidden = samples.length === 0;
  $('samples').replaceChildren(...samples.map(({ src, label }) => {
    const button = make('button', { type: 'button', title: label }, make('img', { src, alt: label, width: 56, height: 56 }));
    button.addEventListener('click', () => attempt(async () => {
      const response = await fetch(src);
      if (!response.ok) throw new Error(`the sample cannot be fetched: status ${response.status}`);
      await classify(await response.blob(), `a sample labelled ${label}`);
    }));
    return button;
  }));
}

/** Compares the picture with what was taught. */
async function compare() {
  if (gallery.examples.length === 0) return;
  const { top } = await gallery.classify(shown);
  $('like').replaceChildren('Most like ', make('strong', { textContent: top[0].label }),
    top.length > 1 ? ` (${top.map(({ label, probability }) => `${label} ${percent(probability)}`).join(', ')}).` : '. Teach it something else as well.');
}

async function teach() {
  const label = $('name').value.trim();
  if (!label || !shown) return;
  await gallery.enrol(label, shown);
  showTaught();
  await compare();
}

function showTaught() {
  $('like').replaceChildren();
  $('taught').replaceChildren(...gallery.examples.map(({ label, pictures }) => {
    const forget = make('button', { type: 'button', textContent: 'Forget', title: `Forget ${label}` });
    forget.setAttribute('aria-label', `Forget ${label}`);
    forget.addEventListener('click', () => inTurn(async () => {
      gallery.forget(label);
      showTaught();
      if (shown) await compare();
    }));
    return make('li', {}, make('strong', { textContent: label }), ` ${pictures === 1 ? 'one picture' : `${pictures} pictures`} `, forget);
  }));
}

/** Runs the self-test in the build of the module that runs here, and then in the plain one. */
async function verify() {
  const { build, info } = classifier;
  const terms = {};
  terms[`Computed here, ${builds[build]}`] = await classifier.verify();
  if (build === 'simd') {
    const plain = await load(source, { simd: false });
    terms[`Computed here, ${builds.plain}`] = await plain.verify().finally(() => plain.close());
  }
  const passed = Object.values(terms).every((digest) => digest === info.selftest.digest);
  fillTerms($('verified'), { ...terms, 'When it was made': info.selftest.digest, Result: passed ? 'passed: the same bits' : 'failed: other bits' });
}

/** Keeps the page for when there is no network, and changes to a newer build of it, whole, while nobody uses this one. */
async function keep() {
  if (!navigator.serviceWorker) return;
  const first = !navigator.serviceWorker.controller;
  const registration = await navigator.serviceWorker.register('offline.js').catch(() => undefined); // without it, the page needs the network
  const offer = (worker) => worker?.state === 'installed' && !first && !document.body.dataset.digests && worker.postMessage('switch');
  offer(registration?.waiting);
  registration?.addEventListener('updatefound', () => {
    const worker = registration.installing;
    worker.addEventListener('statechange', () => offer(worker));
  });
  navigator.serviceWorker.addEventListener('controllerchange', () => !first && location.reload());
}

await attempt(async () => {
  const response = await fetch('models.json');
  if (!response.ok) throw new Error(`the list of models cannot be fetched: status ${response.status}`);
  const models = await response.json();
  $('models').addEventListener('change', (e) => inTurn(() => open(models.find((m) => m.src === e.target.value), models)));
  $('switch').addEventListener('change', summarise);
  $('teach').addEventListener('submit', (e) => {
    e.preventDefault();
    inTurn(teach);
  });
  $('verify').addEventListener('click', () => inTurn(verify));
  setUpFiles(classify, attempt);
  setUpDrawing(classify);
  setUpCamera(classify, attempt);
  await inTurn(() => open(models[0], models));
  await keep();
});
