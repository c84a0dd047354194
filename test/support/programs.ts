/** Programs that suites need beside Node, and that a machine may not have. */
import { describe } from "@effect/vitest"
import { existsSync } from "node:fs"
import * as Path from "node:path"

/** Each program, and the variable that names another one in its place. */
const variables = {
  "nats-server": "NATS_SERVER_BIN",
  "redis-server": "REDIS_SERVER_BIN",
  nginx: "NGINX_BIN",
  caddy: "CADDY_BIN",
  promtool: "PROMTOOL_BIN",
  "systemd-analyze": "SYSTEMD_ANALYZE_BIN"
} as const

export type Program = keyof typeof variables

/** Returns the path of a command; that of a server may lie where only administrators look. */
export const find = (command: string): string | undefined =>
  [...(process.env["PATH"] ?? "").split(":"), "/usr/sbin", "/usr/local/sbin"]
    .map((folder) => Path.join(folder, command))
    .find((path) => existsSync(path))

/** Returns the path of a program, if there is one. */
export const pathOf = (program: Program): string | undefined => process.env[variables[program]] ?? find(program)

/** Adds a suite that needs a program: a run without that program leaves the suite out and says so, and fails in CI. */
export const describeWith = (program: Program, suite: () => void) =>
  (pathOf(program) === undefined ? describe.skip : describe)(`with ${program}`, suite)

/** One sentence for each program that is missing. */
export const missing = (): ReadonlyArray<string> =>
  (Object.keys(variables) as ReadonlyArray<Program>)
    .filter((program) => pathOf(program) === undefined)
    .map((program) => `suites that need ${program} are left out: install it, or set ${variables[program]} to its path`)
