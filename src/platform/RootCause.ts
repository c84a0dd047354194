/** Finds out why something failed, beneath the errors that others have put around it. */

/** Returns the message of the innermost cause, or the common code when several addresses failed without a message. */
export const rootOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  if (error.cause !== undefined) return rootOf(error.cause)
  return error.message === "" && "code" in error ? String(error.code) : error.message
}
