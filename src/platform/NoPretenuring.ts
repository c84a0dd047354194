/**
 * Import this first in a program: it keeps V8 from allocating young objects in the old generation. See "Pretenuring in V8" in
 * test/bench/README.md.
 */
import { setFlagsFromString } from "node:v8"

setFlagsFromString("--no-allocation-site-pretenuring")
