// What the page shows of results and models.

import { bitmapOf } from './quarterturn/pixels.js';
import { LIKELY } from './quarterturn/prediction.js';

/** An error as a sentence. */
export const sentence = ({ message }) => message.replace(/[^.]$/, '$&.');

/** 0.954 as 95.4 %. */
export const percent = (p) => (Number.isFinite(p) ? `${(100 * p).toFixed(1)} %` : 'not a number');

/** The 95 % interval of a share of n (Wilson 1927). */
export function interval(p, n) {
  const z = 1.96;
  const middle = (p + z * z / (2 * n)) / (1 + z * z / n);
  const reach = (z / (1 + z * z / n)) * Math.sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  return `${(100 * (middle - reach)).toFixed(1)} to ${(100 * (middle + reach)).toFixed(1)}`;
}

/** 0.954 as 95 %, for reading at a glance. */
export const roughly = (p) => (Number.isFinite(p) ? `${p > 0.995 && p < 1 ? '>99' : Math.round(100 * p)} %` : '?');

export const milliseconds = (ms) => `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;

export const passesOf = (n) => (n === 1 ? 'one pass' : `${n} passes`);

/** What a mode of a model costs. */
export const costOf = ({ mode, passes }) => (mode === 'adaptive' ? `one to ${passes} passes` : passesOf(passes));

/** Makes an element with properties and children. */
export function make(tag, properties = {}, ...children) {
  const e = Object.assign(document.createElement(tag), properties);
  e.append(...children);
  return e;
}

/** Fills a list of terms with what is said of each. */
export function fillTerms(list, rows) {
  list.replaceChildren(...Object.entries(rows).flatMap(([k, v]) => [make('dt', { textContent: k }), make('dd', { textContent: v })]));
}

/** What a model's views have in common, in words: turns, colours or both. */
function viewWords({ transforms }) {
  const turned = transforms.some((t) => t.turns > 0);
  const coloured = transforms.some((t) => t.channels.some((c, i) => c !== i));
  const what = coloured ? (turned ? 'was turned and coloured' : 'was coloured') : 'was turned';
  return { what, many: `${transforms.length} ${coloured ? (turned ? 'turns and colourings' : 'colourings') : 'turns'}` };
}

/** A label within a sentence, whose direction it is to leave alone (Unicode's FSI and PDI). */
const within = (label) => (/^[\u0020-\u024f]*$/.test(label) ? label : `\u2068${label}\u2069`);

/** Labels as a list: "cup, key and pen". */
const listed = (labels) => (labels.length < 2 ? labels.map(within).join() : `${labels.slice(0, -1).map(within).join(', ')} and ${within(labels.at(-1))}`);

/** What a model knows, short enough for a list of models. */
export const kindsOf = (labels) => (labels.length < 4 ? listed(labels) : `${labels.length} things: ${labels.slice(0, 3).map(within).join(', ')} …`);

/** Says in a line what a model can do. */
export function pitchOf({ labels, provenance: { method, images } }) {
  const what = labels.length < 2 ? `Knows only ${listed(labels)}, and has nothing to tell it from.`
    : labels.length < 6 ? `Tells ${listed(labels)} apart.` : `Tells ${labels.length} kinds of things apart, from ${within(labels[0])} to ${within(labels.at(-1))}.`;
  return `${what}${method === 'prototypes' ? ` Somebody showed it ${images === 1 ? 'one picture' : `${images} pictures`} of ${labels.length < 2 ? 'it' : 'them'}.` : ''} It runs in this tab; no picture leaves it.`;
}

/** What a mode does, in a word or two for people. */
export function modeName(info, mode) {
  const many = viewWords(info).many;
  return {
    baseline: 'one look', single: 'one look', aggregated: `all ${many}`,
    distilled: 'one look, taught by all', adaptive: 'as many looks as it needs',
  }[mode] ?? mode;
}

/** How the views vote, as a title and in words, beside the answer of a mode that is shown above it. */
export function votesWords(info, { mode, passes }) {
  const { what, many } = viewWords(info);
  if (info.provenance.method === 'prototypes') {
    return ['How it makes up its mind', `The same net looks at ${many} and compares each with those of the pictures it was shown. Their mean decides.`];
  }
  const votes = `the same net votes once for each: it is asked only for the labels that go with how the picture ${what}.`;
  return mode === 'aggregated' ? ['How it makes up its mind', `Looking at all ${many}, ${votes} The mean of the votes is the answer.`]
    : [`If it looked at all ${many}`, `The answer above took ${passes === 1 ? 'one look' : `${passes} looks`}. Looking at all ${many}, ${votes} Their mean is the answer of that mode.`];
}

/** From here on an answer is given without a "probably". */
const SURE = 0.9;

/** Are the probabilities of a mode calibrated? */
export const isCalibrated = ({ metrics }, mode) => metrics.some((m) => m.mode === mode && (m.temperature || mode === 'adaptive'));

/**
 * The verdict on the foremost classes, in three steps, the one rule of the headline, the votes and "Teach it": below LIKELY
 * an answer is about as likely wrong as right, and not given; below SURE it is "probably" so. Of probabilities that
 * are not calibrated less is known than they say, so that it stays at "probably".
 */
export function verdictOf([first, second], calibrated) {
  const p = first.probability;
  if (!(p >= LIKELY)) return { text: 'Not sure', unsure: true, why: `Perhaps ${within(first.label)}${second ? `, or ${within(second.label)}` : ''}.` };
  return {
    text: calibrated && p >= SURE ? first.label : `Probably ${within(first.label)}`,
    unsure: false,
    why: calibrated ? `${roughly(p)} sure` : `${roughly(p)}, but this slab was never calibrated`,
  };
}

/** The foremost classes as bars. */
export const bars = (top) => top.map(({ label, probability }) => bar(label, probability));

function bar(label, probability) {
  const fill = make('i');
  fill.style.width = `${100 * probability}%`;
  return make('div', { className: 'bar' }, fill, make('span', { textContent: label }), make('span', { textContent: percent(probability) }));
}

/** The answer of one mode. */
export function modeCard(info, result, hash) {
  const scores = info.metrics.filter((m) => m.mode === result.mode);
  const score = scores.find((m) => m.split.endsWith('test')) ?? scores[0];
  const recommended = result.mode === info.recommended;
  return make('div', { className: recommended ? 'mode recommended' : 'mode' },
    make('h3', {}, result.mode, make('small', { textContent: passesOf(result.passes) })),
    make('p', { className: 'quiet', textContent: (score ? `${percent(score.accuracy)} right on ${score.n} ${score.split} images` : '') + (recommended ? ', recommended' : '') }),
    ...bars(result.top),
    make('p', { className: 'digest', title: 'SHA-256 of the logits, the same on every target', textContent: hash }),
  );
}

const turnNames = ['as it is', 'a quarter turn', 'a half turn', 'three quarter turns'];

/** What a view is called. */
export const viewName = ({ turns, channels }) => turnNames[turns] + (channels.some((c, i) => c !== i) ? `, colours ${channels.join('')}` : '');

/** The logits of view j. */
const viewOf = ({ labels: { length: n } }, views, j) => views.subarray(j * n, (j + 1) * n);

/** One view, with its vote. */
export function viewCard(info, { views, top }, j, pixels) {
  const logits = viewOf(info, views, j);
  const transform = info.transforms[j];
  const best = logits.indexOf(Math.max(...logits));
  const sum = logits.reduce((s, v) => s + Math.exp(v - logits[best]), 0);
  const canvas = make('canvas', { className: 'pixels' });
  canvas.setAttribute('role', 'img');
  canvas.setAttribute('aria-label', `The picture, ${viewName(transform)}`);
  paint(canvas, pixels, info.input, transform);
  return make('figure', { className: best === top[0].index ? 'agrees' : '' }, canvas,
    make('figcaption', {}, make('b', { textContent: info.labels[best] }), `${percent(1 / sum)}, ${viewName(transform)}`));
}

/** What the views say together. */
export function togetherCard(info, { mode, top }) {
  const { text, unsure } = verdictOf(top, isCalibrated(info, mode));
  const share = percent(top[0].probability);
  return make('div', { className: unsure ? 'together unsure' : 'together' },
    make('span', { className: 'quiet', textContent: `all ${info.transforms.length} together` }), make('b', { textContent: text }),
    make('span', { className: 'quiet', textContent: unsure ? `perhaps ${within(top[0].label)}, ${share}` : share }));
}

/** How the views' logits of the foremost classes add up. */
export function sumTable(info, { views, logits, top }) {
  const number = (v) => v.toFixed(2);
  const head = make('tr', {}, make('th', { scope: 'col', textContent: 'logit of' }),
    ...info.transforms.map((t) => make('th', { scope: 'col', textContent: viewName(t) })), make('th', { scope: 'col', textContent: 'mean' }));
  const rows = top.slice(0, 3).map(({ label, index }) => make('tr', {}, make('th', { scope: 'row', textContent: label }),
    ...info.transforms.map((_, j) => viewOf(info, views, j)).map((v) => make('td', { textContent: number(v[index]), className: v[index] === Math.max(...v) ? 'best' : '' })),
    make('td', { textContent: number(logits[index]), className: logits[index] === Math.max(...logits) ? 'best' : '' })));
  return make('table', {}, make('thead', {}, head), make('tbody', {}, ...rows));
}

/** Draws the net's input, transformed as the module transforms it. */
export function paint(canvas, x, { channels, height, width, mean, std }, { turns, channels: from }) {
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

/** Draws a picture as it was given, no larger than it is shown. */
export async function paintPicture(canvas, input, most = 640) {
  const source = input instanceof Blob || input instanceof ImageData ? input
    : input.data ? new ImageData(new Uint8ClampedArray(input.data), input.width, input.height) : input;
  const bitmap = await bitmapOf(source);
  const scale = Math.min(1, most / Math.max(bitmap.width, bitmap.height));
  Object.assign(canvas, { width: Math.max(1, Math.round(scale * bitmap.width)), height: Math.max(1, Math.round(scale * bitmap.height)) });
  canvas.getContext('2d').drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
}
