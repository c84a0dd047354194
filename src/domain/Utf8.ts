/**
 * Text measured in UTF-8 bytes, the unit of every size limit of this project.
 */

const encoder = new TextEncoder()

/** The size of `text` in UTF-8 bytes; a lone surrogate counts as the replacement character it is written as. */
export const byteLength = (text: string): number => Buffer.byteLength(text, "utf8")

/** The longest prefix of `text` that fits into `maxBytes` and ends on a character boundary. */
export const truncate = (text: string, maxBytes: number): string => {
  // one UTF-16 unit is at most three bytes, so a short text needs no measuring
  if (text.length * 3 <= maxBytes) return text
  return text.slice(0, encoder.encodeInto(text, new Uint8Array(maxBytes)).read)
}
