// The page: one picture in, the answer out; and how the net came to it.

import { Camera, setUpDrawing, setUpFiles } from './inputs.js';
import { load } from './quarterturn/quarterturn.js';
import {
  bars, costOf, doubtOf, fillTerms, interval, make, milliseconds, modeCard, modeName, paint, paintPicture, passesOf, percent, pitchOf, sumTable, sureWords, togetherCard, viewCard, votesWords,
} from './render.js';
import { Workshop } from './teach.js';

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

let models = []; // of models.json, and slabs that were opened since
let classifier;
let taught; // the classifier that the workshop works with, perhaps the same
let results = []; // of the last picture, one a mode
let running = Promise.resolve();
let used = false; // has anybody given it a picture yet?
const times = new Map(); // milliseconds by mode, of the pictures of this model

/** Does things to the classifier one after the other. */
function inTurn(f) {
  running = running.then(() => attempt(f));
  return running;
}

/** Shows one of the ways a picture is shown: shown, drawing or video. */
function show(id) {
  for (const other of ['shown', 'drawing', 'video']) $(other).hidden = other !== id;
  $('draw').setAttribute('aria-pressed', String(id === 'drawing'));
  if (id !== 'video') camera.stop();
}

/** Classifies a picture and shows it: in the frame, unless it is a drawing or the camera's. */
const classify = (input, what, sample) => inTurn(async () => {
  used = true;
  for (const button of $('samples').children) button.setAttribute('aria-pressed', String(button === sample));
  await answer(input, what, what !== 'the drawing');
});

/** Classifies a picture and says what it is; in the frame it is shown if it is not there already. */
async function answer(input, what, paints = false) {
  const { info } = classifier;
  const all = [];
  for (const { mode } of info.modes) {
    const result = await classifier.classify(input, { mode, topK: 5 });
    all.push(result);
    times.set(mode, [...(times.get(mode) ?? []), result.ms].slice(-50));
  }
  results = all;
  const pixels = await classifier.input();
  if (paints) {
    await paintPicture($('shown'), input);
    show('shown');
  }
  paint($('seen'), pixels, info.input, info.transforms[0]);
  summarise();
  const digests = Object.fromEntries(await Promise.all(results.map(async (r) => [r.mode, await digest(r.logits)])));
  $('modes').replaceChildren(...results.map((r) => modeCard(info, r, digests[r.mode])));
  const aggregated = results.find((r) => r.mode === 'aggregated');
  if (aggregated) {
    $('views').replaceChildren(...info.transforms.map((_, j) => viewCard(info, aggregated, j, pixels)), togetherCard(info, aggregated));
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
  const [first] = chosen.top;
  const doubt = doubtOf(classifier.info, mode);
  const sure = first.probability >= doubt.least;
  $('summary').textContent = sure ? first.label : 'Not sure';
  $('summary').classList.toggle('unsure', !sure);
  $('sure').textContent = sureWords(chosen.top, doubt);
  $('top').replaceChildren(...bars(chosen.top));
  $('cost').textContent = `${mode}: ${passesOf(chosen.passes)} of the net, ${milliseconds(median(times.get(mode)))}`;
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

let firstTime; // milliseconds that the first picture took

function showTimes() {
  const { timings, info } = classifier;
  firstTime ??= results[0].ms;
  const steady = info.modes.map((m) => `${m.mode} ${milliseconds(median(times.get(m.mode)))} (${costOf(m)})`);
  fillTerms($('times'), {
    Download: milliseconds(timings.download),
    Compile: milliseconds(timings.compile),
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

/** Loads a model of the list, and says how far it is. */
const loadModel = (model) => load(model.source ?? model.src, {
  onProgress: ({ what, loaded, total }) => {
    say(`Loading the ${what === 'model' ? 'model' : 'module'}: ${Math.round(loaded / 1024)} KB${total ? ` of ${Math.round(total / 1024)}` : ''}`);
  },
});

/** Opens a model of the list and sets the page up for it. What cannot be opened leaves the page as it is. */
async function open(model) {
  delete document.body.dataset.ready;
  $('verify').disabled = true;
  let next;
  try {
    next = await loadModel(model);
  } catch (error) {
    if (classifier) {
      $('models').value = classifier.model.src;
      $('verify').disabled = false;
      document.body.dataset.ready = 'true';
    }
    throw error;
  }
  await classifier?.close();
  if (taught === classifier) taught = undefined;
  classifier = Object.assign(next, { model });
  results = [];
  times.clear();
  firstTime = undefined;
  camera.stop();
  showModel();
  $('verify').disabled = false;
  say('Ready.');
  await first();
  await attempt(openWorkshop); // without the net for teaching the rest works
  document.body.dataset.ready = 'true';
}

/** Offers the models where there is a choice: what is taught does not depend on it if the list has one for that. */
function showChooser() {
  $('chooser').hidden = models.length < 2 || (!$('teach').hidden && models.some((m) => m.teach) && !classifier.model.source);
}

/**
 * Gives the workshop, while it is in view, the net to work with: a slab of the visitor's own, or
 * else the one of the list that is for teaching, or else the one that is looked at.
 */
async function openWorkshop() {
  if ($('teach').hidden) return;
  const model = classifier.model.source ? classifier.model : models.find((m) => m.teach) ?? classifier.model;
  if (taught?.model === model) return;
  const next = model === classifier.model ? classifier : Object.assign(await loadModel(model), { model });
  if (taught && taught !== classifier) await taught.close();
  taught = next;
  await workshop.open(taught);
  say('Ready.');
}

function showModel() {
  const { info, model } = classifier;
  for (const id of ['modes', 'views', 'sum', 'verified', 'times', 'top', 'sure', 'cost']) $(id).replaceChildren();
  $('summary').textContent = 'Give it a picture';
  $('summary').classList.remove('unsure');
  show('shown');
  $('pitch').textContent = pitchOf(info);
  $('views-part').hidden = !info.modes.some(({ mode }) => mode === 'aggregated');
  $('views-words').textContent = votesWords(info);
  // Drawings and inverted pictures are for nets that know light shapes on black.
  for (const e of document.querySelectorAll('.grey')) e.hidden = info.input.channels !== 1;
  const { provenance: p, input, metrics } = info;
  $('seen-size').textContent = `: ${input.width} × ${input.height}`;
  const score = (split) => metrics.filter((m) => m.split === split).map((m) => `${m.mode} ${percent(m.accuracy)} (${interval(m.accuracy, m.n)})`).join(', ');
  const scores = Object.fromEntries([...new Set(metrics.map((m) => m.split))].map((split) =>
    [`Right on ${split}`, `${score(split)} of ${metrics.find((m) => m.split === split).n} images; in brackets, the 95 % interval`]));
  fillTerms($('model'), {
    Name: info.name,
    Knows: info.labels.join(', '),
    ...scores,
    'Learned from': `${p.images.toLocaleString('en')} images of ${p.data}${p.method ? `, by ${p.method}` : ''}${p.epochs ? `, ${p.epochs} epochs` : ''}`,
    Input: `${input.width} × ${input.height}, ${input.channels === 1 ? 'grey' : 'colour'}`,
    Size: `${p.net ? `${p.net}, ` : ''}${info.parameters.toLocaleString('en')} parameters, ${(info.macs / 1e6).toFixed(1)} million multiply-adds a pass${model.bytes ? `; ${Math.round(model.bytes / 1024)} KB` : ''}`,
    Hash: info.hash,
  });
  $('models').replaceChildren(...models.map((m) => make('option', { value: m.src, textContent: m.name, selected: m === model })));
  showChooser();
  $('switch').replaceChildren(make('legend', { textContent: 'How it looks' }), ...info.modes.map((m) => make('label', { className: 'choice', title: `${m.mode}, ${costOf(m)}` },
    make('input', { type: 'radio', name: 'mode', value: m.mode, checked: m.mode === info.recommended }), modeName(info, m.mode))));
  $('switch').hidden = info.modes.length < 2;
  showSamples(samplesOf(model, info));
}

/** The samples of a model; of a slab without any, those of one that knows the same things. */
function samplesOf(model, info) {
  if (model.samples.length > 0) return model.samples;
  return models.find((m) => m.samples.length > 0 && m.samples.every((s) => info.labels.includes(s.label)))?.samples ?? [];
}

function showSamples(samples) {
  $('samples').classList.toggle('none', samples.length === 0); // until then its place is kept
  $('samples').replaceChildren(...samples.map(({ src, label }) => {
    const button = make('button', { type: 'button', title: label }, make('img', { src, alt: label, width: 54, height: 54 }));
    button.addEventListener('click', () => attempt(async () => classify(await sample(src), `a sample labelled ${label}`, button)));
    return button;
  }));
}

async function sample(src) {
  const response = await fetch(src);
  if (!response.ok) throw new Error(`the sample cannot be fetched: status ${response.status}`);
  return response.blob();
}

/** Shows what it says of the first sample, so that there is something to see at once. */
async function first() {
  const [button] = $('samples').children;
  if (!button) return;
  const { src, alt } = button.firstElementChild;
  const picture = await sample(src);
  button.setAttribute('aria-pressed', 'true');
  await answer(picture, `a sample labelled ${alt}`, true);
}

/** Opens a slab that was dropped or chosen. */
async function openFile(file) {
  used = true;
  const model = { src: `file ${models.length}`, name: file.name, bytes: file.size, samples: [], source: file };
  await inTurn(async () => {
    models.push(model);
    try {
      await open(model);
    } catch (error) {
      models = models.filter((m) => m !== model);
      throw new Error(`${file.name}: ${error.message}`, { cause: error });
    }
    model.name = classifier.info.name || file.name;
    $('models').selectedOptions[0].textContent = model.name;
    say(`Opened ${file.name}.`);
  });
}

const builds = { simd: 'build with vector operations (SIMD)', plain: 'plain build' };

/** Runs the self-test in the build that runs here, and in the plain one. */
async function verify() {
  const { build, info, model } = classifier;
  const terms = {};
  terms[`Computed here, ${builds[build]}`] = await classifier.verify();
  if (build === 'simd') {
    const plain = await load(model.source ?? model.src, { simd: false });
    terms[`Computed here, ${builds.plain}`] = await plain.verify().finally(() => plain.close());
  }
  const passed = Object.values(terms).every((d) => d === info.selftest.digest);
  fillTerms($('verified'), { ...terms, 'When it was made': info.selftest.digest, Result: passed ? 'passed: the same bits' : 'failed: other bits' });
}

/** Keeps the page for when there is no network, and changes to a newer build of it, whole: at once while nobody uses this one, else when asked to. */
async function keep() {
  if (!navigator.serviceWorker) return;
  const known = Boolean(navigator.serviceWorker.controller);
  const registration = await navigator.serviceWorker.register('offline.js').catch(() => undefined); // without it, the page needs the network
  const offer = (worker) => {
    if (worker?.state !== 'installed' || !known) return;
    if (!used) worker.postMessage('switch');
    $('update').hidden = false;
    $('update').querySelector('button').onclick = () => worker.postMessage('switch');
  };
  offer(registration?.waiting);
  registration?.addEventListener('updatefound', () => {
    const worker = registration.installing;
    worker.addEventListener('statechange', () => offer(worker));
  });
  navigator.serviceWorker.addEventListener('controllerchange', () => known && location.reload());
}

/** Two tabs, as a screen reader and the arrow keys know them. */
function setUpTabs() {
  const tabs = [$('tab-look'), $('tab-teach')];
  const select = (tab) => {
    for (const t of tabs) {
      const on = t === tab;
      t.setAttribute('aria-selected', String(on));
      t.tabIndex = on ? 0 : -1;
      $(t.getAttribute('aria-controls')).hidden = !on;
    }
    camera.stop();
    workshop.stop();
    if (classifier) {
      showChooser();
      inTurn(openWorkshop);
    }
    history.replaceState(null, '', tab === tabs[1] ? '#teach' : location.pathname + location.search);
  };
  for (const tab of tabs) {
    tab.addEventListener('click', () => select(tab));
    tab.addEventListener('keydown', (e) => {
      if (!['ArrowLeft', 'ArrowRight'].includes(e.key)) return;
      const other = tabs[1 - tabs.indexOf(tab)];
      select(other);
      other.focus();
    });
  }
  if (location.hash === '#teach') select(tabs[1]);
}

const camera = new Camera($('camera'), $('video'), (frame) => inTurn(() => answer(frame, 'what the camera sees')), attempt, (on) => {
  used ||= on;
  if (on) show('video');
  else if (!$('video').hidden || $('drawing').hidden) show('shown');
});
const workshop = new Workshop(inTurn);

await attempt(async () => {
  const response = await fetch('models.json');
  if (!response.ok) throw new Error(`the list of models cannot be fetched: status ${response.status}`);
  models = await response.json();
  $('models').addEventListener('change', (e) => inTurn(() => open(models.find((m) => m.src === e.target.value))));
  $('switch').addEventListener('change', summarise);
  $('verify').addEventListener('click', () => inTurn(verify));
  setUpFiles(classify, openFile, attempt);
  setUpDrawing(classify, show);
  setUpTabs();
  await inTurn(() => open(models[0]));
  await keep();
});
