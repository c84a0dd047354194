/**
 * Import this first in a program: it keeps V8 from allocating young objects in the old generation. See "What V8 keeps" in
 * test/bench/README.md.
 */
import { setFlagsFromString } from "node:v8"

setFlagsFromString("--no-allocation-site-pretenuring")
