/** The requests with which administrators change users, workspaces, agents and tokens. */
import type { ErrorResponse } from "../../platform/ErrorResponse.ts"
import type { Client } from "./client.ts"

/** The service refused a change, and says why. */
export class ChangeRefused extends Error {}

/** Makes a change, and returns what the service responds with. Fails with {@link ChangeRefused}. */
export const change = async <A>(
  client: Client,
  method: "POST" | "PATCH" | "DELETE",
  path: string,
  body?: object
): Promise<A> => {
  const response = await client.send(method, path, body)
  const text = await response.text()
  if (!response.ok) throw new ChangeRefused(problemOf(text, response.status))
  return (text === "" ? undefined : JSON.parse(text)) as A
}

const problemOf = (text: string, status: number): string => {
  let problem: Partial<ErrorResponse> = {}
  try {
    problem = JSON.parse(text)
  } catch {
    // a proxy may respond in the place of the service
  }
  const { message = `The service responded with ${status}.`, validations = [] } = problem
  return [message, ...validations.map(({ detail, field }) => `${field}: ${detail}`)].join("; ")
}
