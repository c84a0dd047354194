/** The processor time and memory of other processes. Only Linux has them; elsewhere there are no figures. */
import { existsSync, readdirSync, readFileSync } from "node:fs"

/** Processor time of a process so far, in milliseconds, with all its threads and with the children that have ended. */
export const cpuMillis = (pid: number): number | undefined => {
  const fields = statOf(pid)
  return fields && ticks(fields, ["user", "system", "childrenUser", "childrenSystem"])
}

/** The same with the children that live: of a Postgres its backends, each of which is a process with one thread. */
export const treeCpuMillis = (pid: number): number | undefined => {
  const fields = statOf(pid)
  const children = childrenOf(pid)
  if (fields === undefined || children === undefined) return undefined
  return children.reduce((sum, child) => sum + scheduledMillis(child), scheduledMillis(pid) + endedMillis(fields))
}

/** Processor time of a process and of the children that live so far, in milliseconds, with all their threads. */
export const familyCpuMillis = (pid: number): number | undefined => sumOfFamily(pid, cpuMillis)

/** Memory of a process and of the children that live, in bytes. */
export const familyResidentBytes = (pid: number): number | undefined => sumOfFamily(pid, residentBytes)

/** Processor time of all living threads of a process so far, in milliseconds, to the nanosecond. */
export const threadsCpuMillis = (pid: number): number | undefined => {
  const folder = `/proc/${pid}/task`
  if (!existsSync(folder)) return undefined
  return readdirSync(folder).reduce((total, thread) => total + scheduledMillis(`${pid}/task/${thread}`), 0)
}

/** Processor time of the children of this process that have ended, in milliseconds. */
export const endedChildrenMillis = (): number | undefined => {
  const fields = statOf("self")
  return fields && endedMillis(fields)
}

export const residentBytes = (pid: number): number | undefined => {
  const [, kilobytes] = /^VmRSS:\s+(\d+) kB/m.exec(contents(`/proc/${pid}/status`) ?? "") ?? []
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1_024
}

// -----------------------------------------------------------------------------
// internals
// -----------------------------------------------------------------------------

const childrenOf = (pid: number): ReadonlyArray<number> | undefined =>
  contents(`/proc/${pid}/task/${pid}/children`)
    ?.split(" ")
    .filter((child) => child !== "")
    .map(Number)

const sumOfFamily = (pid: number, figureOf: (pid: number) => number | undefined): number | undefined => {
  const own = figureOf(pid)
  return own === undefined
    ? undefined
    : (childrenOf(pid) ?? []).reduce((sum, child) => sum + (figureOf(child) ?? 0), own)
}

/** Where times stand behind the name of the program, which may contain anything. */
const places = { user: 11, system: 12, childrenUser: 13, childrenSystem: 14 }

/** Times come in hundredths of a second. */
const ticks = (fields: ReadonlyArray<string>, names: ReadonlyArray<keyof typeof places>): number =>
  names.reduce((sum, name) => sum + Number(fields[places[name]]) * 10, 0)

const endedMillis = (fields: ReadonlyArray<string>) => ticks(fields, ["childrenUser", "childrenSystem"])

const statOf = (pid: number | "self"): ReadonlyArray<string> | undefined =>
  contents(`/proc/${pid}/stat`)
    ?.replace(/^.*\) /s, "")
    .split(" ")

/** The time of the first thread, to the nanosecond. A process that has just ended has none. */
const scheduledMillis = (pid: number | string): number =>
  Number(contents(`/proc/${pid}/schedstat`)?.split(" ")[0] ?? 0) / 1e6

const contents = (path: string): string | undefined => {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return undefined
  }
}
