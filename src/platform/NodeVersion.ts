/**
 * Refuses to run on a Node that is too old. The module loads nothing but Node's own modules, because others may need what
 * an old Node lacks.
 */
import { readFileSync } from "node:fs"

/** Returns the `engines.node` of this package, such as `>=22.19`. */
export const required = (): string =>
  (JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { engines: { node: string } })
    .engines.node

/** Returns why a version of Node is too old for a requirement of the form `>=major.minor`, or undefined if it is not. */
export const refusal = (version: string, required: string): string | undefined => {
  const [major = 0, minor = 0] = version.split(".").map(Number)
  const oldest = required.replace(">=", "")
  const [oldestMajor = 0, oldestMinor = 0] = oldest.split(".").map(Number)
  return major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)
    ? undefined
    : `metadata-batcher needs Node ${oldest} or newer, and this is Node ${version}.`
}

/** Ends the process with 1 and one sentence if its Node is too old. */
export const check = (): void => {
  const reason = refusal(process.version.slice(1), required())
  if (reason === undefined) return
  process.stderr.write(`${reason}\n`)
  process.exit(1)
}
