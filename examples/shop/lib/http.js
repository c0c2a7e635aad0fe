/** Calls between the services, and the errors that travel back along them. */

/** An answer that is not 2xx, thrown by a handler. */
export class HttpError extends Error {
  constructor(status, message, options) {
    super(message, options)
    this.name = 'HttpError'
    this.status = status
  }
}

/** Another service did not do its part. */
export class UpstreamError extends HttpError {
  constructor(upstream, status, message, options) {
    super(status, message, options)
    this.name = 'UpstreamError'
    this.upstream = upstream
  }
}

const TIMEOUT_MS = 2000

// Where the services are: told by the runner at the start and at every deployment, as a service registry would.
const addresses = {}
process.on('message', (message) => Object.assign(addresses, message.addresses))

/** Calls another service. Returns its JSON; a 4xx comes back as HttpError, everything worse as UpstreamError. */
export async function call(service, method, path, body) {
  let response, answer
  try {
    response = await fetch(addresses[service] + path, {
      method,
      headers: { 'content-type': 'application/json' },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    answer = await response.json()
  } catch (cause) {
    if (cause.name === 'TimeoutError') throw new UpstreamError(service, 504, `${service} did not answer within ${TIMEOUT_MS} ms`)
    throw new UpstreamError(service, 503, `${service} cannot be reached`, { cause })
  }
  if (response.ok) return answer
  const message = `${service} answered ${response.status}: ${answer.error}`
  if (response.status < 500) throw new HttpError(response.status, answer.error)
  // 503 and 504 keep their meaning on the way up; any other failure is a bad gateway to the caller's caller.
  throw new UpstreamError(service, response.status > 502 ? response.status : 502, message)
}
