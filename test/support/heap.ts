/** The heap of the process of a test. */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

setFlagsFromString("--expose-gc")
const collectGarbage = runInNewContext("gc") as () => void

/** The bytes in use, after a collection of garbage. */
export const heapBytes = (): number => {
  collectGarbage()
  return process.memoryUsage().heapUsed
}
