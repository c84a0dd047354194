import type { UserId } from "./Ids.ts"

/** A person who calls the API. An administrator may see and change everything, any other user their own things. */
export interface User {
  readonly id: UserId
  readonly username: string
  readonly isAdmin: boolean
}

/** Whether a user may see the things of an owner. */
export const mayRead = (user: User, ownerId: UserId): boolean => user.isAdmin || user.id === ownerId
