#!/usr/bin/env node
import "./platform/NoPretenuring.ts"
// before any schema is made: what is read from the network is then read by generated code, ten times as fast
import "effect/schema/SchemaJITCompiler/enable"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Cause, Effect, Exit } from "effect"
import { Command } from "effect/cli"
import { createRequire } from "node:module"
import * as Cli from "./Cli.ts"

const { version } = createRequire(import.meta.url)("../package.json") as { readonly version: string }

Command.run(Cli.command, { version }).pipe(
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain({
    // a signal is how the service is meant to end
    teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause) ? 0 : 1)
  })
)
