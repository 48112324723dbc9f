import type { FloatArray } from "../reference/matmul.ts";

/** What assembly/index.ts exports; pointers are byte offsets into the memory. */
export interface WasmExports {
  readonly memory: WebAssembly.Memory;
  readonly free: WebAssembly.Global;
  matmul(a: number, b: number, c: number, m: number, k: number, n: number, transposed: boolean): void;
  addGram(gram: number, x: number, rows: number, n: number): void;
  factor(a: number, n: number, limits: number): number;
  solve(l: number, x: number, n: number, m: number): void;
  inverseWork(n: number): number;
  inverse(h: number, n: number, work: number): number;
  eigenWork(n: number): number;
  symmetricEigen(a: number, n: number, d: number, panels: number, work: number): void;
  svdWork(n: number): number;
  thinSvd(a: number, m: number, n: number, left: number, right: number, work: number): number;
  obsWork(m: number, n: number, block: number): number;
  walkColumns(...parameters: number[]): void;
  orderWork(n: number): number;
  obsOrder(...parameters: number[]): void;
  proximalWork(m: number, n: number, regularizer: number): number;
  fistaStep(...parameters: number[]): void;
  admmStep(...parameters: number[]): void;
  scalesWork(group: number): number;
  fitScales(...parameters: number[]): void;
  nearestCodes(...parameters: number[]): void;
}

/** An instance whose memory has grown beyond this is dropped after the call, since a memory never shrinks. */
const MOST_KEPT_BYTES = 32 << 20;
const PAGE = 65536;

/** Rooms start on a cache line. */
const ALIGNMENT = 64;

/** The memory of one instance after another, handed out afresh to each call: nothing lasts from one to the next. */
export class WasmMemory {
  private readonly module: WebAssembly.Module;
  private instance: WasmExports | null = null;
  /** Bytes of the largest memory so far. */
  most = 0;

  constructor(module: WebAssembly.Module) {
    this.module = module;
  }

  /** @throws RangeError when the memory cannot grow */
  call<T>(run: (call: Call) => T): T {
    this.instance ??= new WebAssembly.Instance(this.module).exports as unknown as WasmExports;
    const wasm = this.instance;
    try {
      return run(new Call(wasm));
    } finally {
      const { byteLength } = wasm.memory.buffer;
      this.most = Math.max(this.most, byteLength);
      if (byteLength > MOST_KEPT_BYTES) this.instance = null;
    }
  }
}

/** The memory during one call. */
export class Call {
  readonly wasm: WasmExports;
  private next: number;

  constructor(wasm: WasmExports) {
    this.wasm = wasm;
    this.next = aligned(wasm.free.value);
    this.reach(this.next);
  }

  /** Room for so many bytes; what is in it is not defined. */
  room(bytes: number): number {
    const at = this.next;
    this.next = aligned(at + bytes);
    this.reach(this.next);
    return at;
  }

  /** A copy of the array. */
  put(array: Float32Array | Float64Array | Uint8Array): number {
    const at = this.room(array.byteLength);
    new Uint8Array(this.wasm.memory.buffer, at, array.byteLength).set(
      new Uint8Array(array.buffer, array.byteOffset, array.byteLength),
    );
    return at;
  }

  /** A copy of the numbers in double precision. */
  putDoubles(array: FloatArray): number {
    const at = this.room(array.length * 8);
    this.doubles(at, array.length).set(array);
    return at;
  }

  /** A view, good until the next room is taken. */
  floats(at: number, count: number): Float32Array {
    return new Float32Array(this.wasm.memory.buffer, at, count);
  }

  /** A view, good until the next room is taken. */
  doubles(at: number, count: number): Float64Array {
    return new Float64Array(this.wasm.memory.buffer, at, count);
  }

  /** A view, good until the next room is taken. */
  integers(at: number, count: number): Int32Array {
    return new Int32Array(this.wasm.memory.buffer, at, count);
  }

  /** A view, good until the next room is taken. */
  bytes(at: number, count: number): Int8Array {
    return new Int8Array(this.wasm.memory.buffer, at, count);
  }

  private reach(end: number): void {
    const missing = end - this.wasm.memory.buffer.byteLength;
    if (missing > 0) this.wasm.memory.grow(Math.ceil(missing / PAGE));
  }
}

function aligned(at: number): number {
  return Math.ceil(at / ALIGNMENT) * ALIGNMENT;
}
