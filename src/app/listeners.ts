// Kafka's way to write where a server listens or is reached: `NAME://host:port`, several with commas. One plain listener
// is wanted here.

export interface Listener {
  readonly protocol: 'http' | 'https'
  /** Empty: not said. */
  readonly host: string
  readonly port: number
}

export interface ListenerNames {
  /** Kafka's listener.security.protocol.map: `CLIENT:PLAINTEXT,…`. */
  readonly securityProtocols: string
  /** Kafka's controller.listener.names: not for clients. */
  readonly controllerNames: string
  /** True for the address that clients are told: TLS may end before this server. */
  readonly httpsAllowed: boolean
}

const LISTENER = /^([A-Za-z0-9_.-]+):\/\/(?:\[([0-9A-Fa-f:.%]+)\]|([^\s:/[\]]*)):(\d{1,5})\/?$/

/** The first listener that speaks without TLS and SASL; or, as text, what is allowed. */
export function chooseListener(listeners: string, names: ListenerNames): Listener | string {
  const protocols = new Map(listOf(names.securityProtocols).map((pair) => pairOf(pair)))
  const controllers = new Set(listOf(names.controllerNames).map((name) => name.toUpperCase()))
  for (const each of listOf(listeners)) {
    const [, name = '', ipv6, host = '', port = ''] = LISTENER.exec(each) ?? []
    if (name === '' || Number(port) > 65_535) return FORM
    const upper = name.toUpperCase()
    if (controllers.has(upper)) continue
    const protocol = protocols.get(upper) ?? upper
    if (protocol === 'PLAINTEXT' || protocol === 'HTTP') {
      return { protocol: 'http', host: ipv6 ?? host, port: Number(port) }
    }
    if (protocol === 'HTTPS' && names.httpsAllowed) return { protocol: 'https', host: ipv6 ?? host, port: Number(port) }
  }
  return `${FORM}; at least one must be plain, since TLS and SASL are not served here`
}

const FORM = 'PLAINTEXT://host:port or http://host:port, several with commas'

function listOf(text: string): string[] {
  return text
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '')
}

function pairOf(pair: string): [string, string] {
  const [name = '', protocol = ''] = pair.split(':')
  return [name.trim().toUpperCase(), protocol.trim().toUpperCase()]
}
