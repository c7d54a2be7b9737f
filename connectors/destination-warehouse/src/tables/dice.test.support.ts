/** Reproducible randomness. */
const letters = ['a', 'B', '_', ' ', '"', '\'', '.', '-', '$', '1', 'é', '😀', '\ud800', '\0', '\n', '\u2028', '\\', ';', '%'];

export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** mulberry32: 0 … n-1. */
  below(n: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * n);
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)]!;
  }

  shuffled<Item>(items: readonly Item[]): Item[] {
    return items.map((item) => [this.below(1 << 30), item] as const).sort(([a], [b]) => a - b).map(([, item]) => item);
  }

  text(): string {
    let text = '';
    for (let i = this.below(6); i > 0; i--) text += this.pick(letters);
    return text;
  }
}
