// The module on a thread of its own, in Node, Deno and Bun.

import { parentPort } from 'node:worker_threads';
import { serve } from './serve.js';

parentPort.on('message', serve((message) => parentPort.postMessage(message)));
