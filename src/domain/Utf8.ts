/**
 * Measures text in UTF-8 bytes, the unit of every size limit of this project. It uses no globals of Node.
 */

const encoder = new TextEncoder()

// room for any text of 2 048 UTF-16 units, the longest value of metadata
const scratch = new Uint8Array(6_144)

/** Returns the size of `text` in UTF-8 bytes. A lone surrogate counts as the replacement character that is written for it. */
export const byteLength = (text: string): number => {
  let { read, written: bytes } = encoder.encodeInto(text, scratch)
  while (read < text.length) {
    const next = encoder.encodeInto(text.slice(read), scratch)
    read += next.read
    bytes += next.written
  }
  return bytes
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

/**
 * Returns `text` in memory of its own. A part of a text, as of `trim` or `slice`, otherwise keeps the whole text alive. Lone
 * surrogates become replacement characters.
 */
export const copy = (text: string): string => decoder.decode(encoder.encode(text))

/** Whether `text` has more than `maxBytes`. A text that is short enough in any case is not measured. */
export const exceeds = (text: string, maxBytes: number): boolean =>
  // one UTF-16 unit is at most three bytes
  text.length * 3 > maxBytes && byteLength(text) > maxBytes

/** Returns the longest prefix of `text` that fits into `maxBytes` and ends on a character boundary, in memory of its own. */
export const truncate = (text: string, maxBytes: number): string => {
  // one UTF-16 unit is at most three bytes, so a short text needs no measuring
  if (text.length * 3 <= maxBytes) return text
  const bytes = new Uint8Array(maxBytes)
  const { read, written } = encoder.encodeInto(text, bytes)
  return read === text.length ? text : decoder.decode(bytes.subarray(0, written))
}
