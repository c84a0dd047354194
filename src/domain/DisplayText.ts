/**
 * Text that may be shown to people as it is: one line, without what a terminal or a browser would take for more than text.
 *
 * - Escape sequences of terminals are removed, and control characters, and characters that only steer how others are laid out.
 * - Tags are removed, those too that come to be by that, and those that do not end. So are scripts and styles with their
 *   content.
 * - Every run of white space is one space; there is none at the ends.
 * - It is still plain text: what is written into a page has to be escaped there.
 */

/** `text` without anything but text. */
export const clean = (text: string): string => {
  let rest = text.replace(escapeSequence, "").replace(whiteSpace, " ").replace(invisible, "")
  for (let before = ""; before !== rest;) {
    before = rest
    rest = rest.replace(tag, "")
  }
  return rest.replace(whiteSpace, " ").trim()
}

// sequences that begin with ESC [ or its one-character form; those that begin with ESC ] and the like; any other
const escape = "\u001b"

// as ECMA-48 has them, those too that do not end
const escapeSequence = new RegExp(
  [
    // a control sequence: parameters and what they are for
    `(?:${escape}\\[|\u009b)[0-?]*[ -/]*[@-~]?`,
    // a string for a device, up to its terminator
    `(?:${escape}[\\]PX^_]|[\u0090\u0098\u009d-\u009f])[^\u0007${escape}\u009c]*(?:\u0007|${escape}\\\\|\u009c)?`,
    `${escape}[ -/]*[0-~]?`
  ].join("|"),
  "g"
)

const whiteSpace = /\s+/g

// all but the joiner that makes one sign of several
const invisible = /[[\p{Cc}\p{Cf}]--\u200d]/gv

const tag = /<(script|style)\b[^>]*>.*?<\/\1\s*>|<[a-z/!?][^>]*(?:>|$)/gis
