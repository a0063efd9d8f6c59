// The address of a server as people write it, made whole.

export const DEFAULT_PORT = 8082
export const DEFAULT_URL = `http://127.0.0.1:${DEFAULT_PORT}`

/** host:port is enough, and a host alone means the usual port. A TypeError for what is no address, or has a password in it. */
export function parseServerUrl(text: string): string {
  const hasScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(text)
  const url = URL.parse(hasScheme ? text : `http://${text}`)
  if (url === null || !['http:', 'https:'].includes(url.protocol) || url.hostname === '') {
    throw new TypeError(`'${text}' is no address of a server: it has the form ${DEFAULT_URL}`)
  }
  if (url.username !== '' || url.password !== '') {
    throw new TypeError('an address with a user name or password in it is not taken')
  }
  // A port of 80 is no part of the parsed form: whether one was typed is seen in the text.
  if (!hasScheme && !/:\d+(\/|$)/.test(text)) url.port = String(DEFAULT_PORT)
  return url.href.replace(/\/+$/, '')
}
