/**
 * Decodes metadata reports, the message that agents send most, directly from their bytes.
 *
 * It returns the same result as the generated code with the conversion of messages, and fails in the same cases, in a
 * fraction of their time: it reads a report in one pass, and keeps only its keys, values and errors.
 */
import type { BatchUpdateMetadataRequest } from "../calls/Metadata.ts"

/** Returns the report, without the times of the agent. Throws if the bytes are not a report. */
export const decode = (bytes: Uint8Array): BatchUpdateMetadataRequest => {
  const reader = new Reader(bytes)
  const metadata: Array<{ readonly key: string; readonly result: { readonly value: string; readonly error: string } }> =
    []
  while (reader.at < bytes.length) {
    const tag = reader.varint()
    if (tag === delimited(2)) metadata.push(sample(reader))
    else reader.skip(tag)
  }
  return { metadata }
}

// ----- internals -----

const delimited = (field: number) => (field << 3) | 2

const sample = (reader: Reader) => {
  const end = reader.end()
  let key = ""
  let value = ""
  let error = ""
  while (reader.at < end) {
    const tag = reader.varint()
    if (tag === delimited(1)) key = reader.text(end)
    else if (tag === delimited(2)) {
      const resultEnd = reader.end(end)
      while (reader.at < resultEnd) {
        const tag = reader.varint()
        if (tag === delimited(3)) value = reader.text(resultEnd)
        else if (tag === delimited(4)) error = reader.text(resultEnd)
        else reader.skip(tag)
      }
      reader.expect(resultEnd)
    } else reader.skip(tag)
  }
  reader.expect(end)
  return { key, result: { value, error } }
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const malformed = () => new Error("the message is malformed")

class Reader {
  readonly #bytes: Uint8Array
  at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** Reads a tag or a length. */
  varint(): number {
    const bytes = this.#bytes
    let value = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = bytes[this.at++]
      if (byte === undefined) throw malformed()
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
    const last = bytes[this.at++]
    if (last === undefined || last > 0x0f) throw malformed()
    return (value | (last << 28)) >>> 0
  }

  /** Returns the end of the delimited field whose length comes next. */
  end(limit: number = this.#bytes.length): number {
    const length = this.varint()
    if (this.at + length > limit) throw malformed()
    return this.at + length
  }

  expect(end: number): void {
    if (this.at !== end) throw malformed()
  }

  text(limit: number): string {
    const start = this.at
    const bytes = this.#bytes
    const end = this.end(limit)
    const from = this.at
    this.at = end
    // most texts are a few characters of ASCII, for which the decoder is slow
    if (end - from <= maxShortText) {
      let text = ""
      for (let at = from; at < end; at++) {
        const byte = bytes[at]!
        if (byte >= 0x80) return decoder.decode(bytes.subarray(from, end))
        text += String.fromCharCode(byte)
      }
      return text
    }
    return start === end ? "" : decoder.decode(bytes.subarray(from, end))
  }

  /** Skips a field that is not needed. */
  skip(tag: number): void {
    if (tag >>> 3 === 0) throw malformed()
    switch (tag & 7) {
      case 0:
        for (let count = 1; this.#bytes[this.at]! >= 0x80; count++) {
          this.at++
          if (count === 10) throw malformed()
        }
        this.at++
        break
      case 1:
        this.at += 8
        break
      case 2:
        this.at = this.end()
        break
      case 5:
        this.at += 4
        break
      default:
        throw malformed()
    }
    if (this.at > this.#bytes.length) throw malformed()
  }
}

const maxShortText = 24
