/**
 * The token of the user of the page.
 *
 * - It is kept in the local storage, until the user signs out: other tabs are signed in and out with this one. A cookie
 *   would be sent for every other page that names this origin, so that the whole API would need a guard against that. The
 *   policy of the page runs no foreign script, which is the danger that a hidden cookie guards against, and no other page
 *   of the service runs any.
 * - A link may bring the token in its fragment, which browsers send to nobody. It is removed from the address at once.
 */
const key = "metadata-batcher.token"

export const read = (): string | undefined => {
  const [, given] = /^#token=([\w-]+)$/.exec(location.hash) ?? []
  if (given !== undefined) {
    localStorage.setItem(key, given)
    history.replaceState(null, "", `${location.pathname}${location.search}#/`)
  }
  return localStorage.getItem(key) ?? undefined
}

export const keep = (token: string) => localStorage.setItem(key, token)

export const forget = () => localStorage.removeItem(key)
