#!/usr/bin/env node
import "./platform/NoPretenuring.ts"
import * as NodeVersion from "./platform/NodeVersion.ts"
import * as ProcessEnds from "./platform/ProcessEnds.ts"

NodeVersion.check()
const loaded = ProcessEnds.prepare()
// before any schema is made: generated code reads what the network sends ten times as fast
await import("effect/schema/SchemaJITCompiler/enable")
const Cli = await import("./Cli.ts")
Cli.main()
loaded()
