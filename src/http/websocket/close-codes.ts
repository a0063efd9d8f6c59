// The codes that the server closes WebSockets with, beside those of the protocol itself.

/** In two classes: after 44xx a client shall not come back as it is, after 45xx it shall. */
export const CLOSE = {
  badRequest: 4400,
  superseded: 4409,
  limit: 4413,
  internal: 4500,
  draining: 4501,
  slowConsumer: 4502,
  heartbeatTimeout: 4503,
  overloaded: 4504,
} as const
