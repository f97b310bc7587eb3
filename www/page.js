// The page: one picture in, every mode's answer out, side by side.

import { pixelsOf } from './pixels.js';
import { load } from './quarterturn.js';

const $ = (id) => document.getElementById(id);
const percent = (p) => `${(100 * p).toFixed(1)} %`;

/** Makes an element with properties and children. */
function make(tag, properties = {}, ...children) {
  const e = Object.assign(document.createElement(tag), properties);
  e.append(...children);
  return e;
}

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
let running = Promise.resolve();

/** Classifies pictures one after the other. */
function classify(input, what) {
  running = running.then(() => attempt(() => show(input, what)));
  return running;
}

async function show(input, what) {
  const { info } = classifier;
  const results = [];
  for (const { mode } of info.modes) results.push(await classifier.classify(input, { mode, topK: 5 }));
  const pixels = await classifier.input();
  paint($('seen'), pixels, info.input, { turns: 0, channels: info.transforms[0].channels });

  const chosen = results.find((r) => r.mode === info.recommended);
  $('summary').replaceChildren(
    'This looks like ', make('strong', { textContent: chosen.top[0].label }),
    ` (${percent(chosen.top[0].probability)}, ${chosen.mode}, ${chosen.passes === 1 ? 'one pass' : `${chosen.passes} passes`}).`,
  );
  const digests = Object.fromEntries(await Promise.all(results.map(async (r) => [r.mode, await digest(r.logits)])));
  $('modes').replaceChildren(...results.map((r) => modeCard(r, digests[r.mode])));
  const aggregated = results.find((r) => r.mode === 'aggregated');
  $('views').replaceChildren(...(aggregated ? aggregated.views.map((logits, j) => viewCard(logits, j, pixels)) : ['This model has no views.']));
  // What a test, or the curious, compare with `quarterturn predict --json`.
  document.body.dataset.digests = JSON.stringify(digests);
  say(`Classified ${what}.`);
}

function modeCard(result, hash) {
  const { info } = classifier;
  const score = info.metrics.find((m) => m.mode === result.mode);
  const recommended = result.mode === info.recommended;
  return make('div', { className: recommended ? 'mode recommended' : 'mode' },
    make('h3', {}, result.mode, make('small', { textContent: `${result.passes} × net, ${result.ms.toFixed(1)} ms` })),
    make('p', { textContent: (score ? `${percent(score.accuracy)} right on ${score.n} ${score.split} images` : '') + (recommended ? ', recommended' : '') }),
    ...result.top.map(({ label, probability }) => bar(label, probability)),
    make('p', { className: 'digest', title: 'SHA-256 of the logits, the same on every target', textContent: hash }),
  );
}

function bar(label, probability) {
  const fill = make('i');
  fill.style.width = `${100 * probability}%`;
  return make('div', { className: 'bar' }, fill, make('span', { textContent: label }), make('span', { textContent: percent(probability) }));
}

const turnNames = ['as it is', 'a quarter turn', 'a half turn', 'three quarter turns'];

function viewCard(logits, j, pixels) {
  const { info } = classifier;
  const transform = info.transforms[j];
  const best = logits.indexOf(Math.max(...logits));
  const sum = logits.reduce((s, v) => s + Math.exp(v - logits[best]), 0);
  const canvas = make('canvas', { className: 'pixels' });
  canvas.setAttribute('aria-label', `View ${j + 1}`);
  paint(canvas, pixels, info.input, transform);
  const name = turnNames[transform.turns] + (transform.channels.some((c, i) => c !== i) ? `, colours ${transform.channels.join('')}` : '');
  return make('figure', {}, canvas, make('figcaption', {}, make('b', { textContent: info.labels[best] }), `${percent(1 / sum)}, ${name}`));
}

/** Draws the net's input, transformed as the module transforms it. */
function paint(canvas, x, { channels, height, width, mean, std }, { turns, channels: from }) {
  Object.assign(canvas, { width, height });
  const image = new ImageData(width, height);
  for (let y = 0; y < height; y++) {
    for (let c = 0; c < width; c++) {
      const [sy, sx] = [[y, c], [c, width - 1 - y], [height - 1 - y, width - 1 - c], [height - 1 - c, y]][turns];
      for (let k = 0; k < 3; k++) {
        const source = from[Math.min(k, channels - 1)];
        const v = x[(source * height + sy) * width + sx] * std[source] + mean[source];
        image.data[4 * (y * width + c) + k] = Math.round(255 * v);
      }
      image.data[4 * (y * width + c) + 3] = 255;
    }
  }
  canvas.getContext('2d').putImageData(image, 0, 0);
}

async function digest(logits) {
  if (!crypto.subtle) return 'the digest needs https or localhost';
  const hash = await crypto.subtle.digest('SHA-256', logits);
  return Array.from(new Uint8Array(hash), (b) => b.toString(16).padStart(2, '0')).join('');
}

function describe({ info }, bytes, ms) {
  const { provenance: p, input } = info;
  const rows = {
    Name: info.name,
    Trained: `on ${p.images} images of ${p.data} with ${p.method}, ${p.epochs} epochs, seed ${p.seed}`,
    Input: `${input.width} × ${input.height}, ${input.channels === 1 ? 'grey' : 'colour'}; ${info.transforms.length} views`,
    Size: `${info.parameters.toLocaleString('en')} parameters, ${(info.macs / 1e6).toFixed(1)} million multiply-adds a pass, ${Math.round(bytes / 1024)} KB`,
    Hash: info.hash,
    Loaded: `in ${Math.round(ms)} ms`,
  };
  $('model').replaceChildren(...Object.entries(rows).flatMap(([k, v]) => [make('dt', { textContent: k }), make('dd', { textContent: v })]));
}

/** Reads a file's pixels, inverted if the box is ticked. */
async function pixelsOfFile(file) {
  const image = await pixelsOf(file);
  if ($('invert').checked) {
    for (let i = 0; i < image.data.length; i++) if (i % 4 !== 3) image.data[i] = 255 - image.data[i];
  }
  return image;
}

const take = (file) => file && attempt(async () => classify(await pixelsOfFile(file), file.name));

function setUpFiles() {
  $('file').addEventListener('change', (e) => take(e.target.files[0]));
  const drop = $('drop');
  drop.addEventListener('dragover', (e) => {
    e.preventDefault();
    drop.classList.add('over');
  });
  drop.addEventListener('dragleave', () => drop.classList.remove('over'));
  drop.addEventListener('drop', (e) => {
    e.preventDefault();
    drop.classList.remove('over');
    take(e.dataTransfer.files[0]);
  });
}

function setUpDrawing() {
  const canvas = $('drawing');
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const wipe = () => {
    context.fillStyle = '#000';
    context.fillRect(0, 0, canvas.width, canvas.height);
  };
  wipe();
  Object.assign(context, { strokeStyle: '#fff', lineWidth: 16, lineCap: 'round', lineJoin: 'round' });
  let drawing = false;
  canvas.addEventListener('pointerdown', (e) => {
    drawing = true;
    canvas.setPointerCapture(e.pointerId);
    context.beginPath();
    context.moveTo(e.offsetX, e.offsetY);
  });
  canvas.addEventListener('pointermove', (e) => {
    if (!drawing) return;
    context.lineTo(e.offsetX, e.offsetY);
    context.stroke();
  });
  canvas.addEventListener('pointerup', () => {
    drawing = false;
    classify(context.getImageData(0, 0, canvas.width, canvas.height), 'the drawing');
  });
  $('clear').addEventListener('click', wipe);
}

async function setUpSamples() {
  const response = await fetch('samples.json');
  const samples = response.ok ? await response.json() : [];
  $('samples').hidden = samples.length === 0;
  $('samples').replaceChildren(...samples.map(({ src, label }) => {
    const image = make('img', { src, alt: label, width: 56, height: 56 });
    const button = make('button', { type: 'button', title: label }, image);
    button.addEventListener('click', () => attempt(async () => {
      const blob = await (await fetch(src)).blob();
      await classify(blob, `a sample labelled ${label}`);
    }));
    return button;
  }));
}

await attempt(async () => {
  const start = performance.now();
  let bytes = 0;
  classifier = await load('model.slab', {
    onProgress: ({ what, loaded }) => {
      if (what === 'model') bytes = loaded;
      say(`Loading the ${what === 'model' ? 'model' : 'module'}: ${Math.round(loaded / 1024)} KB`);
    },
  });
  describe(classifier, bytes, performance.now() - start);
  // Drawings and inverted pictures are for nets that know light shapes on black.
  for (const e of document.querySelectorAll('.grey')) e.hidden = classifier.info.input.channels !== 1;
  setUpFiles();
  setUpDrawing();
  await setUpSamples();
  $('verify').disabled = false;
  $('verify').addEventListener('click', () => attempt(async () => {
    $('verified').value = `passed: ${await classifier.verify()}`;
  }));
  say('Ready.');
  document.body.dataset.ready = 'true';
});
