/**
 * To be imported by a program before all else. Keeps V8 from allocating young objects with the old generation.
 *
 * V8 decides so for each literal in the code, once most of what it made since the last young collection lives through the
 * next, and was not seen to take it back. All `yield*` of effects share one literal, in Effect itself. Everything that such an object
 * refers to then lives until the next full collection, although it is garbage at once. The batcher avoids that; statements,
 * calls and other generators cannot.
 */
import { setFlagsFromString } from "node:v8"

setFlagsFromString("--no-allocation-site-pretenuring")
