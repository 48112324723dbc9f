/** Channels along one axis of a value, an entry an index; null where the axis has nothing that could be removed. */
export type Axis = Int32Array | null;

/** Longest axis that is followed: no declared size makes Hone allocate more than this. */
export const MAX_AXIS = 2 ** 20;
/** Channels that are told apart in all. */
export const MAX_CHANNELS = 2 ** 23;

/** The channels of each axis of a value. */
export type Axes = readonly Axis[];

/**
 * Which indices of which tensors can only be removed together: a union-find over channels. A class of channels is
 * one removable unit, unless it is fixed, and then there is a reason.
 */
export class Channels {
  readonly #parent: number[] = [];
  /** By root. */
  readonly #reasons = new Map<number, string>();

  /** An axis of new channels; null where there are too many to follow. */
  fresh(count: number): Axis {
    const first = this.#parent.length;
    if (count > MAX_AXIS || first + count > MAX_CHANNELS) return null;
    const axis = new Int32Array(count);
    for (let i = 0; i < count; i++) {
      axis[i] = first + i;
      this.#parent.push(first + i);
    }
    return axis;
  }

  /** The class of a channel: the smallest channel in it. */
  classOf(channel: number): number {
    let root = channel;
    while (this.#parent[root] !== root) root = this.#parent[root]!;
    for (let at = channel; at !== root; ) {
      const next = this.#parent[at]!;
      this.#parent[at] = root;
      at = next;
    }
    return root;
  }

  join(a: number, b: number): void {
    const [one, other] = [this.classOf(a), this.classOf(b)];
    if (one === other) return;
    const [root, child] = one < other ? [one, other] : [other, one];
    this.#parent[child] = root;
    const reason = this.#reasons.get(root) ?? this.#reasons.get(child);
    this.#reasons.delete(child);
    if (reason !== undefined) this.#reasons.set(root, reason);
  }

  /** Index by index; where only one side is followed, or they differ in length, what is followed stays. */
  tie(a: Axis | undefined, b: Axis | undefined, reason: string): void {
    if (a && b && a.length === b.length) {
      for (let i = 0; i < a.length; i++) this.join(a[i]!, b[i]!);
      return;
    }
    this.fix(a, reason);
    this.fix(b, reason);
  }

  /** Nothing of the axis can be removed; the first reason counts. */
  fix(axis: Axis | undefined, reason: string): void {
    for (const channel of axis ?? []) {
      const root = this.classOf(channel);
      if (!this.#reasons.has(root)) this.#reasons.set(root, reason);
    }
  }

  /** Why the channel stays; null where it may go. */
  reasonOf(channel: number): string | null {
    return this.#reasons.get(this.classOf(channel)) ?? null;
  }

  /** True where no channel of the axis may go. */
  isFixed(axis: Axis): boolean {
    return axis === null || axis.every((channel) => this.reasonOf(channel) !== null);
  }
}
