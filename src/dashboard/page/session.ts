/**
 * The token of whoever looks at the page.
 *
 * It is kept in the session storage: it is for this tab alone, and gone with it. A cookie would be sent by every other
 * page that names this origin, so that the whole API would need a guard against that; and what a cookie that scripts
 * cannot read guards against, a script from elsewhere, the page's policy lets not run at all.
 *
 * A link may bring the token in its fragment, which browsers send to nobody. It is taken out of the address at once.
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
