// The benchmark page: a worker for each runtime, and a table.

import { compare, names, ratioNames } from './engines.js';

const ROUNDS = 20;
const $ = (id) => document.getElementById(id);

/** A worker that runs one net on one runtime. */
class Runner {
  #worker;
  #answer;

  constructor(name, folder) {
    this.#worker = new Worker('worker.js');
    this.#worker.onmessage = ({ data }) => (data.error ? this.#answer.reject(new Error(`${name}: ${data.error}`)) : this.#answer.resolve(data));
    this.#worker.onerror = (event) => this.#answer.reject(new Error(`${name}: ${event.message ?? 'the worker did not start'}`));
    this.ready = this.#ask({ name, folder });
  }

  #ask(message) {
    return new Promise((resolve, reject) => {
      this.#answer = { resolve, reject };
      this.#worker.postMessage(message);
    });
  }

  run(task) {
    return this.#ask({ task });
  }

  close() {
    this.#worker.terminate();
  }
}

function cell(row, tag, text) {
  const c = document.createElement(tag);
  c.textContent = text;
  if (tag === 'th') c.scope = 'row';
  row.append(c);
}

async function time({ title, folder }, progress) {
  const runners = new Map();
  try {
    for (const name of names) {
      runners.set(name, new Runner(name, folder));
      await runners.get(name).ready;
    }
    const { medians, ratios } = await compare((name, task) => runners.get(name).run(task), 1, ROUNDS, progress);
    const row = document.createElement('tr');
    cell(row, 'th', title);
    for (const ms of medians) cell(row, 'td', ms.toFixed(2));
    for (const ratio of ratios) cell(row, 'td', ratio.toFixed(2));
    $('rows').append(row);
  } finally {
    for (const runner of runners.values()) runner.close();
  }
}

const nets = await (await fetch('nets.json')).json();
for (const name of [...names, ...ratioNames]) {
  const c = document.createElement('th');
  c.scope = 'col';
  c.textContent = name;
  $('names').append(c);
}
$('agent').textContent = `${navigator.userAgent}, ${navigator.hardwareConcurrency} threads`;
$('run').onclick = async () => {
  $('run').disabled = true;
  $('rows').replaceChildren();
  $('progress').hidden = false;
  try {
    for (const [i, net] of nets.entries()) {
      $('status').textContent = `Timing ${net.title} …`;
      await time(net, (share) => { $('progress').value = (i + share) / nets.length; });
    }
    $('status').textContent = 'Done: medians, in ms. Of the last columns, the first two are our time by that of the fastest other runtime.';
  } catch (error) {
    $('status').textContent = `It stopped. ${error.message}`;
  }
  $('progress').hidden = true;
  $('run').disabled = false;
};
$('status').textContent = 'Ready. It takes about half a minute; leave this tab in front.';
$('run').disabled = false;
