// The log lines' port: what pino offers and the floors below http use. App brings the real one.

export interface Logger {
  info(facts: object, message: string): void
  warn(facts: object, message: string): void
  error(facts: object, message: string): void
}

export const silentLogger: Logger = { info() {}, warn() {}, error() {} }
