#!/usr/bin/env node
import { NodeRuntime, NodeServices } from "@effect/platform-node"
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
