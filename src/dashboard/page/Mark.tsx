/** The logo of the page. */
export const Mark = () => (
  <svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true" class="mark">
    <path d="M3 5h6M3 12h6M3 19h6M9 5l5 7-5 7M9 12h5" />
    <circle cx="18" cy="12" r="3.4" />
  </svg>
)
