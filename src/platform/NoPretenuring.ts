/**
 * To be imported by a program before all else. Keeps V8 from allocating young objects with the old generation.
 *
 * V8 decides so for each literal in the code, once most of what it made since the last young collection lives through the
 * next, and was not seen to take it back. All `yield*` of effects share one literal, in Effect itself. What such an object
 * refers to then lives until the next full collection, although it is garbage at once. The batcher keeps clear of that,
 * see `batcher/Batcher.ts`; statements, calls and whatever else is written as generators cannot.
 */
import { setFlagsFromString } from "node:v8"

setFlagsFromString("--no-allocation-site-pretenuring")
