import type { UserId } from "./Ids.ts"

/** A person who calls the API. An administrator may see and change everything, anyone else what is theirs. */
export interface User {
  readonly id: UserId
  readonly username: string
  readonly isAdmin: boolean
}
