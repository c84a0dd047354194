/**
 * Replaces secrets in logs and traces.
 *
 * - A value is replaced when its name is that of a secret (tokens, passwords, API keys, cookies, `Authorization`),
 *   whether it is a field, a header or a URL parameter.
 * - Bearer and basic credentials and the password of a URL are replaced anywhere in a text.
 * - Everything else stays as it is. The time is proportional to the length of the text.
 */

const secret = "<redacted>"

const names = "token|passw(?:or)?d|secret|api[-_]?key"
const headers = "authorization|cookie"

const secretName = new RegExp(`(?:${names}|${headers})$`, "i")

const rules: ReadonlyArray<readonly [pattern: RegExp, replacement: string]> = [
  // matches the rest of the header's line
  [new RegExp(`(${headers})("?\\s*[:=]\\s*"?)[^\\r\\n"]+`, "gi"), `$1$2${secret}`],
  [new RegExp(`(${names})(["']?\\s*[:=]\\s*["']?)[^\\s"'&,;}]+`, "gi"), `$1$2${secret}`],
  [/\b(bearer|basic)\s+[^\s"',;]{8,}/gi, `$1 ${secret}`]
]

const word = /[^\s"']+/g
const user = /:\/\/[^:@/]*:/g

/**
 * Replaces the password of a URL. An unencoded password may contain slashes and at-signs, so it ends with the last
 * at-sign of the word. A single pattern for this would take quadratic time.
 */
const withoutPasswords = (text: string): string =>
  text.includes("://") && text.includes("@") ? text.replace(word, withoutPassword) : text

const withoutPassword = (word: string): string => {
  const end = word.lastIndexOf("@")
  if (end === -1) return word
  user.lastIndex = 0
  if (!user.test(word) || user.lastIndex >= end) return word
  return `${word.slice(0, user.lastIndex)}${secret}${word.slice(end)}`
}

/** Returns a text without its secrets. */
export const text = (text: string): string =>
  withoutPasswords(rules.reduce((text, [pattern, replacement]) => text.replace(pattern, replacement), text))

/** Returns a value without its secrets, or a replacement if its name is that of a secret. */
export const named = (name: string, value: unknown): unknown =>
  secretName.test(name) && typeof value !== "number" && typeof value !== "boolean" ? secret : deep(value)

/** Returns nested lists and plain objects without their secrets. Values deeper than eight levels are omitted. */
export const deep = (value: unknown, depth = 0): unknown => {
  if (typeof value === "string") return text(value)
  if (value instanceof Error) return text(value.stack ?? String(value))
  if (typeof value !== "object" || value === null) return value
  if (depth === maxDepth) return "…"
  if (Array.isArray(value)) return value.map((element) => deep(element, depth + 1))
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => [
      name,
      typeof field === "object" && !secretName.test(name) ? deep(field, depth + 1) : named(name, field)
    ])
  )
}

const maxDepth = 8
