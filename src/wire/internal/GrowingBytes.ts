/** Bytes that grow at their end, in one buffer that doubles: a list of small parts would cost more memory than they do. */
export class GrowingBytes {
  #buffer: Uint8Array
  #size = 0

  /** `expected` bytes fit in before the first growth. */
  constructor(expected: number) {
    this.#buffer = new Uint8Array(expected)
  }

  get size(): number {
    return this.#size
  }

  /** Bytes of memory that are held. */
  get capacity(): number {
    return this.#buffer.length
  }

  append(part: Uint8Array): void {
    const size = this.#size + part.length
    if (size > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(size, 2 * this.#buffer.length))
      grown.set(this.bytes)
      this.#buffer = grown
    }
    this.#buffer.set(part, this.#size)
    this.#size = size
  }

  /** The appended bytes. Valid until the next append. */
  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#size)
  }
}
