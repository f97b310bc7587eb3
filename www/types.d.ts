// What goes in and comes out: the contract that the JavaScript is checked against.

export type Mode = 'baseline' | 'single' | 'aggregated' | 'distilled' | 'adaptive';

export type ErrorCode =
  | 'not-slab' | 'version' | 'corrupt' | 'unsupported' | 'mode' | 'image' | 'selftest' | 'no-slab' | 'block'
  | 'fetch' | 'module' | 'crashed' | 'closed';

export type Source = string | URL | Response | Blob | ArrayBuffer | ArrayBufferView;

export interface Progress {
  what: 'model' | 'wasm';
  loaded: number;
  /** 0 if unknown. */
  total: number;
}

export interface LoadOptions {
  /** The module; by default quarterturn.wasm beside this file. */
  wasm?: Source | WebAssembly.Module;
  /** Run in a worker, where there are workers. Default true. */
  worker?: boolean;
  /** Called while something downloads. */
  onProgress?: (progress: Progress) => void;
  signal?: AbortSignal;
}

export interface Pixels {
  /** Straight RGBA, 4 bytes a pixel. */
  data: Uint8Array | Uint8ClampedArray;
  width: number;
  height: number;
}

export type Input =
  | Pixels | ImageData | ImageBitmap | Blob | HTMLImageElement | HTMLCanvasElement | OffscreenCanvas | HTMLVideoElement;

export interface Label {
  label: string;
  index: number;
  probability: number;
}

export interface Prediction {
  /** The most probable classes, best first. */
  top: Label[];
  logits: Float32Array;
  probabilities: Float32Array;
  /** The mode that ran, with `auto` resolved; `matched` from a gallery. */
  mode: Mode | 'matched';
  /** Passes of the network it took. */
  passes: number;
  /** Milliseconds from pixels to answer, the way to the worker included. */
  ms: number;
  /** The logits of each view; only for modes of the joint head. */
  views?: Float32Array[];
}

/** The description of a slab: its manifest, and what follows from it. */
export interface Info {
  name: string;
  hash: string;
  parameters: number;
  macs: number;
  labels: string[];
  transforms: { turns: number; channels: number[] }[];
  input: { channels: number; height: number; width: number; mean: number[]; std: number[] };
  /** `passes` is the number it takes at most. */
  modes: { mode: Mode; passes: number }[];
  /** When the mode adaptive answers after a pass, for a slab that has it. */
  exits?: { margin: number; temperature: number; share: number }[];
  recommended: Mode;
  metrics: { mode: Mode; split: string; n: number; accuracy: number; nll: number; ece: number }[];
  provenance: {
    tool: string; data: string; method: string; net: string;
    seed: number; images: number; epochs: number; steps: number;
  };
  selftest: { seed: number; digest: string };
}

/** Milliseconds that loading took: both downloads, compiling the module, opening the slab. */
export interface Timings {
  readonly download: number;
  readonly compile: number;
  readonly open: number;
}
