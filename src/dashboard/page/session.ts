/**
 * The token of the user of the page.
 *
 * - It is kept in the session storage: for this tab alone, and gone with it. A cookie would be sent for every other page
 *   that names this origin, so that the whole API would need a guard against that. The policy of the page runs no foreign
 *   script, which is the danger that a hidden cookie guards against.
 * - A link may bring the token in its fragment, which browsers send to nobody. It is removed from the address at once.
 */
const key = "metadata-batcher.token"

export const read = (): string | undefined => {
  const [, given] = /^#token=([\w-]+)$/.exec(location.hash) ?? []
  if (given !== undefined) {
    sessionStorage.setItem(key, given)
    history.replaceState(null, "", "#/")
  }
  return sessionStorage.getItem(key) ?? undefined
}

export const keep = (token: string) => sessionStorage.setItem(key, token)

export const forget = () => sessionStorage.removeItem(key)
