/** The processes that another one has started, as the kernel knows them. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs"

/** Returns the processes that a process has started and that have not ended, the oldest first. */
export const childrenOf = (pid: number): ReadonlyArray<number> =>
  readdirSync(`/proc/${pid}/task`)
    .flatMap((task) => readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").split(" "))
    .filter((child) => child.trim() !== "")
    .map(Number)
    .sort((a, b) => a - b)

/** Returns the number of sockets that a process has open. */
export const socketsOf = (pid: number): number =>
  readdirSync(`/proc/${pid}/fd`).filter((descriptor) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${descriptor}`).startsWith("socket:")
    } catch {
      // it was closed meanwhile
      return false
    }
  }).length
