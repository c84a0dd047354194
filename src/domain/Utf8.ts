/**
 * Text measured in UTF-8 bytes, the unit of every size limit of this project.
 */

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** The size of `text` in UTF-8 bytes; a lone surrogate counts as the replacement character it is written as. */
export const byteLength = (text: string): number => Buffer.byteLength(text, "utf8")

/** The longest prefix of `text` that fits into `maxBytes` and ends on a character boundary. */
export const truncate = (text: string, maxBytes: number): string => {
  // one UTF-16 unit is at most three bytes, so a short text needs no measuring
  if (text.length * 3 <= maxBytes) return text
  const bytes = new Uint8Array(maxBytes)
  const { read, written } = encoder.encodeInto(text, bytes)
  return read === text.length ? text : decoder.decode(bytes.subarray(0, written))
}
