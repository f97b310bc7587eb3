// The page: one picture in, the answer out; and how the net came to it.

import { Camera, isSlab, setUpDrawing, setUpFiles, wanted } from './inputs.js';
import { pixelsOf } from './quarterturn/pixels.js';
import { load } from './quarterturn/quarterturn.js';
import {
  bars, costOf, fillTerms, interval, isCalibrated, kindsOf, make, milliseconds, modeCard, modeName, paint, paintPicture, passesOf, percent, pitchOf, sentence, sumTable, togetherCard, verdictOf, viewCard, votesWords,
} from './render.js';
import { Workshop } from './teach.js';

const $ = (id) => document.getElementById(id);

/** Says something of what is looked at, or in another place. */
function say(text, isError = false, place = $('status')) {
  place.textContent = text;
  place.classList.toggle('error', isError);
}

/** Runs f, and shows what goes wrong as a sentence. */
async function attempt(f, place) {
  try {
    await f();
  } catch (error) {
    say(sentence(error), true, place);
  }
}

let models = []; // of models.json, and slabs that were opened since
let classifier;
let taught; // the classifier that the workshop works with, perhaps the same
let results = []; // of the last picture, one a mode
let inView; // the picture that was given last, with its name, and its sample if it is one: { input, what, sample }
let running = Promise.resolve();
let used = false; // has anybody given it a picture yet?
const times = new Map(); // milliseconds by mode, of the pictures of this model

/** Does things to the classifier one after the other. */
function inTurn(f) {
  running = running.then(() => attempt(f));
  return running;
}

/** Shows one of the ways a picture is shown: shown, drawing, video, or that it is empty. */
function show(id) {
  for (const other of ['shown', 'drawing', 'video', 'empty']) $(other).hidden = other !== id;
  $('draw').setAttribute('aria-pressed', String(id === 'drawing'));
  if (id !== 'shown') mark(); // what is in view is no sample
  if (id !== 'video') camera.stop();
}

/** Classifies a picture and shows it: in the frame, unless it is a drawing. `rest`: the files that wait behind it. */
function classify(input, what, { sample, rest = [] } = {}) {
  used = true;
  $('next').hidden = rest.length === 0;
  $('next').textContent = rest.length > 1 ? `Next picture (${rest.length} more)` : 'Next picture';
  $('next').onclick = () => look(rest);
  Promise.resolve(input).catch(() => {}); // it is awaited in its turn
  return inTurn(async () => {
    const picture = await input;
    await answer(picture, what, what !== 'the drawing', sample);
    inView = { input: picture, what, sample };
    if (rest.length > 0) say(`Classified ${what}. One picture is shown at a time.`);
  });
}

/** Looks at files, one at a time. */
const look = ([file, ...rest], what = file.name) => classify(wanted(file), what, { rest });

/** Marks the sample that is in view, if one is. */
function mark(sample) {
  for (const button of $('samples').children) button.setAttribute('aria-pressed', String(button === sample));
}

/** Classifies a picture and says what it is, first by the mode that is switched to; in the frame it is shown if it is not there already. */
async function answer(input, what, paints = false, sample) {
  const { info } = classifier;
  if (paints) {
    await paintPicture($('shown'), input);
    mark(sample);
    frame = undefined;
    show('shown');
    say('Looking …');
  }
  $('answer').setAttribute('aria-busy', 'true');
  try {
    const picture = await pixelsOf(input);
    results = [];
    for (const mode of info.modes.map((m) => m.mode).sort((a, b) => (b === chosenMode()) - (a === chosenMode()))) {
      const result = await classifier.classify(picture, { mode, topK: 5 });
      results.push(result);
      times.set(mode, [...(times.get(mode) ?? []), result.ms].slice(-50));
      if (results.length > 1) continue;
      firstTime ??= result;
      paint($('seen'), await classifier.input(), info.input, info.transforms[0]);
      summarise();
      $('answer').removeAttribute('aria-busy');
    }
    await explain();
  } finally {
    $('answer').removeAttribute('aria-busy');
  }
  say(`Classified ${what}.`);
}

const chosenMode = () => document.querySelector('#switch input:checked').value;

/** The answer in words, by the mode that is switched to. */
function summarise() {
  const { info } = classifier;
  const chosen = results.find((r) => r.mode === chosenMode());
  if (!chosen) return;
  const { text, why, unsure } = verdictOf(chosen.top, isCalibrated(info, chosen.mode));
  $('summary').textContent = text;
  $('summary').classList.toggle('unsure', unsure);
  $('sure').textContent = why;
  $('top').replaceChildren(...bars(chosen.top));
  $('cost').textContent = `${chosen.mode}: ${passesOf(chosen.passes)} of the net, ${milliseconds(median(times.get(chosen.mode)))}`;
  [$('views-title').textContent, $('views-words').textContent] = votesWords(info, chosen);
}

/** How the answer came about, by every mode. */
async function explain() {
  const { info } = classifier;
  const inOrder = info.modes.map(({ mode }) => results.find((r) => r.mode === mode));
  const digests = Object.fromEntries(await Promise.all(inOrder.map(async (r) => [r.mode, await digest(r.logits)])));
  $('modes').replaceChildren(...inOrder.map((r) => modeCard(info, r, digests[r.mode])));
  const aggregated = results.find((r) => r.mode === 'aggregated');
  if (aggregated) {
    const pixels = await classifier.input();
    $('views').replaceChildren(...info.transforms.map((_, j) => viewCard(info, aggregated, j, pixels)), togetherCard(info, aggregated));
    $('sum').replaceChildren(sumTable(info, aggregated));
  }
  showTimes();
  showParts();
  // What a test, or the curious, compare with `quarterturn predict --json`.
  document.body.dataset.digests = JSON.stringify(digests);
}

/** Shows the parts that there is something to say in. */
function showParts() {
  const any = results.length > 0;
  const { modes, transforms } = classifier.info;
  $('views-part').hidden = !any || transforms.length < 2 || !modes.some(({ mode }) => mode === 'aggregated');
  for (const id of ['modes-part', 'times-part']) $(id).hidden = !any;
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

let firstTime; // the result of the first picture

function showTimes() {
  const { timings, info } = classifier;
  const steady = info.modes.map((m) => `${m.mode} ${milliseconds(median(times.get(m.mode)))} (${costOf(m)})`);
  fillTerms($('times'), {
    Download: milliseconds(timings.download),
    Compile: milliseconds(timings.compile),
    Open: `${milliseconds(timings.open)}, checking the slab and packing its weights`,
    'First picture': `${milliseconds(firstTime.ms)} (${firstTime.mode})`,
    'Every picture': `${steady.join('; ')}; medians of ${times.get(results[0].mode).length}`,
  });
}

async function digest(logits) {
  if (!crypto.subtle) return 'the digest needs https or localhost';
  const hash = await crypto.subtle.digest('SHA-256', logits);
  return Array.from(new Uint8Array(hash), (b) => b.toString(16).padStart(2, '0')).join('');
}

/** Loads a model of the list, and says how far it is. */
const loadModel = async (model, place) => {
  try {
    return await load(model.source ?? model.src, {
      onProgress: ({ what, loaded, total }) => {
        say(`Loading the ${what === 'model' ? 'model' : 'module'}: ${Math.round(loaded / 1024)} KB${total ? ` of ${Math.round(total / 1024)}` : ''}`, false, place);
      },
    });
  } catch (cause) {
    const words = troubles[cause.code];
    throw words ? new Error(`${model.name} ${words} (${cause.message})`, { cause }) : cause;
  }
};

/** What is wrong with a slab, for whoever wants to look at pictures. */
const troubles = {
  'not-slab': 'is not a slab, or was damaged on its way',
  corrupt: 'was damaged on its way: fetch it again',
  version: 'is newer than this page: it takes one of a later release',
  unsupported: 'is too large for this page, or is made in a way that it does not know',
};

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
  await attempt(first);
  await attempt(openWorkshop, $('teach-status')); // without the net for teaching the rest works
  document.body.dataset.ready = 'true';
}

/** Was this slab made by teaching? It holds no pictures, and so cannot be taught further. */
const wasTaught = () => classifier.info.provenance.method === 'prototypes';

/** Is what is looked at a slab of the visitor's own, to be taught? */
const isOwn = () => Boolean(classifier.model.source) && !wasTaught();

/** Offers the models where there is a choice: what is taught does not depend on it if the list has one for that. */
function showChooser() {
  const listed = models.filter((m) => !m.unlisted);
  $('chooser').hidden = listed.length < 2 || (!$('teach').hidden && models.some((m) => m.teach) && !isOwn());
  const names = listed.map((m) => m.file ?? kindsOf(m.labels));
  $('models').replaceChildren(...listed.map((m, i) => make('option', {
    value: m.src, textContent: names.indexOf(names[i]) === names.lastIndexOf(names[i]) ? names[i] : m.name, title: m.name, selected: m === classifier?.model,
  })));
}

/**
 * Gives the workshop, while it is in view, the net to work with: a slab of the visitor's own, or
 * else the one of the list that is for teaching, or else the one that is looked at.
 */
async function openWorkshop() {
  if ($('teach').hidden) return;
  $('teach-note').hidden = !wasTaught();
  const model = isOwn() ? classifier.model : models.find((m) => m.teach) ?? classifier.model;
  if (taught?.model === model) return;
  const next = model === classifier.model ? classifier : Object.assign(await loadModel(model, $('teach-status')), { model });
  if (taught && taught !== classifier) await taught.close();
  taught = next;
  await workshop.open(taught);
}

/** The modes to choose from: where there is one view, they all look at that. */
const modesOf = ({ modes, recommended, transforms }) => (transforms.length > 1 ? modes : modes.filter((m) => m.mode === recommended));

function showModel() {
  const { info, model } = classifier;
  for (const id of ['modes', 'views', 'sum', 'verified', 'times', 'top', 'sure', 'cost']) $(id).replaceChildren();
  $('summary').textContent = 'Give it a picture';
  $('summary').classList.remove('unsure');
  showParts();
  $('pitch').textContent = pitchOf(info);
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
  showChooser();
  const offered = modesOf(info);
  $('switch').replaceChildren(make('legend', { textContent: 'How it decides' }), ...offered.map((m) => make('label', { className: 'choice', title: `${m.mode}, ${costOf(m)}` },
    make('input', { type: 'radio', name: 'mode', value: m.mode, checked: m.mode === info.recommended }), modeName(info, m.mode))));
  $('switch').hidden = offered.length < 2;
  showSamples(samplesOf(model, info));
}

/** The samples of a model; of a slab without any, those of one that knows the same things. */
function samplesOf(model, info) {
  if (model.samples.length > 0) return model.samples;
  return models.find((m) => m.samples.length > 0 && m.samples.every((s) => info.labels.includes(s.label)))?.samples ?? [];
}

let samplesShown;

function showSamples(samples) {
  if (samples === samplesShown) return;
  samplesShown = samples;
  $('samples').classList.toggle('none', samples.length === 0); // until then its place is kept
  $('samples').replaceChildren(...samples.map(({ src, label }) => {
    const button = make('button', { type: 'button', title: label }, make('img', { src, alt: label, width: 54, height: 54 }));
    button.addEventListener('click', () => classify(fetchSample(src), `a sample labelled ${label}`, { sample: button }));
    return button;
  }));
}

async function fetchSample(src) {
  const response = await fetch(src);
  if (!response.ok) throw new Error(`the sample cannot be fetched: status ${response.status}`);
  return response.blob();
}

/** Shows what it says of the picture that is in view, or else of the first sample, so that there is something to see at once. */
async function first() {
  const [sample] = samplesShown;
  if (inView) await answer(inView.input, inView.what, true, inView.sample);
  else if (sample) {
    await answer(await fetchSample(sample.src), `a sample labelled ${sample.label}`, true, $('samples').firstElementChild);
  } else show('empty');
}

/** Shows what is known before a model is there: what it tells apart, and the first picture. */
async function preview({ labels, method, images, samples }) {
  $('pitch').textContent = pitchOf({ labels, provenance: { method, images } });
  showChooser();
  showSamples(samples);
  if (samples.length === 0) return;
  await paintPicture($('shown'), await fetchSample(samples[0].src));
}

/** Opens a slab that was dropped or chosen, perhaps with others. */
async function openFile(file, others) {
  used = true;
  const model = { src: `file ${models.length}`, name: file.name, file: file.name, bytes: file.size, samples: [], source: file };
  await inTurn(async () => {
    models.push(model);
    try {
      await open(model);
    } catch (error) {
      models = models.filter((m) => m !== model);
      throw error;
    }
    say(`Opened ${file.name}.${others > 0 ? ' One slab is opened at a time.' : ''}`);
  });
}

/** Takes files that came to a place of the page: a slab is opened, pictures are looked at or taught. */
const receive = (files, place, what) => attempt(async () => {
  const slabs = await Promise.all(files.map(isSlab));
  const slab = files[slabs.indexOf(true)];
  const pictures = files.filter((_, i) => !slabs[i]);
  if (slab) {
    selectTab($('tab-look'));
    await openFile(slab, slabs.filter(Boolean).length - 1);
  }
  if (pictures.length === 0) return;
  if ($('look').hidden) await workshop.receive(pictures, place);
  else await look(pictures, what);
});

/** What a file is for that comes to an element. */
const placeOf = (element) => ($('teach').hidden ? $('drop') : element.closest?.('.thing') ?? $('preview'));

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

const tabs = [$('tab-look'), $('tab-teach')];

function selectTab(tab) {
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
    inTurn(() => attempt(openWorkshop, $('teach-status')));
  }
  history.replaceState(null, '', tab === tabs[1] ? '#teach' : location.pathname + location.search);
}

/** Two tabs, as a screen reader and the arrow keys know them. */
function setUpTabs() {
  for (const tab of tabs) {
    tab.addEventListener('click', () => selectTab(tab));
    tab.addEventListener('keydown', (e) => {
      if (!['ArrowLeft', 'ArrowRight'].includes(e.key)) return;
      const other = tabs[1 - tabs.indexOf(tab)];
      selectTab(other);
      other.focus();
    });
  }
  if (location.hash === '#teach') selectTab(tabs[1]);
}

let frame; // the camera's last
const camera = new Camera($('camera'), $('video'), (now) => inTurn(() => camera.on && answer(frame = now, 'what the camera sees')), attempt, (on) => {
  used ||= on;
  if (on) {
    frame = undefined;
    $('next').hidden = true;
    show('video');
  } else if (frame && $('drawing').hidden) { // what the answer is about stays in view
    inView = { input: frame, what: 'what the camera saw' };
    inTurn(() => paintPicture($('shown'), inView.input));
  }
  if (!on && $('drawing').hidden) show('shown');
});
const workshop = new Workshop(inTurn);

await attempt(async () => {
  const response = await fetch('models.json');
  if (!response.ok) throw new Error(`the list of models cannot be fetched: status ${response.status}`);
  models = await response.json();
  $('models').addEventListener('change', (e) => inTurn(() => open(models.find((m) => m.src === e.target.value))));
  $('switch').addEventListener('change', summarise);
  $('verify').addEventListener('click', () => inTurn(verify));
  setUpFiles(receive, placeOf, (f) => attempt(f, $('teach').hidden ? undefined : $('teach-status')));
  setUpDrawing(classify, show);
  setUpTabs();
  preview(models[0]).catch(() => {}); // it is told when the model is there
  await inTurn(() => open(models[0]));
  await keep();
});
