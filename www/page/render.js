// What the page shows of results and models.

/** 0.954 as 95.4 %. */
export const percent = (p) => `${(100 * p).toFixed(1)} %`;

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

/** The answer of one mode. */
export function modeCard(info, result, hash) {
  const score = info.metrics.find((m) => m.mode === result.mode);
  const recommended = result.mode === info.recommended;
  return make('div', { className: recommended ? 'mode recommended' : 'mode' },
    make('h3', {}, result.mode, make('small', { textContent: passesOf(result.passes) })),
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

/** What a view is called. */
export const viewName = ({ turns, channels }) => turnNames[turns] + (channels.some((c, i) => c !== i) ? `, colours ${channels.join('')}` : '');

/** The logits of view j. */
const viewOf = ({ labels: { length: n } }, views, j) => views.subarray(j * n, (j + 1) * n);

/** One view, with its vote. */
export function viewCard(info, views, j, pixels) {
  const logits = viewOf(info, views, j);
  const transform = info.transforms[j];
  const best = logits.indexOf(Math.max(...logits));
  const sum = logits.reduce((s, v) => s + Math.exp(v - logits[best]), 0);
  const canvas = make('canvas', { className: 'pixels' });
  canvas.setAttribute('role', 'img');
  canvas.setAttribute('aria-label', `The picture, ${viewName(transform)}`);
  paint(canvas, pixels, info.input, transform);
  return make('figure', {}, canvas, make('figcaption', {}, make('b', { textContent: info.labels[best] }), `${percent(1 / sum)}, ${viewName(transform)}`));
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

/** A model to choose: what it was trained on, how good each mode is, its size, its hash. */
export function modelCard(model, chosen) {
  const input = make('input', { type: 'radio', name: 'model', value: model.src, checked: chosen });
  return make('label', { className: chosen ? 'mode recommended' : 'mode' },
    make('h3', {}, make('span', {}, input, ` ${model.name}`), make('small', { textContent: `${Math.round(model.bytes / 1024)} KB` })),
    make('p', { textContent: `${model.net}, trained on ${model.images.toLocaleString('en')} images of ${model.data} by ${model.method}` }),
    ...model.metrics.map((m) => make('p', { textContent: `${m.mode}: ${percent(m.accuracy)} right on ${m.n} ${m.split} images` })),
    make('p', { className: 'digest', title: 'Hash of the slab', textContent: model.hash }),
  );
}
