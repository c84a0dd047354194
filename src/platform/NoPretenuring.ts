/**
 * To be imported by a program before all else. Keeps V8 from allocating young objects with the old generation.
 *
 * V8 decides so for each literal of which much has lived through a collection, and was not seen to take it back. From then
 * on what such an object refers to lives until the next full collection, although it is garbage at once. Of long runs of the
 * batcher alone some had it and some had not: 28 s and 17 s for the same work, a third of the 28 for collections. With young
 * collections forced early on, 15 million updates took 4.3 s, and 2.5 s with this flag. When a service comes to it is not
 * known.
 */
import { setFlagsFromString } from "node:v8"

setFlagsFromString("--no-allocation-site-pretenuring")
