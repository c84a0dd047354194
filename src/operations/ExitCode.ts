/** The exit codes by which programs tell failures of the command line apart. */
import { Cause, Effect, Exit, Predicate } from "effect"
import { CliError } from "effect/cli"

/** The exit codes of failures, by their tags, some with a reason; of others 1. */
const exitCodes: Readonly<Record<string, number>> = {
  "PostgresError: url": 2,
  "PostgresError: unreachable": 3,
  ShowHelp: 2,
  InvalidSettings: 2,
  StatusRefused: 2,
  TokenMissing: 2,
  TokenRefused: 2,
  KeysRefused: 2,
  NotAService: 3,
  StatusUnknown: 3,
  ServiceUnreachable: 3
}

/** The exit code of the process. A signal is the usual end of the service, and keeps the code that is set. */
export const exitCode = (exit: Exit.Exit<unknown, unknown>): number => {
  if (Exit.isSuccess(exit)) return 0
  if (Cause.hasInterruptsOnly(exit.cause)) return Number(process.exitCode ?? 0)
  const error = Cause.squash(exit.cause)
  const reason = error instanceof CliError.UserError ? error.cause : error
  if (!Predicate.hasProperty(reason, "_tag")) return 1
  const why = Predicate.hasProperty(reason, "reason") ? String(reason.reason) : ""
  return exitCodes[`${String(reason._tag)}: ${why}`] ?? exitCodes[String(reason._tag)] ?? 1
}

/** Sets the exit code of a command that fails as it is interrupted, because only the interruption reaches the end. */
export const keepExitCode = (exit: Exit.Exit<unknown, unknown>) =>
  Effect.sync(() => {
    if (Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause)) process.exitCode = exitCode(exit)
  })
