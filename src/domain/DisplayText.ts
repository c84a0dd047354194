/**
 * Cleans text so that it may be shown as it is: one line, with nothing that a terminal or a browser would interpret.
 *
 * - Escape sequences of terminals, control characters, and characters that only affect layout are removed.
 * - Tags are removed, including tags that this removal creates and tags that do not end. Scripts and styles are removed
 *   with their content.
 * - Every run of white space becomes one space; there is none at the ends.
 * - The result is still plain text: a page has to escape it.
 */

/** Returns the cleaned `text`. */
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

// the sequences of ECMA-48, including unterminated ones
const escapeSequence = new RegExp(
  [
    // a control sequence: its parameters and its function
    `(?:${escape}\\[|\u009b)[0-?]*[ -/]*[@-~]?`,
    // a string for a device, up to its terminator
    `(?:${escape}[\\]PX^_]|[\u0090\u0098\u009d-\u009f])[^\u0007${escape}\u009c]*(?:\u0007|${escape}\\\\|\u009c)?`,
    `${escape}[ -/]*[0-~]?`
  ].join("|"),
  "g"
)

const whiteSpace = /\s+/g

// all except the joiner that combines several characters into one
const invisible = /[[\p{Cc}\p{Cf}]--\u200d]/gv

const tag = /<(script|style)\b[^>]*>.*?<\/\1\s*>|<[a-z/!?][^>]*(?:>|$)/gis
